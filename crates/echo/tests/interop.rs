//! The interoperability tests between this project's own client and server: every case, in memory and as
//! programs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, Endpoint, MetadataMap, Request};
use highball_echo::interop::testing::test_service_client::TestServiceClient;
use highball_echo::interop::testing::{
    ResponseParameters, SimpleRequest, StreamingOutputCallRequest,
};
use highball_echo::interop::{
    self, CASES, Failure, LEFT_OUT, Soak, SoakReport, TestBackendMetrics, TestServer, Tester,
};
use highball_server::{Server, ServerBuilder};
use highball_testkit::certificates::Authority;

/// A service config with the policy that the cases about load need.
const BACKEND_METRICS: &str =
    r#"{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#;

/// A service config that lets a subchannel have two connections.
const TWO_CONNECTIONS: &str = r#"{"connectionScaling":{"maxConnectionsPerSubchannel":2}}"#;

/// A tester and its server, in memory.
fn tester() -> Tester {
    tester_with("{}")
}

fn tester_with(service_config: &str) -> Tester {
    tester_of(Server::builder(), service_config)
}

fn tester_of(server: ServerBuilder, service_config: &str) -> Tester {
    Tester::new(channel_to(server, service_config), MetadataMap::new())
}

/// A channel to a server, in memory.
fn channel_to(server: ServerBuilder, service_config: &str) -> Channel {
    let network = MemoryNetwork::new();
    let server = TestServer::new("server:1").add_to(server);
    tokio::spawn(server.build().serve(network.listen("server:1")));
    let resolver = ManualResolver::new("test");
    resolver.update(Resolution::new([Endpoint::from("server:1")]));
    Channel::builder("test:///server")
        .insecure()
        .resolver(resolver)
        .connector(network)
        .policy::<TestBackendMetrics>()
        .default_service_config(service_config)
        .build()
        .expect("the test's choices make sense")
}

/// The server's part of `cacheable_unary`.
#[tokio::test(start_paused = true)]
async fn what_a_cache_may_keep_says_for_how_long_and_is_never_the_same_twice() {
    let client = TestServiceClient::new(channel_to(Server::builder(), "{}"));
    let mut timestamps = Vec::new();
    for _ in 0..2 {
        let request = Request::new(SimpleRequest::default()).with_metadata("x-user-ip", "1.2.3.4");
        let response = client.cacheable_unary_call(request.unwrap()).await.unwrap();
        let control = response.metadata().get("cache-control");
        assert_eq!(control, Some("max-age=60, public"));
        let body = response.into_message().payload.unwrap().body;
        timestamps.push(str::from_utf8(&body).unwrap().parse::<u64>().unwrap());
    }
    assert!(timestamps[0] < timestamps[1], "{timestamps:?}");
}

