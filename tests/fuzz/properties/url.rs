//! The URLs of the command line, and the Location of a redirect: what is accepted can be put into a request as it is, and
//! leads nowhere but where it says.

use std::net::IpAddr;
use std::time::Duration;

use drain_sleep::cli::args::{Args, Opt};
use drain_sleep::cli::plan::Plan;
use drain_sleep::http::redirect::{Redirect, resolve};
use drain_sleep::net::endpoint::{Endpoint, Host, SOCKET_PATH_MAX};
use drain_sleep::net::url::{GrpcUrl, HttpUrl, SERVICE_MAX};
use drain_sleep::watch::Target;

/// A URL, a Location and a Host header, a line each.
pub fn holds(input: &[u8]) {
    let mut lines = input.splitn(3, |&b| b == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (url, location, host) = (next(), next(), next());
    let Some(target) = read(url) else { return };
    is_clean(&target);
    assert_eq!(read(&write(&target)).as_ref(), Some(&target), "{}", write(&target).escape_ascii());
    if let Target::Http(url) = target {
        let host = if matches!(url.endpoint, Endpoint::Unix(_)) && host_header(host) { host } else { &url.authority };
        redirect(&url, host, location);
    }
}

/// As `--until-unready` reads it.
fn read(url: &[u8]) -> Option<Target> {
    let args = Args {
        options: vec![(Opt::UntilUnready, url)],
        duration: Some(Duration::from_secs(1)),
        has_operand: true,
        ..Args::default()
    };
    Some(Plan::new(&args).ok()?.watches.remove(0).target)
}

/// What a URL may have been that was read as this.
pub fn write(target: &Target) -> Vec<u8> {
    let socket = |path: &[u8]| [b"unix:", path].concat();
    match target {
        Target::Http(HttpUrl { endpoint: Endpoint::Unix(path), target, .. }) => {
            [b"http://", &socket(path)[..], b":", target].concat()
        }
        Target::Http(HttpUrl { authority, target, .. }) => [b"http://", &authority[..], target].concat(),
        Target::Accept(Endpoint::Unix(path)) => socket(path),
        Target::Accept(Endpoint::Tcp(host, port)) => {
            let host = match host {
                Host::Ip(IpAddr::V4(v4)) => v4.to_string(),
                Host::Ip(IpAddr::V6(v6)) => format!("[{v6}]"),
                Host::Localhost => "localhost".to_string(),
            };
            format!("tcp://{host}:{port}").into_bytes()
        }
        Target::Grpc(GrpcUrl { authority, service, .. }) => {
            let service: String = service.iter().map(|byte| format!("%{byte:02X}")).collect();
            [b"grpc://", &authority[..], b"/", service.as_bytes()].concat()
        }
        Target::Idle(_) => panic!("it has no URL"),
    }
}

fn is_clean(target: &Target) {
    match target {
        Target::Http(url) => is_sendable(url),
        Target::Accept(endpoint) => is_reachable(endpoint),
        Target::Grpc(url) => {
            is_reachable(&url.endpoint);
            assert!(url.authority.iter().all(u8::is_ascii_graphic) && url.service.len() <= SERVICE_MAX);
        }
        Target::Idle(_) => panic!("it has no URL"),
    }
}

/// Nothing in it can end the request line or the Host header.
fn is_sendable(url: &HttpUrl) {
    is_reachable(&url.endpoint);
    assert!(url.target.starts_with(b"/") && url.target.iter().all(u8::is_ascii_graphic), "{url:?}");
    assert!(url.authority.iter().all(u8::is_ascii_graphic), "{url:?}");
}

fn is_reachable(endpoint: &Endpoint) {
    match endpoint {
        Endpoint::Tcp(_, port) => assert!(*port > 0),
        Endpoint::Unix(path) => {
            assert!(path.starts_with(b"/") && path.len() <= SOCKET_PATH_MAX && path.iter().all(u8::is_ascii_graphic));
        }
    }
}

/// A Host header that `--header` takes.
fn host_header(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(u8::is_ascii_graphic)
}

/// A redirect of `url`, to which `host` was sent as its Host.
pub fn redirect(url: &HttpUrl, host: &[u8], location: &[u8]) {
    let mut next = url.clone();
    let Ok(Redirect::Follow { absolute }) = resolve(&mut next, host, location) else { return };
    is_sendable(&next);
    match (&url.endpoint, &next.endpoint) {
        (Endpoint::Tcp(before, _), Endpoint::Tcp(after, _)) => assert_eq!(before, after),
        (before, after) => assert_eq!(before, after),
    }
    if !absolute && !location.starts_with(b"//") {
        assert_eq!(next.authority, url.authority);
    }
    assert!(next.authority == url.authority || hostname(&next.authority) == hostname(host), "{next:?}");
    // What has been resolved stays as it is, unless it looks like a host.
    if !next.target.starts_with(b"//") && url.target == b"/" {
        let mut again = next.clone();
        assert_eq!(resolve(&mut again, host, &next.target), Ok(Redirect::Follow { absolute: false }));
        assert_eq!(again, next);
    }
}

/// Without its port and, as Go leaves it to an IPv6 address, with or without its brackets.
fn hostname(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let host = authority[..authority.len() - digits].strip_suffix(b":").unwrap_or(authority);
    host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
}
