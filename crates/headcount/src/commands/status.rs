//! `headcount status`: the pool as a table, for the person who wonders what it does; or as JSON; and
//! with `--watch` again each second.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use headcount_limits::Bytes;
use serde_json::Value;

use crate::cli::StatusArgs;
use crate::commands::ask::ask;
use crate::exit;
use crate::os::sleep::Sleeper;
use crate::protocol::Request;
use crate::{complain, print};

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// To the top of the screen, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints the status once, or until headcount ends; the answer is the exit code.
pub fn run(args: &StatusArgs) -> u8 {
    let sleeper = match Sleeper::new() {
        Ok(sleeper) => sleeper,
        Err(errno) => return complain(&format!("cannot make an epoll: {errno}"), exit::OS_ERROR),
    };
    let clear = if args.watch && !args.json && io::stdout().is_terminal() { CLEAR } else { "" };
    let mut seen = false;
    loop {
        let answer = match ask(Request::Status, args.place.control.clone()) {
            Ok(answer) => answer,
            Err(error) if seen && error.is_not_running() => return exit::OK,
            Err(error) => return complain(&error.to_string(), exit::NO_ANSWER),
        };
        seen = true;
        let text = if args.json { answer.line + "\n" } else { table(&answer.content) };
        let mut written = false;
        let code = print(|out| {
            out.write_all(clear.as_bytes())?;
            out.write_all(text.as_bytes())?;
            out.flush()?;
            written = true;
            Ok(())
        });
        if !args.watch || !written {
            return code;
        }
        sleeper.sleep(Some(PAUSE));
    }
}

/// The lines above the table: the part of the status that a line is about, and the line, with the
/// part's keys in it. Where there is no such part, there is no line.
const HEAD: [(&str, &str); 7] = [
    ("", "headcount {version}, pid {pid}, up {uptime_seconds}, {state}"),
    ("", "workers    {ready} of {desired} ready ({scale})"),
    ("limits", "limits     {cpus} CPUs ({cpus_from}), memory {memory_bytes}"),
    ("throttling", "throttled  in {percent} % of {periods} periods"),
    ("pressure", "pressure   cpu {cpu} %, memory {memory} % of the last 10 s"),
    ("last_resize", "resized    {from} -> {to}, {seconds_ago} ago: {because}"),
    ("last_restart", "restarted  to generation {generation}, {seconds_ago} ago: {state}"),
];

/// The columns of the table: their titles and their keys.
const COLUMNS: [(&str, &str); 9] = [
    ("SLOT", "slot"),
    ("PID", "pid"),
    ("STATE", "state"),
    ("GENERATION", "generation"),
    ("UPTIME", "uptime_seconds"),
    ("RESTARTS", "restarts"),
    ("MEMORY", "memory_bytes"),
    ("CPU", "cpu_seconds"),
    ("HEARTBEAT", "heartbeat_seconds_ago"),
];

/// The status for a person.
fn table(status: &Value) -> String {
    let mut text = String::new();
    for (part, line) in HEAD {
        let part = if part.is_empty() { Some(status) } else { status.get(part) };
        if let Some(part) = part.filter(|part| part.is_object()) {
            fill(line, part, &mut text);
        }
    }
    text.push('\n');
    let workers = status.get("workers").and_then(Value::as_array);
    let workers = workers.map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<String> = vec![String::new(); workers.len().saturating_add(1)];
    for (title, key) in COLUMNS {
        // Every line is as long as the longest, and the next column begins behind it.
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let start = if longest == 0 { 0 } else { longest.saturating_add(2) };
        let cells = workers.iter().map(|worker| Shown(worker, key).to_string());
        for (line, cell) in lines.iter_mut().zip([title.to_owned()].into_iter().chain(cells)) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{:gap$}{cell}", "", gap = start.saturating_sub(line.len()));
        }
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Writes a line, with the values of `part` for the keys in braces.
fn fill(line: &str, part: &Value, text: &mut String) {
    // Every other piece is a key.
    for (i, piece) in line.split(['{', '}']).enumerate() {
        let _ = match i % 2 {
            0 => text.write_str(piece),
            _ => write!(text, "{}", Shown(part, piece)),
        };
    }
    text.push('\n');
}

/// A field of an object for a person: its key says what it is; `-` where it is null or left out.
struct Shown<'a>(&'a Value, &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(object, key) = self;
        match object.get(key) {
            None | Some(Value::Null) => f.write_str("-"),
            // Names of cgroups are arbitrary: an escape sequence must not reach the terminal.
            Some(Value::String(text)) => {
                text.chars().filter(|c| !c.is_control()).try_for_each(|c| f.write_char(c))
            }
            Some(value) if key.ends_with("_seconds") || key.ends_with("seconds_ago") => {
                time(value.as_f64().unwrap_or_default(), f)
            }
            Some(value) if key.ends_with("_bytes") => {
                Bytes(value.as_u64().unwrap_or_default()).fmt(f)
            }
            Some(value) => value.fmt(f),
        }
    }
}

