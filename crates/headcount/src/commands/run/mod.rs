//! `headcount run`: the driver of the supervisor. It turns signals, messages and the ends of
//! processes into events, and actions into system calls, and decides nothing itself.

mod changes;
mod control;
mod generation;
mod live;
mod memory;
mod processes;
mod report;
mod status;

use std::rc::Rc;
use std::time::{Duration, Instant};

use headcount_supervisor::{
    Action, Event, Outcome, Reason, Settings, Signal, Supervisor, Time, Urgency, WorkerId,
};
use tracing::{debug, error, info, warn};

use crate::commands::orphans;
use crate::config::{Config, ConfigError, Layer, OnCrashLoop};
use crate::exit;
use crate::os::control::ControlSocket;
use crate::os::notify::{self, NotifySocket};
use crate::os::reap::reap_all;
use crate::os::signals::{self, Received, Signals};
use crate::os::sleep::{Sleeper, Wake};
use crate::os::sockets::SocketError;
use crate::os::sys::{self, Reaped};
use crate::plan::Plan;

use changes::{Changes, RestartEnd};
use generation::Generation;
use live::Live;
use memory::OomWatch;
use processes::Processes;
use report::Leaving;

/// Where the configuration came from, so that it can be read again.
pub struct Source {
    pub flags: Layer,
    pub file: Option<std::path::PathBuf>,
}

impl Source {
    pub fn plan(&self) -> Result<Plan, ConfigError> {
        Config::load(self.flags.clone(), self.file.as_deref()).map(Plan::make)
    }
}

/// Runs the pool to its end; the answer is the exit code.
pub fn run(source: Source, plan: Plan, signals: Signals) -> u8 {
    for warning in plan.warnings() {
        warn!("{warning}");
    }
    let pool = match Pool::prepare(source, plan, signals) {
        Ok(pool) => pool,
        Err(PrepareError::Socket(error)) => {
            error!("{error}");
            return exit::CONFIG;
        }
        Err(PrepareError::Kernel(what, errno)) => {
            error!("cannot make {what}: {errno}");
            return exit::OS_ERROR;
        }
    };
    pool.serve()
}

enum PrepareError {
    Socket(SocketError),
    Kernel(&'static str, nix::errno::Errno),
}

/// How many messages, and how many signals, are taken before something else is done: somebody who
/// never stops sending must not stop the rest. What is left wakes us again.
const AT_ONCE: usize = 64;

struct Pool {
    source: Source,
    signals: Signals,
    sleeper: Rc<Sleeper>,
    notify: NotifySocket,
    control: Option<ControlSocket>,
    supervisor: Supervisor,
    /// Those that have workers, and the one that new slots start with; the newest is last.
    generations: Vec<Generation>,
    processes: Processes,
    oom: OomWatch,
    live: Live,
    changes: Changes,
    started: Instant,
    leaving: Option<Leaving>,
}

impl Pool {
    /// All that may fail. Nothing has been started when it does.
    fn prepare(source: Source, plan: Plan, signals: Signals) -> Result<Self, PrepareError> {
        let kernel = |what| move |errno| PrepareError::Kernel(what, errno);
        let sleeper = Sleeper::new().map_err(kernel("an epoll"))?;
        let notify = NotifySocket::open().map_err(kernel("the notify socket"))?;
        sleeper.watch(&signals, Wake::Signal).map_err(kernel("an epoll"))?;
        sleeper.watch(&notify, Wake::Notify).map_err(kernel("an epoll"))?;
        let control = control::open(plan.config.control.as_ref()).map_err(PrepareError::Socket)?;
        if let Some(control) = &control {
            sleeper.watch(control, Wake::Control).map_err(kernel("an epoll"))?;
        }
        let settings = settings(&plan.config);
        let workers = plan.workers;
        let oom = OomWatch::start(&plan.limits.memory);
        let live = Live::start(&plan, &sleeper);
        let generation =
            Generation::prepare(1, plan, None, notify.address()).map_err(PrepareError::Socket)?;
        info!(
            workers,
            bind = generation.plan.config.addresses(),
            "starting {}: {}",
            report::count(workers),
            generation.plan.because
        );
        orphans::adopt();
        Ok(Self {
            source,
            signals,
            sleeper: Rc::new(sleeper),
            notify,
            control,
            supervisor: Supervisor::new(settings, workers, Time::ZERO),
            generations: vec![generation],
            processes: Processes::default(),
            oom,
            live,
            changes: Changes::default(),
            started: Instant::now(),
            leaving: None,
        })
    }

