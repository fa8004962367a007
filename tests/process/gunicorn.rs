//! gunicorn, unchanged, under `exec` in a cgroup of two CPUs: five workers with no flag, and five
//! from the formula that every tutorial has.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::program;

use crate::cgroup::Cgroup;
use crate::client::get;
use crate::procfs;
use crate::pypi::{ask, installed};
use crate::support::{Headcount, Setup, eventually, free_address, headcount, python, wait_for};

const PACKAGE: &str = "gunicorn==23.0.0";

const APP: &str = r#"
import multiprocessing
def app(environ, start_response):
    body = str(multiprocessing.cpu_count()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"#;

/// `exec -- gunicorn` with no flag that says how many.
fn start(cgroup: &Cgroup, bin: &Path, setup: Setup, address: &str) -> Headcount {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let command = ["gunicorn", "--bind", address, "app:app"];
    setup.in_cgroup(cgroup).env("PATH", &path).file("app.py", APP).runs(&command)
}

/// gunicorn's own children.
fn workers(pool: &Headcount) -> Vec<u32> {
    let master = pool.wait_for_child();
    procfs::children(master).into_iter().filter(|pid| procfs::is_alive(*pid)).collect()
}

/// That it boots so many workers and no more, that it serves, and that it stops. What the app says.
fn runs_workers(count: usize, mut pool: Headcount, address: &str) -> String {
    pool.wait_for_log_times("Booting worker with pid", count);
    let answer = wait_for("an answer", || get(address, "/").ok());
    assert_eq!(answer.status, 200);
    pool.stop();
    assert_eq!(pool.count_log("Booting worker with pid"), count, "{}", pool.log());
    pool.wait_until_nothing_is_left();
    answer.body
}

#[test]
fn under_two_cpus_it_runs_five_workers_with_no_flag() {
    let cgroup = Cgroup::with_cpu_percent(200);
    let address = free_address();
    let bin = installed(PACKAGE, Path::new(python()));
    let pool = start(&cgroup, &bin, headcount("exec"), &address);
    runs_workers(5, pool, &address);
}

#[test]
fn its_reload_and_its_own_signals_work_through_headcount() {
    let cgroup = Cgroup::with_cpu_percent(50);
    let address = free_address();
    let bin = installed(PACKAGE, Path::new(python()));
    let mut pool = start(&cgroup, &bin, headcount("exec"), &address);
    pool.wait_for_log_times("Booting worker with pid", 2);
    eventually("an answer", || get(&address, "/").is_ok());
    pool.signal(nix::sys::signal::Signal::SIGTTIN);
    eventually("a third worker", || workers(&pool).len() == 3);
    pool.stop();
}

/// The first Python from 3.13 on that can be found, which reads `PYTHON_CPU_COUNT`.
fn python_3_13() -> Option<PathBuf> {
    let is_new = |python: &Path| {
        ask(python, "import sys; print(sys.version_info >= (3, 13))").as_deref() == Some("True")
    };
    let in_path = ["python3.15", "python3.14", "python3.13", "python3"];
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let installed = [".pyenv/versions", ".local/share/uv/python"].into_iter().flat_map(|folder| {
        let versions = fs::read_dir(home.join(folder)).into_iter().flatten().flatten();
        versions.map(|version| version.path().join("bin/python3"))
    });
    std::env::var_os("HEADCOUNT_TEST_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain(in_path.into_iter().filter_map(program::find))
        .chain(installed)
        .find(|python| is_new(python))
}

#[test]
fn the_formula_of_every_tutorial_gives_five_workers_under_two_cpus_and_three_under_one() {
    let Some(python) = python_3_13() else {
        // Older ones do not ask. What headcount has to do for newer ones can be seen anyway.
        println!(
            "NOT TESTED: multiprocessing.cpu_count() by PYTHON_CPU_COUNT, since there is no Python \
             3.13 or newer here (HEADCOUNT_TEST_PYTHON may name one)"
        );
        let cgroup = Cgroup::with_cpu_percent(100);
        let mut only = headcount("exec").in_cgroup(&cgroup).sh("echo $PYTHON_CPU_COUNT");
        assert_eq!(only.exit_code(), Some(0));
        assert_eq!(only.stdout(), "1\n");
        return;
    };
    let config = "import multiprocessing\nworkers = 2 * multiprocessing.cpu_count() + 1\n";
    for (percent, cpus, expected) in [(200, "2", 5), (100, "1", 3)] {
        let cgroup = Cgroup::with_cpu_percent(percent);
        let address = free_address();
        let setup = headcount("exec").file("gunicorn.conf.py", config);
        let pool = start(&cgroup, &installed(PACKAGE, &python), setup, &address);
        assert_eq!(runs_workers(expected, pool, &address), cpus, "what the app sees");
    }
}
