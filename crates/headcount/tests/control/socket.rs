//! Where the socket is, whose it is, and who may use it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{HEADCOUNT, Running, headcount};

#[test]
fn the_socket_is_its_owner_s_and_no_worker_inherits_it() {
    let running = Running::start(1);
    let mode = fs::metadata(running.socket()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let held = |pid: u32| {
        let sockets = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        sockets
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .filter(|to| to.to_string_lossy().starts_with("socket:"))
            .collect::<Vec<_>>()
    };
    let own = held(running.child.id());
    assert!(own.len() >= 2, "{own:?}");
    assert!(held(running.children()[0]).iter().all(|socket| !own.contains(socket)));
}

#[test]
fn a_named_path_must_be_free() {
    let running = Running::start(1);
    let second = |path: &Path| {
        let mut command = headcount();
        command.args(["run", "-w", "1", "--control"]).arg(path).args(["--", "sleep", "1000"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = second(&running.socket());
    assert!(said.contains("address in use"), "{said}");
    running.status();
    let file = running.directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let said = second(&file);
    assert!(said.contains("a file that is no socket is there"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let said = second(Path::new("/nonexistent/s"));
    assert!(said.contains("the directory does not exist"), "{said}");
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("s")).unwrap());
    let running = Running::start_in(directory, 1);
    assert_eq!(fs::metadata(running.socket()).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn none_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = headcount()
        .args(["run", "-w", "1", "--control", "none", "--", "sleep", "0.1"])
        .current_dir(directory.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = headcount().args(["status", "--control", "none"]).output().unwrap();
    assert_eq!(status.status.code(), Some(1));
    let said = String::from_utf8(status.stderr).unwrap();
    assert!(said.contains("switched off"), "{said}");
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn clients_look_where_the_configuration_says() {
    let running = Running::start(1);
    let mut asked = headcount();
    let output = asked.env("HEADCOUNT_CONTROL", running.socket()).arg("status").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = format!("control: {}\n", running.socket().display());
    fs::write(elsewhere.path().join("headcount.yaml"), file).unwrap();
    let mut asked = headcount();
    let output = asked.current_dir(elsewhere.path()).arg("status").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
#[test]
fn another_user_is_refused() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: to be another user takes root");
        return;
    }
    let running = Running::start(1);
    let stranger = |words: &[&str]| {
        // A copy that anybody may run.
        let copy = running.directory.path().join("headcount");
        fs::copy(HEADCOUNT, &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
        let output = command.args(words).arg("--control").arg(running.socket()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let open =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(running.directory.path(), 0o755);
    let said = stranger(&["stop"]);
    assert!(said.contains("permission denied at /"), "{said}");
    // Also where the file would let them in.
    open(&running.socket(), 0o666);
    let said = stranger(&["stop"]);
    assert!(said.contains("permission denied: this is for root"), "{said}");
    assert_eq!(running.status()["state"], "running");
}
