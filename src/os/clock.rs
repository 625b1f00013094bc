//! The drain's clock: the time since its start, which never goes back, and waiting for it to come.
//!
//! Where the kernel refuses to tell the time (it needs a system call for it on some virtual machines, and a seccomp profile
//! may forbid that), the time that was waited counts.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sys::{self, EINTR, ETIMEDOUT, Errno};

/// When the drain began, in nanoseconds on the monotonic clock; 0 as long as that could not be read.
static START: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds that have passed since then at least.
static PASSED: AtomicU64 = AtomicU64::new(0);

/// Time since the start, which is the first call.
pub fn elapsed() -> Duration {
    let known = PASSED.load(Ordering::Relaxed);
    let passed = match (sys::monotonic(), START.load(Ordering::Relaxed)) {
        (None, _) => known,
        (Some(now), 0) => {
            START.store(now.saturating_sub(known), Ordering::Relaxed);
            known
        }
        (Some(now), start) => now.saturating_sub(start).max(known),
    };
    PASSED.store(passed, Ordering::Relaxed);
    Duration::from_nanos(passed)
}

/// Waits, until that time since the start, for a descriptor to be ready: which of `events` are there, errors included.
///
/// # Errors
/// ETIMEDOUT when the time has come, and those of poll(2).
pub fn poll_until(fd: RawFd, events: i16, end: Duration) -> Result<i16, Errno> {
    /// As long as poll(2) can wait at once, and far more than any check does.
    const AT_ONCE: Duration = Duration::from_secs(24 * 60 * 60);
    loop {
        let now = elapsed();
        let left = end.saturating_sub(now).min(AT_ONCE);
        if left.is_zero() {
            return Err(ETIMEDOUT);
        }
        match sys::poll_one(fd, events, left) {
            Ok(0) => {
                let passed = now.saturating_add(left).as_nanos().try_into().unwrap_or(u64::MAX);
                PASSED.fetch_max(passed, Ordering::Relaxed);
            }
            Err(EINTR) => {}
            other => return other,
        }
    }
}

/// Sleeps until that time since the start. Nothing shortens it: neither SIGSTOP, nor a kernel that refuses to wait, under
/// which it spins. (std's sleep panics then.)
pub fn sleep_until(end: Duration) {
    const NO_DESCRIPTOR: RawFd = -1;
    while poll_until(NO_DESCRIPTOR, 0, end) != Err(ETIMEDOUT) {}
}
