//! What a child finds in its environment: the worker contract, and the variables by which runtimes
//! size themselves. They count the host's CPUs where nobody tells them otherwise.

use std::ffi::{OsStr, OsString};

use headcount_limits::Cpus;

use crate::os::spawn::Environment;
use crate::plan::Plan;

/// The variables by which runtimes learn how many threads to start: Go, tokio, rayon, OpenMP (numpy,
/// `PyTorch`), Python from 3.13, .NET.
const THREADS: [&str; 6] = [
    "GOMAXPROCS",
    "TOKIO_WORKER_THREADS",
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHON_CPU_COUNT",
    "DOTNET_PROCESSOR_COUNT",
];

/// What a manager above headcount told headcount, by `sd_listen_fds(3)` and `sd_notify(3)`: a worker
/// would take it for its own.
const FROM_ABOVE: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

fn set(environment: &mut Environment, name: &str, value: impl Into<OsString>) {
    environment.retain(|(known, _)| known != name);
    environment.push((OsString::from(name), value.into()));
}

/// Sets a variable unless somebody has: a person knows better than a formula.
fn set_default(environment: &mut Environment, name: &str, value: impl Into<OsString>) {
    if !environment.iter().any(|(known, _)| known == name) {
        environment.push((OsString::from(name), value.into()));
    }
}

/// Our own environment, with what `exec`'s child reads: the container is all its own.
pub fn for_exec(cpus: Cpus, workers: u32) -> Environment {
    let mut environment: Environment = std::env::vars_os().collect();
    set_default(&mut environment, "WEB_CONCURRENCY", workers.to_string());
    set_default(&mut environment, "HEADCOUNT_CPUS", cpus.to_string());
    for name in THREADS {
        set_default(&mut environment, name, cpus.ceil().to_string());
    }
    environment
}

/// What tells a worker from the others.
pub fn identify(environment: &mut Environment, slot: u32, generation: u32, workers: u32) {
    set(environment, "HEADCOUNT_WORKER", slot.to_string());
    set(environment, "HEADCOUNT_WORKERS", workers.to_string());
    set(environment, "HEADCOUNT_GENERATION", generation.to_string());
}

/// Our own environment, with what all workers of `run` have in common.
pub fn for_workers(plan: &Plan, notify_socket: &OsStr, socket_names: &str) -> Environment {
    let mut environment: Environment = std::env::vars_os().collect();
    environment.retain(|(known, _)| FROM_ABOVE.iter().all(|name| known != name));
    let cpus = plan.limits.cpu.cpus;
    set(&mut environment, "HEADCOUNT_CPUS", cpus.to_string());
    set(&mut environment, "NOTIFY_SOCKET", notify_socket);
    let grace = plan.config.graceful_timeout.0.as_secs_f64();
    set(&mut environment, "HEADCOUNT_GRACEFUL_TIMEOUT", grace.to_string());
    // It has done its work here. A worker that reads it (uvicorn does) would start a pool of its own.
    set(&mut environment, "WEB_CONCURRENCY", "1");
    if !plan.config.bind.is_empty() {
        set(&mut environment, "LISTEN_FDS", plan.config.bind.len().to_string());
        set(&mut environment, "LISTEN_FDNAMES", socket_names);
    }
    if let Some(timeout) = plan.config.timeout {
        set(&mut environment, "WATCHDOG_USEC", timeout.0.as_micros().to_string());
    }
    for name in THREADS {
        set_default(&mut environment, name, share(cpus, plan.workers).to_string());
    }
    environment
}

/// The variables above whose value is the worker's own pid.
pub fn pid_variables(plan: &Plan) -> Vec<&'static str> {
    let sockets = (!plan.config.bind.is_empty()).then_some("LISTEN_PID");
    let watchdog = plan.config.timeout.map(|_| "WATCHDOG_PID");
    sockets.into_iter().chain(watchdog).collect()
}

/// A worker's share of the CPUs in threads: whole ones, and never none.
fn share(cpus: Cpus, workers: u32) -> u32 {
    cpus.ceil().checked_div(workers).unwrap_or(1).max(1)
}

/// Moves the variables that name our own pid to the child, which takes our place: whoever started us
/// meant it.
pub fn hand_over_pid(environment: &mut Environment) -> Vec<&'static str> {
    let own = std::process::id().to_string();
    ["LISTEN_PID", "WATCHDOG_PID"]
        .into_iter()
        .filter(|name| {
            let before = environment.len();
            environment.retain(|(known, value)| known != name || *value != *own);
            environment.len() != before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_whole_and_never_nought() {
        let cpus = |num, den| Cpus::new(num, den).unwrap();
        assert_eq!(share(cpus(2, 1), 5), 1);
        assert_eq!(share(cpus(8, 1), 2), 4);
        assert_eq!(share(cpus(8, 1), 3), 2);
        assert_eq!(share(cpus(1, 4), 2), 1);
    }

    #[test]
    fn what_is_set_is_left_alone() {
        let mut environment = vec![("GOMAXPROCS".into(), "7".into())];
        set_default(&mut environment, "GOMAXPROCS", "2");
        set_default(&mut environment, "OMP_NUM_THREADS", "2");
        set(&mut environment, "OMP_NUM_THREADS", "3");
        assert_eq!(environment.len(), 2);
        assert_eq!(environment[0].1, "7");
        assert_eq!(environment[1].1, "3");
    }
}
