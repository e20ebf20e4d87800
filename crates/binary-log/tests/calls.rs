//! What calls leave in a log, at both ends, over connections in memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use highball_binary_log::v1::grpc_log_entry::{EventType, Logger, Payload};
use highball_binary_log::v1::{GrpcLogEntry, Message, Metadata};
use highball_binary_log::{BinaryLog, Filter, read};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, MetadataMap, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, ResponseStream, Server, Status, Streaming};

/// A file in memory.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics holding it")
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Echoes with metadata around it; fails where it is told to.
struct Metered;

fn metadata(key: &str, value: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.append(key, value).expect("a plain value");
    metadata
}

fn echo(request: EchoRequest) -> Result<EchoResponse, Status> {
    match &*request.message {
        "fail" => Err(Status::failed_precondition("told to")
            .with_details(&b"\x08\x09\x12\x07told to"[..])
            .with_metadata(metadata("after", "2"))),
        "relay" => Err(Status::deadline_exceeded(LATE)),
        "relay close" => Err(Status::cancelled(CLOSED)),
        _ => Ok(EchoResponse {
            message: request.message,
        }),
    }
}

/// What servers pass on that have made calls of their own.
const LATE: &str = "context deadline exceeded while waiting for the response of b:2";
const CLOSED: &str = "grpc: the client connection is closing";

impl Echo for Metered {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        if request.message().message == "wait" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(echo(request.into_message())?)
            .with_metadata(metadata("before", "1"))
            .with_trailers(metadata("after", "2")))
    }

    async fn client_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        let requests: Vec<_> = request.into_message().try_collect().await?;
        Ok(Response::new(EchoResponse {
            message: requests.len().to_string(),
        }))
    }

    async fn bidirectional_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        let answer = async |request: Result<EchoRequest, Status>| echo(request?);
        let trailers = stream::iter([Err(Status::ok().with_metadata(metadata("late", "3")))]);
        let replies = request.into_message().then(answer).chain(trailers);
        Ok(Response::new(replies.boxed()).with_metadata(metadata("before", "1")))
    }
}

/// A channel and a server, whose calls are logged in one log.
struct Logged {
    log: BinaryLog,
    written: Written,
    channel: Channel,
    echo: EchoClient,
}

impl Logged {
    fn new(filter: &str) -> Self {
        Self::with(filter, "{}")
    }

    /// With a service config.
    fn with(filter: &str, service_config: &str) -> Self {
        let written = Written::default();
        let filter = Filter::parse(filter).expect("the test's filter makes sense");
        let log = BinaryLog::to_writer(filter, written.clone()).expect("a thread");
        let network = MemoryNetwork::new();
        let server = Server::builder()
            .interceptor(log.server())
            .add_service(EchoServer::new(Metered))
            .build();
        tokio::spawn(server.serve(network.listen("10.0.0.1:80")));
        let channel = Channel::builder("passthrough:///10.0.0.1:80")
            .insecure()
            .connector(network)
            .default_service_config(service_config)
            .interceptor(log.client())
            .build()
            .expect("the test's choices make sense");
        Self {
            log,
            written,
            echo: EchoClient::new(channel.clone()),
            channel,
        }
    }

    /// The log of one end, a line for each entry.
    async fn lines(&self, logger: Logger) -> Vec<String> {
        let entries = self.entries().await;
        let ours = entries
            .iter()
            .filter(|entry| entry.logger == i32::from(logger));
        ours.map(line).collect()
    }

    async fn entries(&self) -> Vec<GrpcLogEntry> {
        self.log.flush().await.expect("memory takes it");
        let written = self
            .written
            .0
            .lock()
            .expect("nobody panics holding it")
            .clone();
        let entries: Vec<_> = read(&*written)
            .map(|entry| entry.expect("it is whole"))
            .collect();
        assert!(entries.iter().all(|entry| entry.timestamp.is_some()));
        assert_eq!(self.log.dropped(), 0);
        entries
    }
}

