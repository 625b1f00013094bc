//! `tcp://…` and `unix:…`: the app is ready if it accepts a connection. A TLS server shows no more than that without TLS.

use std::time::Duration;

use super::Verdict;
use crate::net::connection::connect;
use crate::net::endpoint::Endpoint;
use crate::net::failure::Failure;

pub fn check(endpoint: &Endpoint, deadline: Duration) -> Result<Verdict, Failure> {
    connect(endpoint, deadline)?;
    Ok(Verdict::answered(true, &"accepts connections"))
}
