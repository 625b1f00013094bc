//! `--get` and `--post`: a request before the sleep, which tells the app to drain.

use std::fmt;
use std::time::Duration;

use crate::http::{Method, Read, exchange};
use crate::net::Failure;
use crate::plan::Header;
use crate::url::HttpUrl;

/// One request.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// The URL as it was typed, for the log.
    pub name: String,
    pub url: HttpUrl,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        write!(f, "{method} {}", self.name)
    }
}

/// Sends a request, by `deadline`, a time since the start of the drain. Its answer's body is not waited for.
///
/// # Errors
/// In words, why it did not succeed.
pub fn send(request: &Request, headers: &[Header], deadline: Duration) -> Result<u16, String> {
    match exchange(request.method, &request.url, headers, Read::Head, deadline) {
        Ok(answer) if answer.is_success() => Ok(answer.status),
        Ok(answer) => Err(answer.status.to_string()),
        Err(Failure::Peer(why)) => Err(why),
        Err(Failure::Local(error)) => Err(error.to_string()),
    }
}
