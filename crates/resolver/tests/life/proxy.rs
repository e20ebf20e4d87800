//! Resolution with a proxy between the channel and its servers (gRFC A1).

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use highball_core::{Address, Attributes, Endpoint, Status, ThroughProxy};
use highball_resolver::{
    BadTarget, BoxFuture, HostLookup, ManualResolver, ProxySettings, Resolution, Resolver,
    ResolverFactory, ResolverOptions, ResolverRegistry, Target, Updates,
};

use crate::line::{Line, SEED};

/// The names that exist; each that was asked for.
#[derive(Debug, Default)]
struct Zone(Mutex<Vec<String>>);

impl HostLookup for Zone {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.0.lock().unwrap().push(host.to_owned());
        Box::pin(async move {
            let found: &[&str] = match host {
                "proxy" => &["192.0.2.7"],
                "proxies" => &["192.0.2.7", "192.0.2.8"],
                "direct.example" => &["198.51.100.1"],
                _ => return Err(io::Error::other("Name or service not known")),
            };
            let address = |ip: &&str| SocketAddr::new(ip.parse().unwrap(), port);
            Ok(found.iter().map(address).collect())
        })
    }
}

/// Says the same again and again, without a pause.
#[derive(Clone, Copy)]
struct Chatterbox;

impl ResolverFactory for Chatterbox {
    fn scheme(&self) -> &str {
        "own"
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, BadTarget> {
        Ok(Box::new(*self))
    }
}

impl Resolver for Chatterbox {
    fn run(self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                updates.send(Resolution::new(["198.51.100.1:1"])).await.ok();
            }
        })
    }
}

struct Rig {
    line: Line,
    zone: Arc<Zone>,
}

impl Rig {
    fn new(target: &str, settings: ProxySettings) -> Self {
        let (target, factory) = ResolverRegistry::builtin().find(target).unwrap();
        Self::of(factory, &target.to_string(), settings)
    }

    fn of(factory: Arc<dyn ResolverFactory>, target: &str, settings: ProxySettings) -> Self {
        let zone = Arc::<Zone>::default();
        let mut options = ResolverOptions::default();
        options.seed = SEED;
        options.hosts = zone.clone();
        let line = Line::with_factory(settings.delegate(factory), target, options);
        Self { line, zone }
    }

    fn looked_up(&self) -> Vec<String> {
        self.zone.0.lock().unwrap().clone()
    }
}

fn proxy(text: &str) -> ProxySettings {
    ProxySettings::new(text).unwrap()
}

/// Each address of each endpoint, and the proxy it is reached through.
fn shown(resolution: &Resolution) -> Vec<Vec<String>> {
    let show = |address: &Address| match address.attributes().get::<ThroughProxy>() {
        Some(through) => format!("{address} {through:?}"),
        None => address.to_string(),
    };
    let endpoints = resolution.endpoints.as_ref().unwrap().iter();
    endpoints
        .map(|endpoint| endpoint.addresses().iter().map(show).collect())
        .collect()
}

fn said(resolution: &Resolution) -> &str {
    resolution.endpoints.as_ref().unwrap_err().message()
}

