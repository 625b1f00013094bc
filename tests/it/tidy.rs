//! What people forget.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::artifact::LIMIT;
use crate::support::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
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

/// Each option's default, by its name: the README's third column, and what `--help` has in brackets.
#[test]
fn the_readme_has_the_same_defaults() {
    let readme = read("README.md");
    let table = readme.lines().filter(|line| line.starts_with("| `--")).map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').split(' ').next().unwrap(), cells[3].split('`').nth(1).unwrap_or_default())
    });
    let help = run(&["--help"]).stdout;
    let listed = help.lines().filter(|line| line.starts_with("  --")).map(|line| {
        let default = line.split_once('[').map_or("", |(_, default)| default.split([',', ']']).next().unwrap());
        (line.trim().split(' ').next().unwrap(), default)
    });
    let with_default = |options: &mut dyn Iterator<Item = (&str, &str)>| -> BTreeSet<(String, String)> {
        options.filter(|(_, default)| !default.is_empty()).map(|(a, b)| (a.to_string(), b.to_string())).collect()
    };
    let defaults = with_default(&mut { listed });
    assert_eq!(with_default(&mut { table }), defaults);
    assert_eq!(defaults.len(), 6, "{defaults:?}");
}

/// `--help` lists the URLs that there are, the README has each, and the message about an unknown scheme has their beginnings.
#[test]
fn the_schemes_are_the_same_everywhere() {
    let (readme, help) = (read("README.md"), run(&["--help"]).stdout);
    let line = help.lines().find_map(|line| line.strip_prefix("URL is ")).unwrap();
    let urls: Vec<_> = line.trim_end_matches('.').split([',', ' ']).filter(|word| word.contains(":/")).collect();
    let message = run(&["--check", "1", "--until-unready=x://localhost"]).stderr;
    let (_, said) = message.trim_end().split_once("unknown scheme: write ").unwrap();
    let said: Vec<_> = said.split([',', ' ']).filter(|word| word.contains(':')).collect();
    assert_eq!(urls.len(), said.len(), "{line}: {message}");
    for (url, scheme) in urls.iter().zip(said) {
        assert!(url.starts_with(scheme) && readme.contains(&format!("`{url}`")), "{url} {scheme}");
        let example = url.replace("HOST", "localhost").replace("PORT", "80").replace(['[', ']'], "");
        assert_eq!(run(&["--check", "1", "--until-unready", &example]).status, 0, "{example}");
    }
}

/// The README's log is one that there is: its first line is what `--check` says of the README's own example.
#[test]
fn the_readme_shows_a_real_log() {
    let plan = run(&["--check", "20s", "--until-idle", "8080", "--log-file", "/proc/1/fd/2"]).stdout;
    assert!(read("README.md").contains(&format!("\ndrain-sleep: {plan}")), "{plan}");
}

/// The manifest's is what `--version`, the lock file and the image say.
#[test]
fn one_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&["--version"]).stdout, format!("drain-sleep {version}\n"));
    let locked = format!("name = \"drain-sleep\"\nversion = \"{version}\"\n");
    assert!(read("Cargo.lock").contains(&locked));
    assert!(read("Dockerfile").contains(&format!("org.opencontainers.image.version=\"{version}\"")));
}

/// How large the binary may be: what the README promises, and what `artifact` allows.
#[test]
fn one_size() {
    assert!(read("README.md").contains(&format!("a static binary of at most {LIMIT} KiB")));
}

#[test]
fn one_dependency() {
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let names = dependencies.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    assert_eq!(names.map(|(name, _)| name.trim()).collect::<Vec<_>>(), ["humantime"]);
    assert_eq!(manifest.matches("dependencies]").count(), 1, "no others, not even for tests");
    let lock = read("Cargo.lock");
    let sources: Vec<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert_eq!(sources, [r#"source = "registry+https://github.com/rust-lang/crates.io-index""#]);
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
    const PLACES: [&str; 2] = ["src/main.rs", "src/os/"];
    let mut found = BTreeSet::new();
    for file in sources(&root().join("src")) {
        let code: String = fs::read_to_string(&file).unwrap().lines().map(|l| l.split("//").next().unwrap()).collect();
        if code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
            let file = file.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
            assert!(PLACES.iter().any(|place| file.starts_with(place)), "{file}");
            found.insert(file);
        }
    }
    assert!(found.contains("src/main.rs") && found.len() > 1, "{found:?}");
    let readme = read("README.md");
    assert!(PLACES.iter().all(|place| readme.contains(&format!("`{place}`"))), "the README says so");
}

/// All Rust files in a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files
}
