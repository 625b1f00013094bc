//! Why an exchange with a server failed, and what that says about the app.

use std::fmt;

use Why::{Busy, Local, SaysNothing, Status, Unready};

use crate::os::sys::{self, Errno};

/// Why there is no good answer. It fits into two registers, since most functions of a check may return it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failure {
    pub why: &'static Why,
    /// The status or errno; 0 if there is none.
    number: u32,
}

/// What a failure says about the app, in words that stand where it is raised.
#[derive(Debug, PartialEq)]
pub enum Why {
    /// The app has gone, or its answer is bad. This is evidence.
    Unready(&'static str),
    /// The app answers with a bad status, which the log names after these words. This is evidence.
    Status(&'static str),
    /// The app answers with a status that says that it is slow, or asked too often. This says nothing.
    Busy(&'static str),
    /// The app is slow or busy, or answers with more than our limits allow. A healthy app may do that, so it says nothing.
    SaysNothing(&'static str),
    /// A failure on our side: no descriptor, port, memory or permission. It says nothing about the app.
    Local,
}

impl Failure {
    pub const fn new(why: &'static Why) -> Failure {
        Failure { why, number: 0 }
    }

    /// A failure that is a status.
    pub fn status(why: &'static Why, status: u32) -> Failure {
        Failure { why, number: status }
    }
}

/// HTTP statuses that say no more than that a server is slow, or asked too often: Request Timeout and Gateway Timeout (RFC 9110
/// sections 15.5.9 and 15.6.5), Too Many Requests (RFC 6585 section 4). A rate limit may be reached by our own checks.
pub const BUSY: [u32; 3] = [408, 429, 504];

/// There was no answer by the deadline.
pub const TIMED_OUT: Failure = Failure::new(&SaysNothing("timed out"));

/// The connection ended before an answer was complete.
pub const CLOSED: Failure = Failure::new(&Unready("connection closed"));

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Unready(words) | SaysNothing(words) => f.write_str(words),
            Status(words) | Busy(words) => write!(f, "{words} {}", self.number),
            Local => Errno(self.number as i32).fmt(f),
        }
    }
}

impl From<Errno> for Failure {
    /// For errors of a connection; a watch of another kind judges an errno itself. Only those that show that no app is there are
    /// evidence. A host that cannot be reached may be well: only the route to it is missing.
    fn from(error: Errno) -> Failure {
        Failure::new(match error {
            sys::ECONNREFUSED => &Unready("connection refused"),
            sys::ECONNRESET | sys::EPIPE => &Unready("connection reset"),
            // The path leads to nothing, or to a socket of another kind.
            sys::ENOENT | sys::ENOTDIR | sys::ELOOP => &Unready("no such socket"),
            sys::EPROTOTYPE => &Unready("not a stream socket"),
            sys::EHOSTUNREACH | sys::ENETUNREACH => &SaysNothing("unreachable"),
            sys::ETIMEDOUT => return TIMED_OUT,
            Errno(number) => return Failure { why: &Local, number: number as u32 },
        })
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
        assert!(evidence.iter().all(|&error| matches!(Failure::from(error).why, Unready(_))));
        let slow = [sys::EHOSTUNREACH, sys::ENETUNREACH, sys::ETIMEDOUT];
        assert!(slow.iter().all(|&error| matches!(Failure::from(error).why, SaysNothing(_))));
        let local =
            [Errno(1), Errno(12), Errno(13), Errno(23), Errno(24), Errno(105), sys::EADDRNOTAVAIL, sys::EAFNOSUPPORT];
        assert!(local.iter().all(|&error| *Failure::from(error).why == Local));
    }
}
