//! The URLs of the command line. A host is an address or `localhost`: no name is ever resolved. An error says why a URL is invalid,
//! in words that follow it.

use std::net::IpAddr;

use super::endpoint::{Endpoint, Host, SOCKET_PATH_MAX};
use crate::text::{decimal, hex, split_once};

/// Where to check the gRPC health of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcUrl {
    pub endpoint: Endpoint,
    /// `HOST:PORT`, written as in [`HttpUrl`].
    pub authority: Vec<u8>,
    /// The service's name; empty for the server as a whole.
    pub service: Vec<u8>,
}

/// Where to send an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpUrl {
    pub endpoint: Endpoint,
    /// `HOST[:PORT]` as typed, but without brackets around an IPv4 address; `localhost` for a Unix socket.
    pub authority: Vec<u8>,
    /// Path and query, as sent.
    pub target: Vec<u8>,
}

/// The longest SERVICE of a gRPC URL, in bytes. With it the request fits into one frame and into the server's first window.
pub const SERVICE_MAX: usize = 8 * 1024;

/// The port of `http:` if the URL has none: RFC 9110 section 4.2.1.
pub const HTTP_PORT: u16 = 80;

/// Splits a URL of the command line into its scheme and what follows the `:`. Refuses bytes that no URL here may have.
pub fn scheme(url: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if !url.iter().all(|b| (0x21..=0x7e).contains(b)) {
        return Err("has a byte that is not printable ASCII: percent-encode it");
    }
    if url.contains(&b'#') {
        return Err("has a fragment, which is never sent: leave out the # and what follows");
    }
    split_once(url, b':').ok_or("has no scheme: write http://localhost:8080/readyz")
}

/// Reads what follows `http:`.
pub fn http(rest: &[u8]) -> Result<HttpUrl, &'static str> {
    let rest = rest.strip_prefix(b"//").ok_or("has no // after its scheme: write http://localhost:8080/readyz")?;
    if let Some(socket) = rest.strip_prefix(b"unix:") {
        const FORM: &str = "needs a socket and a path: write http://unix:/run/app.sock:/readyz";
        if !socket.starts_with(b"/") {
            return Err(FORM);
        }
        let (path, target) = split_once(socket, b':').filter(|(_, target)| target.starts_with(b"/")).ok_or(FORM)?;
        return Ok(HttpUrl { endpoint: unix(path)?, authority: b"localhost".to_vec(), target: target.to_vec() });
    }
    let end = rest.iter().position(|b| b"/?".contains(b)).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let (host, port) = host_port(authority)?;
    let authority = normal_authority(host, authority);
    let slash: &[u8] = if target.starts_with(b"/") { b"" } else { b"/" };
    let endpoint = Endpoint::Tcp(host, port.unwrap_or(HTTP_PORT));
    Ok(HttpUrl { endpoint, authority, target: [slash, target].concat() })
}

/// Reads `//HOST:PORT`, as it follows `tcp:`.
pub fn tcp(rest: &[u8]) -> Result<Endpoint, &'static str> {
    let authority = rest.strip_prefix(b"//").ok_or("has no // after its scheme: write tcp://localhost:8080")?;
    if authority.iter().any(|b| b"/?".contains(b)) {
        return Err("has a path after its port, which TCP does not use: write tcp://localhost:8080");
    }
    match host_port(authority)? {
        (host, Some(port)) => Ok(Endpoint::Tcp(host, port)),
        (_, None) => Err("has no port: write tcp://localhost:8080"),
    }
}

/// Reads `/SOCKET/PATH` or `///SOCKET/PATH`, as it follows `unix:`.
pub fn unix(path: &[u8]) -> Result<Endpoint, &'static str> {
    let path = if path.starts_with(b"///") { &path[2..] } else { path };
    if !path.starts_with(b"/") || path.starts_with(b"//") {
        return Err("needs an absolute path: write unix:/run/app.sock");
    }
    if path.len() > SOCKET_PATH_MAX {
        return Err("has a socket path of more than 107 bytes, the kernel's limit");
    }
    Ok(Endpoint::Unix(path.to_vec()))
}

