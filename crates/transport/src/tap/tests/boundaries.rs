//! The tap and h2 must see the same frames: who finds a frame where the other sees a payload could be shown
//! anything. Both read here what a peer sends, and must come to the same.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use h2::RecvStream;
use highball_testkit::peer::{Frame, PREFACE, Peer, header_block};
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::{SETTINGS, frame, pair};
use crate::connect::BoxIo;
use crate::tap::scanner::kind;
use crate::tap::{Facts, Role};

/// What may come while a stream is open.
#[derive(Clone, Debug)]
enum Item {
    Data {
        data: Vec<u8>,
        padding: Option<u8>,
    },
    Ping([u8; 8]),
    /// A whole frame that changes nothing.
    Other(Vec<u8>),
}

fn item() -> impl Strategy<Value = Item> {
    let payload = || prop::collection::vec(any::<u8>(), 0..600);
    // What is between frames for one must not look like a frame to the other.
    let frames = || prop::collection::vec(Just(frame(kind::PING, 0, 0, &[7; 8])), 0..5);
    let payload = prop_oneof![payload(), frames().prop_map(|frames| frames.concat())];
    prop_oneof![
        3 => (payload.clone(), any::<Option<u8>>())
            .prop_map(|(data, padding)| Item::Data { data, padding }),
        2 => any::<[u8; 8]>().prop_map(Item::Ping),
        2 => (10..=255_u8, any::<u8>(), any::<u32>(), payload)
            .prop_map(|(kind, flags, stream, payload)| Item::Other(frame(kind, flags, stream, &payload))),
        1 => Just(Item::Other(frame(2, 0, 1, &[0, 0, 0, 9, 1]))),
        1 => (1..100_u8).prop_map(|n| Item::Other(frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, n]))),
        1 => (1..100_u8).prop_map(|n| Item::Other(frame(kind::SETTINGS, 0, 0, &[0x99, n, 1, 2, 3, 4]))),
    ]
}

impl Item {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Data { data, padding } => match padding {
                None => frame(kind::DATA, 0, 1, data),
                Some(length) => {
                    let padding = vec![0; usize::from(*length)];
                    let payload = [&[*length], &data[..], &padding].concat();
                    frame(kind::DATA, 8, 1, &payload)
                }
            },
            Self::Ping(payload) => frame(kind::PING, 0, 0, payload),
            Self::Other(bytes) => bytes.clone(),
        }
    }

    /// As flow control counts it.
    fn flow(&self) -> usize {
        match self {
            Self::Data { data, padding } => {
                data.len() + padding.map_or(0, |length| 1 + usize::from(length))
            }
            Self::Ping(_) | Self::Other(_) => 0,
        }
    }
}

/// Headers of stream 1, cut into a HEADERS and a CONTINUATION.
fn headers(fields: &[(&str, &str)], cut: usize) -> Vec<u8> {
    let block = header_block(fields);
    let (first, rest) = block.split_at(cut % block.len());
    let first = frame(kind::HEADERS, 0, 1, first);
    [first, frame(kind::CONTINUATION, 4, 1, rest)].concat()
}

const REQUEST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo.Echo/Echo"),
    (":authority", "server"),
];

/// What h2 makes of the bytes: the body of stream 1, and which PINGs it answers.
struct Seen {
    body: Vec<u8>,
    pongs: Vec<[u8; 8]>,
}

async fn collect(mut body: RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        all.extend_from_slice(&data.unwrap());
    }
    all
}

async fn pongs(peer: &mut Peer<BoxIo>, count: usize) -> Vec<[u8; 8]> {
    let mut pongs = Vec::new();
    while pongs.len() < count {
        match peer.frame().await {
            Some(Frame::Ping { ack: true, payload }) => pongs.push(payload),
            Some(_) => {}
            None => panic!("the connection ended: {peer:?}"),
        }
    }
    pongs
}

/// Sends the bytes in pieces.
async fn send(peer: &mut Peer<BoxIo>, bytes: &[u8], cuts: &[usize]) {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for cut in cuts.windows(2) {
        peer.send_bytes(&bytes[cut[0]..cut[1]]).await;
        tokio::task::yield_now().await;
    }
}

