//! What a pool of workers is: how many, what each of them is told, and what it inherits.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::census;

use crate::procfs;
use crate::support::{eventually, free_address, free_port, headcount, python, wait_for};

#[test]
fn three_workers_serve_and_each_knows_its_slot() {
    let address = free_address();
    let mut pool = headcount("run -w 3").bind(&address).demo();
    let workers = pool.wait_until_ready();

    let census = census::take(&format!("http://{address}"), 3, Duration::from_secs(30));
    let answered: Vec<_> =
        census.by_slot().iter().map(|(pid, seen)| (seen.slot, seen.generation, *pid)).collect();
    let expected: Vec<_> = workers
        .iter()
        .map(|worker| (Some(worker.slot), Some(u64::from(worker.generation)), worker.pid))
        .collect();
    assert_eq!(answered, expected, "{census}");
    assert_eq!(workers.iter().map(|worker| worker.slot).collect::<Vec<_>>(), [0, 1, 2]);
    pool.stop();
}

#[test]
fn a_worker_finds_the_contract_in_its_environment() {
    let port = free_port();
    let pool = headcount("run -w 2")
        .bind(&format!("127.0.0.1:{port}"))
        .bind("unix:app.sock")
        .env("OMP_NUM_THREADS", "7")
        .env("NOTIFY_SOCKET", "@headcount-s-own-manager")
        .env("LISTEN_FDS", "5")
        .runs(&["sleep", "1000"]);

    for worker in pool.wait_for_workers(2) {
        let found = procfs::environment(worker.pid);
        for (name, value) in [
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", &worker.pid.to_string()),
            ("LISTEN_FDNAMES", &format!("tcp-{port}:app.sock")),
            ("WATCHDOG_USEC", "120000000"),
            ("WATCHDOG_PID", &worker.pid.to_string()),
            ("HEADCOUNT_WORKER", &worker.slot.to_string()),
            ("HEADCOUNT_WORKERS", "2"),
            ("HEADCOUNT_GENERATION", "1"),
            ("WEB_CONCURRENCY", "1"),
            ("OMP_NUM_THREADS", "7"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name} in {found:?}");
        }
        let notify = &found["NOTIFY_SOCKET"];
        assert!(notify.starts_with('@') && notify != "@headcount-s-own-manager", "{notify}");
        assert!(found["HEADCOUNT_CPUS"].parse::<f64>().is_ok_and(|cpus| cpus > 0.0), "{found:?}");
        for threads in ["GOMAXPROCS", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS"] {
            assert!(found[threads].parse::<u32>().is_ok_and(|count| count > 0), "{found:?}");
        }
    }
}

/// A worker that has no socket must not take headcount's own, of which it would know by `LISTEN_FDS`.
#[test]
fn without_an_address_no_worker_hears_of_sockets_nor_of_a_watchdog_that_is_off() {
    let pool = headcount("run -w 1 --timeout 0")
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "above")
        .env("WATCHDOG_USEC", "5000000")
        .runs(&["sleep", "1000"]);

    let worker = pool.wait_for_workers(1)[0];
    let found = procfs::environment(worker.pid);
    let is_told = |name: &&str| found.contains_key(*name);
    let names = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"];
    assert_eq!(names.iter().find(|name| is_told(name)), None, "{found:?}");
}

#[test]
fn each_worker_leads_a_process_group_of_its_own() {
    let pool = headcount("run -w 3").runs(&["sleep", "1000"]);
    let workers = pool.wait_for_workers(3);
    let groups: BTreeSet<u32> =
        workers.iter().map(|worker| procfs::stat(worker.pid).unwrap().group).collect();
    assert_eq!(groups, workers.iter().map(|worker| worker.pid).collect());
}

#[test]
fn a_worker_inherits_its_sockets_and_no_other_descriptor() {
    // Whatever this test was started with, headcount shall start with three descriptors.
    let close = "import os, sys; os.closerange(3, 4096); os.execv(sys.argv[1], sys.argv[1:])";
    let pool = headcount("run -w 2")
        .under(&[python(), "-c", close])
        .bind(&free_address())
        .bind("unix:app.sock")
        .runs(&["sleep", "1000"]);

    let workers = pool.wait_for_workers(2);
    let of_headcount = procfs::descriptors(pool.pid());
    for worker in workers {
        let found = procfs::descriptors(worker.pid);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{found:?}");
        for (number, socket) in [(3, &found[&3]), (4, &found[&4])] {
            assert!(socket.starts_with("socket:"), "{number} is {socket}");
            assert!(of_headcount.values().any(|its| its == socket), "{socket} in {of_headcount:?}");
        }
        for number in 0..3 {
            assert_eq!(found[&number], of_headcount[&number], "logs go straight to their place");
        }
    }
}

#[test]
fn what_workers_print_goes_where_headcount_s_own_output_goes() {
    let pool =
        headcount("run -w 2").sh("echo out $HEADCOUNT_WORKER; echo err >&2; exec sleep 1000");
    for slot in 0..2 {
        pool.wait_for_file("stdout", &format!("out {slot}\n"));
    }
    pool.wait_for_log_times("err", 2);
}

#[test]
fn the_start_is_logged_with_the_number_and_its_reason_as_text_or_as_json() {
    let pool = headcount("run -w 2").runs(&["sleep", "1000"]);
    pool.wait_for_log("starting 2 workers: set by --workers");

    let pool = headcount("run -w 2 --log-format json").runs(&["sleep", "1000"]);
    let line = wait_for("a line", || pool.log().lines().next().map(str::to_owned));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["workers"], &line["level"]), (&2.into(), &"INFO".into()), "{line}");
    assert_eq!(line["message"], "starting 2 workers: set by --workers");
}

#[test]
fn headcount_tells_its_own_manager_when_the_pool_is_up_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    let said = || {
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };

    let notify = path.to_str().unwrap();
    let mut pool = headcount("run -w 2").env("NOTIFY_SOCKET", notify).bind(&free_address()).demo();
    assert_eq!(said(), "READY=1");
    eventually("both workers run", || pool.workers().len() == 2);
    pool.stop();
    assert_eq!(said(), "STOPPING=1");
}
