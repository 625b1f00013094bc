//! What can be watched, behind one narrow interface: check it, by a deadline.

mod accept;
mod grpc;
mod http;
mod idle;

use std::fmt;
use std::time::Duration;

use crate::drain::Finding;
use crate::net::Failure;
use crate::plan::{Header, Target};

/// What a check has found, and how to say it.
#[derive(Debug)]
pub struct Outcome {
    pub finding: Finding,
    /// The verdict, in a word; a change of it is logged.
    pub verdict: &'static str,
    /// Why, in a few words.
    pub detail: String,
}

impl Outcome {
    fn ready(detail: String) -> Outcome {
        Outcome { finding: Finding { ready: true, drained: false }, verdict: "ready", detail }
    }

    fn unready(detail: String) -> Outcome {
        Outcome { finding: Finding { ready: false, drained: true }, verdict: "unready", detail }
    }

    /// The check could not be made, which says nothing either way.
    fn unknown(detail: String) -> Outcome {
        Outcome { finding: Finding { ready: false, drained: false }, verdict: "not known", detail }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.verdict, self.detail)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::Peer(why) => Outcome::unready(why),
            Failure::Local(error) => Outcome::unknown(error.to_string()),
        }
    }
}

/// Checks a target once, and is back by `deadline`, a time since the start of the drain.
pub fn check(target: &Target, headers: &[Header], deadline: Duration) -> Outcome {
    match target {
        Target::Http(url) => http::check(url, headers, deadline),
        Target::Accept(endpoint) => accept::check(endpoint, deadline),
        Target::Grpc(url) => grpc::check(url, deadline),
        Target::Idle { port, idle_after } => idle::check(*port, *idle_after, deadline),
    }
}
