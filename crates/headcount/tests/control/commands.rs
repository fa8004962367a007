//! What is asked and ordered, and what comes of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Running, error_of, eventually, headcount};

#[test]
fn status_says_what_is_so() {
    let running = Running::start(2);
    let status = running.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], running.child.id());
    assert_eq!(status["state"], "running");
    assert_eq!((&status["desired"], &status["ready"]), (&json!(2), &json!(2)));
    assert_eq!(status["scale"], "auto");
    assert_eq!((&status["last_resize"], &status["last_restart"]), (&Value::Null, &Value::Null));
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert!(status["limits"]["cpus"].as_f64().unwrap() > 0.0);
    assert!(status["limits"]["cpus_from"].is_string());
    let workers = status["workers"].as_array().unwrap();
    let pids: Vec<u32> =
        workers.iter().map(|w| u32::try_from(w["pid"].as_u64().unwrap()).unwrap()).collect();
    let mut children = running.children();
    children.sort_by_key(|child| pids.iter().position(|pid| pid == child));
    assert_eq!(pids, children);
    for (slot, worker) in workers.iter().enumerate() {
        assert_eq!(worker["slot"], slot);
        assert_eq!((&worker["state"], &worker["generation"]), (&json!("ready"), &json!(1)));
        assert_eq!(
            (&worker["restarts"], &worker["heartbeat_seconds_ago"]),
            (&json!(0), &Value::Null)
        );
        assert!(worker["memory_bytes"].as_u64().unwrap() > 0);
        assert!(worker["cpu_seconds"].as_f64().unwrap() < 60.0);
        assert!(worker["uptime_seconds"].as_f64().unwrap() < 60.0);
    }
}

#[test]
fn status_is_a_table() {
    let running = Running::start(2);
    let output = running.command(&["status"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected =
        format!("headcount {}, pid {}, up ", env!("CARGO_PKG_VERSION"), running.child.id());
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains("\nworkers    2 of 2 ready (auto)\nlimits     "), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("SLOT"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(rows[0][..4], ["SLOT", "PID", "STATE", "GENERATION"]);
    for (slot, row) in rows[1..].iter().enumerate() {
        assert_eq!((row[0], row[2], row[3]), (slot.to_string().as_str(), "ready", "1"), "{text}");
        assert!(running.children().contains(&row[1].parse().unwrap()), "{text}");
    }
}

#[test]
fn status_json_is_one_object_on_one_line() {
    let running = Running::start(1);
    let output = running.command(&["status", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["desired"], 1);
}

#[test]
fn watch_goes_on_until_headcount_has_ended() {
    let mut running = Running::start(1);
    let mut watch = headcount()
        .args(["status", "--watch", "--json", "--control"])
        .arg(running.socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut uptime = || {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        status["uptime_seconds"].as_f64().unwrap()
    };
    let (first, second) = (uptime(), uptime());
    assert!(second - first > 0.9, "{first} {second}");
    running.command(&["stop"]);
    assert_eq!(running.end().code(), Some(0));
    let end = eventually("the watch ends", || watch.try_wait().unwrap());
    assert_eq!(end.code(), Some(0));
}

#[test]
fn scale_goes_up_and_down_and_back() {
    let running = Running::start(2);
    let first = running.children();
    let output = running.command(&["scale", "4"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4 workers wanted\n");
    eventually("four workers", || (running.children().len() == 4).then_some(()));
    let status = running.status();
    assert_eq!((&status["desired"], &status["scale"]), (&json!(4), &json!("manual")));
    let resize = &status["last_resize"];
    assert_eq!((&resize["from"], &resize["to"]), (&json!(2), &json!(4)));
    assert_eq!(resize["because"], "headcount scale");

    assert_eq!(running.ask("{\"command\":\"scale\",\"workers\":1}\n")["workers"], 1);
    eventually("one worker", || (running.children().len() == 1).then_some(()));
    assert!(first.contains(&running.children()[0]), "the oldest stays");

    assert_eq!(running.ask("{\"command\":\"scale\",\"workers\":\"auto\"}\n")["workers"], 2);
    eventually("two workers", || (running.children().len() == 2).then_some(()));
    assert_eq!(running.status()["scale"], "auto");
}

#[test]
fn scale_refuses_what_is_no_number_of_workers() {
    let running = Running::start(1);
    for workers in ["0", "4097", "-1", "2.5", "many"] {
        let output = running.command(&["scale", workers]);
        assert_eq!(output.status.code(), Some(64), "{workers}: {output:?}");
        let answer = running.ask(&format!("{{\"command\":\"scale\",\"workers\":\"{workers}\"}}\n"));
        assert!(error_of(&answer).contains("is not a number of workers"), "{answer}");
    }
    assert_eq!(running.status()["desired"], 1);
}

#[test]
fn reload_raises_the_generation_and_undoes_scale() {
    let running = Running::start(2);
    let before = running.children();
    running.ask("{\"command\":\"scale\",\"workers\":1}\n");
    let output = running.command(&["reload"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "rolling over to generation 2\n");
    eventually("two workers of generation 2", || {
        let status = running.status();
        let workers = status["workers"].as_array().unwrap();
        (status["last_restart"]["state"] == "done"
            && workers.len() == 2
            && workers.iter().all(|w| w["generation"] == 2 && w["state"] == "ready"))
        .then_some(())
    });
    assert!(running.children().iter().all(|child| !before.contains(child)));
    assert_eq!(running.status()["scale"], "auto");
}

#[test]
fn a_reload_that_cannot_be_says_why() {
    let running = Running::start(1);
    fs::write(running.directory.path().join("headcount.yaml"), "wokers: 5\n").unwrap();
    let output = running.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 1: unknown key `wokers`: did you mean `workers`?"), "{said}");
    assert_eq!(running.status()["last_restart"], Value::Null);
}

#[test]
fn stop_ends_it_cleanly_and_removes_the_socket() {
    let mut running = Running::start(2);
    let output = running.command(&["stop"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "stopping\n");
    assert_eq!(running.end().code(), Some(0));
    assert!(!running.socket().exists());
    let output = running.command(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("headcount: no headcount answers at /"), "{said}");
    assert_eq!(said.lines().count(), 1);
}
