//! The kernel's list of TCP connections: `inet_diag` over netlink, sock_diag(7). This file has the requests and replies as bytes,
//! and what makes a connection busy. It opens no socket.
//!
//! Structures and numbers are those of the kernel's `include/uapi/linux/{netlink,inet_diag,sock_diag,tcp}.h` and
//! `include/net/tcp_states.h`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::own::{Address, is_own};
use crate::os::sys::{AF_INET6, EACCES, EAFNOSUPPORT, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, Errno};
use crate::text::{FOREVER, Seconds};

/// The netlink protocol that answers these requests.
pub const NETLINK_SOCK_DIAG: i32 = 4;

const TCPDIAG_GETSOCK: u16 = 18;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const INET_DIAG_INFO: u16 = 2;

const TCP_ESTABLISHED: u8 = 1;
const TCP_SYN_RECV: u8 = 3;
const TCP_FIN_WAIT1: u8 = 4;
const TCP_FIN_WAIT2: u8 = 5;
const TCP_TIME_WAIT: u8 = 6;
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LAST_ACK: u8 = 9;
const TCP_LISTEN: u8 = 10;
const TCP_CLOSING: u8 = 11;
const TCP_MAX_STATES: u8 = 13;

/// The states to ask for: all in which the app may still receive or send, and the one that shows what was closed.
const STATES: u32 = ((1 << TCP_MAX_STATES) - 2) & !(1 << TCP_CLOSE);

const MESSAGE_HEAD: usize = 16;
/// A message head and `struct inet_diag_req`.
const REQUEST: usize = MESSAGE_HEAD + 4 + SOCKET_ID + 8;
/// `struct inet_diag_sockid`. A request sets only its first field, the local port.
const SOCKET_ID: usize = 48;
/// `struct inet_diag_msg`, before its attributes.
const ENTRY: usize = 72;
const ENTRY_STATE: usize = 1;
const ENTRY_LOCAL_PORT: usize = 4;
const ENTRY_REMOTE_PORT: usize = 6;
const ENTRY_REMOTE_IP: usize = 24;
/// `idiag_expires`: how many milliseconds are left of a connection in TIME_WAIT.
const ENTRY_EXPIRES: usize = 52;
const ENTRY_RECEIVE_QUEUE: usize = 56;
const ENTRY_SEND_QUEUE: usize = 60;
const ATTRIBUTE_HEAD: usize = 4;
/// `tcpi_last_data_sent`, `tcpi_last_data_recv` and `tcpi_last_ack_recv` in `struct tcp_info`: milliseconds ago, or since the
/// connection was made.
const INFO_LAST_SENT: usize = 44;
const INFO_LAST_RECEIVED: usize = 52;
const INFO_LAST_ACKNOWLEDGED: usize = 56;
/// `tcpi_segs_in`: how many segments have come, with data or without.
const INFO_ALL_SEGMENTS_RECEIVED: usize = 140;
/// `tcpi_data_segs_in` and `tcpi_data_segs_out`: how many segments have had data.
const INFO_SEGMENTS_RECEIVED: usize = 152;
const INFO_SEGMENTS_SENT: usize = 156;
/// As much of `struct tcp_info` as is read.
const INFO: usize = INFO_SEGMENTS_SENT + 4;

/// How long the kernel keeps a connection in TIME_WAIT: `TCP_TIMEWAIT_LEN` in its `include/net/tcp.h`.
const TIME_WAIT_MILLIS: u32 = 60_000;

/// The longest time in which closed connections are counted.
const WINDOW_MAX: Duration = Duration::from_secs(10);

/// After this many entries, the rest of the list of a port that is busy is left unread: it may have 100,000 more.
const ENOUGH: u32 = 1000;

/// Why a connection is busy, as the log says it. If several hold, the first one counts.
pub const REASONS: [&str; 5] = ["opening", "unread bytes", "not taken by the client", "unanswered", "moving"];

