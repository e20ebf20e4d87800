//! Messages into frames and out of them.

use bytes::{BufMut, Bytes};
use criterion::{Criterion, Throughput};
use highball_transport::framing::{
    DEFAULT_RECEIVE_LIMIT, DEFAULT_SEND_LIMIT, Decoder, Encoding, encode,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, size) in [("32 B", 32), ("1 KiB", 1024), ("64 KiB", 64 * 1024)] {
        let payload = vec![b'x'; size];
        let mut group = criterion.benchmark_group(format!("frame of {name}"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function("encode", |bencher| bencher.iter(|| framed(&payload)));
        let frame = framed(&payload);
        group.bench_function("decode, in one piece", |bencher| {
            bencher.iter(|| decode([frame.clone()]));
        });
        let (head, tail) = (frame.slice(..size / 2), frame.slice(size / 2..));
        group.bench_function("decode, in two pieces", |bencher| {
            bencher.iter(|| decode([head.clone(), tail.clone()]));
        });
        group.finish();
    }
    criterion.final_summary();
}

fn framed(payload: &[u8]) -> Bytes {
    encode(payload.len(), DEFAULT_SEND_LIMIT, |buffer| {
        buffer.put_slice(payload);
    })
    .expect("the payload is within the limit")
}

fn decode<const PIECES: usize>(pieces: [Bytes; PIECES]) -> Bytes {
    let mut decoder = Decoder::new();
    for piece in pieces {
        decoder.push(piece);
    }
    let message = decoder.next(DEFAULT_RECEIVE_LIMIT);
    let message = message.expect("it is well formed").expect("it is whole");
    let payload = message.into_payload(&Encoding::IDENTITY, usize::MAX);
    payload.expect("it is not compressed")
}
