//! The log: lines on stderr and, with `--log-file`, in a file. [`info`] and [`error`] never block, fail or allocate, and may be
//! called from a signal handler.

use std::ffi::CString;
use std::fmt::{self, Write as _};
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use super::sys::{self, Errno, PollFd, STDERR, STDIN, STDOUT};

/// How many bytes a line may have, the line feed included.
const LINE_MAX: usize = 1024;

static QUIET: AtomicBool = AtomicBool::new(false);
static FILE: AtomicI32 = AtomicI32::new(-1);

/// Makes only errors go to stderr from now on.
pub fn quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Makes every line go to the file `path` too, from now on. O_NONBLOCK keeps a FIFO that is full or has no reader from blocking
/// the drain. A file that exists is opened without O_CREAT: in a directory like `/tmp` `fs.protected_regular` would refuse it if
/// the file is another user's, proc_sys_fs(5).
///
/// # Errors
/// Those of open(2).
pub fn to_file(path: &[u8]) -> Result<(), Errno> {
    const FLAGS: i32 = sys::O_WRONLY | sys::O_APPEND | sys::O_NONBLOCK;
    let path = CString::new(path)?;
    let opened = match sys::open_file(&path, FLAGS, 0) {
        Err(sys::ENOENT) => sys::open_file(&path, FLAGS | sys::O_CREAT, 0o666)?,
        other => other?,
    };
    FILE.store(opened.into_raw_fd(), Ordering::Relaxed);
    Ok(())
}

/// Opens `/` in place of each of stdin, stdout and stderr that came closed. A file or socket that is opened later could otherwise
/// get the number of stderr, and the log would be written to it. An O_PATH descriptor can be neither read nor written.
pub fn reserve_stdio() {
    let mut standard = [STDIN, STDOUT, STDERR].map(|fd| PollFd { fd, events: 0, revents: 0 });
    let _ = sys::poll_all(&mut standard, Duration::ZERO);
    for _closed in standard.iter().filter(|polled| polled.revents & sys::POLLNVAL != 0) {
        std::mem::forget(sys::open_file(c"/", sys::O_PATH, 0));
    }
}

/// Logs what happens.
pub fn info(message: fmt::Arguments) {
    log(message, QUIET.load(Ordering::Relaxed));
}

/// Logs what went wrong, even with `--quiet`.
pub fn error(message: fmt::Arguments) {
    log(message, false);
}

fn log(message: fmt::Arguments, quiet: bool) {
    let mut line = Line::new();
    let _ = line.write_str("drain-sleep: ");
    let _ = line.write_fmt(message);
    let line = line.finish();
    if !quiet {
        to_stderr(line);
    }
    let file = FILE.load(Ordering::Relaxed);
    if file >= 0 {
        let _ = sys::write_some(file, line);
    }
}

/// Writes to stderr unless that would block. O_NONBLOCK would be set for all processes that share stderr, so poll(2) asks first. If
/// the write then fails, another process may have filled the pipe meanwhile, or the kernel cannot write without waiting here: poll(2)
/// tells which.
fn to_stderr(line: &[u8]) {
    let has_room = || {
        let mut stderr = [PollFd { fd: STDERR, events: sys::POLLOUT, revents: 0 }];
        sys::poll_all(&mut stderr, Duration::ZERO).is_ok() && stderr[0].revents & sys::POLLOUT != 0
    };
    if has_room() && sys::write_nonblocking(STDERR, line).is_err() && has_room() {
        let _ = sys::write_some(STDERR, line);
    }
}

/// A line that is being written. All that is not printable ASCII is escaped, so that no server and no argument can forge a line
/// or control a terminal. A line that is too long is cut.
struct Line {
    bytes: [u8; LINE_MAX],
    /// How many bytes have been written.
    len: usize,
}

impl Line {
    const MORE: &[u8] = b"...\n";

    fn new() -> Line {
        Line { bytes: [0; LINE_MAX], len: 0 }
    }

    fn finish(&mut self) -> &[u8] {
        let end = if self.len > LINE_MAX - Self::MORE.len() { Self::MORE } else { b"\n" };
        self.len = self.len.min(LINE_MAX - Self::MORE.len());
        for &byte in end {
            let _ = self.push(byte);
        }
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) -> fmt::Result {
        *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
        self.len += 1;
        Ok(())
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b' ' || byte.is_ascii_graphic() {
                self.push(byte)?;
            } else {
                write!(self, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Bytes;

    fn line(message: fmt::Arguments) -> String {
        let mut line = Line::new();
        let _ = line.write_fmt(message);
        String::from_utf8(line.finish().to_vec()).unwrap()
    }

    #[test]
    fn escaped_and_cut() {
        assert_eq!(line(format_args!("a {}", "b")), "a b\n");
        assert_eq!(line(format_args!("{}", "x\ny\r\x1b[0mé\0")), "x\\x0ay\\x0d\\x1b[0m\\xc3\\xa9\\x00\n");
        assert_eq!(line(format_args!("{}", Bytes(b"x\ny\xff"))), "x\\x0ay\\xff\n");
        assert_eq!(
            line(format_args!("{} is bad", Bytes(&[b'x'; 300]))),
            ["x".repeat(200).as_str(), "... is bad\n"].concat()
        );
        for len in [LINE_MAX - 5, LINE_MAX - 4, LINE_MAX - 3, LINE_MAX, LINE_MAX + 1, 100_000] {
            let got = line(format_args!("{}", "x".repeat(len)));
            assert!(got.len() <= LINE_MAX, "{len}");
            assert_eq!(got.ends_with("x...\n"), len > LINE_MAX - 4, "{len}");
        }
        assert!(line(format_args!("{}", "\n".repeat(2000))).ends_with("...\n"));
    }
}
