//! How a value of the file becomes a setting: whatever YAML made of it, number or string, it is read
//! as text and judged by the type's `FromStr`, which judges flags and variables too. So a setting
//! has one set of rules and one set of messages, wherever it comes from. It is judged while YAML
//! still knows where it stands, so that the message has the right line.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// A setting that the file may hold.
pub trait Setting: FromStr<Err = String> {
    /// What is wanted, for messages.
    const WANTED: &'static str;

    /// Its value as a list, where it may be one.
    fn from_list(_words: Vec<String>) -> Option<Result<Self, String>> {
        None
    }

    /// Its value as a map, where it may be one.
    fn from_map<'de, A: MapAccess<'de>>(_map: A) -> Result<Self, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &Self::WANTED))
    }
}

/// Reads a setting.
pub fn read<'de, T: Setting, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Reader(PhantomData))
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

struct Reader<T>(PhantomData<T>);

impl<'de, T: Setting> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut words = Vec::new();
        while let Some(Word(word)) = seq.next_element()? {
            words.push(word);
        }
        match T::from_list(words) {
            Some(setting) => setting.map_err(A::Error::custom),
            None => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
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