/// A time with the two units that matter.
fn time(seconds: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (large, unit, small, lesser) = match whole {
        0..10 => return write!(f, "{seconds:.1}s"),
        10..60 => return write!(f, "{whole}s"),
        60..3_600 => (whole / 60, 'm', whole % 60, 's'),
        3_600..86_400 => (whole / 3_600, 'h', whole / 60 % 60, 'm'),
        _ => (whole / 86_400, 'd', whole / 3_600 % 24, 'h'),
    };
    write!(f, "{large}{unit}{small:02}{lesser}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        for (seconds, expected) in [
            (0.0, "0.0s"),
            (0.34, "0.3s"),
            (12.7, "12s"),
            (192.0, "3m12s"),
            (3_780.0, "1h03m"),
            (187_200.0, "2d04h"),
            (-1.0, "-1.0s"),
        ] {
            let object = serde_json::json!({"x_seconds": seconds});
            assert_eq!(Shown(&object, "x_seconds").to_string(), expected);
        }
    }

    #[test]
    fn a_pool_is_a_table() {
        let status = serde_json::from_str(
            r#"{"ok":true,"version":"0.1.0","pid":1,"uptime_seconds":3780.5,"state":"running",
            "desired":2,"ready":1,"scale":"manual",
            "limits":{"cpus":1.5,"cpus_from":"150000 100000 in /sys/fs/cgroup/cpu.max",
            "memory_bytes":536870912},
            "throttling":{"periods":200,"throttled":5,"percent":2.5},"pressure":{"cpu":1.53,"memory":0.0},
            "last_resize":{"seconds_ago":12.0,"from":3,"to":2,"because":"SIG\u001b[2JTTOU"},
            "last_restart":{"seconds_ago":1.0,"generation":2,"state":"given up","failed_slot":1},
            "workers":[{"slot":0,"generation":1,"pid":12,"state":"ready","uptime_seconds":9.0,
            "restarts":0,"memory_bytes":47185920,"cpu_seconds":0.25,"heartbeat_seconds_ago":0.3},
            {"slot":1,"generation":1,"pid":null,"state":"backoff","uptime_seconds":null,
            "restarts":11,"memory_bytes":null,"cpu_seconds":null,"heartbeat_seconds_ago":null}]}"#,
        )
        .unwrap();
        assert_eq!(
            table(&status),
            "headcount 0.1.0, pid 1, up 1h03m, running\n\
             workers    1 of 2 ready (manual)\n\
             limits     1.5 CPUs (150000 100000 in /sys/fs/cgroup/cpu.max), memory 512 MiB\n\
             throttled  in 2.5 % of 200 periods\n\
             pressure   cpu 1.53 %, memory 0.0 % of the last 10 s\n\
             resized    3 -> 2, 12s ago: SIG[2JTTOU\n\
             restarted  to generation 2, 1.0s ago: given up\n\
             \n\
             SLOT  PID  STATE    GENERATION  UPTIME  RESTARTS  MEMORY  CPU   HEARTBEAT\n\
             0     12   ready    1           9.0s    0         45 MiB  0.2s  0.3s\n\
             1     -    backoff  1           -       11        -       -     -\n"
        );
    }

    #[test]
    fn what_a_newer_headcount_leaves_out_is_no_panic() {
        let text = table(&serde_json::from_str(r#"{"ok":true,"workers":[{},5,null]}"#).unwrap());
        assert!(text.starts_with("headcount -, pid -, up -, -\n"), "{text}");
    }
}
