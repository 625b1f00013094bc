//! What the bytes of an HTTP response mean, without a socket: a row a case. `tests/peers` has the kubelet judge such bytes, too.

use drain_sleep::http::redirect::{Redirect, resolve};
use drain_sleep::http::response::{BODY_MAX, REDIRECT_BODY_MAX, body, head};
use drain_sleep::net::failure::Fault;
use drain_sleep::net::url;

/// What an HTTP check makes of these bytes: the status, why it is no answer, or that more must come. `^` at the end: the
/// server has said this, and holds the connection open.
fn judged(response: &[u8]) -> String {
    let (bytes, ended) = response.strip_suffix(b"^").map_or((response, true), |held| (held, false));
    match head(bytes) {
        Ok(None) => if ended { "connection closed" } else { MORE }.to_string(),
        Ok(Some(head)) => match body(bytes, &head, BODY_MAX, ended) {
            Ok(true) => head.status.to_string(),
            Ok(false) => MORE.to_string(),
            Err(why) => why.to_string(),
        },
        Err(why) => why.to_string(),
    }
}

const MORE: &str = "more must come";
const CLOSED: &str = "connection closed";
const BAD_STATUS: &str = "malformed status line";
const LONG: &str = "head over 16 KiB";
const BAD_HEADER: &str = "malformed header";
const BAD_LENGTH: &str = "malformed Content-Length";
const BAD_CODING: &str = "unsupported Transfer-Encoding";
const BAD_CHUNK: &str = "malformed chunk";
const BROKEN_OFF: &str = "body broken off";

fn check<T: AsRef<[u8]>>(rows: &[(T, &str)]) {
    for (response, expected) in rows {
        let shown = response.as_ref().escape_ascii().to_string();
        assert_eq!(judged(response.as_ref()), *expected, "{:.200}", shown);
    }
}

fn x(count: usize) -> String {
    "x".repeat(count)
}