/// The traffic at a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    port: u16,
    idle_after: Duration,
    pub listening: bool,
    /// Connections in states that count.
    pub open: u32,
    /// How many of the open ones are busy, for each of [`REASONS`].
    pub busy: [u32; REASONS.len()],
    /// Connections that the app's side closed first, in the [`Activity::window`] before now.
    pub closed: u32,
    /// How many entries the list has had so far.
    entries: u32,
    /// The rest of the list was left unread.
    is_cut: bool,
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// The kernel refuses.
    Refused(Errno),
    Malformed,
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error::Refused(errno)
    }
}

impl Error {
    /// Returns true if the kernel would refuse every other request, too. Each request may make the node run modprobe, or write an
    /// audit record, so one is enough.
    pub fn is_final(&self) -> bool {
        const FINAL: [Errno; 6] = [ENOENT, EOPNOTSUPP, EACCES, EPERM, EPROTONOSUPPORT, EAFNOSUPPORT];
        matches!(self, Error::Refused(errno) if FINAL.contains(errno))
    }
}

impl fmt::Display for Error {
    /// Names what an operator can look for on the node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel does not list connections: ")?;
        let (words, errno) = match *self {
            // Without inet_diag the kernel says EOPNOTSUPP, with it and without tcp_diag ENOENT.
            Error::Refused(errno @ (ENOENT | EOPNOTSUPP)) => {
                ("no tcp_diag: not in this kernel, or not allowed to load", errno)
            }
            Error::Refused(errno @ EACCES) => ("permission denied: SELinux or AppArmor forbids it", errno),
            Error::Refused(errno @ EPERM) => ("not permitted: a seccomp profile forbids it", errno),
            Error::Refused(errno @ (EPROTONOSUPPORT | EAFNOSUPPORT)) => {
                ("not supported: a sandbox such as gVisor does not have it", errno)
            }
            Error::Refused(errno) => return errno.fmt(f),
            Error::Malformed => return f.write_str("malformed reply"),
        };
        write!(f, "{words} (errno {})", errno.0.unsigned_abs())
    }
}

impl Activity {
    /// Of a port of which nothing is known yet. A connection is idle once it has been silent for `idle_after`.
    pub fn new(port: u16, idle_after: Duration) -> Activity {
        Activity { port, idle_after, ..Activity::default() }
    }

    /// Makes the request for the port's sockets, IPv4 and IPv6. The kernel goes through its connections once.
    pub fn request(&self) -> Vec<u8> {
        const WITH_INFO: u8 = 1 << (INET_DIAG_INFO - 1);
        let unused = if self.window().is_zero() { 1 << TCP_TIME_WAIT } else { 0 };
        [
            &(REQUEST as u32).to_ne_bytes()[..],
            &TCPDIAG_GETSOCK.to_ne_bytes(),
            &(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes(),
            &[0; 8], // a number for the reply, which has no other beside it, and the kernel's address
            // `struct inet_diag_req`
            &[0, 0, 0, WITH_INFO],
            &self.port.to_be_bytes(),
            &[0; SOCKET_ID - 2],
            &(STATES & !unused).to_ne_bytes(),
            &[0; 4], // which the kernel does not read
        ]
        .concat()
    }

    /// Returns the time in which closed connections are counted. With an `idle_after` of infinity, what is closed is closed.
    fn window(&self) -> Duration {
        if self.idle_after == FOREVER { Duration::ZERO } else { self.idle_after.min(WINDOW_MAX) }
    }

    /// Returns true if a connection is busy, or if more were closed than one for each second. Those last one request each, and the
    /// port may look empty between two of them.
    pub fn is_busy(&self) -> bool {
        self.busy != [0; REASONS.len()] || Duration::from_secs(self.closed.into()) > self.window()
    }

    /// Takes in one datagram, which has whole messages. Returns true if no more is needed.
    ///
    /// # Errors
    /// Why there is no list.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let is_last = self.messages(bytes)?;
        self.is_cut = !is_last && self.entries >= ENOUGH && self.is_busy();
        Ok(is_last || self.is_cut)
    }

