//! What can be watched. [`Checker::check`] checks a [`Target`] once, by a deadline, and returns a [`Verdict`].
//!
//! A new kind of watch is a file here and an arm in each match on [`Target`], which `cargo test` then names. Look too at what
//! `cli::plan` says of [`Target::Idle`] alone, and at the fuzzer's properties. [`Target::parse`] reads a URL's scheme; an option of its
//! own belongs into `cli`. A check must be back by its deadline. Where the kernel itself may block it, the timer that ends every drain
//! a second after DURATION is what ends it.

mod accept;
mod grpc;
mod http;
mod idle;

use std::fmt;
use std::time::Duration;

use crate::drain::Finding;
use crate::http::header::Header;
use crate::net::endpoint::Endpoint;
use crate::net::failure::{Failure, Why};
use crate::net::url::{self, GrpcUrl, HttpUrl};
use crate::text::Bytes;

/// A target and how it was typed.
#[derive(Debug)]
pub struct Watch<'a> {
    /// As it was typed.
    pub text: &'a [u8],
    pub target: Target,
}

/// What can be watched.
#[derive(Debug, PartialEq)]
pub enum Target {
    Http(HttpUrl),
    /// `tcp://` and `unix:`: it accepts connections.
    Accept(Endpoint),
    Grpc(GrpcUrl),
    /// A local TCP port whose connections are to become silent.
    Idle(u16),
}

impl Target {
    /// Parses a URL of `--until-unready`. One match arm per scheme.
    ///
    /// # Errors
    /// The mistake in it, in words that follow the URL.
    pub fn parse(value: &[u8]) -> Result<Target, &'static str> {
        let (scheme, rest) = url::scheme(value)?;
        match scheme {
            b"http" => url::http(rest).map(Target::Http),
            b"tcp" => url::tcp(rest).map(Target::Accept),
            b"unix" => url::unix(rest).map(Target::Accept),
            b"grpc" => url::grpc(rest).map(Target::Grpc),
            b"https" => Err(
                "needs TLS, which drain-sleep does not speak: to watch whether it accepts connections, write tcp://HOST:PORT",
            ),
            _ => Err("has an unknown scheme: write http://, http://unix:, tcp://, unix: or grpc://"),
        }
    }

    /// Returns why no check of this target can succeed on this node, as far as that can be known before the app runs.
    pub fn refused(&self) -> Option<impl fmt::Display> {
        match self {
            Target::Http(_) | Target::Accept(_) | Target::Grpc(_) => None,
            Target::Idle(port) => idle::refused(*port),
        }
    }

    /// Says what the target is once it has drained.
    pub fn drained(&self) -> &'static str {
        match self {
            Target::Http(_) | Target::Accept(_) | Target::Grpc(_) => "unready",
            Target::Idle(_) => "idle",
        }
    }
}

impl fmt::Display for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Bytes(self.text);
        match self.target {
            Target::Http(_) | Target::Accept(_) | Target::Grpc(_) => text.fmt(f),
            Target::Idle(_) => write!(f, "port {text}"),
        }
    }
}

/// What a check has found, and how the log says it.
pub struct Verdict {
    pub finding: Finding,
    /// The finding in a word or two. A change of it is logged.
    pub word: &'static str,
    /// Why, in the words of that kind of watch.
    pub reason: String,
}

impl Verdict {
    /// The check shows whether the app is ready.
    fn answered(ready: bool, reason: &dyn fmt::Display) -> Verdict {
        let word = if ready { "ready" } else { "unready" };
        Verdict::new(Finding { ready, drained: !ready }, word, reason)
    }

    /// The check shows neither: it could not be made, or the app is slow or busy.
    fn unknown(reason: &dyn fmt::Display) -> Verdict {
        Verdict::new(Finding::default(), "not known", reason)
    }

    fn new(finding: Finding, word: &'static str, reason: &dyn fmt::Display) -> Verdict {
        Verdict { finding, word, reason: reason.to_string() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.word, self.reason)
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Verdict {
        match failure.why {
            Why::Unready(_) | Why::Status(_) => Verdict::answered(false, &failure),
            Why::SaysNothing(_) | Why::Busy(_) | Why::Local => Verdict::unknown(&failure),
        }
    }
}

/// Checks targets, and keeps what all checks need.
pub struct Checker<'a> {
    headers: &'a [Header<'a>],
    idle_after: Duration,
    tcp_diag: idle::TcpDiag,
}

impl<'a> Checker<'a> {
    /// `headers` go with every HTTP request; a connection is idle once it has been silent for `idle_after`.
    pub fn new(headers: &'a [Header<'a>], idle_after: Duration) -> Checker<'a> {
        Checker { headers, idle_after, tcp_diag: idle::TcpDiag::default() }
    }

    /// Checks a target once, and returns by `deadline`, a time since the start of the drain. One match arm per kind of watch.
    pub fn check(&mut self, target: &Target, deadline: Duration) -> Verdict {
        let checked = match target {
            Target::Http(url) => http::check(url, self.headers, deadline),
            Target::Accept(endpoint) => accept::check(endpoint, deadline),
            Target::Grpc(url) => grpc::check(url, deadline),
            Target::Idle(port) => Ok(idle::check(&mut self.tcp_diag, *port, self.idle_after, deadline)),
        };
        checked.unwrap_or_else(Verdict::from)
    }
}
