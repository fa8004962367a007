//! Counts the workers that answer at a URL, and exits 0 only for exactly as many as expected.
//!
//!     check http://app:8000/ --expect 5 --timeout 60s
//!
//! It waits for the app to come up, asks until it has met its workers, then goes on asking for a
//! while, because a sixth worker is as wrong as a missing one.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use e2e::census;

/// Counts the workers that answer at a URL.
#[derive(Parser)]
struct Arguments {
    /// The app, e.g. <http://127.0.0.1:8000/>
    url: String,
    /// How many workers there should be
    #[arg(long)]
    expect: usize,
    /// How long to go on looking for them: 60s, 2m
    #[arg(long, default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

fn main() -> ExitCode {
    let Arguments { url, expect, timeout } = Arguments::parse();
    let census = census::take(&url, expect, timeout);
    println!("{census}");
    if census.count() == expect {
        println!("{expect} workers, as expected");
        return ExitCode::SUCCESS;
    }
    println!("expected {expect} workers, met {}", census.count());
    if let Some(error) = census.last_error {
        println!("the last error was: {error}");
    }
    ExitCode::FAILURE
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.trim_end_matches('s'), 1),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time like 60s or 2m"))?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("soon").is_err());
    }
}
