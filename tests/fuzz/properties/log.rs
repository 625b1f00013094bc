//! The log: whatever a server or the command line says, it is one line of printable ASCII.

use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsRawFd;
use std::sync::{LazyLock, Mutex};

use drain_sleep::os::log;
use drain_sleep::text::Bytes;

const LINE_MAX: usize = 1024;
const SHOWN_MAX: usize = 200;

/// The other end of the log file.
static FILE: LazyLock<Mutex<PipeReader>> = LazyLock::new(|| {
    let (reader, writer) = pipe().unwrap();
    log::quiet();
    log::to_file(format!("/proc/self/fd/{}", writer.as_raw_fd()).as_bytes()).unwrap();
    Mutex::new(reader)
});

pub fn holds(input: &[u8]) {
    let mut file = FILE.lock().unwrap();
    let (argument, said) = input.split_at(input.len().min(input.first().copied().unwrap_or_default().into()));
    log::info(format_args!("{}: {}", Bytes(argument), String::from_utf8_lossy(said)));
    let mut line = [0; LINE_MAX + 1];
    let length = file.read(&mut line).unwrap();
    let line = &line[..length];
    let (end, text) = line.split_last().unwrap();
    assert!(
        text.starts_with(b"drain-sleep: ") && text.iter().all(|byte| (b' '..=b'~').contains(byte)) && *end == b'\n'
    );
    assert!(length <= LINE_MAX);
    // What is short and printable is there as it was.
    if input.len() <= SHOWN_MAX && input.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        assert_eq!(text, [b"drain-sleep: ", argument, &b": "[..], said].concat());
    }
}
