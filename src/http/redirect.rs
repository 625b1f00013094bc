//! What the `Location` of a redirect means, as the kubelet's prober judges it: `RedirectChecker` in
//! `pkg/probe/http/http.go` of the Kubernetes source, on top of Go's `net/url` and `net/http`.

use std::net::IpAddr;

use crate::net::endpoint::Endpoint;
use crate::net::failure::{Failure, Why::Unready};
use crate::net::url::{HTTP_PORT, HttpUrl, ip_address, percent_decode, port_number};
use crate::text::{split_before, split_once};

const BAD_LOCATION: Failure = Failure::new(&Unready("malformed Location"));

/// What to do about a redirect.
#[derive(Debug, PartialEq)]
pub enum Redirect {
    /// To the same host: ask again there.
    Follow {
        /// The Location has a scheme. The user's Host header is no longer sent then (Go issue 22233).
        absolute: bool,
    },
    /// To another host, or to something without a host: not followed, and a success.
    OtherHost,
    /// To the same host by `https`, which this program does not speak: not followed, and a success.
    Tls,
    /// To the same host by any other scheme.
    OtherScheme,
}

/// Resolves a Location against `url`, which answered with it. It is followed if it names no host, or the host of the authority
/// `host` with any port. Then `url` becomes the next URL to ask.
///
/// # Errors
/// Why the Location is invalid.
pub fn resolve(url: &mut HttpUrl, host: &[u8], location: &[u8]) -> Result<Redirect, Failure> {
    let (before, fragment) = split_once(location, b'#').unwrap_or((location, b""));
    if location.iter().any(u8::is_ascii_control) || !is_encoded(fragment) {
        return Err(BAD_LOCATION);
    }
    let (scheme, rest) = split_scheme(before)?;
    let (path, query) = split_before(rest, b'?');

    let opaque = scheme.is_some() && !path.starts_with(b"/"); // `mailto:…`
    if opaque {
        return Ok(Redirect::OtherHost);
    }
    if split_before(path, b'/').0.contains(&b':') {
        return Err(BAD_LOCATION);
    }
    let (authority, path) = match path.strip_prefix(b"//") {
        Some(after) if scheme.is_some() || !after.starts_with(b"/") => split_before(after, b'/'),
        _ => (&b""[..], path),
    };
    if !is_encoded(path) {
        return Err(BAD_LOCATION);
    }
    let path = &escaped_path(path);
    let is = |name: &[u8]| scheme.is_some_and(|s| s.eq_ignore_ascii_case(name));
    let (is_http, is_https) = (is(b"http"), is(b"https"));
    let (name, port) = host_and_port(authority, is_http || is_https)?;

    let names_host = scheme.is_some() || !authority.is_empty();
    if names_host && name != hostname(host) {
        return Ok(Redirect::OtherHost);
    }
    if is_https {
        return Ok(Redirect::Tls);
    }
    if scheme.is_some() && !is_http {
        return Ok(Redirect::OtherScheme);
    }

    let (base, base_query) = split_before(&url.target, b'?');
    url.target = if names_host {
        request_target(b"", path, query)
    } else {
        request_target(base, path, if path.is_empty() && query.is_empty() { base_query } else { query })
    };
    if names_host {
        url.authority = authority.rsplit(|&b| b == b'@').next().unwrap_or_default().to_vec();
        if let Endpoint::Tcp(_, url_port) = &mut url.endpoint {
            *url_port = match port {
                b"" => HTTP_PORT,
                digits => port_number(digits).ok_or(Failure::new(&Unready("Location with an invalid port")))?,
            };
        }
    }
    Ok(Redirect::Follow { absolute: scheme.is_some() })
}

/// Returns true if each `%` has its two hexadecimal digits.
fn is_encoded(text: &[u8]) -> bool {
    percent_decode(text).is_some()
}

