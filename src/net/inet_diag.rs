//! The kernel's list of TCP connections: `inet_diag` over netlink, sock_diag(7). This file has the requests and replies as bytes,
//! and what makes a connection busy. It opens no socket.
//!
//! Structures and numbers are those of the kernel's `include/uapi/linux/{netlink,inet_diag,sock_diag,tcp}.h` and
//! `include/net/tcp_states.h`.

use std::fmt;
use std::time::Duration;

use crate::os::sys::{AF_INET, AF_INET6, AF_UNSPEC, ENOENT, Errno};

/// The netlink protocol that answers these requests.
pub const NETLINK_SOCK_DIAG: i32 = 4;

const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_INFO: u16 = 2;

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

/// The states to ask for: all in which the app may still receive or send.
pub const STATES: u32 = ((1 << TCP_MAX_STATES) - 2) & !(1 << TCP_FIN_WAIT2 | 1 << TCP_TIME_WAIT | 1 << TCP_CLOSE);

/// Asks for no connection, so that the kernel need not go through any.
pub const NO_STATES: u32 = 0;

const MESSAGE_HEAD: usize = 16;
/// `struct inet_diag_sockid`. A request sets only its first field, the local port.
const SOCKET_ID: usize = 48;
/// `struct inet_diag_msg`, before its attributes.
const ENTRY: usize = 72;
const ENTRY_STATE: usize = 1;
const ENTRY_LOCAL_PORT: usize = 4;
const ENTRY_RECEIVE_QUEUE: usize = 56;
const ENTRY_SEND_QUEUE: usize = 60;
const ATTRIBUTE_HEAD: usize = 4;
/// `tcpi_last_data_sent` and `tcpi_last_data_recv` in `struct tcp_info`: milliseconds ago.
const INFO_LAST_SENT: usize = 44;
const INFO_LAST_RECEIVED: usize = 52;

/// Both families in one request: the kernel goes through the node's connections once.
pub const TOGETHER: &[u16] = &[AF_UNSPEC];
/// One family after the other: it goes through them twice. IPv4 clients of a dual-stack listener are in the second list.
pub const ONE_BY_ONE: &[u16] = &[AF_INET, AF_INET6];

/// Makes a request for the sockets of a family that have one of these states and the local port `port`. Replies have the same
/// `sequence`.
pub fn request(family: u16, port: u16, states: u32, sequence: u32) -> Vec<u8> {
    const INFO: u8 = 1 << (INET_DIAG_INFO - 1);
    let mut id = [0; SOCKET_ID];
    id[..2].copy_from_slice(&port.to_be_bytes());
    let (kind, body) = if family == AF_UNSPEC {
        // `struct inet_diag_req`. The kernel answers for every family, and does not read the last field.
        (TCPDIAG_GETSOCK, [&[0, 0, 0, INFO], &id[..], &states.to_ne_bytes(), &[0; 4]].concat())
    } else {
        // `struct inet_diag_req_v2`.
        (SOCK_DIAG_BY_FAMILY, [&[family as u8, IPPROTO_TCP, INFO, 0], &states.to_ne_bytes()[..], &id].concat())
    };
    let mut out = Vec::new();
    out.extend(((MESSAGE_HEAD + body.len()) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]); // to the kernel
    out.extend(body);
    out
}

/// What is going on at a port.
#[derive(Debug, Default, PartialEq)]
pub struct Activity {
    pub listening: bool,
    /// Connections in states that count.
    pub open: u32,
    /// How many of the open ones are busy.
    pub busy: u32,
    /// The list changed while it was read, so that connections may be missing.
    pub interrupted: bool,
}

/// Why there is no list.
#[derive(Debug, PartialEq)]
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(ENOENT) => f.write_str("it has no tcp_diag"),
            Error::Refused(errno) => errno.fmt(f),
            Error::Malformed => f.write_str("malformed reply"),
        }
    }
}

impl Activity {
    /// Takes in one datagram, which has whole messages. Returns true if it was the last one of the reply.
    ///
    /// # Errors
    /// Why there is no list.
    pub fn receive(&mut self, mut bytes: &[u8], port: u16, sequence: u32, idle_after: Duration) -> Result<bool, Error> {
        while !bytes.is_empty() {
            let length = u32_at(bytes, 0)? as usize;
            let message =
                bytes.get(..length).filter(|message| message.len() >= MESSAGE_HEAD).ok_or(Error::Malformed)?;
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
            if u32_at(message, 8)? != sequence {
                continue;
            }
            let flags = u16_at(message, 6)?;
            self.interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match u16_at(message, 4)? {
                // Both may have a negated errno.
                kind @ (NLMSG_DONE | NLMSG_ERROR) => match u32_at(message, MESSAGE_HEAD).map(|errno| errno as i32) {
                    Ok(errno) if errno < 0 => return Err(Error::Refused(Errno(errno.wrapping_neg()))),
                    _ if kind == NLMSG_ERROR => return Err(Error::Malformed),
                    _ => return Ok(true),
                },
                TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY => self.entry(&message[MESSAGE_HEAD..], port, idle_after)?,
                _ => {}
            }
        }
        Ok(false)
    }

