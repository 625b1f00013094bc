//! What ends the program other than the end of the drain. A panic, an abort or a lack of memory must not cost the drain, so it
//! sleeps for what is left of it. A signal ends it at once.

use std::ffi::CString;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::cli::duration::{FOREVER, Seconds};
use crate::exit;
use crate::os::clock::{elapsed, sleep_until};
use crate::os::{log, sys};

/// How long a drain lasts at least where the command line does not say so: the default of `--min`.
pub const DEFAULT_MIN: Duration = Duration::from_secs(5);

/// Milliseconds that the drain lasts at most: [`DEFAULT_MIN`] until the command line has been read, 0 for `--check` and
/// `--install`, `u64::MAX` without end.
static DRAIN: AtomicU64 = AtomicU64::new(0);

/// What ends the drain at once. A PID 1 that did not handle them would not get them: pid_namespaces(7).
const ENDINGS: [(i32, &str); 4] =
    [(sys::SIGHUP, "SIGHUP"), (sys::SIGINT, "SIGINT"), (sys::SIGQUIT, "SIGQUIT"), (sys::SIGTERM, "SIGTERM")];
/// Their numbers.
pub const ENDING_SIGNALS: [i32; 4] = [ENDINGS[0].0, ENDINGS[1].0, ENDINGS[2].0, ENDINGS[3].0];

/// The file of [`remove_at_end`].
static UNFINISHED: OnceLock<CString> = OnceLock::new();
static IS_UNFINISHED: AtomicBool = AtomicBool::new(false);

/// Starts the clock of the drain, and sets what signals do. A log that cannot be written would end it by SIGPIPE or SIGXFSZ,
/// or stop it by SIGTTOU. Ignoring SIGCHLD leaves no zombies of what a PID 1 inherits: wait(2).
pub fn arm() {
    elapsed();
    drain_lasts(DEFAULT_MIN);
    for number in [sys::SIGPIPE, sys::SIGTTOU, sys::SIGXFSZ, sys::SIGCHLD] {
        sys::ignore(number);
    }
    for number in ENDING_SIGNALS {
        sys::handle(number, end);
    }
    sys::handle(sys::SIGABRT, aborted);
    // Whoever started us may have blocked them, which execve(2) leaves as it is.
    sys::unblock(&[sys::SIGHUP, sys::SIGINT, sys::SIGQUIT, sys::SIGTERM, sys::SIGABRT]);
    std::panic::set_hook(Box::new(|panic| sleep_out(format_args!("a bug, please report it: {panic}"))));
}

/// Sets how long the drain lasts, from its start, if a bug ends everything else.
pub fn drain_lasts(duration: Duration) {
    DRAIN.store(duration.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Has this file removed if a signal or a bug ends the program before [`keep_file`]. One file at most.
pub fn remove_at_end(path: CString) {
    let _ = UNFINISHED.set(path);
    IS_UNFINISHED.store(true, Ordering::Relaxed);
}

/// The file of [`remove_at_end`] stays.
pub fn keep_file() {
    IS_UNFINISHED.store(false, Ordering::Relaxed);
}

/// Removes the file of [`remove_at_end`], if it has not been kept. A signal handler may call it.
pub fn remove_unfinished() {
    if let Some(path) = UNFINISHED.get()
        && IS_UNFINISHED.swap(false, Ordering::Relaxed)
    {
        sys::unlink(path);
    }
}

extern "C" fn end(number: i32) {
    for (ending, name) in ENDINGS {
        if number == ending {
            log::info(format_args!("ended by {name} after {}", Seconds(elapsed())));
        }
    }
    remove_unfinished();
    sys::exit(exit::SIGNAL + number);
}

extern "C" fn aborted(_: i32) {
    sleep_out(format_args!("a bug, please report it: aborted"));
}

/// There is no memory left.
pub fn out_of_memory() -> ! {
    sleep_out(format_args!("out of memory"));
}

fn sleep_out(what: fmt::Arguments) -> ! {
    let drain = match DRAIN.load(Ordering::Relaxed) {
        u64::MAX => FOREVER,
        millis => Duration::from_millis(millis),
    };
    let left = if drain == FOREVER { FOREVER } else { drain.saturating_sub(elapsed()) };
    remove_unfinished();
    log::error(format_args!("error: {what}; sleeping for what is left of the drain, {}", Seconds(left)));
    sleep_until(drain);
    sys::exit(exit::USAGE);
}
