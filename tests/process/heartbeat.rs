//! What workers say of themselves on the notify socket, and what it costs them to fall silent.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::signal::Signal;

use crate::procfs;
use crate::support::{eventually, headcount, wait_for};

/// The beginning of a worker's program: `say`, and `wait_for` a file.
const WORKER: &str = r#"
import os, pathlib, socket, subprocess, sys, time
slot = os.environ["HEADCOUNT_WORKER"]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(message):
    notify.sendto(message.encode(), "\0" + os.environ["NOTIFY_SOCKET"][1:])
def wait_for(name):
    while not os.path.exists(name): time.sleep(0.01)
"#;

fn program(rest: &str) -> String {
    format!("{WORKER}{rest}")
}

#[test]
fn a_worker_that_knows_the_protocol_is_ready_when_it_says_so() {
    let rest = r#"
say("STATUS=loading")
wait_for("go-" + slot)
say("STATUS=loaded\nREADY=1")
time.sleep(1000)
"#;
    let pool = headcount("run -w 2 --ready-after 60s").python(&program(rest));
    let workers = pool.wait_for_workers(2);
    pool.write("go-1", "");
    pool.wait_for_log(&format!("worker is ready worker=1.1 pid={}", workers[1].pid));
    assert_eq!(pool.count_log("all workers are ready"), 0);
    pool.write("go-0", "");
    pool.wait_until_ready();
}

#[test]
fn a_message_of_a_worker_s_child_counts_as_the_worker_s() {
    let rest = r#"
if "child" in sys.argv:
    say("READY=1")
else:
    subprocess.run([sys.executable, "-c", pathlib.Path("program.py").read_text(), "child"])
    time.sleep(1000)
"#;
    let pool = headcount("run -w 1 --ready-after 1h --boot-timeout 1h")
        .file("program.py", &program(rest))
        .python(&program(rest));
    pool.wait_until_ready();
}

/// The abstract name is no secret. What a stranger sends comes before what worker 1 then says, and
/// has been read by then.
#[test]
fn a_message_of_somebody_else_counts_for_nothing() {
    let rest = r#"
say("STATUS=loading")
pathlib.Path("armed-" + slot).touch()
wait_for("go-" + slot)
say("READY=1")
time.sleep(1000)
"#;
    let pool = headcount("run -w 2").python(&program(rest));
    let workers = pool.wait_for_workers(2);
    for slot in 0..2 {
        eventually("its first message", || pool.path(&format!("armed-{slot}")).exists());
    }

    let notify = procfs::environment(workers[0].pid)["NOTIFY_SOCKET"].clone();
    let address = SocketAddr::from_abstract_name(&notify[1..]).unwrap();
    let stranger = UnixDatagram::unbound().unwrap();
    for message in [&b"READY=1"[..], b"WATCHDOG=1", b"MAINPID=1", b"", &[0xff; 5000]] {
        stranger.send_to_addr(message, &address).unwrap();
    }
    pool.write("go-1", "");
    pool.wait_for_log("worker is ready worker=1.1");
    assert_eq!(pool.count_log("worker is ready"), 1);
    pool.write("go-0", "");
    pool.wait_until_ready();
    assert_eq!(pool.workers(), workers);
}

#[test]
fn a_worker_whose_heart_stops_is_aborted_and_replaced_and_one_that_never_beat_is_not() {
    let rest = r#"
say("READY=1")
if slot == "0": say("WATCHDOG=1")
time.sleep(1000)
"#;
    let mut pool = headcount("run -w 2 --timeout 1s").python(&program(rest));
    let before = pool.wait_until_ready();
    pool.wait_for_log("aborting the worker: it has been silent for 1.");
    pool.wait_for_log("was killed by SIGABRT");
    let after = wait_for("a replacement", || {
        Some(pool.workers()).filter(|now| now.len() == 2 && now[0].pid != before[0].pid)
    });
    assert_eq!(after[1], before[1], "it is not held to what it never promised");
    pool.stop();
}

#[test]
fn a_worker_that_beats_is_left_alone() {
    let rest = r#"
say("READY=1")
for beat in range(8):
    say("WATCHDOG=1")
    time.sleep(0.25)
pathlib.Path("beaten").touch()
while True:
    say("WATCHDOG=1")
    time.sleep(0.25)
"#;
    // 5 s and not 1: where both CPUs are busy, a beat may be late.
    let pool = headcount("run -w 1 --timeout 5s").python(&program(rest));
    let before = pool.wait_until_ready();
    eventually("eight beats", || pool.path("beaten").exists());
    assert_eq!(pool.workers(), before);
}

#[test]
fn a_worker_that_ignores_the_abort_is_killed() {
    let rest = r#"
import signal
signal.signal(signal.SIGABRT, signal.SIG_IGN)
say("READY=1"); say("WATCHDOG=1")
time.sleep(1000)
"#;
    let mut pool = headcount("run -w 1 --timeout 1s").python(&program(rest));
    let before = pool.wait_until_ready()[0];
    pool.wait_for_log("killing the worker: it ignores SIGABRT");
    eventually("a replacement", || {
        pool.workers().first().is_some_and(|worker| worker.pid != before.pid)
    });
    pool.signal(Signal::SIGINT);
    assert_eq!(pool.exit_code(), Some(0));
}

/// The demo beats from the runtime that serves. Where that is blocked, it is as good as dead.
#[test]
fn the_demo_is_replaced_when_its_runtime_is_blocked() {
    let address = crate::support::free_address();
    let pool =
        headcount("run -w 1 --timeout 1s").env("TOKIO_WORKER_THREADS", "1").bind(&address).demo();
    let before = pool.wait_until_ready()[0];
    let _blocking = crate::client::send(&address, "/cpu?ms=60000").unwrap();
    pool.wait_for_log("aborting the worker: it has been silent for");
    assert_ne!(crate::client::who(&address).pid, before.pid);
}
