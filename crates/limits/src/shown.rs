//! What other people's files hold, made fit to print. Cgroup names and file contents are arbitrary
//! bytes: an escape sequence in them must not reach the terminal of whoever reads the warning.

use std::fmt;
use std::path::Path;

/// How much of a file's content a warning quotes, in characters.
const QUOTED: usize = 60;

/// How many warnings are kept. A hostile mountinfo could otherwise yield one per line.
const MAX_WARNINGS: usize = 32;

/// The warnings of one reading: without repetition, and not without end.
#[derive(Default)]
pub(crate) struct Warnings {
    texts: Vec<String>,
    left_out: bool,
}

impl Warnings {
    pub(crate) fn push(&mut self, text: String) {
        if self.texts.contains(&text) {
            return;
        }
        if self.texts.len() < MAX_WARNINGS {
            self.texts.push(text);
        } else {
            self.left_out = true;
        }
    }

    pub(crate) fn into_vec(mut self) -> Vec<String> {
        if self.left_out {
            self.texts.push("further warnings are left out".to_owned());
        }
        self.texts
    }
}

/// The start of a file's content, in quotes, without control characters.
pub(crate) fn quoted(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let text = text.trim_end_matches('\n');
    let end = text.char_indices().nth(QUOTED).map(|(end, _)| end);
    let (start, more) = match end {
        Some(end) => (text.get(..end).unwrap_or(text), "…"),
        None => (text, ""),
    };
    format!("\"{}{more}\"", printable(start))
}

/// A path to show, without control characters.
pub(crate) fn path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// `text` with its control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A number of bytes for people: `512 MiB`, `1.4 GiB`. Cut off after one decimal, not rounded.
pub struct Bytes(
    /// How many.
    pub u64,
);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        for (shift, unit) in units {
            let whole = self.0 >> shift;
            if whole > 0 {
                let rest = self.0 & (1_u64 << shift).saturating_sub(1);
                // Below 2^60 before the multiplication, so ten times that fits.
                let tenth = rest.saturating_mul(10) >> shift;
                return match tenth {
                    0 => write!(f, "{whole} {unit}"),
                    tenth => write!(f, "{whole}.{tenth} {unit}"),
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_harmless() {
        assert_eq!(quoted(b"abc\n"), "\"abc\"");
        assert_eq!(quoted(b"\x1b[2J"), "\"\\u{1b}[2J\"");
        let long = quoted(&[b'x'; 1000]);
        assert!(long.ends_with("x…\"") && long.chars().count() == QUOTED + 3, "{long}");
        assert_eq!(quoted(b"\xff"), "\"\u{fffd}\"");
    }

    #[test]
    fn bytes_for_people() {
        let shown = |n| Bytes(n).to_string();
        assert_eq!(shown(0), "0 bytes");
        assert_eq!(shown(1023), "1023 bytes");
        assert_eq!(shown(512 << 20), "512 MiB");
        assert_eq!(shown(3 << 29), "1.5 GiB");
        assert_eq!(shown((1 << 30) + 1), "1 GiB");
        assert_eq!(shown(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn warnings_neither_repeat_nor_run_away() {
        let mut warnings = Warnings::default();
        for i in 0..1000 {
            warnings.push(format!("line {}", i / 2));
        }
        let texts = warnings.into_vec();
        assert_eq!(texts.len(), MAX_WARNINGS + 1);
        assert_eq!(texts[1], "line 1");
    }
}
