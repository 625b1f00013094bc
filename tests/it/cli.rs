//! The command line, through `--check`, which says what would be done.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::support::{PROGRAM, each, program, run, run_command};

/// `--check` takes the command line, and says this.
fn accepted(arguments: &[&str], says: &str) {
    let run = run(&[&["--check"], arguments].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{arguments:?}");
    assert!(run.stdout.contains(says), "{arguments:?}: {}", run.stdout);
}

/// `--check` refuses the command line at once, in one line that says this.
fn refused(arguments: &[&str], says: &str) {
    let run = run(&[&["--check"], arguments].concat());
    assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{arguments:?}");
    assert_eq!(run.lines().len(), 1, "{arguments:?}: {}", run.stderr);
    assert!(run.says(says), "{arguments:?}: {}", run.stderr);
}

/// What one argument says is tested in `src/cli/duration.rs`.
#[test]
fn durations() {
    let rows: &[(&[&str], &str)] = &[
        (&["1m", "30s"], "90s"),
        (&["inf", "1"], "infinity"),
        (&["--quiet", "20"], "20s"),
        (&["20", "\n10s\n"], "30s"),
        (&["--", "20"], "20s"),
        (&["20", "--"], "20s"),
    ];
    each(rows, |(arguments, seconds)| accepted(arguments, &format!("sleeping {seconds}\n")));
    let rows: &[(&[&str], &str)] = &[
        (&[""], "'' is blank"),
        (&["-5"], "'-5' has a sign"),
        (&["-"], "'-' has a sign"),
        (&["1.2.3"], "'1.2.3' is not a number"),
        (&["20 s"], "'20 s' has no number before its unit"),
        (&["1m30"], "'1m30' ends in a number without a unit"),
        (&["0.5ns"], "'0.5ns' has too many decimals"),
        (&["\u{ff15}"], "'\\xef\\xbc\\x95' has no number"),
        (&["1M"], "'1M' is more than 30 days: M is a month"),
        (&["31d"], "'31d' is more than 30 days: for a sleep without end"),
        (&[], "no DURATION"),
        (&["--"], "no DURATION"),
        (&["--", "--min"], "'--min' follows --"),
        (&["--", "--", "20"], "'--' follows --"),
        (&["20d", "20d"], "the sum of the durations is more than 30 days"),
        (&["20d", "31d"], "'31d' is more than 30 days"),
        (&["'20s'"], "''20s'' has quotes, commas or brackets around it"),
        (&["20s,"], "'20s,' has quotes, commas or brackets around it"),
        (&["'--until-idle'", "8080", "20"], "''--until-idle'' has quotes, commas or brackets around it"),
        (&["20s", "--until-idle", "8080", "8443"], "'8443' follows a port: to watch it too, write --until-idle 8443"),
        (&["20s", "--until-idle=8080", "8443\n"], "write --until-idle 8443"),
        (&["$DRAIN"], "'$DRAIN': no shell runs here to expand DRAIN: write $(DRAIN)"),
        (&["${DRAIN}"], "write $(DRAIN)"),
        (&["${DRAIN:-20s}"], "write $(DRAIN)"),
        (&["${DRAIN}s"], "write $(DRAIN)"),
    ];
    each(rows, |(arguments, says)| refused(arguments, says));
    let bytes = run_command(program(&["--check"]).arg(OsStr::from_bytes(b"20\xff")));
    assert!(bytes.status == 2 && bytes.says("'20\\xff' is not UTF-8"), "{bytes:?}");
}

#[test]
fn options() {
    const URL: &str = "http://localhost:8080/readyz";
    let watch = ["--until-unready", URL];
    let plan =
        |min: &str, duration: &str| format!("draining for {min} to {duration}, until {URL} is unready at 3 checks");
    accepted(&[&watch[..], &["20"]].concat(), &plan("5s", "20s"));
    accepted(&[&["20"], &watch[..]].concat(), &plan("5s", "20s"));
    accepted(&[&["3"], &watch[..]].concat(), &plan("3s", "3s"));
    accepted(&[&["20", "--min=1m"], &watch[..], &["10"]].concat(), &plan("30s", "30s"));
    accepted(&[&["--min", "2", "20"], &watch[..]].concat(), &plan("2s", "20s"));
    for port in ["8080\n", " 8080", "\u{a0}8080\t"] {
        accepted(&["20", "--until-idle", port], "until port 8080 is idle");
        accepted(&[&format!("--until-idle={port}"), "20"], "5s to 20s, until port 8080 is idle");
        accepted(&["--until-idle", port, "20"], "5s to 20s, until port 8080 is idle");
    }
    accepted(
        &["20", "--until-unready", &format!(" {URL}\n"), "--threshold=5\n"],
        "until http://localhost:8080/readyz is unready at 5",
    );
    accepted(&["20", "--post", &format!("{URL}\n"), "--min=2\n"], &format!("POST {URL}, sleeping 20s"));
    accepted(&["20", "-q", "-q", "--quiet", "--assume-ready"], "sleeping 20s");
    accepted(
        &[
            "20",
            "--until-unready",
            "tcp://[::1]:9",
            "--until-idle",
            "80",
            "--period=10ms",
            "--timeout=10ms",
            "--threshold=1000",
            "--assume-ready",
        ],
        "until tcp://[::1]:9 is unready and port 80 is idle at 1000 checks in a row, 0.01s apart, \
         of at most 0.01s (3s silent, answered), assumed to have been ready\n",
    );
    accepted(
        &["20", "--until-idle=80", "--idle-after=infinity"],
        "port 80 is idle at 3 checks in a row, 1s apart (no connection)\n",
    );
    accepted(
        &["20", "--get", URL, "--post", "http://unix:/a:/b"],
        &format!("GET {URL}, POST http://unix:/a:/b, sleeping 20s"),
    );
    accepted(&["20", "--post", URL, "--delay", "19.999"], &format!("POST {URL} after 19.999s, sleeping 20s\n"));
    accepted(&["20", "--get", URL, "--delay=0"], &format!("GET {URL}, sleeping 20s\n"));
    for speaks_http in ["--get", "--post", "--until-unready"] {
        accepted(&["20", "--header", "A: --b c", speaks_http, URL], URL);
    }
    accepted(&["20", "--header=A: b", "--until-unready", "http://unix:/a:/b", "--until-unready=tcp://[::1]:1"], "20s");
    let rows: &[(&[&str], &str)] = &[
        (&["20", "--min"], "--min has no value: write --min=DURATION"),
        (&["20", "--min="], "--min: '' is blank"),
        (&["20", "--min", "-5"], "--min: '-5' has a sign"),
        (&["20", "--min", "40d"], "--min: '40d' is more than 30 days"),
        (&["20", "-q=yes"], "unknown option '-q=yes'"),
        (&["20", "--period=9ms"], "--period: '9ms' is less than 10ms"),
        (&["20", "--timeout=9.999ms"], "--timeout: '9.999ms' is less than 10ms"),
        (&["20", "--idle-after=9ms"], "--idle-after: '9ms' is less than 10ms"),
        (&["20", "--min=--5"], "--min: '--5' has a sign"),
        (&["20", "--threshold=0"], "--threshold: '0' is not a number"),
        (&["20", "--threshold=1001"], "1001"),
        (&["20", "--threshold=+3"], "+3"),
        (&["20", "--threshold=3.0"], "3.0"),
        (&["20", "--until-idle=$PORT"], "'$PORT': no shell runs here to expand PORT: write $(PORT)"),
        (&["20", "--threshold", "${N}"], "write $(N)"),
        (&["20", "--min", "${MIN:-5s}"], "write $(MIN)"),
        (&["20", "--until-idle=0"], "--until-idle: '0' is not a port"),
        (&["20", "--until-idle=65536"], "65536"),
        (&["20", "--until-idle=+80"], "+80"),
        (&["20", "--until-idle=:80"], ":80"),
        (&["20", "--delay=5"], "--delay has no --get or --post to wait before"),
        (&["20", "--delay=0"], "--delay has no --get or --post to wait before"),
        (&["20", "--delay=20", "--post", URL], "--delay: '20' leaves no time for --get and --post"),
        (&["20", "--delay=21s", "--get", URL], "--delay: '21s' leaves no time"),
        (&["infinity", "--delay=inf", "--get", URL], "--delay: 'inf' leaves no time"),
        (&["20", "--delay=-1", "--get", URL], "--delay: '-1' has a sign"),
        (&["--delay=5", "--get", URL], "no DURATION"),
        (&["0", "--get", URL], "a DURATION of 0 leaves no time for --get and --post"),
        (&["0", "--post", URL, "--delay=1"], "a DURATION of 0 leaves no time for --get and --post"),
        (&["20", "--header=A: b"], "--header has no HTTP request to go with"),
        (
            &["20", "--header=A: b", "--until-unready=\ngrpc://localhost:80\n"],
            "--header has no HTTP request to go with",
        ),
        (&["20", "--header=A: b", "--until-unready=tcp://localhost:80"], "--header has no HTTP request to go with"),
        (&["20", "--header=A: b", "--until-idle=80"], "--header has no HTTP request to go with"),
        (&["20", "--header=A: b", "--until-unready=localhost:80"], "unknown scheme"),
        (
            &["20 --until-idle 8080"],
            "'20 --until-idle 8080' has spaces in or around it: make each argument an item of its own",
        ),
        (&["20", "--until-idle 8080"], "'--until-idle 8080' has spaces in or around it"),
        (&["20", " --quiet"], "' --quiet' has spaces in or around it"),
        (&["20", " --min=5"], "' --min=5' has spaces in or around it"),
        (&["20", "--header=X"], "no colon"),
        (&["20", "--header=Connection: x"], "the program's own"),
        (&["20", "--header=content-length: 1"], "the program's own"),
        (&["20", "--header=Transfer-Encoding:"], "the program's own"),
        (&["20", "--header=Host:"], "names no host"),
        (&["20", "--header=Host: a b"], "names no host"),
        (&["20", "--header=Host: a", "--header=host: b", "--get", URL], "second Host"),
        (&["20", "--header=A: b\r\nC: d"], "control character"),
        (&["20", "--header=A b: c"], "invalid header name"),
        (&["20", "--header=: c"], "invalid header name"),
    ];
    each(rows, |(arguments, says)| refused(arguments, says));
}

/// The options that `--help` lists, and whether they take a value.
fn options_of_help() -> Vec<(String, bool)> {
    let help = run(&["--help"]).stdout;
    let left = help.lines().filter(|line| line.starts_with("  --")).map(|line| &line[2..line.len().min(26)]);
    let known = left.map(|left| left.trim().split_once(' ').map_or((left.trim(), false), |(name, _)| (name, true)));
    known.map(|(name, takes_value)| (name.to_string(), takes_value)).collect()
}

/// What holds for every option, whatever it means.
#[test]
fn each_option() {
    const REPEATABLE: [&str; 5] = ["--until-unready", "--until-idle", "--get", "--post", "--header"];
    let all = options_of_help();
    assert_eq!(all.len(), 18, "a new option is counted here: {all:?}");
    each(&all, |(name, takes_value)| {
        let name = name.as_str();
        if !takes_value {
            refused(&["20", &format!("{name}=x")], &format!("{name} takes no value"));
            accepted(&["20", name, name], "");
            return;
        }
        refused(&["20", name], &format!("{name} has no value"));
        refused(&["20", name, "--quiet"], &format!("{name} has no value"));
        let value = match name {
            "--until-unready" | "--get" | "--post" => "http://localhost/",
            "--header" => "A: b",
            _ => "8",
        };
        let rest = ["20", "--get=http://localhost/"];
        accepted(&[&[name, value], &rest[..]].concat(), "20s");
        accepted(&[&rest[..], &[&format!("{name}={value}")]].concat(), "20s");
        let twice = [&rest[..], &[name, value, name, value]].concat();
        if REPEATABLE.contains(&name) {
            accepted(&twice, "20s");
        } else {
            refused(&twice, &format!("{name} is given twice"));
        }
    });
}

#[test]
fn the_nearest_option() {
    let rows: &[(&[&str], &str)] = &[
        (&["--mim", "5"], "unknown option '--mim': did you mean --min?"),
        (&["--mim=5"], "'--mim': did you mean --min?"),
        (&["--perid", "5"], "did you mean --period?"),
        (&["--asume-redy"], "did you mean --assume-ready?"),
        (&["--until-ready=x"], "did you mean --until-unready?"),
        (&["--log_file", "x"], "did you mean --log-file?"),
        (&["--gte"], "'--gte': see"), // two edits are more than half its letters
        (&["--asum-redy"], "'--asum-redy': see"),
        (&["--frobnicate"], "'--frobnicate': see"),
        (&["--Min"], "did you mean --min?"),
        (&["-x"], "'-x': see"),
        (&["-min"], "'-min': "),
        (&["---min"], "did you mean --min?"),
    ];
    each(rows, |(arguments, says)| refused(&[&["20"], *arguments].concat(), says));
}

/// What is wrong with a URL, in words that help. Which are accepted is tested in `src/net/url.rs`.
#[test]
fn urls() {
    let long = format!("unix:/{}", "x".repeat(107));
    let rows = [
        ("https://localhost/", "tcp://HOST:PORT"),
        ("http://example.com/", "names are not resolved"),
        ("http://user@localhost/", "user information"),
        ("http://localhost/#a", "fragment"),
        ("http://localhost/a b", "printable ASCII"),
        ("http://localhost:65536/", "port"),
        ("http:///", "no host"),
        ("http://unix:/a", "needs a socket and a path"),
        ("localhost:80", "unknown scheme"),
        ("/readyz", "no scheme"),
        ("HTTP://localhost/", "unknown scheme"),
        (&long, "107"),
    ];
    each(rows, |(url, says)| refused(&["20", "--until-unready", url], says));
    for url in ["tcp://localhost:1", "unix:/a", "grpc://localhost:1", "https://localhost/"] {
        refused(&["20", "--get", url], "--get: '");
        refused(&["20", "--post", url], "--post: '");
    }
}

#[test]
fn variables() {
    let check = |arguments: &[&str]| {
        run_command(program(&["--check"]).args(arguments).env_clear().env("TIME", "7").env("OPT", "--min=2"))
    };
    assert!(check(&["1$(TIME)s"]).stdout.contains("sleeping 17s"));
    assert!(
        check(&["$(OPT)", "20", "--until-idle", "$(TIME)$(TIME)"])
            .stdout
            .contains("draining for 2s to 20s, until port 77 ")
    );
    assert!(check(&["20", "--until-unready=http://localhost/$$(TIME)$TIME$"]).stdout.contains("/$(TIME)$TIME$ is"));
    let long = "$(LONG)".repeat(21); // one more than fit in 2 MiB
    let too_long = run_command(program(&["--check", "20", &long]).env("LONG", "x".repeat(100_000)));
    assert!(too_long.status == 2 && too_long.says("becomes longer than 2 MiB with its variables"), "{too_long:?}");
    let rows: &[&[&str]] = &[
        &["20", "--min", "$(TYPO)"],
        &["20", "--min=$(TYPO)"],
        &["20", "--$(TYPO)"],
        &["20", "$(TYPO)"],
        &["$(TYPO)"],
        &["20 $(TYPO)"],
        &["20", "--delay=1", "--post", "$(TYPO)"],
        &["20", "--header=A: b", "--until-unready=http://$(TYPO)/"],
    ];
    each(rows, |arguments| {
        let unset = check(arguments);
        assert!(unset.status == 2 && unset.says("the variable TYPO is not set"), "{arguments:?}: {}", unset.stderr);
        assert_eq!(unset.lines().len(), 1, "it is told once: {arguments:?}: {}", unset.stderr);
    });
}

#[test]
fn help_and_version_win() {
    for arguments in [&["--help"][..], &["-h", "--bogus"], &["20x", "--help"], &["--min", "--help"]] {
        let run = run(arguments);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(run.stdout.contains("--until-unready URL"));
    }
    assert_eq!(run(&["--bogus", "-V"]).status, 0);
}

#[test]
fn installing() {
    accepted(&["--install", "/drain/"], "installing to '/drain/'\n");
    accepted(&["--install=/drain/x", "20"], "installing to '/drain/x'\nsleeping 20s\n");
    accepted(&["--install", "/a\x1b[1m\nb\r\u{ff15}"], "installing to '/a\\x1b[1m\\x0ab\\x0d\\xef\\xbc\\x95'\n");
}

/// Plans that are allowed but hardly meant: what `--check` warns of after the plan, in order.
#[test]
fn warnings() {
    const MIN: &str = "warning: --min ";
    const CHECKS: &str = "warning: --threshold checks at --period ";
    const GRACE: &str = "warning: DURATION takes up all of the default grace period";
    const PORT: &str = "warning: a number over 1000 without a unit counts as seconds";
    let unready = "--until-unready=tcp://localhost:1";
    let idle = "--until-idle=80";
    let rows: &[(&[&str], &[&str])] = &[
        (&["29.999"], &[]),
        (&["20s", "8080"], &[PORT, GRACE]),
        (&["8080 20s"], &[PORT, GRACE]),
        (&["20s", "1000"], &[GRACE]),
        (&["20", "8080"], &[GRACE]),
        (&[idle, "8080"], &[PORT, GRACE]),
        (&[idle, "20"], &[]),
        (&["30"], &[GRACE]),
        (&["infinity"], &[GRACE]),
        (&["1", "--min=2"], &[]),
        // The default of --min is cut to DURATION.
        (&["5", idle], &[MIN]),
        (&["5.001", idle], &[]),
        (&["20", "--min=20", idle], &[MIN]),
        (&["20", "--min=19.999", idle], &[]),
        (&["1m", "--min=1m", "--period=30", idle], &[MIN, CHECKS, GRACE]),
        // The first check is at once, and the third two periods later.
        (&["2", "--min=0", idle], &[CHECKS]),
        (&["2.001", "--min=0", idle], &[]),
        (&["2", "--min=0", unready, "--assume-ready"], &[CHECKS]),
        (&["2.001", "--min=0", unready, "--assume-ready"], &[]),
        // What stops being ready must have been ready in one check before.
        (&["3", "--min=0", unready], &[CHECKS]),
        (&["3.001", "--min=0", unready], &[]),
        (&["3", "--min=0", idle, unready], &[CHECKS]),
        (&["3.001", "--min=0", idle, unready], &[]),
        (&["1", "--min=0", "--threshold=1", unready], &[CHECKS]),
        (&["0.001", "--min=0", "--threshold=1", idle], &[]),
        (&["1", "--min=0", "--period=inf", idle], &[CHECKS]),
    ];
    each(rows, |(arguments, warnings)| {
        let run = run(&[&["--check"], *arguments].concat());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{arguments:?}");
        let warned: Vec<_> = run.stdout.lines().skip(1).collect();
        let agree = warned.iter().zip(*warnings).all(|(line, begins)| line.starts_with(begins));
        assert!(agree && warned.len() == warnings.len(), "{arguments:?}: {}", run.stdout);
    });
}

/// As many as Linux lets a command line have: none looks through those before it, which would take more than five seconds of CPU.
#[test]
fn a_hundred_thousand_words() {
    accepted(&["0.00001"; 100_000], "sleeping 1s");
    let rows = [
        vec!["--assume-ready"; 40_000],
        vec!["--header=A:"; 40_000],
        vec![&*"$($(".repeat(20_000).leak(), "${a:${a:".repeat(16_000).leak()],
    ];
    each(rows, |words| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -t 5; exec \"$0\" \"$@\"", PROGRAM, "0.1"]).args(&words);
        let run = run_command(command.args(vec!["--min=2"; 20_000]).args(vec!["--header=Host:h"; 20_000]));
        assert!(run.status == 2 && run.says("sleeping 0.1s all the same"), "{}: {:?}", words[0], run.lines());
    });
}
