//! Reads `bytes TEXT` and `frames TEXT`, a line each, written as in the tables here, and answers with the bytes in hexadecimal.
//! tests/lib/tables.py asks.

#[allow(dead_code)]
#[path = "../it/table.rs"]
mod table;

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let bytes = match line.split_once(' ').expect("a kind and a text") {
            ("bytes", text) => table::bytes(text),
            ("frames", text) => table::frames(text),
            (kind, _) => panic!("{kind}"),
        };
        println!("{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}
