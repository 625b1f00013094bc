//! `--get` and `--post`: a request that tells the app to drain. It is sent until it is heard.

use std::fmt;
use std::time::Duration;

use super::client::{Answer, Exchange, Method, NotFollowed, Read};
use super::header::Header;
use crate::drain::Reply;
use crate::net::endpoint::Endpoint;
use crate::net::failure::{Failure, TIMED_OUT};
use crate::net::url::HttpUrl;
use crate::os::sys::PollFd;
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
    /// There was an answer, but it is malformed, too long, or a redirect that cannot be followed.
    BadAnswer(Failure),
    /// No server took the request, or none answered it.
    NotTaken(Failure),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self {
            Error::BadAnswer(failure) | Error::NotTaken(failure) => return failure.fmt(f),
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

impl Error {
    /// Returns what the drain makes of it: whether the request is sent again.
    pub fn reply(&self) -> Reply {
        match self {
            Error::NotTaken(_) => Reply::NotTaken,
            Error::Answer(answer) if matches!(answer.status, 408 | 429 | 500..600) => Reply::Again,
            Error::Answer(_) | Error::BadAnswer(_) => Reply::Final,
        }
    }
}

/// Sends a request, and again if it must. It never waits, and never hangs up on a server that has taken the request, because many
/// frameworks cancel a handler whose client has gone. Only to be sent again, or dropped, it closes the connection.
pub struct Sender<'a> {
    pub request: &'a Request<'a>,
    headers: &'a [Header<'a>],
    /// `None` before the request is sent, and after the connection has failed.
    exchange: Option<Exchange<'a>>,
}

impl<'a> Sender<'a> {
    /// `headers` go with the request.
    pub fn new(request: &'a Request<'a>, headers: &'a [Header<'a>]) -> Sender<'a> {
        Sender { request, headers, exchange: None }
    }

    /// Begins to send the request, over a new connection.
    pub fn send(&mut self) {
        let Request { method, url, .. } = self.request;
        self.exchange = Some(Exchange::new(*method, url, self.headers, Read::Head));
    }

    /// Does what can be done now, and returns the answer when it has come, once. It does not wait for the body, but drops what
    /// comes of it.
    ///
    /// # Errors
    /// Why there is no answer, or an answer that is not success. A redirect that was not followed is not success, because the app was not
    /// told to drain. The exception is 302 or 303 to the same host after a POST: the app has done what was asked, and shows where
    /// to look.
    pub fn advance(&mut self) -> Option<Result<Answer, Error>> {
        let exchange = self.exchange.as_mut()?;
        if exchange.is_answered {
            exchange.drop_rest();
            return None;
        }
        Some(match exchange.advance(Duration::ZERO) {
            Err(TIMED_OUT) => return None,
            Err(failure) if exchange.is_answered => Err(Error::BadAnswer(failure)),
            Err(failure) => {
                self.exchange = None;
                Err(Error::NotTaken(failure))
            }
            Ok(answer) => match (answer.status, &answer.redirect) {
                (200..300, _) | (302 | 303, Some(NotFollowed::SameHost(..))) => Ok(answer),
                _ => Err(Error::Answer(answer)),
            },
        })
    }

    /// Returns what to poll before it advances, if anything can come.
    pub fn polled(&self) -> Option<PollFd> {
        self.exchange.as_ref().and_then(Exchange::polled)
    }
}
