//! Connections to a local endpoint, every step of which ends by a deadline.
//!
//! std has none of it: its Unix connect hangs while the listen queue is full, its time-outs start anew with each read,
//! and its look-up of `localhost` asks a resolver.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use crate::clock::poll_until;
use crate::sys::{self, Errno};
use crate::url::{Endpoint, Host};

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The peer's doing, or nobody is there: it counts as unready. Why, and a number that goes with it.
    Peer(&'static str, Option<u32>),
    /// A local want (descriptors, ports, memory, permission …), which says nothing about the peer.
    Local(Errno),
}

impl Failure {
    /// The peer's doing, which words are enough to tell.
    pub fn peer(why: &'static str) -> Failure {
        Failure::Peer(why, None)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Peer(why, None) => f.write_str(why),
            Failure::Peer(why, Some(number)) => write!(f, "{why} {number}"),
            Failure::Local(error) => error.fmt(f),
        }
    }
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Failure {
        Failure::peer(why)
    }
}

impl From<Errno> for Failure {
    /// Only errors that are known to come from the other side count against it.
    fn from(error: Errno) -> Failure {
        Failure::peer(match error {
            sys::ECONNREFUSED => "connection refused",
            sys::ECONNRESET | sys::EPIPE | sys::ECONNABORTED | sys::ENOTCONN => "connection reset",
            sys::ENOENT | sys::ENOTDIR | sys::ELOOP => "no such socket",
            sys::EPROTOTYPE => "not a stream socket",
            sys::EHOSTUNREACH | sys::ENETUNREACH => "unreachable",
            sys::ETIMEDOUT => "timed out",
            _ => return Failure::Local(error),
        })
    }
}

/// An open connection; what it is asked to do after `deadline`, as time since the start of the drain, fails.
pub struct Connection {
    socket: OwnedFd,
    deadline: Duration,
}

/// Connects, and gives up at `deadline`.
///
/// # Errors
/// A [`Failure`]; for `localhost` that of 127.0.0.1, since `::1` is asked only where that refuses.
pub fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Connection, Failure> {
    let tcp = |ip: IpAddr, port| {
        let address = tcp_address(ip, port);
        let socket = open(&address, deadline)?;
        // Where nobody listens at a port that the kernel gives to clients, it may give it to this one, which then connects to
        // itself: `selfConnect` in Go's `net/tcpsock_posix.go`.
        if sys::is_own_address(&socket, &address) { Err(sys::ECONNREFUSED) } else { Ok(socket) }
    };
    let socket = match endpoint {
        Endpoint::Tcp(Host::V4(ip), port) => tcp((*ip).into(), *port),
        Endpoint::Tcp(Host::V6(ip), port) => tcp((*ip).into(), *port),
        Endpoint::Tcp(Host::Localhost, port) => tcp(Ipv4Addr::LOCALHOST.into(), *port).or_else(|error| {
            if error == sys::ECONNREFUSED {
                tcp(Ipv6Addr::LOCALHOST.into(), *port).map_err(|_| error)
            } else {
                Err(error)
            }
        }),
        Endpoint::Unix(path) => match open(&unix_address(path), deadline) {
            Err(sys::EAGAIN) => return Err(Failure::peer("listen queue full")),
            other => other,
        },
    };
    Ok(Connection { socket: socket?, deadline })
}

fn open(address: &[u8], deadline: Duration) -> Result<OwnedFd, Errno> {
    let family = u16::from_ne_bytes([address[0], address[1]]);
    let socket = sys::new_socket(family, sys::SOCK_STREAM, 0)?;
    loop {
        // Asked again when the socket has become writable, connect(2) tells how it went.
        match sys::connect_to(&socket, address) {
            Ok(()) | Err(sys::EISCONN) => return Ok(socket),
            Err(sys::EINPROGRESS | sys::EALREADY) => wait(&socket, sys::POLLOUT, deadline)?,
            Err(error) => return Err(error),
        }
    }
}

/// A `sockaddr_in` or `sockaddr_in6`: ip(7), ipv6(7).
fn tcp_address(ip: IpAddr, port: u16) -> Vec<u8> {
    let family = if ip.is_ipv4() { sys::AF_INET } else { sys::AF_INET6 };
    let mut address = [family.to_ne_bytes(), port.to_be_bytes()].concat();
    match ip {
        IpAddr::V4(ip) => {
            address.extend(ip.octets());
            address.extend([0; 8]); // sin_zero
        }
        IpAddr::V6(ip) => {
            address.extend([0; 4]); // sin6_flowinfo
            address.extend(ip.octets());
            address.extend([0; 4]); // sin6_scope_id
        }
    }
    address
}

/// A `sockaddr_un`: unix(7).
fn unix_address(path: &[u8]) -> Vec<u8> {
    [&sys::AF_UNIX.to_ne_bytes(), path, b"\0"].concat()
}

/// Waits until the descriptor can be read or written.
///
/// # Errors
/// ETIMEDOUT at `deadline`, and those of poll(2).
pub fn wait(socket: &OwnedFd, events: i16, deadline: Duration) -> Result<(), Errno> {
    poll_until(socket.as_raw_fd(), events, deadline).map(|_| ())
}

impl Connection {
    /// Sends all of it.
    ///
    /// # Errors
    /// A [`Failure`].
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

    /// Appends what has come, some bytes at least, to `buffer`; `false` where the peer has ended the stream.
    ///
    /// # Errors
    /// A [`Failure`].
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
