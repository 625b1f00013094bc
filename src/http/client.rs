//! HTTP requests. Each has its own connection, and a GET follows redirects as the kubelet does.

use std::fmt;
use std::time::Duration;

use super::header::{HOST, Header};
use super::redirect::{Redirect, resolve};
use super::response;
use crate::net::connection::{Connection, connect};
use crate::net::endpoint::Endpoint;
use crate::net::failure::{CLOSED, Failure};
use crate::net::url::HttpUrl;
use crate::text::{Bytes, USER_AGENT};

/// How many requests lead to one answer: nine redirects and the answer. `RedirectChecker` in the kubelet's
/// `pkg/probe/http/http.go`.
const REQUESTS_MAX: usize = 10;
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

/// Sends a request, follows redirects, and returns the final answer by `deadline`, a time since the start of the drain. A POST
/// follows only 307 and 308, with a POST.
///
/// # Errors
/// Why there is no answer that counts.
pub fn exchange(
    method: Method,
    url: &HttpUrl,
    headers: &[Header],
    read: Read,
    deadline: Duration,
) -> Result<Answer, Failure> {
    let mut custom_host = headers.iter().find(|header| header.is(HOST)).map(|header| header.value);
    // The URL of a Unix socket names no host, so that the Host header takes its place.
    let first_host = match (&url.endpoint, custom_host) {
        (Endpoint::Unix(_), Some(host)) => host,
        _ => &url.authority,
    };
    let mut url = url.clone();
    for _ in 0..REQUESTS_MAX {
        let host = custom_host.unwrap_or(&url.authority);
        let mut connection = connect(&url.endpoint, deadline)?;
        connection.send(&request(method, &url.target, host, headers))?;
        let mut response = Response { connection, bytes: Vec::new(), ended: false };
        let mut head = response.head()?;
        let mut redirect = None;
        if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
            let location = head.location.take().unwrap_or_default();
            redirect = Some(match resolve(&mut url, first_host, &location)? {
                _ if location.is_empty() => NotFollowed::Nowhere,
                Redirect::Follow { absolute } if method == Method::Get || matches!(head.status, 307 | 308) => {
                    // The body of a redirect may be broken, but it must not stall.
                    if read == Read::Body
                        && !head.announces_more_than(response::REDIRECT_BODY_MAX)
                        && let Err(failure @ Failure::SaysNothing(_)) =
                            response.body(&head, response::REDIRECT_BODY_MAX)
                    {
                        return Err(failure);
                    }
                    custom_host = custom_host.filter(|_| !absolute);
                    continue;
                }
                Redirect::Follow { .. } => NotFollowed::SameHost(location, url),
                Redirect::OtherScheme => return Err(Failure::Unready("redirect to a scheme that is not http")),
                Redirect::OtherHost => NotFollowed::OtherHost(location),
                Redirect::Tls => NotFollowed::Tls(location),
            });
        }
        if read == Read::Body {
            response.body(&head, response::BODY_MAX)?;
        }
        return Ok(Answer { status: head.status, redirect });
    }
    Err(Failure::Unready("more than 9 redirects"))
}

fn request(method: Method, target: &[u8], host: &[u8], headers: &[Header]) -> Vec<u8> {
    let (method, length): (&[u8], &[u8]) = match method {
        Method::Get => (b"GET ", b""),
        Method::Post => (b"POST ", b"Content-Length: 0\r\n"),
    };
    let mut request = [method, target, b" HTTP/1.1\r\nHost: ", host, b"\r\nConnection: close\r\n", length].concat();
    let mut add = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            request.extend_from_slice(part);
        }
    };
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

/// A response as it comes in.
struct Response {
    connection: Connection,
    bytes: Vec<u8>,
    ended: bool,
}

impl Response {
    fn head(&mut self) -> Result<response::Head, Failure> {
        loop {
            if let Some(head) = response::head(&self.bytes)? {
                return Ok(head);
            }
            if self.ended {
                return Err(CLOSED);
            }
            self.more()?;
        }
    }

    fn body(&mut self, head: &response::Head, limit: u64) -> Result<(), Failure> {
        while !response::body(&self.bytes, head, limit, self.ended)? {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> Result<(), Failure> {
        if self.bytes.len() > RESPONSE_MAX {
            return Err(Failure::SaysNothing("more than 64 KiB without an end"));
        }
        self.ended = !self.connection.receive(&mut self.bytes)?;
        Ok(())
    }
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
