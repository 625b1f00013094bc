//! Text, in and out: numbers in digits, what a header may have, and how the log shows bytes and durations.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The `User-Agent` of all requests: RFC 9110 section 10.1.5.
pub const USER_AGENT: &str = concat!("drain-sleep/", env!("CARGO_PKG_VERSION"));

/// Returns what comes before the first `at` and what comes after it, or `None` if there is no `at`.
pub fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&b| b == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// Returns what comes before the first `at`, and the rest, which begins with `at` or is empty.
pub fn split_before(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&b| b == at).unwrap_or(text.len()))
}

/// Returns a text without the white space around it. Bytes that are not UTF-8 stay as they are.
pub fn trim(text: &[u8]) -> &[u8] {
    str::from_utf8(text).map_or(text, |text| text.trim().as_bytes())
}

/// Returns what white space separates in a text. One that is not UTF-8 has no words.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    str::from_utf8(text).unwrap_or_default().split_whitespace().map(str::as_bytes)
}

/// Reads a decimal number. Returns `None` if the text is empty, has anything but digits, or is over `u64::MAX`.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    // std would take a plus sign, too.
    str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?.parse().ok()
}

/// Reads a decimal number that may have a sign, as Go's `strconv.ParseInt` does with 32 bits.
pub fn signed(text: &[u8]) -> Option<i32> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Returns the value of a hexadecimal digit.
pub fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Returns true if a header's name may have this byte: `tchar` of RFC 9110 section 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns true if a header's value may have this byte: RFC 9110 section 5.5.
pub fn is_value_byte(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
}

/// Shows bytes of an argument or a server. Those that are not printable ASCII are escaped, on stdout too. After 200 bytes the
/// text is cut, because the line needs room for what it says about it.
pub struct Bytes<'a>(pub &'a [u8]);

const SHOWN_MAX: usize = 200;

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(SHOWN_MAX) {
            match byte {
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str(if self.0.len() > SHOWN_MAX { "..." } else { "" })
    }
}

/// `infinity`: later than any deadline.
pub const FOREVER: Duration = Duration::MAX;

/// Shows a duration in seconds, to the millisecond: `90s`, `0.5s`, `infinity`.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == FOREVER {
            return f.write_str("infinity");
        }
        u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX).fmt(f)?; // 136 years
        let mut millis = self.0.subsec_millis();
        f.write_str(if millis > 0 { "." } else { "" })?;
        while millis > 0 {
            (millis / 100).fmt(f)?;
            millis = millis % 100 * 10;
        }
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (digits, value) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("1a", None),
        ] {
            assert_eq!(decimal(digits.as_bytes()), value, "{digits}");
        }
        for (text, value) in
            [("0", 0), ("+7", 7), ("-7", -7), ("007", 7), ("2147483647", i32::MAX), ("-2147483648", i32::MIN)]
        {
            assert_eq!(signed(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["2147483648", "-2147483649", "", "-", "+-1", "1 "] {
            assert_eq!(signed(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn shown() {
        for (nanos, text) in
            [(0, "0s"), (20_000_000_000, "20s"), (500_000_000, "0.5s"), (1_050_000_000, "1.05s"), (999_999, "0s")]
        {
            assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), text);
        }
        assert_eq!(Seconds(FOREVER).to_string(), "infinity");
    }
}
