//! What the two ends of a connection ask of their sockets, as the system has it afterwards.

#![cfg(any(target_os = "linux", target_os = "android"))]

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use highball_core::{Address, Attributes, ThroughProxy};
use highball_transport::client::{self, ClientOptions};
use highball_transport::server::{self, ServerConnection, ServerOptions};
use highball_transport::{BoxIo, Connector};
use socket2::{SockRef, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);

/// Connects as usual, and keeps a hand on each socket.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Socket>>);

impl Connector for Kept {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address.text()).await?;
            let hand = SockRef::from(&stream).try_clone()?;
            self.0.lock().expect("no holder panics").push(hand);
            Ok(Box::new(stream) as BoxIo)
        })
    }
}

/// `TCP_USER_TIMEOUT` at a client and a server with these options, once they are connected; through a proxy, it may be.
async fn user_timeouts(
    options: &ClientOptions,
    served: ServerOptions,
    is_proxied: bool,
) -> [Option<Duration>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut address = Address::from(listener.local_addr().expect("it listens"));
    if is_proxied {
        let proxy = ThroughProxy::new(address.text());
        let attributes = Attributes::default().with(proxy);
        address = Address::tcp("server.test:1").with_attributes(attributes);
    }
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        if is_proxied {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a CONNECT"));
            }
            let granted = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            granted.expect("the client reads");
        }
        let hand = SockRef::from(&stream).try_clone().expect("descriptors");
        let connection = ServerConnection::handshake(Box::new(stream), &served).await;
        (connection.expect("a client of HTTP/2"), hand)
    });
    let kept = Kept::default();
    let connected = client::connect(&kept, &address, options).await;
    let connected = connected.expect("a server of HTTP/2");
    let (connection, at_server) = serving.await.expect("no panic");
    let at_client = kept.0.lock().expect("no holder panics").remove(0);
    drop((connection, connected));
    [at_client, at_server].map(|socket| socket.tcp_user_timeout().expect("the system knows it"))
}

#[tokio::test]
async fn a18_keepalives_time_out_bounds_what_may_stay_unacknowledged() {
    let mut asking = ClientOptions::default();
    asking.keepalive = Some(client::Keepalive {
        time: 30 * SECOND,
        timeout: 7 * SECOND,
        permit_without_stream: false,
    });
    let mut watchful = ServerOptions::default();
    watchful.keepalive = Some(server::Keepalive {
        time: 60 * SECOND,
        timeout: 11 * SECOND,
    });
    let mut trusting = ServerOptions::default();
    trusting.keepalive = None;
    let plain = ClientOptions::default;
    let [seven, eleven, twenty] = [7, 11, 20].map(|seconds| Some(seconds * SECOND));
    let both = user_timeouts(&asking, watchful, false).await;
    assert_eq!(both, [seven, eleven]);
    let neither = user_timeouts(&plain(), trusting.clone(), false).await;
    assert_eq!(neither, [None, None], "as the system has it");
    let by_default = user_timeouts(&plain(), ServerOptions::default(), false).await;
    assert_eq!(by_default, [None, twenty]);
    #[cfg(feature = "proxy")]
    {
        let proxied = user_timeouts(&asking, trusting, true).await;
        assert_eq!(proxied, [seven, None], "the way to the proxy");
    }
}
