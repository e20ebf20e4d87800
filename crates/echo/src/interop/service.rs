//! The server's part of the interoperability tests.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt as _, stream};
use highball_server::orca::{CallMetrics, LoadReporting, OrcaService, ServerMetrics};
use highball_server::{
    Code, Compression, CompressionSwitch, MetadataMap, Request, Response, ResponseStream,
    ServerBuilder, Status, Streaming,
};

use super::testing::test_service_server::{TestService, TestServiceServer};
use super::testing::{
    BoolValue, EchoStatus, Empty, Payload, PayloadType, ResponseParameters, SimpleRequest,
    SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse, TestOrcaReport,
};
use super::{ECHO_INITIAL, ECHO_TRAILING, payload};

/// Implements `grpc.testing.TestService`, as every gRPC implementation does for its interoperability tests.
#[derive(Clone, Debug)]
pub struct TestServer {
    id: String,
    metrics: ServerMetrics,
}

/// How often clients may have load reports: they wait for them.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl TestServer {
    /// A server that calls itself `id` if it is asked.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            metrics: ServerMetrics::new(),
        }
    }

    /// Adds the service, and what its server says of its load.
    #[must_use]
    pub fn add_to(self, server: ServerBuilder) -> ServerBuilder {
        let reports = OrcaService::new(self.metrics.clone());
        server
            .interceptor(LoadReporting::new())
            .add_service(reports.unusual_least_interval(REPORT_INTERVAL))
            .add_service(TestServiceServer::new(self))
    }
}

impl TestService for TestServer {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let echoed = Echoed::of(request.metadata());
        let wanted = request.message();
        check_compression(wanted.expect_compressed.as_ref(), request.is_compressed())?;
        if let Some(BoolValue { value }) = wanted.response_compressed {
            request.compress_reply(gzip_if(value))?;
        }
        let metrics = CallMetrics::of(&request);
        if let (Some(metrics), Some(load)) = (metrics, &wanted.orca_per_query_report) {
            record_for_call(&metrics, load);
        }
        let message = request.into_message();
        echoed.check_status(message.response_status.as_ref())?;
        let server_id = match message.fill_server_id {
            true => self.id.clone(),
            false => String::new(),
        };
        Ok(echoed.put_around(SimpleResponse {
            payload: Some(filled(message.response_type, message.response_size)?),
            server_id,
            ..SimpleResponse::default()
        }))
    }

    /// Never the same twice: who gets the same twice has it from a cache.
    async fn cacheable_unary_call(
        &self,
        _: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanoseconds = now.unwrap_or_default().as_nanos().to_string();
        let mut metadata = MetadataMap::new();
        metadata.insert("cache-control", "max-age=60, public")?;
        let response = SimpleResponse {
            payload: Some(Payload {
                body: nanoseconds.into_bytes(),
                ..Payload::default()
            }),
            ..SimpleResponse::default()
        };
        Ok(Response::new(response).with_metadata(metadata))
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        let echoed = Echoed::of(request.metadata());
        let peer = peer(&request);
        let parameters = &request.message().response_parameters;
        let says = |parameters: &ResponseParameters| parameters.compressed.is_some();
        if parameters.iter().any(says) {
            request.compress_reply(Compression::Gzip)?;
        }
        let switch = request.compression_switch();
        let answers = answers(request.into_message(), peer, switch);
        Ok(echoed.put_around(answers.boxed()))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let echoed = Echoed::of(request.metadata());
        let mut messages = request.into_message();
        let mut size = 0;
        while let Some(message) = messages.message().await? {
            check_compression(message.expect_compressed.as_ref(), messages.is_compressed())?;
            size += message.payload.map_or(0, |payload| payload.body.len());
        }
        Ok(echoed.put_around(StreamingInputCallResponse {
            aggregated_payload_size: i32::try_from(size).unwrap_or(i32::MAX),
        }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        let echoed = Echoed::of(request.metadata());
        let (peer, switch) = (peer(&request), request.compression_switch());
        let metrics = self.metrics.clone();
        let answers = request
            .into_message()
            .flat_map(move |message| match message {
                Ok(message) => {
                    if let Some(load) = &message.orca_oob_report {
                        record(&metrics, load);
                    }
                    answers(message, peer.clone(), switch.clone()).boxed()
                }
                Err(status) => stream::iter([Err(status)]).boxed(),
            });
        Ok(echoed.put_around(answers.boxed()))
    }

    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        let echoed = Echoed::of(request.metadata());
        let (peer, switch) = (peer(&request), request.compression_switch());
        let mut messages = request.into_message();
        let mut all = Vec::new();
        while let Some(message) = messages.message().await? {
            all.push(message);
        }
        let answers = stream::iter(all)
            .flat_map(move |message| answers(message, peer.clone(), switch.clone()));
        Ok(echoed.put_around(answers.boxed()))
    }
}

