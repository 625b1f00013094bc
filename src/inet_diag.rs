//! The kernel's list of TCP connections: `inet_diag` over netlink, sock_diag(7). Requests and replies as bytes; no socket.
//!
//! Structures and numbers are those of the kernel's `include/uapi/linux/{netlink,inet_diag,sock_diag,tcp}.h` and
//! `include/net/tcp_states.h`.

use std::time::Duration;

use crate::sys::{AF_INET, AF_INET6};

/// The netlink protocol that answers these requests.
pub const NETLINK_SOCK_DIAG: i32 = 4;

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

/// The states that are asked for: all but those in which nothing can come or go any more.
const STATES: u32 = ((1 << TCP_MAX_STATES) - 2) & !(1 << TCP_FIN_WAIT2 | 1 << TCP_TIME_WAIT | 1 << TCP_CLOSE);

const MESSAGE_HEAD: usize = 16;
const REQUEST: usize = 56;
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

/// The families to ask about. IPv4 clients of a dual-stack listener are in the second.
pub const FAMILIES: [u16; 2] = [AF_INET, AF_INET6];

/// Asks for the sockets of one family whose local port is `port`. Replies bear the same `sequence`.
pub fn request(family: u16, port: u16, sequence: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(MESSAGE_HEAD + REQUEST);
    out.extend(((MESSAGE_HEAD + REQUEST) as u32).to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]); // to the kernel
    out.extend([family as u8, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    out.extend(STATES.to_ne_bytes());
    out.extend(port.to_be_bytes());
    out.resize(MESSAGE_HEAD + REQUEST, 0);
    out
}

/// What is going on at a port.
#[derive(Debug, Default, PartialEq)]
pub struct Activity {
    pub listening: bool,
    /// Connections in states that count.
    pub open: u32,
    /// Those of them on which something moves.
    pub busy: u32,
    /// The list changed while it was read, so that connections may be missing.
    pub interrupted: bool,
}

/// Why a reply tells nothing.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// The kernel refuses, by this errno.
    Refused(i32),
    Malformed,
}

impl Activity {
    /// Takes in one datagram, of whole messages. `true` where it was the last one of the family.
    ///
    /// # Errors
    /// [`Error`].
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
                // Both may bear an errno, negated.
                kind @ (NLMSG_DONE | NLMSG_ERROR) => match u32_at(message, MESSAGE_HEAD).map(|errno| errno as i32) {
                    Ok(errno) if errno < 0 => return Err(Error::Refused(errno.wrapping_neg())),
                    _ if kind == NLMSG_ERROR => return Err(Error::Malformed),
                    _ => return Ok(true),
                },
                SOCK_DIAG_BY_FAMILY => self.entry(&message[MESSAGE_HEAD..], port, idle_after)?,
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

/// The rule: it is being opened, bytes are queued, or data has moved lately.
fn is_busy(state: u8, fixed: &[u8], attributes: &[u8], idle_after: Duration) -> Result<bool, Error> {
    // A FIN takes a sequence number, so the kernel counts it as a byte in the queue of either side.
    let fin_received = u32::from(matches!(state, TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING));
    let fin_sent = u32::from(matches!(state, TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING));
    let unread = u32_at(fixed, ENTRY_RECEIVE_QUEUE)?.saturating_sub(fin_received);
    let untaken = u32_at(fixed, ENTRY_SEND_QUEUE)?.saturating_sub(fin_sent);
    if state == TCP_SYN_RECV || unread > 0 || untaken > 0 {
        return Ok(true);
    }
    // A kernel that says nothing of its times leaves it open whether anything moved.
    let Some(info) = attribute(attributes, INET_DIAG_INFO)? else { return Ok(true) };
    let ago = u32_at(info, INFO_LAST_SENT)?.min(u32_at(info, INFO_LAST_RECEIVED)?);
    Ok(Duration::from_millis(ago.into()) < idle_after)
}

/// The payload of an attribute: rtnetlink(7).
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
