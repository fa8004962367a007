//! A generation: the plan, the environment and the sockets that its workers are started with. While
//! a rolling restart runs there are two, which share the sockets that both have.

use std::ffi::{OsStr, OsString};
use std::rc::Rc;

use headcount_supervisor::WorkerId;

use crate::environment;
use crate::os::sockets::{self, Socket, SocketError};
use crate::os::spawn::{Environment, Request, SpawnError, spawn};
use crate::os::sys::{Inherited, Pid};
use crate::plan::Plan;

/// What workers of one generation have in common.
pub struct Generation {
    pub number: u32,
    pub plan: Plan,
    command: Vec<OsString>,
    environment: Environment,
    pid_variables: Vec<&'static str>,
    sockets: Vec<Rc<Socket>>,
}

impl Generation {
    /// Opens what the plan listens on, except for what the generation before has open already.
    pub fn prepare(
        number: u32,
        plan: Plan,
        before: Option<&Self>,
        notify_socket: &OsStr,
    ) -> Result<Self, SocketError> {
        let open = before.map(|before| before.sockets.as_slice()).unwrap_or_default();
        let sockets = sockets::open_all(&plan.config.bind, plan.config.backlog, open)?;
        Ok(Self {
            number,
            command: plan.config.command.iter().map(OsString::from).collect(),
            environment: environment::for_workers(&plan, notify_socket, &sockets::names(&sockets)),
            pid_variables: environment::pid_variables(&plan),
            plan,
            sockets,
        })
    }

    /// Gives workers that are started from here on the budget of other limits.
    pub fn replan(&mut self, plan: Plan, notify_socket: &OsStr) {
        let names = sockets::names(&self.sockets);
        self.environment = environment::for_workers(&plan, notify_socket, &names);
        self.plan = plan;
    }

    /// Starts a worker.
    pub fn spawn(
        &self,
        id: WorkerId,
        workers: u32,
        inherited: &Inherited,
    ) -> Result<Pid, SpawnError> {
        let mut environment = self.environment.clone();
        environment::identify(&mut environment, id.slot, id.generation, workers);
        spawn(
            Request {
                command: &self.command,
                environment: &environment,
                pid_variables: &self.pid_variables,
                passed: self.sockets.iter().map(|socket| socket.descriptor()).collect(),
                foreground: false,
            },
            inherited,
        )
    }
}
