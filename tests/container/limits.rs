//! From the engine's flags to a number of workers.

use anyhow::{Result, ensure};
use e2e::docker::docker;

use crate::images::images;
use crate::{check, demo};

/// Workers by `docker top`, and by who answers.
fn workers(flags: &[&str], expected: usize) -> Result<()> {
    let app = demo(flags)?;
    app.wait_for_workers(expected)?;
    check(&app, expected)?;
    let workers = app.workers()?;
    ensure!(workers.len() == expected, "after the census: {workers:?}\n{}", app.log());
    Ok(())
}

/// What `headcount limits --json` says under these flags.
fn limits(flags: &[&str]) -> Result<serde_json::Value> {
    let image = [&*images()?.demo, "limits", "--json"];
    let run = ["run", "--rm", "--network", "none"];
    Ok(serde_json::from_str(&docker(&[&run, flags, &image].concat())?)?)
}

/// The engine's CPUs, which may not be this machine's.
fn engine_cpus() -> Result<usize> {
    Ok(docker(&["info", "--format", "{{.NCPU}}"])?.parse()?)
}

#[test]
fn two_cpus_give_five() -> Result<()> {
    workers(&["--cpus", "2"], 5)
}

#[test]
fn one_and_a_half_cpus_give_four() -> Result<()> {
    workers(&["--cpus", "1.5"], 4)
}

#[test]
fn half_a_cpu_gives_two() -> Result<()> {
    workers(&["--cpus", "0.5"], 2)
}

#[test]
fn no_limit_gives_what_affinity_says() -> Result<()> {
    let cpus = engine_cpus()?;
    workers(&[], cpus.saturating_mul(2).saturating_add(1))
}

#[test]
fn a_cpuset_of_one_gives_three() -> Result<()> {
    workers(&["--cpuset-cpus", "0"], 3)
}

#[test]
fn shares_are_no_limit() -> Result<()> {
    let said = limits(&["--cpu-shares", "512"])?;
    ensure!(said["cpu"]["quota"].is_null(), "{said}");
    Ok(())
}

#[test]
fn limits_reports_cpus_and_memory() -> Result<()> {
    let said = limits(&["--cpus", "1.5", "--memory", "256m"])?;
    ensure!(said["cpu"]["quota"] == 1.5, "{said}");
    ensure!(said["workers"]["count"] == 4, "{said}");
    ensure!(said["memory"]["limit_bytes"] == 268_435_456, "{said}");
    Ok(())
}
