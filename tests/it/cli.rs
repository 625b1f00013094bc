//! The command line, through `--check`, which says what would be done.

use std::process::Command;

use crate::support::{PROGRAM, run, run_command};

/// `--check` takes the line, and says this.
fn accepted(arguments: &[&str], says: &str) {
    let run = run(&[&["--check"], arguments].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{arguments:?}");
    assert!(run.stdout.contains(says), "{arguments:?}: {}", run.stdout);
}

/// `--check` refuses the line at once, in one line that says this.
fn refused(arguments: &[&str], says: &str) {
    let run = run(&[&["--check"], arguments].concat());
    assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{arguments:?}");
    assert_eq!(run.lines().len(), 1, "{arguments:?}: {}", run.stderr);
    assert!(run.says(says), "{arguments:?}: {}", run.stderr);
}

#[test]
fn durations() {
    for (arguments, seconds) in [
        (&["20"][..], "20s"),
        (&["0.5"], "0.5s"),
        (&["20s"], "20s"),
        (&["1m30s"], "90s"),
        (&["1min 30sec"], "90s"),
        (&["1m 30s"], "90s"),
        (&["1m", "30s"], "90s"),
        (&["0"], "0s"),
        (&["infinity"], "infinity"),
        (&["--", "20"], "20s"),
    ] {
        accepted(arguments, &format!("sleeping {seconds}\n"));
    }
    for value in ["", " ", "-5", "+5", "1e3", "0x10", "NaN", "20x", "5 min", "1_0"] {
        refused(&[value], &format!("'{value}' "));
    }
    refused(&["1M"], "M is a month");
    refused(&["31d"], "30 days");
    refused(&["20d", "20d"], "30 days");
    refused(&["99999999999999999999"], "30 days");
    refused(&[], "no DURATION");
    refused(&["--", "--min"], "'--min' has a sign");
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
        ],
        "until tcp://[::1]:9 is unready and port 80 is idle at 1000 checks in a row, one every 0.01s of at most 0.01s",
    );
    accepted(
        &["20", "--get", URL, "--post", "http://unix:/a:/b"],
        &format!("GET {URL}, POST http://unix:/a:/b, sleeping 20s"),
    );
    for (arguments, says) in [
        (&["20", "--mim", "5"][..], "unknown option '--mim': did you mean --min?"),
        (&["20", "--until-ready=x"], "did you mean --until-unready?"),
        (&["20", "--frobnicate"], "unknown option '--frobnicate': see"),
        (&["20", "-x"], "unknown option '-x'"),
        (&["20", "--min"], "--min takes DURATION"),
        (&["20", "--min", "--period", "5"], "--min takes DURATION"),
        (&["20", "--min", "-5"], "--min: '-5' has a sign"),
        (&["20", "--quiet=yes"], "--quiet takes no value"),
        (&["20", "--min=1", "--min=1"], "--min is given twice"),
        (&["20", "--period=9ms"], "--period: '9ms' is less than 0.01s"),
        (&["20", "--timeout=0"], "--timeout: '0' is less"),
        (&["20", "--idle-after=0"], "--idle-after: '0' is less"),
        (&["20", "--threshold=0"], "--threshold: '0' is no number"),
        (&["20", "--threshold=1001"], "1001"),
        (&["20", "--threshold=+3"], "+3"),
        (&["20", "--until-idle=0"], "--until-idle: '0' is no port"),
        (&["20", "--until-idle=65536"], "65536"),
        (&["20", "--until-unready=https://localhost/"], "tcp://HOST:PORT"),
        (&["20", "--until-unready=http://example.com/"], "names are not resolved"),
        (&["20", "--until-unready=localhost:80"], "unknown scheme"),
        (&["20", "--until-unready=/readyz"], "no scheme"),
        (&["20", "--get=tcp://localhost:80"], "is no http:// URL"),
        (&["20", "--header=X"], "no colon"),
        (&["20", "--header=Connection: x"], "the program's own"),
        (&["20", "--header=Host:"], "names no host"),
        (&["20", "--header=A: b\r\nC: d"], "control character"),
        (&["20", "--header=A b: c"], "no name"),
    ] {
        refused(arguments, says);
    }
}

#[test]
fn variables() {
    let check = |arguments: &[&str]| {
        run_command(
            Command::new(PROGRAM).arg("--check").args(arguments).env_clear().env("TIME", "7").env("OPT", "--min=2"),
        )
    };
    assert!(check(&["$(TIME)"]).stdout.contains("sleeping 7s"));
    assert!(check(&["1$(TIME)s"]).stdout.contains("sleeping 17s"));
    assert!(
        check(&["$(OPT)", "20", "--until-idle", "$(TIME)$(TIME)"])
            .stdout
            .contains("draining for 2s to 20s, until port 77 ")
    );
    for argument in ["$$(TIME)", "$TIME", "$(TIME"] {
        assert_eq!(check(&[argument]).status, 2, "{argument}");
    }
    let unset = check(&["20", "--min", "$(TYPO)"]);
    assert!(unset.status == 2 && unset.says("the variable TYPO is not set"), "{}", unset.stderr);
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
