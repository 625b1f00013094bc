//! The rules of the drain, against a model that keeps the whole history and derives each step from it anew.

use std::time::Duration;

use drain_sleep::drain::{Drain, End, Finding, Rules, Step};

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
        delay: Duration::ZERO,
    };
    let watches = usize::from(input.next() % 4);
    let requests = usize::from(input.next() % 3);
    let mut drain = Drain::new(rules.clone(), watches, requests);
    let mut model = Model { rules: &rules, watches, requests, requested: 0, rounds: Vec::new() };
    let mut now = Duration::ZERO;
    for _ in 0..STEPS {
        let step = drain.next(now);
        assert_eq!(step, model.next(now), "{now:?} {rules:?} {:?}", model.rounds);
        match step {
            Step::End(End::Elapsed) => return assert!(now >= rules.duration),
            Step::End(End::Drained) => return assert!(now >= rules.min && now < rules.duration && watches > 0),
            Step::Check(watch, by) => {
                assert!(by <= rules.duration && by.saturating_sub(now) <= rules.timeout);
                // A check may also come back late.
                now = now.saturating_add(time(&mut input));
                let finding = input.next();
                let finding = Finding { ready: finding & 1 == 1, drained: finding & 2 == 2 };
                assert_eq!(drain.checked(now, finding), now < rules.duration);
                if now < rules.duration {
                    model.rounds.last_mut().unwrap().findings.push(finding);
                }
                assert_eq!(drain.was_ready(watch), model.was_ready(watch, model.rounds.len()));
            }
            Step::Request(_, by) => {
                assert!(by <= rules.duration && by.saturating_sub(now) <= rules.timeout);
                now = now.saturating_add(time(&mut input));
                drain.requested();
                model.requested += 1;
                assert_eq!(drain.requests_sent(), model.requested);
            }
            Step::Sleep(until) => {
                assert!(until > now && until <= rules.duration);
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

/// A time that is likely to be equal to another one, to a multiple of it, or to be extreme.
fn time(input: &mut Bytes) -> Duration {
    match input.next() {
        0xff => Duration::MAX,
        byte => Duration::from_millis(u64::from(byte & 0x3f) * 10_u64.pow(u32::from(byte >> 6))),
    }
}

struct Round {
    began: Duration,
    findings: Vec<Finding>,
}

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {:?}", self.began, self.findings)
    }
}

struct Model<'a> {
    rules: &'a Rules,
    watches: usize,
    requests: usize,
    requested: usize,
    rounds: Vec<Round>,
}

impl Model<'_> {
    fn next(&mut self, now: Duration) -> Step {
        let Rules { duration, min, period, timeout, threshold, .. } = *self.rules;
        if now >= duration {
            return Step::End(End::Elapsed);
        }
        let by = duration.min(now.saturating_add(timeout));
        let ended = self.rounds.iter().filter(|round| round.findings.len() == self.watches).count();
        let baseline_lacks = self.watches > 0 && ended == 0;
        if ended == self.rounds.len() && !baseline_lacks {
            if self.requested < self.requests {
                return Step::Request(self.requested, by);
            }
            if self.watches == 0 {
                return Step::Sleep(duration);
            }
            let drained = ended >= threshold as usize && (ended - threshold as usize..ended).all(|at| self.held(at));
            if drained && now >= min {
                return Step::End(End::Drained);
            }
            let next = self.rounds[ended - 1].began.saturating_add(period);
            if now < next {
                return Step::Sleep(if drained { next.min(min) } else { next }.min(duration));
            }
        }
        if ended == self.rounds.len() {
            self.rounds.push(Round { began: now, findings: Vec::new() });
        }
        Step::Check(self.rounds[ended].findings.len(), by)
    }

    fn held(&self, round: usize) -> bool {
        let drained = self.rounds[round].findings.iter().all(|finding| finding.drained);
        drained && (0..self.watches).all(|watch| self.was_ready(watch, round + 1))
    }

    /// In one of the first so many rounds.
    fn was_ready(&self, watch: usize, rounds: usize) -> bool {
        let ready = |round: &Round| round.findings.get(watch).is_some_and(|finding| finding.ready);
        self.rules.assume_ready || self.rounds[..rounds].iter().any(ready)
    }
}
