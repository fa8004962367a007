//! `headcount limits`: what the container may use, and why.

use std::io::{self, Write};

use headcount_limits::{Capture, Limits, Report, Sizing, workers};

use crate::cli::LimitsArgs;

/// Prints the answer in the form that was asked for.
pub fn print(args: &LimitsArgs, out: &mut impl Write) -> io::Result<()> {
    if args.capture {
        serde_json::to_writer_pretty(&mut *out, &Capture::take(&args.root, "capture"))?;
        return writeln!(out);
    }
    let limits = Limits::read(&args.root);
    let sized = workers(&limits, &Sizing::default());
    let report = Report::new(&limits, &sized);
    if args.json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}
