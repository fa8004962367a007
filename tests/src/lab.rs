//! The lab: a Debian virtual machine with cgroup v2, eight CPUs and a container engine.
//!
//! Quotas can only be tested for real where the kernel enforces them, and the kernel of a developer's
//! machine or of a CI runner may have cgroup v1, two CPUs, or none of the two to give away. The lab
//! needs nothing of them: QEMU emulates it, without KVM. `tests/vm/lab.sh` makes its disk, once;
//! `tests/vm/init.sh` is its PID 1; what a boot does comes as a folder, a payload.
//!
//! A lab is kept under a name that holds the recipe's hash. It is built beside its place and moved
//! there when it is complete, so a half-built one is never used, and an old one never for a new
//! recipe.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{binaries, program};

const RECIPE: &str = include_str!("../vm/lab.sh");
const INIT: &str = include_str!("../vm/init.sh");

/// `thread=single` and no cx16: with several threads, or with cx16, QEMU 7.2's TCG crashes a Linux
/// guest now and then (slab corruption; int3 while kernel text is patched).
const MACHINE: &str = "-accel tcg,thread=single -cpu max,cx16=off -smp 8 -m 2048 -nic none \
    -no-reboot -nodefaults -display none -monitor none";

const KERNEL_ARGUMENTS: &str =
    "root=/dev/vda rw console=ttyS0 quiet panic=-1 net.ifnames=0 init=/sbin/lab-init";

/// The line by which the guest's PID 1 says how the payload went.
const LAST_LINE: &str = "LAB END status=";

/// A lab that is ready to boot.
#[derive(Clone, Debug)]
pub struct Lab {
    folder: PathBuf,
}

/// How a boot went.
#[derive(Clone, Debug)]
pub struct Boot {
    /// What the payload's run.sh exited with; none where the guest did not get that far.
    pub status: Option<i32>,
    /// All that the guest wrote to its console.
    pub console: String,
    /// From power on to power off.
    pub took: Duration,
}

/// What this machine lacks to build or to boot the lab, each with its cure. Empty where it can.
#[must_use]
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if std::env::consts::ARCH != "x86_64" {
        missing.push(format!("an x86_64 machine (this is {})", std::env::consts::ARCH));
    }
    let mut needs = vec![("qemu-system-x86_64", "qemu-system-x86"), ("mke2fs", "e2fsprogs")];
    if !folder().is_ok_and(|folder| is_complete(&folder)) {
        needs.extend([("debootstrap", "debootstrap"), ("unshare", "util-linux")]);
        if !program::is_root() {
            missing.push("root, to build the lab (`cargo xtask lab` as root, once)".to_owned());
        }
    }
    missing.extend(program::missing(&needs));
    missing
}

