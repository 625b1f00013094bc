//! What people forget.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::run;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The words of a text that look like options.
fn options(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.len() > 2 && word.starts_with("--") && !word.starts_with("---")).collect()
}

#[test]
fn the_readme_lists_the_options_that_there_are() {
    let readme = read("README.md");
    let table: String =
        readme.lines().filter(|line| line.starts_with("| `-")).map(|line| line.split('|').nth(1).unwrap()).collect();
    let help = run(&["--help"]).stdout;
    let listed: String =
        help.lines().filter(|line| line.starts_with("  --")).map(|line| &line[..line.len().min(26)]).collect();
    assert_eq!(options(&table), options(&listed));
    let usage: Vec<_> = help.lines().filter(|line| line.starts_with("drain-sleep ")).collect();
    assert!(usage.len() == 3 && usage.iter().all(|line| readme.contains(&format!("    {line}\n"))), "{usage:?}");
}

#[test]
fn one_dependency() {
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let names = dependencies.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    assert_eq!(names.map(|(name, _)| name.trim()).collect::<Vec<_>>(), ["humantime"]);
    assert_eq!(manifest.matches("dependencies]").count(), 1, "no others, not even for tests");
}

#[test]
fn the_toolchain_is_the_same_everywhere() {
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap();
    assert!(read("Cargo.toml").contains(&format!("rust-version = \"{}\"", version.rsplit_once('.').unwrap().0)));
    assert!(read("Dockerfile").contains(&format!("rust:{version}")));
}

#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    fn search(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                search(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs")
                && fs::read_to_string(&entry).unwrap().contains("allow(unsafe_code)")
            {
                found.insert(entry.file_name().unwrap().to_str().unwrap().to_string());
            }
        }
    }
    let mut found = BTreeSet::new();
    search(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, ["heap.rs", "main.rs", "sys.rs", "unwind.rs"].map(String::from).into());
    assert!(read("src/lib.rs").contains("#![deny(unsafe_code)]"));
}
