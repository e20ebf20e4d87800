//! When a look-up is made, and what becomes of its answer.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use highball_core::{Attributes, Rejected, Status};
use highball_resolver::{Lookup, Polling, Resolution, ResolverOptions, Target, pair, supervise};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

use crate::line::{Count, Line, addresses, found};

type Answer = BoxFuture<'static, Result<Resolution, Status>>;

/// A name service whose answers are made by a function of how often it was asked before.
struct Script<F> {
    answer: F,
    asked: Count,
}

impl<F: Fn(usize) -> Answer + Send + Sync + 'static> Lookup for Script<F> {
    fn scheme(&self) -> &str {
        "script"
    }

    async fn lookup(&self, _: &Target) -> Result<Resolution, Status> {
        (self.answer)(self.asked.up()).await
    }
}

fn script<F>(answer: F) -> (Polling<Script<F>>, Count)
where
    F: Fn(usize) -> Answer + Send + Sync + 'static,
{
    let asked = Count::default();
    let counter = asked.clone();
    (Polling::new(Script { answer, asked }), counter)
}

fn now(answer: Resolution) -> Answer {
    ready(Ok(answer)).boxed()
}

fn down() -> Answer {
    ready(Err(Status::unavailable("down"))).boxed()
}

fn line<F>(polling: Polling<Script<F>>) -> Line
where
    F: Fn(usize) -> Answer + Send + Sync + 'static,
{
    Line::new(polling, "script:///name")
}

