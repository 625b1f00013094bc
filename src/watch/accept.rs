//! `tcp://…` and `unix:…`: ready is what accepts a connection. This is all that can be seen of a TLS server.

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
