//! A call that starts at the very moment the channel goes idle, on another thread.
//!
//! The channel says in its log that it enters idle mode. Whoever reads the log here holds it up at that line
//! until a call has found the connection that is about to go.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::Server;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const LONG: Duration = Duration::from_secs(20);

/// Holds up the first that enters idle mode.
struct HeldUp(Mutex<Option<(Sender<()>, Receiver<()>)>>);

struct IsEntering(bool);

impl Visit for IsEntering {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 |= field.name() == "message" && format!("{value:?}") == "entering idle mode";
    }
}

impl Subscriber for HeldUp {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "channel"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut is_entering = IsEntering(false);
        event.record(&mut is_entering);
        if !is_entering.0 {
            return;
        }
        if let Some((entering, go_on)) = self.0.lock().expect("no holder panics").take() {
            entering.send(()).expect("the test waits for it");
            go_on
                .recv_timeout(LONG)
                .expect("the call finds a connection");
        }
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn message(text: &str) -> EchoRequest {
    EchoRequest {
        message: text.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_starts_while_the_channel_goes_idle_is_not_cut() {
    let ((entering, entered), (go_on, held_up)) = (channel(), channel());
    let held_up = HeldUp(Mutex::new(Some((entering, held_up))));
    tracing::subscriber::set_global_default(held_up).expect("there is no other test here");

    let network = MemoryNetwork::new();
    let server = Server::builder()
        .add_service(EchoServer::new(EchoWithAddress::new("a:1")))
        .build();
    tokio::spawn(server.clone().serve(network.listen("a:1")));
    let channel = Channel::builder("passthrough:///a:1")
        .insecure()
        .connector(network.clone())
        .idle_timeout(Some(Duration::from_millis(10)))
        .build()
        .unwrap();
    channel.wait_ready(LONG).await.unwrap();

    entered.recv_timeout(LONG).expect("the channel goes idle");
    let (requests, stream) = highball_channel::messages();
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo
        .bidirectional_streaming_echo(Request::new(stream))
        .await
        .unwrap();
    requests.send(message("one")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    go_on.send(()).unwrap();

    // The channel has been idle by the time it connects again, for the call's sake.
    let connected_again = async {
        while network.connections("a:1") < 2 {
            tokio::task::yield_now().await;
        }
    };
    let connected_again = tokio::time::timeout(LONG, connected_again).await;
    connected_again.expect("the call has woken the channel");
    requests.send(message("two")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    drop(requests);
    assert!(replies.message().await.unwrap().is_none());
    channel.close().await;
    server.stop().await;
}
