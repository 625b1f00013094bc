//! `--until-idle PORT`: the app is ready if it listens on the port, and has drained if no connection to the port is busy.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::{Reason, Verdict};
use crate::drain::Finding;
use crate::net::connection::wait;
use crate::net::inet_diag::{Activity, Error, NETLINK_SOCK_DIAG, NO_STATES, ONE_BY_ONE, STATES, TOGETHER, request};
use crate::os::clock::elapsed;
use crate::os::process::Child;
use crate::os::sys::{self, AF_NETLINK, POLLIN, SOCK_RAW};

/// Bytes that one read takes, at least 8 KiB. The kernel makes no datagram longer than that or than the reads so far, so that
/// this need not grow with the number of connections.
const BUFFER: usize = 16 * 1024;

/// Whether the kernel lists connections. It may have to load the module tcp_diag first. The first request then waits for
/// modprobe, and only SIGKILL can end that. So a child process makes this request.
#[derive(Default)]
pub enum TcpDiag {
    #[default]
    NotAsked,
    Asked(Child),
    Answers,
}

impl TcpDiag {
    /// Waits for the kernel's first answer.
    ///
    /// # Errors
    /// ETIMEDOUT at `deadline`, while the child waits on; or the reason for which the kernel refuses the request.
    #[allow(unsafe_code)]
    fn answers(&mut self, deadline: Duration) -> Result<(), sys::Errno> {
        if let TcpDiag::NotAsked = self {
            // SAFETY: this program starts no thread, and `ask` opens its own socket.
            *self = TcpDiag::Asked(unsafe { Child::start(&ask) }?);
        }
        if let TcpDiag::Asked(child) = self {
            const ITS_END: i16 = 0; // poll(2) always reports POLLHUP
            wait(child.result(), ITS_END, deadline)?;
            let told = child.told();
            *self = if told.is_ok() { TcpDiag::Answers } else { TcpDiag::NotAsked };
            return told;
        }
        Ok(())
    }
}

/// Asks for a list of no connections.
fn ask() -> Result<(), sys::Errno> {
    match activity(0, NO_STATES, Duration::ZERO, Duration::MAX) {
        Err(Error::Refused(errno)) => Err(errno),
        Err(Error::Malformed) | Ok(_) => Ok(()),
    }
}

pub fn check(tcp_diag: &mut TcpDiag, port: u16, idle_after: Duration, deadline: Duration) -> Verdict {
    let why = match tcp_diag.answers(deadline) {
        Ok(()) => match activity(port, STATES, idle_after, deadline) {
            Ok(activity) => return judge(&activity),
            Err(Error::Refused(sys::ETIMEDOUT)) => Reason::Words("timed out"),
            Err(error) => Reason::NoList(error),
        },
        Err(sys::ETIMEDOUT) => Reason::Words("the kernel is still loading tcp_diag"),
        Err(errno) => Reason::NoList(errno.into()),
    };
    Verdict::unknown(why)
}

fn judge(activity: &Activity) -> Verdict {
    let Activity { listening, open, busy, interrupted } = *activity;
    let drained = busy == 0 && !interrupted;
    let reason = if drained {
        Reason::Idle(open, listening)
    } else if busy > 0 {
        Reason::Busy(busy, open)
    } else {
        Reason::Words("the list of connections changed while it was read")
    };
    let word = if drained { "idle" } else { "busy" };
    Verdict { finding: Finding { ready: listening, drained }, word, reason }
}

/// Asks for both families at once and, if the kernel refuses that, one after the other.
fn activity(port: u16, states: u32, idle_after: Duration, deadline: Duration) -> Result<Activity, Error> {
    match listed(TOGETHER, port, states, idle_after, deadline) {
        Err(Error::Refused(errno)) if errno != sys::ETIMEDOUT => listed(ONE_BY_ONE, port, states, idle_after, deadline),
        other => other,
    }
}

fn listed(
    families: &[u16],
    port: u16,
    states: u32,
    idle_after: Duration,
    deadline: Duration,
) -> Result<Activity, Error> {
    let socket = sys::new_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)?;
    let mut buffer = vec![0; BUFFER];
    let mut activity = Activity::default();
    for (sequence, &family) in (1..).zip(families) {
        sys::write_all(socket.as_raw_fd(), &request(family, port, states, sequence))?;
        loop {
            let count = receive(&socket, &mut buffer, deadline)?;
            if activity.receive(&buffer[..count], port, sequence, idle_after)? {
                break;
            }
        }
    }
    Ok(activity)
}

/// Reads one datagram. It reads before it waits, since the datagram is usually there.
fn receive(socket: &OwnedFd, buffer: &mut [u8], deadline: Duration) -> Result<usize, Error> {
    while elapsed() < deadline {
        match sys::read_some(socket, buffer) {
            Err(sys::EAGAIN) => wait(socket, POLLIN, deadline)?,
            other => return Ok(other?),
        }
    }
    Err(sys::ETIMEDOUT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_list_is_no_evidence() {
        let verdict = |busy, interrupted| judge(&Activity { listening: true, open: 2, busy, interrupted });
        for (busy, interrupted, drained, says) in [
            (0, false, true, "idle (2 open)"),
            (0, true, false, "busy (the list of connections changed while it was read)"),
            (1, true, false, "busy (1 of 2 connections)"),
        ] {
            let verdict = verdict(busy, interrupted);
            assert_eq!((verdict.finding.drained, verdict.to_string().as_str()), (drained, says));
        }
        let late = check(&mut TcpDiag::Answers, 1, Duration::ZERO, Duration::ZERO);
        assert_eq!((late.finding.drained, late.to_string().as_str()), (false, "not known (timed out)"));
    }
}
