//! HTTP/1.1, as far as a probe and a drain endpoint need it. `response` and `redirect` judge bytes and open no socket; `client`
//! uses them over a connection.

pub mod client;
pub mod header;
pub mod redirect;
pub mod request;
pub mod response;
