//! How headcount is started: its arguments, its environment, its folder, and what starts it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::running::Headcount;
use super::{MARK, demo_binary, headcount_binary, python};
use crate::cgroup::Cgroup;

/// How headcount is going to be started.
pub(crate) struct Setup {
    folder: TempDir,
    launcher: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdout: Option<File>,
    forks: bool,
}

/// `headcount`, with these words behind it. It starts in an empty folder, with nothing in the
/// environment that would size or configure it, save that its control socket is in that folder too:
/// many of them run at once.
pub(crate) fn headcount(words: &str) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control.sock").display().to_string();
    Setup {
        folder,
        launcher: Vec::new(),
        arguments: words.split_whitespace().map(str::to_owned).collect(),
        environment: vec![("HEADCOUNT_CONTROL".to_owned(), control)],
        stdout: None,
        forks: false,
    }
}

impl Setup {
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn bind(self, address: &str) -> Self {
        self.arg("--bind").arg(address)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a file in its working directory.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Started by another program, which becomes headcount.
    pub(crate) fn under(mut self, launcher: &[&str]) -> Self {
        self.launcher.extend(launcher.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Started by a line of shell, in which `"$@"` is headcount with its arguments.
    pub(crate) fn under_sh(self, line: &str) -> Self {
        self.under(&["sh", "-c", line, "sh"])
    }

    /// In a cgroup, from its first instruction on.
    pub(crate) fn in_cgroup(self, cgroup: &Cgroup) -> Self {
        let folder = cgroup.folder().display();
        self.under_sh(&format!("echo $$ >'{folder}/cgroup.procs' && exec \"$@\""))
    }

    /// As PID 1 of a new pid namespace.
    pub(crate) fn pid_1(mut self) -> Self {
        self = self.under(namespace_launcher());
        self.forks = true;
        self
    }

    pub(crate) fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Starts it with workers of the demo app.
    pub(crate) fn demo(self) -> Headcount {
        self.runs(&[demo_binary()])
    }

    /// Starts it with a line of shell as the worker, or the child.
    pub(crate) fn sh(self, line: &str) -> Headcount {
        self.runs(&["sh", "-c", line])
    }

    /// Starts it with a Python program as the worker, or the child.
    pub(crate) fn python(self, program: &str) -> Headcount {
        self.runs(&[python(), "-c", program])
    }

    /// Starts it with this command.
    pub(crate) fn runs(mut self, command: &[&str]) -> Headcount {
        self.arguments.push("--".to_owned());
        self.arguments.extend(command.iter().map(|word| (*word).to_owned()));
        self.start()
    }

    /// Starts it without a command behind its arguments.
    pub(crate) fn start(self) -> Headcount {
        let binary = headcount_binary().display().to_string();
        let mut words = self.launcher.iter().chain([&binary]).chain(&self.arguments);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(&self.folder);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(sizes_or_configures) {
                command.env_remove(name);
            }
        }
        command.env(MARK, self.folder.path()).envs(self.environment);

        let file = |name| File::create(self.folder.path().join(name)).unwrap();
        let stdout = self.stdout.unwrap_or_else(|| file("stdout"));
        command.stdin(Stdio::null()).stdout(stdout).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Headcount::new(child, self.folder, self.forks)
    }
}

/// Whether headcount, or what it runs, would take this variable of the test's own for an instruction.
fn sizes_or_configures(name: &str) -> bool {
    ["HEADCOUNT_", "LISTEN_", "WATCHDOG_"].iter().any(|prefix| name.starts_with(prefix))
        || ["_THREADS", "_COUNT"].iter().any(|suffix| name.ends_with(suffix))
        || ["NOTIFY_SOCKET", "WEB_CONCURRENCY", "PORT", "GOMAXPROCS"].contains(&name)
}

/// What starts a program as PID 1 of a new pid namespace, for root and for others.
fn namespace_launcher() -> &'static [&'static str] {
    static LAUNCHER: OnceLock<&[&str]> = OnceLock::new();
    const ROOT: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const OTHERS: [&str; 7] =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];
    LAUNCHER.get_or_init(|| {
        let works = |launcher: &&[&str]| {
            let mut command = Command::new(launcher[0]);
            command.args(&launcher[1..]).arg("true").stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        [&ROOT[..], &OTHERS[..]].into_iter().find(works).unwrap_or_else(|| {
            panic!(
                "a new pid namespace is needed, and neither `{}` nor `{}` can make one: that takes \
                 util-linux, and root or user namespaces",
                ROOT.join(" "),
                OTHERS.join(" ")
            )
        })
    })
}
