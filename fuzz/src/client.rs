//! A client's connection, and a server that says anything.

use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use highball_core::{Code, Status};
use highball_testkit::LeakCheck;
use highball_testkit::peer::{Frame, Peer};
use highball_transport::client::{ClientOptions, Connection, RecvHalf, RequestHead, connect};
use highball_transport::{BoxIo, MemoryNetwork, framing};

use crate::paused;

/// The first that either end says.
pub(crate) const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What a server says behind its SETTINGS.
pub fn client_vs_bytes(data: &[u8]) {
    let (cut, bytes) = data
        .split_first()
        .map_or((0, data), |(cut, rest)| (*cut, rest));
    let _ = paused(said(bytes, usize::from(cut)));
}

/// Frames: kind, flags, stream and length from four bytes, the payload behind them. The first byte says
/// where the bytes are cut.
pub fn frames(data: &[u8]) {
    let Some((cut, rest)) = data.split_first() else {
        return;
    };
    let _ = paused(said(&framed(rest), usize::from(*cut)));
}

pub(crate) fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [kind, flags, stream, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        bytes.put_uint(payload.len() as u64, 3);
        bytes.put_slice(&[kind % 12, *flags, 0, 0, 0, stream % 6]);
        bytes.put_slice(payload);
        rest = tail;
    }
    bytes
}

/// Two calls, then what the server says, in pieces. Every call ends, and nothing is left. How many messages
/// each brought, and whether it ended well.
async fn said(bytes: &[u8], cut: usize) -> Vec<(usize, bool)> {
    let leaks = LeakCheck::start();
    let (connection, mut peer) = connected().await;
    let calls = [
        call(&connection, &mut peer).await,
        call(&connection, &mut peer).await,
    ];
    let calls = calls.map(|mut recv| {
        tokio::spawn(async move {
            let mut messages = 0;
            while let Ok(Some(payload)) = recv.message().await {
                assert!(payload.len() <= framing::DEFAULT_RECEIVE_LIMIT);
                messages += 1;
            }
            let again = recv.message().await;
            assert!(!matches!(again, Ok(Some(_))), "it had ended");
            (messages, again.is_ok())
        })
    });
    for piece in bytes.chunks(cut.max(1)) {
        peer.send_bytes(piece).await;
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(peer);
    let mut outcomes = Vec::new();
    for call in calls {
        let ended = tokio::time::timeout(Duration::from_secs(5), call).await;
        outcomes.push(ended.expect("every call ends").expect("no call panics"));
    }
    assert_eq!(connection.streams(), 0);
    drop(connection);
    leaks.finish().await;
    outcomes
}

/// The bytes of `grpc-message`.
pub fn grpc_message(data: &[u8]) {
    let Some(status) = paused(trailers(&[(b"grpc-status", b"5"), (b"grpc-message", data)])) else {
        return;
    };
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, &*decoded(data))
    );
}

