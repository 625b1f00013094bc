//! `--get` and `--post`: a request that tells the app to drain.

use std::fmt;
use std::time::Duration;

use super::client::{Answer, Exchange, Method, NotFollowed, Read};
use super::header::Header;
use crate::net::endpoint::Endpoint;
use crate::net::failure::Failure;
use crate::net::url::HttpUrl;
use crate::text::Bytes;

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

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Error {
    /// There was an answer, but not success.
    Answer(Answer),
    /// There was no answer.
    Failure(Failure),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self {
            Error::Failure(failure) => return failure.fmt(f),
            Error::Answer(answer) => answer,
        };
        let Some(NotFollowed::SameHost(_, url)) = &answer.redirect else { return answer.fmt(f) };
        write!(f, "{}, a redirect that a POST does not follow: write http://", answer.status)?;
        match &url.endpoint {
            Endpoint::Tcp(..) => Bytes(&url.authority).fmt(f)?,
            Endpoint::Unix(path) => write!(f, "unix:{}:", Bytes(path))?,
        }
        Bytes(&url.target).fmt(f)
    }
}

/// Sends a request, and returns its answer by `deadline`, a time since the start of the drain. It does not wait for the body.
///
/// # Errors
/// Why there is no answer, or an answer that is not success. A redirect that was not followed is not success, since nobody was
/// told to drain. The exception is 302 or 303 to the same host after a POST: the app has done what was asked, and shows where to
/// look.
pub fn send(request: &Request, headers: &[Header], deadline: Duration) -> Result<Answer, Error> {
    let mut exchange = Exchange::new(request.method, &request.url, headers, Read::Head);
    let answer = exchange.advance(deadline).map_err(|error| Error::Failure(error.into()))?;
    match (answer.status, &answer.redirect) {
        (200..300, _) | (302 | 303, Some(NotFollowed::SameHost(..))) => Ok(answer),
        _ => Err(Error::Answer(answer)),
    }
}
