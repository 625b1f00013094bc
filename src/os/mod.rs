//! The operating system: what std lacks, time, the log, memory. All `unsafe` code is in here and in `main.rs`, but for calls
//! whose promises are about what the caller hands over: `failsafe` sets signal handlers and keeps a path, `install` and
//! `watch::idle` fork.

pub mod clock;
pub mod log;
pub mod memory;
pub mod process;
pub mod sys;
#[cfg(panic = "abort")]
mod unwind;
