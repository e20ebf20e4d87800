//! The four kinds of method: what a handler is given, and what its answer becomes.
//!
//! | entry point | a handler takes | and gives |
//! |---|---|---|
//! | [`unary`] | `Request<T>` | `Response<U>` |
//! | [`server_streaming`] | `Request<T>` | `Response<ResponseStream<U>>` |
//! | [`client_streaming`] | `Request<Streaming<T>>` | `Response<U>` |
//! | [`bidi_streaming`] | `Request<Streaming<T>>` | `Response<ResponseStream<U>>` |
//!
//! Generated code calls them. A server's interceptors, where it has any, are around the handlers. What a handler cannot do without waiting is done in a task of its own.

use std::future::{Future, poll_fn};

use highball_core::{Response, Status};
use prost::Message;

use crate::call::Input;
use crate::intercepted;
use crate::reply::Single;
use crate::streaming::decode;
use crate::{IncomingCall, Request, ResponseStream, Streaming};

/// Answers a call of a method that takes one message and gives one.
///
/// The handler starts when the client's message is there and the client has said that it is the only one.
/// Another number of messages is UNIMPLEMENTED, as the status codes' document has it.
pub fn unary<T, U, H, F>(call: IncomingCall, handler: H)
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<T>) -> F + Send + 'static,
    F: Future<Output = Result<Response<U>, Status>> + Send + 'static,
{
    match call.interceptors() {
        None => {
            call.start_here(|input| async move { Ok(Single(handler(single(input).await?).await?)) })
        }
        Some(all) => call.start_here(|input| intercepted::unary(all, input, handler)),
    }
}

/// Answers a call of a method that takes one message and gives a stream.
pub fn server_streaming<T, U, H, F>(call: IncomingCall, handler: H)
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<T>) -> F + Send + 'static,
    F: Future<Output = Result<Response<ResponseStream<U>>, Status>> + Send + 'static,
{
    match call.interceptors() {
        None => call.start_here(|input| async move { handler(single(input).await?).await }),
        Some(all) => call.start_here(|input| intercepted::server_streaming(all, input, handler)),
    }
}

/// Answers a call of a method that takes a stream and gives one message.
pub fn client_streaming<T, U, H, F>(call: IncomingCall, handler: H)
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<Streaming<T>>) -> F + Send + 'static,
    F: Future<Output = Result<Response<U>, Status>> + Send + 'static,
{
    match call.interceptors() {
        None => call.start(|input| async move { Ok(Single(handler(stream(input)).await?)) }),
        Some(all) => call.start(|input| intercepted::client_streaming(all, input, handler)),
    }
}

/// Answers a call of a method that takes a stream and gives one.
pub fn bidi_streaming<T, U, H, F>(call: IncomingCall, handler: H)
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<Streaming<T>>) -> F + Send + 'static,
    F: Future<Output = Result<Response<ResponseStream<U>>, Status>> + Send + 'static,
{
    match call.interceptors() {
        None => call.start(|input| async move { handler(stream(input)).await }),
        Some(all) => call.start(|input| intercepted::bidi_streaming(all, input, handler)),
    }
}

/// Answers a call of a method that the service does not have: UNIMPLEMENTED.
pub fn unknown_method(call: IncomingCall) {
    let text = match crate::router::split(call.head().path()) {
        Some((service, method)) => format!("unknown method {method} for service {service}"),
        None => format!("malformed method name: {:?}", call.head().path()),
    };
    call.refuse(Status::unimplemented(text));
}

/// The one message of a client that has said all it has to say.
pub(crate) async fn single<T: Message + Default>(input: Input) -> Result<Request<T>, Status> {
    let Input {
        context,
        metadata,
        mut receiver,
        limit,
    } = input;
    let Some(payload) = poll_fn(|cx| receiver.poll_message(limit, cx)).await else {
        return Err(Status::unimplemented(
            "cardinality violation: received no request message from non-client-streaming RPC",
        ));
    };
    let message = decode(payload?)?;
    context.compression.came(receiver.is_compressed());
    if let Some(another) = poll_fn(|cx| receiver.poll_message(limit, cx)).await {
        another?;
        return Err(Status::unimplemented(
            "cardinality violation: received multiple request messages for non-client-streaming RPC",
        ));
    }
    Ok(Request::of_call(message, metadata, context))
}

pub(crate) fn stream<T: Message + Default + 'static>(input: Input) -> Request<Streaming<T>> {
    let messages = Streaming::new(input.receiver, input.limit, input.context.clone());
    Request::of_call(messages, input.metadata, input.context)
}
