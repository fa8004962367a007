//! The main job, on this machine's own kernel: a cgroup with a quota, and the workers counted from
//! outside. 1 CPU gives 3 workers, and each half more gives one more.

use crate::cgroup::Cgroup;
use crate::procfs;
use crate::support::{Setup, eventually, headcount};

/// As `cpus: "2"` in a compose file.
fn two_cpus() -> Cgroup {
    let list = procfs::status(std::process::id(), "Cpus_allowed_list").unwrap();
    let is_one = list.parse::<u32>().is_ok();
    assert!(!is_one, "two CPUs are needed, and this test may use CPU {list} alone");
    Cgroup::with_cpu_percent(200)
}

/// Starts a pool and sees that so many workers run, and no more.
fn has_workers(setup: Setup, cgroup: &Cgroup, expected: usize, because: &str) {
    let mut pool = setup.in_cgroup(cgroup).runs(&["sleep", "1000"]);
    pool.wait_until_ready();
    assert_eq!(procfs::children(pool.pid()).len(), expected, "{}", pool.log());
    pool.wait_for_log(because);
    pool.stop();
}

fn run() -> Setup {
    headcount("run --ready-after 10ms")
}

#[test]
fn two_cpus_are_five_workers() {
    has_workers(run(), &two_cpus(), 5, "starting 5 workers: ceil(2 * 2) + 1");
}

#[test]
fn one_and_a_half_cpus_are_four_workers() {
    has_workers(run(), &Cgroup::with_cpu_percent(150), 4, "starting 4 workers: ceil(2 * 1.5) + 1");
}

#[test]
fn half_a_cpu_is_two_workers() {
    has_workers(run(), &Cgroup::with_cpu_percent(50), 2, "starting 2 workers: ceil(2 * 0.5) + 1");
}

#[test]
fn limits_say_that_it_is_the_quota() {
    let cgroup = two_cpus();
    let mut limits = headcount("limits --json").in_cgroup(&cgroup).start();
    assert_eq!(limits.exit_code(), Some(0));
    let said: serde_json::Value = serde_json::from_str(&limits.stdout()).unwrap();
    assert_eq!((&said["cpu"]["cpus"], &said["cpu"]["quota"]), (&2.0.into(), &2.0.into()), "{said}");
    assert_eq!(said["cpu"]["limited_by"]["kind"], "quota", "{said}");
    let file = said["cpu"]["limited_by"]["file"].as_str().unwrap();
    assert!(file.starts_with(cgroup.folder().to_str().unwrap()), "{said}");
    assert_eq!(said["workers"]["count"], 5, "{said}");
    assert_eq!(said["workers"]["limited_by"], "cpu", "{said}");
}

#[test]
fn a_quota_of_a_parent_counts() {
    let parent = Cgroup::with_cpu_percent(50);
    let child = parent.folder().join("child");
    std::fs::create_dir(&child).unwrap();
    let join = format!("echo $$ >'{}/cgroup.procs' && exec \"$@\"", child.display());
    let mut limits = headcount("limits --json").under_sh(&join).start();
    let code = limits.exit_code();
    let said = limits.stdout();
    eventually("the child can be removed", || std::fs::remove_dir(&child).is_ok());
    assert_eq!(code, Some(0));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["cpu"]["quota"], &said["workers"]["count"]), (&0.5.into(), &2.into()));
}

#[test]
fn somebody_who_says_how_many_is_heard() {
    let cgroup = two_cpus();
    has_workers(run().env("WEB_CONCURRENCY", "3"), &cgroup, 3, "set by WEB_CONCURRENCY");
    let setup = run().env("WEB_CONCURRENCY", "3").arg("--workers").arg("2");
    has_workers(setup, &cgroup, 2, "set by --workers");
    let setup = run().env("WEB_CONCURRENCY", "3").env("HEADCOUNT_WORKERS", "1");
    has_workers(setup, &cgroup, 1, "set by HEADCOUNT_WORKERS");
    let setup = run().file("headcount.yaml", "workers: 4\n");
    has_workers(setup, &cgroup, 4, "set by headcount.yaml");
    let setup = run().file("headcount.yaml", "workers: 4\n").env("WEB_CONCURRENCY", "3");
    has_workers(setup, &cgroup, 3, "set by WEB_CONCURRENCY");
    let setup = run().env("WEB_CONCURRENCY", "3").arg("-w").arg("auto");
    has_workers(setup, &cgroup, 5, "ceil(2 * 2) + 1");
    has_workers(run().env("WEB_CONCURRENCY", ""), &cgroup, 5, "ceil(2 * 2) + 1");
}

#[test]
fn the_file_may_change_the_rule() {
    let cgroup = two_cpus();
    for (rule, expected) in
        [("{max: 3}", 3), ("{min: 8}", 8), ("{per_cpu: 1, plus: 0}", 2), ("{per_cpu: 4}", 9)]
    {
        let setup = run().file("headcount.yaml", &format!("workers: {rule}\n"));
        has_workers(setup, &cgroup, expected, &format!("starting {expected} workers"));
    }
}

#[test]
fn exec_sizes_what_runtimes_read() {
    let cgroup = two_cpus();
    let names = "$WEB_CONCURRENCY $GOMAXPROCS $TOKIO_WORKER_THREADS $RAYON_NUM_THREADS \
        $OMP_NUM_THREADS $PYTHON_CPU_COUNT $DOTNET_PROCESSOR_COUNT $HEADCOUNT_CPUS";
    let mut only = headcount("exec").in_cgroup(&cgroup).sh(&format!("echo {names}"));
    assert_eq!(only.exit_code(), Some(0));
    assert_eq!(only.stdout(), "5 2 2 2 2 2 2 2\n");

    let half = Cgroup::with_cpu_percent(50);
    let mut only = headcount("exec").in_cgroup(&half).sh(&format!("echo {names}"));
    assert_eq!(only.exit_code(), Some(0));
    assert_eq!(only.stdout(), "2 1 1 1 1 1 1 0.5\n");
}

#[test]
fn a_worker_of_a_pool_gets_its_share_of_the_threads() {
    let cgroup = two_cpus();
    for (workers, share) in [("1", "2"), ("2", "1"), ("5", "1")] {
        let pool = headcount("run -w").arg(workers).in_cgroup(&cgroup).runs(&["sleep", "1000"]);
        for worker in pool.wait_for_workers(workers.parse().unwrap()) {
            let environment = procfs::environment(worker.pid);
            assert_eq!(environment["GOMAXPROCS"], share, "of {workers}");
            assert_eq!(environment["HEADCOUNT_CPUS"], "2");
        }
    }
}

#[test]
fn check_prints_what_run_would_do_and_starts_nothing() {
    let cgroup = two_cpus();
    let mut check = headcount("check").in_cgroup(&cgroup).runs(&["touch", "started"]);
    assert_eq!(check.exit_code(), Some(0));
    let said = check.stdout();
    assert!(said.contains("command           touch started"), "{said}");
    assert!(said.contains("workers           5 (auto): ceil(2 * 2) + 1"), "{said}");
    assert!(!check.path("started").exists());
}
