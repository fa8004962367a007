//! The times that the machine keeps, in one place, with their defaults and where each comes from.

use core::time::Duration;

/// The machine's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A worker that never speaks counts as ready once it has lived this long.
    pub ready_after: Duration,
    /// A worker must be ready within this (`boot_timeout`).
    pub boot_timeout: Duration,
    /// A worker that has sent a heartbeat once is killed when it is silent for this long (gunicorn's
    /// `timeout`). `None` switches it off, like gunicorn's 0.
    pub timeout: Option<Duration>,
    /// Time between SIGABRT and SIGKILL for a silent worker: long enough to write a backtrace.
    pub abort_grace: Duration,
    /// Time to finish requests (gunicorn's `graceful_timeout`).
    pub graceful_timeout: Duration,
    /// Time to leave after a quick stop.
    pub quick_timeout: Duration,
    /// Keep serving this long after a graceful stop was asked for, so that load balancers notice.
    pub drain_delay: Duration,
    /// The first pause before a worker that keeps failing is started again; it doubles.
    pub backoff_first: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
    /// A worker that has lived this long starts with a clean slate.
    pub backoff_reset: Duration,
    /// While no worker has ever been ready: how often each slot may fail before the pool gives up.
    pub boot_attempts: u32,
    /// Give up when every slot fails again and again, and no worker has been steady (alive for
    /// `backoff_reset`) for this long, so that the orchestrator sees it. `None`: try for ever.
    pub crash_window: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ready_after: Duration::from_secs(1),
            boot_timeout: Duration::from_secs(60),
            timeout: Some(Duration::from_secs(120)),
            abort_grace: Duration::from_secs(2),
            graceful_timeout: Duration::from_secs(30),
            quick_timeout: Duration::from_secs(1),
            drain_delay: Duration::ZERO,
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            backoff_reset: Duration::from_secs(10),
            boot_attempts: 3,
            crash_window: Some(Duration::from_secs(60)),
        }
    }
}

impl Settings {
    /// The pause before the next start, after this many failures in a row.
    ///
    /// A worker that had been ready is replaced at once the first time, since a lone crash is no
    /// crash loop and its slot is missed; one that never got up waits from the first time.
    pub(crate) fn backoff(&self, failures: u32, had_been_ready: bool) -> Duration {
        let steps = failures.saturating_sub(u32::from(had_been_ready));
        match steps.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.backoff_first.saturating_mul(factor).min(self.backoff_max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn backoff_doubles_from_100_ms_to_10_s() {
        let settings = Settings::default();
        let pauses: Vec<u128> =
            (1..=9).map(|failures| settings.backoff(failures, false).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(settings.backoff(u32::MAX, false).as_secs(), 10);
    }

    #[test]
    fn a_lone_crash_is_replaced_at_once() {
        let settings = Settings::default();
        let pauses: Vec<u128> =
            (1..=3).map(|failures| settings.backoff(failures, true).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200]);
    }
}
