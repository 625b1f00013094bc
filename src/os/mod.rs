//! The operating system: what std lacks, time, the log, memory. All `unsafe` code is in here and in `main.rs`, but for two calls
//! whose promises are about the caller's own functions: `failsafe` sets signal handlers, and `watch::idle` forks.

pub mod clock;
pub mod log;
pub mod memory;
pub mod sys;
#[cfg(panic = "abort")]
mod unwind;
