//! `--get` and `--post`: a request before the sleep, which tells the app to drain.

use std::fmt;
use std::time::Duration;

use crate::http::{Method, Read, exchange};
use crate::log::Bytes;
use crate::plan::Header;
use crate::url::HttpUrl;
use crate::watch::Detail;

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: Method,
    /// The URL as it was typed, for the log.
    pub text: &'a [u8],
    pub url: HttpUrl,
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.method {
            Method::Get => "GET ",
            Method::Post => "POST ",
        })?;
        Bytes(self.text).fmt(f)
    }
}

/// Sends a request, by `deadline`, a time since the start of the drain. Its answer's body is not waited for.
///
/// # Errors
/// Why it did not succeed.
pub fn send(request: &Request, headers: &[Header], deadline: Duration) -> Result<Detail, Detail> {
    match exchange(request.method, &request.url, headers, Read::Head, deadline) {
        Ok(answer) if answer.tls => Ok(Detail::Tls(answer.status)),
        Ok(answer) if answer.is_success() => Ok(Detail::Status(answer.status)),
        Ok(answer) => Err(Detail::Status(answer.status)),
        Err(failure) => Err(Detail::Failure(failure)),
    }
}
