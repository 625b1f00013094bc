//! The rules of the drain: it ends early exactly where there is evidence, sends requests exactly when they are due, and does
//! nothing too soon or for too long.

use std::time::Duration;

use drain_sleep::drain::{Drain, End, Finding, HeldBy, Rules, Step};

use super::Bytes;

/// A drain that has come no further by then is let be.
const STEPS: usize = 400;

pub fn holds(input: &[u8]) {
    let mut input = Bytes(input);
    let rules = Rules {
        duration: time(&mut input),
        min: time(&mut input),
        period: time(&mut input),
        timeout: time(&mut input),
        threshold: u32::from(input.next() % 8) + 1,
        assume_ready: input.next() & 1 == 1,
        delay: time(&mut input),
    };
    let watches = usize::from(input.next() % 4);
    let requests = usize::from(input.next() % 3);
    let mut drain = Drain::new(&rules, watches, requests);
    let mut now = Duration::ZERO;
    let mut next_round = Duration::ZERO;
    let mut request_lasted = false;
    let mut findings = Vec::new(); // of one watch after the other, round by round
    let held_up = rules.timeout.min(rules.duration / 2);
    for _ in 0..STEPS {
        let step = drain.next(now);
        let requested = drain.requests_sent();
        let has_requests = requested < requests;
        let has_baseline = findings.len() >= watches;
        let has_drained = has_drained(&findings, watches, &rules) && !has_requests;
        let is_over = now >= rules.duration;
        // At DURATION, too, it has drained, unless --min or a request is what lasted until then.
        let is_late = is_over && (rules.min >= rules.duration || request_lasted);
        let is_mid_round = is_over && watches > 0 && !findings.len().is_multiple_of(watches);
        assert!(
            is_mid_round || (step == Step::End(End::Drained)) == (has_drained && now >= rules.min && !is_late),
            "{step:?} at {now:?}"
        );
        assert_eq!(matches!(step, Step::End(_)), is_over || step == Step::End(End::Drained), "{step:?} at {now:?}");
        let is_due = has_requests && now >= rules.delay && (has_baseline || now >= held_up);
        assert_eq!(matches!(step, Step::Request { .. }), !is_over && is_due, "{step:?} at {now:?}");
        if let Step::Check { deadline, .. } | Step::Request { deadline, .. } = step {
            assert!(deadline <= rules.duration && deadline.saturating_sub(now) <= rules.timeout);
        }
        match step {
            Step::End(End::Drained) => return,
            Step::End(End::Elapsed(held)) => {
                let was_ready =
                    |watch| findings.iter().skip(watch).step_by(watches).any(|finding: &Finding| finding.ready);
                let never_ready = (0..watches).find(|&watch| !rules.assume_ready && !was_ready(watch));
                match never_ready {
                    Some(watch) => assert_eq!(held, HeldBy::NeverReady { watch }),
                    None => assert!(!matches!(held, HeldBy::NeverReady { .. })),
                }
                return;
            }
            Step::Check { watch, deadline } => {
                assert_eq!(watch, findings.len() % watches);
                if watch == 0 {
                    assert!(now >= next_round, "a round at {now:?}");
                    next_round = now.saturating_add(rules.period);
                }
                assert!(has_baseline || !has_requests || deadline <= rules.delay.max(held_up));
                // A check may also come back late.
                now = now.saturating_add(time(&mut input));
                let bits = input.next();
                let finding = Finding { ready: bits & 1 == 1, drained: bits & 2 == 2 };
                let counts = drain.checked(now, finding);
                assert_eq!(counts, now < rules.duration);
                findings.extend(Some(finding).filter(|_| counts));
            }
            Step::Request { request, .. } => {
                assert_eq!(request, requested);
                now = now.saturating_add(time(&mut input));
                drain.requested(now);
                request_lasted = now >= rules.duration;
            }
            Step::Sleep { until } => {
                assert!(until > now && until <= rules.duration);
                assert!(watches == 0 || findings.len() % watches == 0 && until <= next_round, "until {until:?}");
                assert!(!has_requests || until <= rules.delay, "until {until:?}");
                assert!(!has_drained || until <= rules.min, "until {until:?}");
                // It wakes on time, as a rule, but it may also be early, and late by any time.
                now = match input.next() {
                    0 => until,
                    early @ 1..8 => now + (until - now) / u32::from(early),
                    late => until.saturating_add(Duration::from_millis(late.into())),
                };
            }
        }
    }
}

/// In as many rounds as the threshold all that is watched looked drained, and each had been ready by the first of them.
fn has_drained(findings: &[Finding], watches: usize, rules: &Rules) -> bool {
    if watches == 0 || !findings.len().is_multiple_of(watches) {
        return false;
    }
    let Some(before) = findings.len().checked_sub(watches * rules.threshold as usize) else { return false };
    let was_ready = |watch| findings[watch..before + watches].iter().step_by(watches).any(|finding| finding.ready);
    findings[before..].iter().all(|finding| finding.drained) && (rules.assume_ready || (0..watches).all(was_ready))
}

/// A time that is likely to be equal to another one, to a multiple of it, or to be extreme.
fn time(input: &mut Bytes) -> Duration {
    match input.next() {
        0xff => Duration::MAX,
        byte => Duration::from_millis(u64::from(byte & 0x3f) * 10_u64.pow(u32::from(byte >> 6))),
    }
}
