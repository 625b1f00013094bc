//! IP addresses as text, as std reads them too, with a tenth of the code.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::text::{decimal, hex};

/// `127.0.0.1`: four numbers without leading zeros.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split(|&b| b == b'.');
    for octet in &mut octets {
        let digits = parts.next()?;
        *octet = decimal(digits).filter(|_| digits == b"0" || !digits.starts_with(b"0"))?.try_into().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// `::1` and the like: RFC 4291 section 2.2.
pub fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    // `::` stands for the groups of zeros that are missing, one at least.
    let gap = text.windows(2).position(|pair| pair == b"::");
    let (start, end) = gap.map_or((&b""[..], text), |at| (&text[..at], &text[at + 2..]));
    if start.contains(&b'.') {
        return None; // an IPv4 address can only end it
    }
    let (mut octets, end) = (groups(start)?, groups(end)?);
    let end_at = 16_usize.checked_sub(end.len()).filter(|&end_at| gap.is_some() == (octets.len() < end_at))?;
    octets.resize(end_at, 0);
    octets.extend_from_slice(&end);
    <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from)
}

/// The bytes of groups with `:` between them. The last two may be an IPv4 address.
fn groups(text: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut parts = text.split(|&b| b == b':').filter(|_| !text.is_empty());
    while let Some(part) = parts.next() {
        if part.contains(&b'.') {
            octets.extend(ipv4(part)?.octets());
            return parts.next().is_none().then_some(octets);
        }
        if !(1..=4).contains(&part.len()) {
            return None;
        }
        let group = part.iter().try_fold(0, |group, &digit| Some(group << 4 | u16::from(hex(digit)?)))?;
        octets.extend(group.to_be_bytes());
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees_with_std(text: &str) -> bool {
        assert_eq!(ipv4(text.as_bytes()), text.parse().ok(), "{text}");
        assert_eq!(ipv6(text.as_bytes()), text.parse().ok(), "{text}");
        text.parse::<std::net::IpAddr>().is_ok()
    }

    #[test]
    fn as_std_reads_them() {
        let good = "0.0.0.0 127.0.0.1 255.255.255.255 :: ::1 1:: 1::8 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 \
                    fe80::DEAD:beef ::ffff:127.0.0.1 1:2:3:4:5:6:1.2.3.4 1:2:3:4:5::1.2.3.4 ::1.2.3.4 0:0000:00::0";
        assert!(good.split(' ').all(agrees_with_std));
        let bad = "1 1.2.3 1.2.3.4.5 256.0.0.1 01.2.3.4 1..2.3 .1.2.3.4 1.2.3.4. +1.2.3.4 1.2.3.4: : ::: 1:2 1::2::3 12345:: \
                   g:: 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7::8 1:2:3:4:5:6:7:1.2.3.4 1.2.3.4:: ::1.2.3.4:5 ::1.2.3 :1 1: ::1%lo";
        assert!(!bad.split(' ').any(agrees_with_std) && !agrees_with_std(""));
    }

    /// What is likely to be nearly right, at random.
    #[test]
    fn as_std_reads_anything() {
        const PIECES: [&str; 8] = [":", "::", ":", "1", "fe80", "0", ".", "1.2.3.4"];
        let mut random = 1_u32;
        let mut found = 0;
        for _ in 0..300_000 {
            let mut text = String::new();
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for _ in 0..random >> 28 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text += PIECES[(random >> 29) as usize];
            }
            found += usize::from(agrees_with_std(&text));
        }
        assert!(found > 1000, "{found} addresses among them");
    }
}
