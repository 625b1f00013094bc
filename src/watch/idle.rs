//! `--until-idle PORT`: the app is ready if it listens on the port, and has drained if no connection to the port is busy.

use std::os::fd::AsRawFd;
use std::time::Duration;

use super::Verdict;
use crate::drain::Finding;
use crate::net::connection::wait;
use crate::net::inet_diag::{Activity, Error, NETLINK_SOCK_DIAG};
use crate::os::sys::{self, AF_NETLINK, POLLIN, SOCK_RAW};
use crate::text::FOREVER;

/// The receive buffer. The kernel makes no datagram longer than 8 KiB or, if that is more, than our largest read, so 16 KiB always
/// hold one, however many connections there are.
const BUFFER: usize = 16 * 1024;

/// What the kernel answered when it was asked for its list of connections.
#[derive(Default)]
pub struct TcpDiag {
    /// A refusal that would be the same every time. It is not asked again.
    refused: Option<Error>,
}

pub fn check(tcp_diag: &mut TcpDiag, port: u16, idle_after: Duration, deadline: Duration) -> Verdict {
    if let Some(error) = tcp_diag.refused {
        return Verdict::unknown(&error);
    }
    match activity(port, idle_after, deadline) {
        Ok(activity) => {
            let finding = Finding { ready: activity.listening, drained: !activity.is_busy() };
            let word = if activity.is_busy() { "busy" } else { "idle" };
            Verdict::new(finding, word, &activity)
        }
        Err(Error::Refused(sys::ETIMEDOUT)) => Verdict::unknown(&"timed out"),
        Err(error) => {
            tcp_diag.refused = Some(error).filter(Error::is_final);
            Verdict::unknown(&error)
        }
    }
}

/// Returns the kernel's answer if it is one that would be the same at every check.
pub fn refused(port: u16) -> Option<Error> {
    activity(port, FOREVER, FOREVER).err().filter(Error::is_final)
}

/// Asks the kernel. The first request on a node may wait until modprobe has loaded tcp_diag, whatever the deadline: only a fatal
/// signal ends that, such as the one that ends every drain that lasts too long.
fn activity(port: u16, idle_after: Duration, deadline: Duration) -> Result<Activity, Error> {
    let socket = sys::new_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)?;
    let mut activity = Activity::new(port, idle_after);
    sys::write_all(socket.as_raw_fd(), &activity.request())?;
    let mut buffer = vec![0; BUFFER];
    loop {
        wait(&socket, POLLIN, deadline)?;
        let count = sys::read_some(&socket, &mut buffer)?;
        if activity.receive(&buffer[..count])? {
            return Ok(activity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_or_refused() {
        let says = |tcp_diag: &mut TcpDiag| check(tcp_diag, 1, Duration::ZERO, Duration::ZERO).to_string();
        assert_eq!(says(&mut TcpDiag::default()), "not known (timed out)");
        let why = "permission denied: SELinux or AppArmor forbids it (errno 13)";
        assert_eq!(
            says(&mut TcpDiag { refused: Some(Error::Refused(sys::EACCES)) }),
            format!("not known (the kernel does not list connections: {why})")
        );
    }
}
