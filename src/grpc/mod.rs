//! The gRPC health check over cleartext HTTP/2: bytes in, verdict out.

pub mod health;
pub mod hpack;
