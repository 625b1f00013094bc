//! Every exit status.

/// The drain ended, early or not; or the program did what it was asked.
pub const OK: i32 = 0;
/// The drain ended, but a request failed; or the program could not install or print.
pub const FAILURE: i32 = 1;
/// A mistake on the command line, or a bug. A shell's built-in commands return this for misuse: bash(1).
pub const USAGE: i32 = 2;
/// The copy that `--install` made could not be run, and has said so. "Command found but not executable": bash(1).
pub const NOT_RUN: i32 = 126;
/// Signal n ended the program: this plus n, bash(1). 142 is SIGALRM, by which the kernel ends a drain that hangs.
pub const SIGNAL: i32 = 128;
