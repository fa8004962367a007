//! One GET, over a connection of its own.
//!
//! A connection stays with the worker that accepted it. Whoever wants to meet every worker must
//! knock anew each time, so nothing here is pooled.

use std::time::Duration;

use anyhow::{Result, ensure};
use ureq::Agent;

/// A client that opens a new connection for each request.
#[derive(Clone, Debug)]
pub struct Client(Agent);

impl Client {
    /// A client that waits this long for an answer.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .max_idle_connections(0)
            .build();
        Self(config.into())
    }

    /// The body of a 200 answer.
    ///
    /// # Errors
    /// If there is no answer in time, or another one.
    pub fn get(&self, url: &str) -> Result<String> {
        let mut response = self.0.get(url).header("connection", "close").call()?;
        let body = response.body_mut().read_to_string()?;
        ensure!(response.status() == 200, "{url}: {} {body}", response.status());
        Ok(body)
    }
}
