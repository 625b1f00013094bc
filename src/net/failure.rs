//! Why an exchange with a server failed, and what that says about the app.

use std::fmt;

use crate::os::sys::{self, Errno};

/// Why an exchange failed, and what that says about the app.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// Nobody is there, or what is there has answered, if badly: this is evidence. Why, and a number that goes with it.
    Unready(&'static str, Option<u32>),
    /// The app is slow or busy, or answers with more than our limits allow. A live app may do that, so it says nothing.
    SaysNothing(&'static str),
    /// A failure on our side: no descriptor, port, memory, permission or route. It says nothing about the app either.
    Local(Errno),
}

impl Failure {
    /// Evidence that words are enough to tell.
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
    /// Only errors that show that nobody is there are evidence. A host that cannot be reached may be as well as before: it is
    /// the way there that is missing.
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
