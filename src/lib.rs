//! drain-sleep: a `preStop` hook for containers without a shell. It sleeps, and ends early once the app has drained.
//!
//! Data flows one way: arguments, a validated plan, the drain, an exit status. To read it in that order:
//!
//! 1. [`cli`]: what was typed (`args`), and what is meant (`plan`).
//! 2. [`drain`]: the rules, as a state machine in virtual time; [`run`] drives it with the real clock.
//! 3. [`watch`]: what can be watched, a file and an arm each.
//! 4. [`http`], [`grpc`]: the protocols, as bytes in and verdict out. [`net`]: URLs, connections, the kernel's list of them.
//! 5. [`os`]: system calls, clock, log, memory. [`failsafe`]: what a bug or a signal does.
//! 6. Beside the drain: [`install`] copies the program, [`exit`] has every exit status, [`text`] reads bytes.

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
