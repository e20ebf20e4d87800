//! Several connections to one address (gRFC A105).

use std::time::Duration;

use highball_transport::client::Connection;

use crate::rig::{ADDRESS, Fixture, GOAWAY, accept, say, settle, streams};

#[tokio::test(start_paused = true)]
async fn by_default_there_is_one_connection_and_calls_wait_for_it() {
    let (mut fixture, _listener, _io) = Fixture::scaled(1, 1).await;
    let first = fixture.stream().await;
    let second = fixture.call().await;
    assert!(second.waits().await);
    drop(first);
    second.served().await;
    assert_eq!(fixture.network.connections(ADDRESS), 1);
    assert_eq!(fixture.said().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_free_stream_makes_one_more_connection() {
    let (mut fixture, mut listener, _io) = Fixture::scaled(2, 2).await;
    let held = [fixture.stream().await, fixture.stream().await];
    assert!(held[0].0.is(&held[1].0));
    assert_eq!(fixture.network.connections(ADDRESS), 1);
    let third = fixture.call().await;
    let _another = accept(&mut listener, 2).await;
    let (connection, _slot) = third.served().await;
    assert!(!connection.is(&held[0].0));
    assert_eq!(fixture.said().await, "+1", "it was READY all along");
    assert_eq!(fixture.streams(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_connection_with_a_free_stream_wins() {
    let (fixture, mut listener, _io) = Fixture::scaled(3, 1).await;
    let mut held = vec![fixture.stream().await];
    let mut servers = Vec::new();
    for _ in 0..2 {
        let next = fixture.call().await;
        servers.push(accept(&mut listener, 1).await);
        held.push(next.served().await);
    }
    assert_eq!(fixture.streams(), [1, 1, 1]);
    let connections: Vec<Connection> = fixture.link().connections();
    // The two younger ones have a stream each; whoever comes gets the older of them.
    drop(held.drain(1..));
    held.push(fixture.stream().await);
    assert!(held[1].0.is(&connections[1]));
    // So it is for who waits, whichever comes free first.
    held.push(fixture.stream().await);
    let waiting = fixture.call().await;
    held.clear();
    assert!(waiting.served().await.0.is(&connections[0]));
}

#[tokio::test(start_paused = true)]
async fn at_most_one_attempt_is_in_flight_and_the_next_follows_if_it_brings_too_few_streams() {
    let (fixture, mut listener, _io) = Fixture::scaled(4, 1).await;
    let _first = fixture.stream().await;
    let waiting = [
        fixture.call().await,
        fixture.call().await,
        fixture.call().await,
    ];
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.network.connections(ADDRESS), 2);
    let mut servers = Vec::new();
    let mut held = Vec::new();
    for (more, call) in waiting.into_iter().enumerate() {
        assert!(call.waits().await);
        assert_eq!(fixture.network.connections(ADDRESS), 2 + more);
        servers.push(accept(&mut listener, 1).await);
        held.push(call.served().await);
    }
    assert_eq!(fixture.streams(), [1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_than_are_allowed_and_no_more_than_the_cap() {
    for (allowed, expected) in [(2, 2), (4, 4), (1000, 4)] {
        let (fixture, mut listener, _io) = Fixture::scaled(allowed, 1).await;
        let mut held = vec![fixture.stream().await];
        let mut servers = Vec::new();
        for _ in 1..expected {
            let call = fixture.call().await;
            servers.push(accept(&mut listener, 1).await);
            held.push(call.served().await);
        }
        let one_too_many = fixture.call().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(one_too_many.waits().await);
        assert_eq!(fixture.network.connections(ADDRESS), expected);
        held.pop();
        one_too_many.served().await;
    }
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served_and_nobody_overtakes() {
    let (fixture, mut listener, _io) = Fixture::scaled(2, 2).await;
    let mut held = vec![fixture.stream().await, fixture.stream().await];
    let third = fixture.call().await;
    let _server = accept(&mut listener, 2).await;
    held.push(third.served().await);
    held.push(fixture.stream().await);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(fixture.call().await);
    }
    // Whichever connection it is that has a stream.
    for place in [3, 0, 2, 1] {
        let first = waiting.remove(0);
        drop(held.remove(place));
        let late = fixture.call().await;
        held.insert(place, first.served().await);
        assert!(late.waits().await);
        waiting.push(late);
    }
    for left in &waiting {
        assert!(left.waits().await);
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_makes_way_for_the_next() {
    let (fixture, mut listener, _io) = Fixture::scaled(2, 1).await;
    let first = fixture.stream().await;
    let [second, third, fourth] = [
        fixture.call().await,
        fixture.call().await,
        fixture.call().await,
    ];
    second.gives_up().await;
    let _server = accept(&mut listener, 1).await;
    let held = third.served().await;
    // A stream that comes free in the same moment goes to who is still there.
    drop(first);
    fourth.gives_up().await;
    assert_eq!(fixture.streams(), [0, 1]);
    drop(held);
    assert_eq!(fixture.streams(), [0, 0]);
    fixture.stream().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_leaves_the_others() {
    let (mut fixture, mut listener, io) = Fixture::scaled(2, 1).await;
    let first = fixture.stream().await;
    let second = fixture.call().await;
    let _server = accept(&mut listener, 1).await;
    let second = second.served().await;
    let third = fixture.call().await;
    drop(io);
    assert_eq!(fixture.said().await, "+1 -1", "it stays READY");
    let link = fixture.link();
    assert!(link.connection().expect("it is READY").is(&second.0));
    // There is room for another one again, which the third needs.
    let mut server = accept(&mut listener, 1).await;
    third.served().await;
    assert_eq!(fixture.said().await, "+1");
    drop(first);
    // GOAWAY takes a connection away as well.
    say(&mut server, &GOAWAY).await;
    assert_eq!(fixture.said().await, "-1");
    assert_eq!(fixture.streams(), [1]);
}

#[tokio::test(start_paused = true)]
async fn goaway_on_the_last_connection_sends_the_queue_away_and_lets_streams_finish() {
    let (mut fixture, _listener, mut io) = Fixture::scaled(2, 1).await;
    let first = fixture.stream().await;
    fixture.network.blackhole(ADDRESS);
    let [second, third] = [fixture.call().await, fixture.call().await];
    say(&mut io, &GOAWAY).await;
    assert!(second.sent_away().await);
    assert!(third.sent_away().await);
    assert_eq!(fixture.said().await, "CONNECTING", "the attempt goes on");
    assert_eq!(fixture.link().waiting(), 0);
    assert_eq!(fixture.network.open_connections(ADDRESS), 1, "it drains");
    drop(first);
    settle().await;
    drop(io);
    settle().await;
    assert_eq!(fixture.network.open_connections(ADDRESS), 0);
}

#[tokio::test(start_paused = true)]
async fn ready_turns_into_transient_failure_if_the_last_is_lost_in_backoff() {
    let (mut fixture, listener, io) = Fixture::scaled(2, 1).await;
    let _first = fixture.stream().await;
    drop(listener);
    let second = fixture.call().await;
    assert_eq!(fixture.said().await, "", "READY all along");
    assert!(second.waits().await, "the one connection may have a stream");
    drop(io);
    assert_eq!(fixture.said().await, "TRANSIENT_FAILURE");
    assert!(second.sent_away().await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.said().await, "IDLE", "nobody asks it to connect");
}

#[tokio::test(start_paused = true)]
async fn backoff_holds_for_more_connections_too_and_its_end_is_the_next_attempt() {
    let (fixture, listener, _io) = Fixture::scaled(2, 1).await;
    let _first = fixture.stream().await;
    drop(listener);
    let waiting = fixture.call().await;
    let mut attempts = Vec::new();
    for seconds in 0..8 {
        attempts.push(fixture.attempts());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(waiting.waits().await, "{seconds}");
    }
    // At 0 s, 1 s, 2.6 s, 5.2 s.
    assert_eq!(attempts, [2, 3, 3, 4, 4, 4, 5, 5]);
    let mut listener = fixture.network.listen(ADDRESS);
    fixture.subchannel().reset_backoff();
    settle().await;
    let _server = accept(&mut listener, 1).await;
    waiting.served().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_connects_again_when_nobody_waits_any_more() {
    let (fixture, listener, _io) = Fixture::scaled(2, 1).await;
    let _first = fixture.stream().await;
    drop(listener);
    fixture.call().await.gives_up().await;
    let attempts = fixture.attempts();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.attempts(), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_new_limit_of_streams_lets_in_as_many_as_it_says() {
    let (fixture, mut listener, mut io) = Fixture::scaled(2, 1).await;
    let mut held = vec![fixture.stream().await];
    let second = fixture.call().await;
    let _server = accept(&mut listener, 1).await;
    held.push(second.served().await);
    let [third, fourth, fifth] = [
        fixture.call().await,
        fixture.call().await,
        fixture.call().await,
    ];
    say(&mut io, &streams(3)).await;
    held.extend([third.served().await, fourth.served().await]);
    assert!(fifth.waits().await);
    assert_eq!(fixture.streams(), [3, 1]);
    // Lowered, it takes nothing away and lets nobody in.
    say(&mut io, &streams(1)).await;
    drop(held.pop());
    assert!(fifth.waits().await);
    assert_eq!(fixture.streams(), [2, 1]);
    drop(held.remove(1));
    assert!(fifth.served().await.0.is(&fixture.link().connections()[1]));
}

#[tokio::test(start_paused = true)]
async fn allowing_more_connections_serves_those_who_wait_and_allowing_less_closes_none() {
    let (mut fixture, mut listener, _io) = Fixture::scaled(1, 1).await;
    let first = fixture.stream().await;
    let [second, third] = [fixture.call().await, fixture.call().await];
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.network.connections(ADDRESS), 1);
    fixture.subchannel().allow_connections(2);
    settle().await;
    let server = accept(&mut listener, 1).await;
    let second = second.served().await;
    assert!(third.waits().await, "it came later");
    fixture.subchannel().allow_connections(1);
    settle().await;
    assert_eq!(fixture.streams(), [1, 1]);
    drop(first);
    let third = third.served().await;
    // One is lost, and is not replaced.
    drop(server);
    assert_eq!(fixture.said().await, "+1 -1");
    let fourth = fixture.call().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(fourth.waits().await);
    assert_eq!(fixture.network.connections(ADDRESS), 2);
    drop((second, third));
    fourth.served().await;
}

#[tokio::test(start_paused = true)]
async fn letting_go_drains_all_connections_and_sends_the_queue_away() {
    let (mut fixture, mut listener, io) = Fixture::scaled(2, 1).await;
    let first = fixture.stream().await;
    let second = fixture.call().await;
    let server = accept(&mut listener, 1).await;
    let second = second.served().await;
    let third = fixture.call().await;
    fixture.subchannel = None;
    assert!(third.sent_away().await);
    assert_eq!(fixture.said().await, "+1 SHUTDOWN");
    assert_eq!(fixture.network.open_connections(ADDRESS), 2);
    drop((first, second));
    settle().await;
    drop((io, server));
    settle().await;
    assert_eq!(fixture.network.open_connections(ADDRESS), 0);
}

#[tokio::test(start_paused = true)]
async fn two_streams_that_come_free_at_once_go_to_the_first_two() {
    let (fixture, mut listener, _io) = Fixture::scaled(2, 2).await;
    let held = [fixture.stream().await, fixture.stream().await];
    let third = fixture.call().await;
    let _server = accept(&mut listener, 0).await;
    let fourth = fixture.call().await;
    drop(held);
    // It looks for a stream when the first of the queue has found one and the second has not looked yet.
    let late = fixture.call().await;
    let held = [third.served().await, fourth.served().await];
    assert!(late.waits().await);
    drop(held);
    late.served().await;
}