    fn messages(&mut self, mut bytes: &[u8]) -> Result<bool, Error> {
        while !bytes.is_empty() {
            let head = bytes.first_chunk::<MESSAGE_HEAD>().ok_or(Error::Malformed)?;
            let length = u32_at(head, 0) as usize;
            let payload = bytes.get(MESSAGE_HEAD..length).ok_or(Error::Malformed)?;
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
            match u16_at(head, 4) {
                // Both may have a negated errno.
                kind @ (NLMSG_DONE | NLMSG_ERROR) => {
                    match payload.first_chunk().map(|&errno| i32::from_ne_bytes(errno)) {
                        Some(errno) if errno < 0 => return Err(Error::Refused(Errno(errno.wrapping_neg()))),
                        _ if kind == NLMSG_ERROR => return Err(Error::Malformed),
                        _ => return Ok(true),
                    }
                }
                TCPDIAG_GETSOCK => self.entry(payload)?,
                _ => {}
            }
        }
        Ok(false)
    }

    fn entry(&mut self, entry: &[u8]) -> Result<(), Error> {
        let (fixed, attributes) = entry.split_first_chunk::<ENTRY>().ok_or(Error::Malformed)?;
        if u16_at(fixed, ENTRY_LOCAL_PORT) != self.port.to_be() {
            return Ok(());
        }
        self.entries = self.entries.saturating_add(1);
        let info = attribute(attributes, INET_DIAG_INFO)?;
        match fixed[ENTRY_STATE] {
            TCP_LISTEN => self.listening = true,
            TCP_TIME_WAIT => {
                let age = TIME_WAIT_MILLIS.saturating_sub(u32_at(fixed, ENTRY_EXPIRES));
                if Duration::from_millis(age.into()) < self.window() && !is_own(remote(fixed)) {
                    self.closed += 1;
                }
            }
            TCP_CLOSE => {}
            // The app has closed it. If it had only shut its own side, the kernel would still have the whole socket.
            TCP_FIN_WAIT2 if info.is_none() => {}
            _ if is_own(remote(fixed)) => {}
            state => {
                self.open += 1;
                let info = info.map(|info| info.first_chunk().ok_or(Error::Malformed)).transpose()?;
                if let Some(reason) = why_busy(state, fixed, info, self.idle_after) {
                    self.busy[reason] += 1;
                }
            }
        }
        Ok(())
    }
}

/// Says in a few words what makes the port busy, or how many connections it has.
impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, closed, window) = (self.open, self.closed, Seconds(self.window()));
        if !self.is_busy() {
            return write!(f, "{open} open{}", if self.listening { "" } else { ", nothing listens" });
        }
        match self.busy.iter().sum::<u32>() {
            0 if self.is_cut => write!(f, "{closed} connections or more closed in {window}"),
            0 => write!(f, "{closed} connections closed in {window}"),
            busy => {
                let the_first = if self.is_cut { "the first " } else { "" };
                let commonest = (0..REASONS.len()).rev().max_by_key(|&reason| self.busy[reason]).unwrap_or_default();
                write!(f, "{busy} of {the_first}{open} connections: {}", REASONS[commonest])
            }
        }
    }
}

/// Returns which of [`REASONS`] makes a connection busy, if any. `info` is a `struct tcp_info`.
fn why_busy(state: u8, fixed: &[u8; ENTRY], info: Option<&[u8; INFO]>, idle_after: Duration) -> Option<usize> {
    // A FIN has a sequence number, so that the kernel counts it as a byte in the queues of both sides.
    let fin_received = u32::from(matches!(state, TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING));
    let fin_sent = u32::from(matches!(state, TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING));
    let unread = u32_at(fixed, ENTRY_RECEIVE_QUEUE).saturating_sub(fin_received);
    let untaken = u32_at(fixed, ENTRY_SEND_QUEUE).saturating_sub(fin_sent);
    let (unanswered, moving) = match info {
        Some(info) => {
            let (sent, received) = (u32_at(info, INFO_LAST_SENT), u32_at(info, INFO_LAST_RECEIVED));
            let can_answer = matches!(state, TCP_ESTABLISHED | TCP_CLOSE_WAIT);
            let moving = Duration::from_millis(sent.min(received).into()) < idle_after;
            (can_answer && is_unanswered(info), moving)
        }
        // If the kernel does not tell the times, data may have moved.
        None => (false, true),
    };
    let holds = [state == TCP_SYN_RECV, unread > 0, untaken > 0, unanswered, moving];
    holds.into_iter().position(|holds| holds)
}

