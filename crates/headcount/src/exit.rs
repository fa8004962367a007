//! The exit codes, in one place: they are an interface that orchestrators, scripts and people at
//! night rely on. `exec` ends with its child's status and uses the shell's codes for its own.

/// A clean end.
pub const OK: u8 = 0;
/// `status`, `scale`, `reload`, `stop`: no headcount answers, or it refuses.
pub const NO_ANSWER: u8 = 1;
/// `run`: the workers cannot boot. gunicorn's `WORKER_BOOT_ERROR`.
pub const CANNOT_BOOT: u8 = 3;
/// Bad usage of the command line: `EX_USAGE` of `sysexits.h`.
pub const USAGE: u8 = 64;
/// The kernel refused what any process may ask for: `EX_OSERR` of `sysexits.h`.
pub const OS_ERROR: u8 = 71;
/// A bad configuration: `EX_CONFIG` of `sysexits.h`.
pub const CONFIG: u8 = 78;
/// `exec`: the command may not be executed. The shell's code.
pub const NOT_EXECUTABLE: u8 = 126;
/// `exec`: the command does not exist. The shell's code.
pub const NOT_FOUND: u8 = 127;
/// `exec`: added to the number of the signal that killed the child. The shell's convention.
pub const SIGNALLED: u8 = 128;
