//! `cargo xtask image`: the final images where none can be pulled, with whatever engine `docker`
//! finds.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use e2e::{binaries, image};

/// Make the Dockerfile's final images from this machine's own toolchain
#[derive(Args)]
pub(crate) struct Arguments {
    /// Put this before each image's name, e.g. registry.example/team/
    #[arg(long, default_value = "", hide_default_value = true)]
    tag_prefix: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let libc = binaries::preferred()?;
    eprintln!("building static binaries ({})", libc.triple());
    let context = image::context(libc)?;
    for image in image::Image::ALL {
        println!("{}", image::build(&context, image, &arguments.tag_prefix)?);
    }
    Ok(ExitCode::SUCCESS)
}
