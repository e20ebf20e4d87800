//! A service with something of everything. Its messages are prost's own `String` and `Vec<u8>`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures::StreamExt as _;
use highball_server::{
    Cancellation, IncomingCall, MetadataMap, Request, Response, ResponseStream, Service, Status,
    Streaming, bidi_streaming, client_streaming, server_streaming, unary, unknown_method,
};

/// What its handlers have seen. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Counts>);

impl Default for Counts {
    fn default() -> Self {
        Self {
            meeting: Barrier::new(2),
            started: AtomicUsize::default(),
            running: AtomicUsize::default(),
            most: AtomicUsize::default(),
            cancelled: AtomicUsize::default(),
            finished: AtomicUsize::default(),
        }
    }
}

struct Counts {
    /// Where two handlers wait for each other, blocking their threads.
    meeting: Barrier,
    started: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    cancelled: AtomicUsize,
    finished: AtomicUsize,
}

impl Seen {
    pub(crate) fn started(&self) -> usize {
        self.0.started.load(Ordering::SeqCst)
    }
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }
    /// The most that ran at a time.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
    /// Calls whose cancellation was heard by a task of the handler.
    pub(crate) fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }
    pub(crate) fn finished(&self) -> usize {
        self.0.finished.load(Ordering::SeqCst)
    }
    fn enter(&self) -> Inside {
        self.0.started.fetch_add(1, Ordering::SeqCst);
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(running, Ordering::SeqCst);
        Inside(self.clone())
    }
}

/// A handler that has not ended.
struct Inside(Seen);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Lab(pub Seen);

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

async fn panic_late(_: Request<String>) -> Result<Response<ResponseStream<String>>, Status> {
    let last_words = PanicsWhenDropped;
    let stream = futures::stream::iter(["fine"]).map(move |word| {
        let _last_words = &last_words;
        Ok(word.to_owned())
    });
    Ok(Response::new(Box::pin(stream)))
}

/// The task that a handler runs in once it has waited.
async fn there() -> Result<Response<String>, Status> {
    tokio::task::yield_now().await;
    here().await
}

/// The task that a handler runs in.
async fn here() -> Result<Response<String>, Status> {
    Ok(Response::new(tokio::task::id().to_string()))
}

impl Service for Lab {
    fn name(&self) -> &str {
        "test.Lab"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        let seen = self.0.clone();
        match method {
            "Echo" => unary(call, move |request| echo(seen, request)),
            "Hang" => unary(call, move |request| hang(seen, request)),
            "RunOn" => unary(call, move |request| run_on(seen, request)),
            "Fail" => unary(call, move |request: Request<String>| async move {
                let _inside = seen.enter();
                Err::<Response<String>, _>(failure(request.message()))
            }),
            "Panic" => unary(call, move |_: Request<String>| async move {
                let _inside = seen.enter();
                if seen.started() > 0 {
                    panic!("on purpose");
                }
                Ok(Response::new(String::new()))
            }),
            "Context" => unary(call, context),
            "Large" => unary(call, move |request: Request<u32>| async move {
                Ok(Response::new("x".repeat(*request.message() as usize)))
            }),
            "Where" => unary(call, move |_: Request<String>| here()),
            "WhereAfter" => unary(call, |_: Request<String>| there()),
            "Meet" => unary(call, move |_: Request<String>| {
                seen.0.meeting.wait();
                here()
            }),
            "PanicLate" => server_streaming(call, panic_late),
            "Count" => server_streaming(call, move |request| count(seen, request)),
            "CountOn" => server_streaming(call, move |request| count_on(seen, request)),
            "Broken" => server_streaming(call, broken),
            "Quiet" => server_streaming(call, move |_: Request<String>| async move {
                let inside = seen.enter();
                let stream = futures::stream::once(async move {
                    let _inside = inside;
                    std::future::pending::<Result<String, Status>>().await
                });
                Ok(Response::new(Box::pin(stream) as ResponseStream<String>))
            }),
            "Collect" => client_streaming(call, move |request| collect(seen, request)),
            "Swallow" => client_streaming(call, swallow),
            "Ignore" => client_streaming(call, ignore),
            "Chat" => bidi_streaming(call, move |request| chat(seen, request)),
            "Curt" => bidi_streaming(
                call,
                move |request: Request<Streaming<String>>| async move {
                    tokio::spawn(async move {
                        let _inside = seen.enter();
                        let mut messages = request.into_message();
                        while let Ok(Some(_)) = messages.message().await {}
                    });
                    let stream = futures::stream::iter([Ok("enough".to_owned())]);
                    Ok(Response::new(Box::pin(stream) as ResponseStream<String>))
                },
            ),
            _ => unknown_method(call),
        }
    }
}

