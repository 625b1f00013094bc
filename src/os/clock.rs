//! The drain's clock: it tells the time since the start of the drain, which never goes back, and waits for a time to come.
//!
//! On some virtual machines the clock needs a system call, which a seccomp profile may refuse. Then no time passes here, and the
//! kernel ends the drain: see `failsafe`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sys::{self, EINTR, ETIMEDOUT, Errno, PollFd};

/// When the drain began, in nanoseconds on the monotonic clock; 0 before that.
static START: AtomicU64 = AtomicU64::new(0);

/// Returns the time since the start of the drain, which is the first call. May be called from a signal handler.
pub fn elapsed() -> Duration {
    let Some(now) = sys::monotonic() else { return Duration::ZERO };
    let start = START.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(now);
    Duration::from_nanos(now.saturating_sub(start))
}

/// Waits for one of these descriptors to be ready, until `end`, a time since the start.
///
/// # Errors
/// ETIMEDOUT at `end`, and those of poll(2).
pub fn poll_until(fds: &mut [PollFd], end: Duration) -> Result<(), Errno> {
    /// The longest single wait: less than the 24 days that poll(2) can wait.
    const AT_ONCE: Duration = Duration::from_secs(24 * 60 * 60);
    loop {
        let left = end.saturating_sub(elapsed()).min(AT_ONCE);
        if left.is_zero() {
            return Err(ETIMEDOUT);
        }
        match sys::poll_all(fds, left) {
            Ok(()) if fds.iter().all(|polled| polled.revents == 0) => {}
            Err(EINTR) => {}
            other => return other,
        }
    }
}

/// Sleeps until `end`, a time since the start. Neither SIGSTOP nor a signal can shorten it. If poll(2) fails, it spins rather than
/// return early. (std's sleep would panic.)
pub fn sleep_until(end: Duration) {
    while poll_until(&mut [], end) != Err(ETIMEDOUT) {}
}
