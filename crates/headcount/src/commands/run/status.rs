//! What `headcount status` says, put together when somebody asks. The object is an interface,
//! described in docs/control.md: its keys and their meaning stay.

use std::path::Path;
use std::time::Duration;

use headcount_limits::Limits;
use headcount_supervisor::{State, Time, Worker};

use super::Pool;
use super::changes::{Changes, RestartEnd};
use super::processes::Processes;
use crate::os::proc::{self, Usage};
use crate::plan;
use crate::protocol::{Field, list, object};

/// All of it.
pub(super) fn of(pool: &Pool) -> String {
    let now = pool.now();
    let workers = pool.supervisor.workers();
    let ready = workers.iter().filter(|worker| worker.is_ready()).count();
    let limits = pool.generations.last().map(|newest| &newest.plan.limits);
    let part = |part: Option<String>| part.unwrap_or_else(|| "null".to_owned());
    object(&[
        ("ok", true.into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("pid", std::process::id().into()),
        ("uptime_seconds", now.into()),
        ("state", if pool.supervisor.is_leaving() { "stopping" } else { "running" }.into()),
        ("ready", u64::try_from(ready).ok().into()),
        ("desired", pool.supervisor.desired().into()),
        ("scale", if pool.changes.by_hand { "manual" } else { "auto" }.into()),
        ("limits", Field::Json(&part(limits.map(of_limits)))),
        ("throttling", Field::Json(&part(limits.and_then(throttling)))),
        ("pressure", Field::Json(&part(limits.and_then(pressure)))),
        ("last_resize", Field::Json(&part(last_resize(&pool.changes, now)))),
        ("last_restart", Field::Json(&part(last_restart(&pool.changes, now)))),
        (
            "workers",
            Field::Json(&list(workers.iter().map(|worker| row(worker, &pool.processes, now)))),
        ),
    ])
}

fn of_limits(limits: &Limits) -> String {
    object(&[
        ("cpus", Field::Json(&limits.cpu.cpus.to_string())),
        ("cpus_from", plan::source(limits).as_str().into()),
        ("memory_bytes", limits.memory.limit_bytes.into()),
    ])
}

/// Throttling happens where the quota is.
fn throttling(limits: &Limits) -> Option<String> {
    let quota = limits.cpu.quota_set_by.as_ref()?;
    let found = proc::throttling(Path::new(&quota.file).parent()?)?;
    Some(object(&[
        ("periods", found.periods.into()),
        ("throttled", found.throttled.into()),
        ("percent", found.percent().into()),
    ]))
}

/// Pressure is that of our own cgroup, which is the workers' as well.
fn pressure(limits: &Limits) -> Option<String> {
    let own = limits.visited_dirs.first()?;
    let of = |what| proc::pressure(own, what);
    of("cpu").map(|cpu| object(&[("cpu", cpu.into()), ("memory", of("memory").into())]))
}

fn last_resize(changes: &Changes, now: Time) -> Option<String> {
    let resized = changes.resized.as_ref()?;
    Some(object(&[
        ("seconds_ago", now.saturating_sub(resized.when).into()),
        ("from", resized.from.into()),
        ("to", resized.to.into()),
        ("because", resized.because.as_str().into()),
    ]))
}

fn last_restart(changes: &Changes, now: Time) -> Option<String> {
    let restarted = changes.restarted.as_ref()?;
    let (state, failed_slot) = match restarted.end {
        RestartEnd::Runs => ("running", None),
        RestartEnd::Done => ("done", None),
        RestartEnd::GivenUp(worker) => ("given up", Some(worker.slot)),
    };
    Some(object(&[
        ("seconds_ago", now.saturating_sub(restarted.when).into()),
        ("generation", restarted.generation.into()),
        ("state", state.into()),
        ("failed_slot", failed_slot.into()),
    ]))
}

fn row(worker: &Worker, processes: &Processes, now: Time) -> String {
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
        process.map_or_else(Usage::default, |(pid, _)| proc::of_process(pid));
    let since = |when: Option<Duration>| when.map(|when| now.saturating_sub(when)).into();
    object(&[
        ("slot", worker.id.slot.into()),
        ("generation", worker.id.generation.into()),
        ("pid", process.and_then(|(pid, _)| u32::try_from(pid).ok()).into()),
        ("state", state.into()),
        ("uptime_seconds", since(process.map(|(_, when)| when))),
        ("restarts", worker.restarts.into()),
        ("memory_bytes", memory_bytes.into()),
        ("cpu_seconds", cpu.into()),
        ("heartbeat_seconds_ago", since(life.and_then(|life| life.heartbeat))),
    ])
}