    /// From here on nothing ends this process but [`Action::Exit`].
    fn serve(mut self) -> u8 {
        loop {
            while let Some(action) = self.supervisor.poll_action() {
                if let Some(outcome) = self.carry_out(action) {
                    return self.farewell(outcome);
                }
            }
            let now = self.now();
            let next =
                [self.supervisor.poll_timeout(), self.control_deadline(), self.live_deadline()];
            let timeout = next.into_iter().flatten().min().map(|at| at.saturating_sub(now));
            let woken = self.sleeper.sleep(timeout);
            // First what workers have said, then who has ended: a worker may have said READY=1 and
            // ended since, and its parents can be looked up only until it is reaped.
            if woken.contains(&Wake::Notify) {
                self.read_messages();
            }
            if woken.contains(&Wake::Signal) {
                self.read_signals();
            }
            if woken.contains(&Wake::Limits) {
                self.limits_may_have_changed();
            }
            self.follow_limits();
            self.serve_control(&woken);
            // Whatever else goes on: somebody who never stops talking must not stop the clock.
            if self.supervisor.poll_timeout().is_some_and(|at| at <= self.now()) {
                self.tell(Event::Tick);
            }
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn tell(&mut self, event: Event) {
        let now = self.now();
        self.supervisor.handle(event, now);
    }

    // ---- actions --------------------------------------------------------------------------------

    fn carry_out(&mut self, action: Action) -> Option<Outcome> {
        match action {
            Action::Spawn(id) => self.spawn(id),
            Action::Signal { worker, signal, reason } => self.signal(worker, signal, reason),
            Action::Ready(id) => {
                info!(worker = %id, pid = self.processes.pid_of(id), "worker is ready");
            }
            Action::Replace { worker, after } if after.is_zero() => debug!(%worker, "replacing"),
            Action::Replace { worker, after } => {
                info!(%worker, "replacing the worker in {:.1}s", after.as_secs_f64());
            }
            Action::PoolUp => {
                info!("all workers are ready");
                notify::tell_manager("READY=1");
                sys::release_memory();
            }
            Action::RestartDone(generation) => {
                info!(generation, "rolling restart done");
                self.restart_ended(RestartEnd::Done);
            }
            Action::RestartFailed(id) => {
                error!(worker = %id, "rolling restart given up: the new worker did not get ready; \
                       the old ones stay");
                self.restart_ended(RestartEnd::GivenUp(id));
            }
            Action::Exit(outcome) => return Some(outcome),
        }
        None
    }

    fn spawn(&mut self, id: WorkerId) {
        let workers = self.supervisor.desired();
        let spawned = self
            .generations
            .iter()
            .find(|generation| generation.number == id.generation)
            .map(|generation| generation.spawn(id, workers, &self.signals.inherited));
        let event = match spawned {
            Some(Ok(pid)) => {
                debug!(worker = %id, pid, "started");
                self.processes.insert(pid, id, self.now());
                Event::Spawned(id)
            }
            Some(Err(error)) => {
                error!(worker = %id, "cannot start the worker: {error}");
                Event::SpawnFailed { worker: id, permanent: error.is_permanent() }
            }
            // The supervisor names only generations that were prepared for it.
            None => Event::SpawnFailed { worker: id, permanent: false },
        };
        self.tell(event);
    }

    fn signal(&mut self, id: WorkerId, signal: Signal, reason: Reason) {
        let Some(pid) = self.processes.pid_of(id) else { return };
        report::signalled(id, pid, reason);
        // A failure means that it has ended meanwhile, and its end is on its way to us.
        let _ = match signal {
            Signal::Terminate => sys::send(pid, libc::SIGTERM),
            Signal::Abort => sys::send(pid, libc::SIGABRT),
            Signal::Kill => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.killed = leaving.killed.saturating_add(1);
                }
                // The worker itself as well, whatever became of its group: it may have left it.
                let _ = sys::send_group(pid, libc::SIGKILL);
                sys::send(pid, libc::SIGKILL)
            }
        };
    }

    fn farewell(&self, outcome: Outcome) -> u8 {
        orphans::end(&self.signals, orphans::ORPHAN_TIMEOUT);
        match outcome {
            Outcome::Stopped => {
                let leaving = self.leaving.unwrap_or_default();
                report::stopped(leaving, self.now().saturating_sub(leaving.since));
                exit::OK
            }
            Outcome::CrashLoop => {
                error!("no worker could be kept for a minute: giving up");
                exit::CANNOT_BOOT
            }
            Outcome::BootFailed => {
                error!("no worker can boot: giving up");
                exit::CANNOT_BOOT
            }
        }
    }

