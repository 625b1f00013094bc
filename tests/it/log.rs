//! The log, which nothing can make cost the drain.

use std::fs::{self, File};
use std::io::{PipeWriter, Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::support::{
    CLOSED, Fresh, Run, answers, each, fill, fresh_path, program, read_request, run, run_command, run_shell, serve,
    start, url,
};

#[test]
fn lines_are_short_and_cannot_be_forged() {
    let refused = run_command(
        program(&["0.1", &format!("--{}", "x".repeat(5000)), "--no\nsuch\x1b[31m", "--min=\u{e9}", "$(FORGED)"])
            .env("FORGED", "\r\ndrain-sleep: drained"),
    );
    assert!(refused.says("--no\\x0asuch\\x1b[31m") && refused.says("\\xc3\\xa9"), "{refused:?}");
    assert!(refused.says("'\\x0d\\x0adrain-sleep: drained'"), "{refused:?}");
    assert!(refused.says("xxx...': see drain-sleep --help"), "what is said of a long word is not cut: {refused:?}");

    let url = format!("http://127.0.0.1:1/{}", "x".repeat(5000));
    let watched = run(&[&["2"], &["--until-unready", &url].repeat(6)[..]].concat());
    let lines: Vec<_> = watched.stderr.split_inclusive('\n').collect();
    assert!(lines.iter().all(|line| line.len() <= 1024 && line.starts_with("drain-sleep: ")), "{lines:?}");
    assert!(lines[0].len() == 1024 && lines[0].ends_with("...\n"), "{lines:?}");
    assert!(lines[1].contains("xxx... is unready (connection refused)"), "{lines:?}");
}

/// What a server says, it cannot make the log say.
#[test]
fn servers_cannot_forge_lines() {
    for response in [
        "HTTP/1.1 503 \x1b[31m\rdrain-sleep: drained\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 X\r\nLocation: http://\x1b[31m\r\n\r\n",
        "HTTP/1.1 302 X\r\nLocation: https://127.0.0.1/\u{202e}\r\n\r\n",
        "\x1b[31mdrain-sleep: drained\n",
    ] {
        let address = serve(move |_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(response.as_bytes());
        });
        let run = run(&["0.3", "--until-unready", &url(address), "--get", &url(address)]);
        assert!(run.stderr.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()), "{run:?}");
        assert!(!run.says("drain-sleep: drained"), "{run:?}");
    }
}

/// A datagram is a write: whoever else writes to the same stderr cannot come between.
#[test]
fn one_write_a_line() {
    let (ours, stderr) = UnixDatagram::pair().unwrap();
    let (address, _) = answers(&[200, 503]);
    let watch = ["--until-unready", &url(address), "--min=0.1", "--period=10ms", "--timeout=60"];
    let run = start(program(&[&["60"], &watch[..]].concat()).env_clear(), OwnedFd::from(stderr)).finish();
    ours.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2048];
    let mut lines = Vec::new();
    while let Ok(length) = ours.recv(&mut datagram) {
        lines.push(String::from_utf8(datagram[..length].to_vec()).unwrap());
    }
    assert_eq!((run.status, lines.len()), (0, 4), "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("drain-sleep: ") && line.find('\n') == Some(line.len() - 1)),
        "{lines:?}"
    );
}

#[test]
fn a_verdict_that_flips_is_logged_twenty_times() {
    const FLIPS: &[u16] = &[
        200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503, 200, 503,
        200, 503, 200, 503,
    ];
    let (address, _) = answers(FLIPS);
    let run = run(&["60", "--until-unready", &url(address), "--period=10ms", "--min=0", "--timeout=60"]);
    let lines = run.lines();
    let (shown, rest) = lines[1..].split_at(21); // the first state and 20 changes
    for (number, line) in shown.iter().enumerate() {
        let verdict = if number % 2 == 0 { "is ready (200)" } else { "is unready (503)" };
        assert!(line.contains(verdict), "{number}: {lines:?}");
    }
    assert_eq!(rest.len(), 3, "{lines:?}");
    assert!(rest[0].contains("only counted"), "{lines:?}");
    assert!(rest[1].contains("changed 25 times"), "{lines:?}");
    assert!(rest[2].contains("drained after "), "{lines:?}");
}

#[test]
fn quiet_but_for_errors() {
    assert_eq!(run(&["0.1", "-q"]).stderr, "");
    let run = run(&["2", "--quiet", "--get", &format!("http://{CLOSED}/")]); // long enough for the request to be sent
    assert!(run.lines().len() == 2 && run.lines().iter().all(|line| line.starts_with("error: GET ")), "{run:?}");
}

#[test]
fn a_log_file_is_appended_to() {
    let path = fresh_path("log");
    fs::write(&*path, "before\n").unwrap();
    let file = path.to_str().unwrap();
    let quiet = run(&["0.1", "-q", "--log-file", file]);
    let loud = run(&["0.1", "--log-file", file]);
    let log = fs::read_to_string(&*path).unwrap();
    assert_eq!(quiet.stderr, "");
    assert!(loud.lines().len() == 2 && log.ends_with(&loud.stderr), "both have the same lines: {loud:?} {log}");
    assert!(log.starts_with("before\ndrain-sleep: sleeping 0.1s\ndrain-sleep: slept "), "{log}");
    assert_eq!(log.lines().count(), 5, "{log}");

    for option in ["--check", "--help", "--version"] {
        let untouched = fresh_path("log");
        assert_eq!(run(&[option, "1", "--log-file", untouched.to_str().unwrap()]).status, 0);
        assert!(!untouched.exists(), "{option} does not open it");
    }
}

