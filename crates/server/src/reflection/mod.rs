//! `grpc.reflection.v1.ServerReflection`: a server says what it serves, so that tools can call it.
//!
//! ```text
//!   .proto files ── codegen ──► descriptor sets ──► Descriptors ──┐
//!                                                                 ├──► questions and answers, v1 and v1alpha
//!                      the router: the services that are there ───┘
//! ```
//!
//! Follows [server-reflection.md](https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). Tools that
//! know only the first version, `v1alpha`, are answered the same: on the wire the two are alike.

/// The package `grpc.reflection.v1`, generated from `proto/grpc/reflection/v1/reflection.proto`.
#[rustfmt::skip] // The generator has a style of its own.
#[path = "../generated/grpc.reflection.v1.rs"]
pub mod v1;

mod conversation;
mod descriptors;
mod symbols;

use std::sync::Arc;

use bytes::Bytes;

use crate::{IncomingCall, Request, Response, ResponseStream, Service, Streaming};
use conversation::Conversation;
use v1::{ServerReflectionRequest, ServerReflectionResponse};

pub use descriptors::{BadDescriptors, Descriptors};

/// The names under which the service is served: tools ask for the first, and if it is not there for the second.
pub(crate) const NAMES: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The health and the reflection services themselves, as descriptors.
const OWN: &[u8] = include_bytes!("../generated/services.bin");

/// What a server can say of itself.
#[derive(Debug)]
pub(crate) struct Subject {
    descriptors: Descriptors,
    /// The full names of all services, in order.
    services: Vec<String>,
}

impl Subject {
    /// `services` are those that the server has apart from these.
    pub(crate) fn new(
        mut descriptors: Descriptors,
        services: impl IntoIterator<Item = String>,
    ) -> Self {
        descriptors
            .add(Bytes::from_static(OWN))
            .expect("the checked-in descriptors are whole");
        let mut services = Vec::from_iter(services);
        services.extend(NAMES.map(str::to_owned));
        services.sort();
        Self {
            descriptors,
            services,
        }
    }
}

/// The reflection service, under one of its [`NAMES`].
#[derive(Debug)]
pub(crate) struct ReflectionService {
    name: &'static str,
    subject: Arc<Subject>,
}

impl ReflectionService {
    pub(crate) fn new(name: &'static str, subject: Arc<Subject>) -> Self {
        Self { name, subject }
    }
}

impl Service for ReflectionService {
    fn name(&self) -> &str {
        self.name
    }

    fn call(&self, method: &str, call: IncomingCall) {
        if method != "ServerReflectionInfo" {
            return crate::unknown_method(call);
        }
        let subject = Arc::clone(&self.subject);
        crate::bidi_streaming(call, async move |request: Questions| {
            let conversation = Conversation::new(subject, request.into_message());
            Ok(Response::new(Box::pin(conversation) as Answers))
        });
    }
}

type Questions = Request<Streaming<ServerReflectionRequest>>;
type Answers = ResponseStream<ServerReflectionResponse>;
