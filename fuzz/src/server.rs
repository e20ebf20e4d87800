//! A server, and a client that says anything.

use std::time::Duration;

use highball_channel::Channel;
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_testkit::peer::PREFACE;
use highball_testkit::{LeakCheck, alive_tasks};
use highball_transport::{Connector as _, MemoryNetwork};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{SETTINGS, framed};
use crate::paused;

const NAME: &str = "server:1";

/// What a client says: with an even first byte, behind its preface.
pub fn server_vs_bytes(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let opening = if first % 2 == 0 { PREFACE } else { b"" };
    let _ = paused(said(&[opening, bytes].concat(), usize::from(*first)));
}

/// What a client says in frames, behind its preface and SETTINGS; they are told as for [`frames`](crate::frames).
pub fn client_frames(data: &[u8]) {
    let Some((cut, rest)) = data.split_first() else {
        return;
    };
    let bytes = [PREFACE, &SETTINGS, &framed(rest)].concat();
    let _ = paused(said(&bytes, usize::from(*cut)));
}

/// A client that says this, in pieces. The server's answer.
async fn said(bytes: &[u8], cut: usize) -> Vec<u8> {
    let leaks = LeakCheck::start();
    let network = MemoryNetwork::new();
    let service = EchoServer::new(EchoWithAddress::new(NAME));
    let server = Server::builder().add_service(service).build();
    let serving = tokio::spawn(server.clone().serve(network.listen(NAME)));
    let mut io = network.connect(&NAME.into()).await.expect("it listens");
    let talking = async {
        for piece in bytes.chunks(cut.max(1)) {
            // The server may have enough of it before it has all.
            if io.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = io.shutdown().await;
        let mut answer = Vec::new();
        let _ = io.read_to_end(&mut answer).await;
        answer
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), talking).await;
    let answer = ended.expect("the server reads, and closes");
    drop(io);
    serves(&network).await;
    server.stop().await;
    serving
        .await
        .expect("it does not panic")
        .expect("it served");
    leaks.finish().await;
    assert_eq!((network.open_connections(NAME), alive_tasks()), (0, 0));
    answer
}

/// The next client is served.
async fn serves(network: &MemoryNetwork) {
    let channel = Channel::builder(format!("passthrough:///{NAME}"))
        .insecure()
        .connector(network.clone())
        .build()
        .expect("a legal target");
    let message = "on".to_owned();
    let reply = EchoClient::new(channel.clone())
        .unary_echo(EchoRequest { message })
        .await;
    assert!(reply.is_ok(), "{reply:?}");
    channel.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(answer: &[u8]) -> bool {
        let reply = b"x (from server:1)";
        answer.windows(reply.len()).any(|part| part == reply)
    }

    #[test]
    fn calls_are_answered() {
        let call = include_bytes!("../corpus/server_vs_bytes/call");
        for cut in [1, 1000] {
            let answer = paused(said(&[PREFACE, &call[1..]].concat(), cut));
            assert!(is_answered(&answer), "{answer:?}");
        }
        for calls in [
            &include_bytes!("../corpus/client_frames/call")[..],
            include_bytes!("../corpus/client_frames/in_pieces"),
            include_bytes!("../corpus/client_frames/unknown_between"),
        ] {
            let bytes = [PREFACE, &SETTINGS, &framed(&calls[1..])].concat();
            let answer = paused(said(&bytes, 7));
            assert!(is_answered(&answer), "{answer:?}");
        }
    }
}
