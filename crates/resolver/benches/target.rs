//! A string becomes a target, and finds its resolver.

use std::hint::black_box;

use criterion::Criterion;
use highball_resolver::{ResolverRegistry, Target};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let registry = ResolverRegistry::builtin();
    for text in [
        "dns://8.8.8.8/echo.example.com:50051",
        "ipv6:[2607:f8b0:400e:c00::ef]:443,[2001:db8::1]:80",
        "localhost:50051",
    ] {
        let mut group = criterion.benchmark_group(format!("target {text}"));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| Target::parse(black_box(text)));
        });
        group.bench_function("find", |bencher| {
            bencher.iter(|| registry.find(black_box(text)).map(|(target, _)| target));
        });
        group.finish();
    }
    criterion.final_summary();
}
