//! A cgroup with a quota of CPUs, as a container engine makes it: on v2, and in v1's cpu hierarchy.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::eventually;

/// Microseconds; what every engine uses.
const PERIOD: u32 = 100_000;

/// A cgroup of our own, removed when it goes out of scope. What runs in it must go first.
pub(crate) struct Cgroup {
    folder: PathBuf,
    is_v2: bool,
}

impl Cgroup {
    /// A cgroup that may use this many hundredths of a CPU.
    pub(crate) fn with_cpu_percent(percent: u32) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut refused = Vec::new();
        for (mount, is_v2) in mounts.lines().filter_map(cpu_hierarchy) {
            match Self::make(&mount, is_v2, percent) {
                Ok(cgroup) => return cgroup,
                Err(error) => refused.push(format!("{}: {error}", mount.display())),
            }
        }
        panic!(
            "a real quota needs a cgroup with the cpu controller that this user may make: root on \
             a machine, or a container started with --privileged --cgroupns=host ({refused:?})"
        );
    }

    fn make(mount: &Path, is_v2: bool, percent: u32) -> std::io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if is_v2 {
            // Where the top has processes of its own, as in a container, the kernel refuses this.
            fs::write(mount.join("cgroup.subtree_control"), "+cpu")?;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = mount.join(format!("headcount-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        let cgroup = Self { folder, is_v2 };
        cgroup.write_quota(percent)?;
        Ok(cgroup)
    }

    /// Changes the quota, as an engine does while the container runs.
    pub(crate) fn set_cpu_percent(&self, percent: u32) {
        self.write_quota(percent).unwrap();
    }

    fn write_quota(&self, percent: u32) -> std::io::Result<()> {
        let quota = percent * (PERIOD / 100);
        if self.is_v2 {
            fs::write(self.folder.join("cpu.max"), format!("{quota} {PERIOD}"))
        } else {
            fs::write(self.folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            fs::write(self.folder.join("cpu.cfs_quota_us"), quota.to_string())
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let gone = || fs::remove_dir(&self.folder).is_ok() || !self.folder.exists();
        if std::thread::panicking() {
            let _ = gone();
        } else {
            eventually("the cgroup is empty and can be removed", gone);
        }
    }
}

/// A line of /proc/self/mountinfo that mounts a hierarchy with the cpu controller, and whether it is
/// version 2. The first such line is it: a hybrid system has the controller in v1.
fn cpu_hierarchy(line: &str) -> Option<(PathBuf, bool)> {
    let (before, after) = line.split_once(" - ")?;
    let point = PathBuf::from(before.split(' ').nth(4)?);
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    match kind {
        "cgroup" => options.split(',').any(|option| option == "cpu").then_some((point, false)),
        "cgroup2" => {
            let controllers = fs::read_to_string(point.join("cgroup.controllers")).ok()?;
            controllers.split_whitespace().any(|name| name == "cpu").then_some((point, true))
        }
        _ => None,
    }
}
