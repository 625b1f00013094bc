//! Connections to an endpoint. Every step ends by a deadline.
//!
//! std cannot do this: its Unix connect hangs while the listen queue is full, its timeouts start again with each read, and it
//! asks a resolver for `localhost`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::endpoint::{Endpoint, Host};
use super::failure::Failure;
use crate::os::clock::poll_until;
use crate::os::sys::{self, Errno};

/// An open connection. All that it does after `deadline`, a time since the start of the drain, fails.
pub struct Connection {
    socket: OwnedFd,
    deadline: Duration,
}

/// Connects, and gives up at `deadline`, a time since the start of the drain.
///
/// # Errors
/// Why there is no connection, and what that says about the app.
pub fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Connection, Failure> {
    let socket = match endpoint {
        Endpoint::Tcp(Host::Ip(ip), port) => open_tcp(&tcp_address(*ip, *port), deadline),
        Endpoint::Tcp(Host::Localhost, port) => open_localhost(*port, deadline),
        Endpoint::Unix(path) => match open(&unix_address(path), deadline) {
            Err(sys::EAGAIN) => return Err(Failure::SaysNothing("listen queue full")),
            other => other,
        },
    };
    Ok(Connection { socket: socket?, deadline })
}

/// Connects to 127.0.0.1 and, if there is nobody, to `::1`.
fn open_localhost(port: u16, deadline: Duration) -> Result<OwnedFd, Errno> {
    let v4 = tcp_address(Ipv4Addr::LOCALHOST.into(), port);
    let v6 = tcp_address(Ipv6Addr::LOCALHOST.into(), port);
    match open_tcp(&v4, deadline) {
        Err(error) if error == sys::ECONNREFUSED || is_missing(&v4, error) => match open_tcp(&v6, deadline) {
            // IPv6 is switched off on many nodes.
            Err(no_v6) if is_missing(&v6, no_v6) => Err(error),
            other => other,
        },
        other => other,
    }
}

/// Returns true if a connection failed because there is no such address on this machine, or no way to it.
fn is_missing(address: &[u8], error: Errno) -> bool {
    match error {
        sys::EAFNOSUPPORT | sys::ENETUNREACH | sys::EHOSTUNREACH => true,
        // This error also means that no TCP port is free. UDP has its own ports, and sends nothing to connect.
        sys::EADDRNOTAVAIL => sys::new_socket(family(address), sys::SOCK_DGRAM, 0)
            .is_ok_and(|socket| sys::connect_to(&socket, address) == Err(sys::EADDRNOTAVAIL)),
        _ => false,
    }
}

fn open_tcp(address: &[u8], deadline: Duration) -> Result<OwnedFd, Errno> {
    let socket = open(address, deadline)?;
    // If nobody listens on a port that the kernel gives to clients, the socket may get that port and connect to itself:
    // `selfConnect` in Go's `net/tcpsock_posix.go`.
    if sys::is_self_connected(&socket) { Err(sys::ECONNREFUSED) } else { Ok(socket) }
}

fn open(address: &[u8], deadline: Duration) -> Result<OwnedFd, Errno> {
    let socket = sys::new_socket(family(address), sys::SOCK_STREAM, 0)?;
    loop {
        // Called again once the socket is writable, connect(2) returns how the first call ended.
        match sys::connect_to(&socket, address) {
            Ok(()) | Err(sys::EISCONN) => return Ok(socket),
            Err(sys::EINPROGRESS | sys::EALREADY) => wait(&socket, sys::POLLOUT, deadline)?,
            Err(error) => return Err(error),
        }
    }
}

/// Returns the address family that a `sockaddr` begins with.
fn family(address: &[u8]) -> u16 {
    u16::from_ne_bytes([address[0], address[1]])
}

/// Makes a `sockaddr_in` or `sockaddr_in6`: ip(7), ipv6(7).
fn tcp_address(ip: IpAddr, port: u16) -> Vec<u8> {
    let port = &port.to_be_bytes();
    match ip {
        // The last field is sin_zero.
        IpAddr::V4(ip) => [&sys::AF_INET.to_ne_bytes(), port, &ip.octets()[..], &[0; 8]].concat(),
        // Around the address are sin6_flowinfo and sin6_scope_id.
        IpAddr::V6(ip) => [&sys::AF_INET6.to_ne_bytes(), port, &[0; 4][..], &ip.octets(), &[0; 4]].concat(),
    }
}

/// Makes a `sockaddr_un`: unix(7).
fn unix_address(path: &[u8]) -> Vec<u8> {
    [&sys::AF_UNIX.to_ne_bytes(), path, b"\0"].concat()
}

/// Waits until one of `events`, such as POLLIN, or an error is there: poll(2). `deadline` is a time since the start of the drain.
///
/// # Errors
/// ETIMEDOUT at `deadline`, and those of poll(2).
pub fn wait(socket: &OwnedFd, events: i16, deadline: Duration) -> Result<(), Errno> {
    poll_until(socket.as_raw_fd(), events, deadline).map(|_| ())
}

impl Connection {
    /// Sends all bytes.
    ///
    /// # Errors
    /// Why they could not be sent by the deadline.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            wait(&self.socket, sys::POLLOUT, self.deadline)?;
            match sys::write_some(self.socket.as_raw_fd(), bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(sys::EAGAIN | sys::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for bytes, and appends them to `buffer`. Returns false if the peer has ended the stream.
    ///
    /// # Errors
    /// Why nothing came by the deadline.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Failure> {
        const CHUNK: usize = 2048;
        loop {
            wait(&self.socket, sys::POLLIN, self.deadline)?;
            let len = buffer.len();
            buffer.resize(len + CHUNK, 0);
            let got = sys::read_some(&self.socket, &mut buffer[len..]);
            buffer.truncate(len + got.as_ref().unwrap_or(&0));
            match got {
                Ok(count) => return Ok(count > 0),
                Err(sys::EAGAIN | sys::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
