//! HTTP responses: once there is a verdict it stays, whatever comes after, so that it does not matter how the bytes come.

use std::fmt::Debug;

use drain_sleep::http::response::{BODY_MAX, HEAD_MAX, REDIRECT_BODY_MAX, body, head};
use drain_sleep::net::failure::{Failure, Why::SaysNothing};
use drain_sleep::net::url;

use super::url::redirect;

/// Places at which a response is cut: more of them would make long ones slow.
const CUTS: usize = 25;
/// More than a response may have.
const LONGEST: usize = 80_000;

pub fn holds(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else { return };
    let response = &if first & 1 == 0 { input.to_vec() } else { unfolded(input) };
    let phase = usize::from(first >> 1);
    let verdict = |bytes: &[u8], most| match head(bytes) {
        Ok(None) => None,
        Ok(Some(head)) => match body(bytes, &head, most, false) {
            Ok(false) => None,
            Ok(true) => Some(Ok(head)),
            Err(why) => Some(Err(why)),
        },
        Err(why) => Some(Err(why)),
    };
    let final_head = settled(response, phase, |bytes| head(bytes).transpose());
    let whole = settled(response, phase, |bytes| verdict(bytes, BODY_MAX));
    let short = settled(response, phase, |bytes| verdict(bytes, REDIRECT_BODY_MAX));

    // What is malformed is told as such; only a head that is too long says nothing.
    if let Some(Err(Failure { why: SaysNothing(_), .. })) = whole {
        assert!(final_head == whole && response.len() > HEAD_MAX, "{whole:?}");
    }
    // To read less of a body finds no more wrong with it, and takes no more bytes.
    match whole {
        Some(Ok(_)) => assert!(matches!(short, Some(Ok(_))), "{short:?}"),
        Some(Err(_)) => assert!(short.is_some()),
        None => {}
    }
    let Some(Ok(head)) = final_head else { return };
    assert!(head.status < 1000);
    let ended = body(response, &head, BODY_MAX, true);
    match whole {
        Some(Ok(_)) => assert_eq!(ended, Ok(true)),
        Some(Err(why)) => assert_eq!(ended, Err(why)),
        None => assert!(ended != Ok(false)),
    }
    if let Some(location) = head.location {
        assert!(location.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()));
        let url = url::http(b"//localhost:8080/a/b?c").unwrap();
        redirect(&url, &url.authority, &location);
    }
}

/// The verdict on all bytes, which must have been there from when there was one first.
fn settled<T: Debug + PartialEq>(bytes: &[u8], phase: usize, verdict: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let whole = verdict(bytes);
    let step = bytes.len() / CUTS + 1;
    let mut settled = false;
    for cut in (phase % step..bytes.len()).step_by(step) {
        let now = verdict(&bytes[..cut]);
        assert!(now == whole || now.is_none() && !settled, "cut at {cut}: {now:?}, not {whole:?}");
        settled = now.is_some();
    }
    whole
}

/// What stands between two zeroes is there many times, as its own first byte says: limits in kilobytes are out of a fuzzer's
/// reach otherwise.
fn unfolded(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in input.split(|&b| b == 0).enumerate() {
        match part {
            [times, part @ ..] if index % 2 == 1 => {
                let times = usize::from(*times).pow(2).min((LONGEST - out.len()) / (part.len() + 1));
                out.extend(part.repeat(times));
            }
            _ => out.extend_from_slice(&part[..part.len().min(LONGEST - out.len())]),
        }
    }
    out
}
