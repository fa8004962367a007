//! Workers that nobody here wrote: they take descriptor 3, and know nothing else of headcount.

use std::collections::BTreeSet;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::client::get;
use crate::procfs;
use crate::pypi::installed;
use crate::support::{Headcount, eventually, free_address, headcount, python};

/// Every worker answers with its pid; one that is killed is replaced; all leave when they are told.
fn is_a_pool(mut pool: Headcount, address: &str, workers: usize) {
    pool.wait_until_ready();
    let answers_of_all = || {
        let running: BTreeSet<u32> = procfs::children(pool.pid()).into_iter().collect();
        let mut seen = BTreeSet::new();
        for _ in 0..500 {
            if let Ok(answer) = get(address, "/") {
                seen.extend(answer.body.trim().parse::<u32>());
            }
            if seen == running && seen.len() == workers {
                return true;
            }
        }
        false
    };
    eventually("every worker answers", answers_of_all);
    let victim = procfs::children(pool.pid()).into_iter().next().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim.cast_signed()), Signal::SIGKILL)
        .unwrap();
    eventually("a replacement answers", || {
        !procfs::children(pool.pid()).contains(&victim) && answers_of_all()
    });
    pool.stop();
    pool.wait_until_nothing_is_left();
}

#[test]
fn uvicorn_takes_its_socket_by_number() {
    const APP: &str = r#"
import os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"#;
    let address = free_address();
    let bin = installed("uvicorn==0.34.0", Path::new(python()));
    let uvicorn = bin.join("uvicorn");
    let command = [uvicorn.to_str().unwrap(), "app:app", "--fd", "3", "--log-level", "warning"];
    let pool = headcount("run -w 2").bind(&address).file("app.py", APP).runs(&command);
    is_a_pool(pool, &address, 2);
}

#[test]
fn a_node_server_listens_on_descriptor_3() {
    const APP: &str = "require('http')
        .createServer((request, response) => response.end(String(process.pid)))
        .listen({ fd: 3 });";
    let address = free_address();
    let pool = headcount("run -w 3").bind(&address).runs(&["node", "-e", APP]);
    is_a_pool(pool, &address, 3);
}
