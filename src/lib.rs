//! drain-sleep: a `preStop` hook for containers without a shell. It sleeps, and ends early once the app has drained.
//!
//! Data flows one way: the command line ([`args`]) becomes a validated [`plan`], which [`run`] carries out by the rules
//! of [`drain`].

#![deny(unsafe_code)]

pub mod args;
pub mod clock;
pub mod drain;
pub mod duration;
pub mod expand;
pub mod failsafe;
pub mod grpc;
pub mod hpack;
pub mod http;
pub mod http1;
pub mod inet_diag;
pub mod install;
pub mod location;
pub mod log;
pub mod memory;
pub mod net;
pub mod plan;
pub mod request;
pub mod run;
pub mod sys;
pub mod text;
pub mod url;
pub mod watch;
