//! Bad input: a line that names the culprit, the documented exit code, and no panic.

use crate::support::{Headcount, Setup, free_address, headcount};

/// Sees how it ends, and that it says why in a way that helps.
#[track_caller]
fn ends(mut ended: Headcount, code: i32, culprit: &str) {
    let found = ended.exit_code();
    let log = ended.log();
    assert_eq!(found, Some(code), "{log}");
    assert!(log.contains(culprit), "{culprit:?} is not in: {log}");
    assert!(!log.contains("panicked") && !log.contains("RUST_BACKTRACE"), "{log}");
}

#[test]
fn bad_usage_is_64() {
    for (words, culprit) in [
        ("", "Usage: "),
        ("frobnicate", "'frobnicate'"),
        ("run --frobnicate -- true", "'--frobnicate'"),
        ("run --wrokers 3 -- true", "'--workers'"),
        ("run", "no command"),
        ("run --", "no command"),
        ("exec", "CMD"),
        ("--", "CMD"),
        ("check", "no command"),
        ("run -w -1 -- true", "`-1` is not a number of workers"),
        ("run -w 0 -- true", "`0` is not a number of workers"),
        ("run -w 100000 -- true", "`100000` is not a number of workers"),
        ("run -w 2.5 -- true", "`2.5` is not a number of workers"),
        ("run -w many -- true", "`many` is not a number of workers"),
        ("run -b nonsense -- true", "`nonsense` is not an address"),
        ("run -b 1.2.3.4:99999 -- true", "`1.2.3.4:99999` is not an address"),
        ("run -t soon -- true", "`soon` is not a duration"),
        ("run --graceful-timeout -3 -- true", "-3"),
        ("run --backlog 0 -- true", "`0` is not a backlog"),
        ("run --log-format xml -- true", "`xml` is not a log format"),
        ("limits --json --capture", "--capture"),
    ] {
        ends(headcount(words).start(), 64, culprit);
    }
}

/// A pool whose headcount.yaml holds this.
fn with_file(content: &str) -> Setup {
    headcount("run").file("headcount.yaml", content)
}

