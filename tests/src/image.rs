//! The images of the Dockerfile, where its first stage cannot run because no image can be pulled.
//!
//! That stage only compiles. Everything from the first `FROM scratch` on is taken from the one
//! Dockerfile as it stands, and put behind a stage that holds the binaries just built, so that no
//! line of an image is written twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::binaries::{self, Libc, Program};
use crate::program;

/// A final stage of the Dockerfile, and the name of its image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Image {
    /// Only /headcount, to copy from.
    Headcount,
    /// Counts workers.
    Check,
    /// headcount and the app.
    Demo,
}

impl Image {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Headcount, Self::Check, Self::Demo];

    /// The stage in the Dockerfile.
    #[must_use]
    pub fn stage(self) -> &'static str {
        match self {
            Self::Headcount => "headcount",
            Self::Check => "check",
            Self::Demo => "demo",
        }
    }

    /// The image's name, as the compose files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Headcount => "headcount",
            Self::Check => "headcount-check",
            Self::Demo => "headcount-demo",
        }
    }
}

/// Builds the binaries and lays out a folder that `docker build` makes the final images from.
///
/// # Errors
/// If something does not build, or the Dockerfile has no final stage.
pub fn context(libc: Libc) -> Result<PathBuf> {
    let folder = binaries::target_dir()?.join("image");
    let out = folder.join("out");
    fs::create_dir_all(out.join("run"))?;
    for (program, name) in
        [(Program::Headcount, "headcount"), (Program::Demo, "demo"), (Program::Check, "check")]
    {
        copy(&binaries::build(program, libc)?, &out.join(name))?;
    }
    let dockerfile = fs::read_to_string(program::workspace().join("Dockerfile"))?;
    fs::write(folder.join("Dockerfile"), with_built_stage(&dockerfile)?)?;
    Ok(folder)
}

/// Builds one image from such a folder, with whatever engine `docker` finds.
///
/// # Errors
/// If `docker build` fails.
pub fn build(context: &Path, image: Image, prefix: &str) -> Result<String> {
    let tag = format!("{prefix}{}", image.name());
    let mut docker = Command::new("docker");
    docker.args(["build", "--quiet", "--target", image.stage(), "--tag", &tag]).arg(context);
    program::output(&mut docker)?;
    Ok(tag)
}

/// The Dockerfile with everything before its first `FROM scratch` replaced by the built binaries.
fn with_built_stage(dockerfile: &str) -> Result<String> {
    let is_final = |line: &str| line.to_ascii_lowercase().starts_with("from scratch");
    let start = dockerfile.lines().position(is_final);
    let start = start.context("the Dockerfile has no `FROM scratch` stage")?;
    let mut lines = vec!["FROM scratch AS build", "COPY out/ /out/", ""];
    lines.extend(dockerfile.lines().skip(start));
    lines.push("");
    Ok(lines.join("\n"))
}

/// Copies only what differs, so that an unchanged context stays unchanged.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| from.display().to_string())?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::copy(from, to).with_context(|| to.display().to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stage_that_compiles_is_replaced() {
        let dockerfile = "ARG X=1\nFROM rust AS build\nRUN cargo build\n\nFROM scratch AS demo\nCOPY --from=build /out/demo /demo\n";
        let expected = "FROM scratch AS build\nCOPY out/ /out/\n\nFROM scratch AS demo\nCOPY --from=build /out/demo /demo\n";
        assert_eq!(with_built_stage(dockerfile).unwrap(), expected);
    }

    #[test]
    fn a_dockerfile_without_a_final_stage_is_an_error() {
        assert!(with_built_stage("FROM debian\n").is_err());
    }

    #[test]
    fn the_dockerfile_has_every_stage_and_demo_is_its_default() {
        let dockerfile = fs::read_to_string(program::workspace().join("Dockerfile")).unwrap();
        let stages: Vec<&str> =
            dockerfile.lines().filter_map(|line| line.strip_prefix("FROM scratch AS ")).collect();
        assert_eq!(stages, Image::ALL.map(Image::stage));
        assert_eq!(stages.last(), Some(&"demo"));
    }
}
