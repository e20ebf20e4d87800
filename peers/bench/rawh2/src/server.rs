//! The server's side: a task per connection, a task per call.

use bench_kit::{Echo, Result};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tokio::net::{TcpListener, TcpStream};

use crate::framing::{self, Messages};
use crate::settings;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Serves `bench.Echo`.
pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (io, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that is done just goes away.
            drop(connection(io).await);
        });
    }
}

async fn connection(io: TcpStream) -> Result<()> {
    io.set_nodelay(true)?;
    let handshake = h2::server::Builder::new()
        .initial_window_size(settings::STREAM_WINDOW)
        .initial_connection_window_size(settings::CONNECTION_WINDOW)
        .handshake(io);
    let mut connection = handshake.await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(call(request, respond));
    }
    Ok(())
}

async fn call(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<()> {
    let mut response = Response::new(());
    let content_type = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let (head, body) = request.into_parts();
    let mut requests = Messages::new(body);
    let mut stream = match head.uri.path() {
        "/bench.Echo/Unary" => {
            let message = requests.next().await?.ok_or("no request")?;
            let mut stream = respond.send_response(response, false)?;
            stream.send_data(framing::frame(&message)?, false)?;
            stream
        }
        "/bench.Echo/ServerStream" => {
            let message = requests.next().await?.ok_or("no request")?;
            let mut stream = respond.send_response(response, false)?;
            let replies = (0..message.replies).map(|_| message.clone());
            framing::send_packed(replies, &mut stream).await?;
            stream
        }
        "/bench.Echo/ClientStream" => {
            let mut last = Echo::default();
            while let Some(message) = requests.next().await? {
                last = message;
            }
            let mut stream = respond.send_response(response, false)?;
            stream.send_data(framing::frame(&last)?, false)?;
            stream
        }
        _ => {
            let mut stream = respond.send_response(response, false)?;
            while let Some(message) = requests.next().await? {
                stream.send_data(framing::frame(&message)?, false)?;
            }
            stream
        }
    };
    finish(&mut stream)
}

fn finish(stream: &mut SendStream<Bytes>) -> Result<()> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    Ok(stream.send_trailers(trailers)?)
}