/// What the server makes of requests that make no sense; each is answered, and the next call is fine.
#[tokio::test(start_paused = true)]
async fn a_negative_size_and_an_unknown_type_of_payload_are_invalid_arguments() {
    let client = TestServiceClient::new(channel_to(Server::builder(), "{}"));
    for (response_type, size, told) in [
        (0, -1, "INVALID_ARGUMENT: a payload cannot have -1 bytes"),
        (7, 1, "INVALID_ARGUMENT: payload type 7 is not known"),
    ] {
        let unary = SimpleRequest {
            response_type,
            response_size: size,
            ..SimpleRequest::default()
        };
        let status = client.unary_call(unary).await.unwrap_err();
        assert_eq!(status.to_string(), told);
        let streamed = StreamingOutputCallRequest {
            response_type,
            response_parameters: vec![ResponseParameters {
                size,
                ..ResponseParameters::default()
            }],
            ..StreamingOutputCallRequest::default()
        };
        let replies = client.streaming_output_call(streamed.clone()).await;
        let status = replies.unwrap().message().await.unwrap_err();
        assert_eq!(status.to_string(), told);
        let requests = Request::new(futures::stream::iter([streamed]));
        let replies = client.full_duplex_call(requests).await;
        let status = replies.unwrap().message().await.unwrap_err();
        assert_eq!(status.to_string(), told);
    }
    client.unary_call(SimpleRequest::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_case_passes() {
    for case in CASES {
        let tester = match case {
            "orca_per_rpc" | "orca_oob" => tester_with(BACKEND_METRICS),
            "max_concurrent_streams_connection_scaling" => {
                tester_of(Server::builder().max_concurrent_streams(2), TWO_CONNECTIONS)
            }
            _ => tester(),
        };
        assert_eq!(interop::run(case, &tester).await, Ok(()), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_case_that_is_not_there_says_why() {
    for (case, why) in LEFT_OUT {
        assert!(!CASES.contains(&case));
        let failure = interop::run(case, &tester()).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("left out: {why}"));
    }
    let failure = interop::run("tiny_unary", &tester()).await.unwrap_err();
    assert!(failure.to_string().starts_with("there is no case named"));
}

#[tokio::test(start_paused = true)]
async fn the_cases_about_load_fail_without_their_policy() {
    for case in ["orca_per_rpc", "orca_oob"] {
        let failure = interop::run(case, &tester()).await.unwrap_err();
        let text = failure.to_string();
        assert!(text.starts_with("load report: got None, want"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_case_about_connections_fails_where_there_is_one_or_no_need_of_two() {
    let case = "max_concurrent_streams_connection_scaling";
    let limited = || Server::builder().max_concurrent_streams(2);
    let failure = interop::run(case, &tester_of(limited(), "{}")).await;
    assert_eq!(failure.unwrap_err().to_string(), "not done after 60s");
    let failure = interop::run(case, &tester_with(TWO_CONNECTIONS)).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the third came from memory-client:1 as well"
    );
}

/// A service that answers nothing fails every case but those that want just that.
#[tokio::test(start_paused = true)]
async fn no_case_passes_with_a_server_that_answers_nothing() {
    let network = MemoryNetwork::new();
    tokio::spawn(Server::builder().build().serve(network.listen("server:1")));
    let resolver = ManualResolver::new("test");
    resolver.update(Resolution::new([Endpoint::from("server:1")]));
    let builder = Channel::builder("test:///server").insecure();
    let builder = builder.resolver(resolver).connector(network);
    let tester = Tester::new(builder.build().unwrap(), MetadataMap::new());
    for case in CASES {
        let passed = interop::run(case, &tester).await.is_ok();
        assert_eq!(passed, case.starts_with("unimplemented_"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_soak_test_makes_all_its_calls_whoever_shares_them() {
    for workers in [1, 3, 20] {
        let soak = Soak {
            workers,
            request_size: 10,
            response_size: 10,
            ..Soak::default()
        };
        let tester = tester();
        let report = soak.run(|| tester.clone()).await;
        assert_eq!((report.latencies.len(), report.failures.len()), (10, 0));
        assert_eq!(soak.judge(&report), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_soak_test_fails_if_it_runs_out_of_time_or_of_patience() {
    let slow = Soak {
        min_interval: Duration::from_secs(4),
        request_size: 10,
        response_size: 10,
        ..Soak::default()
    };
    let tester = tester();
    let report = slow.run(|| tester.clone()).await;
    let failure = slow.judge(&report).unwrap_err().to_string();
    let text = "the soak test used up its 10s: 3 of 10 calls were made";
    assert_eq!(failure, text);
    let bad = SoakReport {
        latencies: vec![Duration::from_millis(1); 8],
        failures: vec![Failure::new("oops"); 2],
    };
    let mut soak = Soak::default();
    let failure = soak.judge(&bad).unwrap_err().to_string();
    assert_eq!(failure, "2 calls failed, more than 0; the first: oops");
    soak.max_failures = 2;
    assert_eq!(soak.judge(&bad), Ok(()));
}

/// The server as a program.
struct Running {
    process: Child,
    port: String,
}

impl Running {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_interop-server"))
            .arg("--port=0")
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server is built");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let line = lines.next().expect("a line").expect("which is text");
        let (_, port) = line.rsplit_once(':').expect("the line ends in a port");
        Self {
            port: port.to_owned(),
            process,
        }
    }

    fn client(&self, flags: &[&str]) -> Output {
        let port = format!("--server_port={}", self.port);
        let mut client = Command::new(env!("CARGO_BIN_EXE_interop-client"));
        client.args(["--server_host=127.0.0.1", &port]).args(flags);
        client.output().expect("the client is built")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_programs_take_the_official_flags() {
    let server = Running::start();
    for flags in [
        &["--test_case=large_unary"][..],
        &["--test_case", "custom_metadata", "--use_tls=false"],
        &[
            "--test_case=empty_unary",
            "--additional_metadata=a:1;b-bin:2;",
        ],
        &["--test_case=ping_pong", "--service_config_json={}"],
        &[
            "--test_case=orca_per_rpc",
            "--service_config_json",
            BACKEND_METRICS,
        ],
        &[
            "--test_case=rpc_soak",
            "--soak_iterations=3",
            "--soak_num_threads=2",
        ],
        &[
            "--test_case=channel_soak",
            "--soak_iterations=3",
            "--soak_max_failures=0",
        ],
        &[
            "--test_case=long_lived_channel",
            "--soak_iterations=3",
            "--iteration_interval=0",
        ],
        &["--test_case=call_credentials"],
    ] {
        let output = server.client(flags);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{flags:?}: {output:?}");
        assert!(said.trim_end().ends_with(": passed"), "{said}");
    }
}

#[test]
fn the_programs_speak_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (ca, certificate, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let authority = Authority::new("test CA");
    let issued = authority.issue(&["foo.test.google.fr"]);
    for (file, text) in [
        (&ca, authority.pem()),
        (&certificate, &issued.chain),
        (&key, &issued.key),
    ] {
        std::fs::write(file, text).unwrap();
    }
    let server = Running::start_with(&[
        "--use_tls=true",
        &format!("--tls_cert_file={certificate}"),
        &format!("--tls_key_file={key}"),
    ]);
    let ca_file = format!("--ca_file={ca}");
    let named = "--server_host_override=foo.test.google.fr";
    for case in ["--test_case=large_unary", "--test_case=call_credentials"] {
        let flags = [
            "--use_tls=true",
            "--use_test_ca=true",
            &ca_file,
            named,
            case,
        ];
        let output = server.client(&flags);
        assert!(output.status.success(), "{output:?}");
    }
    for (flags, why) in [
        (&[][..], "plaintext"),
        (&["--use_tls", named][..], "an unknown CA"),
        (&["--use_tls", &ca_file][..], "another name"),
        (&["--use_tls", "--use_test_ca", named][..], "no CA"),
    ] {
        let output = server.client(flags);
        assert_eq!(output.status.code(), Some(1), "{why}: {output:?}");
    }
}

#[test]
fn a_case_that_fails_says_why_and_fails_the_program() {
    let server = Running::start();
    for (flags, text) in [
        (
            &["--test_case=nothing"][..],
            "there is no case named \"nothing\"",
        ),
        (
            &["--test_case=cacheable_unary"],
            "left out: it is about requests by GET",
        ),
        (&["--additional_metadata=a"], "\"a\" is no key:value"),
        (&["--service_config_json=["], "service config"),
        (
            &[
                "--test_case=rpc_soak",
                "--soak_per_iteration_max_acceptable_latency_ms=0",
            ],
            "calls failed, more than 0",
        ),
    ] {
        let output = server.client(flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(text), "{flags:?}: {said}");
    }
}
