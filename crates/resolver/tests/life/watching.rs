//! What becomes of the items of a watch, and of its end.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use highball_core::{Attributes, Status};
use highball_resolver::{Resolution, Stream, Target, Watch, Watching};
use tokio::time::sleep;

use crate::line::{Count, Line, addresses, found};

type Items = BoxStream<'static, Result<Resolution, Status>>;

/// A name service whose watches are made by a function of how many there were before.
struct Script<F> {
    items: F,
    started: Count,
}

impl<F: Fn(usize) -> Items + Send + Sync + 'static> Watch for Script<F> {
    fn scheme(&self) -> &str {
        "script"
    }

    fn watch(&self, _: &Target) -> impl Stream<Item = Result<Resolution, Status>> + Send {
        (self.items)(self.started.up())
    }
}

fn line<F: Fn(usize) -> Items + Send + Sync + 'static>(items: F) -> (Line, Count) {
    let started = Count::default();
    let counter = started.clone();
    let watching = Watching::new(Script { items, started });
    (Line::new(watching, "script:///name"), counter)
}

fn down() -> Result<Resolution, Status> {
    Err(Status::unavailable("down"))
}

/// These items and then silence.
fn open<const N: usize>(items: [Result<Resolution, Status>; N]) -> Items {
    stream::iter(items).chain(stream::pending()).boxed()
}

#[tokio::test(start_paused = true)]
async fn items_are_passed_on_one_by_one_each_after_the_verdict_on_the_last() {
    let (mut line, started) = line(|_| open([Ok(found("a:1")), down(), Ok(found("b:2"))]));
    let (first, ack) = line.next().await;
    assert_eq!(addresses(&first), ["a:1"]);
    line.quiet(60.0).await;
    ack.accept();
    assert_eq!(line.error().await, "UNAVAILABLE: down");
    assert_eq!(addresses(&line.accept().await), ["b:2"]);
    line.quiet(3600.0).await;
    assert_eq!(started.now(), 1, "an error does not end a watch");
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn equal_items_are_passed_on_once() {
    let other = || found("a:1").with_attributes(Attributes::default().with(1_u8));
    let (mut line, _) = line(move |_| {
        let same = || Ok(found("a:1"));
        open([same(), same(), same(), Ok(other()), Ok(other()), same()])
    });
    assert_eq!(line.accept().await, found("a:1"));
    assert_eq!(line.accept().await, other());
    assert_eq!(line.accept().await, found("a:1"));
    line.quiet(60.0).await;
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_rejected_or_followed_by_an_error_is_news_again() {
    let same = || Ok(found("a:1"));
    let (mut line, started) = line(move |_| open([same(), same(), down(), same()]));
    line.reject().await;
    line.accept().await;
    line.error().await;
    line.accept().await;
    assert_eq!((line.now(), started.now()), (0.0, 1));
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_without_an_answer_is_an_error_and_backs_off() {
    let (mut line, _) = line(|_| stream::empty().boxed());
    let text = "UNAVAILABLE: the watch of script:///name ended without an answer";
    assert_eq!(line.error().await, text);
    let mut last = line.now();
    for n in 1..16 {
        let nominal = f64::min(1.6_f64.powi(n), 120.0);
        line.error().await;
        let ratio = (line.now() - last) / nominal;
        assert!(
            (0.79..=1.21).contains(&ratio),
            "delay {n} was {ratio} of {nominal} s"
        );
        last = line.now();
    }
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_after_an_answer_starts_again_without_a_word() {
    let (mut line, started) = line(|started| match started {
        0..9 => stream::iter([Ok(found("a:1"))]).boxed(),
        _ => open([Ok(found("b:2"))]),
    });
    line.accept().await;
    assert_eq!(addresses(&line.accept().await), ["b:2"]);
    assert_eq!(started.now(), 10);
    assert!(
        line.now() < 9.0 * 1.6 * 1.2,
        "each answer began the backoff anew"
    );
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_watch_with_an_error() {
    let (mut line, _) = line(|started| match started {
        0 => panic!("at once"),
        1 => stream::poll_fn(|_| panic!("in between")).boxed(),
        _ => open([Ok(found("a:1"))]),
    });
    let text = "UNAVAILABLE: the watch of script:///name panicked: at once";
    assert_eq!(line.error().await, text);
    let text = "UNAVAILABLE: the watch of script:///name panicked: in between";
    assert_eq!(line.error().await, text);
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_reported_after_30_s_but_the_watch_goes_on() {
    let (mut line, started) = line(|_| {
        let late = sleep(Duration::from_secs(100));
        stream::once(late)
            .map(|()| Ok(found("a:1")))
            .chain(stream::pending())
            .boxed()
    });
    let text = "UNAVAILABLE: the watch of script:///name has said nothing for 30s";
    assert_eq!(line.error().await, text);
    assert_eq!(line.now(), 30.0);
    line.accept().await;
    assert_eq!((line.now(), started.now()), (100.0, 1));
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn hanging_up_drops_the_watch() {
    let alive = Count::default();
    let guarded = alive.clone();
    let (mut line, _) = line(move |_| {
        let guard = guarded.guard();
        let item = move || {
            let _alive = &guard;
            Ok(found("a:1"))
        };
        stream::once(std::future::pending::<()>())
            .map(move |()| item())
            .boxed()
    });
    line.quiet(1.0).await;
    assert_eq!(alive.now(), 1);
    line.hang_up().await;
    assert_eq!(alive.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_repeats_itself_without_a_pause_does_not_keep_others_from_running() {
    let (mut line, _) = line(|_| stream::repeat_with(|| Ok(found("a:1"))).boxed());
    line.accept().await;
    tokio::task::yield_now().await;
    line.hang_up().await;
}
