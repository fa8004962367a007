//! What the end-to-end tests and `cargo xtask` share: making what is tested, starting what it runs
//! in, and counting from outside.
//!
//! | module | answers |
//! | --- | --- |
//! | [`binaries`] | how are the static binaries built? |
//! | [`image`] | how do they become the images of the Dockerfile where none can be pulled? |
//! | [`docker`] | how does a test talk to a container engine, and leave nothing there? |
//! | [`lab`] | how is there a machine with cgroup v2 and eight CPUs? |
//! | [`census`], [`http`] | which workers answer? |
//! | [`program`] | how is a command run so that its failure explains itself? |
//!
//! | variable | does |
//! | --- | --- |
//! | `DOCKER_HOST` | the container tests run on this engine |
//! | `HEADCOUNT_TEST_ENGINE=default` | … on the engine that `docker` finds by itself |
//! | `HEADCOUNT_LIBC=glibc` or `musl` | which static binaries are tested; musl where it is installed |
//! | `HEADCOUNT_LAB` | where the virtual machine is kept; otherwise in cargo's target folder |
//! | `HEADCOUNT_DEBIAN_MIRROR` | where it is installed from |
//!
//! The tests are the folders beside this one: `process/` (a real PID 1 in a new pid namespace),
//! `container/` (a real engine) and `vm/` (cgroup v2). `cargo xtask test` runs them all.

pub mod binaries;
pub mod census;
pub mod docker;
pub mod http;
pub mod image;
pub mod lab;
pub mod program;
