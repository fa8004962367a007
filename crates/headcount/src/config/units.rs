//! Durations and sizes as people write them: `30`, `30s`, `5m`, `1m30s`; `256Mi`, `64M`, `1Gi`. A
//! value without a unit is in seconds, or bytes, as in gunicorn and Kubernetes.

use std::fmt;
use std::time::Duration;

use super::raw::{Setting, read_from_file};

/// A duration of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A size of a setting, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// Longer than any useful timeout, and far from where adding two of them could overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Units of time, and how many milliseconds each has.
const TIME: [(&str, f64); 5] =
    [("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3_600e3), ("d", 86_400e3)];

/// Units of size: Kubernetes' quantities, with or without the B.
const SIZE: [(&str, f64); 18] = [
    ("B", 1.0),
    ("K", 1e3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("KB", 1e3),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("Ki", 1_024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

/// Splits `1m30s` into `(1, "m")` and `(30, "s")`.
fn quantities(text: &str) -> Option<Vec<(f64, &str)>> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (number, tail) = rest
            .split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        found.push((number.parse().ok()?, unit));
        rest = tail;
    }
    (!found.is_empty()).then_some(found)
}

fn factor(units: &[(&str, f64)], unit: &str) -> Option<f64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a duration: write seconds (30), or 500ms, 30s, 5m, 1h, 1m30s")
        };
        let parts = quantities(text).ok_or_else(wrong)?;
        let mut total = 0.0_f64;
        for (number, unit) in &parts {
            let unit = if unit.is_empty() && parts.len() == 1 { "s" } else { unit };
            total += number * factor(&TIME, unit).ok_or_else(wrong)?;
        }
        Duration::try_from_secs_f64(total / 1e3)
            .ok()
            .filter(|span| *span <= LONGEST)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is longer than a year"))
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size: write bytes, or 64M, 256Mi, 1Gi");
        let parts = quantities(text).ok_or_else(wrong)?;
        let [(number, unit)] = parts.as_slice() else { return Err(wrong()) };
        let unit = if unit.is_empty() { "B" } else { unit };
        let bytes = number * factor(&SIZE, unit).ok_or_else(wrong)?;
        // 2^53: below it every whole number of bytes is exact in the arithmetic above.
        if bytes > 9_007_199_254_740_992.0 {
            return Err(format!("`{text}` is larger than any memory"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2^53, checked above; half a byte is no byte"
        )]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ if self.0.as_secs() == 0 => write!(f, "{}ms", self.0.as_millis()),
            _ => write!(f, "{:.1}s", self.0.as_secs_f64()),
        }
    }
}

impl Setting for Span {
    const WANTED: &'static str = "a duration such as 30s";
}

impl Setting for Bytes {
    const WANTED: &'static str = "a size such as 256Mi";
}

read_from_file!(Span, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Result<u128, String> {
        text.parse::<Span>().map(|span| span.0.as_millis())
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0", 0),
            ("30", 30_000),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            (" 2s ", 2_000),
        ] {
            assert_eq!(span(text), Ok(millis), "{text}");
        }
        for text in ["", "s", "-1", "1x", "1m30", "1.2.3s", "1e9", "30 s", "400d", "9999999999h"] {
            assert!(span(text).is_err(), "{text} was taken for {:?}", span(text));
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1_024),
            ("64M", 64_000_000),
            ("256Mi", 268_435_456),
            ("1.5Gi", 1_610_612_736),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        // Docker's 512m is 512 MiB, Kubernetes' 512m is half a byte: no guess is right.
        for text in ["", "Mi", "512m", "-1Mi", "1Mi1Ki", "99999999999Gi"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
