//! gRPC over HTTP/2: it does not matter how the bytes come, and no answer is larger than what it answers.

use drain_sleep::grpc::health::Call;
use drain_sleep::grpc::hpack;
use drain_sleep::net::failure::Failure;

use super::Bytes;

/// Bytes that a field of a header block may become: `content-type` has the longest name that one byte stands for.
const GROWTH: usize = 12;

pub fn holds(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else { return };
    let frames = if first & 1 == 0 { input.to_vec() } else { framed(input) };
    let whole = call(&[&frames]);
    let (verdict, replies) = &whole;
    assert!(replies.len() <= frames.len());
    match verdict {
        Ok(Some(_)) => assert_eq!(frames[3], SETTINGS, "the first frame"),
        Ok(None) => {}
        Err(why) => assert!((1..100).contains(&why.to_string().len()), "{why}"),
    }
    let at = usize::from(first >> 1) * frames.len() / 128;
    let (before, after) = frames.split_at(at);
    assert_eq!(call(&[before, after]), whole, "cut at {at}");
    assert_eq!(call(&frames.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    header_block(input);
}

const SETTINGS: u8 = 4;

/// The verdict on bytes that come in these pieces, and what is sent back until then.
fn call(pieces: &[&[u8]]) -> (Result<Option<i32>, Failure>, Vec<u8>) {
    let mut call = Call::default();
    let mut replies = Vec::new();
    for piece in pieces {
        let verdict = call.receive(piece, &mut replies);
        if verdict != Ok(None) {
            return (verdict, replies);
        }
    }
    (Ok(None), replies)
}

/// Frames whose lengths are right: kind, flags, stream and length are a byte each.
fn framed(input: &[u8]) -> Vec<u8> {
    let mut input = Bytes(input);
    let mut out = Vec::new();
    while !input.0.is_empty() {
        let [kind, flags, stream, length] = std::array::from_fn(|_| input.next());
        let (payload, rest) = input.0.split_at(input.0.len().min(length.into()));
        out.extend([0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream]);
        out.extend_from_slice(payload);
        input.0 = rest;
    }
    out
}

/// A block does not grow when it is decoded, nor change when it is encoded again.
fn header_block(block: &[u8]) {
    let mut fields = Vec::new();
    let verdict = hpack::decode(block, &mut |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        Ok(())
    });
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(fields.len() <= block.len() && bytes <= GROWTH * block.len());
    if verdict.is_err() {
        return;
    }
    let mut again = Vec::new();
    for (name, value) in &fields {
        hpack::encode(&mut again, str::from_utf8(name).unwrap(), value);
    }
    let mut expected = fields.iter();
    let decoded = hpack::decode(&again, &mut |name, value| {
        assert_eq!(expected.next(), Some(&(name.to_vec(), value.to_vec())));
        Ok(())
    });
    assert_eq!((decoded, expected.len()), (Ok(()), 0));
}
