//! drain-sleep: a `preStop` hook for containers without a shell. It sleeps, and ends early once the app has drained.
//!
//! Data flows one way: arguments, a validated plan, the drain, an exit status. `main.rs` shows that on a page. After it, read:
//!
//! 1. [`cli`]: what was typed (`options`, `args`, `variables`, `duration`), what is meant (`plan`), and how long to sleep if that
//!    is wrong (`salvage`).
//! 2. [`drain`]: the rules, as a state machine in virtual time. [`run`] drives it with the real clock, and writes the log.
//! 3. [`watch`]: what can be watched, one file and one match arm each.
//! 4. [`http`], [`grpc`]: the protocols, judged from bytes. [`net`]: URLs, connections, the kernel's list of connections.
//! 5. [`os`]: system calls, the one child process, clock, log, memory. [`failsafe`]: what happens after a bug or a signal.
//! 6. Beside the drain: [`install`] copies the program, [`exit`] has every exit status, [`text`] reads and shows bytes, numbers
//!    and durations.
//!
//! Where to make a change:
//!
//! - An option: a variant and a row in `cli/options.rs`, an arm in `Plan::apply` in `cli/plan.rs`, a row in the README's table. If it is
//!   not about a drain, name it in `Args::mentions_drain`. `tests/it/cli.rs` counts the options, and
//!   `tests/fuzz/dictionaries/line` lists them.
//! - A kind of watch: a file in `watch/`, and an arm in each match on `Target` in `watch/mod.rs`. One with a URL has its parser in
//!   `net/url.rs`, and its form in `--help` and the README; `tests/fuzz/properties/url.rs` and the dictionaries know the schemes.
//! - When to end: `drain.rs` decides, and `HeldBy` there says what kept the drain from ending early.
//! - A log line: `run.rs` has the first and last line and each change. The words in brackets stand in the file of that kind of
//!   watch, and those of a failure where it is raised.

#![deny(unsafe_code)]

pub mod cli;
pub mod drain;
pub mod exit;
pub mod failsafe;
pub mod grpc;
pub mod http;
pub mod install;
pub mod net;
pub mod os;
pub mod run;
pub mod text;
pub mod watch;
