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

/// How a value is written.
#[derive(Clone, Copy)]
enum As {
    /// As it is.
    Plain,
    /// Seconds: `3m12s`.
    Time,
    /// Bytes: `45.1 MiB`.
    Size,
}

/// The columns: title, key, and how its value is written.
const COLUMNS: [(&str, &str, As); 9] = [
    ("SLOT", "slot", As::Plain),
    ("PID", "pid", As::Plain),
    ("STATE", "state", As::Plain),
    ("GENERATION", "generation", As::Plain),
    ("UPTIME", "uptime_seconds", As::Time),
    ("RESTARTS", "restarts", As::Plain),
    ("MEMORY", "memory_bytes", As::Size),
    ("CPU", "cpu_seconds", As::Time),
    ("HEARTBEAT", "heartbeat_seconds_ago", As::Time),
];

/// The status for a person.
fn table(status: &Value) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = head(status, &mut text);
    let workers = status.get("workers").and_then(Value::as_array);
    let workers = workers.map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<String> = vec![String::new(); workers.len().saturating_add(1)];
    for (title, key, how) in COLUMNS {
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let gap = if width == 0 { 0 } else { 2 };
        let width = width.saturating_add(gap);
        let cells = workers.iter().map(|worker| Field(worker, key, how).to_string());
        for (line, cell) in lines.iter_mut().zip([title.to_owned()].into_iter().chain(cells)) {
            *line = format!("{line:<width$}{cell}");
        }
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The lines above the table.
fn head(status: &Value, out: &mut String) -> fmt::Result {
    let plain = |key| Field(status, key, As::Plain);
    let part = |key| status.get(key).filter(|part| part.is_object());
    let uptime = Field(status, "uptime_seconds", As::Time);
    let stopping = if status.get("state").is_some_and(|state| state == "stopping") {
        ", stopping"
    } else {
        ""
    };
    let by_hand = match status.get("by_hand") {
        Some(Value::Bool(true)) => ", set by hand",
        _ => "",
    };
    let (version, pid) = (plain("version"), plain("pid"));
    writeln!(out, "headcount {version}, pid {pid}, up {uptime}{stopping}")?;
    writeln!(out, "workers    {} of {} ready{by_hand}", plain("ready"), plain("desired"))?;
    if let Some(limits) = part("limits") {
        let plain = |key| Field(limits, key, As::Plain);
        let memory = Field(limits, "memory_bytes", As::Size);
        write!(out, "limits     {} CPUs ({}", plain("cpus"), plain("value"))?;
        if limits.get("file").is_some_and(Value::is_string) {
            write!(out, " in {}", plain("file"))?;
        }
        writeln!(out, "), memory {memory}")?;
    }
    if let Some(throttling) = part("throttling") {
        let of = |key| throttling.get(key).and_then(Value::as_f64).unwrap_or_default();
        let (periods, throttled) = (of("periods"), of("throttled"));
        let share = 100.0 * throttled / periods.max(1.0);
        writeln!(out, "throttled  in {share:.1} % of {periods} periods")?;
    }
    if let Some(pressure) = part("pressure") {
        let plain = |key| Field(pressure, key, As::Plain);
        let (cpu, memory) = (plain("cpu"), plain("memory"));
        writeln!(out, "pressure   cpu {cpu} %, memory {memory} % of the last 10 s")?;
    }
    if let Some(resize) = part("last_resize") {
        let plain = |key| Field(resize, key, As::Plain);
        let ago = Field(resize, "seconds_ago", As::Time);
        let (from, to, because) = (plain("from"), plain("to"), plain("because"));
        writeln!(out, "resized    {from} -> {to}, {ago} ago: {because}")?;
    }
    if let Some(restart) = part("last_restart") {
        let plain = |key| Field(restart, key, As::Plain);
        let ago = Field(restart, "seconds_ago", As::Time);
        let (generation, state) = (plain("generation"), plain("state"));
        write!(out, "restarted  to generation {generation}, {ago} ago: {state}")?;
        if restart.get("failed_slot").is_some_and(Value::is_number) {
            write!(out, ", the new worker of slot {} did not get ready", plain("failed_slot"))?;
        }
        out.push('\n');
    }
    out.write_char('\n')
}

/// A field of an object; `-` where it is null or left out.
struct Field<'a>(&'a Value, &'a str, As);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(object, key, how) = self;
        let value = object.get(key).unwrap_or(&Value::Null);
        match (how, value) {
            (_, Value::Null) => f.write_str("-"),
            // Names of cgroups are arbitrary: an escape sequence must not reach the terminal.
            (_, Value::String(text)) => {
                text.chars().filter(|c| !c.is_control()).try_for_each(|c| f.write_char(c))
            }
            (As::Time, value) => time(value.as_f64().unwrap_or_default(), f),
            (As::Size, value) => Bytes(value.as_u64().unwrap_or_default()).fmt(f),
            (As::Plain, value) => write!(f, "{value}"),
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
    use crate::protocol::object;

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
            let object = object(vec![("x", seconds.into())]);
            assert_eq!(Field(&object, "x", As::Time).to_string(), expected);
        }
    }

    #[test]
    fn a_pool_is_a_table() {
        let status = serde_json::from_str(
            r#"{"ok":true,"version":"0.1.0","pid":1,"uptime_seconds":3780.5,"state":"running",
            "desired":2,"ready":1,"by_hand":true,
            "limits":{"cpus":1.5,"file":"/sys/fs/cgroup/cpu.max","value":"150000 100000",
            "memory_bytes":536870912},
            "throttling":{"periods":200,"throttled":5},"pressure":{"cpu":1.53,"memory":0.0},
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
            "headcount 0.1.0, pid 1, up 1h03m\n\
             workers    1 of 2 ready, set by hand\n\
             limits     1.5 CPUs (150000 100000 in /sys/fs/cgroup/cpu.max), memory 512 MiB\n\
             throttled  in 2.5 % of 200 periods\n\
             pressure   cpu 1.53 %, memory 0.0 % of the last 10 s\n\
             resized    3 -> 2, 12s ago: SIG[2JTTOU\n\
             restarted  to generation 2, 1.0s ago: given up, the new worker of slot 1 did not get \
             ready\n\
             \n\
             SLOT  PID  STATE    GENERATION  UPTIME  RESTARTS  MEMORY  CPU   HEARTBEAT\n\
             0     12   ready    1           9.0s    0         45 MiB  0.2s  0.3s\n\
             1     -    backoff  1           -       11        -       -     -\n"
        );
    }

    #[test]
    fn what_a_newer_headcount_leaves_out_is_no_panic() {
        let text = table(&serde_json::from_str(r#"{"ok":true,"workers":[{},5,null]}"#).unwrap());
        assert!(text.starts_with("headcount -, pid -, up -\n"), "{text}");
    }
}