    fn entry(&mut self, entry: &[u8], port: u16, idle_after: Duration) -> Result<(), Error> {
        let (fixed, attributes) = entry.split_at_checked(ENTRY).ok_or(Error::Malformed)?;
        if fixed[ENTRY_LOCAL_PORT..][..2] != port.to_be_bytes() {
            return Ok(());
        }
        match fixed[ENTRY_STATE] {
            TCP_LISTEN => self.listening = true,
            TCP_FIN_WAIT2 | TCP_TIME_WAIT | TCP_CLOSE => {}
            state => {
                self.open += 1;
                self.busy += u32::from(is_busy(state, fixed, attributes, idle_after)?);
            }
        }
        Ok(())
    }
}

/// Returns true if a connection is being opened, has bytes queued, or has moved data within `idle_after`.
fn is_busy(state: u8, fixed: &[u8], attributes: &[u8], idle_after: Duration) -> Result<bool, Error> {
    // A FIN has a sequence number, so that the kernel counts it as a byte in the queues of both sides.
    let fin_received = u32::from(matches!(state, TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING));
    let fin_sent = u32::from(matches!(state, TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING));
    let unread = u32_at(fixed, ENTRY_RECEIVE_QUEUE)?.saturating_sub(fin_received);
    let untaken = u32_at(fixed, ENTRY_SEND_QUEUE)?.saturating_sub(fin_sent);
    if state == TCP_SYN_RECV || unread > 0 || untaken > 0 {
        return Ok(true);
    }
    // If the kernel does not tell the times, data may have moved.
    let Some(info) = attribute(attributes, INET_DIAG_INFO)? else { return Ok(true) };
    let ago = u32_at(info, INFO_LAST_SENT)?.min(u32_at(info, INFO_LAST_RECEIVED)?);
    Ok(Duration::from_millis(ago.into()) < idle_after)
}

