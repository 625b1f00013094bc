//! The log: whatever a server or the command line says, it is one line of printable ASCII.

use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsRawFd;
use std::sync::{LazyLock, Mutex};

use drain_sleep::os::log::{self, Bytes};

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
    let (argument, text) = input.split_at(input.len().min(input.first().copied().unwrap_or_default().into()));
    let text = String::from_utf8_lossy(text);
    log::info(format_args!("{}: {text}", Bytes(argument)));
    let mut line = [0; LINE_MAX + 1];
    let length = file.read(&mut line).unwrap();

    let shown = argument.iter().take(SHOWN_MAX).map(|&byte| escaped(byte)).collect::<String>();
    let cut = if argument.len() > SHOWN_MAX { "..." } else { "" };
    let text: String = text.bytes().map(escaped).collect();
    let mut expected = format!("drain-sleep: {shown}{cut}: {text}");
    if expected.len() > LINE_MAX - "...\n".len() {
        expected.truncate(LINE_MAX - "...\n".len());
        expected += "...";
    }
    assert_eq!(line[..length].escape_ascii().to_string(), format!("{}\\n", expected.as_bytes().escape_ascii()));
}

fn escaped(byte: u8) -> String {
    if (b' '..=b'~').contains(&byte) { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
}
