//! Our own connections, which `--until-idle` must not take for the app's clients. It knows them in the kernel's list by the address
//! of our end.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::os::clock::elapsed;
use crate::text::FOREVER;

/// An IP address and a TCP port. An IPv4 address in an IPv6 one is written as IPv4.
pub type Address = (IpAddr, u16);

/// How long a connection is remembered after we have closed it: as long as the kernel keeps it in TIME_WAIT, `TCP_TIMEWAIT_LEN`
/// in its `include/net/tcp.h`. Any other client may then get our port.
const KEPT: Duration = Duration::from_secs(60);

/// How many closed connections are remembered at most: all that a watch makes at the shortest `--period` in the longest time in
/// which a closed connection counts. Of more, those that were closed first are forgotten.
const CLOSED_MAX: usize = 1000;

static REMEMBERED: Mutex<Vec<Remembered>> = Mutex::new(Vec::new());

struct Remembered {
    address: Address,
    /// A time since the start of the drain.
    until: Duration,
}

/// Our end of a connection. It is remembered while this exists, and for a minute after that.
pub struct Own(usize);

impl Own {
    pub fn new(address: Address) -> Own {
        let mut all = remembered();
        let new = Remembered { address, until: FOREVER };
        let is_full = all.len() >= CLOSED_MAX;
        let first_to_go = all.iter_mut().enumerate().min_by_key(|(_, own)| own.until);
        match first_to_go {
            Some((place, own)) if own.until <= elapsed() || is_full && own.until < FOREVER => {
                *own = new;
                Own(place)
            }
            _ => {
                all.push(new);
                Own(all.len() - 1)
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        remembered()[self.0].until = elapsed() + KEPT;
    }
}

/// Returns true if this is our end of a connection that is open, or was until a minute ago.
pub fn is_own(address: Address) -> bool {
    remembered().iter().any(|own| own.address == address && own.until > elapsed())
}

fn remembered() -> MutexGuard<'static, Vec<Remembered>> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test that relies on what is remembered holds this, since one that fills the list makes it forget.
#[cfg(test)]
pub static ALONE: Mutex<()> = Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ones_and_the_last_that_were_closed() {
        let _alone = ALONE.lock();
        let address = |port| (IpAddr::from([192, 0, 2, 1]), port);
        let open: Vec<_> = (1..=50).map(|port| Own::new(address(port))).collect();
        for port in 100..3000 {
            drop(Own::new(address(port)));
        }
        assert!((1..=50).chain(2100..3000).all(|port| is_own(address(port))));
        assert!(!is_own(address(100)) && !is_own((IpAddr::from([192, 0, 2, 2]), 1)));
        drop(open);
        assert!(is_own(address(1)));
        assert!(remembered().len() <= CLOSED_MAX);
    }
}
