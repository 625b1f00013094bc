//! The gRPC health check over cleartext HTTP/2. It judges bytes and opens no socket.

pub mod health;
pub mod hpack;
