//! The drain's clock: it tells the time since the start of the drain, which never goes back, and waits for a time to come.
//!
//! On some virtual machines the clock needs a system call, which a seccomp profile may refuse. Then the time spent waiting is
//! added up instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sys::{self, EINTR, ETIMEDOUT, Errno, PollFd};

/// When the drain began, in nanoseconds on the monotonic clock; 0 until that clock could be read.
static START: AtomicU64 = AtomicU64::new(0);
/// How many nanoseconds have passed since then at least.
static PASSED: AtomicU64 = AtomicU64::new(0);

/// Returns the time since the start of the drain, which is the first call. May be called from a signal handler.
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

/// Waits for one of these descriptors to be ready, until `end`, a time since the start.
///
/// # Errors
/// ETIMEDOUT at `end`, and those of poll(2).
pub fn poll_until(fds: &mut [PollFd], end: Duration) -> Result<(), Errno> {
    /// The longest single wait: less than the 24 days that poll(2) can wait.
    const AT_ONCE: Duration = Duration::from_secs(24 * 60 * 60);
    loop {
        let now = elapsed();
        let left = end.saturating_sub(now).min(AT_ONCE);
        if left.is_zero() {
            return Err(ETIMEDOUT);
        }
        match sys::poll_all(fds, left) {
            Ok(()) if fds.iter().all(|polled| polled.revents == 0) => {
                let passed = now.saturating_add(left).as_nanos().try_into().unwrap_or(u64::MAX);
                PASSED.fetch_max(passed, Ordering::Relaxed);
            }
            Err(EINTR) => {}
            other => return other,
        }
    }
}

/// Sleeps until `end`, a time since the start. Neither SIGSTOP nor a kernel that refuses to wait can shorten it: it then asks
/// again and again. (std's sleep would panic.)
pub fn sleep_until(end: Duration) {
    while poll_until(&mut [], end) != Err(ETIMEDOUT) {}
}
