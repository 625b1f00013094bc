//! Carries a plan out with the real clock.

use std::fmt;

use crate::clock::{elapsed, sleep_until};
use crate::drain::{Drain, End, Held, Rules, Step};
use crate::duration::Seconds;
use crate::failsafe::EXIT_USAGE;
use crate::log;
use crate::plan::{Plan, Refused, Watch};
use crate::request;
use crate::watch::{self, Outcome, TcpDiag};

/// Exit status when all went well.
pub const EXIT_OK: i32 = 0;
/// Exit status when it slept but a request failed, or when it could not install or print.
pub const EXIT_FAILURE: i32 = 1;

/// Changes of a verdict that are logged; a watch that changes more often would fill the log.
const CHANGES_LOGGED: u32 = 20;

/// Drains, and gives the exit status.
pub fn drain(plan: &Plan) -> i32 {
    log::info(format_args!("{plan}"));
    let mut drain = Drain::new(plan.rules.clone(), plan.watches.len(), plan.requests.len());
    let mut status = EXIT_OK;
    let mut tcp_diag = TcpDiag::default();
    let mut verdicts: Vec<Verdict> = plan.watches.iter().map(Verdict::new).collect();
    let end = loop {
        match drain.next(elapsed()) {
            Step::Check { watch, deadline } => {
                let outcome = watch::check(&plan.watches[watch].target, plan, &mut tcp_diag, deadline);
                if drain.checked(elapsed(), outcome.finding) {
                    verdicts[watch].update(outcome);
                }
            }
            Step::Request { request, deadline } => {
                let request = &plan.requests[request];
                match request::send(request, &plan.headers, deadline) {
                    Ok(answer) => log::info(format_args!("{request}: {answer}")),
                    Err(why) => {
                        log::error(format_args!("error: {request} failed: {why}"));
                        status = EXIT_FAILURE;
                    }
                }
                drain.requested();
            }
            Step::Sleep { until } => sleep_until(until),
            Step::End(end) => break end,
        }
    };
    for request in &plan.requests[drain.requests_sent()..] {
        log::error(format_args!("error: {request} failed: no time was left to send it"));
        status = EXIT_FAILURE;
    }
    for Verdict { watch, changes, .. } in &verdicts {
        if *changes > CHANGES_LOGGED {
            log::info(format_args!("{watch} changed {changes} times"));
        }
    }
    let took = Seconds(elapsed());
    match end {
        End::Drained => log::info(format_args!("drained after {took}")),
        End::Elapsed(Held::Nothing) => log::info(format_args!("slept {took}")),
        End::Elapsed(held) => {
            log::info(format_args!("slept {took} in full: {}", Reason { held, plan, verdicts: &verdicts }));
        }
    }
    status
}

/// What held the drain, in words.
struct Reason<'a> {
    held: Held,
    plan: &'a Plan<'a>,
    verdicts: &'a [Verdict<'a>],
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { min, threshold, .. } = self.plan.rules;
        match self.held {
            Held::Nothing => Ok(()),
            Held::NeverReady { watch } => {
                let Verdict { watch, last, .. } = &self.verdicts[watch];
                write!(f, "{watch} was never ready, so it could not stop being ready")?;
                match last {
                    Some(outcome) => write!(f, "; at the last check it was {outcome}"),
                    None => f.write_str("; no check of it was finished"),
                }
            }
            Held::NotDrained { watch } => {
                let Verdict { watch, last, .. } = &self.verdicts[watch];
                match last {
                    Some(outcome) => write!(f, "{watch} was {outcome} at the last check"),
                    None => write!(f, "no check of {watch} was finished"),
                }
            }
            Held::Threshold { agreed } => {
                write!(f, "all that is watched had drained, but at {agreed} checks in a row, not {threshold}")
            }
            Held::Requests => f.write_str("all that is watched had drained, but a request had not been sent"),
            Held::Min => write!(f, "all that is watched had drained, but --min is {}", Seconds(min)),
        }
    }
}

/// Says what is wrong on the line.
pub fn mistakes(refused: &Refused) -> i32 {
    for mistake in &refused.mistakes.first {
        log::error(format_args!("error: {mistake}"));
    }
    if refused.mistakes.others > 0 {
        log::error(format_args!("error: mistakes that are not shown: {}", refused.mistakes.others));
    }
    EXIT_USAGE
}

/// Says what is wrong on the line, and sleeps all the same: a mistake must not cost the drain.
pub fn refused(refused: &Refused) -> i32 {
    let status = mistakes(refused);
    log::error(format_args!("sleeping {} all the same, watching nothing", Seconds(refused.sleep)));
    sleep_until(refused.sleep);
    log::info(format_args!("slept {}", Seconds(elapsed())));
    status
}

/// The verdicts on a watch, as far as they are logged.
struct Verdict<'a> {
    watch: &'a Watch<'a>,
    last: Option<Outcome>,
    changes: u32,
}

impl<'a> Verdict<'a> {
    fn new(watch: &'a Watch<'a>) -> Verdict<'a> {
        Verdict { watch, last: None, changes: 0 }
    }

    fn update(&mut self, outcome: Outcome) {
        let changed = self.last.as_ref().is_none_or(|last| last.verdict != outcome.verdict);
        self.changes += u32::from(changed && self.last.is_some());
        let watch = self.watch;
        if changed && self.changes <= CHANGES_LOGGED {
            log::info(format_args!("{watch} is {outcome} at {}", Seconds(elapsed())));
        } else if changed && self.changes == CHANGES_LOGGED + 1 {
            log::info(format_args!("{watch} changes often: from now on its changes are only counted"));
        }
        self.last = Some(outcome);
    }
}
