//! What the kernel says of the connections to a port. `src/net/inet_diag.rs` tests what each field means, on recorded replies.

use std::time::Duration;

use drain_sleep::net::inet_diag::{Activity, Error};

pub fn holds(input: &[u8]) {
    let Some((&seconds, messages)) = input.split_first() else { return };
    let (verdict, activity) = told(&[messages], seconds.into());
    assert!(activity.busy <= activity.open);
    if let Err(error) = &verdict {
        assert!(!error.to_string().is_empty());
    }
    // It does not matter how the kernel puts messages into datagrams.
    assert_eq!(told(&one_by_one(messages), seconds.into()), (verdict, activity));
    // The longer the silence that is asked for, the more is busy, and nothing else changes.
    let [(verdict, activity), (longest_verdict, longest)] =
        [seconds.into(), u64::MAX].map(|seconds| told(&[messages], seconds));
    assert!(longest.busy >= activity.busy && longest_verdict == verdict);
    assert_eq!(longest, Activity { busy: longest.busy, ..activity });
}

fn told(datagrams: &[&[u8]], seconds: u64) -> (Result<bool, Error>, Activity) {
    let mut activity = Activity::default();
    for datagram in datagrams {
        let Activity { listening, open, busy } = activity;
        let verdict = activity.receive(datagram, 41003, Duration::from_secs(seconds));
        // What was told before is not forgotten.
        assert!(activity.listening >= listening && activity.open >= open && activity.busy >= busy);
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