/// Reads `//HOST:PORT[/SERVICE]`, as it follows `grpc:`. SERVICE is percent-decoded, and empty for the whole server.
pub fn grpc(rest: &[u8]) -> Result<GrpcUrl, &'static str> {
    let rest = rest.strip_prefix(b"//").ok_or("has no // after its scheme: write grpc://localhost:9090")?;
    if rest.starts_with(b"unix:") {
        return Err("names a Unix socket, but gRPC is checked over TCP only: write grpc://localhost:9090");
    }
    let (authority, service) = split_once(rest, b'/').unwrap_or((rest, b""));
    let (host, Some(port)) = host_port(authority)? else {
        return Err("has no port: write grpc://localhost:9090");
    };
    let service = percent_decode(service).ok_or("has a % without two hexadecimal digits in its service")?;
    if service.len() > SERVICE_MAX {
        return Err("has a service name of more than 8 KiB");
    }
    Ok(GrpcUrl { endpoint: Endpoint::Tcp(host, port), authority: normal_authority(host, authority), service })
}

/// Reads `HOST[:PORT]`.
fn host_port(authority: &[u8]) -> Result<(Host, Option<u16>), &'static str> {
    if authority.contains(&b'@') {
        return Err("has user information: send it by --header 'Authorization: …'");
    }
    let bracket = authority.iter().rposition(|&b| b == b']').map_or(0, |at| at + 1);
    let colon = authority[bracket..].iter().position(|&b| b == b':');
    let (host, port) = authority.split_at(colon.map_or(authority.len(), |at| bracket + at));
    let host = if let [b'[', ip @ .., b']'] = host {
        // An IPv4 address may have brackets too: `[$(POD_IP)]` works for both families.
        Host::Ip(ip_address(ip).ok_or("has an invalid IP address in its brackets")?)
    } else if host.eq_ignore_ascii_case(b"localhost") {
        Host::Localhost
    } else if let Some(ip) = ip_address(host) {
        Host::Ip(ip)
    } else if host.is_empty() {
        return Err("has no host: write localhost");
    } else {
        return Err(
            "has a host that is neither an IPv4 address, an IPv6 address in brackets nor localhost; names are not resolved",
        );
    };
    let port = match port {
        [] => None,
        [_colon, digits @ ..] => Some(port_number(digits).ok_or("has a port that is not a number from 1 to 65535")?),
    };
    Ok((host, port))
}

/// Returns an authority as a Host header has it, without brackets around an IPv4 address: RFC 3986 section 3.2.2.
fn normal_authority(host: Host, authority: &[u8]) -> Vec<u8> {
    match (host, authority.strip_prefix(b"[").and_then(|rest| split_once(rest, b']'))) {
        (Host::Ip(IpAddr::V4(_)), Some((ip, port))) => [ip, port].concat(),
        _ => authority.to_vec(),
    }
}