/// Nothing of a drain goes to stdout, and what nobody can write to delays nothing.
#[test]
fn stdout_is_for_answers() {
    assert_eq!(run(&["0", "--until-unready", &format!("http://{CLOSED}/")]).stdout, "");
    for (script, status) in [
        ("\"$0\" --help >/dev/full", 1),
        ("\"$0\" --version >/dev/full", 1),
        ("\"$0\" --check 1 >/dev/full", 1),
        ("\"$0\" 0.1 >/dev/full", 0),
        ("\"$0\" --help >&-", 0),
    ] {
        assert_eq!(run_shell(script).status, status, "{script}");
    }
}

/// What it takes, to the end and not much longer, whatever became of its log.
fn unharmed(name: &str, run: &Run) {
    assert!(run.status == 0 && run.lasted(300), "{name}: {run:?}");
}

/// Each of these would hang, kill or fail a careless program.
#[test]
fn nothing_stops_the_drain() {
    let folder = std::env::temp_dir();
    let scripts = [
        "\"$0\" 0.3 2>/dev/full".to_string(),
        "\"$0\" 0.3 2</dev/null".to_string(), // not open for writing
        "\"$0\" 0.3 --log-file /dev/full".to_string(),
        "\"$0\" 0.3 --log-file /dev/null".to_string(),
        format!("\"$0\" 0.3 --log-file {}", folder.display()),
        "\"$0\" 0.3 --log-file /no/such/file".to_string(),
        "\"$0\" 0.3 --log-file /dev/null/file".to_string(),
        "\"$0\" 0.3 --log-file ''".to_string(),
        "\"$0\" 0.3 --log-file /proc/self/mem".to_string(),
        format!(
            "cd {} && ulimit -f 0; \"$0\" 0.3 --log-file drain-sleep-$$; s=$?; rm -f drain-sleep-$$; exit $s",
            folder.display()
        ),
        "ulimit -n 3; exec \"$0\" 0.3 --log-file /dev/null".to_string(),
    ];
    each(scripts, |script| unharmed(&script, &run_shell(&script)));
}

#[test]
fn a_full_stderr() {
    let (mut reader, writer) = pipe().unwrap();
    fill(writer.try_clone().unwrap());
    unharmed("a pipe that nobody reads", &start(&mut program(&["0.3"]), writer).finish());
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    assert!(left.iter().all(|&byte| byte == 0), "what did not fit was dropped");

    let (reader, writer) = pipe().unwrap();
    let running = start(&mut program(&["0.3"]), writer);
    drop(reader);
    unharmed("a pipe whose reader has gone", &running.finish());
}

/// stderr is shared with others, who would be surprised.
#[test]
fn stderr_stays_as_it_is() {
    let flags = |file: &PipeWriter| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
        info.lines().find(|line| line.starts_with("flags:")).unwrap().to_string()
    };
    let (_reader, writer) = pipe().unwrap();
    let before = flags(&writer);
    unharmed("a pipe", &start(&mut program(&["0.3"]), writer.try_clone().unwrap()).finish());
    assert_eq!(flags(&writer), before);
}

fn fifo() -> Fresh {
    let path = fresh_path("fifo");
    assert!(Command::new("mkfifo").arg(&*path).status().expect("POSIX has mkfifo").success());
    path
}

#[test]
fn a_fifo_as_log_file() {
    let path = fifo();
    let arguments = ["0.3", "--log-file", path.to_str().unwrap()];
    unharmed("nobody reads it", &run(&arguments));

    // Linux lets a FIFO be opened for both, which does not wait for a peer.
    let mut both = File::options().read(true).write(true).open(&*path).unwrap();
    let logged = run(&arguments);
    unharmed("it is read", &logged);
    let mut lines = vec![0; logged.stderr.len()];
    both.read_exact(&mut lines).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), logged.stderr);

    fill(both.try_clone().unwrap());
    unharmed("it is full", &run(&arguments));
}

/// Whichever of the three came closed, the drain goes on, and what is opened later is not written to as if it were stderr.
#[test]
fn closed_descriptors() {
    let closings = ["", "<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"];
    let lines = [
        ("0.2", 0, 2),
        ("2 --until-unready tcp://localhost:1", 0, 3),
        ("2 --get http://localhost:1/", 1, 4),
        ("0.2 --bogus", 2, 3),
        ("--check 1", 0, 0),
        ("--check 1x", 2, 0),
        ("--help", 0, 0),
    ];
    each(
        closings.into_iter().flat_map(|closing| lines.map(|line| (closing, line))),
        |(closing, (line, status, logged))| {
            let file = fresh_path("log");
            let run = run_shell(&format!("exec \"$0\" {line} --log-file {} {closing}", file.display()));
            assert!(run.status == status && (logged == 0 || run.lasted(200)), "{line} {closing}: {run:?}");
            let log = fs::read_to_string(&*file).unwrap_or_default();
            assert_eq!(log.lines().count(), logged, "{line} {closing}: {log}");
            assert!(log.lines().all(|line| line.starts_with("drain-sleep: ")), "{line} {closing}: {log}");
        },
    );
}