impl Lab {
    /// The lab of this recipe, built if it is not there yet. That takes a minute or two, and Debian's
    /// mirror.
    ///
    /// # Errors
    /// If something is missing, or the recipe fails.
    pub fn ready() -> Result<Self> {
        let missing = missing();
        ensure!(missing.is_empty(), "the lab needs {}", missing.join(", "));
        let folder = folder()?;
        if !is_complete(&folder) {
            build(&folder)?;
        }
        Ok(Self { folder })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Boots it with a copy of the folder `payload` at /payload, whose run.sh it runs, and waits for
    /// the machine to switch itself off.
    ///
    /// # Errors
    /// If the machine cannot be started, or is still on after `limit`.
    pub fn boot(&self, payload: &Path, limit: Duration) -> Result<Boot> {
        let scratch = Scratch::new(&self.folder, "boot")?;
        let disk = scratch.0.join("payload.ext4");
        let console = scratch.0.join("console.log");
        write_disk(payload, &disk)?;

        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(MACHINE.split_whitespace())
            .args(["-kernel", &file("vmlinuz"), "-initrd", &file("initrd.img")])
            .args(["-append", KERNEL_ARGUMENTS])
            .args(["-drive", &drive(&self.folder.join("root.ext4"), "snapshot=on")])
            .args(["-drive", &drive(&disk, "readonly=on")])
            .args(["-serial", &format!("file:{}", console.display())])
            .stdin(Stdio::null());
        let start = Instant::now();
        let mut machine = Machine(qemu.spawn().context("cannot start qemu-system-x86_64")?);
        let ended = program::wait_for("the virtual machine switches itself off", limit, || {
            Ok(machine.0.try_wait()?)
        });

        let console = fs::read(&console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).replace('\r', "");
        let status = ended.with_context(|| console.clone())?;
        ensure!(status.success(), "qemu-system-x86_64: {status}\n{console}");
        Ok(Boot { status: status_of(&console), console, took: start.elapsed() })
    }
}

/// The guest's PID 1, for a payload folder.
///
/// # Errors
/// If it cannot be written.
pub fn write_init(payload: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = payload.join("init.sh");
    fs::write(&path, INIT)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn status_of(console: &str) -> Option<i32> {
    // Kernel messages share the console and may stand on the same line.
    let (_, rest) = console.rsplit_once(LAST_LINE)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn folder() -> Result<PathBuf> {
    let labs = match std::env::var_os("HEADCOUNT_LAB") {
        Some(folder) => std::path::absolute(folder)?,
        None => binaries::target_dir()?.join("lab"),
    };
    let mut hasher = DefaultHasher::new();
    RECIPE.hash(&mut hasher);
    Ok(labs.join(format!("{:016x}", hasher.finish())))
}

fn is_complete(folder: &Path) -> bool {
    ["root.ext4", "vmlinuz", "initrd.img"].iter().all(|name| folder.join(name).is_file())
}

fn build(folder: &Path) -> Result<()> {
    let labs = folder.parent().context("the lab's folder has no parent")?;
    fs::create_dir_all(labs)?;
    let beside = Scratch::new(labs, "building")?;
    let log = beside.0.join("build.log");
    eprintln!("building the lab in {} (a minute or two)", folder.display());

    // In a mount namespace of its own: what debootstrap mounts goes when it goes, however it ends.
    let output = fs::File::create(&log)?;
    let mut recipe = Command::new("unshare");
    recipe
        .args(["--mount", "sh", "-c", RECIPE, "lab.sh"])
        .arg(&beside.0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let status = recipe.status().context("cannot start unshare")?;
    if !status.success() || !is_complete(&beside.0) {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("tests/vm/lab.sh: {status}\n{}", tail.join("\n"));
    }
    match fs::rename(&beside.0, folder) {
        Err(_) if is_complete(folder) => Ok(()), // somebody else was quicker
        result => result.with_context(|| folder.display().to_string()),
    }
}

/// An ext4 image with the folder's content, and some room.
fn write_disk(payload: &Path, disk: &Path) -> Result<()> {
    let kilobytes = size_of_tree(payload)?.div_ceil(1024).saturating_add(16 * 1024);
    let mke2fs = program::find("mke2fs").context("mke2fs (apt-get install e2fsprogs)")?;
    let mut command = Command::new(mke2fs);
    command.args(["-q", "-t", "ext4", "-d"]).arg(payload).arg(disk).arg(format!("{kilobytes}k"));
    program::output(&mut command).map(drop)
}

fn size_of_tree(folder: &Path) -> Result<u64> {
    let mut size: u64 = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let part = if metadata.is_dir() { size_of_tree(&entry.path())? } else { metadata.len() };
        size = size.saturating_add(part);
    }
    Ok(size)
}

fn drive(file: &Path, how: &str) -> String {
    // A comma separates options; two are one in a file's name.
    let file = file.display().to_string().replace(',', ",,");
    format!("file={file},if=virtio,format=raw,{how}")
}

/// A folder that goes when its owner goes, or at the latest when the next one is made: its name ends
/// in the owner's process id, and an owner that was killed is recognised by that.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path, purpose: &str) -> Result<Self> {
        let prefix = format!("{purpose}-");
        for entry in fs::read_dir(parent).with_context(|| parent.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else {
                continue;
            };
            if !Path::new("/proc").join(owner).exists() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let folder = parent.join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running QEMU, switched off at the latest when its owner goes.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_how_it_went() {
        let console = "LAB END status=1\nnoise\n[ 4.2] LAB END status=0[ 4.3] reboot\n";
        assert_eq!(status_of(console), Some(0));
        assert_eq!(status_of("Kernel panic - not syncing"), None);
    }

    #[test]
    fn what_a_killed_owner_left_is_swept_away() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("boot-4194305"); // above the kernel's largest pid
        fs::create_dir(&dead).unwrap();
        let scratch = Scratch::new(parent.path(), "boot").unwrap();
        assert!(!dead.exists() && scratch.0.is_dir());
        let folder = scratch.0.clone();
        drop(scratch);
        assert!(!folder.exists());
    }

    #[test]
    fn a_comma_in_a_path_is_no_option() {
        assert!(drive(Path::new("/a,b"), "snapshot=on").starts_with("file=/a,,b,if="));
    }
}
