//! Every exit status.

/// It slept, however that ended; or it did what it was asked.
pub const OK: i32 = 0;
/// It slept, but a request failed; or it could not install or print.
pub const FAILURE: i32 = 1;
/// A mistake on the command line, or a bug: what a shell's built-in commands return for misuse, bash(1).
pub const USAGE: i32 = 2;
/// The copy of `--install` could not be run, and said so: "command found but not executable", bash(1).
pub const NOT_RUN: i32 = 126;
/// Ended by signal n: this plus n, bash(1).
pub const SIGNAL: i32 = 128;