/// Returns true if the client has sent data, and the app none since.
fn is_unanswered(info: &[u8; INFO]) -> bool {
    let (sent, received) = (u32_at(info, INFO_LAST_SENT), u32_at(info, INFO_LAST_RECEIVED));
    let (requests, answers) = (u32_at(info, INFO_SEGMENTS_RECEIVED), u32_at(info, INFO_SEGMENTS_SENT));
    if answers == 0 || received != sent {
        return requests > 0 && (answers == 0 || received < sent);
    }
    // Both came in one tick of the kernel's, of 1 to 10 ms: a request and its answer, or an answer and the next request. After an
    // answer, the client acknowledges it: at once, some 40 ms later, or with its next request. If that was in the same tick too, and
    // this client hardly ever acknowledges without a request, then a request came last. It is one more than the answers, if each fits
    // into a segment. Where the segments do not tell, the request counts as answered.
    let acknowledgments = u32_at(info, INFO_ALL_SEGMENTS_RECEIVED).saturating_sub(requests);
    let of_answers = acknowledgments.saturating_sub(1); // the first is that of the handshake
    u32_at(info, INFO_LAST_ACKNOWLEDGED) == received && requests > answers && of_answers < answers / 2
}

/// Returns the address of a connection's other end.
fn remote(fixed: &[u8; ENTRY]) -> Address {
    let mut ip = [0; 16];
    ip.copy_from_slice(&fixed[ENTRY_REMOTE_IP..][..16]);
    let ip = match u16::from(fixed[0]) {
        AF_INET6 => IpAddr::from(ip).to_canonical(),
        _ => IpAddr::from([ip[0], ip[1], ip[2], ip[3]]),
    };
    (ip, u16::from_be(u16_at(fixed, ENTRY_REMOTE_PORT)))
}

