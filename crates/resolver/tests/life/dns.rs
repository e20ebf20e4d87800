//! The `dns` scheme over a name service of the test's.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use highball_core::Code;
use highball_resolver::{BoxFuture, Dns, HostLookup, ResolverOptions};
use tokio::time::Instant;

use crate::line::{Count, Line, SEED, addresses};

/// Knows a few names.
#[derive(Debug, Default)]
struct Zone(Count);

impl HostLookup for Zone {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.0.up();
        Box::pin(async move {
            let found: &[&str] = match host {
                "dual.example" => &["2001:db8::1", "192.0.2.2", "192.0.2.1"],
                "localhost" => &["127.0.0.1"],
                "empty.example" => &[],
                _ => return Err(io::Error::other("Name or service not known")),
            };
            let address = |ip: &&str| SocketAddr::new(ip.parse().unwrap(), port);
            Ok(found.iter().map(address).collect())
        })
    }
}

fn line(target: &str) -> (Line, Count) {
    let lookups = Count::default();
    let mut options = ResolverOptions::default();
    options.seed = SEED;
    options.hosts = Arc::new(Zone(lookups.clone()));
    (Line::with_options(Dns, target, options), lookups)
}

#[tokio::test(start_paused = true)]
async fn each_address_is_an_endpoint_in_the_order_of_the_system() {
    for (target, expected) in [
        (
            "dns:///dual.example:80",
            &["[2001:db8::1]:80", "192.0.2.2:80", "192.0.2.1:80"][..],
        ),
        (
            "dns:dual.example",
            &["[2001:db8::1]:443", "192.0.2.2:443", "192.0.2.1:443"],
        ),
        ("dns:///:80", &["127.0.0.1:80"]),
        ("dns:///:http", &["127.0.0.1:80"]),
    ] {
        let (mut line, lookups) = line(target);
        let resolution = line.accept().await;
        assert_eq!(addresses(&resolution), expected, "{target}");
        assert_eq!(resolution.service_config, None);
        assert_eq!(lookups.now(), 1);
        line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_ip_address_is_passed_on_once_and_never_looked_up() {
    for (target, address) in [
        ("dns:///192.0.2.1:80", "192.0.2.1:80"),
        ("dns:192.0.2.1", "192.0.2.1:443"),
        ("dns:///[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("dns:///2001:db8::1", "[2001:db8::1]:443"),
        ("dns:[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
    ] {
        let (mut line, lookups) = line(target);
        line.inbox.request_resolution();
        assert_eq!(addresses(&line.accept().await), [address]);
        line.inbox.request_resolution();
        assert!(line.inbox.recv().await.is_none());
        assert_eq!((line.now(), lookups.now()), (0.0, 0));
        line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_is_an_error_that_names_it() {
    for (target, text) in [
        (
            "dns:///nosuch.example:80",
            "UNAVAILABLE: dns: A record lookup error: nosuch.example: Name or service not known",
        ),
        (
            "dns:///empty.example",
            "UNAVAILABLE: dns: A record lookup error: empty.example: the name has no addresses",
        ),
    ] {
        let (mut line, lookups) = line(target);
        assert_eq!(line.error().await, text);
        assert_eq!(line.error().await, text);
        assert!(line.now() < 2.0, "it is looked up again after a backoff");
        assert_eq!(lookups.now(), 2);
        line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_makes_no_sense_is_unavailable_with_the_reason() {
    for (target, why) in [
        ("dns:///", "dns resolver: missing address"),
        ("dns:", "dns resolver: missing address"),
        (
            "dns:///host:",
            "dns resolver: missing port after port-separator colon",
        ),
        (
            "dns:///a:b:c",
            "dns resolver: invalid target address a:b:c, error info: too many colons in address",
        ),
        (
            "dns:///example:///name",
            "dns resolver: invalid target address example:///name, error info: \
             the port must be 0 to 65535, http or https \
             (no resolver is registered for the scheme \"example\")",
        ),
        (
            "dns://4.3.2.1/host",
            "dns resolver: cannot ask the DNS server \"4.3.2.1\", only the system's: \
             write dns:///host",
        ),
    ] {
        let (mut line, lookups) = line(target);
        let status = line.reject().await.endpoints.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, why));
        assert_eq!(lookups.now(), 0);
        line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_requests_is_one_look_up_every_30_s() {
    let (mut line, lookups) = line("dns:///dual.example");
    for round in 0..10 {
        for _ in 0..1000 {
            line.inbox.request_resolution();
        }
        line.accept().await;
        assert_eq!(line.now(), f64::from(round) * 30.0);
    }
    assert_eq!(lookups.now(), 10);
    line.hang_up().await;
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let mut line = Line::new(Dns, "dns:///localhost:50051");
    let found = addresses(&line.accept().await);
    let loopback = |address: &String| ["127.0.0.1:50051", "[::1]:50051"].contains(&&address[..]);
    assert!(found.iter().any(loopback), "{found:?}");
    line.hang_up().await;
}

/// A name server that fails when it is told to, and writes down what it is asked.
#[derive(Clone, Debug)]
struct Journal {
    start: Instant,
    down: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    fn note(&self, what: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.lines
            .lock()
            .unwrap()
            .push(format!("//! {seconds:8.1} s  {what}"));
    }
}

impl HostLookup for Journal {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            if self.down.load(Ordering::Relaxed) {
                self.note(&format!(
                    "look up {host}: an error, the name server is down"
                ));
                return Err(io::Error::other("the name server is down"));
            }
            self.note(&format!("look up {host}: 192.0.2.1"));
            Ok(vec![SocketAddr::new([192, 0, 2, 1].into(), port)])
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_transcript_in_the_docs_is_what_happens() {
    let journal = Journal {
        start: Instant::now(),
        down: Arc::default(),
        lines: Arc::default(),
    };
    let mut options = ResolverOptions::default();
    options.seed = SEED;
    options.hosts = Arc::new(journal.clone());
    let mut line = Line::with_options(Dns, "dns:///echo.example", options);

    line.accept().await;
    line.quiet(7.0).await;
    for _ in 0..1000 {
        line.inbox.request_resolution();
    }
    journal.note("1000 connections fail: the policy requests re-resolution");
    line.accept().await;

    line.quiet(570.0).await;
    journal.down.store(true, Ordering::Relaxed);
    journal.note("a connection fails: the policy requests re-resolution");
    line.inbox.request_resolution();
    for _ in 0..3 {
        line.error().await;
    }
    journal.down.store(false, Ordering::Relaxed);
    line.accept().await;
    line.hang_up().await;

    let lines = journal.lines.lock().unwrap().join("\n");
    assert!(include_str!("../../src/dns.rs").contains(&lines), "{lines}");
}
