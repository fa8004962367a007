//! What the pool answers on its control socket.

use std::path::Path;

use tracing::{debug, warn};

use headcount_supervisor::{Time, Urgency};

use super::Pool;
use super::status;
use crate::config::{Control, default_places};
use crate::os::control::ControlSocket;
use crate::os::sleep::Wake;
use crate::os::sockets::SocketError;
use crate::protocol::{Request, object, refusal, response};

use nix::errno::Errno;

/// Opens the control socket. A path that somebody named must work; of the default places, the first
/// that works is taken, and none is no error: a read-only root has no place for it.
pub(super) fn open(wanted: Option<&Control>) -> Result<Option<ControlSocket>, SocketError> {
    let open = |path: &Path| {
        ControlSocket::open(path).map_err(|errno| {
            (errno, SocketError::new(format_args!("unix:{}", path.display()), errno))
        })
    };
    match wanted {
        Some(Control::None) => return Ok(None),
        Some(Control::Path(path)) => return open(path).map(Some).map_err(|(_, error)| error),
        None => {}
    }
    let mut reasons = String::new();
    for place in default_places() {
        match open(&place) {
            Ok(socket) => return Ok(Some(socket)),
            Err((errno, error)) => {
                if !reasons.is_empty() {
                    reasons.push_str("; ");
                }
                reasons.push_str(&error.to_string());
                // Another headcount answers there. In the next place nobody would look for this one.
                if errno == Errno::EADDRINUSE {
                    break;
                }
            }
        }
    }
    warn!("no control socket, so `headcount status` will not work: {reasons} (--control PATH)");
    Ok(None)
}

impl Pool {
    /// When the control socket's clients have had their time.
    pub(super) fn control_deadline(&self) -> Option<Time> {
        self.control.as_ref().and_then(ControlSocket::deadline)
    }

    /// Looks after the control socket, if there is anything to do.
    pub(super) fn serve_control(&mut self, woken: &[Wake]) {
        let now = self.now();
        if !woken.contains(&Wake::Control) && self.control_deadline().is_none_or(|at| now < at) {
            return;
        }
        // Taken out for the while, since an answer may concern all of the pool.
        if let Some(mut control) = self.control.take() {
            let sleeper = std::rc::Rc::clone(&self.sleeper);
            control.serve(&sleeper, now, |line| self.answer(line));
            self.control = Some(control);
        }
    }

    fn answer(&mut self, line: &[u8]) -> Vec<u8> {
        let request = match Request::parse(line) {
            Ok(request) => request,
            Err(error) => return refusal(&error.to_string()),
        };
        let (what, number) = match request {
            Request::Status => return response(status::of(self)),
            Request::Scale(_) if self.supervisor.is_leaving() => {
                return refusal("headcount is stopping");
            }
            Request::Scale(scale) => ("workers", self.scale(scale)),
            Request::Reload => match self.reload() {
                Ok(generation) => ("generation", generation),
                Err(error) => return refusal(&error.to_string()),
            },
            Request::Stop => {
                self.stop(Urgency::Graceful, "headcount stop");
                ("workers", 0)
            }
        };
        debug!(?request, "carried out");
        response(object(&[("ok", true.into()), (what, number.into())]))
    }
}
