//! The command line. `options` is the table of options, `args` reads what was typed, and `plan` works out what is meant. `salvage`
//! says how long to sleep if something is wrong.

pub mod args;
pub mod duration;
pub mod mistake;
mod options;
pub mod plan;
pub mod salvage;
pub mod variables;
