//! Child processes: the copy that `--install` tries out, and [`Child`], for what may block in the kernel.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::sys::{
    ECHILD, EINTR, Errno, O_CLOEXEC, O_NONBLOCK, POLLOUT, SIGCHLD, SIGKILL, STDOUT, done, exit, poll_one, read_some,
    reset, write_some,
};

// Functions of musl, which std links anyway. The types are those of 64-bit Linux.
unsafe extern "C" {
    fn _Fork() -> c_int;
    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    static environ: *const *const c_char;
}

/// Runs a program to its end, without stdout. Returns its exit status, or 128+n if signal n ended it. If it cannot be run, the
/// child process calls `failed` with the reason, and exits with what that returns. (std's `Command` would make this program half
/// as large again, and posix_spawn(3) needs five times as much code as this.)
///
/// # Safety
/// This process must have one thread, or `failed` must do only what signal-safety(7) allows: fork(2).
///
/// # Errors
/// Those of fork(2) and waitpid(2), and EINVAL for an argument with a NUL.
pub unsafe fn run_program(argv: &[&[u8]], failed: &dyn Fn(Errno) -> i32) -> Result<i32, Errno> {
    let mut pointers: Vec<*const c_char> = Vec::new();
    for argument in argv {
        pointers.push(CString::new(*argument)?.into_raw()); // never freed: it is done once
    }
    pointers.push(std::ptr::null());
    let mut status = 0;
    reset(SIGCHLD); // while it is ignored, there is nothing to wait for: wait(2)
    // SAFETY: closing stdout can at worst fail. The pointers are to strings that end in NUL, and end in a null pointer themselves.
    // Nothing changes the environment. The caller promises that the child may call `failed`.
    unsafe {
        let pid = _Fork();
        done(pid)?;
        if pid == 0 {
            drop(OwnedFd::from_raw_fd(STDOUT));
            execve(pointers[0], pointers.as_ptr(), environ);
            exit(failed(Errno::last()));
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

/// A child process that does one thing and reports how that went. It does not outlive this value or this process.
pub struct Child {
    pid: c_int,
    result: OwnedFd,
}

impl Child {
    /// Runs `work` in a child process. The child closes our standard streams and all that we have opened, so that whoever reads
    /// our stdout or stderr need not wait for it.
    ///
    /// # Safety
    /// This process must have one thread, or `work` must do only what signal-safety(7) allows: fork(2). `work` must not use a
    /// descriptor that was open before, since the child closes them.
    ///
    /// # Errors
    /// Those of pipe(2) and fork(2).
    pub unsafe fn start(work: &dyn Fn() -> Result<(), Errno>) -> Result<Child, Errno> {
        const PR_SET_PDEATHSIG: c_int = 1;
        let mut ends = [0; 2];
        // SAFETY: pipe2(2) writes two descriptors, which are new. The child does not return, so that only `work` could use the
        // descriptors that it closes, and the caller promises that it does not.
        unsafe {
            done(pipe2(ends.as_mut_ptr(), O_CLOEXEC | O_NONBLOCK))?;
            let [result, tell] = ends.map(|end| OwnedFd::from_raw_fd(end));
            let pid = _Fork();
            done(pid)?;
            if pid > 0 {
                return Ok(Child { pid, result });
            }
            let mut outcome = done(prctl(PR_SET_PDEATHSIG, SIGKILL as c_ulong));
            // The kernel gives the lowest free number, so that the pipe's are above those of the standard streams and the log.
            for inherited in 0..tell.as_raw_fd() {
                close(inherited);
            }
            // POLLERR would mean that nobody reads: the parent died before prctl(2) could make its death end us.
            if poll_one(tell.as_raw_fd(), POLLOUT, Duration::ZERO) == Ok(POLLOUT) {
                outcome = outcome.and_then(|()| work());
                let errno = outcome.map_or_else(|errno| errno.0, |()| 0);
                let _ = write_some(tell.as_raw_fd(), &[errno as u8]);
            }
            exit(0)
        }
    }

    /// Returns the pipe that the result comes through. It hangs up when the child has ended.
    pub fn result(&self) -> &OwnedFd {
        &self.result
    }

    /// Returns the result of the work, once the child has ended.
    ///
    /// # Errors
    /// That of the work, or ECHILD if the child died before it could report.
    pub fn told(&self) -> Result<(), Errno> {
        let mut errno = [0];
        match (read_some(&self.result, &mut errno)?, errno) {
            (0, _) => Err(ECHILD),
            (_, [0]) => Ok(()),
            (_, [errno]) => Err(Errno(errno.into())),
        }
    }
}

impl Drop for Child {
    /// Ends the child, and waits until it is gone.
    fn drop(&mut self) {
        /// SIGKILL may have to wait for a lock in the kernel, and this process must not.
        const A_MOMENT: Duration = Duration::from_millis(100);
        let fd = self.result.as_raw_fd();
        // SAFETY: waitpid(2) accepts a null pointer for the status.
        unsafe {
            // Until the pipe has hung up the child lives, so that its number is not another process's.
            if poll_one(fd, 0, Duration::ZERO) == Ok(0) {
                kill(self.pid, SIGKILL);
            }
            // The pipe hangs up shortly before the child is gone.
            if poll_one(fd, 0, A_MOMENT).is_ok_and(|events| events != 0) {
                waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sys::{EISCONN, ENOENT, POLLNVAL, STDERR, STDIN};

    const LONG: Duration = Duration::from_secs(600);

    fn told(work: &dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> {
        // SAFETY: the tests' work does no more than return, exit or poll.
        let child = unsafe { Child::start(work) }?;
        assert_eq!(poll_one(child.result().as_raw_fd(), 0, LONG).map(|events| events != 0), Ok(true));
        child.told()
    }

    #[test]
    fn a_child_reports_how_it_went() {
        assert_eq!(told(&|| Ok(())), Ok(()));
        assert_eq!(told(&|| Err(ENOENT)), Err(ENOENT));
        assert_eq!(told(&|| exit(0)), Err(ECHILD));
    }

    #[test]
    fn a_child_has_none_of_our_streams_and_is_ended() {
        let work = || {
            if [STDIN, STDOUT, STDERR].map(|fd| poll_one(fd, 0, Duration::ZERO)) != [Ok(POLLNVAL); 3] {
                return Err(EISCONN);
            }
            while poll_one(-1, 0, LONG).is_ok() {}
            Ok(())
        };
        // SAFETY: the work does no more than poll.
        let child = unsafe { Child::start(&work) }.unwrap();
        assert_eq!(poll_one(child.result().as_raw_fd(), 0, Duration::from_millis(300)), Ok(0), "{:?}", child.told());
        let pid = child.pid;
        drop(child);
        // SAFETY: signal 0 does nothing.
        assert_eq!(done(unsafe { kill(pid, 0) }), Err(Errno(3)), "ESRCH: there is no such process, and no zombie");
    }
}
