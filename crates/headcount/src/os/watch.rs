//! A hint that a limit may have changed: inotify on the cgroup's directories. It fires inside of a
//! container's read-only mount when the host writes there (`docker update`), where `poll(POLLPRI)` on
//! cpu.max never does. A hint and no more: the first event can precede the value, a write that was
//! rejected fires, too, and nothing comes when a limit changes above what is visible.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Directories that are watched for writes to their files.
pub struct Watch(Inotify);

impl Watch {
    /// Watches those of the directories that exist. EMFILE is what a host gives whose inotify
    /// instances have run out (`fs.inotify.max_user_instances`).
    pub fn directories(directories: &[PathBuf]) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        for directory in directories {
            let written = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CLOSE_WRITE;
            // One that has gone, or may not be watched, is no reason to give up the others.
            let _ = inotify.add_watch(directory, written);
        }
        Ok(Self(inotify))
    }

    /// Forgets what has been written so far. What a single read leaves wakes us again.
    pub fn drain(&self) {
        let _ = self.0.read_events();
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
