//! A server program: prints its port, and ends when its standard input does.

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::Result;
use crate::options::ServerOptions;

/// The `main` of a stack's server; `serve` takes connections until it is dropped.
pub fn server<F>(serve: impl FnOnce(TcpListener) -> F) -> ExitCode
where
    F: Future<Output = Result<()>>,
{
    let options = ServerOptions::parse();
    let result = options
        .runtime
        .build()
        .map_err(Into::into)
        .and_then(|runtime| {
            let result = runtime.block_on(run(serve));
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run<F>(serve: impl FnOnce(TcpListener) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let mut input = tokio::io::stdin();
    let mut told = [0; 1];
    tokio::select! {
        served = serve(listener) => served,
        _ = input.read(&mut told) => Ok(()),
    }
}
