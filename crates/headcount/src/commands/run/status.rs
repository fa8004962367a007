//! What `headcount status` says, put together when somebody asks. The object is an interface,
//! described in docs/control.md: its keys and their meaning stay.
//!
//! It is built of values and not of structs that serde derives from: that took three times the code.

use std::path::Path;
use std::time::Duration;

use headcount_limits::Limits;
use headcount_supervisor::{State, Time, Worker};
use serde_json::Value;

use super::Pool;
use super::changes::{Changes, RestartEnd};
use super::processes::Processes;
use crate::os::usage::{self, Usage};
use crate::protocol::object;

/// All of it.
pub(super) fn of(pool: &Pool) -> Value {
    let now = pool.now();
    let workers = pool.supervisor.workers();
    let ready = workers.iter().filter(|worker| worker.is_ready()).count();
    let stopping = pool.supervisor.is_leaving();
    let limits = pool.generations.last().map(|newest| &newest.plan.limits);
    object(vec![
        ("ok", true.into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("pid", std::process::id().into()),
        ("uptime_seconds", seconds(now)),
        ("state", if stopping { "stopping" } else { "running" }.into()),
        ("desired", pool.supervisor.desired().into()),
        ("ready", ready.into()),
        ("by_hand", pool.changes.by_hand.into()),
        ("limits", limits.map(of_limits).into()),
        ("throttling", limits.and_then(throttling).into()),
        ("pressure", limits.and_then(pressure).into()),
        ("last_resize", last_resize(&pool.changes, now).into()),
        ("last_restart", last_restart(&pool.changes, now).into()),
        ("workers", workers.iter().map(|worker| row(worker, &pool.processes, now)).collect()),
    ])
}

/// The part of `headcount limits --json` that matters to a pool.
fn of_limits(limits: &Limits) -> Value {
    let by = &limits.cpu.limited_by;
    object(vec![
        ("cpus", limits.cpu.cpus.to_string().parse::<f64>().ok().into()),
        ("file", by.file.clone().into()),
        ("value", by.value.clone().into()),
        ("memory_bytes", limits.memory.limit_bytes.into()),
        ("memory_file", limits.memory.file.clone().into()),
    ])
}

/// Throttling happens where the quota is.
fn throttling(limits: &Limits) -> Option<Value> {
    let quota = limits.cpu.quota_set_by.as_ref()?;
    let found = usage::throttling(Path::new(&quota.file).parent()?)?;
    Some(object(vec![("periods", found.periods.into()), ("throttled", found.throttled.into())]))
}

/// Pressure is that of our own cgroup, which is the workers' as well.
fn pressure(limits: &Limits) -> Option<Value> {
    let own = limits.visited_dirs.first()?;
    Some(object(vec![
        ("cpu", usage::pressure(own, "cpu")?.into()),
        ("memory", usage::pressure(own, "memory").into()),
    ]))
}

fn last_resize(changes: &Changes, now: Time) -> Option<Value> {
    let resized = changes.resized.as_ref()?;
    Some(object(vec![
        ("seconds_ago", seconds(now.saturating_sub(resized.when))),
        ("from", resized.from.into()),
        ("to", resized.to.into()),
        ("because", resized.because.as_str().into()),
    ]))
}

fn last_restart(changes: &Changes, now: Time) -> Option<Value> {
    let restarted = changes.restarted.as_ref()?;
    let (state, failed_slot) = match restarted.end {
        RestartEnd::Runs => ("running", None),
        RestartEnd::Done => ("done", None),
        RestartEnd::GivenUp(worker) => ("given up", Some(worker.slot)),
    };
    Some(object(vec![
        ("seconds_ago", seconds(now.saturating_sub(restarted.when))),
        ("generation", restarted.generation.into()),
        ("state", state.into()),
        ("failed_slot", failed_slot.into()),
    ]))
}

fn row(worker: &Worker, processes: &Processes, now: Time) -> Value {
    let (state, life) = match worker.state {
        State::Spawning => ("spawning", None),
        State::Starting(life) => ("starting", Some(life)),
        State::Ready(life) => ("ready", Some(life)),
        State::Draining { .. } => ("draining", None),
        State::Aborting { .. } => ("aborting", None),
        State::Killed(_) => ("killed", None),
        State::Backoff { .. } => ("backoff", None),
    };
    let process = processes.of(worker.id);
    let Usage { memory_bytes, cpu } =
        process.map_or_else(Usage::default, |(pid, _)| usage::of_process(pid));
    let since = |when| seconds(now.saturating_sub(when));
    object(vec![
        ("slot", worker.id.slot.into()),
        ("generation", worker.id.generation.into()),
        ("pid", process.map(|(pid, _)| pid).into()),
        ("state", state.into()),
        ("uptime_seconds", process.map(|(_, when)| since(when)).into()),
        ("restarts", worker.restarts.into()),
        ("memory_bytes", memory_bytes.into()),
        ("cpu_seconds", cpu.map(seconds).into()),
        ("heartbeat_seconds_ago", life.and_then(|life| life.heartbeat).map(since).into()),
    ])
}

/// Milliseconds are enough for a person and short enough for a line.
fn seconds(time: Duration) -> Value {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis).as_secs_f64().into()
}
