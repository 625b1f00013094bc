//! The file that is shipped, which `cargo test --release` builds as `cargo build --release` does.

use crate::support::PROGRAM;

/// How large the file may be, in KiB, for amd64 and arm64, of which the image is made. The README and tests/bench have the same number, which `tidy` compares.
pub const LIMIT: usize = 128;

/// Of the toolchain's own parts, powerpc64's are not position-independent.
const POSITION_INDEPENDENT: bool = !cfg!(target_arch = "powerpc64");

/// A number of elf(5).
fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    let append = |value: usize, &byte: &u8| value << 8 | usize::from(byte);
    let bytes = &bytes[at..at + size];
    if cfg!(target_endian = "big") { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) }
}

#[test]
fn static_position_independent_stripped_and_small() {
    const ET_EXEC: usize = 2;
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
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        assert!(file.len() <= LIMIT * 1024, "{} bytes", file.len());
    }
    // An address, and where the structures have what is asked for below.
    let word = size_of::<usize>();
    let [segments_at, sections_at, segment_size, section_size, offset_at, length_at] =
        if word == 8 { [32, 40, 56, 64, 8, 32] } else { [28, 32, 32, 40, 4, 16] };
    let [segment_count_at, section_count_at] = if word == 8 { [56, 60] } else { [44, 48] };
    let endianness = if cfg!(target_endian = "big") { 2 } else { 1 };
    assert_eq!(file[..6], [0x7f, b'E', b'L', b'F', word as u8 / 4, endianness]);
    assert_eq!(number(&file, 16, 2), if POSITION_INDEPENDENT { ET_DYN } else { ET_EXEC });
    let table = |at: usize, count_at: usize, size: usize| {
        let begin = number(&file, at, word);
        file[begin..][..number(&file, count_at, 2) * size].chunks(size)
    };
    let mut dynamic = 0;
    for segment in table(segments_at, segment_count_at, segment_size) {
        assert_ne!(number(segment, 0, 4), PT_INTERP, "it asks for no dynamic linker");
        if number(segment, 0, 4) == PT_DYNAMIC {
            dynamic += 1;
            let entries = &file[number(segment, offset_at, word)..][..number(segment, length_at, word)];
            assert!(entries.chunks(2 * word).all(|entry| number(entry, 0, word) != DT_NEEDED), "it needs no library");
        }
    }
    assert_eq!(dynamic, usize::from(POSITION_INDEPENDENT), "it relocates itself");
    let mut sections = table(sections_at, section_count_at, section_size);
    assert!(sections.all(|section| number(section, 4, 4) != SHT_SYMTAB), "it has no symbols");
}