/// Reads an IP address without brackets.
pub fn ip_address(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a port from 1 to 65535.
pub fn port_number(digits: &[u8]) -> Option<u16> {
    decimal(digits)?.try_into().ok().filter(|&port| port > 0)
}

/// Decodes `%XX`. Returns `None` if a `%` is not followed by two hexadecimal digits.
pub fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        out.push(hex(*high)? << 4 | hex(*low)?);
        rest = after;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn parse_http(url: &str) -> Result<HttpUrl, &'static str> {
        let (scheme, rest) = scheme(url.as_bytes())?;
        assert_eq!(scheme, b"http");
        http(rest)
    }

    #[test]
    fn http_urls() {
        let v4 = |port| Endpoint::Tcp(Host::Ip(Ipv4Addr::LOCALHOST.into()), port);
        let v6 = |port| Endpoint::Tcp(Host::Ip(Ipv6Addr::LOCALHOST.into()), port);
        let cases = [
            ("http://127.0.0.1", v4(80), "127.0.0.1", "/"),
            ("http://127.0.0.1:8080/readyz", v4(8080), "127.0.0.1:8080", "/readyz"),
            ("http://127.0.0.1:65535?a=b:c@d", v4(65535), "127.0.0.1:65535", "/?a=b:c@d"),
            ("http://localhost:1/%zz", Endpoint::Tcp(Host::Localhost, 1), "localhost:1", "/%zz"),
            ("http://[::1]/x", v6(80), "[::1]", "/x"),
            ("http://[::1]:81/x", v6(81), "[::1]:81", "/x"),
            ("http://[127.0.0.1]/[x]", v4(80), "127.0.0.1", "/[x]"),
            ("http://[127.0.0.1]:81/", v4(81), "127.0.0.1:81", "/"),
            ("http://unix:/run/a.sock:/b:c", Endpoint::Unix(b"/run/a.sock".to_vec()), "localhost", "/b:c"),
            ("http://unix:///run/a.sock:/b", Endpoint::Unix(b"/run/a.sock".to_vec()), "localhost", "/b"),
        ];
        for (url, endpoint, authority, target) in cases {
            let got = parse_http(url).unwrap_or_else(|why| panic!("{url} {why}"));
            assert_eq!(
                (got.endpoint, got.authority.as_slice(), got.target.as_slice()),
                (endpoint, authority.as_bytes(), target.as_bytes()),
                "{url}"
            );
        }
        // `tests/it/cli.rs` has more of them, and the words.
        let refused = [
            "http:",
            "http:/x",
            "http://",
            "http:///x",
            "http://:80/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:8x/",
            "http://127.0.0.01/",
            "http://127.1/",
            "http://::1/",
            "http://[::1/",
            "http://[::1]x/",
            "http://[127.0.0.1/",
            "http://[127.0.0.01]/",
            "http://[localhost]/",
            "http://[]/",
            "http://[fe80::1%25eth0]/",
            "http://u:p@localhost:80/",
            "http://localhost/é",
            "http://localhost/
",
            "http://unix:/run/a.sock:x",
            "http://unix:run/a.sock:/x",
            "http://unix://run/a.sock:/x",
            "http://unix:80/x",
            "http://localhost:80:80/",
        ];
        for url in refused {
            assert!(parse_http(url).is_err(), "{url}");
        }
    }

    #[test]
    fn other_urls() {
        let localhost = Endpoint::Tcp(Host::Localhost, 9);
        assert_eq!(tcp(b"//localhost:9"), Ok(localhost.clone()));
        for rest in ["//localhost", "//localhost:9/", "//localhost:9?", "localhost:9", "//", "//:9"] {
            assert!(tcp(rest.as_bytes()).is_err(), "{rest}");
        }
        let v4 = Endpoint::Tcp(Host::Ip(Ipv4Addr::new(10, 0, 0, 1).into()), 9);
        assert_eq!(tcp(b"//[10.0.0.1]:9"), Ok(v4.clone()));
        for rest in ["/a", "///a"] {
            assert_eq!(unix(rest.as_bytes()), Ok(Endpoint::Unix(b"/a".to_vec())), "{rest}");
        }
        let longest = ["/", &"x".repeat(SOCKET_PATH_MAX - 1)].concat();
        assert!(unix(longest.as_bytes()).is_ok());
        for rest in ["", "a", "//a", "////a", &[&longest, "x"].concat()] {
            assert!(unix(rest.as_bytes()).is_err(), "{rest}");
        }
        let service =
            |rest: &str| grpc(rest.as_bytes()).map(|url| (url.endpoint == localhost, url.authority, url.service));
        assert_eq!(service("//localhost:9"), Ok((true, b"localhost:9".to_vec(), vec![])));
        assert_eq!(service("//localhost:9/"), Ok((true, b"localhost:9".to_vec(), vec![])));
        assert_eq!(service("//localhost:9/a%2fB/%C3%A9"), Ok((true, b"localhost:9".to_vec(), "a/B/é".into())));
        let url = GrpcUrl { endpoint: v4, authority: b"10.0.0.1:9".to_vec(), service: b"[a]".to_vec() };
        assert_eq!(grpc(b"//[10.0.0.1]:9/[a]"), Ok(url));
        for rest in ["//localhost", "//localhost:9/%", "//localhost:9/%4", "//localhost:9/%4x"] {
            assert!(grpc(rest.as_bytes()).is_err(), "{rest}");
        }
        for rest in ["//unix:/a.sock", "//unix:///a.sock", "//unix:80"] {
            assert!(grpc(rest.as_bytes()).is_err_and(|why| why.contains("over TCP only")), "{rest}");
        }
    }
}
