//! A reply whose `:status` is no HTTP status ends its connection, h2 being what it is. It is an answer to the call that
//! asked for it, and nothing is made again on its account: one method that answers so does not take down one connection
//! after the other.

use highball_channel::explanation::{Phase, Seen};
use highball_channel::{Code, Status};
use highball_testkit::peer::Frame;

use crate::script::{Script, reply};
use crate::world::{A, settle};

const MALFORMED: &str = "INTERNAL: transport: malformed http-status: \"abc\"";

const LOST: &str = "UNAVAILABLE: connection to a:1: the server broke HTTP/2: PROTOCOL_ERROR in a \
     reply's :status, \"abc\"";

/// A service config that has calls retried that end with this code.
fn retrying(code: &str) -> String {
    format!(
        r#"{{"methodConfig":[{{"name":[{{}}],"retryPolicy":{{"maxAttempts":4,"initialBackoff":"0.1s",
            "maxBackoff":"1s","backoffMultiplier":2,"retryableStatusCodes":["{code}"]}}}}]}}"#
    )
}

/// `:status: abc`, to be added to HPACK's table, as most servers write it.
fn malformed(stream: u32) -> Frame {
    Frame::Headers {
        stream,
        block: b"\x48\x03abc"[..].into(),
        end: true,
    }
}

fn is(result: &Result<String, Status>, text: &str) {
    let status = result.as_ref().expect_err("it fails");
    assert_eq!(status.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn the_call_has_had_its_answer_and_no_other_attempt_is_made() {
    for config in ["{}".to_owned(), retrying("UNAVAILABLE")] {
        let mut script = Script::configured(&config);
        let call = script.call();
        let mut peer = script.accept().await;
        let stream = peer.headers().await;
        peer.send(malformed(stream)).await;
        let ended = call.await.unwrap();
        is(&ended, MALFORMED);
        let status = ended.unwrap_err();
        let why = status.explanation().unwrap();
        assert_eq!(why.ended_in, Phase::Server);
        let [attempt] = &why.attempts[..] else {
            panic!("one attempt: {why:#}");
        };
        assert_eq!(attempt.server.as_ref().unwrap().to_string(), A);
        assert_eq!(
            (attempt.code, attempt.seen),
            (Code::Internal, Seen::Answered)
        );
        assert_eq!(
            why.to_string(),
            "ended after 0 ms while waiting for the server: resolve 0 ms, pick 0 ms, stream slot 0 ms, \
             send 0 ms, server 0 ms; tried a:1 (INTERNAL)"
        );
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(
            script.world.network.connections(A),
            1,
            "nobody asked for more"
        );
        script.end([peer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_retries_the_calls_that_were_lost_and_not_the_one_that_was_answered() {
    let mut script = Script::configured(&retrying("UNAVAILABLE"));
    let poisoned = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    let other = script.call();
    old.headers().await;
    old.send(malformed(stream)).await;
    is(&poisoned.await.unwrap(), MALFORMED);
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(other.await.unwrap(), Ok(A.to_owned()));
    settle().await;
    assert_eq!(script.world.network.connections(A), 2);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_the_others_are_told_what_their_connection_was_lost_by() {
    let mut script = Script::new();
    let poisoned = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let other = script.call();
    peer.headers().await;
    peer.send(malformed(stream)).await;
    is(&poisoned.await.unwrap(), MALFORMED);
    is(&other.await.unwrap(), LOST);
    script.end([peer]).await;
}

/// It is for the policy to say, as it is of any other answer.
#[tokio::test(start_paused = true)]
async fn a_policy_that_retries_internal_retries_it() {
    let mut script = Script::configured(&retrying("INTERNAL"));
    let call = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    old.send(malformed(stream)).await;
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap(), Ok(A.to_owned()));
    script.end([old, new]).await;
}
