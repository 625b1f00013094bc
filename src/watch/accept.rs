//! `tcp://…` and `unix:…`: ready is what accepts a connection. This is all that can be seen of a TLS server.

use std::time::Duration;

use super::{Detail, Outcome};
use crate::net::connect;
use crate::url::Endpoint;

pub fn check(endpoint: &Endpoint, deadline: Duration) -> Outcome {
    match connect(endpoint, deadline) {
        Ok(_) => Outcome::ready(Detail::Words("accepts connections")),
        Err(failure) => failure.into(),
    }
}
