//! The one child process: the copy that `--install` tries out.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int};
use std::fmt;
use std::os::fd::{FromRawFd, OwnedFd};

use super::log;
use super::sys::{EINTR, Errno, SIGCHLD, STDOUT, done, environ, exit, reset};

// Functions of musl, which std links anyway.
unsafe extern "C" {
    fn _Fork() -> c_int;
    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
}

/// Runs a program to its end, without stdout. Returns its exit status, or 128+n if signal n ended it. If it cannot be run, the
/// child process logs `failed` with the reason, without taking memory, and exits with `not_run`. (std's `Command` would make this
/// program half as large again, and posix_spawn(3) needs five times as much code as this.)
///
/// # Errors
/// Those of fork(2) and waitpid(2), and EINVAL for an argument with a NUL.
pub fn run_program(argv: &[&[u8]], failed: fmt::Arguments, not_run: i32) -> Result<i32, Errno> {
    let mut pointers: Vec<*const c_char> = Vec::new();
    for argument in argv {
        pointers.push(CString::new(*argument)?.into_raw()); // never freed: it is done once
    }
    pointers.push(std::ptr::null());
    let mut status = 0;
    reset(SIGCHLD); // while it is ignored, there is nothing to wait for: wait(2)
    // SAFETY: closing stdout can at worst fail. The pointers are to strings that end in NUL, and end in a null pointer themselves.
    // Nothing changes the environment. What the child calls is what signal-safety(7) allows: fork(2).
    unsafe {
        let pid = _Fork();
        done(pid)?;
        if pid == 0 {
            drop(OwnedFd::from_raw_fd(STDOUT));
            execve(pointers[0], pointers.as_ptr(), environ);
            log::error(format_args!("error: {failed}: {}", Errno::last()));
            exit(not_run);
        }
        while let Err(error) = done(waitpid(pid, &raw mut status, 0)) {
            if error != EINTR {
                return Err(error);
            }
        }
    }
    let signal = status & 0x7f;
    Ok(if signal == 0 { status >> 8 & 0xff } else { 128 + signal })
}
