//! `--until-idle PORT`: ready is what listens; drained is when no connection to the port is busy.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use super::Outcome;
use crate::drain::Finding;
use crate::failsafe::elapsed;
use crate::inet_diag::{Activity, Error, FAMILIES, NETLINK_SOCK_DIAG, request};
use crate::net::wait;
use crate::sys::{self, AF_NETLINK, POLLIN, SOCK_RAW};

/// What one read takes. The kernel fills no more than this, and never less than 8 KiB; it stays the same, however many
/// connections there are.
const BUFFER: usize = 16 * 1024;

pub fn check(port: u16, idle_after: Duration, deadline: Duration) -> Outcome {
    match activity(port, idle_after, deadline) {
        Ok(activity) => judge(&activity),
        Err(error) => Outcome::unknown(format!("the kernel does not list connections: {error}")),
    }
}

fn judge(activity: &Activity) -> Outcome {
    let Activity { listening, open, busy, interrupted } = *activity;
    let drained = busy == 0 && !interrupted;
    let finding = Finding { ready: listening, drained };
    let (verdict, detail) = if busy > 0 {
        ("busy", format!("{busy} of {open} connections"))
    } else if interrupted {
        ("busy", "the list of connections changed while it was read".to_string())
    } else if listening {
        ("idle", format!("{open} open"))
    } else {
        ("idle", format!("{open} open, nothing listens"))
    };
    Outcome { finding, verdict, detail }
}

fn activity(port: u16, idle_after: Duration, deadline: Duration) -> io::Result<Activity> {
    let mut socket = sys::new_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)?;
    let mut buffer = [0; BUFFER];
    let mut activity = Activity::default();
    for (sequence, family) in (1..).zip(FAMILIES) {
        socket.write_all(&request(family, port, sequence))?;
        loop {
            let count = receive(&mut socket, &mut buffer, deadline)?;
            match activity.receive(&buffer[..count], port, sequence, idle_after) {
                Ok(true) => break,
                Ok(false) => {}
                Err(Error::Refused(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                Err(Error::Malformed) => return Err(io::Error::other("malformed reply")),
            }
        }
    }
    Ok(activity)
}

/// One datagram. It is there already, as a rule, so that it is asked for before it is waited for.
fn receive(socket: &mut File, buffer: &mut [u8], deadline: Duration) -> io::Result<usize> {
    while elapsed() < deadline {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(socket, POLLIN, deadline)?,
            other => return other,
        }
    }
    Err(io::Error::from_raw_os_error(sys::ETIMEDOUT))
}
