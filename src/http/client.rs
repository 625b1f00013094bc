//! HTTP requests. Each has its own connection, and a GET follows redirects as the kubelet does.

use std::fmt;
use std::time::Duration;

use super::header::{HOST, Header};
use super::redirect::{Redirect, resolve};
use super::response;
use crate::net::connection::Connection;
use crate::net::endpoint::Endpoint;
use crate::net::failure::Why::{SaysNothing, Unready};
use crate::net::failure::{CLOSED, Failure, TIMED_OUT};
use crate::net::url::HttpUrl;
use crate::os::sys::PollFd;
use crate::text::{Bytes, USER_AGENT};

/// How many redirects may lead to an answer: `RedirectChecker` in the kubelet's `pkg/probe/http/http.go`.
const REDIRECTS_MAX: usize = 9;
/// How many bytes a server may send on one connection before there is a verdict.
const RESPONSE_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Get,
    Post,
}

/// How far to read an answer.
#[derive(Clone, Copy, PartialEq)]
pub enum Read {
    /// To the end of its head.
    Head,
    /// To the end of its body, or until its status alone decides.
    Body,
}

/// The answer that counts: the last one, if redirects were followed.
#[derive(Debug)]
pub struct Answer {
    pub status: u32,
    pub redirect: Option<NotFollowed>,
}

/// A redirect that was not followed, with its Location and why.
#[derive(Debug)]
pub enum NotFollowed {
    /// It has no Location.
    Nowhere,
    /// It leads a POST to the same host, with a status other than 307 and 308. The URL is the one that it leads to.
    SameHost(Vec<u8>, HttpUrl),
    /// It leads to another host, or to something without a host.
    OtherHost(Vec<u8>),
    /// It leads to the same host by TLS, which this program does not speak.
    Tls(Vec<u8>),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        match &self.redirect {
            None => Ok(()),
            Some(NotFollowed::Nowhere) => f.write_str(", a redirect without a Location"),
            Some(NotFollowed::SameHost(location, _)) => write!(f, ", Location: {}", Bytes(location)),
            Some(NotFollowed::OtherHost(location)) => {
                write!(f, ", a redirect to another host, which is not followed: {}", Bytes(location))
            }
            Some(NotFollowed::Tls(location)) => {
                write!(f, ", a redirect to https, which cannot be followed: {}", Bytes(location))
            }
        }
    }
}

/// A request, the redirects that it leads to, and the answer as far as it has come.
pub struct Exchange<'a> {
    method: Method,
    headers: &'a [Header<'a>],
    read: Read,
    /// The user's Host header, until a redirect names another host.
    custom_host: Option<&'a [u8]>,
    /// The host that redirects may lead to.
    first_host: &'a [u8],
    redirects: usize,
    url: HttpUrl,
    connection: Connection,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// The server has ended the stream.
    ended: bool,
    /// An answer has come, if a bad one. A failure is then the answer's, and before that the connection's.
    pub is_answered: bool,
}

