//! Tests of the built static binary, over real sockets, by the rules of what it promises to its users. Nothing but the Rust
//! toolchain and a POSIX shell is needed.

mod artifact;
mod cli;
mod drain;
mod failsafe;
mod grpc;
mod idle;
mod install;
mod log;
mod request;
mod response;
mod signal;
mod support;
mod table;
mod tidy;
mod verdict;
