//! Why an exchange with a server failed, and what that says about the app.

use std::fmt;

use crate::os::sys::{self, Errno};

/// Why there is no good answer, in words that stand where the failure is raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The app has gone, or its answer is bad. This is evidence.
    Unready(&'static str),
    /// The app answers with a bad status, which the log names after these words. This is evidence.
    Status(&'static str, u32),
    /// The app answers with a status that says that it is slow, or asked too often. This says nothing.
    Busy(&'static str, u32),
    /// The app is slow or busy, or answers with more than our limits allow. A healthy app may do that, so it says nothing.
    SaysNothing(&'static str),
    /// A failure on our side: no descriptor, port, memory or permission. It says nothing about the app.
    Local(Errno),
}

/// HTTP statuses that say no more than that a server is slow, or asked too often: Request Timeout and Gateway Timeout (RFC 9110
/// sections 15.5.9 and 15.6.5), Too Many Requests (RFC 6585 section 4). A rate limit may be reached by our own checks.
pub const BUSY: [u32; 3] = [408, 429, 504];

/// There was no answer by the deadline.
pub const TIMED_OUT: Failure = Failure::SaysNothing("timed out");

/// The connection ended before an answer was complete.
pub const CLOSED: Failure = Failure::Unready("connection closed");

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unready(words) | Failure::SaysNothing(words) => f.write_str(words),
            Failure::Status(words, status) | Failure::Busy(words, status) => write!(f, "{words} {status}"),
            Failure::Local(error) => error.fmt(f),
        }
    }
}

impl From<Errno> for Failure {
    /// Only errors that show that no app is there are evidence. A host that cannot be reached may be well: only the route to it
    /// is missing.
    fn from(error: Errno) -> Failure {
        match error {
            sys::ECONNREFUSED => Failure::Unready("connection refused"),
            sys::ECONNRESET | sys::EPIPE => Failure::Unready("connection reset"),
            // The path leads to nothing, or to a socket of another kind.
            sys::ENOENT | sys::ENOTDIR | sys::ELOOP => Failure::Unready("no such socket"),
            sys::EPROTOTYPE => Failure::Unready("not a stream socket"),
            sys::EHOSTUNREACH | sys::ENETUNREACH => Failure::SaysNothing("unreachable"),
            sys::ETIMEDOUT => TIMED_OUT,
            _ => Failure::Local(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of these no test can bring about.
    #[test]
    fn what_errors_say() {
        let evidence =
            [sys::ECONNREFUSED, sys::ECONNRESET, sys::EPIPE, sys::ENOENT, sys::ENOTDIR, sys::ELOOP, sys::EPROTOTYPE];
        assert!(evidence.iter().all(|&error| matches!(error.into(), Failure::Unready(_))));
        let slow = [sys::EHOSTUNREACH, sys::ENETUNREACH, sys::ETIMEDOUT];
        assert!(slow.iter().all(|&error| matches!(error.into(), Failure::SaysNothing(_))));
        let local =
            [Errno(1), Errno(12), Errno(13), Errno(23), Errno(24), Errno(105), sys::EADDRNOTAVAIL, sys::EAFNOSUPPORT];
        assert!(local.iter().all(|&error| Failure::from(error) == Failure::Local(error)));
    }
}
