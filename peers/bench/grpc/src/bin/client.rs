//! The client program.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_kit::client::<bench_grpc::Client>()
}
