//! The images under test, built once, under names that are no user's.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use e2e::binaries::{self, Program};
use e2e::image::{self, Image};
use e2e::{docker, program};

const PREFIX: &str = "headcount-e2e/";

/// Their names.
pub(crate) struct Images {
    /// The Dockerfile's `demo`.
    pub(crate) demo: String,
    /// The Dockerfile's `check`.
    pub(crate) check: String,
    /// `tests/container/Dockerfile`: the demo with the tests' helper, and root as its user.
    pub(crate) probe: String,
}

static IMAGES: OnceLock<Result<Images, String>> = OnceLock::new();

/// The images, once they are built.
pub(crate) fn images() -> Result<&'static Images> {
    let images = IMAGES.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    images.as_ref().map_err(|error| anyhow!("{error}"))
}

fn build() -> Result<Images> {
    docker::ensure_engine()?;
    let libc = binaries::preferred()?;
    let context = image::context(libc)?;
    image::build(&context, Image::Headcount, PREFIX)?;
    let demo = image::build(&context, Image::Demo, PREFIX)?;
    let check = image::build(&context, Image::Check, PREFIX)?;

    let folder = tempfile::tempdir()?;
    let dockerfile = program::workspace().join("tests/container/Dockerfile");
    fs::copy(dockerfile, folder.path().join("Dockerfile"))?;
    fs::copy(binaries::build(Program::Probe, libc)?, folder.path().join("probe"))?;
    let probe = format!("{PREFIX}probe");
    let mut build = Command::new("docker");
    build
        .args(["build", "--quiet", "--build-arg", &format!("PREFIX={PREFIX}"), "--tag", &probe])
        .arg(folder.path());
    program::output(&mut build)?;
    Ok(Images { demo, check, probe })
}
