//! The limit of processes and threads: the smallest `pids.max` over the ancestors. The file has the
//! same name and form in v1 (cgroup-v1/pids.rst) and v2. It bounds the threads of all workers
//! together, and running into it looks like a crash of the runtime.

use serde::Serialize;

use crate::hierarchy::Place;
use crate::limit_file::{self, Malformed, number, only_field};
use crate::shown::Warnings;
use crate::source::Source;

/// How many processes and threads may exist at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// `None` where no limit is visible.
    pub limit: Option<u64>,
    /// The file that holds it.
    pub file: Option<String>,
}

impl Pids {
    pub(crate) fn read(
        place: Option<&Place>,
        source: &mut Source,
        warnings: &mut Warnings,
    ) -> Pids {
        let found = place.and_then(|place| {
            limit_file::smallest(place, source, warnings, |source, dir| {
                limit_file::parsed(source, &dir.join("pids.max"), pids_max)
            })
        });
        match found {
            Some(found) => Pids { limit: Some(found.limit), file: Some(found.set_by.file) },
            None => Pids { limit: None, file: None },
        }
    }
}

fn pids_max(content: &[u8]) -> Result<Option<u64>, Malformed> {
    match only_field(content)? {
        b"max" => Ok(None),
        field => number(field).map(Some),
    }
}
