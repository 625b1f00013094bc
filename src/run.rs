//! Drives the drain with the real clock: does each step that `drain` asks for, and writes the log.

use std::fmt;

use crate::cli::plan::{Fallback, Plan};
use crate::drain::{Drain, End, HeldBy, Rules, Step};
use crate::exit;
use crate::http::request;
use crate::os::clock::{elapsed, sleep_until};
use crate::os::log;
use crate::text::Seconds;
use crate::watch::{Checker, Verdict, Watch};

/// How many changes of a watch's verdict are logged. One that changes more often would fill the log.
const CHANGES_LOGGED: u32 = 20;

/// Carries out a plan, and returns the exit status.
pub fn drain(plan: &Plan) -> i32 {
    log::info(format_args!("{plan}"));
    let mut drain = Drain::new(&plan.rules, plan.watches.len(), plan.requests.len());
    let mut status = exit::OK;
    let mut checker = Checker::new(&plan.headers, plan.idle_after);
    let mut is_cut_off = false;
    let mut histories: Vec<History> = plan.watches.iter().map(History::new).collect();
    let end = loop {
        match drain.next(elapsed()) {
            Step::Check { watch, deadline } => {
                let verdict = checker.check(&plan.watches[watch].target, deadline);
                is_cut_off = !drain.checked(elapsed(), verdict.finding);
                if !is_cut_off {
                    histories[watch].update(verdict);
                }
            }
            Step::Request { request, deadline } => {
                let request = &plan.requests[request];
                match request::send(request, &plan.headers, deadline) {
                    Ok(answer) => log::info(format_args!("{request}: {answer}")),
                    Err(why) => {
                        log::error(format_args!("error: {request} failed: {why}"));
                        status = exit::FAILURE;
                    }
                }
                drain.requested(elapsed());
            }
            Step::Sleep { until } => sleep_until(until),
            Step::End(end) => break end,
        }
    };
    for request in &plan.requests[drain.requests_sent()..] {
        log::error(format_args!("error: {request} failed: no time was left to send it"));
        status = exit::FAILURE;
    }
    for History { watch, changes, .. } in &histories {
        if *changes > CHANGES_LOGGED {
            log::info(format_args!("{watch} changed {changes} times"));
        }
    }
    let took = Seconds(elapsed());
    match end {
        End::Drained => log::info(format_args!("drained after {took}")),
        End::Elapsed(HeldBy::Nothing) => log::info(format_args!("slept {took}")),
        End::Elapsed(held) => {
            let cut_off = if is_cut_off { "; DURATION cut one more check off" } else { "" };
            log::info(format_args!(
                "slept {took} in full: {}{cut_off}",
                WhatHeld { held, plan, histories: &histories }
            ));
        }
    }
    status
}

/// Says in the last log line what held the drain.
struct WhatHeld<'a> {
    held: HeldBy,
    plan: &'a Plan<'a>,
    histories: &'a [History<'a>],
}

impl fmt::Display for WhatHeld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { min, threshold, .. } = self.plan.rules;
        match self.held {
            HeldBy::Nothing => Ok(()),
            HeldBy::NeverReady { watch } => {
                let History { watch, last, .. } = &self.histories[watch];
                write!(f, "{watch} was never ready, so it could not stop being ready")?;
                match last {
                    Some(verdict) => write!(f, "; at the last check it was {verdict}"),
                    None => f.write_str("; no check of it was finished"),
                }
            }
            HeldBy::NotDrained { watch } => {
                let History { watch, last, .. } = &self.histories[watch];
                match last {
                    Some(verdict) => write!(f, "{watch} was {verdict} at the last check"),
                    None => write!(f, "no check of {watch} was finished"),
                }
            }
            HeldBy::Threshold { agreed } => {
                write!(f, "all that is watched had drained, but only at {agreed} of {threshold} checks in a row")
            }
            HeldBy::Requests => f.write_str("a request took until DURATION, or was not sent"),
            HeldBy::Min => write!(f, "all that is watched had drained, but --min is {}", Seconds(min)),
        }
    }
}

/// Logs what is wrong with the command line, and returns the exit status.
pub fn mistakes(fallback: &Fallback) -> i32 {
    for mistake in &fallback.mistakes.first {
        log::error(format_args!("error: {mistake}"));
    }
    if fallback.mistakes.others > 0 {
        log::error(format_args!("error: mistakes that are not shown: {}", fallback.mistakes.others));
    }
    exit::USAGE
}

/// Logs what is wrong with the command line, and sleeps all the same: a mistake must not cost the drain. Returns the exit
/// status.
pub fn fall_back(fallback: &Fallback) -> i32 {
    let status = mistakes(fallback);
    log::error(format_args!("sleeping {} all the same, watching nothing", Seconds(fallback.sleep)));
    sleep_until(fallback.sleep);
    log::info(format_args!("slept {}", Seconds(elapsed())));
    status
}

/// What the checks of a watch have found, as far as the log needs it.
struct History<'a> {
    watch: &'a Watch<'a>,
    last: Option<Verdict>,
    changes: u32,
}

impl<'a> History<'a> {
    fn new(watch: &'a Watch<'a>) -> History<'a> {
        History { watch, last: None, changes: 0 }
    }

    fn update(&mut self, verdict: Verdict) {
        let changed = self.last.as_ref().is_none_or(|last| last.word != verdict.word);
        self.changes += u32::from(changed && self.last.is_some());
        let watch = self.watch;
        if changed && self.changes <= CHANGES_LOGGED {
            log::info(format_args!("{watch} is {verdict} at {}", Seconds(elapsed())));
        } else if changed && self.changes == CHANGES_LOGGED + 1 {
            log::info(format_args!("{watch} changes often: from now on its changes are only counted"));
        }
        self.last = Some(verdict);
    }
}