#[tokio::test(start_paused = true)]
async fn a1_a_name_is_left_to_the_proxy() {
    for (target, named) in [
        ("dns:///echo.example:50051", "echo.example:50051"),
        ("echo.example", "echo.example:443"),
        ("dns:///192.0.2.1:80", "192.0.2.1:80"),
        ("dns://8.8.8.8/echo.example", "echo.example:443"),
    ] {
        let mut rig = Rig::new(target, proxy("http://me:secret@proxy:3128"));
        let resolution = rig.line.accept().await;
        let expected = format!("{named} through 192.0.2.7:3128");
        assert_eq!(shown(&resolution), [[expected]], "{target}");
        assert_eq!(rig.looked_up(), ["proxy"], "{target}");
        let endpoints = resolution.endpoints.unwrap();
        let attributes = endpoints[0].addresses()[0].attributes();
        let through = attributes.get::<ThroughProxy>().unwrap();
        assert_eq!(through.user_info(), Some("me:secret"));
        rig.line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a1_a_name_that_is_reached_directly_is_looked_up_as_ever() {
    for (target, found) in [
        ("dns:///direct.example:80", "198.51.100.1:80"),
        ("dns:///127.0.0.1:80", "127.0.0.1:80"),
    ] {
        let mut rig = Rig::new(target, proxy("proxy").bypass("direct.example"));
        assert_eq!(shown(&rig.line.accept().await), [[found]]);
        assert!(!rig.looked_up().contains(&"proxy".to_owned()));
        rig.line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a1_targets_that_make_no_sense_say_so() {
    for (target, why) in [
        (
            "dns:///",
            "proxy: invalid target address \"\": missing address",
        ),
        (
            "dns:///host:",
            "proxy: invalid target address \"host:\": missing port after port-separator colon",
        ),
    ] {
        let mut rig = Rig::new(target, proxy("proxy"));
        assert_eq!(said(&rig.line.reject().await), why);
        rig.line.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_address_that_is_found_goes_through_every_address_of_the_proxy() {
    let servers = ManualResolver::new("own");
    let settings = proxy("proxies:3128").bypass("10.0.0.0/8");
    let mut rig = Rig::of(Arc::new(servers.clone()), "own:///a", settings);
    let zone = Attributes::default().with("here");
    let first = Endpoint::new(["198.51.100.1:1", "10.0.0.1:1"]).with_attributes(zone.clone());
    let second = Endpoint::new([Address::unix("/run/a"), Address::tcp("198.51.100.2:2")]);
    servers.update(Resolution::new([first, second]).with_service_config("{}"));
    let resolution = rig.line.accept().await;
    assert_eq!(
        shown(&resolution),
        [
            vec![
                "198.51.100.1:1 through 192.0.2.7:3128",
                "198.51.100.1:1 through 192.0.2.8:3128",
                "10.0.0.1:1",
            ],
            vec![
                "unix:/run/a",
                "198.51.100.2:2 through 192.0.2.7:3128",
                "198.51.100.2:2 through 192.0.2.8:3128",
            ],
        ]
    );
    assert_eq!(resolution.service_config, Some(Ok("{}".to_owned())));
    assert_eq!(*resolution.endpoints.unwrap()[0].attributes(), zone);
    rig.line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_nobody_needs_is_not_looked_up() {
    let servers = ManualResolver::new("own");
    let mut rig = Rig::of(Arc::new(servers.clone()), "own:///a", proxy("proxy"));
    servers.update(Resolution::new(["127.0.0.1:1", "unix:/run/a"]));
    let direct = shown(&rig.line.accept().await);
    assert_eq!(direct, [["127.0.0.1:1"], ["unix:/run/a"]]);
    assert!(rig.looked_up().is_empty());
    servers.update(Resolution::new(["198.51.100.1:1"]));
    let proxied = shown(&rig.line.accept().await);
    assert_eq!(proxied, [["198.51.100.1:1 through 192.0.2.7:80"]]);
    rig.line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn errors_of_either_resolver_are_told() {
    let servers = ManualResolver::new("own");
    let mut rig = Rig::of(Arc::new(servers.clone()), "own:///a", proxy("nowhere"));
    servers.update(Resolution::error(Status::unavailable("no servers today")));
    assert_eq!(said(&rig.line.reject().await), "no servers today");
    servers.update(Resolution::new(["198.51.100.1:1"]));
    let told = rig.line.reject().await;
    assert!(said(&told).contains("nowhere"), "{}", said(&told));
    rig.line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_has_the_other_asked_again_and_requests_reach_both() {
    let servers = ManualResolver::new("own");
    let mut rig = Rig::of(Arc::new(servers.clone()), "own:///a", proxy("proxy"));
    servers.update(Resolution::new(["198.51.100.1:1"]));
    rig.line.accept().await;
    assert_eq!(rig.looked_up().len(), 1);
    servers.update(Resolution::new(["198.51.100.2:1"]));
    rig.line.reject().await;
    rig.line.accept().await;
    assert_eq!(rig.looked_up().len(), 2, "the proxy's name, again");
    let requests = servers.requests();
    rig.line.inbox.request_resolution();
    rig.line.accept().await;
    assert_eq!(rig.looked_up().len(), 3);
    assert!(servers.requests() > requests);
    rig.line.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_never_silent_does_not_drown_the_proxys() {
    let mut rig = Rig::of(Arc::new(Chatterbox), "own:///a", proxy("proxy"));
    for _ in 0..3 {
        let proxied = shown(&rig.line.accept().await);
        assert_eq!(proxied, [["198.51.100.1:1 through 192.0.2.7:80"]]);
    }
    rig.line.hang_up().await;
}
