//! Packages inside packages, and names that mean something in Rust: what is generated from them compiles,
//! warns of nothing, and is documented.
#![deny(missing_docs, unused_qualifications)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use highball_server::{Request, Response, ResponseStream, Service, Status, Streaming};

/// The package `odd`.
pub mod odd {
    include!("generated/odd.rs");

    /// The package `odd.names`.
    #[expect(clippy::wrong_self_convention, reason = "there is a method called New")]
    pub mod names {
        include!("generated/odd.names.rs");
    }
}

use odd::names::loop_server::{Loop, LoopServer};
use odd::thing::Part;

#[derive(Debug)]
struct Round;

impl Loop for Round {
    async fn new(
        &self,
        request: Request<odd::names::Request>,
    ) -> Result<Response<odd::names::Result>, Status> {
        let result = request.into_message().result;
        Ok(Response::new(result.unwrap_or_default()))
    }

    async fn r#move(
        &self,
        _: Request<odd::names::LoopClient>,
    ) -> Result<Response<ResponseStream<odd::Thing>>, Status> {
        Err(Status::unimplemented("later"))
    }

    async fn channel(&self, _: Request<Streaming<Part>>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("later"))
    }

    async fn call(
        &self,
        _: Request<Streaming<prost_types::Duration>>,
    ) -> Result<Response<ResponseStream<odd::names::Result>>, Status> {
        Err(Status::unimplemented("later"))
    }
}

#[test]
fn a_service_is_called_by_its_full_name() {
    assert_eq!(LoopServer::new(Round).name(), "odd.names.Loop");
}

#[test]
fn an_implementation_is_called_like_any_async_fn() {
    let result = odd::names::Result {
        self_: "here".to_owned(),
    };
    let request = odd::names::Request {
        result: Some(result.clone()),
    };
    let reply = pin!(Round.new(Request::new(request)));
    let Poll::Ready(reply) = reply.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for nothing")
    };
    assert_eq!(reply.map(Response::into_message), Ok(result));
}
