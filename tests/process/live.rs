//! Limits that change while the pool runs, as `docker update --cpus` changes them.

use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;
use crate::procfs;
use crate::support::{Headcount, eventually, headcount};

fn pool(cgroup: &Cgroup, flags: &str) -> Headcount {
    let pool = headcount(&format!("run --ready-after 10ms {flags}"))
        .in_cgroup(cgroup)
        .runs(&["sleep", "1000"]);
    pool.wait_until_ready();
    pool
}

fn workers(pool: &Headcount) -> usize {
    procfs::children(pool.pid()).len()
}

#[test]
fn a_larger_quota_is_a_larger_pool_and_a_smaller_one_a_smaller() {
    let cgroup = Cgroup::with_cpu_percent(50);
    let mut pool = pool(&cgroup, "");
    assert_eq!(workers(&pool), 2, "{}", pool.log());

    cgroup.set_cpu_percent(150);
    eventually("four workers run", || workers(&pool) == 4);
    pool.wait_for_log("resizing: ceil(2 * 1.5) + 1 = 4");
    cgroup.set_cpu_percent(100);
    eventually("three workers run", || workers(&pool) == 3);
    pool.stop();
}

#[test]
fn a_new_worker_finds_its_new_budget() {
    let cgroup = Cgroup::with_cpu_percent(50);
    let mut pool = pool(&cgroup, "");
    cgroup.set_cpu_percent(150);
    eventually("four workers run", || workers(&pool) == 4);
    let newest = procfs::children(pool.pid()).into_iter().max().unwrap();
    let environment = procfs::environment(newest);
    assert_eq!(environment.get("HEADCOUNT_CPUS").map(String::as_str), Some("1.5"));
    pool.stop();
}

#[test]
fn a_number_that_was_set_stays() {
    let cgroup = Cgroup::with_cpu_percent(50);
    let mut followed = pool(&cgroup, "");
    let mut fixed = pool(&cgroup, "-w 2");
    let mut deaf = pool(&cgroup, "--resize false");
    let mut by_hand = pool(&cgroup, "");
    by_hand.signal(Signal::SIGTTIN);
    by_hand.wait_for_log("resizing: SIGTTIN");

    cgroup.set_cpu_percent(200);
    // The one that follows shows that the others have had the time to.
    eventually("the pool that follows has grown", || workers(&followed) == 5);
    assert_eq!((workers(&fixed), workers(&deaf), workers(&by_hand)), (2, 2, 3));
    for pool in [&mut followed, &mut fixed, &mut deaf, &mut by_hand] {
        pool.stop();
    }
}

#[test]
fn a_value_that_does_not_hold_is_not_followed() {
    let cgroup = Cgroup::with_cpu_percent(50);
    let mut pool = pool(&cgroup, "");
    for _ in 0..5 {
        cgroup.set_cpu_percent(150);
        cgroup.set_cpu_percent(50);
    }
    cgroup.set_cpu_percent(100);
    eventually("three workers run", || workers(&pool) == 3);
    assert_eq!(pool.count_log("resizing"), 1, "{}", pool.log());
    pool.stop();
}
