//! What the kernel says of the connections to a port, against another reading of the same bytes.

use std::time::Duration;

use drain_sleep::net::inet_diag::{Activity, Error};

const PORT: u16 = 41003;
const SEQUENCE: u32 = 1;

pub fn holds(input: &[u8]) {
    let Some((&seconds, messages)) = input.split_first() else { return };
    let idle_after = Duration::from_secs(seconds.into());
    let mut activity = Activity::default();
    let verdict = activity.receive(messages, PORT, SEQUENCE, idle_after);
    assert!(activity.busy <= activity.open);
    if let Err(error) = &verdict {
        assert!(!error.to_string().is_empty());
    }

    let mut expected = Activity::default();
    assert_eq!(verdict.as_ref().ok().copied(), read(messages, &mut expected, idle_after));
    if verdict.is_ok() {
        assert_eq!(activity, expected);
    }

    // It does not matter how the kernel puts messages into datagrams.
    let mut apart = Activity::default();
    assert_eq!(one_by_one(messages, &mut apart, idle_after), verdict);
    assert_eq!(apart, activity);
}

fn one_by_one(messages: &[u8], activity: &mut Activity, idle_after: Duration) -> Result<bool, Error> {
    let mut rest = messages;
    while !rest.is_empty() {
        let length = number(rest, 0..4).map_or(rest.len(), |length| length.max(16).next_multiple_of(4) as usize);
        let (message, after) = rest.split_at(length.min(rest.len()));
        if activity.receive(message, PORT, SEQUENCE, idle_after)? {
            return Ok(true);
        }
        rest = after;
    }
    Ok(false)
}

/// Nothing where there is something wrong.
fn read(mut messages: &[u8], activity: &mut Activity, idle_after: Duration) -> Option<bool> {
    while !messages.is_empty() {
        let length = usize::try_from(number(messages, 0..4)?).ok()?;
        let message = messages.get(..length)?;
        let (kind, flags) = (number(message, 4..6)?, number(message, 6..8)?);
        let (sequence, _process, body) = (number(message, 8..12)?, number(message, 12..16)?, &message[16..]);
        if sequence == u64::from(SEQUENCE) {
            activity.interrupted |= flags & 0x10 != 0;
            match kind {
                2 => return None,
                3 => return (number(body, 0..4).is_none_or(|errno| errno < 1 << 31)).then_some(true),
                18 | 20 => entry(body, activity, idle_after)?,
                _ => {}
            }
        }
        messages = &messages[messages.len().min(length.div_ceil(4) * 4)..];
    }
    Some(false)
}

fn entry(body: &[u8], activity: &mut Activity, idle_after: Duration) -> Option<()> {
    let attributes = body.get(72..)?;
    if body[4..6] != [(PORT >> 8) as u8, PORT as u8] {
        return Some(());
    }
    let (received, sent) = (number(body, 56..60)?, number(body, 60..64)?);
    let (fin_received, fin_sent) = match body[1] {
        10 => {
            activity.listening = true;
            return Some(());
        }
        5..=7 => return Some(()), // FIN_WAIT2, TIME_WAIT, CLOSE
        4 => (0, 1),              // FIN_WAIT1
        8 => (1, 0),              // CLOSE_WAIT
        9 | 11 => (1, 1),         // LAST_ACK, CLOSING
        _ => (0, 0),
    };
    activity.open += 1;
    let opening = body[1] == 3;
    let queued = received > fin_received || sent > fin_sent;
    let moved = || match info(attributes)? {
        None => Some(true),
        Some(info) => {
            let (sent, received) = (number(info, 44..48)?, number(info, 52..56)?);
            Some(u128::from(sent.min(received)) < idle_after.as_millis())
        }
    };
    activity.busy += u32::from(opening || queued || moved()?);
    Some(())
}

/// The first `struct tcp_info`, if there is one.
fn info(mut attributes: &[u8]) -> Option<Option<&[u8]>> {
    while attributes.len() >= 4 {
        let length = usize::try_from(number(attributes, 0..2)?).ok()?;
        let payload = attributes.get(4..length)?;
        if number(attributes, 2..4)? == 2 {
            return Some(Some(payload));
        }
        attributes = &attributes[attributes.len().min(length.div_ceil(4) * 4)..];
    }
    Some(None)
}

/// An integer in the machine's order, which is little-endian on all that this is for.
fn number(bytes: &[u8], at: std::ops::Range<usize>) -> Option<u64> {
    Some(bytes.get(at)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