/// Splits off the scheme: `getScheme` of Go's `net/url`.
fn split_scheme(text: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Failure> {
    let end = text.iter().position(|b| !b.is_ascii_alphanumeric() && !b"+-.".contains(b));
    match end {
        Some(0) if text[0] == b':' => Err(BAD_LOCATION),
        Some(end) if text[end] == b':' && text[0].is_ascii_alphabetic() => Ok((Some(&text[..end]), &text[end + 1..])),
        _ => Ok((None, text)),
    }
}

/// Returns the host without brackets and the port of `[USER@]HOST[:PORT]`. User information is checked, and not used.
fn host_and_port(authority: &[u8], one_colon: bool) -> Result<(&[u8], &[u8]), Failure> {
    let host = authority.rsplit(|&b| b == b'@').next().unwrap_or_default();
    let user = &authority[..authority.len() - host.len()];
    let user_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b);
    if !user.iter().all(user_byte) || !is_encoded(user) {
        return Err(BAD_LOCATION);
    }
    let bracketed = host.starts_with(b"[");
    let port_at = if bracketed {
        host.iter().rposition(|&b| b == b']').ok_or(BAD_LOCATION)? + 1
    } else {
        let colon = |&b: &u8| b == b':';
        let at = if one_colon { host.iter().position(colon) } else { host.iter().rposition(colon) };
        at.unwrap_or(host.len())
    };
    let (name, port) = host.split_at(port_at);
    let port = match port {
        [] => port,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Err(BAD_LOCATION),
    };
    if bracketed {
        // The zone (RFC 6874) does not matter, because no URL of the command line has one.
        let address = without_brackets(name);
        let address = address.windows(3).position(|w| w == b"%25").map_or(address, |zone| &address[..zone]);
        if !matches!(ip_address(address), Some(IpAddr::V6(_))) {
            return Err(BAD_LOCATION);
        }
    } else if !name.iter().all(host_byte) || !host_escapes(name) {
        return Err(BAD_LOCATION);
    }
    Ok((without_brackets(name), port))
}

fn host_byte(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || !b.is_ascii() || b"-_.~!$&'()*+,;=:]<>\"%".contains(b)
}

/// Returns true if each `%XX` in a host stands for a byte outside ASCII or for `%`, as Go requires.
fn host_escapes(name: &[u8]) -> bool {
    is_encoded(name)
        && name.iter().enumerate().all(|(at, &b)| b != b'%' || name[at + 1] >= b'8' || name[at..].starts_with(b"%25"))
}

/// Returns an authority without its port and brackets: `URL.Hostname` of Go's `net/url`.
fn hostname(authority: &[u8]) -> &[u8] {
    without_brackets(match authority.iter().rposition(|&b| b == b':') {
        Some(at) if authority[at + 1..].iter().all(u8::is_ascii_digit) => &authority[..at],
        _ => authority,
    })
}

fn without_brackets(host: &[u8]) -> &[u8] {
    host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).unwrap_or(host)
}

/// Resolves the path `reference` against `base`, with `.` and `..` removed: RFC 3986 section 5.2.4.
fn resolve_path(base: &[u8], reference: &[u8]) -> Vec<u8> {
    let is_slash = |b: &u8| *b == b'/';
    let base = match reference {
        [] => base,
        [b'/', ..] => b"",
        _ => &base[..base.iter().rposition(is_slash).map_or(0, |at| at + 1)],
    };
    let full = [base, reference].concat();

    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in full.strip_prefix(b"/").unwrap_or(&full).split(is_slash) {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if let Some(b"." | b"..") = full.rsplit(is_slash).next() {
        kept.push(b""); // the path of a directory ends in a slash
    }
    [b"/", &*kept.join(&b'/')].concat()
}

/// Returns a path as it is if a URL may hold it so, or else decoded and encoded again: `URL.EscapedPath` of Go's `net/url`.
fn escaped_path(path: &[u8]) -> Vec<u8> {
    if path.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@[]/%".contains(b)) {
        return path.to_vec();
    }
    let decoded = percent_decode(path).unwrap_or_default();
    percent_encode(&decoded, |b| b.is_ascii_alphanumeric() || b"-._~$&+,/:;=@".contains(&b))
}

