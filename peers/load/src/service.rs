//! What the servers do, and what they see of the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use highball_server::{
    IncomingCall, Request, Response, ResponseStream, Service, Status, Streaming,
};

use crate::message::Work;

/// Counted over all servers of a figure.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Handlers that began, ever.
    begun: AtomicU64,
    running: AtomicU64,
    most_running: AtomicU64,
}

/// A handler that runs.
struct Running(Arc<Seen>);

/// `load.Load`.
pub(crate) struct LoadService(pub(crate) Arc<Seen>);

impl Seen {
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn most_running(&self) -> u64 {
        self.most_running.load(Ordering::Relaxed)
    }

    fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        Running(Arc::clone(self))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service for LoadService {
    fn name(&self) -> &str {
        "load.Load"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        let running = self.0.begin();
        match method {
            "Unary" => highball_server::unary(call, |request| unary(request, running)),
            "Stream" => {
                highball_server::server_streaming(call, |request| replies(request, running))
            }
            "Chat" => highball_server::bidi_streaming(call, |request| chat(request, running)),
            _ => highball_server::unknown_method(call),
        }
    }
}

async fn unary(request: Request<Work>, _running: Running) -> Result<Response<Work>, Status> {
    let work = request.into_message();
    if work.sleep_ms > 0 {
        tokio::time::sleep(Duration::from_millis(work.sleep_ms.into())).await;
    }
    Ok(Response::new(work))
}

/// Each reply is a DATA frame of its own: the next is not ready when it leaves.
async fn replies(
    request: Request<Work>,
    running: Running,
) -> Result<Response<ResponseStream<Work>>, Status> {
    let work = request.into_message();
    let replies = stream::unfold((0, work, running), async |(number, work, running)| {
        if number == work.replies {
            return None;
        }
        tokio::task::yield_now().await;
        let reply = Work {
            number,
            ..work.clone()
        };
        Some((Ok(reply), (number + 1, work, running)))
    });
    Ok(Response::new(replies.boxed()))
}

async fn chat(
    request: Request<Streaming<Work>>,
    running: Running,
) -> Result<Response<ResponseStream<Work>>, Status> {
    let replies = request.into_message().map(move |message| {
        let _until_the_last = &running;
        message
    });
    Ok(Response::new(replies.boxed()))
}
