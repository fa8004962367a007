//! Programs from `PyPI`, unchanged: installed once, into a folder below cargo's target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{binaries, program};

/// Runs a line of Python, and tells what it prints.
pub(crate) fn ask(python: &Path, line: &str) -> Option<String> {
    let answer = program::output(Command::new(python).args(["-c", line])).ok()?;
    Some(answer.trim_end().to_owned())
}

/// The folder with the commands of this package, such as `gunicorn==23.0.0`, for this Python.
pub(crate) fn installed(package: &str, python: &Path) -> PathBuf {
    let version = ask(python, "import platform; print(platform.python_version())").unwrap();
    let parent = binaries::target_dir().unwrap().join("pypi").join(package);
    fs::create_dir_all(&parent).unwrap();
    let folder = parent.join(&version);
    // Whoever comes second, another thread or another run of the tests, finds it done.
    let lock = File::create(parent.join(format!("{version}.lock"))).unwrap();
    lock.lock().unwrap();
    let bin = folder.join("bin");
    if !folder.join("complete").exists() {
        let mut venv = Command::new(python);
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        let mut pip = Command::new(bin.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", package]);
        for mut step in [venv, pip] {
            program::output(&mut step).unwrap_or_else(|error| {
                panic!(
                    "{package} is needed: that takes Python's venv and pip (apt-get install \
                     python3-venv) and a way to PyPI: {error:#}"
                )
            });
        }
        File::create(folder.join("complete")).unwrap();
    }
    bin
}
