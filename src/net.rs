//! Connections to a local endpoint, every step of which ends by a deadline.
//!
//! std has none of it: its Unix connect hangs while the listen queue is full, its time-outs start anew with each read,
//! and its look-up of `localhost` asks a resolver.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::failsafe::elapsed;
use crate::sys;
use crate::url::{Endpoint, Host};

/// Why an exchange failed.
#[derive(Debug)]
pub enum Failure {
    /// The peer's doing, or nobody is there: it counts as unready.
    Peer(String),
    /// A local want (descriptors, ports, memory, permission …), which says nothing about the peer.
    Local(io::Error),
}

impl Failure {
    /// A failure with fixed words.
    pub fn peer(why: &str) -> Failure {
        Failure::Peer(why.to_string())
    }
}

impl From<io::Error> for Failure {
    /// Only errors that are known to come from the other side count against it.
    fn from(error: io::Error) -> Failure {
        Failure::peer(match error.raw_os_error() {
            Some(sys::ECONNREFUSED) => "connection refused",
            Some(sys::ECONNRESET | sys::EPIPE | sys::ECONNABORTED | sys::ENOTCONN) => "connection reset",
            Some(sys::ENOENT | sys::ENOTDIR | sys::ELOOP) => "no such socket",
            Some(sys::EPROTOTYPE) => "not a stream socket",
            Some(sys::EHOSTUNREACH | sys::ENETUNREACH) => "unreachable",
            Some(sys::ETIMEDOUT) => "timed out",
            _ => return Failure::Local(error),
        })
    }
}

/// An open connection; what it is asked to do after `deadline`, as time since the start of the drain, fails.
pub struct Connection {
    socket: File,
    deadline: Duration,
}

/// Connects, and gives up at `deadline`.
///
/// # Errors
/// A [`Failure`]; for `localhost` that of 127.0.0.1, since `::1` is asked only where that refuses.
pub fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Connection, Failure> {
    let refused = |error: &io::Error| error.raw_os_error() == Some(sys::ECONNREFUSED);
    let tcp = |ip: IpAddr, port| open(&tcp_address(ip, port), deadline);
    let socket = match endpoint {
        Endpoint::Tcp(Host::V4(ip), port) => tcp((*ip).into(), *port),
        Endpoint::Tcp(Host::V6(ip), port) => tcp((*ip).into(), *port),
        Endpoint::Tcp(Host::Localhost, port) => tcp(Ipv4Addr::LOCALHOST.into(), *port).or_else(|error| {
            if refused(&error) { tcp(Ipv6Addr::LOCALHOST.into(), *port).map_err(|_| error) } else { Err(error) }
        }),
        Endpoint::Unix(path) => match open(&unix_address(path), deadline) {
            Err(error) if error.raw_os_error() == Some(sys::EAGAIN) => return Err(Failure::peer("listen queue full")),
            other => other,
        },
    };
    Ok(Connection { socket: socket?, deadline })
}

fn open(address: &[u8], deadline: Duration) -> io::Result<File> {
    let family = u16::from_ne_bytes([address[0], address[1]]);
    let socket = sys::new_socket(family, sys::SOCK_STREAM, 0)?;
    loop {
        // Asked again when the socket has become writable, connect(2) tells how it went.
        let Err(error) = sys::connect_to(&socket, address) else { return Ok(socket) };
        match error.raw_os_error() {
            Some(sys::EISCONN) => return Ok(socket),
            Some(sys::EINPROGRESS | sys::EALREADY) => wait(&socket, sys::POLLOUT, deadline)?,
            _ => return Err(error),
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
pub fn wait(socket: &File, events: i16, deadline: Duration) -> io::Result<()> {
    loop {
        let left = deadline.saturating_sub(elapsed());
        if left.is_zero() {
            return Err(io::Error::from_raw_os_error(sys::ETIMEDOUT));
        }
        match sys::poll_one(socket.as_raw_fd(), events, left) {
            Ok(0) => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Connection {
    /// Sends all of it.
    ///
    /// # Errors
    /// A [`Failure`].
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            wait(&self.socket, sys::POLLOUT, self.deadline)?;
            match self.socket.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if again(&error) => {}
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
            let got = self.socket.read(&mut buffer[len..]);
            buffer.truncate(len + got.as_ref().unwrap_or(&0));
            match got {
                Ok(count) => return Ok(count > 0),
                Err(error) if again(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
