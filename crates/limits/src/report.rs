//! The answer, for a program and for a person. The JSON object is a stable interface: its keys and
//! their meaning stay. The text is for whoever is paged at night: each resource, its value, the file
//! that set it, and the arithmetic up to the number of workers.

use std::fmt;

use serde::Serialize;

use crate::cpu::LimitKind;
use crate::shown::{Bytes, printable};
use crate::{Cpu, Kind, Limits, Memory, Pids, Workers};

/// All of `headcount limits`: serialise it for `--json`, display it otherwise.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Report<'a> {
    cgroup: Kind,
    cpu: &'a Cpu,
    memory: &'a Memory,
    pids: &'a Pids,
    workers: &'a Workers,
    warnings: &'a [String],
}

impl<'a> Report<'a> {
    /// Reports `limits` and the `workers` that follow from them.
    #[must_use]
    pub fn new(limits: &'a Limits, workers: &'a Workers) -> Report<'a> {
        Report {
            cgroup: limits.cgroup,
            cpu: &limits.cpu,
            memory: &limits.memory,
            pids: &limits.pids,
            workers,
            warnings: &limits.warnings,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = match self.cpu.cpus.to_string() {
            one if one == "1" => "1 CPU".to_owned(),
            many => format!("{many} CPUs"),
        };
        row(f, "cpu", &cpus, &why_cpus(self.cpu))?;

        let memory = self.memory.limit_bytes.map(|bytes| Bytes(bytes).to_string());
        row_of_file(f, "memory", memory, self.memory.file.as_deref())?;
        let pids = self.pids.limit.map(|limit| limit.to_string());
        row_of_file(f, "pids", pids, self.pids.file.as_deref())?;

        let Workers { count, arithmetic, limited_by, .. } = self.workers;
        let decided = format!("{arithmetic}, decided by {}", limited_by.name());
        row(f, "workers", &count.to_string(), &decided)?;

        let cgroup = match self.cgroup {
            Kind::V2 => "v2",
            Kind::V1 => "v1",
            Kind::Hybrid => "hybrid",
            Kind::None => "none",
        };
        row(f, "cgroup", cgroup, "")?;
        for warning in self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// The limit that decided, then the other one: both are wanted by whoever expected another number.
fn why_cpus(cpu: &Cpu) -> String {
    let affinity = match &cpu.affinity_list {
        Some(list) => format!("{}: {}", cpu.affinity, printable(list)),
        None => cpu.affinity.to_string(),
    };
    let quota = cpu
        .quota_set_by
        .as_ref()
        .map(|set_by| format!("quota {} in {}", printable(&set_by.value), printable(&set_by.file)));
    match (cpu.limited_by.kind, quota) {
        (LimitKind::Quota, Some(quota)) => format!("{quota} (affinity allows {affinity})"),
        (_, Some(quota)) => format!("affinity allows {affinity} ({quota} is more)"),
        (_, None) => format!("affinity allows {affinity} (no quota)"),
    }
}

fn row_of_file(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<String>,
    file: Option<&str>,
) -> fmt::Result {
    match value {
        Some(value) => row(f, name, &value, &printable(file.unwrap_or_default())),
        None => row(f, name, "no limit", ""),
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &str, why: &str) -> fmt::Result {
    if why.is_empty() {
        writeln!(f, "{name:<9}{value}")
    } else {
        writeln!(f, "{name:<9}{value:<12}{why}")
    }
}
