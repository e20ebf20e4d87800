//! Messages that travel compressed, and others that do not.
//!
//! What to watch for: how much of a timetable goes over the wire, each way, and who decides: the call for the
//! request, the server for the reply, as far as the client reads it. In a stream each message may differ: what is
//! small already costs time to compress and gains nothing.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use futures::{StreamExt as _, stream};
use highball_channel::{Channel, Compression, CompressionSwitch, Compressions, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse};
use highball_examples::{Outcome, start_here};
use highball_server::{Response, Status, Streaming};
use tokio::net::{TcpListener, TcpStream};

/// Sends timetables back, compressed for whoever reads that, and tells how the messages of a stream came.
struct Station;

impl Echo for Station {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        request.compress_reply(Compression::Gzip)?;
        let message = request.into_message().message;
        Ok(Response::new(EchoResponse { message }))
    }

    async fn client_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        let mut messages = request.into_message();
        let mut came = Vec::new();
        while messages.message().await?.is_some() {
            came.push(match messages.is_compressed() {
                true => "compressed",
                false => "as it is",
            });
        }
        let message = came.join(", ");
        Ok(Response::new(EchoResponse { message }))
    }
}

/// Says hello to a server, on a connection of its own; says how many KiB went there and came back.
async fn weigh(server: &str, request: Request<EchoRequest>) -> Outcome<[u64; 2]> {
    let relay = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("passthrough:///{}", relay.local_addr()?);
    let server = server.to_owned();
    let relaying = tokio::spawn(async move {
        let (mut client, _) = relay.accept().await?;
        let mut server = TcpStream::connect(server).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    });
    let channel = Channel::builder(target).insecure().build()?;
    EchoClient::new(channel.clone()).unary_echo(request).await?;
    channel.close().await;
    let (there, back) = relaying.await??;
    Ok([there / 1024, back / 1024])
}

#[tokio::main]
async fn main() -> Outcome {
    let server = start_here(Station).await?;
    let departures = (0..1420).map(|number| format!("{number:04} all stations to Needles\n"));
    let timetable: String = departures.collect();
    println!("a timetable of {} KiB", timetable.len() / 1024);
    let request = || {
        Request::new(EchoRequest {
            message: timetable.clone(),
        })
    };

    let [there, back] = weigh(&server.address, request()).await?;
    println!("only the server compresses: {there} KiB there, {back} KiB back");

    let both = request().with_compression(Compression::Gzip);
    let [there, back] = weigh(&server.address, both).await?;
    println!("both compress: {there} KiB there, {back} KiB back");

    let mut plain = request();
    plain.options_mut().accept_compressions = Some(Compressions::none());
    let [there, back] = weigh(&server.address, plain).await?;
    println!("the client reads no compression: {there} KiB there, {back} KiB back");

    let switch = CompressionSwitch::new();
    let parts = [("timetable", true), ("picture", false), ("timetable", true)];
    let messages = stream::iter(parts).map({
        let switch = switch.clone();
        move |(part, compress)| {
            switch.set(compress);
            EchoRequest {
                message: part.repeat(100),
            }
        }
    });
    let mut request = Request::new(messages).with_compression(Compression::Gzip);
    request.options_mut().compression_switch = Some(switch);
    let target = format!("passthrough:///{}", server.address);
    let echo = EchoClient::new(Channel::builder(target).insecure().build()?);
    let reply = echo.client_streaming_echo(request).await?;
    println!("timetable, picture, timetable: {}", reply.message().message);
    Ok(())
}
