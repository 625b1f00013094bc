//! Where to connect to. No name is ever resolved.

use std::net::IpAddr;

/// `sun_path` of `sockaddr_un` holds 108 bytes, the last of them NUL: unix(7).
pub const SOCKET_PATH_MAX: usize = 107;

#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    Tcp(Host, u16),
    /// A Unix socket: its absolute path, at most [`SOCKET_PATH_MAX`] bytes.
    Unix(Vec<u8>),
}

/// A host that needs no resolver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Host {
    Ip(IpAddr),
    /// 127.0.0.1 and, if no app is there, `::1`.
    Localhost,
}
