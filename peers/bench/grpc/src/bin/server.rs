//! The server program.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_kit::server(bench_grpc::serve)
}
