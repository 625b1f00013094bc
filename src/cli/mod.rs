//! The command line: what was typed, and what is meant. No clock, no socket.

pub mod args;
pub mod duration;
pub mod plan;
pub mod variables;
