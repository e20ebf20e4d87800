//! Keepalive at the server and its enforcement (gRFC A8), idle and old connections (gRFC A9).

use std::time::Duration;

use highball_server::{EnforcementPolicy, Keepalive};
use tokio::time::Instant;

use crate::support::client::framed;
use crate::support::raw::{self, ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING};
use crate::support::{World, settle};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const ENHANCE_YOUR_CALM: u32 = 11;
const NEVER: u32 = 0x7fff_ffff;

/// What comes up to the end of the connection, and when each frame came, in seconds.
async fn rest(peer: &mut raw::Peer) -> Vec<(u64, Frame)> {
    let start = Instant::now();
    let mut frames = Vec::new();
    while let Some(frame) = peer.next().await {
        frames.push((start.elapsed().as_secs(), frame));
    }
    frames
}

/// Opens a call that goes on until it is ended.
async fn open(peer: &mut raw::Peer, stream: u32) {
    let block = raw::call("Collect");
    peer.frame(HEADERS, END_HEADERS, stream, &block).await;
    settle().await;
}

/// Sends PINGs so far apart until the connection ends; how many were sent, and the server's reason.
async fn ping_on(peer: &mut raw::Peer, apart: Duration, most: u32) -> Option<(u32, Vec<u8>)> {
    for sent in 1..=most {
        peer.frame(PING, 0, 0, &[7; 8]).await;
        let next = tokio::time::timeout(apart, peer.next()).await;
        match next {
            Ok(Some(frame)) if frame.kind == GOAWAY => {
                assert_eq!(frame.code(), ENHANCE_YOUR_CALM);
                assert_eq!(peer.next().await, None, "closed at once");
                return Some((sent, frame.payload[8..].to_vec()));
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn the_fourth_ping_in_a_hurry_is_one_too_many_with_and_without_calls() {
    let world = World::new();
    for with_call in [true, false] {
        let mut peer = world.raw().await;
        if with_call {
            open(&mut peer, 1).await;
        }
        let ended = ping_on(&mut peer, MINUTE, 10).await;
        assert_eq!(ended, Some((4, b"too_many_pings".to_vec())));
        drop(peer);
        settle().await;
        assert_eq!(world.seen.running(), 0, "the call is cut");
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_obey_may_ask_for_ever() {
    let world = World::new();
    let mut peer = world.raw().await;
    open(&mut peer, 1).await;
    assert_eq!(ping_on(&mut peer, 6 * MINUTE, 15).await, None);
    drop(peer);
    let mut quiet = world.raw().await;
    let asked = ping_on(&mut quiet, 6 * MINUTE, 15).await;
    assert_eq!(asked.unwrap().0, 4, "two hours without calls");
    drop(quiet);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_permit_more() {
    let world = World::with(|builder| {
        builder.enforcement_policy(EnforcementPolicy {
            min_time: 10 * SECOND,
            permit_without_stream: true,
        })
    });
    let mut peer = world.raw().await;
    assert_eq!(ping_on(&mut peer, 10 * SECOND, 100).await, None);
    assert!(ping_on(&mut peer, 9 * SECOND, 100).await.is_some());
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn strikes_are_forgiven_when_the_server_sends_something() {
    let world = World::new();
    let mut peer = world.raw().await;
    for call in 0..10 {
        for _ in 0..3 {
            peer.frame(PING, 0, 0, &[7; 8]).await;
            settle().await;
        }
        let stream = 1 + 2 * call;
        let block = raw::call("Echo");
        peer.frame(HEADERS, END_HEADERS, stream, &block).await;
        let message = framed(&"hi".to_owned());
        peer.frame(DATA, END_STREAM, stream, &message).await;
        for _ in 0..3 {
            assert_eq!(peer.next().await.unwrap().stream, stream);
        }
    }
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_asked_after_two_hours_and_let_go() {
    let world = World::new();
    let mut peer = world.raw().await;
    open(&mut peer, 1).await;
    let frames = rest(&mut peer).await;
    let [(asked, ping)] = &frames[..] else {
        panic!("{frames:?}");
    };
    assert_eq!((*asked, ping.kind), (2 * 60 * 60 - 1, PING));
    drop(peer);
    settle().await;
    assert_eq!(world.seen.running(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_stays_and_one_that_does_not_goes_in_time() {
    let (time, timeout) = (SECOND, 5 * SECOND);
    let world = World::with(|builder| builder.keepalive(Some(Keepalive { time, timeout })));
    let mut peer = world.raw().await;
    let start = Instant::now();
    for asked in 1..=20 {
        let ping = peer.next().await.unwrap();
        assert_eq!((ping.kind, start.elapsed().as_secs()), (PING, asked));
        peer.frame(PING, ACK, 0, &ping.payload).await;
    }
    let frames = rest(&mut peer).await;
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(start.elapsed().as_secs(), 26);
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_asked_to_go_and_a_busy_one_is_not() {
    let world = World::with(|builder| builder.max_connection_idle(10 * SECOND));
    let mut peer = world.raw().await;
    open(&mut peer, 1).await;
    tokio::time::sleep(30 * SECOND).await;
    let message = framed(&"hi".to_owned());
    peer.frame(DATA, END_STREAM, 1, &message).await;
    for _ in 0..3 {
        assert_eq!(peer.next().await.unwrap().stream, 1);
    }
    let frames = rest(&mut peer).await;
    let (after, goaway) = &frames[0];
    assert_eq!((*after, goaway.kind, goaway.code()), (10, GOAWAY, 0));
    assert_eq!(goaway.last_stream(), NEVER);
    assert_eq!(goaway.payload[8..], *b"max_idle");
    assert_eq!(frames.last().unwrap().0, 15, "the second, unanswered");
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_goes_and_its_calls_have_the_grace_from_the_second_goaway() {
    let world = World::with(|builder| builder.max_connection_age(100 * SECOND, 20 * SECOND));
    let mut peer = world.raw().await;
    let start = Instant::now();
    open(&mut peer, 1).await;
    let goaway = peer.next().await.unwrap();
    assert_eq!((goaway.kind, goaway.code()), (GOAWAY, 0));
    assert_eq!(goaway.payload[8..], *b"max_age");
    let age = start.elapsed().as_secs();
    assert!((90..=110).contains(&age), "{age}");
    assert_eq!(peer.next().await.unwrap().kind, GOAWAY, "h2's");
    let ping = peer.next().await.unwrap();
    tokio::time::sleep(3 * SECOND).await;
    peer.frame(PING, ACK, 0, &ping.payload).await;
    let second = peer.next().await.unwrap();
    assert_eq!((second.kind, second.last_stream()), (GOAWAY, 1));
    let told = Instant::now();
    rest(&mut peer).await;
    let grace = told.elapsed().as_secs();
    assert!((20..=21).contains(&grace), "{grace}");
    drop(peer);
    settle().await;
    assert_eq!(world.seen.running(), 0, "the call is cut");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn grace_begins_even_for_a_client_that_never_says_it_knows() {
    let world = World::with(|builder| builder.max_connection_age(100 * SECOND, 20 * SECOND));
    let mut peer = world.raw().await;
    open(&mut peer, 1).await;
    assert_eq!(peer.next().await.unwrap().kind, GOAWAY);
    let frames = rest(&mut peer).await;
    let seconds: Vec<_> = frames
        .iter()
        .filter(|(_, frame)| frame.kind == GOAWAY)
        .map(|(after, _)| *after)
        .collect();
    assert_eq!(seconds, [0, 5, 25], "h2's, the second, and the end");
    drop(peer);
    world.end().await;
}
