//! What headcount does, a module for each command.

pub mod ask;
pub mod check;
pub mod exec;
pub mod limits;
pub mod orphans;
pub mod run;
pub mod status;
