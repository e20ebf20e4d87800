//! A binary log of calls, at both ends (gRFC A16), and what is in it.
//!
//! What to watch for: headers, messages and the status of each call in the order in which they came; the numbers
//! that an end gives its entries, by which a reader notices one that is missing; messages that the filter has cut
//! short; and that the method that is excluded is not there at all. `--filter` is the language of
//! `GRPC_BINARY_LOG_FILTER`.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use highball_binary_log::v1::GrpcLogEntry;
use highball_binary_log::v1::grpc_log_entry::Payload;
use highball_binary_log::{BinaryLog, Filter};
use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_examples::Outcome;
use highball_server::Server;

/// The flags.
#[derive(Parser)]
#[command(about = "A binary log of calls, at both ends, and what is in it")]
struct Flags {
    /// Where the log is kept; in a file for temporary things, which is removed, if this does not say.
    #[arg(long)]
    log: Option<PathBuf>,
    /// What is logged.
    #[arg(
        long,
        default_value = "*{h;m:8},-grpc.examples.echo.Echo/ServerStreamingEcho"
    )]
    filter: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let flags = Flags::parse();
    let temporary = std::env::temp_dir().join(format!("calls-{}.binlog", std::process::id()));
    let path = flags.log.as_ref().unwrap_or(&temporary);
    let log = BinaryLog::to_file(Filter::parse(&flags.filter)?, path)?;
    call(&log).await?;
    log.flush().await?;
    for entry in highball_binary_log::read(BufReader::new(File::open(path)?)) {
        println!("{}", line(&entry?));
    }
    if flags.log.is_none() {
        std::fs::remove_file(temporary)?;
    }
    Ok(())
}

/// A server and a channel with the log, and calls of three kinds.
async fn call(log: &BinaryLog) -> Outcome {
    let listener = highball_server::bind("127.0.0.1:0").await?;
    let target = format!("passthrough:///{}", listener.local_addr());
    let server = Server::builder()
        .interceptor(log.server())
        .add_service(EchoServer::new(EchoWithAddress::new("the server")))
        .build();
    tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(target)
        .insecure()
        .authority("echo.example")
        .interceptor(log.client());
    let echo = EchoClient::new(channel.build()?);

    let request = Request::new(message("all aboard")).with_timeout(Duration::from_secs(10));
    let request = request.with_metadata("stop", "Barstow")?;
    echo.unary_echo(request).await?;

    let mut replies = echo.server_streaming_echo(message("again")).await?;
    while replies.message().await?.is_some() {}

    let (sender, requests) = highball_channel::messages();
    let talking = echo.bidirectional_streaming_echo(Request::new(requests));
    let mut replies = talking.await?;
    sender.send(message("hello")).await?;
    replies.message().await?;
    drop(sender);
    while replies.message().await?.is_some() {}

    server.graceful_stop().await;
    Ok(())
}

/// An entry in a line.
fn line(entry: &GrpcLogEntry) -> String {
    let payload = match &entry.payload {
        None => String::new(),
        Some(Payload::ClientHeader(header)) => {
            let metadata = header.metadata.iter().flat_map(|metadata| &metadata.entry);
            let keys: Vec<_> = metadata.map(|entry| &*entry.key).collect();
            format!(" {} at {} {keys:?}", header.method_name, header.authority)
        }
        Some(Payload::ServerHeader(_)) => String::new(),
        Some(Payload::Message(message)) => {
            let text = String::from_utf8_lossy(&message.data);
            format!(" {text:?} of {} bytes", message.length)
        }
        Some(Payload::Trailer(trailer)) => format!(" status {}", trailer.status_code),
    };
    let cut = if entry.payload_truncated {
        " (cut)"
    } else {
        ""
    };
    let logger = format!("{:?}", entry.logger()).to_lowercase();
    format!(
        "{logger} {}.{} {:?}{payload}{cut}",
        entry.call_id,
        entry.sequence_id_within_call,
        entry.r#type()
    )
}

fn message(text: &str) -> EchoRequest {
    EchoRequest {
        message: text.to_owned(),
    }
}
