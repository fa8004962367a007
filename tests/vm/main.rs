//! cgroup v2, Docker Compose and eight CPUs: `tests/vm/run.sh` in the lab, one boot for all.
//!
//! The guest says of each step how it went; each is a test here, so that a failing one has a name.
//! Eight CPUs make the difference visible: counted by CPUs there would be seventeen workers, always.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::lab::{self, Boot, Lab};
use e2e::{binaries, image, program};

/// A boot takes a minute or two where nothing else runs; emulation is slow.
const LIMIT: Duration = Duration::from_secs(8 * 60);

static BOOT: OnceLock<Result<Boot, String>> = OnceLock::new();

fn boot() -> Result<&'static Boot> {
    let boot = BOOT.get_or_init(|| run().map_err(|error| format!("{error:#}")));
    boot.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn run() -> Result<Boot> {
    let lab = Lab::ready()?;
    let payload = tempfile::tempdir()?;
    fill(payload.path())?;
    let mut boot = lab.boot(payload.path(), LIMIT)?;
    if boot.status.is_none() {
        // The machine itself died: QEMU's emulation is not beyond that. Once more, not for ever.
        eprintln!("the guest did not get to its end; its console was:\n{}", boot.console);
        boot = lab.boot(payload.path(), LIMIT)?;
    }
    let first = boot.console.lines().filter(|line| line.starts_with("LAB "));
    eprintln!("{}\nbooted and done in {:?}", first.collect::<Vec<_>>().join("\n"), boot.took);
    Ok(boot)
}

/// init.sh and run.sh, what images are made of, and the compose files as they stand in the tree.
fn fill(payload: &Path) -> Result<()> {
    lab::write_init(payload)?;
    let tree = program::workspace();
    let context = image::context(binaries::preferred()?)?;
    fs::create_dir_all(payload.join("image/out/run"))?;
    fs::create_dir_all(payload.join("tests"))?;
    for name in ["Dockerfile", "out/headcount", "out/demo", "out/check"] {
        fs::copy(context.join(name), payload.join("image").join(name))?;
    }
    for name in ["compose.yaml", "tests/compose.yaml"] {
        fs::copy(tree.join(name), payload.join(name))?;
    }
    fs::copy(tree.join("tests/vm/run.sh"), payload.join("run.sh"))?;
    Ok(())
}

/// Fails unless the guest said that this step went well; then with what the step wrote.
fn step(name: &str) -> Result<()> {
    let boot = boot()?;
    let (ok, failed) = (format!("STEP {name} ok"), format!("STEP {name} FAILED"));
    let lines: Vec<&str> = boot.console.lines().collect();
    if lines.iter().any(|line| line.contains(&ok)) {
        return Ok(());
    }
    let Some(end) = lines.iter().position(|line| line.contains(&failed)) else {
        bail!("the guest did not get to {name}:\n{}", boot.console);
    };
    let before = lines.get(..end).context("the step's own lines")?;
    let start = before.iter().rposition(|line| line.contains("STEP ")).map_or(0, |line| line);
    bail!("{}\n{failed}", before.get(start..).unwrap_or_default().join("\n"));
}

#[test]
fn the_guest_has_cgroup_v2_and_eight_cpus() -> Result<()> {
    let boot = boot()?;
    let line = boot.console.lines().find(|line| line.contains("LAB kernel="));
    let line = line.context("the guest does not say what it is")?;
    ensure!(line.contains(" cpus=8 "), "{line}");
    ensure!(line.contains("cpuset,cpu,"), "{line}");
    Ok(())
}

#[test]
fn the_final_stages_build() -> Result<()> {
    step("images")
}

#[test]
fn the_integration_compose_file_counts_five() -> Result<()> {
    step("integration")
}

#[test]
fn compose_yaml_runs_five_and_stops_cleanly() -> Result<()> {
    step("compose")
}

#[test]
fn limits_names_the_file_and_its_value() -> Result<()> {
    step("limits")
}

#[test]
fn half_a_cpu_gives_two() -> Result<()> {
    step("cpus-0.5")
}

#[test]
fn one_and_a_half_cpus_give_four() -> Result<()> {
    step("cpus-1.5")
}

#[test]
fn two_cpus_give_five() -> Result<()> {
    step("cpus-2")
}

#[test]
fn a_cpuset_of_two_gives_five() -> Result<()> {
    step("cpuset-0-1")
}

#[test]
fn no_limit_gives_what_affinity_says() -> Result<()> {
    step("no-limit")
}

#[test]
fn the_guest_itself_counts_no_failure() -> Result<()> {
    ensure!(boot()?.status == Some(0), "{:?}", boot()?.status);
    Ok(())
}

#[test]
fn docker_update_resizes_the_pool() -> Result<()> {
    step("update")
}