async fn at_the_server(
    bytes: &[u8],
    cuts: &[usize],
    pings: usize,
    facts: impl FnOnce(&Facts),
) -> Seen {
    let (tap, handle, far) = pair(Role::Server).await;
    let mut peer = Peer::silent(far);
    peer.send_bytes(PREFACE).await;
    peer.send_bytes(&SETTINGS).await;
    let mut h2 = h2::server::handshake(tap).await.unwrap();
    let (call, called) = oneshot::channel();
    let (mut call, mut calls) = (Some(call), Vec::new());
    let driving = poll_fn(|cx| {
        while let Poll::Ready(accepted) = h2.poll_accept(cx) {
            let (request, respond) = accepted.expect("it is open").unwrap();
            calls.push(respond);
            let call = call.take().expect("there is one call");
            let _ = call.send(request.into_body());
        }
        let _ = handle.poll_flush(cx);
        Poll::<Seen>::Pending
    });
    let seen = async {
        let body = async { collect(called.await.unwrap()).await };
        let speaking = async {
            send(&mut peer, bytes, cuts).await;
            pongs(&mut peer, pings).await
        };
        let (body, pongs) = tokio::join!(body, speaking);
        Seen { body, pongs }
    };
    let seen = tokio::select! { seen = seen => seen, seen = driving => seen };
    facts(handle.facts());
    seen
}

async fn at_the_client(
    bytes: &[u8],
    cuts: &[usize],
    pings: usize,
    facts: impl FnOnce(&Facts),
) -> Seen {
    let (tap, handle, far) = pair(Role::Client).await;
    let mut peer = Peer::silent(far);
    let (mut sender, mut h2) = h2::client::handshake::<_>(tap).await.unwrap();
    let request = http::Request::post("http://server/").body(()).unwrap();
    let (response, _stream) = sender.send_request(request, true).unwrap();
    let driving = poll_fn(|cx| {
        let polled = Pin::new(&mut h2).poll(cx);
        let _ = handle.poll_flush(cx);
        polled.map(|ended| panic!("it is open: {ended:?}"))
    });
    let seen = async {
        let body = async { collect(response.await.unwrap().into_body()).await };
        let speaking = async {
            peer.read_preface().await;
            peer.send_bytes(&SETTINGS).await;
            peer.headers().await;
            send(&mut peer, bytes, cuts).await;
            pongs(&mut peer, pings).await
        };
        let (body, pongs) = tokio::join!(body, speaking);
        Seen { body, pongs }
    };
    let seen = tokio::select! { seen = seen => seen, seen = driving => seen };
    facts(handle.facts());
    seen
}

proptest! {
    #[test]
    fn tap_and_h2_find_the_same_frames(
        items in prop::collection::vec(item(), 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        cut: usize,
        server: bool,
    ) {
        let fields: &[_] = if server { &REQUEST } else { &[(":status", "200")] };
        let mut bytes = headers(fields, cut);
        let (mut body, mut pings, mut flow) = (Vec::<u8>::new(), Vec::new(), 0);
        for item in &items {
            bytes.extend(item.encode());
            flow += item.flow();
            match item {
                Item::Data { data, .. } => body.extend(data),
                Item::Ping(payload) => pings.push(*payload),
                Item::Other(_) => {}
            }
        }
        bytes.extend(frame(kind::DATA, 1, 1, b"end"));
        body.extend(b"end");
        let count = pings.len();
        let facts = |facts: &Facts| {
            assert_eq!(facts.pings_received() as usize, count);
            assert_eq!(facts.data_received() as usize, flow + 3);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = runtime.block_on(async {
            match server {
                true => at_the_server(&bytes, &cuts, count, facts).await,
                false => at_the_client(&bytes, &cuts, count, facts).await,
            }
        });
        prop_assert!(seen.body == body, "{} bytes, not {}", seen.body.len(), body.len());
        prop_assert_eq!(seen.pongs, pings);
    }
}
