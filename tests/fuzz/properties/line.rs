//! The whole command line, with its environment: what is typed is what is meant, and whatever is wrong with it, the durations
//! that can be read are slept.

use std::time::Duration;

use drain_sleep::args::{self, Args, Opt};
use drain_sleep::duration::{FOREVER, LONGEST, Seconds, Sum};
use drain_sleep::http::Method;
use drain_sleep::plan::{Plan, Target};

use self::durations::total;
use self::words::Line;
use super::url::write;

mod durations;
mod words;

/// The value of `$(A)`, and the arguments, a line each. `$(N)` is a line end.
pub fn holds(input: &[u8]) {
    let mut lines = input.split(|&b| b == b'\n');
    let variable = lines.next().unwrap_or_default();
    let arguments: Vec<&[u8]> = lines.collect();
    let environment = |name: &[u8]| match name {
        b"A" => Some(variable),
        b"N" => Some(&b"\n"[..]),
        _ => None,
    };
    let words = args::words(&arguments, &environment);
    let args = Args::parse(&words);
    let expected = Line::read(&arguments, variable);
    let options: Vec<_> = expected.options.iter().map(|(option, value)| (*option, value.as_slice())).collect();
    assert_eq!((&args.options, &args.operands), (&options, &expected.operands.iter().map(Vec::as_slice).collect()));
    assert_eq!((args.mistakes.is_empty(), args.at_once), (!expected.mistaken, expected.at_once));

    let (sum, readable) = total(&args.operands);
    match Plan::new(&args) {
        Ok(plan) => {
            assert!(readable && !expected.mistaken && !plan.to_string().is_empty());
            assert_eq!(Some(plan.rules.duration), sum);
            is_sane(&plan);
            is_the_same_when_written_out(&plan);
        }
        Err(refused) => {
            let min = args.value(Opt::Min).and_then(|min| total(&[min]).0);
            assert_eq!(refused.sleep, sum.or(min).unwrap_or(Duration::from_secs(5)));
            assert!(!refused.mistakes.is_empty());
            assert!(refused.mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
        }
    }
}

fn is_sane(plan: &Plan) {
    let rules = &plan.rules;
    let times = [rules.period, rules.timeout, plan.idle_after];
    assert!(times.iter().all(|&time| time >= Duration::from_millis(10) && (time <= LONGEST || time == FOREVER)));
    assert!((1..=1000).contains(&rules.threshold));
    for header in &plan.headers {
        assert!(!header.name.is_empty() && header.name.iter().all(|b| b.is_ascii_graphic() && *b != b':'));
        assert!(header.value.iter().all(|b| !b"\r\n\0".contains(b)));
    }
}

/// A plan that is written out as a command line is that plan.
fn is_the_same_when_written_out(plan: &Plan) {
    let rules = &plan.rules;
    let mut line: Vec<Vec<u8>> = Vec::new();
    let mut option = |name: &str, value: &[u8]| line.push([name.as_bytes(), b"=", value].concat());
    for watch in &plan.watches {
        match &watch.target {
            Target::Idle(port) => option("--until-idle", port.to_string().as_bytes()),
            target => option("--until-unready", &write(target)),
        }
    }
    for request in &plan.requests {
        let name = if request.method == Method::Get { "--get" } else { "--post" };
        option(name, &write(&Target::Http(request.url.clone())));
    }
    for header in &plan.headers {
        option("--header", &[header.name, b":", header.value].concat());
    }
    let times = [
        ("--min", rules.min),
        ("--period", rules.period),
        ("--timeout", rules.timeout),
        ("--idle-after", plan.idle_after),
    ];
    for (name, time) in times {
        option(name, written(time).as_bytes());
    }
    option("--threshold", rules.threshold.to_string().as_bytes());
    if rules.assume_ready {
        line.push(b"--assume-ready".to_vec());
    }
    line.push(written(rules.duration).into_bytes());

    let line: Vec<_> = line.iter().map(|word| doubled(word, b'$')).collect();
    let line: Vec<_> = line.iter().map(Vec::as_slice).collect();
    let words = args::words(&line, &|_| None);
    let args = Args::parse(&words);
    let again = Plan::new(&args).unwrap_or_else(|refused| panic!("{:?}", refused.mistakes));
    assert_eq!((&again.rules, again.idle_after, &again.headers), (rules, plan.idle_after, &plan.headers));
    assert!(again.watches.iter().map(|watch| &watch.target).eq(plan.watches.iter().map(|watch| &watch.target)));
    let requests = |plan: &Plan| plan.requests.iter().map(|r| (r.method, r.url.clone())).collect::<Vec<_>>();
    assert_eq!(requests(&again), requests(plan));
}

fn doubled(text: &[u8], byte: u8) -> Vec<u8> {
    text.iter().flat_map(|&b| std::iter::repeat_n(b, if b == byte { 2 } else { 1 })).collect()
}

/// A duration as text, that means the same however it is written.
fn written(time: Duration) -> String {
    if time == FOREVER {
        assert_eq!(Seconds(time).to_string(), "infinity");
        return "infinity".to_string();
    }
    let text = humantime::format_duration(time).to_string();
    assert_eq!(sum(text.as_bytes()), Some(time), "{text}");
    let shown = Seconds(time).to_string();
    assert_eq!(sum(shown.as_bytes()).map(|shown| shown.as_millis()), Some(time.as_millis()), "{shown}");
    text
}

fn sum(text: &[u8]) -> Option<Duration> {
    let mut sum = Sum::default();
    sum.add(text).and(sum.cap()).ok().and(sum.0)
}
