//! The static binaries, built by cargo for this machine's own architecture.
//!
//! Images start `FROM scratch`, so nothing in them may need a shared library. With the musl target
//! installed (`rustup target add x86_64-unknown-linux-musl`) that is what a build for it gives; a
//! machine without it links glibc statically. Both are real ways to ship, so both are supported and
//! measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program;

/// Which C library goes into the binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libc {
    /// The smaller one.
    Musl,
    /// What every Linux toolchain has.
    Glibc,
}

impl Libc {
    /// Its short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Musl => "musl",
            Self::Glibc => "glibc",
        }
    }

    /// The target of this architecture with this library.
    #[must_use]
    pub fn triple(self) -> String {
        let library = match self {
            Self::Musl => "musl",
            Self::Glibc => "gnu",
        };
        format!("{}-unknown-linux-{library}", std::env::consts::ARCH)
    }

    /// Whether the toolchain has that target's standard library.
    #[must_use]
    pub fn is_installed(self) -> bool {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", &self.triple()]);
        program::output(&mut rustc).is_ok_and(|folder| Path::new(folder.trim_end()).is_dir())
    }

    /// Those that can be built here, the preferred one first.
    #[must_use]
    pub fn installed() -> Vec<Self> {
        [Self::Musl, Self::Glibc].into_iter().filter(|libc| libc.is_installed()).collect()
    }
}

/// One of the project's programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// PID 1.
    Headcount,
    /// The app that it runs.
    Demo,
    /// The client that counts workers.
    Check,
    /// The tests' helper within containers.
    Probe,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Headcount => "headcount",
            Self::Demo => "demo",
            Self::Check => "check",
            Self::Probe => "probe",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Headcount => "headcount",
            Self::Demo => "demo",
            Self::Check | Self::Probe => "e2e",
        }
    }

    fn profile(self) -> &'static str {
        match self {
            Self::Headcount => "tiny",
            Self::Demo | Self::Check | Self::Probe => "release",
        }
    }
}

/// The library that `HEADCOUNT_LIBC` names, else the preferred one of those that are installed.
///
/// # Errors
/// If the toolchain has not that target, or neither.
pub fn preferred() -> Result<Libc> {
    let named = std::env::var("HEADCOUNT_LIBC").ok();
    let fits = |libc: &Libc| named.as_deref().is_none_or(|name| name == libc.name());
    Libc::installed().into_iter().find(fits).with_context(|| {
        let (musl, glibc) = (Libc::Musl.triple(), Libc::Glibc.triple());
        match &named {
            Some(name) => format!("HEADCOUNT_LIBC is {name}: no such target in the toolchain"),
            None => format!("the Rust toolchain has neither {musl} nor {glibc}"),
        }
    })
}

/// Builds one program statically and says where it is. Cargo's own progress goes to stderr; an
/// up-to-date build costs a fraction of a second and says nothing.
///
/// # Errors
/// If it does not build.
pub fn build(program: Program, libc: Libc) -> Result<PathBuf> {
    let target_dir = target_dir()?;
    let triple = libc.triple();
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");

    // Named even where it is the host's: only so do build scripts and macros stay without the flag.
    let mut cargo = cargo();
    cargo
        .args(["build", "--quiet", "--target", &triple, "--profile", program.profile()])
        .args(["--package", program.package(), "--bin", program.name()])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", flags.trim_start());
    program::run(&mut cargo)?;

    let binary = target_dir.join(triple).join(program.profile()).join(program.name());
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

/// Cargo's target folder, wherever this user has put it.
///
/// # Errors
/// If cargo cannot say.
pub fn target_dir() -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_str(&program::output(&mut cargo)?)?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    folder.map(PathBuf::from).context("cargo metadata names no target_directory")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(program::workspace());
    cargo
}
