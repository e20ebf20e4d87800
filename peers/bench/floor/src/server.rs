//! The server's side: a task per connection answers all that one read brought with one write.

use bench_kit::Result;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::frame;

/// Serves echoes.
pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (io, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that is done just goes away.
            drop(connection(io).await);
        });
    }
}

async fn connection(mut io: TcpStream) -> Result<()> {
    io.set_nodelay(true)?;
    let (mut requests, mut replies) = (BytesMut::new(), BytesMut::new());
    loop {
        requests.reserve(64 * 1024);
        if io.read_buf(&mut requests).await? == 0 {
            return Ok(());
        }
        while let Some((number, message)) = frame::take(&mut requests)? {
            frame::put(number, &message, &mut replies)?;
        }
        io.write_all(&replies).await?;
        replies.clear();
    }
}