/// Returns the payload of an attribute: rtnetlink(7).
fn attribute(mut bytes: &[u8], wanted: u16) -> Result<Option<&[u8]>, Error> {
    while let Some(head) = bytes.first_chunk::<ATTRIBUTE_HEAD>() {
        let length = usize::from(u16_at(head, 0));
        let attribute = bytes.get(ATTRIBUTE_HEAD..length).ok_or(Error::Malformed)?;
        if u16_at(head, 2) == wanted {
            return Ok(Some(attribute));
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    Ok(None)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

// The kernel speaks in the machine's byte order, and these replies are those of a little-endian one.
#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::net::own::{ALONE, Own};

    /// A server on [`PORT`] with two clients, the first over IPv4, as a kernel described them. The second sends three bytes; the
    /// server reads them; four seconds later it answers; four seconds later the client closes its side. Both close that connection.
    /// The server closes its side of the first one; then all of it; then its client does so, 1.5 seconds before the last reply.
    const RECORDED: &str = include_str!("inet_diag_recorded.txt");
    const PORT: u16 = 41003;
    const IDLE_AFTER: Duration = Duration::from_secs(3);
    /// Where the second client's connection is in the list.
    const SPEAKER: usize = 1;

    fn recorded(name: &str) -> Vec<Vec<u8>> {
        let lines = RECORDED.lines().filter_map(|line| line.split_once(' ')).filter(|(what, _)| *what == name);
        let bytes =
            |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        lines.map(|(_, hex)| bytes(hex)).collect()
    }

    fn tally(datagrams: &[Vec<u8>], idle_after: Duration) -> Result<(String, bool), Error> {
        let mut activity = Activity::new(PORT, idle_after);
        let mut done = false;
        for datagram in datagrams {
            done = activity.receive(datagram)?;
        }
        Ok((activity.to_string(), done))
    }

    fn says(words: &str) -> Result<(String, bool), Error> {
        Ok((words.to_string(), true))
    }

    /// An entry of the first datagram: the listener's is number 0.
    fn entry(datagram: &mut [u8], number: usize) -> &mut [u8] {
        let next = |datagram: &[u8], at: usize| at + u32_at(datagram, at) as usize;
        let at = (0..number).fold(0, |at, _| next(datagram, at));
        let end = next(datagram, at);
        &mut datagram[at + MESSAGE_HEAD..end]
    }

    #[test]
    fn recorded_replies() {
        const LONG: Duration = Duration::from_secs(60);
        for (name, idle_after, words) in [
            ("listen", IDLE_AFTER, "0 open"),
            ("unread", IDLE_AFTER, "2 of 2 connections: unread bytes"),
            ("unread", Duration::ZERO, "1 of 2 connections: unread bytes"),
            ("unanswered", IDLE_AFTER, "1 of 2 connections: unanswered"),
            ("unanswered", LONG, "2 of 2 connections: unanswered"),
            ("idle", IDLE_AFTER, "2 open"),
            ("idle", LONG, "2 of 2 connections: moving"),
            // A FIN that the server has not read does not count as a byte.
            ("fin", IDLE_AFTER, "2 open"),
            ("half-closed", IDLE_AFTER, "1 open"),
            ("half-closed", LONG, "1 of 1 connections: moving"),
            ("closed", IDLE_AFTER, "0 open"),
            ("time-wait", IDLE_AFTER, "0 open"),
        ] {
            assert_eq!(tally(&recorded(name), idle_after), says(words), "{name} {idle_after:?}");
        }
    }

    /// The structures of `include/uapi/linux/inet_diag.h`, field by field.
    #[test]
    fn the_request() {
        let head = [&76_u32.to_ne_bytes()[..], &18_u16.to_ne_bytes(), &0x301_u16.to_ne_bytes(), &[0; 8]].concat();
        let (rest_of_id, states) = ([0; 46], 0b1_1111_0111_1110_u32.to_ne_bytes());
        let request = [&head[..], &[0, 0, 0, 2], &PORT.to_be_bytes(), &rest_of_id, &states, &[0; 4]].concat();
        assert_eq!(Activity::new(PORT, IDLE_AFTER).request(), request);
        // With infinity, connections in TIME_WAIT are not asked for.
        assert_eq!(Activity::new(PORT, FOREVER).request()[68..72], 0b1_1111_0011_1110_u32.to_ne_bytes());
    }

    /// Sets some fields of an entry, and tells what the port is then.
    fn with(name: &str, fields: &[(usize, &[u8])]) -> String {
        let mut datagrams = recorded(name);
        let entry = entry(&mut datagrams[0], SPEAKER);
        for (at, bytes) in fields {
            entry[*at..][..bytes.len()].copy_from_slice(bytes);
        }
        tally(&datagrams, IDLE_AFTER).unwrap().0
    }

    #[test]
    fn states_and_queues() {
        const UNREAD: &str = "1 of 2 connections: unread bytes";
        const UNTAKEN: &str = "1 of 2 connections: not taken by the client";
        for (state, receive_queue, send_queue, words) in [
            (TCP_ESTABLISHED, 0, 0, "2 open"),
            (TCP_ESTABLISHED, 1, 0, UNREAD),
            (TCP_ESTABLISHED, 0, 1, UNTAKEN),
            (TCP_ESTABLISHED, 1, 1, UNREAD),
            (2, 0, 0, "2 open"),
            (TCP_SYN_RECV, 0, 0, "1 of 2 connections: opening"),
            (TCP_FIN_WAIT1, 0, 1, "2 open"),
            (TCP_FIN_WAIT1, 0, 2, UNTAKEN),
            (TCP_FIN_WAIT1, 1, 1, UNREAD),
            (TCP_FIN_WAIT2, 0, 0, "2 open"),
            (TCP_FIN_WAIT2, 1, 0, UNREAD),
            (TCP_TIME_WAIT, 1, 1, "1 open"),
            (TCP_CLOSE, 1, 1, "1 open"),
            (TCP_CLOSE_WAIT, 1, 0, "2 open"),
            (TCP_CLOSE_WAIT, 2, 0, UNREAD),
            (TCP_CLOSE_WAIT, 0, 1, UNTAKEN),
            (TCP_LAST_ACK, 1, 1, "2 open"),
            (TCP_LAST_ACK, 1, 2, UNTAKEN),
            (TCP_CLOSING, 1, 1, "2 open"),
            (TCP_CLOSING, 2, 1, UNREAD),
        ] {
            let (unread, untaken) = (u32::to_ne_bytes(receive_queue), u32::to_ne_bytes(send_queue));
            let fields: [(usize, &[u8]); 3] =
                [(ENTRY_STATE, &[state]), (ENTRY_RECEIVE_QUEUE, &unread), (ENTRY_SEND_QUEUE, &untaken)];
            assert_eq!(with("idle", &fields), words, "{state} {receive_queue} {send_queue}");
        }
    }

    /// Where the second client's `struct tcp_info` begins in its entry.
    fn info_at() -> usize {
        let mut datagrams = recorded("idle");
        let entry = entry(&mut datagrams[0], SPEAKER);
        let mut at = ENTRY;
        while u16_at(entry, at + 2) != INET_DIAG_INFO {
            at += usize::from(u16_at(entry, at)).next_multiple_of(4);
        }
        at + ATTRIBUTE_HEAD
    }

    /// Sets a state and some numbers of `struct tcp_info`, and tells what the port is then.
    fn with_info(state: u8, numbers: &[(usize, u32)]) -> String {
        let numbers: Vec<_> = numbers.iter().map(|(at, value)| (info_at() + at, value.to_ne_bytes())).collect();
        let mut fields: Vec<(usize, &[u8])> = numbers.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
        fields.push((ENTRY_STATE, std::slice::from_ref(&state)));
        with("idle", &fields)
    }

    #[test]
    fn times_and_segments() {
        const UNANSWERED: &str = "1 of 2 connections: unanswered";
        for (state, last_sent, last_received, received, sent, words) in [
            (TCP_ESTABLISHED, 9000, 9000, 1, 1, "2 open"),
            (TCP_ESTABLISHED, 9004, 9000, 1, 1, UNANSWERED),
            (TCP_ESTABLISHED, 9000, 9004, 1, 1, "2 open"),
            (TCP_ESTABLISHED, 9000, 9000, 1, 0, UNANSWERED),
            (TCP_ESTABLISHED, 9000, 9000, 0, 0, "2 open"),
            (TCP_ESTABLISHED, 9004, 9000, 0, 0, "2 open"),
            (TCP_ESTABLISHED, 9000, 9000, 0, 1, "2 open"),
            (TCP_ESTABLISHED, 2999, 2999, 1, 1, "1 of 2 connections: moving"),
            (TCP_CLOSE_WAIT, 9004, 9000, 1, 1, UNANSWERED),
            (TCP_FIN_WAIT1, 9004, 9000, 1, 1, "2 open"),
            (TCP_FIN_WAIT2, 9004, 9000, 1, 1, "2 open"),
            (TCP_LAST_ACK, 9004, 9000, 1, 1, "2 open"),
        ] {
            let numbers = [
                (INFO_LAST_SENT, last_sent),
                (INFO_LAST_RECEIVED, last_received),
                (INFO_SEGMENTS_RECEIVED, received),
                (INFO_SEGMENTS_SENT, sent),
            ];
            let row = (state, last_sent, last_received, received, sent);
            assert_eq!(with_info(state, &numbers), words, "{row:?}");
        }
        // Without times, data may have moved.
        assert_eq!(with("idle", &[(info_at() - 2, &[99])]), "1 of 2 connections: moving");
    }

    /// Data went both ways in one tick, and 9 s ago.
    #[test]
    fn a_request_in_the_tick_of_an_answer() {
        const UNANSWERED: &str = "1 of 2 connections: unanswered";
        for (received, sent, acknowledged, all_received, words) in [
            (21, 20, 9000, 24, UNANSWERED),
            (21, 20, 9000, 31, UNANSWERED),
            (21, 20, 9000, 32, "2 open"), // the client often acknowledges without a request
            (21, 20, 8960, 25, "2 open"), // the client has acknowledged the answer since
            (20, 20, 9000, 23, "2 open"),
            (21, 40, 9000, 24, "2 open"),
            (2, 1, 9000, 4, "2 open"),
        ] {
            let numbers = [
                (INFO_LAST_SENT, 9000),
                (INFO_LAST_RECEIVED, 9000),
                (INFO_SEGMENTS_RECEIVED, received),
                (INFO_SEGMENTS_SENT, sent),
                (INFO_LAST_ACKNOWLEDGED, acknowledged),
                (INFO_ALL_SEGMENTS_RECEIVED, all_received),
            ];
            let row = (received, sent, acknowledged, all_received);
            assert_eq!(with_info(TCP_ESTABLISHED, &numbers), words, "{row:?}");
        }
    }

    #[test]
    fn other_ports_do_not_count() {
        let other = [PORT.to_be_bytes()[0], PORT.to_be_bytes()[1] ^ 1];
        assert_eq!(with("unanswered", &[(ENTRY_LOCAL_PORT, &other)]), "1 open");
    }

    /// A datagram with connections in TIME_WAIT that are so many milliseconds old.
    fn closed(ages: &[u32]) -> Vec<u8> {
        const HEAD: usize = MESSAGE_HEAD;
        let listener = u32_at(&recorded("time-wait")[0], 0) as usize;
        let message = &recorded("time-wait")[0][listener..];
        let aged = |age: &u32| {
            let expires = (60_000 - age).to_ne_bytes();
            [&message[..HEAD + ENTRY_EXPIRES], &expires, &message[HEAD + ENTRY_EXPIRES + 4..]].concat()
        };
        ages.iter().flat_map(aged).collect()
    }

    #[test]
    fn more_than_one_a_second_were_closed() {
        for (idle_after, ages, words) in [
            (3000, &[0, 1000, 2000][..], "0 open, nothing listens"),
            (3000, &[0, 1000, 2000, 3000], "0 open, nothing listens"),
            (3000, &[0, 1000, 2000, 2999], "4 connections closed in 3s"),
            (500, &[500], "0 open, nothing listens"),
            (500, &[499], "1 connections closed in 0.5s"),
            (60_000, &[9999; 10], "0 open, nothing listens"),
            (60_000, &[9999; 11], "11 connections closed in 10s"),
            (60_000, &[10_000; 11], "0 open, nothing listens"),
        ] {
            let idle_after = Duration::from_millis(idle_after);
            assert_eq!(tally(&[closed(ages)], idle_after).unwrap().0, words, "{idle_after:?} {ages:?}");
        }
        assert_eq!(tally(&[closed(&[0; 20])], FOREVER).unwrap().0, "0 open, nothing listens");
    }

    /// The rest of a long list shows nothing more about a port that is busy. If it is not, each entry may.
    #[test]
    fn how_much_of_a_long_list_is_read() {
        let needs = |ages: &[u32]| {
            let mut activity = Activity::new(PORT, IDLE_AFTER);
            let datagrams = (1..30).find(|_| activity.receive(&closed(ages)).unwrap());
            (datagrams, activity.to_string())
        };
        assert_eq!(needs(&[0; 100]), (Some(10), "1000 connections or more closed in 3s".to_string()));
        assert_eq!(needs(&[3000; 100]), (None, "0 open, nothing listens".to_string()));
        let mut activity = Activity::new(PORT, IDLE_AFTER);
        let unread = &recorded("unread")[0];
        let datagrams = (1..600).find(|_| activity.receive(unread).unwrap());
        let words = "668 of the first 668 connections: unread bytes".to_string();
        assert_eq!((datagrams, activity.to_string()), (Some(334), words));
    }

    /// The other tests' connections have other ports than these.
    #[test]
    fn our_own_do_not_count() {
        let _alone = ALONE.lock();
        let mut datagrams = recorded("unread");
        let speaker = entry(&mut datagrams[0], SPEAKER);
        speaker[ENTRY_REMOTE_PORT..][..2].copy_from_slice(&[0, 7]);
        let client = remote(speaker.first_chunk().unwrap());
        assert_eq!(client, (IpAddr::from(std::net::Ipv6Addr::LOCALHOST), 7));
        let ours = Own::new(client);
        assert_eq!(tally(&datagrams, Duration::ZERO), says("1 open"));
        drop(ours); // the app may not have closed its side
        assert_eq!(tally(&datagrams, Duration::ZERO), says("1 open"));

        let mut young = closed(&[0]);
        young[MESSAGE_HEAD + ENTRY_REMOTE_PORT..][..2].copy_from_slice(&[0, 9]);
        let young = [young];
        let says = || tally(&young, Duration::from_millis(500)).unwrap().0;
        assert_eq!(says(), "1 connections closed in 0.5s");
        // An IPv4 client of an IPv6 listener.
        assert_eq!(remote(young[0][MESSAGE_HEAD..].first_chunk().unwrap()), (IpAddr::from([127, 0, 0, 1]), 9));
        let _another = Own::new((IpAddr::from([127, 0, 0, 2]), 9));
        assert_eq!(says(), "1 connections closed in 0.5s");
        let _ours = Own::new((IpAddr::from([127, 0, 0, 1]), 9));
        assert_eq!(says(), "0 open, nothing listens");
    }

    #[test]
    fn the_commonest_reason() {
        let says = |busy| Activity { open: 9, busy, ..Activity::new(PORT, IDLE_AFTER) }.to_string();
        assert_eq!(says([0, 1, 0, 2, 1]), "4 of 9 connections: unanswered");
        assert_eq!(says([0, 2, 0, 0, 2]), "4 of 9 connections: unread bytes");
    }

    #[test]
    fn refused_or_malformed() {
        let mut error = recorded("idle")[1].clone();
        error[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        error[MESSAGE_HEAD..].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(tally(&[error.clone()], IDLE_AFTER), Err(Error::Refused(ENOENT)));
        error[MESSAGE_HEAD..].copy_from_slice(&0_i32.to_ne_bytes());
        assert_eq!(tally(&[error], IDLE_AFTER), Err(Error::Malformed));

        // A datagram that is cut off is malformed, unless it is cut between two messages.
        let whole = &recorded("idle")[0];
        let starts: Vec<_> =
            std::iter::successors(Some(0), |&at| (at < whole.len()).then(|| at + u32_at(whole, at) as usize)).collect();
        for at in (1..whole.len()).filter(|at| !starts.contains(at)) {
            assert_eq!(tally(&[whole[..at].to_vec()], IDLE_AFTER).err(), Some(Error::Malformed), "cut at {at}");
        }
    }

    /// Want of memory or of descriptors passes. The rest does not.
    #[test]
    fn which_refusals_are_final() {
        for errno in [1, 2, 13, 93, 95, 97] {
            let error = Error::Refused(Errno(errno));
            assert!(error.is_final() && error.to_string().ends_with(&format!(" (errno {errno})")), "{error}");
        }
        assert!([11, 12, 23, 24, 105, 110].iter().all(|&errno| !Error::Refused(Errno(errno)).is_final()));
    }
}
