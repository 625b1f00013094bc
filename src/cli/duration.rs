//! Durations as `sleep` takes them and as people write them.
//!
//! humantime reads the units. It gets one number with one unit at a time, without white space: it would skip a space inside a
//! number (`0.5 500ms` as 550 µs), and several numbers whose sum is too large can make it panic.

use std::time::Duration;

use crate::text::{FOREVER, decimal, split_before, split_once, words};

/// The longest finite drain. Nothing in Kubernetes waits this long. More is most likely a typo.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A bare number over this is probably meant as a port.
pub const SECONDS_MAX: Duration = Duration::from_secs(1000);

/// The units that humantime knows. It takes memory to refuse another, and there may be none: see `salvage`.
const UNITS: &str = "ns nsec nanos us µs usec ms msec millis s sec secs second seconds m min mins minute minutes h hr hrs hour \
    hours d day days w wk wks week weeks M month months y yr yrs year years";

const TOO_LONG: &str = "is more than 30 days: for a sleep without end write infinity";
/// `M` is humantime's month.
const TOO_MANY_MONTHS: &str = "is more than 30 days: M is a month, write m for minutes";

/// Reads the durations in a text, and returns their sum. White space separates them: `1m 30s` is two.
///
/// # Errors
/// The mistake in the text or in the first duration that is refused, in words that follow the text.
pub fn read(text: &[u8]) -> Result<Duration, &'static str> {
    str::from_utf8(text).map_err(|_| "is not UTF-8: write 20, 0.5, 1m30s or 500ms")?;
    let mut sum = None;
    for word in words(text) {
        if unquoted(word).len() < word.len() {
            return Err("has quotes, commas or brackets around it, which no shell removes: leave them out");
        }
        sum = add(sum, parse(word)?);
    }
    not_too_long(sum.ok_or("is blank: write 20, 0.5, 1m30s or 500ms")?)
}

/// Adds a duration to a sum that may have none yet.
pub fn add(sum: Option<Duration>, duration: Duration) -> Option<Duration> {
    Some(sum.unwrap_or_default().saturating_add(duration))
}

/// Refuses what is longer than [`LONGEST`], but not [`FOREVER`].
///
/// # Errors
/// That it is too long, in words that follow it.
pub fn not_too_long(sum: Duration) -> Result<Duration, &'static str> {
    if sum > LONGEST && sum != FOREVER { Err(TOO_LONG) } else { Ok(sum) }
}

/// Reads one duration without white space. One that is too long counts as [`LONGEST`].
pub fn lenient(word: &[u8]) -> Option<Duration> {
    match parse(word) {
        Err(TOO_LONG | TOO_MANY_MONTHS) => Some(LONGEST),
        other => other.ok(),
    }
}

/// Returns a word without the quotes, commas, semicolons and brackets around it, which YAML or a word processor has kept.
pub fn unquoted(word: &[u8]) -> &[u8] {
    let around = |c| {
        matches!(c, '\'' | '"' | '`' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | ',' | ';')
            || matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>')
    };
    str::from_utf8(word).map_or(word, |word| word.trim_matches(around).as_bytes())
}

/// Returns true if a word is a number without a unit: a duration in seconds, or a port.
pub fn is_bare_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(is_number_byte)
}

fn is_number_byte(b: &u8) -> bool {
    b.is_ascii_digit() || *b == b'.'
}

/// Reads one duration without white space: a bare number of seconds, `infinity`, or numbers with units.
fn parse(text: &[u8]) -> Result<Duration, &'static str> {
    if text.eq_ignore_ascii_case(b"infinity") || text.eq_ignore_ascii_case(b"inf") {
        return Ok(FOREVER);
    }
    if let [b'-' | b'+', ..] = text {
        return Err("has a sign: write 20, 0.5, 1m30s or 500ms");
    }
    if text.iter().all(is_number_byte) {
        return bare(text);
    }
    let mut sum = Duration::ZERO;
    // Each part ends where the digits of the next one begin.
    for part in text.chunk_by(|a, b| is_number_byte(a) || !is_number_byte(b)) {
        sum = sum.saturating_add(with_unit(part)?);
    }
    // A finite sum must not reach FOREVER. No part of it exceeds LONGEST.
    if sum > LONGEST { Err(TOO_LONG) } else { Ok(sum) }
}

/// Reads a number of seconds: `20`, `0.5`, `.5` or `5.`. Digits past the nanosecond are dropped.
fn bare(text: &[u8]) -> Result<Duration, &'static str> {
    let (whole, fraction) = split_once(text, b'.').unwrap_or((text, b""));
    if whole.len() + fraction.len() == 0 || fraction.contains(&b'.') {
        return Err("is not a number: write 20, 0.5, 1m30s or 500ms");
    }
    let seconds = if whole.is_empty() { 0 } else { decimal(whole).unwrap_or(u64::MAX) };
    let digit = |place| fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
    let nanos = (0..9).fold(0, |nanos, place| nanos * 10 + digit(place));
    let sum = Duration::new(seconds, nanos);
    if sum > LONGEST { Err(TOO_LONG) } else { Ok(sum) }
}

