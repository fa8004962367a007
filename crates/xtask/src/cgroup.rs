//! A cgroup of two CPUs, where this user may make one: what a container engine would do for
//! `cpus: "2"`, without the engine.
//!
//! Root makes it below the top of the cpu hierarchy (v1 or v2); anyone else asks their systemd for a
//! scope. Where neither works there is none, and the caller says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

const PERIOD: &str = "100000";
const QUOTA: &str = "200000";

/// What limits the processes started in it.
#[derive(Debug)]
pub(crate) enum TwoCpus {
    /// A cgroup of our own. Removed at the end.
    Folder {
        /// Where it is.
        path: PathBuf,
        /// The file that holds the quota.
        file: PathBuf,
    },
    /// A scope that the user's systemd makes, and removes.
    Scope,
    /// Nothing.
    None,
}

impl TwoCpus {
    /// The first of these that works here.
    pub(crate) fn make() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let made = mounts.lines().filter_map(mount).find_map(|mount| mount.make().ok());
        match made {
            Some(made) => made,
            None if scope_works() => Self::Scope,
            None => Self::None,
        }
    }

    /// What starts a program in it: put before the program and its arguments.
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Folder { path, .. } => {
                // The shell joins, then becomes the program: no process is ever outside the limit.
                let mut shell = Command::new("sh");
                let script = r#"echo $$ >"$0/cgroup.procs" && exec "$@""#;
                shell.args(["-c", script]).arg(path);
                shell
            }
            Self::Scope => {
                let mut systemd = Command::new("systemd-run");
                systemd.args(["--user", "--scope", "--quiet", "-p", "CPUQuota=200%", "--"]);
                systemd
            }
            Self::None => Command::new("env"),
        }
    }

    /// In a few words, for a person.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Folder { file, .. } => format!("2 CPUs, by {}", file.display()),
            Self::Scope => "2 CPUs, by systemd-run --user --scope -p CPUQuota=200%".to_owned(),
            Self::None => "none: making one takes root, or a systemd user session".to_owned(),
        }
    }
}

impl Drop for TwoCpus {
    fn drop(&mut self) {
        let Self::Folder { path, .. } = self else { return };
        let _ = remove(path);
    }
}

/// Removes a cgroup, and those below it, whose processes have ended or are just ending.
pub(crate) fn remove(path: &Path) -> Result<()> {
    e2e::program::wait_for("an empty cgroup", Duration::from_secs(5), || {
        remove_empty(path);
        Ok((!path.exists()).then_some(()))
    })
    .with_context(|| path.display().to_string())
}

fn remove_empty(path: &Path) {
    for child in fs::read_dir(path).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&child.path());
        }
    }
    let _ = fs::remove_dir(path); // fails while it has processes, and is tried again
}

/// Where each mounted hierarchy of cgroups starts, v1 and v2.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(any_mount).map(|(point, _, _)| point).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    is_v2: bool,
}

impl Mount {
    fn make(&self) -> Result<TwoCpus> {
        if self.is_v2 {
            let controllers = fs::read_to_string(self.point.join("cgroup.controllers"))?;
            controllers
                .split_whitespace()
                .find(|name| *name == "cpu")
                .context("no cpu controller")?;
            // Fails where this top has processes of its own, as in a container.
            fs::write(self.point.join("cgroup.subtree_control"), "+cpu")?;
        }
        let path = self.point.join(format!("headcount-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        let file = path.join(if self.is_v2 { "cpu.max" } else { "cpu.cfs_quota_us" });
        let made = TwoCpus::Folder { path: path.clone(), file: file.clone() };
        if self.is_v2 {
            fs::write(file, format!("{QUOTA} {PERIOD}"))?;
        } else {
            fs::write(path.join("cpu.cfs_period_us"), PERIOD)?;
            fs::write(file, QUOTA)?;
        }
        Ok(made)
    }
}

/// A line of /proc/self/mountinfo, if it mounts a hierarchy that may hold the cpu controller.
fn mount(line: &str) -> Option<Mount> {
    let (point, kind, options) = any_mount(line)?;
    let is_v2 = kind == "cgroup2";
    let has_cpu = is_v2 || options.split(',').any(|option| option == "cpu");
    has_cpu.then_some(Mount { point, is_v2 })
}

fn any_mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
    matches!(kind, "cgroup" | "cgroup2").then(|| (PathBuf::from(point), kind, options))
}

fn scope_works() -> bool {
    let mut systemd = TwoCpus::Scope.command();
    systemd.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    systemd.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_hierarchy_of_v1_is_not_that_of_cpuset_or_cpuacct() {
        let line = |controllers: &str| {
            format!("32 31 0:29 / /sys/fs/cgroup/x rw,relatime - cgroup cgroup rw,{controllers}")
        };
        let expected = Mount { point: "/sys/fs/cgroup/x".into(), is_v2: false };
        assert_eq!(mount(&line("cpu,cpuacct")), Some(expected));
        assert_eq!(mount(&line("cpuset")), None);
        assert_eq!(mount(&line("cpuacct")), None);
    }

    #[test]
    fn version_2_is_one_mount() {
        let line = "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mount(line), Some(Mount { point: "/sys/fs/cgroup".into(), is_v2: true }));
    }
}
