//! What can be watched, behind one narrow interface: check it, by a deadline.

mod accept;
mod grpc;
mod http;
mod idle;

use std::fmt;
use std::time::Duration;

use crate::drain::Finding;
use crate::http::Answer;
use crate::inet_diag;
use crate::net::Failure;
use crate::plan::{Plan, Target};

pub use idle::TcpDiag;

/// What a check has found, and how to say it.
pub struct Outcome {
    pub finding: Finding,
    /// The verdict, in a word; a change of it is logged.
    pub verdict: &'static str,
    pub detail: Detail,
}

/// Why a verdict is what it is.
pub enum Detail {
    Words(&'static str),
    Answer(Answer),
    Failure(Failure),
    /// Connections that are busy, and those that are open.
    Busy(u32, u32),
    /// Connections that are open, and whether anything listens.
    Idle(u32, bool),
    /// Why the kernel does not list connections.
    NoList(inet_diag::Error),
}

impl Outcome {
    fn ready(detail: Detail) -> Outcome {
        Outcome { finding: Finding { ready: true, drained: false }, verdict: "ready", detail }
    }

    fn unready(detail: Detail) -> Outcome {
        Outcome { finding: Finding { ready: false, drained: true }, verdict: "unready", detail }
    }

    /// The check says nothing either way: it could not be made, or the app is slow or busy.
    fn unknown(detail: Detail) -> Outcome {
        Outcome { finding: Finding { ready: false, drained: false }, verdict: "not known", detail }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.verdict, self.detail)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::Words(words) => f.write_str(words),
            Detail::Answer(answer) => answer.fmt(f),
            Detail::Failure(failure) => failure.fmt(f),
            Detail::Busy(busy, open) => write!(f, "{busy} of {open} connections"),
            Detail::Idle(open, true) => write!(f, "{open} open"),
            Detail::Idle(open, false) => write!(f, "{open} open, nothing listens"),
            Detail::NoList(error) => write!(f, "the kernel does not list connections: {error}"),
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::Unready(..) => Outcome::unready(Detail::Failure(failure)),
            Failure::SaysNothing(_) | Failure::Local(_) => Outcome::unknown(Detail::Failure(failure)),
        }
    }
}

/// Checks a target once, and is back by `deadline`, a time since the start of the drain.
pub fn check(target: &Target, plan: &Plan, tcp_diag: &mut TcpDiag, deadline: Duration) -> Outcome {
    match target {
        Target::Http(url) => http::check(url, &plan.headers, deadline),
        Target::Accept(endpoint) => accept::check(endpoint, deadline),
        Target::Grpc(url) => grpc::check(url, deadline),
        Target::Idle(port) => idle::check(tcp_diag, *port, plan.idle_after, deadline),
    }
}
