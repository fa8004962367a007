//! What will be done: the configuration and the limits, put together. `check` prints it, `run`
//! carries it out, and neither decides anything after it.

use std::path::Path;

use headcount_limits::{Limits, Sizing, workers};

use crate::config::{Config, Rule, Workers};

/// The plan of `run`.
pub struct Plan {
    pub config: Config,
    pub limits: Limits,
    /// How many workers.
    pub workers: u32,
    /// Why, for the start line: `ceil(2 * 2) + 1 = 5, decided by cpu: 200000 100000 in …/cpu.max`.
    pub because: String,
}

impl Plan {
    /// Reads the limits, and sizes the pool by them unless the configuration says how many.
    pub fn make(config: Config) -> Self {
        let limits = Limits::read(Path::new("/"));
        let (workers, because) = match config.workers {
            Workers::Fixed(count) => (count, format!("set by {}", config.workers_from)),
            Workers::Auto(rule) => {
                let sized = workers(&limits, &sizing(rule));
                let because = format!("{}: {}", sized.arithmetic, source(&limits));
                (sized.count, because)
            }
        };
        Self { config, limits, workers, because }
    }

    /// Everything that a person should know before it starts.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.config.warnings.iter().chain(&self.limits.warnings).map(String::as_str)
    }
}

/// The rule of the configuration, with the design's numbers where it is silent.
pub fn sizing(rule: Rule) -> Sizing {
    let default = Sizing::default();
    Sizing {
        per_cpu: rule.per_cpu.unwrap_or(default.per_cpu),
        plus: rule.plus.unwrap_or(default.plus),
        min: rule.min.unwrap_or(default.min),
        max: rule.max.or(default.max),
        memory_per_worker: rule.memory_per_worker.map(|bytes| bytes.0),
        memory_reserve: rule.memory_reserve.map_or(default.memory_reserve, |bytes| bytes.0),
    }
}

/// Where the number of CPUs comes from: `200000 100000 in /sys/fs/cgroup/cpu.max`.
pub fn source(limits: &Limits) -> String {
    let by = &limits.cpu.limited_by;
    match (&by.file, by.kind) {
        (Some(file), headcount_limits::LimitKind::Quota) => format!("{} in {file}", by.value),
        (Some(file), headcount_limits::LimitKind::Affinity) => {
            format!("CPUs {} in {file}", by.value)
        }
        (None, _) => format!("{} CPUs by sched_getaffinity", by.value),
    }
}
