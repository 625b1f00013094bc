//! The program: parse, run, exit.

#![no_main]

// Not a library but a linker script, which leaves out the tables for unwinding. It is named here and not in the linker's
// flags, since the tests have the same flags, and they do unwind.
#[cfg(discard_unwind_tables)]
#[link(name = "discard.ld", kind = "static", modifiers = "+verbatim,-bundle")]
unsafe extern "C" {}

use std::ffi::{c_char, c_int};
use std::fmt::{self, Write as _};
use std::time::Duration;

use drain_sleep::cli::args::{self, Args, Opt};
use drain_sleep::cli::plan::Plan;
use drain_sleep::cli::salvage::salvage;
use drain_sleep::os::log;
use drain_sleep::os::memory::Memory;
use drain_sleep::os::sys;
use drain_sleep::text::Bytes;
use drain_sleep::{exit, failsafe, install, run};

#[global_allocator]
static MEMORY: Memory = Memory { when_out: failsafe::out_of_memory };

/// C's `main` rather than Rust's, whose start aborts without a word where it finds a closed descriptor and no
/// `/dev/null`, and makes system calls that a seccomp profile may refuse.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    failsafe::arm();
    log::reserve_stdio();
    // SAFETY: they are what C's `main` was given.
    let arguments = unsafe { sys::arguments(argc, argv) };
    let sleep = salvage(arguments.clone(), &sys::variable);
    failsafe::set_duration(sleep);
    run(arguments.collect::<Vec<_>>().leak(), sleep)
}

/// Does what the command line says. Never returns, so that no destructor is linked in.
fn run(arguments: &[&'static [u8]], sleep: Duration) -> ! {
    let words = args::words(arguments, &sys::variable);
    let args = Args::parse(&words);
    if args.has(Opt::Help) {
        sys::exit(print(format_args!("{}", args::Help)));
    }
    if args.has(Opt::Version) {
        sys::exit(print(format_args!(concat!("drain-sleep ", env!("CARGO_PKG_VERSION"), "\n"))));
    }
    if args.has(Opt::Quiet) {
        log::quiet();
    }
    if args.fails_fast {
        fail_fast(&args, arguments);
    }
    let plan = Plan::new(&args);
    if let Ok(plan) = &plan {
        failsafe::set_duration(plan.rules.duration);
    }
    failsafe::end_if_it_hangs();
    if let Some(path) = args.value(Opt::LogFile)
        && let Err(error) = log::to_file(path)
    {
        log::error(format_args!("cannot log to {}: {}", Bytes(path), error));
    }
    sys::exit(match &plan {
        Ok(plan) => run::drain(plan),
        Err(mistakes) => run::fall_back(mistakes, sleep),
    })
}

/// `--check` and `--install` drain nothing, so a mistake ends them at once.
fn fail_fast(args: &Args, arguments: &[&[u8]]) -> ! {
    failsafe::set_duration(Duration::ZERO);
    let mut plan = None;
    if args.mentions_drain() || !args.mistakes.is_empty() {
        match Plan::new(args) {
            Ok(made) => plan = Some(made),
            Err(mistakes) => sys::exit(run::mistakes(&mistakes)),
        }
    }
    let mut status = exit::OK;
    if let Some(path) = args.value(Opt::Install) {
        if !args.has(Opt::Check) {
            if let Some(plan) = &plan
                && let Some(why) = plan.watches.iter().find_map(|watch| watch.target.refused())
            {
                log::error(format_args!("warning: no drain will end early on this node, because {why}"));
            }
            sys::exit(install::install(path, arguments));
        }
        status = print(format_args!("installing to '{}'\n", Bytes(path)));
    }
    if let Some(plan) = &plan {
        status = status.max(print(format_args!("{plan}\n")));
        for warning in plan.warnings() {
            status = status.max(print(format_args!("warning: {warning}\n")));
        }
    }
    sys::exit(status)
}

/// Prints to stdout, and returns the exit status. A closed stdout is not an error.
fn print(message: fmt::Arguments) -> i32 {
    let mut text = String::new();
    let _ = text.write_fmt(message);
    match sys::write_all(sys::STDOUT, text.as_bytes()) {
        Ok(()) | Err(sys::EBADF) => exit::OK,
        Err(_) => exit::FAILURE,
    }
}
