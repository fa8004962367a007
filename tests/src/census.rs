//! Who answers? Counting workers as the outside world sees them.
//!
//! One shared listener hands connections to whoever is free, and at low load that is nearly always
//! the same worker. So many ask at once, and every other request has the worker compute (`/cpu`): one
//! that computes does not accept, and the others get their turn. Each request is a new connection.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::http::Client;

/// What the demo says of the worker that answers. Only the process id is there without headcount.
#[derive(Clone, Debug, Deserialize)]
struct Answer {
    worker: Option<u32>,
    pid: u32,
    generation: Option<u64>,
}

/// One worker, as seen from outside.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its slot.
    pub slot: Option<u32>,
    /// Which of the slot's holders it is.
    pub generation: Option<u64>,
    /// How often it has answered.
    pub answers: u32,
}

/// Every worker that answered, by process id.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The workers.
    pub workers: BTreeMap<u32, Seen>,
    /// All answers together.
    pub answers: u32,
    /// What went wrong last, where anything did: a census goes on regardless.
    pub last_error: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Census {
    /// How many workers have answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// The workers in the order of their slots.
    #[must_use]
    pub fn by_slot(&self) -> Vec<(u32, &Seen)> {
        let mut workers: Vec<_> = self.workers.iter().map(|(pid, seen)| (*pid, seen)).collect();
        workers.sort_by_key(|(pid, seen)| (seen.slot, seen.generation, *pid));
        workers
    }

    fn add(&mut self, answer: &Answer) {
        let seen = self.workers.entry(answer.pid).or_insert(Seen {
            slot: answer.worker,
            generation: answer.generation,
            answers: 0,
        });
        seen.answers = seen.answers.saturating_add(1);
        self.answers = self.answers.saturating_add(1);
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pid, seen) in self.by_slot() {
            let (slot, generation) = (or_dash(seen.slot), or_dash(seen.generation));
            let answers = seen.answers;
            writeln!(
                f,
                "worker {slot:>2}  pid {pid:7}  generation {generation}  answers {answers}"
            )?;
        }
        let seconds = self.took.as_secs_f32();
        write!(f, "{} workers, {} answers in {seconds:.1} s", self.count(), self.answers)
    }
}

/// Asks the app at `url` (its `/`) until `expected` workers have answered, then as much again and a
/// second at least, to meet those that should not be there. Ends early at `limit`.
#[must_use]
pub fn take(url: &str, expected: usize, limit: Duration) -> Census {
    let base = url.trim_end_matches('/');
    let client = Client::new(Duration::from_secs(10).min(limit));
    let census = Mutex::new(Census::default());
    let over = AtomicBool::new(false);
    let start = Instant::now();

    thread::scope(|scope| {
        // Twice as many as there should be workers: half of them compute at any time, and each
        // worker gets to rest and to accept.
        for _ in 0..expected.saturating_mul(2).clamp(4, 64) {
            scope.spawn(|| {
                let urls = [format!("{base}/cpu?ms=20"), format!("{base}/")];
                for url in urls.iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let answer = ask(&client, url);
                    let failed = answer.is_err();
                    if let Ok(mut census) = census.lock() {
                        match answer {
                            Ok(answer) => census.add(&answer),
                            Err(error) => census.last_error = Some(format!("{error:#}")),
                        }
                    }
                    if failed {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }

        let mut complete: Option<(Instant, u32)> = None;
        while start.elapsed() < limit {
            thread::sleep(Duration::from_millis(10));
            let Ok(census) = census.lock() else { break };
            match complete {
                Some((since, answers)) => {
                    let enough = census.answers >= answers.saturating_mul(2);
                    if enough && since.elapsed() > Duration::from_secs(1) {
                        break;
                    }
                }
                None if census.count() >= expected => {
                    complete = Some((Instant::now(), census.answers));
                }
                None => {}
            }
        }
        over.store(true, Ordering::Relaxed);
    });

    let mut census = census.into_inner().unwrap_or_default();
    census.took = start.elapsed();
    census
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn ask(client: &Client, url: &str) -> anyhow::Result<Answer> {
    Ok(serde_json::from_str(&client.get(url)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Answer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_worker_counts_once_however_often_it_answers() {
        let mut census = Census::default();
        let first = answer(r#"{"worker": 0, "pid": 7, "generation": 1, "workers": 2}"#);
        census.add(&first);
        census.add(&first);
        census.add(&answer(r#"{"worker": 1, "pid": 8, "generation": 1, "workers": 2}"#));
        assert_eq!((census.count(), census.answers), (2, 3));
    }

    #[test]
    fn a_successor_in_the_same_slot_is_another_worker() {
        let mut census = Census::default();
        census.add(&answer(r#"{"worker": 0, "pid": 9, "generation": 2, "more": 1}"#));
        census.add(&answer(r#"{"worker": 0, "pid": 7, "generation": 1}"#));
        let pids: Vec<u32> = census.by_slot().iter().map(|(pid, _)| *pid).collect();
        assert_eq!(pids, [7, 9], "in the order of their generations");
    }
}