/// Reads one number with its unit, as humantime does.
fn with_unit(text: &[u8]) -> Result<Duration, &'static str> {
    let (number, unit) = text.split_at(text.iter().take_while(|b| is_number_byte(b)).count());
    if number.is_empty() {
        return Err("has no number before its unit: write 20, 0.5, 1m30s or 500ms, without a space");
    }
    if unit.is_empty() {
        return Err("ends in a number without a unit: write 1m30s");
    }
    if !words(UNITS.as_bytes()).any(|known| known == unit) {
        return Err("has an unknown unit: write ms, s, m, h or d");
    }
    let too_long = if unit == b"M" { TOO_MANY_MONTHS } else { TOO_LONG };
    match humantime::parse_duration(str::from_utf8(text).unwrap_or_default()) {
        Ok(duration) if duration > LONGEST => Err(too_long),
        Ok(duration) => Ok(duration),
        // humantime has one error for too large and too many decimals. A number up to this is too large with no unit.
        Err(humantime::DurationError::NumberOverflow)
            if number.contains(&b'.') && decimal(split_before(number, b'.').0).is_some_and(|n| n < 100_000_000_000) =>
        {
            Err("has too many decimals: write fewer")
        }
        Err(humantime::DurationError::NumberOverflow) => Err(too_long),
        Err(_) => Err("is not a duration: write 20, 0.5, 1m30s or 500ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_too_long(why: &str) -> bool {
        why.starts_with("is more than 30 days")
    }

    #[test]
    fn accepted() {
        let cases: &[(&str, u64)] = &[
            ("20", 20_000),
            ("0", 0),
            ("0.5", 500),
            (".5", 500),
            ("5.", 5_000),
            ("007", 7_000),
            ("0.0019", 1),
            ("0.12345678999", 123),
            ("20s", 20_000),
            ("1m30s", 90_000),
            ("1min 30sec", 90_000),
            ("1m 30s", 90_000),
            (" \t1m\u{a0}30s\n", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("0.5 500ms", 1_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
            ("2592000", 2_592_000_000),
            ("0M", 0),
            ("5000us", 5),
            ("5000µs", 5),
        ];
        for (text, millis) in cases {
            let got = read(text.as_bytes()).map(|d| d.as_millis());
            assert_eq!(got, Ok(u128::from(*millis)), "{text:?}");
        }
        for text in ["infinity", "inf", "Infinity", "inf 5", "5 inf", "inf inf"] {
            assert_eq!(read(text.as_bytes()), Ok(FOREVER), "{text:?}");
        }
    }

    /// `tests/it/cli.rs` has more of them, and the words.
    #[test]
    fn refused() {
        let malformed: &[&[u8]] = &[
            b" ",
            b"\t\n",
            b".",
            b"..",
            b"+5",
            b"-5s",
            b"1e3",
            b"1e3s",
            b"0x10",
            b"NaN",
            b"nan",
            b"s",
            b"5 min",
            b".5s",
            b"5.s",
            b"1_000",
            b"1,5",
            b"20S",
            b"1.5.5s",
            b"20ss",
            b"1.99999999999999999999x",
            b"\xff",
            b"20\xff",
            b"20s\0",
            "20ſ".as_bytes(),
            b"infinite",
            b"20%",
        ];
        for text in malformed {
            let got = read(text);
            assert!(got.is_err_and(|why| !is_too_long(why)), "{}: {got:?}", text.escape_ascii());
        }
        let too_long: &[(&str, bool)] = &[
            ("2592000.000000001", false),
            ("31d", false),
            ("15d 16d", false),
            ("1M", true),
            ("2y", false),
            ("99999999999999999999", false),
            ("99999999999999999999s", false),
            ("18446744073709551615s1000000000ns", false),
            ("18446744073709551615", false),
            ("18446744073709551615 18446744073709551615", false),
            ("20d20d", false),
            ("99999999999999999999M", true),
        ];
        for (text, month) in too_long {
            let why = read(text.as_bytes()).unwrap_err();
            assert!(is_too_long(why) && why.contains("M is a month") == *month, "{text} {why}");
        }
    }

    /// `UNITS` has each unit of humantime, and no others.
    #[test]
    fn units() {
        let letters = || ('A'..='Z').chain('a'..='z').map(String::from);
        let short =
            letters().chain(letters().flat_map(|first| letters().map(move |second| format!("{first}{second}"))));
        for unit in short.chain(UNITS.split_whitespace().map(String::from)) {
            let text = format!("1{unit}");
            let known = humantime::parse_duration(&text).is_ok();
            assert_eq!(lenient(text.as_bytes()).is_some(), known, "{unit}");
            assert_eq!(UNITS.split_whitespace().any(|known| known == unit), known, "{unit}");
        }
    }

    #[test]
    fn read_leniently() {
        for (word, counts) in
            [("x", None), ("", None), ("1.5", Some(1.5)), ("31d", Some(2_592_000.0)), ("1M", Some(2_592_000.0))]
        {
            assert_eq!(lenient(word.as_bytes()), counts.map(Duration::from_secs_f64), "{word}");
        }
    }
}
