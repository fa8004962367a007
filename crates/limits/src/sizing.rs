//! From CPUs to workers. A pure function of what may be used and what the user asked for, so that
//! its every step can be told: a person who finds five workers wants to know why not four.
//!
//! In this order, and the last rule that changed the number is the one reported:
//! 1. `ceil(per_cpu * cpus) + plus`
//! 2. no more than `max`, and never more than [`MAX_WORKERS`]
//! 3. no more than fit into memory, where `memory_per_worker` is set and a limit is visible
//! 4. no less than `min`, which is at least 1

use std::fmt::Write;

use serde::Serialize;

use crate::Limits;
use crate::shown::Bytes;

/// More workers than this are a mistake in a configuration, whatever the machine.
pub const MAX_WORKERS: u32 = 4096;

/// How the number of workers follows from the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Workers per CPU.
    pub per_cpu: u32,
    /// Workers beyond that.
    pub plus: u32,
    /// The least number. 0 counts as 1: nobody is served by no worker.
    pub min: u32,
    /// The greatest number, if the user set one.
    pub max: Option<u32>,
    /// What a worker needs, in bytes, if the user said so.
    pub memory_per_worker: Option<u64>,
    /// What is not for workers, in bytes.
    pub memory_reserve: u64,
}

impl Default for Sizing {
    /// `ceil(2 * cpus) + 1`, without regard to memory.
    fn default() -> Sizing {
        Sizing {
            per_cpu: 2,
            plus: 1,
            min: 1,
            max: None,
            memory_per_worker: None,
            memory_reserve: 0,
        }
    }
}

/// The rule that decided the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The formula.
    Cpu,
    /// `max`, or [`MAX_WORKERS`].
    Max,
    /// The memory limit over `memory_per_worker`.
    Memory,
    /// `min`.
    Min,
}

impl Rule {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::Cpu => "cpu",
            Rule::Max => "max",
            Rule::Memory => "memory",
            Rule::Min => "min",
        }
    }
}

/// A number of workers, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// At least 1, at most [`MAX_WORKERS`].
    pub count: u32,
    /// The formula with its numbers, before any bound: `ceil(2 * 1.5) + 1`.
    pub formula: String,
    /// What decided.
    pub limited_by: Rule,
    /// All steps for a person: `ceil(2 * 8) + 1 = 17; at most 12`.
    #[serde(skip)]
    pub arithmetic: String,
}

/// How many workers to run. Exact, saturating, never zero.
#[must_use]
pub fn workers(limits: &Limits, sizing: &Sizing) -> Workers {
    let cpus = limits.cpu.cpus;
    let formula = format!("ceil({} * {cpus}) + {}", sizing.per_cpu, sizing.plus);
    let mut count = cpus.ceil_times(sizing.per_cpu).saturating_add(sizing.plus);
    let mut limited_by = Rule::Cpu;
    // Writing to a String cannot fail.
    let mut arithmetic = format!("{formula} = {count}");

    let max = sizing.max.unwrap_or(MAX_WORKERS).min(MAX_WORKERS);
    if count > max {
        (count, limited_by) = (max, Rule::Max);
        let _ = write!(arithmetic, "; at most {max}");
    }
    if let (Some(limit), Some(each)) = (limits.memory.limit_bytes, sizing.memory_per_worker)
        && let Some(fit) = limit.saturating_sub(sizing.memory_reserve).checked_div(each)
        && u64::from(count) > fit
    {
        // Less than a u32 by the comparison.
        (count, limited_by) = (u32::try_from(fit).unwrap_or(count), Rule::Memory);
        let (limit, each) = (Bytes(limit), Bytes(each));
        let _ = match sizing.memory_reserve {
            0 => write!(arithmetic, "; {limit} / {each} = {fit}"),
            reserve => write!(arithmetic, "; ({limit} - {}) / {each} = {fit}", Bytes(reserve)),
        };
    }
    let min = sizing.min.clamp(1, MAX_WORKERS);
    if count < min {
        (count, limited_by) = (min, Rule::Min);
        let _ = write!(arithmetic, "; at least {min}");
    }
    Workers { count, formula, limited_by, arithmetic }
}
