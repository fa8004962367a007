//! SIGHUP: the configuration is read again and the workers are rolled over, and nobody notices; and
//! a configuration or a program that is broken changes nothing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::client::{Whoami, get, who};
use crate::support::{Headcount, Worker, demo_binary, eventually, free_address, headcount};

/// A configuration file of the demo.
fn config(workers: u32, bind: &[&str]) -> String {
    let demo = demo_binary();
    format!("command: [{demo:?}]\nbind: {bind:?}\nworkers: {workers}\n")
}

fn reload(pool: &Headcount) {
    let done = pool.count_log("rolling restart done");
    pool.signal(Signal::SIGHUP);
    pool.wait_for_log_times("rolling restart done", done + 1);
}

/// Tries to reload, and is told why that is not done.
fn reload_in_vain(pool: &Headcount, because: &str) {
    pool.signal(Signal::SIGHUP);
    pool.wait_for_log(because);
}

#[test]
fn every_worker_is_replaced_and_no_request_fails() {
    let address = free_address();
    let mut pool = headcount("run -w 2").bind(&address).demo();
    let before = pool.wait_until_ready();

    let over = AtomicBool::new(false);
    let generations = Mutex::new(BTreeSet::new());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match get(&address, "/") {
                        Ok(answer) if answer.status == 200 => {
                            let who: Whoami = serde_json::from_str(&answer.body).unwrap();
                            generations.lock().unwrap().insert(who.generation);
                        }
                        other => failed.lock().unwrap().push(other),
                    }
                }
            });
        }
        let all_seen = |up_to: u64| (1..=up_to).all(|g| generations.lock().unwrap().contains(&g));
        let finish = Finish(&over);
        for generation in 1..=3 {
            eventually("the generation answers", || all_seen(generation));
            if generation < 3 {
                reload(&pool);
            }
        }
        drop(finish);
    });

    assert_eq!(failed.into_inner().unwrap().len(), 0);
    let after = pool.workers();
    let shape = |workers: &[Worker]| -> Vec<(u32, u32)> {
        workers.iter().map(|worker| (worker.slot, worker.generation)).collect()
    };
    assert_eq!((shape(&before), shape(&after)), (vec![(0, 1), (1, 1)], vec![(0, 3), (1, 3)]));
    pool.stop();
    assert_eq!(pool.count_log("WARN"), 0, "{}", pool.log());
}

/// Ends the load also when the test fails, which would otherwise wait for it for ever.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_changed_number_of_workers_and_changed_addresses_are_followed() {
    let (kept, added) = (free_address(), free_address());
    let pool = headcount("run").file("headcount.yaml", &config(1, &[&kept])).start();
    pool.wait_until_ready();
    assert!(get(&added, "/").is_err(), "nobody listens there yet");

    pool.write("headcount.yaml", &config(3, &[&kept, &added]));
    reload(&pool);
    let workers = pool.wait_for_workers(3);
    assert!(workers.iter().all(|worker| worker.generation == 2), "{workers:?}");
    assert_eq!((who(&kept).generation, who(&added).generation), (2, 2));

    pool.write("headcount.yaml", &config(2, &[&added]));
    reload(&pool);
    pool.wait_for_workers(2);
    assert_eq!(who(&added).generation, 3);
    eventually("the removed address is closed", || get(&kept, "/").is_err());
}

#[test]
fn a_broken_file_changes_nothing_and_says_so() {
    let address = free_address();
    let mut pool = headcount("run").file("headcount.yaml", &config(2, &[&address])).start();
    let before = pool.wait_until_ready();

    pool.write("headcount.yaml", "command: [sleep, 1000]\nwokers: 5\n");
    reload_in_vain(&pool, "not reloading: headcount.yaml: line 2: unknown key `wokers`");
    pool.write("headcount.yaml", "command: [\n");
    reload_in_vain(&pool, "not reloading: headcount.yaml: line ");
    std::fs::remove_file(pool.path("headcount.yaml")).unwrap();
    reload_in_vain(&pool, "not reloading: no command");

    assert_eq!(pool.workers(), before);
    assert_eq!(who(&address).generation, 1);
    pool.write("headcount.yaml", &config(2, &[&address]));
    reload(&pool);
    assert_eq!(who(&address).generation, 2);
    pool.stop();
}

#[test]
fn an_address_that_cannot_be_had_changes_nothing_and_says_so() {
    let (address, taken) = (free_address(), free_address());
    let _listener = std::net::TcpListener::bind(&taken).unwrap();
    let pool = headcount("run").file("headcount.yaml", &config(2, &[&address])).start();
    let before = pool.wait_until_ready();

    pool.write("headcount.yaml", &config(2, &[&address, &taken]));
    reload_in_vain(&pool, &format!("not reloading: cannot listen on {taken}: address in use"));
    assert_eq!(pool.workers(), before);
    assert_eq!(who(&address).generation, 1);
}

#[test]
fn where_the_new_program_does_not_boot_the_old_workers_stay() {
    let address = free_address();
    let pool = headcount("run").file("headcount.yaml", &config(2, &[&address])).start();
    let before = pool.wait_until_ready();

    for (times, command) in [(1, "[sh, -c, 'exit 1']"), (2, "/does/not/exist")] {
        let broken = format!("command: {command}\nbind: {address}\nworkers: 2\n");
        pool.write("headcount.yaml", &broken);
        pool.signal(Signal::SIGHUP);
        pool.wait_for_log_times("rolling restart given up", times);
        assert_eq!(pool.workers(), before, "{command}");
        assert_eq!(who(&address).generation, 1);
    }

    pool.write("headcount.yaml", &config(2, &[&address]));
    reload(&pool);
    pool.wait_for_workers(2);
    assert_eq!(who(&address).generation, 4, "no generation is used twice");
}

#[test]
fn a_crash_after_a_failed_reload_is_mended_with_what_worked() {
    let address = free_address();
    let pool = headcount("run").file("headcount.yaml", &config(1, &[&address])).start();
    let before = pool.wait_until_ready();
    pool.write("headcount.yaml", &format!("command: /does/not/exist\nbind: {address}\n"));
    pool.signal(Signal::SIGHUP);
    pool.wait_for_log("rolling restart given up");

    crate::support::send_signal(before[0].pid, Signal::SIGKILL);
    let after = who(&address);
    assert_ne!(after.pid, before[0].pid);
    assert_eq!(after.generation, 1);
}

#[test]
fn a_pool_without_a_file_is_rolled_over_too() {
    let pool = headcount("run -w 2 --ready-after 10ms").runs(&["sleep", "1000"]);
    let before = pool.wait_until_ready();
    reload(&pool);
    let after = pool.wait_for_workers(2);
    assert!(after.iter().all(|worker| worker.generation == 2), "{before:?}, then {after:?}");
}