fn percent_encode(text: &[u8], is_kept: fn(u8) -> bool) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::new();
    for &byte in text {
        if is_kept(byte) {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    out
}

/// Returns a path and query for a request line, which nothing in a Location can end early.
fn request_target(base: &[u8], path: &[u8], query: &[u8]) -> Vec<u8> {
    percent_encode(&[&resolve_path(base, path), query].concat(), |b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::url;

    /// Where those of a URL lead. `tests/verdicts/locations` has those that are not followed.
    #[test]
    fn followed() {
        let here = "127.0.0.1:8080";
        for (location, port, authority, target, absolute) in [
            ("/x", 8080, here, "/x", false),
            ("c", 8080, here, "/a/c", false),
            ("./c", 8080, here, "/a/c", false),
            ("../c", 8080, here, "/c", false),
            ("../../../c", 8080, here, "/c", false),
            ("..", 8080, here, "/", false),
            (".", 8080, here, "/a/", false),
            ("/x/../y/./z/..", 8080, here, "/y/", false),
            ("/x//y", 8080, here, "/x//y", false),
            ("*", 8080, here, "/a/*", false),
            ("?r", 8080, here, "/a/b?r", false),
            ("?", 8080, here, "/a/b?", false),
            ("#f", 8080, here, "/a/b?q", false),
            ("//", 8080, here, "/a/b?q", false),
            ("///x", 8080, here, "///x", false),
            ("/a%2fb?c%zz", 8080, here, "/a%2fb?c%zz", false),
            ("/a b\"{|}?c d", 8080, here, "/a%20b%22%7B%7C%7D?c%20d", false),
            ("/a%2Fb!?", 8080, here, "/a%2Fb!?", false),
            ("/a%2Fb c!", 8080, here, "/a/b%20c%21", false),
            ("/é", 8080, here, "/%C3%A9", false),
            ("http://127.0.0.1/x", 80, "127.0.0.1", "/x", true),
            ("http://127.0.0.1", 80, "127.0.0.1", "/", true),
            ("http://127.0.0.1?y", 80, "127.0.0.1", "/?y", true),
            ("HTTP://127.0.0.1:9/x?y", 9, "127.0.0.1:9", "/x?y", true),
            ("http://user:pass@127.0.0.1:9/x", 9, "127.0.0.1:9", "/x", true),
            ("//127.0.0.1:9/x", 9, "127.0.0.1:9", "/x", false),
        ] {
            let mut url = url::http(b"//127.0.0.1:8080/a/b?q").unwrap();
            let found = resolve(&mut url, b"127.0.0.1:8080", location.as_bytes());
            assert_eq!(found, Ok(Redirect::Follow { absolute }), "{location}");
            assert!(matches!(url.endpoint, Endpoint::Tcp(_, to) if to == port), "{location}");
            assert_eq!((&*url.authority, &*url.target), (authority.as_bytes(), target.as_bytes()), "{location}");
        }
    }

    #[test]
    fn ipv6_and_unix() {
        let mut v6 = url::http(b"//[::1]:8080/").unwrap();
        assert_eq!(resolve(&mut v6, b"[::1]:8080", b"http://[::1]:9/x"), Ok(Redirect::Follow { absolute: true }));
        let socket = Endpoint::Unix(b"/a.sock".to_vec());
        let mut url = url::http(b"//unix:/a.sock:/x").unwrap();
        assert_eq!(resolve(&mut url, b"app.local", b"http://localhost/y"), Ok(Redirect::OtherHost));
        let follow = Ok(Redirect::Follow { absolute: true });
        assert_eq!(resolve(&mut url, b"app.local", b"http://app.local:9/y"), follow);
        assert_eq!(url, HttpUrl { endpoint: socket, authority: b"app.local:9".to_vec(), target: b"/y".to_vec() });
    }
}
