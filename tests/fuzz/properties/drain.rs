//! The rules of the drain: it ends early only where there is evidence, sends each request when it may and until it is heard, and
//! does nothing too soon or for too long.

use std::time::Duration;

use drain_sleep::drain::{Drain, End, Finding, HeldBy, Reply, Rules, Step};

use super::Bytes;

/// A drain that has come no further by then is let be.
const STEPS: usize = 400;

/// The shortest period and timeout that the command line may give.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a watch has shown so far.
#[derive(Clone, Default)]
struct Shown {
    checks: usize,
    known: bool,
    ready: bool,
    /// Checks in a row that found it drained.
    drained: u32,
}

/// What has become of a request that was sent.
struct Sent {
    first: Duration,
    last: Duration,
    reply: Option<Reply>,
    told_late: bool,
}

impl Sent {
    fn is_pending(&self) -> bool {
        self.reply.is_none()
    }
}

pub fn holds(input: &[u8]) {
    let mut input = Bytes(input);
    let rules = Rules {
        duration: time(&mut input),
        min: time(&mut input),
        period: time(&mut input).max(SHORTEST),
        timeout: time(&mut input).max(SHORTEST),
        threshold: u32::from(input.next() % 8) + 1,
        assume_ready: input.next() & 1 == 1,
        delay: time(&mut input),
    };
    let watches = usize::from(input.next() % 4);
    let requests = usize::from(input.next() % 3);
    let mut drain = Drain::new(&rules, watches, requests);
    let mut now = Duration::ZERO;
    let mut next_round = Duration::ZERO;
    let mut shown = vec![Shown::default(); watches];
    let mut sent: Vec<Sent> = Vec::new();
    let mut may_send = rules.delay;
    for _ in 0..STEPS {
        if let Some(request) = sent.iter().position(Sent::is_pending)
            && let Some(reply) = [Reply::Final, Reply::Again, Reply::NotTaken].get(usize::from(input.next() % 8))
        {
            drain.replied(now, request, *reply);
            sent[request].reply = Some(*reply);
            if *reply != Reply::NotTaken && request + 1 == sent.len() {
                may_send = may_send.min(now);
            }
        }
        let step = drain.next(now);
        let is_over = now >= rules.duration;
        assert!(!is_over || matches!(step, Step::End(_)), "{step:?} at {now:?}");
        match step {
            Step::End(End::Drained) => {
                assert!(watches > 0 && now >= rules.min && sent.len() == requests);
                assert!(is_over || requests == 0 || now >= may_send, "a request had no time to be answered");
                for watch in shown {
                    assert!(watch.drained >= rules.threshold && (watch.ready || rules.assume_ready));
                }
                return;
            }
            Step::End(End::Elapsed(held)) => {
                assert!(is_over);
                match held {
                    HeldBy::Nothing => assert_eq!(watches, 0),
                    HeldBy::NeverKnown { watch } => assert!(!shown[watch].known),
                    HeldBy::NeverReady { watch } => assert!(!shown[watch].ready && !rules.assume_ready),
                    HeldBy::Requests => assert!(sent.len() < requests),
                    HeldBy::NotDrained { watch } => assert_eq!(shown[watch].drained, 0),
                    HeldBy::Threshold { agreed } => assert!(agreed < rules.threshold),
                    HeldBy::Min => assert!(rules.min >= rules.duration),
                }
                return;
            }
            Step::Check { watch, deadline } => {
                assert!(deadline > now && deadline <= rules.duration && deadline - now <= rules.timeout);
                let before = shown[..watch].last().map_or(shown[watch].checks + 1, |before| before.checks);
                assert_eq!(before, shown[watch].checks + 1, "one after another");
                if watch == 0 {
                    assert!(now >= next_round, "a round at {now:?}");
                    next_round = now.saturating_add(rules.period);
                }
                // A check may also come back late.
                now = now.saturating_add(time(&mut input));
                let bits = input.next();
                let finding = Finding { ready: bits & 1 == 1, drained: bits & 2 == 2 };
                let counts = drain.checked(now, finding);
                assert_eq!(counts, now < rules.duration);
                if counts {
                    let watch = &mut shown[watch];
                    watch.checks += 1;
                    watch.known |= finding.ready || finding.drained;
                    watch.ready |= finding.ready;
                    watch.drained = if finding.drained { watch.drained + 1 } else { 0 };
                }
            }
            Step::Request { request } if request < sent.len() => {
                let again = &mut sent[request];
                assert!(matches!(again.reply, Some(Reply::Again | Reply::NotTaken)));
                assert!(now >= again.last.saturating_add(rules.period));
                (again.last, again.reply) = (now, None);
            }
            Step::Request { request } => {
                assert!(request == sent.len() && request < requests && now >= may_send);
                may_send = now.saturating_add(rules.timeout);
                sent.push(Sent { first: now, last: now, reply: None, told_late: false });
            }
            Step::Late { request } => {
                let late = &mut sent[request];
                assert!(late.is_pending() && !late.told_late && now >= late.first.saturating_add(rules.timeout));
                late.told_late = true;
            }
            Step::Sleep { until } => {
                assert!(until > now && until <= rules.duration);
                assert!(watches == 0 || until <= next_round, "until {until:?}");
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
