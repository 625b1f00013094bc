//! `grpc://…`: the app is ready if the kubelet's `grpc` probe would succeed: the standard health check answers SERVING.

use std::time::Duration;

use super::Verdict;
use crate::grpc::health::{Call, SERVING, request, serving_status};
use crate::net::connection::connect;
use crate::net::failure::{CLOSED, Failure, Why::SaysNothing};
use crate::net::url::GrpcUrl;

/// How many bytes a server may send before its answer is complete. HTTP/2 lets it send as many before the client must open its
/// window, so that this client never has to.
const RESPONSE_MAX: usize = 65_535;

pub fn check(url: &GrpcUrl, deadline: Duration) -> Result<Verdict, Failure> {
    let status = status(url, deadline)?;
    Ok(Verdict::answered(status == SERVING, &serving_status(status)))
}

fn status(url: &GrpcUrl, deadline: Duration) -> Result<i32, Failure> {
    let mut connection = connect(&url.endpoint, deadline)?;
    connection.send(&mut request(&url.authority, &url.service), deadline)?;
    let mut call = Call::default();
    let mut received = 0;
    let mut bytes = Vec::new();
    let mut replies = Vec::new();
    while connection.receive(&mut bytes, deadline)? {
        received += bytes.len();
        if received > RESPONSE_MAX {
            return Err(Failure::new(&SaysNothing("more than 64 KiB without an answer")));
        }
        if let Some(status) = call.receive(&bytes, &mut replies)? {
            return Ok(status);
        }
        connection.send(&mut replies, deadline)?;
        bytes.clear();
    }
    Err(CLOSED)
}