fn line(entry: &GrpcLogEntry) -> String {
    let event = EventType::try_from(entry.r#type).expect("a known event");
    let payload = match &entry.payload {
        None => String::new(),
        Some(Payload::ClientHeader(header)) => {
            let timeout = header
                .timeout
                .map(|timeout| format!(" within {} s", timeout.seconds + 1));
            format!(
                " {} at {}{} {}",
                header.method_name,
                header.authority,
                timeout.unwrap_or_default(),
                pairs(header.metadata.as_ref())
            )
        }
        Some(Payload::ServerHeader(header)) => format!(" {}", pairs(header.metadata.as_ref())),
        Some(Payload::Message(Message { length, data })) => {
            format!(" {length} {:?}", String::from_utf8_lossy(data))
        }
        Some(Payload::Trailer(trailer)) => format!(
            " {} {:?} {} {}",
            trailer.status_code,
            trailer.status_message,
            trailer.status_details.len(),
            pairs(trailer.metadata.as_ref())
        ),
    };
    let peer = entry.peer.as_ref();
    let peer = peer.map(|peer| format!(" from {}:{}", peer.address, peer.ip_port));
    format!(
        "{} {event:?}{payload}{}{}",
        entry.sequence_id_within_call,
        peer.unwrap_or_default(),
        if entry.payload_truncated { " cut" } else { "" },
    )
}

fn pairs(metadata: Option<&Metadata>) -> String {
    let entries = metadata
        .map(|metadata| &*metadata.entry)
        .unwrap_or_default();
    let pairs = entries
        .iter()
        .map(|pair| format!("{}={}", pair.key, pair.value.escape_ascii()));
    format!("[{}]", pairs.collect::<Vec<_>>().join(" "))
}

fn message(text: &str) -> EchoRequest {
    EchoRequest {
        message: text.to_owned(),
    }
}

fn request(text: &str) -> Request<EchoRequest> {
    let mut request = Request::new(message(text)).with_timeout(Duration::from_millis(9_500));
    let metadata = request.metadata_mut();
    metadata.append("key", "value").expect("a plain value");
    metadata
        .append_bin("key-bin", b"\0\xff")
        .expect("any bytes");
    request
}

#[tokio::test(start_paused = true)]
async fn a16_a_unary_call_is_logged_at_both_ends() {
    let logged = Logged::new("*");
    logged.echo.unary_echo(request("hi")).await.unwrap();
    assert_eq!(
        logged.lines(Logger::Client).await,
        [
            r"1 ClientHeader /grpc.examples.echo.Echo/UnaryEcho at 10.0.0.1:80 within 10 s [key=value key-bin=\x00\xff]",
            r#"2 ClientMessage 4 "\n\u{2}hi""#,
            "3 ClientHalfClose",
            "4 ServerHeader [before=1] from 10.0.0.1:80",
            r#"5 ServerMessage 4 "\n\u{2}hi""#,
            r#"6 ServerTrailer 0 "" 0 [after=2]"#,
        ]
    );
    let at_the_server = logged.lines(Logger::Server).await;
    let [header, rest @ ..] = &*at_the_server else {
        panic!("nothing is logged")
    };
    assert!(
        header.starts_with(
            r"1 ClientHeader /grpc.examples.echo.Echo/UnaryEcho at 10.0.0.1:80 within 10 s [key=value key-bin=\x00\xff]"
        ),
        "{header}"
    );
    assert_eq!(
        rest,
        [
            r#"2 ClientMessage 4 "\n\u{2}hi""#,
            "3 ClientHalfClose",
            "4 ServerHeader [before=1]",
            r#"5 ServerMessage 4 "\n\u{2}hi""#,
            r#"6 ServerTrailer 0 "" 0 [after=2]"#,
        ]
    );
    let entries = logged.entries().await;
    let ids: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.call_id).collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a16_a_status_is_logged_with_its_details_and_metadata() {
    let logged = Logged::new("*");
    logged.echo.unary_echo(request("fail")).await.unwrap_err();
    let trailer = r#"4 ServerTrailer 9 "told to" 11 [after=2]"#;
    let at_the_server = logged.lines(Logger::Server).await;
    assert_eq!(at_the_server.last().unwrap(), trailer);
    // There were no headers to come from anywhere.
    let at_the_client = logged.lines(Logger::Client).await;
    let from = format!("{trailer} from 10.0.0.1:80");
    assert_eq!(at_the_client.last().unwrap(), &from);
}

#[tokio::test(start_paused = true)]
async fn a16_a_conversation_is_logged_as_it_goes() {
    let logged = Logged::new("*");
    let (sender, requests) = highball_channel::messages();
    let talking = logged
        .echo
        .bidirectional_streaming_echo(Request::new(requests));
    let mut replies = talking.await.unwrap();
    for text in ["a", "b"] {
        sender.send(message(text)).await.unwrap();
        replies.message().await.unwrap().unwrap();
    }
    drop(sender);
    assert_eq!(replies.message().await.unwrap(), None);
    assert_eq!(replies.trailers().get("late"), Some("3"));
    let path = "/grpc.examples.echo.Echo/BidirectionalStreamingEcho";
    assert_eq!(
        logged.lines(Logger::Client).await,
        [
            &*format!("1 ClientHeader {path} at 10.0.0.1:80 []"),
            r#"2 ClientMessage 3 "\n\u{1}a""#,
            "3 ServerHeader [before=1] from 10.0.0.1:80",
            r#"4 ServerMessage 3 "\n\u{1}a""#,
            r#"5 ClientMessage 3 "\n\u{1}b""#,
            r#"6 ServerMessage 3 "\n\u{1}b""#,
            "7 ClientHalfClose",
            r#"8 ServerTrailer 0 "" 0 [late=3]"#,
        ]
    );
    assert_eq!(
        logged.lines(Logger::Server).await[1..],
        [
            "2 ServerHeader [before=1]",
            r#"3 ClientMessage 3 "\n\u{1}a""#,
            r#"4 ServerMessage 3 "\n\u{1}a""#,
            r#"5 ClientMessage 3 "\n\u{1}b""#,
            r#"6 ServerMessage 3 "\n\u{1}b""#,
            "7 ClientHalfClose",
            r#"8 ServerTrailer 0 "" 0 [late=3]"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a16_a_stream_with_one_reply_is_logged_with_all_its_messages() {
    let logged = Logged::new("*{m:0}");
    let requests = Request::new(stream::iter(["a", "b"].map(message)));
    logged.echo.client_streaming_echo(requests).await.unwrap();
    for logger in [Logger::Client, Logger::Server] {
        let lines = logged.lines(logger).await;
        let messages: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(_, line)| line.contains("Message").then_some(line))
            .collect();
        let client = r#"ClientMessage 3 "" cut"#;
        assert_eq!(messages, [client, client, r#"ServerMessage 3 "" cut"#]);
    }
}

#[tokio::test(start_paused = true)]
async fn a16_a_call_that_its_client_ends_is_cancelled_at_both_ends() {
    let logged = Logged::new("*");
    // By giving it up,
    let calling = logged.echo.unary_echo(Request::new(message("wait")));
    let second = Duration::from_secs(1);
    tokio::time::timeout(second, calling).await.unwrap_err();
    // by its deadline,
    let request = Request::new(message("wait")).with_timeout(second);
    logged.echo.unary_echo(request).await.unwrap_err();
    // by closing the channel.
    let requests = Request::new(stream::pending::<EchoRequest>());
    let mut replies = logged
        .echo
        .bidirectional_streaming_echo(requests)
        .await
        .unwrap();
    replies.headers().await.unwrap();
    logged.channel.close().await;
    replies.message().await.unwrap_err();
    tokio::time::sleep(second).await;
    for logger in [Logger::Client, Logger::Server] {
        let lines = logged.lines(logger).await;
        let ends: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("Cancel") || line.contains("Trailer"))
            .collect();
        assert_eq!(ends[..2], ["4 Cancel", "4 Cancel"], "{logger:?}");
        // The echo passes on that the requests were cut off before anybody drops it.
        let last = match logger {
            Logger::Server => "3 ServerTrailer 1 ",
            _ => "3 Cancel",
        };
        assert!(ends[2].starts_with(last), "{logger:?}: {}", ends[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a16_what_a_server_says_of_its_own_calls_is_its_answer_and_no_cancellation() {
    for (text, trailer) in [
        ("relay", format!("ServerTrailer 4 {LATE:?} 0 []")),
        ("relay close", format!("ServerTrailer 1 {CLOSED:?} 0 []")),
    ] {
        let logged = Logged::new("*");
        logged.echo.unary_echo(message(text)).await.unwrap_err();
        let lines = logged.lines(Logger::Client).await;
        assert_eq!(lines[3..], [format!("4 {trailer} from 10.0.0.1:80")]);
        let logged = Logged::new("*");
        let requests = Request::new(stream::iter(["a", text].map(message)));
        let replies = logged.echo.bidirectional_streaming_echo(requests).await;
        let mut replies = replies.unwrap();
        while replies.message().await.is_ok() {}
        let lines = logged.lines(Logger::Client).await;
        assert!(lines.last().unwrap().ends_with(&trailer), "{lines:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a16_the_time_out_of_the_service_config_is_logged_unless_the_call_has_less() {
    let config = r#"{"methodConfig":[{"name":[{}],"timeout":"4.5s"}]}"#;
    let logged = Logged::with("*", config);
    // Before the first resolution nobody knows.
    logged.echo.unary_echo(message("first")).await.unwrap();
    for own in [None, Some(9_500), Some(1_500)] {
        let mut request = Request::new(message("x"));
        request.options_mut().timeout = own.map(Duration::from_millis);
        logged.echo.unary_echo(request).await.unwrap();
    }
    let lines = logged.lines(Logger::Client).await;
    let headers: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("ClientHeader"))
        .filter_map(|line| line.split_once("10.0.0.1:80"))
        .map(|(_, rest)| rest)
        .collect();
    assert_eq!(
        headers,
        [" []", " within 5 s []", " within 5 s []", " within 2 s []"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_filter_leaves_out_is_not_logged() {
    let logged = Logged::new("*{h},-grpc.examples.echo.Echo/UnaryEcho");
    logged.echo.unary_echo(request("hi")).await.unwrap();
    let requests = Request::new(stream::iter([message("a")]));
    logged.echo.client_streaming_echo(requests).await.unwrap();
    let entries = logged.entries().await;
    let methods: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.payload {
            Some(Payload::ClientHeader(header)) => Some(&*header.method_name),
            _ => None,
        })
        .collect();
    assert_eq!(methods, ["/grpc.examples.echo.Echo/ClientStreamingEcho"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_server_is_logged_with_its_status() {
    let logged = Logged::new("*");
    let channel = Channel::builder("passthrough:///nowhere:1")
        .insecure()
        .connector(MemoryNetwork::new())
        .interceptor(logged.log.client())
        .build()
        .unwrap();
    let echo = EchoClient::new(channel);
    echo.unary_echo(message("x")).await.unwrap_err();
    let lines = logged.lines(Logger::Client).await;
    assert!(lines[3].starts_with("4 ServerTrailer 14 "), "{lines:?}");
    assert!(!lines[3].contains(" from "), "{lines:?}");
}