impl<'a> Exchange<'a> {
    /// Makes an exchange that has not begun. `headers` go with every request.
    pub fn new(method: Method, url: &'a HttpUrl, headers: &'a [Header<'a>], read: Read) -> Exchange<'a> {
        let custom_host = headers.iter().find(|header| header.is(HOST)).map(|header| header.value);
        // The URL of a Unix socket names no host. The Host header takes its place.
        let first_host = match (&url.endpoint, custom_host) {
            (Endpoint::Unix(_), Some(host)) => host,
            _ => &url.authority,
        };
        Exchange {
            method,
            headers,
            read,
            custom_host,
            first_host,
            redirects: 0,
            url: url.clone(),
            connection: Connection::new(&url.endpoint),
            unsent: request(method, &url.target, custom_host.unwrap_or(&url.authority), headers),
            received: Vec::new(),
            ended: false,
            is_answered: false,
        }
    }

    /// Sends the request, follows redirects, and returns the final answer by `deadline`, a time since the start of the drain. A
    /// POST follows only 307 and 308, with a POST. After [`TIMED_OUT`] it may be called again, and goes on where it was.
    ///
    /// # Errors
    /// Why there is no answer that counts.
    pub fn advance(&mut self, deadline: Duration) -> Result<Answer, Failure> {
        loop {
            self.connection.open(deadline)?;
            self.connection.send(&mut self.unsent, deadline)?;
            let mut head = self.head(deadline)?;
            let mut redirect = None;
            if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                let location = head.location.take().unwrap_or_default();
                let mut next = self.url.clone();
                redirect = Some(match resolve(&mut next, self.first_host, &location)? {
                    _ if location.is_empty() => NotFollowed::Nowhere,
                    Redirect::Follow { absolute } if self.method == Method::Get || matches!(head.status, 307 | 308) => {
                        self.skip_redirect(&head, deadline)?;
                        self.custom_host = self.custom_host.filter(|_| !absolute);
                        self.follow(next)?;
                        continue;
                    }
                    Redirect::Follow { .. } => NotFollowed::SameHost(location, next),
                    Redirect::OtherScheme => {
                        return Err(Failure::new(&Unready("redirect to a scheme that is not http")));
                    }
                    Redirect::OtherHost => NotFollowed::OtherHost(location),
                    Redirect::Tls => NotFollowed::Tls(location),
                });
            }
            if self.read == Read::Body {
                self.body(&head, response::BODY_MAX, deadline)?;
            }
            return Ok(Answer { status: head.status, redirect });
        }
    }

    /// Reads the body of a redirect. It may be broken, but it must not stall.
    fn skip_redirect(&mut self, head: &response::Head, deadline: Duration) -> Result<(), Failure> {
        if self.read == Read::Head || head.announces_more_than(response::REDIRECT_BODY_MAX) {
            return Ok(());
        }
        match self.body(head, response::REDIRECT_BODY_MAX, deadline) {
            Err(failure) if matches!(failure.why, SaysNothing(_)) => Err(failure),
            _ => Ok(()),
        }
    }

    fn follow(&mut self, url: HttpUrl) -> Result<(), Failure> {
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            return Err(Failure::new(&Unready("more than 9 redirects")));
        }
        self.connection = Connection::new(&url.endpoint);
        self.unsent = request(self.method, &url.target, self.custom_host.unwrap_or(&url.authority), self.headers);
        self.received.clear();
        self.ended = false;
        self.is_answered = false;
        self.url = url;
        Ok(())
    }

    fn head(&mut self, deadline: Duration) -> Result<response::Head, Failure> {
        loop {
            let head = response::head(&self.received);
            self.is_answered = head != Ok(None);
            if let Some(head) = head? {
                return Ok(head);
            }
            if self.ended {
                return Err(CLOSED);
            }
            self.receive(deadline)?;
        }
    }

    fn body(&mut self, head: &response::Head, limit: u64, deadline: Duration) -> Result<(), Failure> {
        while !response::body(&self.received, head, limit, self.ended)? {
            self.receive(deadline)?;
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Duration) -> Result<(), Failure> {
        if self.received.len() > RESPONSE_MAX {
            self.is_answered = true;
            return Err(Failure::new(&SaysNothing("more than 64 KiB without an end")));
        }
        self.ended = !self.connection.receive(&mut self.received, deadline)?;
        Ok(())
    }

    /// Returns what to poll before it advances, or before more is dropped. There is nothing to poll if nothing more will come.
    pub fn polled(&self) -> Option<PollFd> {
        self.connection.polled(!self.unsent.is_empty()).filter(|_| !self.ended)
    }

    /// Drops what has come after the answer, and waits for nothing. The connection stays open.
    pub fn drop_rest(&mut self) {
        self.received.clear();
        self.ended |= !matches!(self.connection.receive(&mut self.received, Duration::ZERO), Ok(true) | Err(TIMED_OUT));
    }
}

fn request(method: Method, target: &[u8], host: &[u8], headers: &[Header]) -> Vec<u8> {
    let (method, length): (&[u8], &[u8]) = match method {
        Method::Get => (b"GET ", b""),
        Method::Post => (b"POST ", b"Content-Length: 0\r\n"),
    };
    let mut request = [method, target, b" HTTP/1.1\r\nHost: ", host, b"\r\nConnection: close\r\n", length].concat();
    let mut add = |name: &[u8], value: &[u8]| request.extend([name, b": ", value, b"\r\n"].concat());
    for (name, value) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
        if !headers.iter().any(|header| header.is(name)) {
            add(name.as_bytes(), value.as_bytes());
        }
    }
    for header in headers.iter().filter(|header| !header.value.is_empty() && !header.is(HOST)) {
        add(header.name, header.value);
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let header =
            |name: &'static str, value: &'static str| Header { name: name.as_bytes(), value: value.as_bytes() };
        let plain = request(Method::Get, b"/readyz", b"localhost:80", &[]);
        let expected = format!(
            "GET /readyz HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\r\n"
        );
        assert_eq!(plain.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        let headers = [
            header("user-agent", "x"),
            header("ACCEPT", ""),
            header("A", "1"),
            header("A", "2"),
            header("B", ""),
            header("host", "h"),
        ];
        let own = request(Method::Post, b"/", b"h", &headers);
        let expected =
            b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\nuser-agent: x\r\nA: 1\r\nA: 2\r\n\r\n";
        assert_eq!(own.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
