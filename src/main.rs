//! The program: parse, run, exit.

#![no_main]

mod unwind;

// Not a library but a linker script, which leaves out the tables for unwinding. Named here and not in the linker's flags,
// since those are also the tests', which do unwind.
#[link(name = "discard.ld", kind = "static", modifiers = "+verbatim,-bundle")]
unsafe extern "C" {}

use std::ffi::{c_char, c_int};
use std::time::Duration;

use drain_sleep::args::{self, Args};
use drain_sleep::failsafe;
use drain_sleep::heap::{Arena, Heap};
use drain_sleep::plan::Plan;
use drain_sleep::run::{self, EXIT_FAILURE, EXIT_OK};
use drain_sleep::{install, log, sys};

#[global_allocator]
// SAFETY: the arena is this heap's.
static HEAP: Heap = unsafe { Heap::new(&ARENA, failsafe::out_of_memory) };

static ARENA: Arena = Arena::new();

/// C's `main` rather than Rust's, whose start aborts without a word where it finds a closed descriptor and no
/// `/dev/null`, and makes system calls that a seccomp profile may refuse.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    failsafe::arm();
    log::hold_standard_descriptors();
    // SAFETY: they are what C's `main` was given.
    let arguments = unsafe { sys::arguments(argc, argv) };
    run(&arguments)
}

fn run(arguments: &[&[u8]]) -> i32 {
    let args = Args::parse(arguments, &sys::variable);
    if args.has(args::HELP) {
        return print(&args::help());
    }
    if args.has(args::VERSION) {
        return print(concat!("drain-sleep ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    if args.has(args::QUIET) {
        log::quiet();
    }
    if args.at_once {
        return at_once(&args, arguments);
    }
    let plan = Plan::new(&args);
    failsafe::drain_lasts(plan.as_ref().map_or_else(|refused| refused.sleep, |plan| plan.rules.duration));
    if let Some(path) = args.value(args::LOG_FILE)
        && let Err(error) = log::to_file(path)
    {
        log::error(format_args!("cannot log to {}: {error}", log::Bytes(path)));
    }
    match plan {
        Ok(plan) => run::drain(&plan),
        Err(refused) => run::refused(&refused),
    }
}

/// `--check` and `--install`, which drain nothing, so that a mistake ends them at once.
fn at_once(args: &Args, arguments: &[&[u8]]) -> i32 {
    failsafe::drain_lasts(Duration::ZERO);
    let mut text = String::new();
    if args.mentions_drain() || !args.mistakes.is_empty() {
        match Plan::new(args) {
            Ok(plan) => text = format!("{plan}\n"),
            Err(refused) => return run::mistakes(&refused),
        }
    }
    match args.value(args::INSTALL) {
        Some(path) if !args.has(args::CHECK) => install::install(path, arguments),
        _ => print(&text),
    }
}

fn print(text: &str) -> i32 {
    match log::print(text) {
        Ok(()) => EXIT_OK,
        Err(_) => EXIT_FAILURE,
    }
}
