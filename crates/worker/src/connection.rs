//! One connection, from its acceptance to its end. Until a drain starts it is hyper's alone; then
//! it is this module that decides when hyper may close it:
//!
//! | the connection | is closed |
//! | --- | --- |
//! | has a request in flight | after its response, which says `Connection: close` |
//! | has sent the head of that response already | after being idle, like the next one |
//! | is idle, or in the middle of a request's head | [`Patience::idle`] after its last byte |
//! | was accepted and has not sent a byte | [`Patience::first_request`] after the start of the drain |

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};
use tower::Service;

use crate::watched::{Activity, Answer, InFlight, Watched};
use crate::{Draining, Patience};

/// Serves `app` on `stream` until either side has had enough.
pub(crate) async fn serve<S>(stream: S, app: Router, mut draining: Draining, patience: Patience)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = service_fn(|request: Request<Incoming>| {
        let in_flight = InFlight::begin(&activity);
        // A router is always ready: there is nothing to poll for before the call.
        let answering = app.clone().call(request);
        async move {
            let mut response = answering.await?;
            // Not on an upgrade, whose `Connection` header says so.
            if in_flight.0.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Answer { body, _in_flight: in_flight }))
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(io, service).with_upgrades());
    let mut drain_start = pin!(draining.started());
    let mut hold = None;

    let ended = poll_fn(|cx| {
        // First of all, so that a request that arrives together with the drain is answered by it.
        if hold.is_none() && drain_start.as_mut().poll(cx).is_ready() {
            activity.start_draining();
            hold = Some(Hold::new(&activity, patience));
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        // Only now: hyper has just taken what there was to read.
        if hold.as_mut().is_some_and(|hold| hold.is_over(&activity, cx)) {
            connection.as_mut().graceful_shutdown();
            return connection.as_mut().poll(cx);
        }
        Poll::Pending
    });
    if let Err(error) = ended.await {
        tracing::debug!("a connection ended: {error}");
    }
}

/// How long a silent connection is kept during a drain.
struct Hold {
    patience: Patience,
    transfers: usize,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Hold {
    fn new(activity: &Activity, patience: Patience) -> Self {
        let transfers = activity.transfers();
        let wait = if transfers == 0 { patience.first_request } else { patience.idle };
        Self { patience, transfers, timer: Box::pin(sleep(wait)), over: false }
    }

    /// True once, when the connection has been silent for long enough. To be asked after every
    /// poll of the connection, which is what moves bytes and ends responses.
    fn is_over(&mut self, activity: &Activity, cx: &mut Context<'_>) -> bool {
        if self.over || activity.is_in_flight() {
            return false;
        }
        let transfers = activity.transfers();
        if transfers != self.transfers {
            self.transfers = transfers;
            self.timer.set(sleep(self.patience.idle));
        }
        self.over = self.timer.as_mut().poll(cx).is_ready();
        self.over
    }
}
