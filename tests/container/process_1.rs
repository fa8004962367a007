//! headcount as PID 1 of a container: stopping, replacing, reaping, and with no rights at all.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::docker::{Container, docker, spawn};
use e2e::program::wait_for;

use crate::images::images;
use crate::{check, demo};

#[test]
fn docker_stop_answers_the_request_in_flight_and_exits_0() -> Result<()> {
    let app = demo(&["--cpus", "2"])?;
    check(&app, 5)?;

    let network = app.network();
    let probe = ["--entrypoint", "/probe", &images()?.probe];
    let run = ["run", "--rm", "--network", &network];
    let get = ["get", "127.0.0.1:8000", "/sleep?ms=2000"];
    let mut client = spawn(&[&run[..], &probe, &get].concat())?;
    let mut output = BufReader::new(client.stdout.take().context("its output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(line == "sent\n", "{line:?}");

    let start = Instant::now();
    docker(&["stop", app.id()])?; // SIGTERM, and SIGKILL after 10 s
    let took = start.elapsed();
    let mut answer = String::new();
    output.read_to_string(&mut answer)?;

    ensure!(client.wait()?.success() && answer.contains(" 200 OK"), "{answer}\n{}", app.log());
    let status = app.wait()?;
    ensure!(status == 0, "exit status {status}\n{}", app.log());
    ensure!(took > Duration::from_secs(1), "stopped after {took:?}, before the answer");
    ensure!(took < Duration::from_secs(10), "stopped only after {took:?}");
    Ok(())
}

#[test]
fn a_killed_worker_is_replaced() -> Result<()> {
    let app = demo(&["--cpus", "2"])?;
    let before = app.wait_for_workers(5)?;
    let victim = before.first().context("a worker")?.pid;

    // From the engine's own machine, wherever that is.
    let host = ["run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "/probe"];
    docker(&[&host[..], &[&images()?.probe, "kill", &victim.to_string()]].concat())?;

    let after = wait_for("a replacement", Duration::from_secs(20), || {
        let workers = app.workers()?;
        let is_whole = workers.len() == 5 && workers.iter().all(|worker| worker.pid != victim);
        Ok(is_whole.then_some(workers))
    })
    .with_context(|| app.log())?;
    let kept = after.iter().filter(|worker| before.contains(worker)).count();
    ensure!(kept == 4, "the others should have stayed: {before:?}, then {after:?}");
    check(&app, 5)?;
    Ok(())
}

#[test]
fn orphans_of_a_pool_are_reaped() -> Result<()> {
    let app = Container::start(&["--network", "none", "--cpus", "1", &images()?.probe])?;
    app.wait_for_workers(3)?;
    let said = docker(&["exec", app.id(), "/probe", "orphans", "200"])?;
    ensure!(said.contains("200 orphans made, 0 left"), "{said}");
    ensure!(app.workers()?.len() == 3, "{:?}", app.processes()?);
    Ok(())
}

#[test]
fn orphans_of_one_child_are_reaped() -> Result<()> {
    let run = ["run", "--rm", "--network", "none", &images()?.probe];
    let said = docker(&[&run[..], &["exec", "--", "/probe", "orphans", "200"]].concat())?;
    ensure!(said.contains("200 orphans made, 0 left"), "{said}");
    Ok(())
}

/// That the two tests above can fail: a PID 1 that does not reap leaves every one.
#[test]
fn orphans_stay_without_headcount() -> Result<()> {
    let run = ["run", "--rm", "--network", "none", "--entrypoint", "/probe", &images()?.probe];
    let error = docker(&[&run[..], &["orphans", "3"]].concat()).err().context("nothing left?")?;
    ensure!(format!("{error:#}").contains("3 orphans made, 3 left"), "{error:#}");
    Ok(())
}

#[test]
fn without_any_rights_it_does_the_same() -> Result<()> {
    let flags = "--cpus 2 --user 65532:65532 --read-only --cap-drop ALL \
        --security-opt no-new-privileges --pids-limit 64 --memory 256m";
    let app = demo(&flags.split_whitespace().collect::<Vec<_>>())?;
    app.wait_for_workers(5)?;
    check(&app, 5)?;
    docker(&["stop", app.id()])?;
    let status = app.wait()?;
    ensure!(status == 0, "exit status {status}\n{}", app.log());
    Ok(())
}
