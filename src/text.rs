//! Text as URLs and protocols have it: bytes, and numbers in digits.

/// What comes before the first `at`, and what after it.
pub fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&b| b == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// What comes before the first `at`, and the rest, which begins with it or is empty.
pub fn split_before(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&b| b == at).unwrap_or(text.len()))
}

/// A decimal number; nothing where there is anything but digits, or too many.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    let value = |value: u64, &digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value.checked_mul(10)?.checked_add(digit.into())
    };
    digits.iter().try_fold(0, value).filter(|_| !digits.is_empty())
}

/// A decimal number that may have a sign, as Go's `strconv.ParseInt` reads it.
pub fn signed(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        _ => (1, text),
    };
    (sign * i64::try_from(decimal(digits)?).ok()?).try_into().ok()
}

/// The value of a hexadecimal digit.
pub fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Returns true for a byte of a field's name: `tchar` of RFC 9110 section 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns true for a byte of a field's value: RFC 9110 section 5.5.
pub fn is_value_byte(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
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
        for text in
            ["0", "+7", "-7", "007", "2147483647", "-2147483648", "2147483648", "-2147483649", "", "-", "+-1", "1 "]
        {
            assert_eq!(signed(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }
}