/// The load of this call is to be this.
fn record_for_call(metrics: &CallMetrics, load: &TestOrcaReport) {
    metrics.set_cpu_utilization(load.cpu_utilization);
    metrics.set_memory_utilization(load.memory_utilization);
    for (name, cost) in &load.request_cost {
        metrics.set_request_cost(name, *cost);
    }
    for (resource, value) in &load.utilization {
        metrics.set_utilization(resource, *value);
    }
}

/// The load of the server is to be this.
fn record(metrics: &ServerMetrics, load: &TestOrcaReport) {
    metrics.set_cpu_utilization(load.cpu_utilization);
    metrics.set_memory_utilization(load.memory_utilization);
    for (resource, value) in &load.utilization {
        metrics.set_utilization(resource, *value);
    }
}

/// The metadata that a client wants back.
#[derive(Default)]
struct Echoed {
    initial: MetadataMap,
    trailing: MetadataMap,
}

impl Echoed {
    fn of(metadata: &MetadataMap) -> Self {
        let mut echoed = Self::default();
        // What has come as metadata can go as metadata.
        if let Some(value) = metadata.get(ECHO_INITIAL) {
            let _ = echoed.initial.insert(ECHO_INITIAL, value);
        }
        if let Some(value) = metadata.get_bin(ECHO_TRAILING) {
            let _ = echoed.trailing.insert_bin(ECHO_TRAILING, &value);
        }
        echoed
    }

    fn put_around<T>(self, message: T) -> Response<T> {
        Response::new(message)
            .with_metadata(self.initial)
            .with_trailers(self.trailing)
    }

    /// The status that a client wants, if it is not OK.
    fn check_status(&self, wanted: Option<&EchoStatus>) -> Result<(), Status> {
        wanted_status(wanted).map_err(|status| status.with_metadata(self.trailing.clone()))
    }
}

fn wanted_status(wanted: Option<&EchoStatus>) -> Result<(), Status> {
    let Some(wanted) = wanted.filter(|wanted| wanted.code != 0) else {
        return Ok(());
    };
    let code = Code::from_number(wanted.code.into()).unwrap_or(Code::Unknown);
    Err(Status::new(code, wanted.message.clone()))
}

/// The responses that one message asks for, each after its pause, and compressed if it is to be, where the
/// stream is. A status that it asks for comes at once.
fn answers(
    message: StreamingOutputCallRequest,
    peer: String,
    switch: CompressionSwitch,
) -> impl stream::Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send {
    let wanted = wanted_status(message.response_status.as_ref());
    let parameters = match wanted {
        Ok(()) => message.response_parameters.into_iter().map(Ok).collect(),
        Err(status) => VecDeque::from([Err(status)]),
    };
    stream::unfold(parameters, move |mut parameters| {
        let (kind, peer, switch) = (message.response_type, peer.clone(), switch.clone());
        async move {
            let next: Result<ResponseParameters, Status> = parameters.pop_front()?;
            let answer = match next {
                Ok(parameters) => {
                    let answer = answer(kind, &parameters, peer).await;
                    let compressed = parameters.compressed;
                    switch.set(compressed.is_none_or(|compressed| compressed.value));
                    answer
                }
                Err(status) => Err(status),
            };
            Some((answer, parameters))
        }
    })
}

async fn answer(
    kind: i32,
    parameters: &ResponseParameters,
    peer: String,
) -> Result<StreamingOutputCallResponse, Status> {
    let pause = u64::try_from(parameters.interval_us).unwrap_or(0);
    if pause > 0 {
        tokio::time::sleep(Duration::from_micros(pause)).await;
    }
    Ok(StreamingOutputCallResponse {
        payload: Some(filled(kind, parameters.size)?),
        peer_socket_address: match &parameters.fill_peer_socket_address {
            Some(BoolValue { value: true }) => peer,
            Some(BoolValue { value: false }) | None => String::new(),
        },
    })
}

fn filled(kind: i32, size: i32) -> Result<Payload, Status> {
    if PayloadType::try_from(kind).is_err() {
        return Err(Status::invalid_argument(format!(
            "payload type {kind} is not known"
        )));
    }
    let size = usize::try_from(size)
        .map_err(|_| Status::invalid_argument(format!("a payload cannot have {size} bytes")))?;
    Ok(payload(size))
}

/// Whether a message came as it says.
fn check_compression(expected: Option<&BoolValue>, is_compressed: bool) -> Result<(), Status> {
    match expected {
        Some(BoolValue { value }) if *value != is_compressed => {
            Err(Status::invalid_argument(match value {
                true => "the request is not compressed, although it says so",
                false => "the request is compressed, although it says it is not",
            }))
        }
        Some(_) | None => Ok(()),
    }
}

fn gzip_if(compressed: bool) -> Compression {
    match compressed {
        true => Compression::Gzip,
        false => Compression::Identity,
    }
}

fn peer<T>(request: &Request<T>) -> String {
    request.peer().map_or_else(String::new, ToString::to_string)
}
