//! headcount while it runs in a container: asked and ordered from outside, and resized by the engine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::docker::docker;
use e2e::program::wait_for;

use crate::{check, demo};

#[test]
fn docker_exec_shows_the_status_in_an_image_from_scratch() -> Result<()> {
    let app = demo(&["--cpus", "2"])?;
    app.wait_for_workers(5)?;
    let table = docker(&["exec", app.id(), "/headcount", "status"])?;
    let json = docker(&["exec", app.id(), "/headcount", "status", "--json"])?;
    let status: serde_json::Value = serde_json::from_str(&json)?;
    let workers = status.pointer("/workers").and_then(|workers| workers.as_array());
    ensure!(workers.is_some_and(|workers| workers.len() == 5), "{json}\n{table}");
    ensure!(table.lines().count() > 5, "{table}");
    Ok(())
}

#[test]
fn docker_exec_scales_and_stops() -> Result<()> {
    let app = demo(&["--cpus", "1"])?;
    app.wait_for_workers(3)?;
    docker(&["exec", app.id(), "/headcount", "scale", "4"])?;
    check(&app, 4)?;
    docker(&["exec", app.id(), "/headcount", "scale", "auto"])?;
    wait_for_count(&app, 3)?;
    docker(&["exec", app.id(), "/headcount", "stop"])?;
    let status = app.wait()?;
    ensure!(status == 0, "exit status {status}\n{}", app.log());
    Ok(())
}

#[test]
fn docker_update_resizes_the_pool() -> Result<()> {
    let app = demo(&["--cpus", "0.5"])?;
    app.wait_for_workers(2)?;
    docker(&["update", "--cpus", "1.5", app.id()])?;
    wait_for_count(&app, 4)?;
    check(&app, 4)?;
    docker(&["update", "--cpus", "1", app.id()])?;
    wait_for_count(&app, 3)
}

fn wait_for_count(app: &e2e::docker::Container, count: usize) -> Result<()> {
    wait_for("so many workers", Duration::from_secs(20), || {
        Ok((app.workers()?.len() == count).then_some(()))
    })
    .with_context(|| format!("{count} workers\n{}", app.log()))
}
