//! The manual resolver: what it is told, a channel hears.

use highball_core::{Rejected, Status};
use highball_resolver::{ManualResolver, Resolution};

use crate::line::{Line, addresses, found};

#[tokio::test(start_paused = true)]
async fn it_says_nothing_until_it_is_told_and_then_whatever_it_is_told() {
    let manual = ManualResolver::new("example");
    let mut line = Line::new(manual.clone(), "example:///anything");
    line.quiet(3600.0).await;
    manual.update(found("a:1"));
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    manual.update(Resolution::error(Status::unavailable("down")));
    assert_eq!(line.error().await, "UNAVAILABLE: down");
    line.quiet(3600.0).await;
    manual.update(found("a:1"));
    manual.update(found("b:2"));
    assert_eq!(addresses(&line.accept().await), ["b:2"]);
    line.quiet(3600.0).await;
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_update_is_sent_again_when_a_channel_comes_back_from_being_idle() {
    let manual = ManualResolver::new("example");
    manual.update(found("a:1"));
    for _ in 0..3 {
        let mut line = Line::new(manual.clone(), "example:///anything");
        assert_eq!(addresses(&line.accept().await), ["a:1"]);
        line.quiet(60.0).await;
        line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_verdict_is_the_channels() {
    let manual = ManualResolver::new("example");
    assert_eq!(
        manual.verdict().await,
        Ok(()),
        "nothing was said, nothing is amiss"
    );
    manual.update(found("a:1"));
    let mut line = Line::new(manual.clone(), "example:///anything");
    let (verdict, _) = tokio::join!(manual.verdict(), line.reject());
    assert_eq!(verdict, Err(Rejected(Status::unavailable("no use"))));
    manual.update(found("b:2"));
    let (verdict, _) = tokio::join!(manual.verdict(), line.accept());
    assert_eq!(verdict, Ok(()));
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted() {
    let manual = ManualResolver::new("example");
    let mut line = Line::new(manual.clone(), "example:///anything");
    line.quiet(1.0).await;
    assert_eq!(manual.requests(), 0);
    for requests in 1..4 {
        line.inbox.request_resolution();
        line.inbox.request_resolution();
        line.quiet(1.0).await;
        assert_eq!(manual.requests(), requests);
    }
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn channels_share_it() {
    let manual = ManualResolver::new("example");
    let mut one = Line::new(manual.clone(), "example:///one");
    let mut two = Line::new(manual.clone(), "example:///two");
    manual.update(found("a:1"));
    assert_eq!(addresses(&one.accept().await), ["a:1"]);
    assert_eq!(addresses(&two.accept().await), ["a:1"]);
    manual.update(found("b:2"));
    one.accept().await;
    two.reject().await;
    assert_eq!(manual.verdict().await, Ok(()), "the first verdict counts");
    one.hang_up().await;
    manual.update(found("c:3"));
    assert_eq!(addresses(&two.accept().await), ["c:3"]);
    two.hang_up().await;
}
