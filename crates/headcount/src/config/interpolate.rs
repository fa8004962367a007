//! `${VAR}` and `${VAR:-default}` in the configuration file, and `$$` for a dollar, as in Compose.
//! It works on the text, line by line, before YAML is parsed, so that a value can be a number or a
//! list, and so that line numbers stay true.

use std::fmt;

/// What is wrong, and on which line (from 1).
#[derive(Debug, PartialEq, Eq)]
pub enum InterpolateError {
    /// The variable is not set, and there is no default.
    Unset { line: usize, name: String },
    /// `${` without its end, or with something else than a name.
    Malformed { line: usize, text: String },
    /// A value with a line break could change what other lines mean.
    LineBreak { line: usize, name: String },
}

impl fmt::Display for InterpolateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset { line, name } => write!(
                f,
                "line {line}: ${{{name}}} is not set: set it, or write ${{{name}:-default}}"
            ),
            Self::Malformed { line, text } => {
                write!(f, "line {line}: `{text}`: write ${{NAME}}, or $$ for a dollar sign")
            }
            Self::LineBreak { line, name } => {
                write!(f, "line {line}: the value of ${{{name}}} has a line break")
            }
        }
    }
}

/// Replaces every variable by what `lookup` knows of it.
pub fn interpolate(
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, InterpolateError> {
    let mut out = String::with_capacity(text.len());
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        if content.trim_start().starts_with('#') {
            out.push_str(content);
        } else {
            interpolate_line(content, line, &lookup, &mut out)?;
        }
    }
    Ok(out)
}

fn interpolate_line(
    mut rest: &str,
    line: usize,
    lookup: &impl Fn(&str) -> Option<String>,
    out: &mut String,
) -> Result<(), InterpolateError> {
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = after.strip_prefix('{') {
            let malformed =
                || InterpolateError::Malformed { line, text: format!("${}", after.trim_end()) };
            let (inside, tail) = tail.split_once('}').ok_or_else(malformed)?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            let is_name =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name {
                return Err(malformed());
            }
            // As in the shell: `:-` also stands in for a variable that is set to nothing.
            let value = lookup(name).filter(|value| default.is_none() || !value.is_empty());
            let value = match (value, default) {
                (Some(value), _) => value,
                (None, Some(default)) => default.to_owned(),
                (None, None) => {
                    return Err(InterpolateError::Unset { line, name: name.to_owned() });
                }
            };
            if value.contains(['\n', '\r']) {
                return Err(InterpolateError::LineBreak { line, name: name.to_owned() });
            }
            out.push_str(&value);
            rest = tail;
        } else {
            // A lone dollar means itself: passwords and regular expressions have them.
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        match name {
            "N" => Some("4".into()),
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("1\ncommand: [rm]".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_dollars() {
        for (text, expected) in [
            ("workers: ${N}", "workers: 4"),
            ("a: ${X:-7} ${N:-8}", "a: 7 4"),
            ("a: ${EMPTY:-7}|${EMPTY}|${X:-}", "a: 7||"),
            ("a: $$N $N 5$", "a: $N $N 5$"),
            ("# ${UNSET}\nb: ${N}\n", "# ${UNSET}\nb: 4\n"),
            ("", ""),
        ] {
            assert_eq!(interpolate(text, known).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            interpolate("a: 1\nb: ${X}\n", known),
            Err(InterpolateError::Unset { line: 2, name: "X".into() })
        );
        assert_eq!(
            interpolate("a: ${N\n", known),
            Err(InterpolateError::Malformed { line: 1, text: "${N".into() })
        );
        assert!(interpolate("a: ${N M}", known).is_err());
        assert_eq!(
            interpolate("workers: ${EVIL}", known),
            Err(InterpolateError::LineBreak { line: 1, name: "EVIL".into() })
        );
    }
}