#[tokio::test(start_paused = true)]
async fn the_first_look_up_is_made_at_once_and_no_other_unless_requested() {
    let (polling, asked) = script(|_| now(found("a:1")));
    let mut line = line(polling);
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    assert_eq!(line.now(), 0.0);
    line.quiet(3600.0).await;
    assert_eq!(asked.now(), 1);
    for _ in 0..1000 {
        line.inbox.request_resolution();
    }
    line.accept().await;
    assert_eq!(
        line.now(),
        3600.0,
        "nothing delays a request that comes late"
    );
    line.quiet(3600.0).await;
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_until_30_s_after_the_end_of_the_last_answer() {
    let five_seconds = Duration::from_secs(5);
    let (polling, _) = script(move |_| sleep(five_seconds).then(|()| now(found("a:1"))).boxed());
    let mut line = line(polling);
    line.accept().await;
    assert_eq!(line.now(), 5.0);
    line.quiet(1.0).await;
    line.inbox.request_resolution();
    line.accept().await;
    assert_eq!(line.now(), 5.0 + 30.0 + 5.0);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_are_one_look_up_every_30_s() {
    let (polling, asked) = script(|_| now(found("a:1")));
    let mut line = line(polling);
    line.accept().await;
    for _ in 0..4 {
        for _ in 0..1000 {
            line.inbox.request_resolution();
            line.quiet(0.029).await;
        }
        line.quiet(0.9).await;
        line.accept().await;
    }
    assert_eq!(line.now(), 120.0);
    assert_eq!(asked.now(), 5);
    line.quiet(3600.0).await;
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_during_a_look_up_or_a_verdict_is_remembered() {
    let second = Duration::from_secs(1);
    let (polling, asked) = script(move |_| sleep(second).then(|()| now(found("a:1"))).boxed());
    let mut line = line(polling);
    line.quiet(0.5).await;
    line.inbox.request_resolution();
    line.accept().await;
    let (_, ack) = line.next().await;
    assert_eq!(line.now(), 1.0 + 30.0 + 1.0);
    line.inbox.request_resolution();
    ack.accept();
    line.accept().await;
    assert_eq!(line.now(), 32.0 + 30.0 + 1.0);
    line.quiet(3600.0).await;
    assert_eq!(asked.now(), 3);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn errors_back_off_from_1_6_s_to_120_s_unrequested() {
    let (polling, _) = script(|_| down());
    let mut line = line(polling);
    assert_eq!(line.error().await, "UNAVAILABLE: down");
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
async fn a_request_does_not_cut_a_backoff_short() {
    let (polling, asked) = script(|_| down());
    let mut line = line(polling);
    line.error().await;
    line.inbox.request_resolution();
    line.quiet(1.2).await;
    assert_eq!(asked.now(), 1);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_answer_backs_off_until_one_is_accepted() {
    let (polling, _) = script(|_| now(Resolution::new([""; 0])));
    let mut line = line(polling);
    let mut delays = Vec::new();
    for round in 0..4 {
        let before = line.now();
        line.reject().await;
        if round > 0 {
            delays.push(line.now() - before);
        }
    }
    assert!(delays.is_sorted() && delays[2] > 3.0, "{delays:?}");
    line.accept().await;
    line.inbox.request_resolution();
    line.quiet(29.9).await;
    line.reject().await;
    let before = line.now();
    line.accept().await;
    assert!(line.now() - before < 2.0, "the backoff began anew");
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_backs_off_whatever_the_verdict() {
    let (polling, asked) = script(|_| down());
    let mut line = line(polling);
    line.accept().await;
    line.accept().await;
    assert!(line.now() < 2.0);
    assert_eq!(asked.now(), 2);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_hangs_is_dropped_after_30_s_and_is_an_error() {
    let alive = Count::default();
    let guarded = alive.clone();
    let (polling, _) = script(move |asked| match asked {
        0 => {
            let guard = guarded.guard();
            async move {
                pending::<()>()
                    .map(|()| drop(guard))
                    .then(|()| down())
                    .await
            }
            .boxed()
        }
        _ => now(found("a:1")),
    });
    let mut line = line(polling);
    line.quiet(29.9).await;
    assert_eq!(alive.now(), 1);
    let text = "UNAVAILABLE: the look-up of script:///name took more than 30s";
    assert_eq!(line.error().await, text);
    assert_eq!((line.now(), alive.now()), (30.0, 0));
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_and_the_next_look_up_comes_after_a_backoff() {
    let (polling, _) = script(|asked| match asked {
        0 => panic!("at once"),
        1 => async {
            sleep(Duration::from_secs(1))
                .map(|()| panic!("{} on", "later"))
                .await
        }
        .boxed(),
        _ => now(found("a:1")),
    });
    let mut line = line(polling);
    let text = "UNAVAILABLE: the look-up of script:///name panicked: at once";
    assert_eq!(line.error().await, text);
    let text = "UNAVAILABLE: the look-up of script:///name panicked: later on";
    assert_eq!(line.error().await, text);
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn hanging_up_drops_the_look_up_in_progress() {
    let alive = Count::default();
    let guarded = alive.clone();
    let (polling, _) = script(move |_| {
        let guard = guarded.guard();
        pending::<()>()
            .map(|()| drop(guard))
            .then(|()| down())
            .boxed()
    });
    let mut line = line(polling);
    line.quiet(1.0).await;
    assert_eq!(alive.now(), 1);
    line.hang_up().await;
    assert_eq!(alive.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_delays() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let mut options = ResolverOptions::default();
        options.seed = seed;
        let (polling, _) = script(|_| down());
        let mut line = Line::with_options(polling, "script:///name", options);
        for _ in 0..6 {
            line.error().await;
        }
        runs.push(line.now());
        line.hang_up().await;
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_poller_passes_on_what_changed_and_nothing_else() {
    let (polling, asked) = script(|asked| match asked {
        0..5 => now(found("a:1")),
        5 => now(found("a:1").with_attributes(Attributes::default().with(1_u8))),
        _ => now(found("b:2")),
    });
    let mut line = line(polling.every(Duration::from_secs(1)));
    line.accept().await;
    assert_eq!((line.now(), asked.now()), (0.0, 1));
    line.accept().await;
    assert_eq!((line.now(), asked.now()), (5.0, 6));
    assert_eq!(addresses(&line.accept().await), ["b:2"]);
    assert_eq!((line.now(), asked.now()), (6.0, 7));
    line.quiet(60.5).await;
    assert_eq!(asked.now(), 67);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_fails_asks_no_less_often_and_repeats_the_answer_after_the_error() {
    let (polling, _) = script(|asked| match asked {
        0 | 9.. => now(found("a:1")),
        _ => down(),
    });
    let mut line = line(polling.every(Duration::from_secs(1)));
    line.accept().await;
    for second in 1..9 {
        line.error().await;
        assert_eq!(line.now(), f64::from(second));
    }
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    line.quiet(60.0).await;
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_even_if_nothing_changed() {
    let (polling, asked) = script(|_| now(found("a:1")));
    let mut line = line(
        polling
            .every(Duration::from_secs(3600))
            .min_interval(Duration::ZERO),
    );
    line.accept().await;
    line.inbox.request_resolution();
    line.accept().await;
    assert_eq!((line.now(), asked.now()), (0.0, 2));
    line.hang_up().await;
}

/// What happens in a random run.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Good,
    Rejected,
    Error,
    Hang,
    Panic,
}

fn turn() -> impl Strategy<Value = Turn> {
    use Turn::{Error, Good, Hang, Panic, Rejected};
    prop_oneof![4 => Just(Good), 1 => Just(Rejected), 1 => Just(Error), 1 => Just(Hang), 1 => Just(Panic)]
}

/// Times of a look-up's start and of the verdict on it, and whether it was accepted.
type Record = (f64, f64, bool);

/// Plays the turns, while a request is made after each of `gaps` of a second.
async fn play(turns: Vec<Turn>, gaps: Vec<u16>) -> (Vec<Record>, Vec<f64>) {
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let script_turns = turns.clone();
    let (polling, _) = script(move |asked| {
        // The receiver is gone when the run is over.
        let _ = started.send(Instant::now());
        match script_turns.get(asked) {
            None | Some(Turn::Hang) => pending().boxed(),
            Some(Turn::Good | Turn::Rejected) => now(found("a:1")),
            Some(Turn::Error) => down(),
            Some(Turn::Panic) => panic!("as told"),
        }
    });
    let start = Instant::now();
    let since = |instant: Instant| (instant - start).as_secs_f64();
    let (updates, mut inbox) = pair();
    let factory = Arc::new(polling);
    let target = Target::parse("script:///name").unwrap();
    tokio::spawn(supervise(
        factory,
        target,
        ResolverOptions::default(),
        updates,
    ));

    let mut records = Vec::new();
    let mut requests: Vec<Instant> = Vec::new();
    let mut gaps = gaps.into_iter();
    let mut alarm = start;
    while records.len() < turns.len() {
        tokio::select! {
            () = sleep_until(alarm) => {
                let Some(gap) = gaps.next() else { break };
                inbox.request_resolution();
                requests.push(Instant::now());
                alarm += Duration::from_millis(gap.into());
            }
            answer = inbox.recv() => {
                let (_, ack) = answer.unwrap();
                let accepted = matches!(turns[records.len()], Turn::Good);
                if !accepted {
                    ack.reject(Rejected(Status::unavailable("no use")));
                }
                let started = since(starts.try_recv().unwrap());
                records.push((started, since(Instant::now()), accepted));
            }
        }
    }
    (records, requests.into_iter().map(since).collect())
}

proptest! {
    /// Whatever happens, look-ups come no earlier and no later than they should.
    #[test]
    fn every_look_up_has_a_reason_and_comes_in_time(
        turns in vec(turn(), 1..20),
        gaps in vec(1..60_000_u16, 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (records, requests) = runtime.block_on(play(turns, gaps));
        prop_assert!(records.iter().take(1).all(|(started, ..)| *started == 0.0));
        let mut failures = 0;
        // When the last request was served, and when it was made.
        let (mut served, mut made) = (-1.0, -1.0);
        for pair in records.windows(2) {
            let ((_, judged, accepted), (next, ..)) = (pair[0], pair[1]);
            if !accepted {
                failures += 1;
                let ratio = (next - judged) / f64::min(1.6_f64.powi(failures), 120.0);
                prop_assert!((0.79..=1.21).contains(&ratio), "retry {}: {}", failures, ratio);
                continue;
            }
            failures = 0;
            // A request made at the very moment when an older one is served may count or not.
            let open = |request: &&f64| **request > served || (**request == served && made < served);
            let open: Vec<f64> = requests.iter().filter(open).copied().collect();
            let candidates = if open.first() == Some(&served) { 2 } else { 1 };
            let due = |request: f64| f64::max(judged + 30.0, request);
            let in_time = |request: &&f64| (next - due(**request)).abs() < 0.005;
            let Some(request) = open.iter().take(candidates).find(in_time) else {
                let why = format!("look-up at {next}, verdict at {judged}, requests {open:?}");
                return Err(TestCaseError::fail(why));
            };
            (served, made) = (next, *request);
        }
    }
}
