//! The file that is shipped, which `cargo test --release` builds as `cargo build --release` does.

use crate::support::PROGRAM;

/// How large the file may be, in KiB. The README has the same number, which `tidy` compares.
pub const LIMIT: usize = 128;

#[test]
fn static_position_independent_stripped_and_small() {
    // elf(5), of 64 bits: types of a file, of its segments, of an entry of its dynamic one, and of its sections.
    const ET_DYN: usize = 3;
    const PT_DYNAMIC: usize = 2;
    const PT_INTERP: usize = 3;
    const DT_NEEDED: usize = 1;
    const SHT_SYMTAB: usize = 2;
    if cfg!(debug_assertions) || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        println!("what is shipped is for amd64 and arm64, and no debug build: run this test with --release");
        return;
    }
    let file = std::fs::read(PROGRAM).unwrap();
    assert!(file.len() <= LIMIT * 1024, "{} bytes", file.len());
    assert_eq!((&file[..4], number(&file, 16, 2)), (&b"\x7fELF"[..], ET_DYN), "it is position-independent");
    let table = |at: usize, count_at: usize, size: usize| {
        let begin = number(&file, at, 8);
        file[begin..][..number(&file, count_at, 2) * size].chunks(size)
    };
    let mut dynamic = 0;
    for segment in table(32, 56, 56) {
        assert_ne!(number(segment, 0, 4), PT_INTERP, "it asks for no dynamic linker");
        if number(segment, 0, 4) == PT_DYNAMIC {
            dynamic += 1;
            let entries = &file[number(segment, 8, 8)..][..number(segment, 32, 8)];
            assert!(entries.chunks(16).all(|entry| number(entry, 0, 8) != DT_NEEDED), "it needs no library");
        }
    }
    assert_eq!(dynamic, 1, "it relocates itself");
    assert!(table(40, 60, 64).all(|section| number(section, 4, 4) != SHT_SYMTAB), "it has no symbols");
}

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
}
