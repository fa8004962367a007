//! A container engine of our own: Debian's dockerd, on its own socket and in its own folder.
//!
//! It touches nothing of an engine that may already run: no bridge, no firewall rule, no default
//! path. Containers talk over a shared loopback interface, so it needs no network. At its end the
//! processes, mounts, cgroups and files are gone.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::program;

use crate::cgroup;
use crate::interrupt::{self, Group};

/// dockerd stops its containers first, and gives each of them 10 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// What this machine lacks to start one, each with its cure. Empty where it can.
pub(crate) fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !program::is_root() {
        missing.push("root".to_owned());
    }
    missing.extend(program::missing(&[("dockerd", "docker.io"), ("docker", "docker.io")]));
    missing
}

/// A running engine. Stopped when its owner goes.
#[derive(Debug)]
pub(crate) struct Engine {
    dockerd: Option<Group>,
    folder: PathBuf,
    cgroup: String,
}

impl Engine {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        let name = format!("headcount-engine-{}", std::process::id());
        // Below /tmp itself: a socket's path has room for 107 bytes.
        let folder = PathBuf::from("/tmp").join(&name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut engine = Self { dockerd: None, folder, cgroup: name };

        let inside = |name: &str| engine.folder.join(name);
        let log = File::create(inside("log"))?;
        let config = inside("daemon.json"); // not the machine's
        fs::write(&config, "{}")?;
        let dockerd = program::find("dockerd").context("dockerd (apt-get install docker.io)")?;
        let mut command = Command::new(dockerd);
        command
            .args(["--host", &engine.host()])
            .arg("--data-root")
            .arg(inside("data"))
            .arg("--exec-root")
            .arg(inside("exec"))
            .arg("--pidfile")
            .arg(inside("pid"))
            .args(["--cgroup-parent", &format!("/{}", engine.cgroup)])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
            .arg("--config-file")
            .arg(config)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        engine.dockerd = Some(Group::spawn(&mut command, PATIENCE)?);
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.display())
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let host = self.host();
        let log = self.folder.join("log");
        let answers = program::wait_for("dockerd answers", Duration::from_secs(60), || {
            if interrupt::asked() {
                bail!("interrupted");
            }
            if let Some(status) = self.dockerd.as_mut().map_or(Ok(None), Group::ended)? {
                bail!("dockerd ended: {status}");
            }
            let mut docker = Command::new("docker");
            docker.arg("version").env("DOCKER_HOST", &host);
            Ok(program::output(&mut docker).ok().map(drop))
        });
        answers.with_context(|| fs::read_to_string(log).unwrap_or_default())
    }

    /// Mounts below its folder, the deepest first.
    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let prefix = format!("{}/", self.folder.display());
        let ours = points.filter(|point| point.starts_with(&prefix)).map(str::to_owned);
        let mut ours: Vec<String> = ours.collect();
        ours.sort_by_key(|point| std::cmp::Reverse(point.len()));
        ours
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.dockerd.take());
        // Where it was killed rather than stopped, this is what it could not put away itself.
        for point in self.mounts() {
            let _ = program::output(Command::new("umount").args(["--lazy", &point]));
        }
        for hierarchy in cgroup::hierarchies() {
            let _ = cgroup::remove(&hierarchy.join(&self.cgroup));
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}
