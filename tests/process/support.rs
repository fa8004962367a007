//! Starting headcount, waiting for what it does, and leaving nothing behind, also when a test fails.
//!
//! Everything that a test starts carries the test's own folder in its environment. That is how it is
//! found again at the end, whoever its parent is by then.

mod running;
mod start;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e::binaries::{self, Program};
use e2e::program;

pub(crate) use running::{Headcount, Worker, send_signal};
pub(crate) use start::{Setup, headcount};

/// How long anything may take. Far more than it needs: a machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The variable that marks what a test has started.
const MARK: &str = "TEST_FOLDER";

// ---- waiting ------------------------------------------------------------------------------------

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

// ---- what is tested -----------------------------------------------------------------------------

/// The binary under test.
pub(crate) fn headcount_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| binary("HEADCOUNT_BIN", Program::Headcount))
}

/// The app that workers run.
pub(crate) fn demo_binary() -> &'static str {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| binary("DEMO_BIN", Program::Demo)).to_str().unwrap()
}

fn binary(variable: &str, program: Program) -> PathBuf {
    let built = || binaries::preferred().and_then(|libc| binaries::build(program, libc));
    let path = match std::env::var_os(variable) {
        Some(path) => program::workspace().join(path),
        None => built().unwrap_or_else(|error| panic!("{error:#}")),
    };
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Python that `python3` means here, without the wrapper that version managers put before it.
pub(crate) fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let mut python = Command::new("python3");
        python.args(["-c", "import sys; print(sys.executable)"]);
        let path = program::output(&mut python);
        path.unwrap_or_else(|error| panic!("python3 is needed: {error:#}")).trim_end().to_owned()
    })
}

/// A TCP port that is free for IPv4 and IPv6. Not one that the kernel picks: those may become the
/// other end of some outgoing connection before headcount listens.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    wait_for("a free port", || {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (std::process::id() * 128 + number) % COUNT;
        let port = u16::try_from(port).unwrap();
        let is_in_use = ["0.0.0.0", "::"].into_iter().any(|host| {
            // A kernel without IPv6 gives another error, which is no reason not to use the port.
            TcpListener::bind((host, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
        });
        (!is_in_use).then_some(port)
    })
}

/// An address to listen on that nobody else uses.
pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
