//! A resolver's life: built, run, contained, ended.

use std::future::pending;
use std::time::Duration;

use highball_core::{Code, Rejected, Status};
use highball_resolver::{
    BadTarget, BoxFuture, Resolver, ResolverFactory, ResolverOptions, Target, Updates, pair,
};
use tokio::time::timeout;

use crate::line::{Count, Line, addresses, found};

/// A factory whose resolvers run what a function makes of how often it was asked before.
struct Scripted<B> {
    build: B,
    asked: Count,
}

type Life = BoxFuture<'static, ()>;

/// Runs a function.
struct Run(Box<dyn FnOnce(Updates) -> Life + Send>);

impl Resolver for Run {
    fn run(self: Box<Self>, updates: Updates) -> Life {
        (self.0)(updates)
    }
}

impl<B> ResolverFactory for Scripted<B>
where
    B: Fn(usize) -> Result<Run, BadTarget> + Send + Sync + 'static,
{
    fn scheme(&self) -> &str {
        "scripted"
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, BadTarget> {
        Ok(Box::new((self.build)(self.asked.up())?))
    }
}

fn line<B>(build: B) -> Line
where
    B: Fn(usize) -> Result<Run, BadTarget> + Send + Sync + 'static,
{
    let asked = Count::default();
    Line::new(Scripted { build, asked }, "scripted:///name")
}

fn run<F: Future<Output = ()> + Send + 'static>(
    life: impl FnOnce(Updates) -> F + Send + 'static,
) -> Run {
    Run(Box::new(|updates| Box::pin(life(updates))))
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_refuses_is_asked_again_after_a_backoff() {
    let mut line = line(|asked| match asked {
        0..3 => Err(BadTarget::refused("not yet")),
        _ => Ok(run(|updates| async move {
            let _ = updates.send(found("a:1")).await;
        })),
    });
    for earliest in [0.0, 1.28, 3.3] {
        let status = line.reject().await.endpoints.unwrap_err();
        assert_eq!(status, Status::unavailable("not yet"));
        assert!(line.now() >= earliest && line.now() <= earliest * 1.5 + 0.01);
    }
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    assert!(line.inbox.recv().await.is_none(), "it had no more to say");
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_internal_error_and_the_end() {
    let mut line = line(|_| {
        Ok(run(|updates| async move {
            let _ = updates.send(found("a:1")).await;
            panic!("off the {}", "rails");
        }))
    });
    line.accept().await;
    let status = line.reject().await.endpoints.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "resolver panicked: off the rails");
    assert!(line.inbox.recv().await.is_none());
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_await_is_contained_as_well() {
    let mut line = line(|_| Ok(Run(Box::new(|_| panic!("on the spot")))));
    assert_eq!(
        line.error().await,
        "INTERNAL: resolver panicked: on the spot"
    );
    assert!(line.inbox.recv().await.is_none());
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_is_asked_again() {
    let mut line = line(|asked| match asked {
        0 => panic!("no steam"),
        _ => Ok(run(|updates| async move {
            let _ = updates.send(found("a:1")).await;
        })),
    });
    assert_eq!(
        line.error().await,
        "INTERNAL: resolver factory panicked: no steam"
    );
    assert_eq!(addresses(&line.accept().await), ["a:1"]);
    line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_inbox_drops_the_resolver_wherever_it_is() {
    let alive = Count::default();
    let guarded = alive.clone();
    for waits_for_a_verdict in [true, false] {
        let guarded = guarded.clone();
        let mut line = line(move |_| {
            let guard = guarded.guard();
            Ok(run(move |updates| async move {
                let _alive = guard;
                if waits_for_a_verdict {
                    let _ = updates.send(found("a:1")).await;
                }
                pending().await
            }))
        });
        if waits_for_a_verdict {
            let _unanswered = line.next().await;
        } else {
            line.quiet(1.0).await;
        }
        assert_eq!(alive.now(), 1);
        line.hang_up().await;
        assert_eq!(alive.now(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_verdict_accepts() {
    let (updates, mut inbox) = pair();
    let (verdict, ()) = tokio::join!(updates.send(found("a:1")), async {
        drop(inbox.recv().await);
    });
    assert_eq!(verdict, Ok(()));
    let why = Rejected(Status::unavailable("no use"));
    let (verdict, ()) = tokio::join!(updates.send(found("a:1")), async {
        let (_, ack) = inbox.recv().await.unwrap();
        ack.reject(why.clone());
    });
    assert_eq!(verdict, Err(why));
}

#[tokio::test(start_paused = true)]
async fn a_resolution_is_either_received_or_still_there() {
    let (updates, mut inbox) = pair();
    let sender = tokio::spawn(async move { updates.send(found("a:1")).await });
    for _ in 0..3 {
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = inbox.recv() => unreachable!("ready wins"),
        }
        tokio::task::yield_now().await;
    }
    assert!(inbox.recv().await.is_some());
    assert_eq!(sender.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_resolution_that_was_given_up_before_it_was_heard_is_taken_back_by_the_next() {
    let (updates, mut inbox) = pair();
    for stale in ["a:1", "a:2"] {
        let second = Duration::from_secs(1);
        let given_up = timeout(second, updates.send(found(stale))).await;
        assert!(given_up.is_err());
    }
    let (verdict, heard) = tokio::join!(updates.send(found("a:3")), async {
        inbox.recv().await.unwrap().0
    });
    assert_eq!(
        (verdict, addresses(&heard)),
        (Ok(()), vec!["a:3".to_owned()])
    );
    assert!(timeout(Duration::from_secs(1), inbox.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_resolver_may_send_the_next_update_only_after_the_verdict() {
    let mut line = line(|_| {
        Ok(run(|updates| async move {
            for n in 0..3 {
                let _ = updates.send(found(&format!("a:{n}"))).await;
            }
        }))
    });
    for n in 0..3 {
        let (resolution, ack) = line.next().await;
        assert_eq!(addresses(&resolution), [format!("a:{n}")]);
        line.quiet(60.0).await;
        ack.accept();
    }
    line.hang_up().await;
}
