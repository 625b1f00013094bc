//! What keeps a bug from costing the drain: a panic, or an abort for want of memory, sleeps what is left of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{elapsed, sleep_until};
use crate::duration::Seconds;
use crate::{log, sys};

/// How long a drain lasts at least where nothing on the line says so: the default of `--min`.
pub const DEFAULT_MIN: Duration = Duration::from_secs(5);

/// Exit status after a mistake on the line, or a bug.
pub const EXIT_USAGE: i32 = 2;
/// Exit status after signal n, less n: the shell's convention.
const EXIT_SIGNAL: i32 = 128;

/// Milliseconds that the drain lasts at most: [`DEFAULT_MIN`] until the line has been read, 0 for `--check` and `--install`.
static DRAIN: AtomicU64 = AtomicU64::new(0);

/// Starts the clock of the drain, and sets what signals do. A log that cannot be written would end it by SIGPIPE or SIGXFSZ,
/// or stop it by SIGTTOU; SIGTERM and SIGINT would not reach a PID 1 that handles them by default: pid_namespaces(7).
pub fn arm() {
    elapsed();
    drain_lasts(DEFAULT_MIN);
    for number in [sys::SIGPIPE, sys::SIGTTOU, sys::SIGXFSZ] {
        sys::ignore(number);
    }
    for number in [sys::SIGINT, sys::SIGTERM] {
        sys::handle(number, end);
    }
    sys::handle(sys::SIGABRT, aborted);
    std::panic::set_hook(Box::new(|panic| rest(format_args!("{panic}"))));
}

/// Sets how long the drain lasts, from its start, if a bug ends everything else.
pub fn drain_lasts(duration: Duration) {
    DRAIN.store(duration.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// SIGINT and SIGTERM end the drain at once.
extern "C" fn end(number: i32) {
    let name = if number == sys::SIGINT { "SIGINT" } else { "SIGTERM" };
    log::info(format_args!("ended by {name} after {}", Seconds(elapsed())));
    sys::exit(EXIT_SIGNAL + number);
}

extern "C" fn aborted(_: i32) {
    rest(format_args!("aborted"));
}

/// The heap is full.
pub fn out_of_memory() {
    rest(format_args!("out of memory"));
}

fn rest(what: fmt::Arguments) -> ! {
    let drain = Duration::from_millis(DRAIN.load(Ordering::Relaxed));
    let left = drain.saturating_sub(elapsed());
    log::error(format_args!("a bug, please report it: {what}; sleeping the {} that are left", Seconds(left)));
    sleep_until(drain);
    sys::exit(EXIT_USAGE);
}
