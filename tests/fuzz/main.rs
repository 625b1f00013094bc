//! Replays what the fuzzer has kept, without the fuzzer: each input that it found a new way through the program with.

mod properties;

use std::fs;
use std::path::Path;

use properties::{ALL, nothing_is_a_drain};

#[test]
fn kept_inputs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, property) in ALL {
        let inputs = fs::read_to_string(corpus.join(name)).unwrap();
        assert!(!inputs.is_empty(), "{name} has none");
        for input in inputs.lines() {
            println!("{name}: {input}"); // shown where a property fails
            property(&unescaped(input));
        }
    }
}

/// What is not printable ASCII is `\x` and two hexadecimal digits.
fn unescaped(line: &str) -> Vec<u8> {
    let mut parts = line.split("\\x");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for escape in parts {
        let (digits, text) = escape.split_at(2);
        out.push(u8::from_str_radix(digits, 16).unwrap());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

#[test]
#[should_panic]
fn one_that_does_not_hold() {
    nothing_is_a_drain(b"drain");
}