#[test]
fn status_lines() {
    check(&[
        (&b"HTTP/1.1 200 OK\r\n\r\n"[..], "200"),
        (b"HTTP/1.1 200\r\n\r\n", "200"),
        (b"HTTP/1.1   200 \r\n\r\n", "200"),
        (b"HTTP/1.9 987 \xff\0\n\n", "987"),
        (b"HTTP/1.1 000 X\r\n\r\n", "0"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.1 20 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.1 2000 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.1 200\tOK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.1\t200 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.1200 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.x 200 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/1.10 200 OK\r\n\r\n", BAD_STATUS),
        (b"HTTP/0.9 200 OK\r\n\r\n", BAD_STATUS),
        (b"http/1.1 200 OK\r\n\r\n", BAD_STATUS),
        (b"<html>hello</html>\r\n\r\n", BAD_STATUS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BAD_STATUS),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", BAD_STATUS),
        // HTTP/2 and TLS may never send a line end.
        (b"\0\0\0\x04\0\0\0\0\0^", BAD_STATUS),
        (b"HTTP/2^", BAD_STATUS),
        (b"HTTP/1.1 200 O^", MORE),
        (b"HTTP/1.1 200 O", CLOSED),
        (b"HTT^", MORE),
        (b"", CLOSED),
    ]);
    // "HTTP/1.1 200 " has 13 bytes, and the end of the head another four.
    check(&[
        (format!("HTTP/1.1 200 {}\r\n\r\n", x(16_384 - 17)), "200"),
        (format!("HTTP/1.1 200 {}\r\n\r\n", x(16_384 - 16)), LONG),
        (format!("HTTP/1.1 200 {}\r\n\r\n", x(16_384 - 14)), LONG),
        (format!("HTTP/1.1 200 {}^", x(16_384 - 13)), MORE),
        (format!("HTTP/1.1 200 {}^", x(16_384 - 12)), LONG),
    ]);
}

#[test]
fn fields() {
    for (fields, expected) in [
        ("A: b\n\n", "200"),
        ("A: x\r\n y\r\n\tz\r\n\r\n", "200"),
        ("A:\r\n B\r\n\r\n", "200"),
        ("A b : \u{e9}\r\n\r\n", "200"),
        ("!#$%&'*+-.^_`|~: x\r\n\r\n", "200"),
        (" A: b\r\n\r\n", BAD_HEADER),
        ("A\r\n\r\n", BAD_HEADER),
        ("A\r\n : b\r\n\r\n", BAD_HEADER),
        (": b\r\n\r\n", BAD_HEADER),
        ("A\tB: c\r\n\r\n", BAD_HEADER),
        ("A(b): c\r\n\r\n", BAD_HEADER),
        ("\u{e9}: c\r\n\r\n", BAD_HEADER),
        ("A: \x01\r\n\r\n", BAD_HEADER),
        ("A: b\rc\r\n\r\n", BAD_HEADER),
        ("A: \x7f\r\n\r\n", BAD_HEADER),
        ("A: b\r\n", CLOSED),
        ("A: b\r\n^", MORE),
        (&"A: b\r\n".repeat(5000), LONG),
        (&format!("A: {}\r\n\r\n", x(16_384 - 17 - 7)), "200"),
        (&format!("A: {}\r\n\r\n", x(16_384 - 17 - 6)), LONG),
        (&format!("A: {}^", x(16_384 - 17 - 3)), MORE),
        (&format!("A: {}^", x(16_384 - 17 - 2)), LONG),
    ] {
        check(&[(format!("HTTP/1.1 200 OK\r\n{fields}"), expected)]);
    }
    let location = |fields: &str| {
        let head = head(format!("HTTP/1.1 302 X\r\n{fields}\r\n").as_bytes()).unwrap().unwrap();
        head.location.map(|location| String::from_utf8(location).unwrap())
    };
    assert_eq!(location("LOCATION: \t/a\r\n b \r\nLocation: /c\r\n").as_deref(), Some("/a b"), "the first one counts");
    assert_eq!(location("Location : /a\r\nX-Location: /b\r\nContent-Length: 0\r\n"), None);
}

/// Informational responses are passed over, save 101.
#[test]
fn the_final_response() {
    check(&[
        ("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200"),
        ("HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 199 X\r\nContent-Length: 9\r\n\r\nHTTP/1.1 503 X\r\n\r\n", "503"),
        ("HTTP/1.1 101 X\r\n\r\n^", "101"),
        ("HTTP/1.1 102 X\r\n\r\n^", MORE),
        ("HTTP/1.1 099 X\r\n\r\n", "99"),
        ("HTTP/1.1 100 X\r\nContent-Length: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", BAD_LENGTH),
        ("HTTP/1.1 100 X\r\n\r\nabc", BAD_STATUS),
    ]);
    // Each has a head of its own, which may be as long as any.
    let long = format!("HTTP/1.1 100 X\r\nA: {}\r\n\r\n", x(15_000));
    check(&[(format!("{long}{}", long.replace("100", "200")), "200")]);
}

#[test]
fn bodies_with_a_length() {
    for (rest, expected) in [
        ("Content-Length: 2\r\n\r\nok^", "200"),
        ("Content-Length: 2\r\n\r\nokay", "200"),
        ("Content-Length: 3\r\n\r\nok^", MORE),
        ("Content-Length: 3\r\n\r\nok", BROKEN_OFF),
        ("Content-Length: 03\r\n\r\nabc^", "200"),
        ("content-length: 2\r\nContent-Length:   2  \r\n\r\nok^", "200"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "conflicting Content-Length"),
        ("Content-Length: 2\r\nContent-Length: 02\r\n\r\nok", "conflicting Content-Length"),
        ("Content-Length : x\r\n\r\n", "200"),
        ("Content-Length: x\r\n\r\n", BAD_LENGTH),
        ("Content-Length: +2\r\n\r\nok", BAD_LENGTH),
        ("Content-Length:\r\n\r\n", BAD_LENGTH),
        ("Content-Length: 2, 2\r\n\r\nok", BAD_LENGTH),
        ("Content-Length: 9223372036854775808\r\n\r\n", BAD_LENGTH),
        ("Content-Length: 9223372036854775807\r\n\r\n", BROKEN_OFF),
        ("Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok^", "200"),
        (&format!("Content-Length: 99999\r\n\r\n{}^", x(10_240)), "200"),
        (&format!("Content-Length: 99999\r\n\r\n{}^", x(10_239)), MORE),
    ] {
        check(&[(format!("HTTP/1.1 200 OK\r\n{rest}"), expected)]);
    }
    check(&[
        ("HTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n^", "204"),
        ("HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n^", "304"),
        ("HTTP/1.1 205 X\r\nContent-Length: 9\r\n\r\n^", MORE),
        ("HTTP/1.1 305 X\r\nContent-Length: 9\r\n\r\n^", MORE),
        ("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n^", MORE),
    ]);
    for (length, more) in [(REDIRECT_BODY_MAX, false), (REDIRECT_BODY_MAX + 1, true)] {
        let head = head(format!("HTTP/1.1 302 X\r\nContent-Length: {length}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(head.announces_more_than(REDIRECT_BODY_MAX), more);
    }
}

#[test]
fn bodies_without_a_length() {
    check(&[
        ("HTTP/1.1 200 OK\r\n\r\nok".to_string(), "200"),
        ("HTTP/1.1 200 OK\r\n\r\nok^".to_string(), MORE),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}^", x(10_240)), "200"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}^", x(10_239)), MORE),
    ]);
}

#[test]
fn codings() {
    check(&[
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n^", "200"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n^", "200"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n", BAD_LENGTH),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD_CODING),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BAD_CODING),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", BAD_CODING),
        ("HTTP/1.1 204 X\r\nTransfer-Encoding: gzip\r\n\r\n", BAD_CODING),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding : gzip\r\n\r\n", "200"),
        // HTTP/1.0 knows none.
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", "200"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n^", MORE),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok^", "200"),
    ]);
}