/// Percent-decoding in the plainest way.
fn decoded(data: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut index = 0;
    while index < data.len() {
        let digits = data
            .get(index + 1..index + 3)
            .filter(|digits| data[index] == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                index += 3;
            }
            None => {
                bytes.push(data[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The fields of trailers: a byte for the name, one for the length, the value.
pub fn status_trailers(data: &[u8]) {
    const NAMES: [&[u8]; 6] = [
        b"grpc-status",
        b"grpc-message",
        b"grpc-status-details-bin",
        b"k-bin",
        b"k",
        b":status",
    ];
    let mut fields = Vec::new();
    let mut rest = data;
    while let [name, length, tail @ ..] = rest {
        let (value, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        fields.push((NAMES[usize::from(*name) % NAMES.len()], value));
        rest = tail;
    }
    let Some(status) = paused(trailers(&fields)) else {
        return;
    };
    let mut codes = fields.iter().filter(|(name, _)| *name == b"grpc-status");
    let (first, second) = (codes.next(), codes.next());
    if status.code() == Code::Ok {
        let said = first.expect("no status is no success").1;
        assert!(said.iter().all(|digit| *digit == b'0'), "{said:?}");
        assert!(second.is_none(), "two of them are none");
    }
}

/// The status of a call that ends with these trailers; `None` if HTTP/2 has none of them.
async fn trailers(fields: &[(&[u8], &[u8])]) -> Option<Status> {
    let (connection, mut peer) = connected().await;
    let mut recv = call(&connection, &mut peer).await;
    let open = [(":status", "200"), ("content-type", "application/grpc")];
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is not indexed, its lengths in seven bits and more.
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                block.push(length as u8);
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push((length % 128) as u8 | 128);
                    length /= 128;
                }
                block.push(length as u8);
            }
            block.extend_from_slice(text);
        }
    }
    if block.len() > 16_000 {
        return None;
    }
    let end = Frame::Headers {
        stream: 1,
        block: block.into(),
        end: true,
    };
    peer.send_all([Frame::headers(1, &open, false), end]).await;
    let ended = tokio::time::timeout(Duration::from_secs(5), recv.message()).await;
    match ended.expect("the call ends") {
        Ok(message) => {
            assert_eq!(message, None);
            Some(Status::ok())
        }
        // h2 has refused the fields, or the connection with them.
        Err(ended) if ended.status.message().starts_with("received invalid") => None,
        Err(ended)
            if ended.status.code() == Code::Unavailable
                && ended.status.message().contains("connection") =>
        {
            None
        }
        Err(ended) => Some(ended.status),
    }
}

async fn connected() -> (Connection, Peer<BoxIo>) {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    let address = "server".into();
    let options = ClientOptions::default();
    let connecting = connect(&network, &address, &options);
    let serving = async {
        let io = listener.accept().await.expect("the client connects");
        let mut peer = Peer::silent(io);
        peer.send_bytes(&SETTINGS).await;
        peer.read_preface().await;
        peer
    };
    let (connected, peer) = tokio::join!(connecting, serving);
    (connected.expect("there are SETTINGS").0, peer)
}

/// A call that has said all it has to say, which the server has heard.
async fn call(connection: &Connection, peer: &mut Peer<BoxIo>) -> RecvHalf {
    let slot = connection.slot().await.expect("100 streams are free");
    let authority = "server".parse().expect("a name");
    let path = "/echo.Echo/Echo".parse().expect("a path");
    let (mut send, recv) = connection
        .open(slot, RequestHead::new(authority, path))
        .expect("the connection is new");
    let message = framing::encode(1, usize::MAX, |buffer| buffer.put_slice(b"x"));
    let message: Bytes = message.expect("it is small");
    send.send(message, true)
        .await
        .expect("the connection is new");
    peer.until(|frame| matches!(frame, Frame::Data { end: true, .. }))
        .await;
    recv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_arrive() {
        let said =
            |fields: &[(&[u8], &[u8])]| paused(trailers(fields)).map(|status| status.to_string());
        let fields: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"5"), (b"grpc-message", b"a%20b")];
        assert_eq!(said(&fields).as_deref(), Some("NOT_FOUND: a b"));
        assert_eq!(said(&[(b"grpc-status", b"0")]).as_deref(), Some("OK"));
        assert_eq!(said(&[(b"Upper", b"case")]), None);
    }

    #[test]
    fn answers_arrive() {
        let good = include_bytes!("../corpus/client_vs_bytes/good_answer");
        assert_eq!(paused(said(&good[1..], 1)), [(1, true), (0, false)]);
        let good = include_bytes!("../corpus/frames/good_answer");
        assert_eq!(
            paused(said(&framed(&good[1..]), 7)),
            [(1, true), (0, false)]
        );
    }

    #[test]
    fn percent_decoding_is_plain() {
        assert_eq!(decoded(b"50%25 %4 %G0 %e2%98%ba%"), "50% %4 %G0 \u{263a}%");
    }
}
