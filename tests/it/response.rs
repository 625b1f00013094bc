//! What the bytes of an HTTP response and a Location mean, without a socket: the tables in `tests/verdicts`.

use drain_sleep::http::redirect::{Redirect, resolve};
use drain_sleep::http::response::{BODY_MAX, REDIRECT_BODY_MAX, body, head};
use drain_sleep::net::url;

use crate::table::{bytes, rows};

/// The status, why it is no answer, or that more must come.
fn judged(bytes: &[u8], ended: bool) -> String {
    match head(bytes) {
        Ok(None) => if ended { "connection closed" } else { "more must come" }.to_string(),
        Ok(Some(head)) => match body(bytes, &head, BODY_MAX, ended) {
            Ok(true) => head.status.to_string(),
            Ok(false) => "more must come".to_string(),
            Err(why) => why.to_string(),
        },
        Err(why) => why.to_string(),
    }
}

#[test]
fn responses() {
    for (expected, text) in rows(include_str!("../verdicts/responses")) {
        let said = text.strip_suffix("{hold}");
        assert_eq!(judged(&bytes(said.unwrap_or(text)), said.is_none()), expected, "{text}");
    }
}

#[test]
fn locations() {
    for (expected, text) in rows(include_str!("../verdicts/locations")) {
        let value = bytes(&text.replace("{port}", "1000").replace("{other}", "1001"));
        let response = [b"HTTP/1.1 302 x\r\nLocation: ", &value[..], b"\r\n\r\n"].concat();
        let mut url = url::http(b"//127.0.0.1:1000/a/b?q").unwrap();
        let found = head(&response).map(|head| head.unwrap().location.unwrap());
        let got = match found.map(|location| resolve(&mut url, b"127.0.0.1:1000", &location)) {
            Ok(Ok(Redirect::Follow { .. })) => "followed",
            Ok(Ok(Redirect::OtherHost)) => "elsewhere",
            Ok(Ok(Redirect::Tls)) => "https",
            Ok(Ok(Redirect::OtherScheme)) => "redirect to a scheme that is not http",
            Ok(Err(why)) => &why.to_string(),
            Err(why) => &why.to_string(),
        };
        assert_eq!(got, expected, "{text}");
    }
}

/// Of a redirect that says so beforehand, no longer body is waited for.
#[test]
fn the_longest_body_of_a_redirect() {
    for (length, more) in [(REDIRECT_BODY_MAX, false), (REDIRECT_BODY_MAX + 1, true)] {
        let head = head(format!("HTTP/1.1 302 x\r\nContent-Length: {length}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(head.announces_more_than(REDIRECT_BODY_MAX), more);
    }
}
