//! Why an exchange with a server failed, and what that says about the app.

use std::fmt;

use crate::os::sys::{self, Errno};

/// Why there is no good answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// There is nobody, or there is a bad answer. This is evidence. The number follows the words.
    Unready(&'static str, Option<u32>),
    /// The app is slow or busy, or answers with more than our limits allow. A healthy app may do that, so it says nothing.
    SaysNothing(&'static str),
    /// A failure on our side: no descriptor, port, memory or permission. It says nothing about the app.
    Local(Errno),
}

impl Failure {
    /// [`Failure::Unready`] without a number.
    pub const fn unready(why: &'static str) -> Failure {
        Failure::Unready(why, None)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unready(why, None) | Failure::SaysNothing(why) => f.write_str(why),
            Failure::Unready(why, Some(number)) => write!(f, "{why} {number}"),
            Failure::Local(error) => error.fmt(f),
        }
    }
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Failure {
        Failure::unready(why)
    }
}

impl From<Errno> for Failure {
    /// Only errors that show that there is nobody are evidence. A host that cannot be reached may be well: only the route to it
    /// is missing.
    fn from(error: Errno) -> Failure {
        match error {
            sys::ECONNREFUSED => Failure::unready("connection refused"),
            sys::ECONNRESET | sys::EPIPE => Failure::unready("connection reset"),
            // The path leads to nothing, or to a socket of another kind.
            sys::ENOENT | sys::ENOTDIR | sys::ELOOP => Failure::unready("no such socket"),
            sys::EPROTOTYPE => Failure::unready("not a stream socket"),
            sys::EHOSTUNREACH | sys::ENETUNREACH => Failure::SaysNothing("unreachable"),
            sys::ETIMEDOUT => Failure::SaysNothing("timed out"),
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
        assert!(evidence.iter().all(|&error| matches!(error.into(), Failure::Unready(_, None))));
        let slow = [sys::EHOSTUNREACH, sys::ENETUNREACH, sys::ETIMEDOUT];
        assert!(slow.iter().all(|&error| matches!(error.into(), Failure::SaysNothing(_))));
        let local =
            [Errno(1), Errno(12), Errno(13), Errno(23), Errno(24), Errno(105), sys::EADDRNOTAVAIL, sys::EAFNOSUPPORT];
        assert!(local.iter().all(|&error| Failure::from(error) == Failure::Local(error)));
    }
}
