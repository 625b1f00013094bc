//! Connections to an endpoint. Every step ends by a deadline.
//!
//! std cannot do this: its Unix connect hangs while the listen queue is full, its timeouts start again with each read, and it
//! asks a resolver for `localhost`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::endpoint::{Endpoint, Host};
use super::failure::{Failure, TIMED_OUT, Why::SaysNothing};
use super::own::Own;
use crate::os::clock::{elapsed, poll_until};
use crate::os::sys::{self, Errno, PollFd};

/// A connection, open or being opened. Each step returns by a deadline, a time since the start of the drain. After [`TIMED_OUT`] a
/// step may be repeated, and goes on where it was.
pub struct Connection {
    /// The peer's `sockaddr`.
    address: Vec<u8>,
    /// The address to try if no app is at the first one: `::1` after 127.0.0.1.
    fallback: Option<Vec<u8>>,
    /// Why there is no connection to 127.0.0.1, once `::1` is tried.
    v4_error: Option<Errno>,
    socket: Option<OwnedFd>,
    is_open: bool,
    /// Keeps `--until-idle` from taking an open connection over TCP for a client's.
    own: Option<Own>,
}

/// Returns an open connection by `deadline`.
///
/// # Errors
/// Why there is none, and what that says about the app.
pub fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Connection, Failure> {
    let mut connection = Connection::new(endpoint);
    connection.open(deadline)?;
    Ok(connection)
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
    poll_until(&mut [PollFd { fd: socket.as_raw_fd(), events, revents: 0 }], deadline)
}

impl Connection {
    /// Makes a connection that is not open yet. This calls nothing that can fail.
    pub fn new(endpoint: &Endpoint) -> Connection {
        let (address, fallback) = match endpoint {
            Endpoint::Tcp(Host::Ip(ip), port) => (tcp_address(*ip, *port), None),
            Endpoint::Tcp(Host::Localhost, port) => {
                (tcp_address(Ipv4Addr::LOCALHOST.into(), *port), Some(tcp_address(Ipv6Addr::LOCALHOST.into(), *port)))
            }
            Endpoint::Unix(path) => (unix_address(path), None),
        };
        Connection { address, fallback, v4_error: None, socket: None, is_open: false, own: None }
    }

    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection by the deadline.
    pub fn open(&mut self, deadline: Duration) -> Result<(), Failure> {
        while !self.is_open {
            match self.try_to_open() {
                Ok(()) => {
                    self.is_open = true;
                    self.own = sys::local_address(self.socket()?).map(Own::new);
                }
                Err(sys::EINPROGRESS | sys::EALREADY) => self.wait(sys::POLLOUT, deadline)?,
                Err(sys::EAGAIN) if family(&self.address) == sys::AF_UNIX => {
                    return Err(Failure::new(&SaysNothing("listen queue full")));
                }
                Err(error) => self.fall_back(error)?,
            }
        }
        Ok(())
    }

    /// Begins to connect, or learns how far the kernel has come.
    fn try_to_open(&mut self) -> Result<(), Errno> {
        if self.socket.is_none() {
            self.socket = Some(sys::new_socket(family(&self.address), sys::SOCK_STREAM, 0)?);
        }
        let socket = self.socket()?;
        match sys::connect_to(socket, &self.address) {
            // If no process listens on a port that the kernel gives to clients, the socket may get that port and connect to itself:
            // `selfConnect` in Go's `net/tcpsock_posix.go`.
            Ok(()) | Err(sys::EISCONN) if sys::is_self_connected(socket) => Err(sys::ECONNREFUSED),
            Ok(()) | Err(sys::EISCONN) => Ok(()),
            other => other,
        }
    }

    /// Turns to `::1` if no app is at 127.0.0.1.
    fn fall_back(&mut self, error: Errno) -> Result<(), Errno> {
        let is_absent = |_: &mut Vec<u8>| error == sys::ECONNREFUSED || is_missing(&self.address, error);
        if let Some(v6) = self.fallback.take_if(is_absent) {
            (self.address, self.v4_error, self.socket) = (v6, Some(error), None);
            return Ok(());
        }
        // IPv6 is switched off on many nodes.
        Err(self.v4_error.filter(|_| is_missing(&self.address, error)).unwrap_or(error))
    }

    fn socket(&self) -> Result<&OwnedFd, Errno> {
        self.socket.as_ref().ok_or(sys::EBADF)
    }

    fn wait(&self, events: i16, deadline: Duration) -> Result<(), Errno> {
        wait(self.socket()?, events, deadline)
    }

    /// Returns what to poll before a step is repeated that sends or, if it does not, receives. There is nothing to poll if there is
    /// no socket.
    pub fn polled(&self, sends: bool) -> Option<PollFd> {
        let events = if sends || !self.is_open { sys::POLLOUT } else { sys::POLLIN };
        self.socket.as_ref().map(|socket| PollFd { fd: socket.as_raw_fd(), events, revents: 0 })
    }

    /// Sends all bytes, and removes from `unsent` what was sent.
    ///
    /// # Errors
    /// Why they could not be sent by the deadline.
    pub fn send(&mut self, unsent: &mut Vec<u8>, deadline: Duration) -> Result<(), Failure> {
        while !unsent.is_empty() {
            match sys::write_some(self.socket()?.as_raw_fd(), unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(sys::EAGAIN) => self.wait(sys::POLLOUT, deadline)?,
                Err(sys::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for bytes, and appends them to `buffer`. Returns false if the peer has ended the stream.
    ///
    /// # Errors
    /// Why nothing came by the deadline.
    pub fn receive(&mut self, buffer: &mut Vec<u8>, deadline: Duration) -> Result<bool, Failure> {
        const CHUNK: usize = 2048;
        let len = buffer.len();
        loop {
            // A server that never stops sending must not hold a check past its deadline, which is zero where nothing may wait.
            if !deadline.is_zero() && elapsed() >= deadline {
                return Err(TIMED_OUT);
            }
            buffer.resize(len + CHUNK, 0);
            let got = sys::read_some(self.socket()?, &mut buffer[len..]);
            buffer.truncate(len + got.as_ref().unwrap_or(&0));
            match got {
                Ok(count) => return Ok(count > 0),
                Err(sys::EAGAIN) => self.wait(sys::POLLIN, deadline)?,
                Err(sys::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
