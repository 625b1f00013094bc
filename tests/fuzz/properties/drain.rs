//! The rules of the drain, against a model that keeps the whole history and derives each step from it anew.

use std::time::Duration;

use drain_sleep::drain::{Drain, End, Finding, Held, Rules, Step};

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
    let mut model = Model { rules: &rules, watches, requests, requested: 0, request_lasted: false, rounds: Vec::new() };
    let mut now = Duration::ZERO;
    for _ in 0..STEPS {
        let step = drain.next(now);
        assert_eq!(step, model.next(now), "{now:?} {rules:?} {:?}", model.rounds);
        match step {
            Step::End(End::Elapsed(_)) => return assert!(now >= rules.duration),
            Step::End(End::Drained) => {
                assert!(now >= rules.min && now < rules.duration && watches > 0);
                return assert_eq!(model.requested, requests);
            }
            Step::Check { deadline, .. } => {
                assert!(deadline <= rules.duration && deadline.saturating_sub(now) <= rules.timeout);
                // A check may also come back late.
                now = now.saturating_add(time(&mut input));
                let finding = input.next();
                let finding = Finding { ready: finding & 1 == 1, drained: finding & 2 == 2 };
                assert_eq!(drain.checked(now, finding), now < rules.duration);
                if now < rules.duration {
                    model.rounds.last_mut().unwrap().findings.push(finding);
                }
            }
            Step::Request { deadline, .. } => {
                assert!(now >= rules.delay);
                assert!(deadline <= rules.duration && deadline.saturating_sub(now) <= rules.timeout);
                now = now.saturating_add(time(&mut input));
                drain.requested(now);
                model.requested += 1;
                model.request_lasted = now >= rules.duration;
                assert_eq!(drain.requests_sent(), model.requested);
            }
            Step::Sleep { until } => {
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
    request_lasted: bool,
    rounds: Vec<Round>,
}

impl Model<'_> {
    fn next(&mut self, now: Duration) -> Step {
        let Rules { duration, min, period, timeout, threshold, delay, .. } = *self.rules;
        if now >= duration {
            return Step::End(End::Elapsed(self.what_held()));
        }
        let deadline = duration.min(now.saturating_add(timeout));
        let ended = self.ended();
        let mut hold_up = Duration::ZERO;
        if self.watches > 0 && ended == 0 {
            hold_up = timeout.min(duration / 2);
        }
        if self.requested < self.requests && now >= delay && now >= hold_up {
            return Step::Request { request: self.requested, deadline };
        }
        let times = [Some(delay).filter(|_| self.requested < self.requests), Some(duration)];
        if self.watches == 0 {
            return Step::Sleep { until: times.into_iter().flatten().min().unwrap() };
        }
        if ended == self.rounds.len() && ended > 0 {
            let drained = self.agreed() >= threshold;
            if drained && now >= min && self.requested == self.requests {
                return Step::End(End::Drained);
            }
            let next = self.rounds[ended - 1].began.saturating_add(period);
            if now < next {
                let at_min = Some(min).filter(|_| drained && self.requested == self.requests);
                return Step::Sleep { until: times.into_iter().chain([Some(next), at_min]).flatten().min().unwrap() };
            }
        }
        if ended == self.rounds.len() {
            self.rounds.push(Round { began: now, findings: Vec::new() });
        }
        let cut_at = if ended == 0 && self.requested < self.requests { delay.max(hold_up) } else { duration };
        Step::Check { watch: self.rounds[ended].findings.len(), deadline: deadline.min(cut_at) }
    }

    /// How many rounds have ended.
    fn ended(&self) -> usize {
        self.rounds.iter().filter(|round| round.findings.len() == self.watches).count()
    }

    /// How many of the last rounds agree that all has drained.
    fn agreed(&self) -> u32 {
        (0..self.ended()).rev().take_while(|&at| self.held(at)).count() as u32
    }

    fn what_held(&self) -> Held {
        let last = |watch| self.rounds.iter().rev().find_map(|round| round.findings.get(watch));
        let mut watches = 0..self.watches;
        if self.watches == 0 {
            Held::Nothing
        } else if let Some(watch) = watches.clone().find(|&watch| !self.was_ready(watch, self.rounds.len())) {
            Held::NeverReady { watch }
        } else if self.request_lasted || self.requested < self.requests {
            Held::Requests
        } else if let Some(watch) = watches.find(|&watch| !last(watch).is_some_and(|finding| finding.drained)) {
            Held::NotDrained { watch }
        } else if self.agreed() < self.rules.threshold {
            Held::Threshold { agreed: self.agreed() }
        } else {
            Held::Min
        }
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
