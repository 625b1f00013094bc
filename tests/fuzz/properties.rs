//! What must hold of each pure entry point, whatever its input is. A fuzzer looks for an input of which it does not.

mod drain;
mod grpc;
mod http;
mod line;
mod log;
mod netlink;
mod url;

/// Takes an input of any bytes, and panics where something does not hold.
pub type Property = fn(&[u8]);

pub const ALL: [(&str, Property); 7] = [
    ("drain", drain::holds),
    ("grpc", grpc::holds),
    ("http", http::holds),
    ("line", line::holds),
    ("log", log::holds),
    ("netlink", netlink::holds),
    ("url", url::holds),
];

/// One that does not hold, to see that the fuzzer would find it.
pub fn nothing_is_a_drain(input: &[u8]) {
    assert!(!matches!(input, [b'd', b'r', b'a', b'i', b'n', ..]));
}

/// An input that is read byte by byte, and is followed by zeroes without end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}