#[test]
fn chunks() {
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", x(size));
    let extended = |excess: usize| format!("1;{}\r\nx\r\n", x(16 + 2 + excess - "1;\r\n".len()));
    for (body, expected) in [
        ("2\r\nok\r\n0\r\n\r\n^", "200"),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n^", "200"),
        ("2;a=b\r\nok\r\n0;c\r\nA: b\r\n\r\n^", "200"),
        ("2 \t\r\nok\r\n0\r\n\r\n^", "200"),
        ("0000000000000002\r\nok\r\n0\r\n\r\n^", "200"),
        ("00000000000000002\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("2 ;a\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("x\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("0x2\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        (";a\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("2;a\rb\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("2\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("2\r\nok\n0\r\n\r\n", BAD_CHUNK),
        ("1\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("3\r\nok\r\n0\r\n\r\n", BAD_CHUNK),
        ("2\r\nok\r\n", BROKEN_OFF),
        ("2\r\nok\r\n^", MORE),
        ("2\r\nok\r^", MORE),
        ("2\r\no^", MORE),
        ("", BROKEN_OFF),
        ("^", MORE),
        (&format!("1;{}^", x(4094)), MORE),
        (&format!("1;{}^", x(4095)), BAD_CHUNK),
        (&format!("1;{}\r\nx\r\n0\r\n\r\n", x(4093)), "200"),
        (&format!("1;{}\r\nx\r\n0\r\n\r\n", x(4094)), BAD_CHUNK),
        // Of each first line, what is more than 16 bytes and twice the data: 16 KiB in all.
        (&format!("{0}{0}{0}{0}{1}0\r\n\r\n", extended(4079), extended(68)), "200"),
        (&format!("{0}{0}{0}{0}{1}", extended(4079), extended(69)), "too much chunked encoding for its data"),
        (&format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(10_239)), "200"),
        // 10 KiB of data are enough.
        (&format!("{}x\r\n", chunk(10_241)), "200"),
        (&format!("{}x\r\n", chunk(10_240)), "200"),
        (&format!("{}x\r\n", chunk(10_239)), BAD_CHUNK),
        (&format!("ffffffffffffffff\r\n{}^", x(10_240)), "200"),
        (&format!("ffffffffffffffff\r\n{}^", x(10_239)), MORE),
        (&format!("2\r\nok\r\nffffffffffffffff\r\n{}^", x(10_238)), "200"),
        // Trailers.
        ("0\r\nA: b\r\nC: d\r\n\r\n^", "200"),
        ("0\r\nContent-Length: 3\r\n\r\n^", "200"),
        ("0\r\nA: b\nC: d\r\n\r\n^", "200"),
        ("0\r\nA: b\n\n^", MORE),
        ("0\r\nA: b\r\n^", MORE),
        ("0\r\n\r^", MORE),
        ("0\r\n^", MORE),
        ("0\r\nabc\r\n\r\n", BAD_HEADER),
        ("0\r\nA: \x01\r\n\r\n", BAD_HEADER),
        (&format!("0\r\nA: {}\r\n\r\n^", x(4096 - 7)), "200"),
        (&format!("0\r\nA: {}\r\n\r\n^", x(4096 - 6)), "trailers over 4 KiB"),
        (&format!("0\r\nA: {}^", x(4096 - 3)), MORE),
        (&format!("0\r\nA: {}^", x(4096 - 2)), "trailers over 4 KiB"),
    ] {
        check(&[(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), expected)]);
    }
}

/// Where a Location leads. Those to the same host are tested in `src/http/redirect.rs`.
#[test]
fn locations() {
    const MALFORMED: Result<Redirect, Fault> = Err(Fault::Location);
    for (host, location, expected) in [
        ("[::1]", "http://[::1]/x", Ok(Redirect::Follow { absolute: true })),
        ("[::1]:80", "http://[::1]:81/x", Ok(Redirect::Follow { absolute: true })),
        ("localhost", "x/y:z", Ok(Redirect::Follow { absolute: false })),
        ("localhost", "1x:y", MALFORMED),
        ("localhost", ":x", MALFORMED),
        ("localhost", "a+b-c.d:x", Ok(Redirect::OtherHost)),
        ("localhost", "mailto:%zz", Ok(Redirect::OtherHost)),
        ("localhost", "http:localhost", Ok(Redirect::OtherHost)),
        ("localhost", "http:////localhost/x", Ok(Redirect::OtherHost)),
        ("localhost", "https://localhost:1:2/x", MALFORMED),
        ("localhost", "http://\u{e9}/x", Ok(Redirect::OtherHost)),
        ("localhost", "http://%80/x", Ok(Redirect::OtherHost)),
        ("localhost", "http://%25/x", Ok(Redirect::OtherHost)),
        ("localhost", "http://%7e/x", MALFORMED),
    ] {
        let mut url = url::http(b"//localhost/").unwrap();
        assert_eq!(resolve(&mut url, host.as_bytes(), location.as_bytes()), expected, "{host} {location}");
    }
}
