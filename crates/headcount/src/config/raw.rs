//! How a value of the file becomes a setting: whatever YAML made of it, number or string, it is read
//! as text and judged by the type's `FromStr`, which judges flags and variables too. So a setting
//! has one set of rules and one set of messages, wherever it comes from. It is judged while YAML
//! still knows where it stands, so that the message has the right line.
//!
//! There is one visitor for all types, and a closure for what differs: a visitor for each type would
//! be a copy of half the YAML library for each type.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::layer::Rule;

/// A value of the file.
pub enum Raw {
    One(String),
    Many(Vec<String>),
    Rule(Rule),
}

/// A setting that the file may hold.
pub trait Setting: FromStr<Err = String> {
    /// What is wanted, for messages.
    const WANTED: &'static str;
    /// Whether it may be a list, too.
    const MAY_BE_LIST: bool = false;
    /// Whether it may be the rule of `workers`, too.
    const MAY_BE_RULE: bool = false;

    /// Judges a value that is no single one.
    fn from_compound(_raw: Raw) -> Result<Self, String> {
        Err(format!("expected {}", Self::WANTED))
    }
}

/// Reads a setting.
pub fn read<'de, T: Setting, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let mut setting = None;
    deserializer.deserialize_any(Reader {
        wanted: T::WANTED,
        may_be_list: T::MAY_BE_LIST,
        may_be_rule: T::MAY_BE_RULE,
        judge: &mut |raw| {
            setting = Some(match raw {
                Raw::One(text) => text.parse()?,
                compound => T::from_compound(compound)?,
            });
            Ok(())
        },
    })?;
    setting.ok_or_else(|| D::Error::custom(format!("expected {}", T::WANTED)))
}

/// Lets serde read these settings; a blanket implementation is not ours to write.
macro_rules! read_from_file {
    ($($setting:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $setting {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::raw::read(deserializer)
            }
        }
    )+};
}
pub(crate) use read_from_file;

struct Reader<'a> {
    wanted: &'static str,
    may_be_list: bool,
    may_be_rule: bool,
    judge: &'a mut dyn FnMut(Raw) -> Result<(), String>,
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        (self.judge)(Raw::One(text.to_owned())).map_err(E::custom)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "true" } else { "false" })
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.may_be_list {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let mut words = Vec::new();
        while let Some(Word(word)) = seq.next_element()? {
            words.push(word);
        }
        (self.judge)(Raw::Many(words)).map_err(A::Error::custom)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if !self.may_be_rule {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        let rule = Rule::deserialize(MapAccessDeserializer::new(map))?;
        (self.judge)(Raw::Rule(rule)).map_err(A::Error::custom)
    }
}

/// An element of a list: `["sleep", 5]` has two words.
struct Word(String);

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl Setting for Word {
    const WANTED: &'static str = "a word";
}

read_from_file!(Word);
