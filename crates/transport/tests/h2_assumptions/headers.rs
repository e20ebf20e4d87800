//! Header lists: too large, too many, malformed.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use highball_testkit::peer::{Frame, header_block};

use crate::rig::{Client, Server, goaway, settle};

const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Trailers with these fields, in HEADERS and one CONTINUATION.
fn trailers(stream: u32, fields: &[(&str, &str)]) -> [Frame; 2] {
    let block = header_block(fields);
    let (first, rest) = block.split_at(16_000);
    [(1, 1, first), (9, 4, rest)].map(|(kind, flags, piece)| Frame::Other {
        kind,
        flags,
        stream,
        payload: Bytes::copy_from_slice(piece),
    })
}

#[tokio::test(start_paused = true)]
async fn e6_trailers_over_the_limit_come_as_good_ones_that_lack_what_did_not_fit() {
    let filler = "v".repeat(1000);
    for status_first in [false, true] {
        let mut client = Client::with(&[], |builder| {
            builder.max_header_list_size(16 * 1024);
        })
        .await;
        let (stream, mut body, _send) = client.call().await;
        let mut fields = vec![("k", filler.as_str()); 20];
        fields.insert(if status_first { 0 } else { 20 }, ("grpc-status", "0"));
        client.peer.send_all(trailers(stream, &fields)).await;
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.contains_key("grpc-status"), status_first);
        assert!(trailers.len() < 21, "{} fields", trailers.len());
        client.ready().await.unwrap();
    }
}

/// How a call ends that is answered with these headers, and whether the connection is still there.
async fn answered_with(fields: &[(&str, &str)], end: bool) -> (h2::Error, bool) {
    let mut client = Client::new(&[]).await;
    let (response, _send) = client.request();
    let stream = client.peer.headers().await;
    client.peer.send(Frame::headers(stream, fields, end)).await;
    let error = response.await.unwrap_err();
    settle().await;
    (error, !client.connection.is_finished())
}

#[tokio::test(start_paused = true)]
async fn status_a_response_without_one_is_a_reset_and_one_that_is_no_number_ends_the_connection() {
    for (fields, end) in [
        (&[("k", "v")][..], false),
        (&[("k", "v")], true),
        (&[(":status", "103")], true),
    ] {
        let (error, is_open) = answered_with(fields, end).await;
        assert!(
            error.is_reset() && error.is_library() && is_open,
            "{fields:?}: {error}"
        );
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
    }
    let (error, is_open) = answered_with(&[(":status", "abc")], false).await;
    assert!(
        error.is_go_away() && error.is_library() && !is_open,
        "{error}"
    );
    assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
}

/// What a client is told with GOAWAY that asks with this in place of, or behind, what every request has.
async fn goaway_for(field: (&str, &str)) -> Option<(u32, String)> {
    let mut fields = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/echo.Echo/Echo"),
    ];
    match fields.iter_mut().find(|(name, _)| *name == field.0) {
        Some(same) => *same = field,
        None => fields.push(field),
    }
    let Server { mut h2, mut peer } = Server::new(|_| {}).await;
    tokio::spawn(async move { while let Some(Ok(_)) = h2.accept().await {} });
    peer.send(Frame::headers(1, &fields, true)).await;
    let frames = peer.within(Duration::from_secs(1)).await;
    frames.iter().find_map(goaway)
}

#[tokio::test(start_paused = true)]
async fn fields_that_http_forbids_end_the_connection_and_not_only_their_stream() {
    let forbidden = [
        ("k", "a\nb"),
        ("k", "\u{7f}"),
        ("Upper", "v"),
        ("a b", "v"),
        ("", "v"),
    ];
    for field in forbidden {
        let (error, is_open) = answered_with(&[(":status", "200"), field], false).await;
        assert!(error.is_go_away() && !is_open, "{field:?}: {error}");
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
    }
    for field in forbidden.into_iter().chain([(":method", "a b")]) {
        let told = goaway_for(field).await;
        assert_eq!(told, Some((1, String::new())), "{field:?}");
    }
    assert_eq!(goaway_for(("k", "v")).await, None);
    assert_eq!(goaway_for((":path", "a b")).await, None);
}

#[tokio::test(start_paused = true)]
async fn e19_any_number_of_interim_responses_waits_for_who_does_not_look() {
    let mut client = Client::new(&[]).await;
    let (response, _send) = client.request();
    let stream = client.peer.headers().await;
    let interim = Frame::headers(stream, &[(":status", "103"), ("k", "v")], false);
    for _ in 0..50 {
        client.peer.send_all(vec![interim.clone(); 100]).await;
        settle().await;
    }
    assert!(!client.connection.is_finished());
    client.ready().await.unwrap();
    client.peer.send(crate::rig::answer(stream)).await;
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn list_the_peers_limit_is_not_kept_to() {
    let mut client = Client::new(&[(MAX_HEADER_LIST_SIZE, 100)]).await;
    let mut request = http::Request::post("http://server/").body(()).unwrap();
    let large = "v".repeat(1000).parse().unwrap();
    request.headers_mut().insert("k", large);
    let _call = client.send.clone().send_request(request, true).unwrap();
    client.peer.headers().await;
}
