//! `headcount check`: the plan, for a person, before it is carried out.

use std::io::{self, Write};

use crate::config::{Control, Workers};
use crate::plan::Plan;

/// Prints the plan.
pub fn print(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let Plan { config, workers, because, .. } = plan;
    let file = config.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    let follows = match config.workers {
        Workers::Fixed(_) => "",
        Workers::Auto(_) => " (auto)",
    };
    let timeout = match config.timeout {
        Some(timeout) => timeout.to_string(),
        None => "never".to_owned(),
    };
    writeln!(out, "file              {file}")?;
    writeln!(out, "command           {}", config.command.join(" "))?;
    writeln!(out, "bind              {}", config.addresses())?;
    writeln!(out, "workers           {workers}{follows}: {because}")?;
    writeln!(out, "backlog           {}", config.backlog)?;
    writeln!(out, "timeout           {timeout}")?;
    writeln!(out, "graceful_timeout  {}", config.graceful_timeout)?;
    writeln!(out, "drain_delay       {}", config.drain_delay)?;
    writeln!(out, "boot_timeout      {}", config.boot_timeout)?;
    writeln!(out, "ready_after       {}", config.ready_after)?;
    writeln!(out, "resize            {}", config.resize)?;
    writeln!(out, "on_crash_loop     {}", config.on_crash_loop)?;
    let control = match &config.control {
        Some(Control::Path(path)) => path.display().to_string(),
        Some(Control::None) => "none".to_owned(),
        None => "a default place".to_owned(),
    };
    writeln!(out, "control           {control}")?;
    for warning in plan.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}
