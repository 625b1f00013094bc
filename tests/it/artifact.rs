//! The file that is shipped, which `cargo test --release` builds as `cargo build --release` does.

use crate::support::PROGRAM;

/// How large the file may be, in KiB. The README and tests/bench have the same number, which `tidy` compares.
pub const LIMIT: usize = 128;

/// A little-endian number of elf(5).
fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

#[test]
fn static_position_independent_stripped_and_small() {
    const ET_DYN: usize = 3;
    const PT_DYNAMIC: usize = 2;
    const PT_INTERP: usize = 3;
    const DT_NEEDED: usize = 1;
    const SHT_SYMTAB: usize = 2;
    if cfg!(debug_assertions) {
        println!("a debug build is not what is shipped: run this test with --release");
        return;
    }
    let file = std::fs::read(PROGRAM).unwrap();
    assert!(file.len() <= LIMIT * 1024, "{} bytes", file.len());
    assert_eq!(file[..6], *b"\x7fELF\x02\x01", "64-bit, little-endian");
    assert_eq!(number(&file, 16, 2), ET_DYN);
    let segments = (0..number(&file, 56, 2)).map(|n| &file[number(&file, 32, 8) + n * 56..][..56]);
    let mut dynamic = 0;
    for segment in segments {
        assert_ne!(number(segment, 0, 4), PT_INTERP, "it asks for no dynamic linker");
        if number(segment, 0, 4) == PT_DYNAMIC {
            dynamic += 1;
            let entries = &file[number(segment, 8, 8)..][..number(segment, 32, 8)];
            assert!(entries.chunks(16).all(|entry| number(entry, 0, 8) != DT_NEEDED), "it needs no library");
        }
    }
    assert_eq!(dynamic, 1, "it relocates itself");
    let sections = (0..number(&file, 60, 2)).map(|n| &file[number(&file, 40, 8) + n * 64..][..64]);
    assert!(sections.into_iter().all(|section| number(section, 4, 4) != SHT_SYMTAB), "it has no symbols");
}
