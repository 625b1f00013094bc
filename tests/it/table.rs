//! Reads the tables in `tests/verdicts`, which say how their rows are written.

use drain_sleep::grpc::hpack;

/// Returns the rows: the expected verdict, and the text. The kubelet's verdict and a remark are left out.
pub fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fields = rows.map(|row| row.split_once("  ").unwrap_or_else(|| panic!("two blanks: {row}")));
    fields.map(|(expected, text)| (before(expected, " / "), before(text.trim_start(), "  # ")))
}

fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or(text, |(before, _)| before)
}

/// The bytes that a text stands for.
pub fn bytes(text: &str) -> Vec<u8> {
    if let Some((before, rest)) = text.split_once('{')
        && let Some((repeated, after)) = rest.split_once('}')
        && let Some((count, unit)) = repeated.split_once('*')
    {
        return [bytes(before), bytes(unit).repeat(count.parse().unwrap()), bytes(after)].concat();
    }
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (byte, length) = match &part[..1] {
            "r" => (b'\r', 1),
            "n" => (b'\n', 1),
            "t" => (b'\t', 1),
            "0" => (0, 1),
            _ => (u8::from_str_radix(&part[1..3], 16).unwrap(), 3),
        };
        out.push(byte);
        out.extend(part[length..].bytes());
    }
    out
}

// RFC 9113 section 6.
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

/// The bytes of frames.
pub fn frames(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(frame).collect()
}

fn frame(word: &str) -> Vec<u8> {
    match word {
        "CLOSE" => return Vec::new(),
        "HELLO" => return frame("SETTINGS()"),
        "HEAD" => return frame("HEAD()"),
        "SERVING" => return frame("SAYS(\\x08\\x01)"),
        "TRAILERS" => return frame("END([grpc-status=0])"),
        "ANSWER" => return frames("HEAD SERVING TRAILERS"),
        _ => {}
    }
    let (head, payload) = word.strip_suffix(')').and_then(|word| word.split_once('(')).expect("KIND(PAYLOAD)");
    match head {
        "BYTES" => return bytes(payload),
        "HEAD" => return frame(&format!("HEADERS([:status=200][content-type=application/grpc]{payload})")),
        "END" => return frame(&format!("HEADERS:5({payload})")),
        "SAYS" => return frame(&format!("DATA(\\0\\0\\0\\0\\x{:02x}{payload})", bytes(payload).len())),
        _ => {}
    }
    let (head, stream) = head.split_once('@').map_or((head, None), |(head, stream)| (head, stream.parse().ok()));
    let (kind, flags) = head.split_once(':').unwrap_or((head, ""));
    let kind = KINDS.iter().position(|known| *known == kind).map_or_else(|| kind.parse().unwrap(), |kind| kind as u8);
    let default = if matches!(kind, 1 | 5 | 9) { 4 } else { 0 };
    let flags = u8::from_str_radix(flags, 16).unwrap_or(default);
    let stream = stream.unwrap_or(u8::from(matches!(kind, 0..=3 | 5 | 9)));
    let payload = block(payload);
    [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags, 0, 0, 0, stream], &payload].concat()
}

/// Bytes with fields in brackets.
fn block(text: &str) -> Vec<u8> {
    let mut parts = text.split('[');
    let mut out = bytes(parts.next().unwrap_or_default());
    for part in parts {
        let (field, after) = part.split_once(']').expect("[name=value]");
        let (name, value) = field.split_once('=').expect("[name=value]");
        hpack::encode(&mut out, str::from_utf8(&bytes(name)).unwrap(), &bytes(value));
        out.extend(bytes(after));
    }
    out
}