async fn echo(seen: Seen, request: Request<String>) -> Result<Response<String>, Status> {
    let _inside = seen.enter();
    let metadata = request.metadata().clone();
    let mut trailers = MetadataMap::new();
    if metadata.contains_key("x-echo") {
        trailers.insert("x-trailer", "behind").unwrap();
        return Ok(Response::new(request.into_message())
            .with_metadata(metadata)
            .with_trailers(trailers));
    }
    Ok(Response::new(request.into_message()))
}

/// Never answers. A task of its own hears of the end.
async fn hang(seen: Seen, request: Request<String>) -> Result<Response<String>, Status> {
    let _inside = seen.enter();
    tokio::spawn(hear_the_end(seen, request.cancellation()));
    std::future::pending().await
}

async fn hear_the_end(seen: Seen, cancellation: Cancellation) {
    cancellation.cancelled().await;
    assert!(cancellation.is_cancelled() && cancellation.token().is_cancelled());
    seen.0.cancelled.fetch_add(1, Ordering::SeqCst);
}

/// Works for ten seconds, whoever waits.
async fn run_on(seen: Seen, request: Request<String>) -> Result<Response<String>, Status> {
    let _inside = seen.enter();
    request.run_to_end();
    tokio::spawn(hear_the_end(seen.clone(), request.cancellation()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    seen.0.finished.fetch_add(1, Ordering::SeqCst);
    Ok(Response::new("done".to_owned()))
}

fn failure(text: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", "because").unwrap();
    Status::failed_precondition(text.to_owned())
        .with_details(&b"\x08\x09"[..])
        .with_metadata(metadata)
}

/// What the handler knows of the call.
async fn context(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(format!(
        "{} {:?} {:?} {:?} {:?}",
        request.path(),
        request.authority(),
        request.user_agent(),
        request.remaining_time(),
        request.peer().map(ToString::to_string),
    )))
}

async fn count(seen: Seen, request: Request<u32>) -> Result<Response<ResponseStream<u32>>, Status> {
    let inside = seen.enter();
    let numbers = futures::stream::iter(0..*request.message());
    let numbers = numbers.map(move |number| {
        let _inside = &inside;
        Ok(number)
    });
    Ok(Response::new(Box::pin(numbers)))
}

/// Always has another number, up to the given one, whoever waits.
async fn count_on(
    seen: Seen,
    request: Request<u32>,
) -> Result<Response<ResponseStream<u32>>, Status> {
    request.run_to_end();
    let end = futures::stream::once({
        let seen = seen.clone();
        async move {
            seen.0.finished.fetch_add(1, Ordering::SeqCst);
            Ok(0)
        }
    });
    let numbers = count(seen, request).await?.into_message();
    Ok(Response::new(Box::pin(numbers.chain(end))))
}

/// Two messages, then a failure; with "ok", a good end with trailing metadata; with "at once", no message.
async fn broken(request: Request<String>) -> Result<Response<ResponseStream<String>>, Status> {
    let mut items = vec![Ok("one".to_owned()), Ok("two".to_owned())];
    match request.message().as_str() {
        "ok" => {
            let mut metadata = MetadataMap::new();
            metadata.insert("x-total", "2").unwrap();
            items.push(Err(Status::ok().with_metadata(metadata)));
        }
        "at once" => items = vec![Err(failure("at once"))],
        text => items.push(Err(failure(text))),
    }
    Ok(Response::new(Box::pin(futures::stream::iter(items))))
}

async fn collect(
    seen: Seen,
    request: Request<Streaming<String>>,
) -> Result<Response<String>, Status> {
    let _inside = seen.enter();
    let mut messages = request.into_message();
    let mut all = String::new();
    while let Some(message) = messages.message().await? {
        all.push_str(&message);
    }
    Ok(Response::new(all))
}

/// Takes no notice of what is wrong with the messages.
async fn swallow(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut messages = request.into_message();
    while let Ok(Some(_)) = messages.message().await {}
    Ok(Response::new("all is well".to_owned()))
}

/// Reads nothing, and does not end.
async fn ignore(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let _unread = request;
    std::future::pending().await
}

async fn chat(
    seen: Seen,
    request: Request<Streaming<String>>,
) -> Result<Response<ResponseStream<String>>, Status> {
    let inside = seen.enter();
    let replies = request.into_message().map(move |message| {
        let _inside = &inside;
        message.map(|text| format!("{text}!"))
    });
    Ok(Response::new(Box::pin(replies)))
}
