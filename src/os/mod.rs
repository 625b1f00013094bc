//! The operating system: what std lacks, time, the log, memory. All `unsafe` code is in here and in `main.rs`.

pub mod clock;
pub mod log;
pub mod memory;
pub mod process;
pub mod sys;
#[cfg(panic = "abort")]
mod unwind;
