//! All who hear of the end of a call hear the same: the application, the picker's completion hook, and those who
//! watch its attempts.

use std::sync::mpsc::{Receiver, channel as queue};

use futures::{StreamExt, TryStreamExt, stream};
use highball_channel::explanation::Seen;
use highball_channel::policy::{Outcome, Pick};
use highball_channel::{AttemptEvent, Channel, ChannelBuilder, Method, Request, Status};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, ResponseStream, Server, Streaming};

use crate::hooked::{TURN, hook, hooked_builder, unhook};
use crate::world::{A, World, message, nothing_is_left, who};

const UNARY: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");
const CLIENT_STREAMING: Method = Method::new("/grpc.examples.echo.Echo/ClientStreamingEcho");
const SERVER_STREAMING: Method = Method::new("/grpc.examples.echo.Echo/ServerStreamingEcho");
const NO_SUCH: Method = Method::new("/grpc.examples.echo.Echo/NoSuch");

/// Answers in as many messages as it is asked for, also where its clients want one.
struct Counting;

fn text() -> EchoResponse {
    EchoResponse {
        message: format!("x (from {A})"),
    }
}

impl Echo for Counting {
    async fn unary_echo(
        &self,
        _: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        Ok(Response::new(text()))
    }

    async fn client_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        request
            .into_message()
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(Response::new(text()))
    }

    async fn server_streaming_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        let count = request.message().message.parse();
        let count = count.map_err(|_| Status::invalid_argument("no number"))?;
        let replies = stream::iter(vec![text(); count]).map(Ok);
        Ok(Response::new(replies.boxed()))
    }
}

/// Where `EchoResponse` has a text.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int32, tag = "1")]
    number: i32,
}

/// A call, and what becomes of it.
struct Case {
    method: Method,
    /// How many messages the server is asked for.
    request: &'static str,
    /// What its status begins with.
    told: &'static str,
}

const UNDECODABLE: &str = "INTERNAL: grpc: failed to unmarshal the received message: ";
const NONE: &str = "UNIMPLEMENTED: cardinality violation: received no response message";
const SECOND: &str = "UNIMPLEMENTED: cardinality violation: expected <EOF>";

const fn case(method: Method, request: &'static str, told: &'static str) -> Case {
    Case {
        method,
        request,
        told,
    }
}

const UNARY_CASES: [Case; 5] = [
    case(UNARY, "", UNDECODABLE),
    case(SERVER_STREAMING, "0", NONE),
    case(SERVER_STREAMING, "2", SECOND),
    case(SERVER_STREAMING, "x", "INVALID_ARGUMENT: no number"),
    case(NO_SUCH, "", "UNIMPLEMENTED: unknown method"),
];

const STREAMED_CASES: [Case; 5] = [
    case(CLIENT_STREAMING, "", UNDECODABLE),
    case(SERVER_STREAMING, "0", NONE),
    case(SERVER_STREAMING, "2", SECOND),
    case(SERVER_STREAMING, "x", "INVALID_ARGUMENT: no number"),
    case(NO_SUCH, "", "UNIMPLEMENTED: unknown method"),
];

/// Makes the call of a case, which fails, with one request message or with a stream of one.
async fn status<Reply>(channel: &Channel, case: &Case, request: Call) -> Status
where
    Reply: prost::Message + Default + 'static,
{
    let reply = match request {
        Call::Unary(request) => channel.unary::<_, Reply>(&case.method, request).await,
        Call::Streamed(request) => {
            let request = request.map(|message| stream::iter([message]));
            channel
                .client_streaming::<_, Reply>(&case.method, request)
                .await
        }
    };
    reply.map(drop).expect_err("no case ends well")
}

enum Call {
    Unary(Request<EchoRequest>),
    Streamed(Request<EchoRequest>),
}

/// All that is told of such a call is what the application is told, and that the server has answered.
async fn all_hear_the_same(
    channel: &Channel,
    case: &Case,
    kind: fn(Request<EchoRequest>) -> Call,
    hook: &Receiver<Outcome>,
    around: &str,
) {
    let (sender, ends) = queue();
    let mut request = Request::new(message(case.request));
    request.observe_attempts(move |_| {
        let sender = sender.clone();
        move |event| {
            if let AttemptEvent::Ended(end) = event {
                sender.send(end).expect("the test listens");
            }
        }
    });
    let call = kind(request);
    let status = match case.told {
        UNDECODABLE => status::<Number>(channel, case, call).await,
        _ => status::<EchoResponse>(channel, case, call).await,
    };
    let what = format!(
        "{:?} of {:?}, {around}: {status}",
        case.request, case.method
    );
    assert!(status.to_string().starts_with(case.told), "{what}");
    let outcome = hook.try_recv().expect("the hook has run");
    assert_eq!(
        (outcome.result, outcome.bytes_sent, outcome.bytes_received),
        (Some(Err(status.clone())), true, true),
        "{what}"
    );
    let ends: Vec<_> = ends.try_iter().map(|end| (end.outcome, end.seen)).collect();
    assert_eq!(ends, [(Err(status.clone()), Seen::Answered)], "{what}");
    let why = status.explanation().expect("it is explained");
    let attempts: Vec<_> = why.attempts.iter().map(|it| (it.code, it.seen)).collect();
    assert_eq!(attempts, [(status.code(), Seen::Answered)], "{what}");
}

/// What is put around the calls of a channel.
type Choices = fn(ChannelBuilder) -> ChannelBuilder;

#[tokio::test(start_paused = true)]
async fn all_who_hear_of_a_call_hear_what_the_application_hears() {
    let _turn = TURN.lock().await;
    let hedged =
        r#","methodConfig":[{"name":[{}],"hedgingPolicy":{"maxAttempts":2,"hedgingDelay":"9s"}}]"#;
    let plain = |builder: ChannelBuilder| builder;
    let intercepted =
        |builder: ChannelBuilder| builder.interceptor(|_: &Method, _: &mut Request<()>| Ok(()));
    let channels: [(&str, &str, Choices); 4] = [
        ("nothing around it", "", plain),
        ("an interceptor", "", intercepted),
        ("hedging", hedged, plain),
        ("an interceptor and hedging", hedged, intercepted),
    ];
    for (around, config, choices) in channels {
        let mut world = World::new();
        let server = Server::builder().add_service(EchoServer::new(Counting));
        world.start_with(A, server.build());
        world.resolve(&[A]);
        let channel = choices(hooked_builder(&world, config)).build().unwrap();
        let (sender, outcomes) = queue();
        hook(move |picker, call| match picker.pick(call) {
            Pick::Use(selection) => {
                let sender = sender.clone();
                let report = move |outcome: &Outcome| drop(sender.send(outcome.clone()));
                Pick::Use(selection.on_done(report))
            }
            other => other,
        });
        who(&channel).await.unwrap();
        assert_eq!(outcomes.try_recv().unwrap().result, Some(Ok(())));
        for case in &UNARY_CASES {
            all_hear_the_same(&channel, case, Call::Unary, &outcomes, around).await;
        }
        for case in &STREAMED_CASES {
            all_hear_the_same(&channel, case, Call::Streamed, &outcomes, around).await;
        }
        unhook();
        nothing_is_left(world, channel).await;
    }
}