/// Returns the payload of an attribute: rtnetlink(7).
fn attribute(mut bytes: &[u8], wanted: u16) -> Result<Option<&[u8]>, Error> {
    while bytes.len() >= ATTRIBUTE_HEAD {
        let length = usize::from(u16_at(bytes, 0)?);
        let attribute = bytes.get(ATTRIBUTE_HEAD..length).ok_or(Error::Malformed)?;
        if u16_at(bytes, 2)? == wanted {
            return Ok(Some(attribute));
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    Ok(None)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Error> {
    bytes[at.min(bytes.len())..].first_chunk().map(|&bytes| u16::from_ne_bytes(bytes)).ok_or(Error::Malformed)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    bytes[at.min(bytes.len())..].first_chunk().map(|&bytes| u32::from_ne_bytes(bytes)).ok_or(Error::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server on [`PORT`] with one client, as a kernel described them. The client sends three bytes; the server reads
    /// them; four seconds pass; the client closes its side.
    const RECORDED: &str = include_str!("inet_diag_recorded.txt");
    const PORT: u16 = 41003;
    const IDLE_AFTER: Duration = Duration::from_secs(3);

    fn recorded(name: &str) -> Vec<Vec<u8>> {
        let lines = RECORDED.lines().filter_map(|line| line.split_once(' ')).filter(|(what, _)| *what == name);
        let bytes =
            |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        lines.map(|(_, hex)| bytes(hex)).collect()
    }

    fn tally(datagrams: &[Vec<u8>], idle_after: Duration) -> Result<(Activity, bool), Error> {
        let mut activity = Activity::default();
        let mut done = false;
        for datagram in datagrams {
            done = activity.receive(datagram, PORT, 1, idle_after)?;
        }
        Ok((activity, done))
    }

    fn activity(open: u32, busy: u32) -> Result<(Activity, bool), Error> {
        Ok((Activity { listening: true, open, busy, interrupted: false }, true))
    }

    /// The connection's entry in the first datagram, which it shares with the listener's.
    fn entry(datagram: &mut [u8]) -> &mut [u8] {
        let first = u32_at(datagram, 0).unwrap() as usize;
        &mut datagram[first + MESSAGE_HEAD..]
    }

    #[test]
    fn recorded_replies() {
        assert_eq!(tally(&recorded("listen"), IDLE_AFTER), activity(0, 0));
        assert_eq!(tally(&recorded("unread"), IDLE_AFTER), activity(1, 1));
        assert_eq!(tally(&recorded("unread"), Duration::ZERO), activity(1, 1));
        assert_eq!(tally(&recorded("idle"), IDLE_AFTER), activity(1, 0));
        assert_eq!(tally(&recorded("idle"), Duration::from_secs(60)), activity(1, 1));
        // A FIN that the server has not read does not count as a byte.
        assert_eq!(tally(&recorded("fin"), IDLE_AFTER), activity(1, 0));

        assert_eq!(tally(&recorded("together-listen"), IDLE_AFTER), activity(0, 0));
        assert_eq!(tally(&recorded("together-unread"), IDLE_AFTER), activity(2, 1));
        assert_eq!(tally(&recorded("together-unread"), Duration::from_secs(60)), activity(2, 2));
        assert_eq!(tally(&recorded("together-idle"), IDLE_AFTER), activity(2, 0));
        assert_eq!(tally(&recorded("together-fin"), IDLE_AFTER), activity(2, 0));
    }

    /// The structures of `include/uapi/linux/inet_diag.h`, field by field.
    #[test]
    fn requests() {
        let head = |length: u32, kind: u16| {
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &0x301_u16.to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4]]
                .concat()
        };
        let (port, rest_of_id, states) = (PORT.to_be_bytes(), [0; 46], 0b1_1111_0001_1110_u32.to_ne_bytes());
        assert_eq!(
            request(AF_INET6, PORT, STATES, 7),
            [&head(72, 20)[..], &[10, 6, 2, 0], &states, &port, &rest_of_id].concat()
        );
        assert_eq!(
            request(AF_UNSPEC, PORT, STATES, 7),
            [&head(76, 18)[..], &[0, 0, 0, 2], &port, &rest_of_id, &states, &[0; 4]].concat()
        );
    }

    #[test]
    fn states_and_queues() {
        for (state, receive_queue, send_queue, counts) in [
            (1, 0, 0, (1, 0)),
            (1, 1, 0, (1, 1)),
            (1, 0, 1, (1, 1)),
            (2, 0, 0, (1, 0)),
            (TCP_SYN_RECV, 0, 0, (1, 1)),
            (TCP_FIN_WAIT1, 0, 1, (1, 0)),
            (TCP_FIN_WAIT1, 0, 2, (1, 1)),
            (TCP_FIN_WAIT1, 1, 1, (1, 1)),
            (TCP_FIN_WAIT2, 1, 1, (0, 0)),
            (TCP_TIME_WAIT, 1, 1, (0, 0)),
            (TCP_CLOSE, 1, 1, (0, 0)),
            (TCP_CLOSE_WAIT, 1, 0, (1, 0)),
            (TCP_CLOSE_WAIT, 2, 0, (1, 1)),
            (TCP_CLOSE_WAIT, 0, 1, (1, 1)),
            (TCP_LAST_ACK, 1, 1, (1, 0)),
            (TCP_LAST_ACK, 1, 2, (1, 1)),
            (TCP_CLOSING, 1, 1, (1, 0)),
            (TCP_CLOSING, 2, 1, (1, 1)),
        ] {
            let mut datagrams = recorded("idle");
            let entry = entry(&mut datagrams[0]);
            entry[ENTRY_STATE] = state;
            entry[ENTRY_RECEIVE_QUEUE..][..4].copy_from_slice(&u32::to_ne_bytes(receive_queue));
            entry[ENTRY_SEND_QUEUE..][..4].copy_from_slice(&u32::to_ne_bytes(send_queue));
            assert_eq!(
                tally(&datagrams, IDLE_AFTER),
                activity(counts.0, counts.1),
                "{state} {receive_queue} {send_queue}"
            );
        }
    }

    #[test]
    fn other_ports_and_dumps_do_not_count() {
        let mut datagrams = recorded("unread");
        entry(&mut datagrams[0])[ENTRY_LOCAL_PORT] ^= 1;
        assert_eq!(tally(&datagrams, IDLE_AFTER), activity(0, 0));
        let nothing = Ok(false);
        assert_eq!(Activity::default().receive(&recorded("unread")[0], PORT, 2, IDLE_AFTER), nothing);
    }

    #[test]
    fn missing_times_count_as_busy() {
        let mut datagrams = recorded("idle");
        let mut at = ENTRY;
        let entry = entry(&mut datagrams[0]);
        while u16_at(entry, at + 2) != Ok(INET_DIAG_INFO) {
            at += usize::from(u16_at(entry, at).unwrap()).next_multiple_of(4);
        }
        entry[at + 2] = 99;
        assert_eq!(tally(&datagrams, IDLE_AFTER), activity(1, 1));
    }

    #[test]
    fn interrupted_refused_malformed() {
        let mut datagrams = recorded("idle");
        datagrams[1][6] |= NLM_F_DUMP_INTR as u8;
        assert!(tally(&datagrams, IDLE_AFTER).unwrap().0.interrupted);

        let mut error = recorded("idle")[1].clone();
        error[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        error[MESSAGE_HEAD..].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(tally(&[error.clone()], IDLE_AFTER), Err(Error::Refused(ENOENT)));
        error[MESSAGE_HEAD..].copy_from_slice(&0_i32.to_ne_bytes());
        assert_eq!(tally(&[error], IDLE_AFTER), Err(Error::Malformed));

        // A datagram that is cut off is malformed, unless it is cut between its two messages.
        let whole = &recorded("idle")[0];
        let boundary = u32_at(whole, 0).unwrap() as usize;
        for at in (1..whole.len()).filter(|&at| at != boundary) {
            assert_eq!(tally(&[whole[..at].to_vec()], IDLE_AFTER).err(), Some(Error::Malformed), "cut at {at}");
        }
    }
}
