//! One connection, which comes and goes.

use std::time::Duration;

use highball_core::ConnectivityState::{Connecting, Idle, Shutdown, TransientFailure};
use highball_core::Status;
use highball_subchannel::{Report, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{ADDRESS, Fixture, GOAWAY};

#[tokio::test(start_paused = true)]
async fn it_does_nothing_until_it_is_asked_to_connect() {
    let mut fixture = Fixture::new();
    let _listener = fixture.network.listen(ADDRESS);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(fixture.reports.try_recv().is_err());
    assert_eq!(fixture.network.connections(ADDRESS), 0);
}

#[tokio::test(start_paused = true)]
async fn backoff_grows_and_is_counted_from_the_start_of_the_attempt() {
    let mut fixture = Fixture::new();
    let mut at = 0;
    for delay in [1000, 1600, 2560, 4096] {
        fixture.subchannel().connect();
        assert_eq!(fixture.next().await, (Connecting, at));
        assert_eq!(fixture.next().await, (TransientFailure, at));
        at += delay;
        let (state, now) = fixture.next().await;
        assert_eq!(state, Idle);
        assert!(now.abs_diff(at) <= 2, "{now} is not {at}");
        at = now;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mute_server_never_becomes_ready_and_is_dropped_at_20_seconds() {
    let mut fixture = Fixture::new();
    let mut listener = fixture.network.listen(ADDRESS);
    fixture.subchannel().connect();
    let mut io = listener.accept().await.unwrap();
    assert_eq!(fixture.next().await, (Connecting, 0));
    let Some(Report::State(State::TransientFailure(status))) = fixture.reports.recv().await else {
        panic!("want a failure")
    };
    assert_eq!(fixture.started.elapsed().as_secs(), 20);
    let text = status.to_string();
    assert!(
        text.contains(ADDRESS) && text.contains("20s") && text.contains("SETTINGS"),
        "{text}"
    );
    // The attempt took longer than its backoff: no further wait.
    assert_eq!(fixture.next().await, (Idle, 20_000));
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.starts_with(b"PRI * HTTP/2.0"),
        "the socket is closed after the preface"
    );
}

/// What a call that fails would tell of it.
fn last_error(fixture: &Fixture) -> String {
    let told = fixture.subchannel().link().explain();
    told.last_error.expect("it has failed").to_string()
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_goes_idle_not_connecting() {
    let mut fixture = Fixture::new();
    let mut listener = fixture.network.listen(ADDRESS);
    let io = fixture.ready(&mut listener).await;
    assert!(fixture.subchannel().link().connection().is_some());
    drop(io);
    fixture.expect(Idle).await;
    assert!(fixture.subchannel().link().connection().is_none());
    assert_eq!(
        last_error(&fixture),
        "UNAVAILABLE: connection lost: error reading from server: EOF"
    );
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        fixture.network.connections(ADDRESS),
        1,
        "it does not reconnect by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn goaway_takes_the_connection_away_at_once() {
    let mut fixture = Fixture::new();
    let mut listener = fixture.network.listen(ADDRESS);
    let mut io = fixture.ready(&mut listener).await;
    io.write_all(&GOAWAY).await.unwrap();
    fixture.expect(Idle).await;
    assert!(fixture.subchannel().link().connection().is_none());
    assert_eq!(
        last_error(&fixture),
        "UNAVAILABLE: connection lost: received goaway: code: NO_ERROR, debug data: \"\""
    );
}

#[tokio::test(start_paused = true)]
async fn success_resets_the_backoff() {
    let mut fixture = Fixture::new();
    for _ in 0..3 {
        fixture.subchannel().connect();
        fixture.expect(Connecting).await;
        fixture.expect(TransientFailure).await;
        fixture.expect(Idle).await;
    }
    let mut listener = fixture.network.listen(ADDRESS);
    drop(fixture.ready(&mut listener).await);
    fixture.expect(Idle).await;
    drop(listener);
    fixture.subchannel().connect();
    let (_, started) = fixture.next().await;
    fixture.expect(TransientFailure).await;
    let (_, idle) = fixture.next().await;
    assert!((idle - started).abs_diff(1000) <= 2);
}

#[tokio::test(start_paused = true)]
async fn resetting_the_backoff_ends_it_now() {
    let mut fixture = Fixture::new();
    fixture.subchannel().connect();
    fixture.expect(Connecting).await;
    fixture.expect(TransientFailure).await;
    fixture.subchannel().reset_backoff();
    assert_eq!(fixture.next().await, (Idle, 0));
}

#[tokio::test(start_paused = true)]
async fn letting_go_in_any_state_reports_shutdown_once_and_last() {
    for steps in 0..4 {
        let mut fixture = Fixture::new();
        let mut listener = (steps == 2).then(|| fixture.network.listen(ADDRESS));
        let mut io = None;
        match (steps, &mut listener) {
            (1, _) => {
                fixture.network.blackhole(ADDRESS);
                fixture.subchannel().connect();
                fixture.expect(Connecting).await;
            }
            (2, Some(listener)) => io = Some(fixture.ready(listener).await),
            (3, _) => {
                fixture.subchannel().connect();
                fixture.expect(Connecting).await;
                fixture.expect(TransientFailure).await;
            }
            _ => (),
        }
        fixture.subchannel = None;
        fixture.expect(Shutdown).await;
        assert!(
            fixture.reports.recv().await.is_none(),
            "nothing after SHUTDOWN"
        );
        drop(io);
        assert_eq!(fixture.network.open_connections(ADDRESS), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_returns_when_the_actor_has_ended() {
    let mut fixture = Fixture::new();
    let mut listener = fixture.network.listen(ADDRESS);
    let _io = fixture.ready(&mut listener).await;
    let subchannel = fixture.subchannel.take().expect("it has not been let go");
    subchannel
        .close(Status::cancelled("the channel is closing"))
        .await;
    assert_eq!(fixture.next().await.0, Shutdown);
}

#[tokio::test(start_paused = true)]
async fn asking_again_while_connecting_ready_or_failing_changes_nothing() {
    let mut fixture = Fixture::new();
    let mut listener = fixture.network.listen(ADDRESS);
    fixture.subchannel().connect();
    fixture.subchannel().connect();
    let _io = fixture.ready(&mut listener).await;
    fixture.subchannel().connect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(fixture.reports.try_recv().is_err());
    assert_eq!(fixture.network.connections(ADDRESS), 1);
}