#[test]
fn a_bad_file_is_78_and_the_line_is_named() {
    for (content, culprit) in [
        (
            "bind: [\"127.0.0.1:1\"]\nwokers: 3\n",
            "line 2: unknown key `wokers`: did you mean `workers`?",
        ),
        ("zzz: 3\n", "line 1: unknown key `zzz`: the keys are"),
        ("workers: {per_cpus: 2}\n", "line 1: unknown key `per_cpus`: did you mean `per_cpu`?"),
        ("\n\nworkers: -1\n", "line 3: workers: `-1` is not a number of workers"),
        ("workers: 100000\n", "line 1: workers: `100000` is not a number of workers"),
        ("workers: {min: 3, max: 2}\n", "line 1: workers: `min` is 3 and `max` is 2"),
        ("workers: {max: 0}\n", "line 1: workers: `max` must be at least 1"),
        ("bind: [\"here\"]\n", "line 1: bind: `here` is not an address"),
        ("timeout: soon\n", "line 1: timeout: `soon` is not a duration"),
        ("command: []\n", "line 1: command: the command is empty"),
        ("workers: [\n", "line "),
        ("\tworkers: 3\n", "line 1"),
        ("just a sentence\n", "line 1: invalid type"),
        ("workers: 2\nworkers: 3\n", "line 1: duplicate field `workers`"),
        ("workers: ${NO_SUCH_VARIABLE}\n", "line 1: ${NO_SUCH_VARIABLE} is not set"),
        ("workers: ${\n", "line 1: `${`"),
    ] {
        let culprit = format!("headcount: headcount.yaml: {culprit}");
        ends(with_file(content).runs(&["true"]), 78, &culprit);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_78() {
    let named = |name: &str| headcount("run -c").arg(name);
    ends(named("/no/such.yaml").runs(&["true"]), 78, "cannot read /no/such.yaml: No such file");
    ends(named(".").runs(&["true"]), 78, "cannot read .: Is a directory");
    ends(named("/dev/zero").runs(&["true"]), 78, "cannot read /dev/zero: larger than 1 MiB");
    let setup = headcount("run").env("HEADCOUNT_CONFIG", "/no/such.yaml");
    ends(setup.runs(&["true"]), 78, "cannot read /no/such.yaml");
    let setup = headcount("run");
    std::fs::write(setup.path("headcount.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    ends(setup.runs(&["true"]), 78, "cannot read headcount.yaml: ");
}

#[test]
fn a_bad_variable_is_78_and_named() {
    for (name, value) in [
        ("WEB_CONCURRENCY", "abc"),
        ("WEB_CONCURRENCY", "-1"),
        ("WEB_CONCURRENCY", "0"),
        ("HEADCOUNT_WORKERS", "100000"),
        ("HEADCOUNT_TIMEOUT", "x"),
        ("HEADCOUNT_BIND", "there"),
        ("HEADCOUNT_BACKLOG", "none"),
        ("HEADCOUNT_LOG_FORMAT", "xml"),
        ("PORT", "eighty"),
    ] {
        ends(headcount("run").env(name, value).runs(&["true"]), 78, &format!("{name}: `{value}`"));
    }
}

#[test]
fn a_misspelt_variable_is_a_warning() {
    let pool = headcount("run -w 1").env("HEADCOUNT_WORKRES", "3").runs(&["sleep", "1000"]);
    pool.wait_for_log("HEADCOUNT_WORKRES is no setting: did you mean HEADCOUNT_WORKERS?");
}

#[test]
fn an_address_that_cannot_be_had_is_78_and_nothing_is_started() {
    let taken = free_address();
    let _listener = std::net::TcpListener::bind(&taken).unwrap();
    for (address, culprit) in [
        (taken.as_str(), "address in use"),
        // TEST-NET-3, which no machine has.
        ("203.0.113.7:80", "no interface of this machine has that address"),
        ("unix:no/such/folder/app.sock", "the directory does not exist"),
        (&format!("unix:{}", "x".repeat(200)), "the path is longer than the 107 bytes"),
    ] {
        let refused = headcount("run -w 1").bind(address).sh("touch started");
        let started = refused.path("started");
        ends(refused, 78, &format!("cannot listen on {address}: {culprit}"));
        assert!(!started.exists());
    }
}

#[test]
fn a_port_below_1024_without_the_right_to_it_is_78() {
    // In a user namespace of its own that right is none, whatever the machine allows.
    let ports = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first: u16 = std::fs::read_to_string(ports).unwrap().trim().parse().unwrap();
    assert!(first > 81, "{ports} is {first}: every user may listen on port 81 here");
    let mut setup = headcount("run -w 1").env("HEADCOUNT_CONTROL", "none").bind("127.0.0.1:81");
    if e2e::program::is_root() {
        setup =
            setup.under(&["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534"]);
        setup = setup.under(&["--clear-groups"]);
    }
    ends(setup.runs(&["true"]), 78, "cannot listen on 127.0.0.1:81: permission denied");
}

#[test]
fn a_command_that_cannot_be_started_is_3_under_run() {
    let run = || headcount("run -w 3").file("plain", "#!/bin/sh\n");
    ends(run().runs(&["no-such-command"]), 3, "`no-such-command` was not found in PATH (");
    ends(run().runs(&["/no/such/file"]), 3, "`/no/such/file` does not exist");
    ends(run().runs(&["./plain"]), 3, "`./plain` cannot be executed: Permission denied");
    ends(run().runs(&["/"]), 3, "`/` cannot be executed: Permission denied");
}

/// Some sandboxes have none. headcount then sizes by what the kernel says to itself.
#[test]
fn without_proc_it_warns_and_works() {
    let without = |words: &str| {
        let line = "mount -t tmpfs none /proc && exec \"$@\"";
        let namespace: &[&str] = if e2e::program::is_root() {
            &["unshare", "--mount"]
        } else {
            &["unshare", "--user", "--map-root-user", "--mount"]
        };
        headcount(words).under(namespace).under_sh(line)
    };

    let address = free_address();
    let mut pool = without("run").bind(&address).demo();
    pool.wait_for_log("/proc/self/cgroup");
    pool.wait_until_ready();
    assert_eq!(crate::client::who(&address).generation, 1);
    crate::support::send_signal(pool.workers()[0].pid, nix::sys::signal::Signal::SIGKILL);
    pool.wait_for_log("was killed by SIGKILL");
    pool.stop();
    assert!(!pool.log().contains("panicked"), "{}", pool.log());

    let mut limits = without("limits --json").start();
    assert_eq!(limits.exit_code(), Some(0), "{}", limits.log());
    let said: serde_json::Value = serde_json::from_str(&limits.stdout()).unwrap();
    assert!(said["cpu"]["affinity"].as_u64().is_some_and(|cpus| cpus > 0), "{said}");
    assert!(said["warnings"].to_string().contains("/proc"), "{said}");

    let mut only = without("exec").sh("exit 7");
    assert_eq!(only.exit_code(), Some(7), "{}", only.log());
}
