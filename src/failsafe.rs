//! What ends the program before the drain is over, or keeps it from lasting longer. After a panic, an abort or a lack of memory it
//! sleeps for the rest of the drain, since a bug must not cut the drain short. A signal ends it at once. The kernel ends it if
//! it hangs.

use std::ffi::CString;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::drain::DEFAULT_MIN;
use crate::exit;
use crate::os::clock::{elapsed, sleep_until};
use crate::os::{log, sys};
use crate::text::{FOREVER, Seconds};

/// How long the drain lasts at most, in milliseconds: 0 for `--check` and `--install`, `u64::MAX` for a drain without end.
static DRAIN: AtomicU64 = AtomicU64::new(DEFAULT_MIN.as_millis() as u64);

/// How long after the drain's end the kernel ends a program that hangs.
const TOO_LATE: Duration = Duration::from_secs(1);

/// The signals that end the drain at once. PID 1 gets only signals that it handles: pid_namespaces(7).
const ENDINGS: [(i32, &str); 4] =
    [(sys::SIGHUP, "SIGHUP"), (sys::SIGINT, "SIGINT"), (sys::SIGQUIT, "SIGQUIT"), (sys::SIGTERM, "SIGTERM")];
/// The signals that have a handler.
pub const HANDLED: [i32; 5] = [sys::SIGHUP, sys::SIGINT, sys::SIGQUIT, sys::SIGTERM, sys::SIGABRT];

/// The path of the file that [`remove_at_end`] was given, and whether it is still to be removed.
static FILE: OnceLock<CString> = OnceLock::new();
static UNFINISHED: AtomicBool = AtomicBool::new(false);

/// Starts the clock of the drain, and sets what signals and panics do.
///
/// A log that cannot be written would end the program by SIGPIPE or SIGXFSZ, or stop it by SIGTTOU, so these are ignored.
/// While SIGCHLD is ignored, the processes that PID 1 inherits leave no zombies: wait(2). A SIGALRM that our parent has left behind,
/// blocked or with a timer, says nothing.
pub fn arm() {
    elapsed();
    for number in [sys::SIGPIPE, sys::SIGTTOU, sys::SIGXFSZ, sys::SIGCHLD, sys::SIGALRM] {
        sys::ignore(number);
    }
    for (number, _) in &ENDINGS {
        sys::set_signal_safe_handler(*number, end);
    }
    sys::set_signal_safe_handler(sys::SIGABRT, aborted);
    // Our parent may have blocked them, and execve(2) keeps them blocked.
    sys::unblock(&HANDLED);
    std::panic::set_hook(Box::new(|panic| sleep_out(format_args!("a bug, please report it: {panic}"))));
}

/// Sets how long the drain lasts, counted from its start, if a bug ends everything else: [`DEFAULT_MIN`] before that.
pub fn set_duration(duration: Duration) {
    DRAIN.store(duration.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn duration() -> Duration {
    match DRAIN.load(Ordering::Relaxed) {
        u64::MAX => FOREVER,
        millis => Duration::from_millis(millis),
    }
}

/// Makes the kernel end the program soon after the drain should have ended, even if it hangs in a system call, such as on a file
/// system whose server is gone.
pub fn end_if_it_hangs() {
    if duration() != FOREVER {
        sys::set_alarm(duration().saturating_sub(elapsed()).saturating_add(TOO_LATE));
    }
}

/// Removes this file if a signal or a bug ends the program before [`keep_file`] is called. Works for one file only.
pub fn remove_at_end(path: CString) {
    UNFINISHED.store(FILE.set(path).is_ok(), Ordering::Relaxed);
}

/// Keeps the file that [`remove_at_end`] was given.
pub fn keep_file() {
    UNFINISHED.store(false, Ordering::Relaxed);
}

/// Removes the file that [`remove_at_end`] was given, unless it is to be kept. May be called from a signal handler.
pub fn remove_unfinished() {
    if UNFINISHED.swap(false, Ordering::Relaxed)
        && let Some(path) = FILE.get()
    {
        sys::unlink(path);
    }
}

/// Ends the program by a signal. This and the next function log, sleep, unlink a file and exit. None of that allocates or takes a
/// lock.
extern "C" fn end(number: i32) {
    for (ending, name) in &ENDINGS {
        if number == *ending {
            log::info(format_args!("ended by {name} after {}", Seconds(elapsed())));
        }
    }
    remove_unfinished();
    sys::exit(exit::SIGNAL + number);
}

/// Does not let abort(3) end the drain.
extern "C" fn aborted(_: i32) {
    sleep_out(format_args!("a bug, please report it: aborted"));
}

/// Sleeps for the rest of the drain, since there is no memory left.
pub fn out_of_memory() -> ! {
    sleep_out(format_args!("out of memory"));
}

/// Sleeps for the rest of the drain. May be called from a signal handler.
fn sleep_out(what: fmt::Arguments) -> ! {
    let drain = duration();
    let left = if drain == FOREVER { FOREVER } else { drain.saturating_sub(elapsed()) };
    remove_unfinished();
    log::error(format_args!("error: {what}; sleeping for the rest of the drain, {}", Seconds(left)));
    sleep_until(drain);
    sys::exit(exit::USAGE);
}
