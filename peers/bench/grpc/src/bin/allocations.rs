//! Counts the allocations of a call at both ends.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: bench_kit::Counting = bench_kit::Counting;

fn main() -> ExitCode {
    bench_kit::count_allocations::<bench_grpc::Client, _>(bench_tonic::serve)
}
