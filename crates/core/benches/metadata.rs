//! Metadata on its way to the wire and back.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use highball_core::MetadataMap;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, metadata) in [
        ("nothing", MetadataMap::new()),
        ("four entries", four_entries()),
    ] {
        let mut group = criterion.benchmark_group(format!("metadata: {name}"));
        group.bench_function("encode", |bencher| {
            let metadata = || metadata.clone();
            bencher.iter_batched(metadata, MetadataMap::into_wire, BatchSize::SmallInput);
        });
        group.bench_function("decode", |bencher| {
            let headers = || metadata.clone().into_wire();
            bencher.iter_batched(headers, MetadataMap::from_wire, BatchSize::SmallInput);
        });
        group.finish();
    }
    criterion.bench_function("metadata: insert text and bytes", |bencher| {
        bencher.iter(|| black_box(four_entries()));
    });
    criterion.final_summary();
}

fn four_entries() -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (key, value) in [
        ("trace-id", "0af7651916cd43dd8448eb211c80319c"),
        ("tenant", "blue"),
        ("x-attempt", "1"),
    ] {
        metadata.append(key, value).expect("text for a text key");
    }
    metadata
        .append_bin("context-bin", &[7; 32])
        .expect("bytes for a binary key");
    metadata
}
