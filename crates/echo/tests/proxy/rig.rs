//! An HTTP proxy, and the echo server that it leads to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use highball_channel::resolver::ProxySettings;
use highball_channel::transport::{BoxIo, Connector};
use highball_channel::{Address, ChannelBuilder, Request, Status};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::{Listener, Server, ServerBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How a proxy answers who asks it for a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    Tunnels,
    /// The same, a byte in this time.
    Trickles(Duration),
    /// Says this and closes.
    Says(&'static str),
    /// Says nothing and keeps the connection.
    Mute,
}

/// A proxy that leads to one server, whatever it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    manner: Arc<Mutex<Manner>>,
    /// What it was asked, each with its headers.
    requests: Arc<Mutex<Vec<String>>>,
    network: Arc<dyn Connector>,
    server: Address,
}

impl Proxy {
    /// Runs until the test's runtime is dropped.
    pub(crate) fn start(
        mut listener: impl Listener,
        manner: Manner,
        network: impl Connector,
        server: Address,
    ) -> Self {
        let proxy = Self {
            manner: Arc::new(Mutex::new(manner)),
            requests: Arc::default(),
            network: Arc::new(network),
            server,
        };
        let running = proxy.clone();
        tokio::spawn(async move {
            while let Ok(io) = listener.accept().await {
                let proxy = running.clone();
                tokio::spawn(async move { proxy.answer(io).await });
            }
        });
        proxy
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().expect("no panic") = manner;
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    /// The first line of what it was asked so far.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let first = |request: &String| request.lines().next().unwrap_or_default().to_owned();
        self.requests().iter().map(first).collect()
    }

    /// Ends with the connection, whoever ends that.
    async fn answer(&self, mut client: BoxIo) -> Option<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(client.read_u8().await.ok()?);
        }
        let request = String::from_utf8(request).expect("ASCII");
        self.requests.lock().expect("no panic").push(request);
        let manner = *self.manner.lock().expect("no panic");
        let established = "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n";
        match manner {
            Manner::Says(words) => return client.write_all(words.as_bytes()).await.ok(),
            Manner::Mute => std::future::pending().await,
            Manner::Tunnels => client.write_all(established.as_bytes()).await.ok()?,
            Manner::Trickles(pause) => {
                for byte in established.bytes() {
                    tokio::time::sleep(pause).await;
                    client.write_all(&[byte]).await.ok()?;
                }
            }
        }
        let mut server = self.network.connect(&self.server).await.ok()?;
        let copied = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        copied.ok().map(drop)
    }
}

/// An echo server behind `listener`; where it is.
pub(crate) fn serve(listener: impl Listener, builder: ServerBuilder) -> Address {
    let at = listener.local_addr();
    let service = EchoServer::new(EchoWithAddress::new("behind the proxy"));
    tokio::spawn(builder.add_service(service).serve(listener));
    at
}

pub(crate) fn plain() -> ServerBuilder {
    Server::builder()
}

pub(crate) fn through(proxy: &Address) -> ProxySettings {
    ProxySettings::new(&format!("http://me:s%40cret@{proxy}")).expect("a good proxy")
}

/// A client of the channel that `builder` builds.
pub(crate) fn client(builder: ChannelBuilder) -> EchoClient {
    EchoClient::new(builder.build().expect("a channel"))
}

pub(crate) async fn echo(client: &EchoClient) -> Result<String, Status> {
    let message = "through".to_owned();
    let request = Request::new(EchoRequest { message }).with_timeout(Duration::from_secs(60));
    let reply = client.unary_echo(request).await?;
    Ok(reply.into_message().message)
}
