//! The axum app that compose.yaml serves: small enough to read, and with a route for everything
//! that one would like to see headcount do. `/` tells who answers, `/cpu` blocks a worker's thread
//! (enough of it, and the heartbeat stops), `/sleep` keeps a request in flight across a reload.

use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use headcount_worker::{Draining, Identity, Worker};
use serde::{Deserialize, Serialize};

/// The longest that `/cpu` and `/sleep` may be told to take.
const LONGEST_MS: u64 = 60_000;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let worker = Worker::from_env(([0, 0, 0, 0], 8000).into())?;
    let app = app(App { identity: worker.identity(), draining: worker.draining() });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(worker.serve(app))?;
    // A handler that is stuck must not keep the process: it had its time.
    runtime.shutdown_background();
    Ok(())
}

#[derive(Clone)]
struct App {
    identity: Identity,
    draining: Draining,
}

fn app(state: App) -> Router {
    Router::new()
        .route("/", get(whoami))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/cpu", get(cpu))
        .route("/sleep", get(sleep))
        .with_state(state)
}

/// Who answered.
#[derive(Serialize)]
struct Whoami {
    worker: Option<u32>,
    pid: u32,
    generation: Option<u64>,
    workers: Option<u32>,
}

async fn whoami(State(app): State<App>) -> Json<Whoami> {
    let Identity { worker, workers, generation, .. } = app.identity;
    Json(Whoami { worker, pid: process::id(), generation, workers })
}

async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.draining.is_started() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ready")
    }
}

#[derive(Deserialize)]
struct Time {
    ms: u64,
}

type TimeQuery = Result<Query<Time>, QueryRejection>;
type BadRequest = (StatusCode, String);

/// Burns a CPU in the handler, which is what one should not do: the thread serves nothing else.
async fn cpu(app: State<App>, time: TimeQuery) -> Result<Json<Whoami>, BadRequest> {
    let (time, start) = (duration(time)?, Instant::now());
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
    Ok(whoami(app).await)
}

async fn sleep(app: State<App>, time: TimeQuery) -> Result<Json<Whoami>, BadRequest> {
    tokio::time::sleep(duration(time)?).await;
    Ok(whoami(app).await)
}

fn duration(time: TimeQuery) -> Result<Duration, BadRequest> {
    let problem = match time {
        Ok(Query(Time { ms })) if ms <= LONGEST_MS => return Ok(Duration::from_millis(ms)),
        Ok(Query(Time { ms })) => format!("{ms} is too much"),
        Err(rejection) => rejection.body_text(),
    };
    let message = format!("ms must be a whole number from 0 to {LONGEST_MS}: {problem}\n");
    Err((StatusCode::BAD_REQUEST, message))
}
