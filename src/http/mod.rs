//! HTTP/1.1, as far as a probe and a drain endpoint need it. `response` and `redirect` are bytes in, verdict out; `client`
//! drives them over a connection.

pub mod client;
pub mod header;
pub mod oneshot;
pub mod redirect;
pub mod response;
