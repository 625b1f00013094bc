//! The command line. `options` is the table of options, `args` reads what was typed, and `plan` works out what is meant.

pub mod args;
pub mod duration;
mod options;
pub mod plan;
pub mod variables;