    // ---- events ---------------------------------------------------------------------------------

    fn read_messages(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(message) = self.notify.next() else { return };
            let Some(id) = self.processes.owner_of(message.sender) else {
                debug!(sender = message.sender, "a message from a process that is no worker's");
                continue;
            };
            debug!(worker = %id, ?message, "the worker says");
            if message.ready {
                self.tell(Event::Ready(id));
            }
            if message.heartbeat {
                self.tell(Event::Heartbeat(id));
            }
            if !message.ready && !message.heartbeat {
                self.tell(Event::Spoke(id));
            }
        }
    }

    fn read_signals(&mut self) {
        let mut children = false;
        for _ in 0..AT_ONCE {
            let Some(signal) = self.signals.next() else { break };
            if signal.number == libc::SIGCHLD {
                children = true;
            } else {
                self.on_signal(signal);
            }
        }
        if children {
            self.reap();
        }
    }

    fn on_signal(&mut self, Received { number, by_kernel }: Received) {
        let name = signals::name(number);
        let desired = self.supervisor.desired();
        match number {
            libc::SIGTERM => self.stop(Urgency::Graceful, &name),
            libc::SIGINT | libc::SIGQUIT => self.stop(Urgency::Quick, &name),
            // The terminal has gone, and with it whoever could send a better signal.
            libc::SIGHUP if by_kernel => self.stop(Urgency::Graceful, &name),
            // What is wrong is in the log.
            libc::SIGHUP => drop(self.reload()),
            // A terminal that changes its size, or that is read from the background, means nothing.
            libc::SIGWINCH | libc::SIGTTIN | libc::SIGTTOU if by_kernel => {}
            libc::SIGTTIN => self.resize_by_hand(desired.saturating_add(1), &name),
            libc::SIGTTOU => self.resize_by_hand(desired.saturating_sub(1).max(1), &name),
            libc::SIGWINCH => self.resize_by_hand(0, &name),
            _ => {
                debug!(signal = name, "forwarding to the workers");
                for pid in self.processes.pids() {
                    let _ = sys::send(pid, number);
                }
            }
        }
    }

    fn stop(&mut self, urgency: Urgency, signal: &str) {
        if self.leaving.is_none() {
            let workers = self.processes.len();
            info!(signal, "stopping {}", report::count(workers));
            notify::tell_manager("STOPPING=1");
            self.leaving = Some(Leaving { since: self.now(), workers, killed: 0 });
        }
        self.tell(Event::Stop(urgency));
    }

    fn reap(&mut self) {
        let mut ended = Vec::new();
        let processes = &mut self.processes;
        reap_all(
            // What a worker leaves behind in its group has lost its purpose, and holds its sockets.
            // The group is signalled while the worker still holds its number.
            |pid| {
                if processes.id_of(pid).is_some() {
                    let _ = sys::send_group(pid, libc::SIGTERM);
                }
            },
            |reaped| ended.push(reaped),
        );
        for reaped in &ended {
            self.ended(reaped);
        }
        self.oom.settle();
    }

    fn ended(&mut self, reaped: &Reaped) {
        let Some((id, since)) = self.processes.remove(reaped.pid) else {
            debug!(pid = reaped.pid, "reaped an orphan");
            return;
        };
        let lived = self.now().saturating_sub(since);
        let expected = self.supervisor.is_told_to_leave(id);
        let why = self.oom.explain(reaped);
        report::ended(id, reaped, lived, expected, why.as_deref());
        self.tell(Event::Exited(id));
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        ready_after: config.ready_after.0,
        // 0 waits for ever, as gunicorn's timeouts do; a year is that long.
        boot_timeout: Some(config.boot_timeout.0)
            .filter(|time| !time.is_zero())
            .unwrap_or(Duration::from_secs(365 * 24 * 60 * 60)),
        timeout: config.timeout.map(|timeout| timeout.0),
        graceful_timeout: config.graceful_timeout.0,
        drain_delay: config.drain_delay.0,
        crash_window: match config.on_crash_loop {
            OnCrashLoop::Exit => Settings::default().crash_window,
            OnCrashLoop::Retry => None,
        },
        ..Settings::default()
    }
}
