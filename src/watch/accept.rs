//! `tcp://…` and `unix:…`: the app is ready if it accepts a connection. A TLS server shows no more than that without TLS.

use std::time::Duration;

use super::{Reason, Verdict};
use crate::net::connection::connect;
use crate::net::endpoint::Endpoint;

pub fn check(endpoint: &Endpoint, deadline: Duration) -> Verdict {
    match connect(endpoint, deadline) {
        Ok(_) => Verdict::ready(Reason::Words("accepts connections")),
        Err(failure) => failure.into(),
    }
}
