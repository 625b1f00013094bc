//! What the kernel says of the connections to a port. `src/net/inet_diag.rs` tests what each field means, on recorded replies.

use std::time::Duration;

use drain_sleep::net::inet_diag::{Activity, Error};

pub fn holds(input: &[u8]) {
    let Some((&seconds, messages)) = input.split_first() else { return };
    let (verdict, activity) = told(&[messages], seconds.into());
    assert!(activity.busy.iter().sum::<u32>() <= activity.open);
    if let Err(error) = &verdict {
        assert!(!error.to_string().is_empty());
    }
    // It does not matter how the kernel puts messages into datagrams.
    assert_eq!(told(&one_by_one(messages), seconds.into()), (verdict, activity));
    // The longer the silence that is asked for, the more is busy, and nothing else changes.
    let [(verdict, activity), (longest_verdict, longest)] =
        [seconds.into(), u64::MAX].map(|seconds| told(&[messages], seconds));
    assert_eq!((longest.listening, longest.open, longest_verdict), (activity.listening, activity.open, verdict));
    assert!(not_idler(&longest.busy, &activity.busy) && longest.closed >= activity.closed);
}

fn not_idler(busy: &[u32], than: &[u32]) -> bool {
    busy.iter().zip(than).all(|(busy, than)| busy >= than)
}

fn told(datagrams: &[&[u8]], seconds: u64) -> (Result<bool, Error>, Activity) {
    let mut activity = Activity::new(41003, Duration::from_secs(seconds));
    for datagram in datagrams {
        let before = activity.clone();
        let verdict = activity.receive(datagram);
        // What was told before is not forgotten.
        assert!(activity.listening >= before.listening && activity.open >= before.open);
        assert!(not_idler(&activity.busy, &before.busy) && activity.closed >= before.closed);
        if verdict != Ok(false) {
            return (verdict, activity);
        }
    }
    (Ok(false), activity)
}

/// Netlink's messages: netlink(7).
fn one_by_one(mut messages: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    while !messages.is_empty() {
        let length = messages.first_chunk().map_or(messages.len(), |&length| u32::from_ne_bytes(length) as usize);
        let (message, rest) = messages.split_at(length.max(16).next_multiple_of(4).min(messages.len()));
        datagrams.push(message);
        messages = rest;
    }
    datagrams
}
