//! URLs, endpoints, connections that end by a deadline, and the kernel's list of connections.

pub mod connection;
pub mod endpoint;
pub mod failure;
pub mod inet_diag;
pub mod own;
pub mod url;
