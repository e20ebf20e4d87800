//! What a proxy is asked for, and what it is not.

use highball_channel::resolver::ProxySettings;
use highball_channel::transport::SystemConnector;
use highball_channel::{
    Address, Certificates, Channel, Code, LocalCredentials, TlsChannelCredentials,
};
use highball_server::{Identity, Server, TlsServerCredentials};
use highball_testkit::certificates::Authority;

use crate::rig::{Manner, Proxy, client, echo, plain, serve, through};

const ANSWER: &str = "through (from behind the proxy)";

/// A proxy on loopback that leads to a server there, and where both are.
async fn start(server: highball_server::ServerBuilder) -> (Proxy, Address, Address) {
    let bind = async || {
        highball_server::bind("127.0.0.1:0")
            .await
            .expect("a free port")
    };
    let server = serve(bind().await, server);
    let listener = bind().await;
    let at = highball_server::Listener::local_addr(&listener);
    let proxy = Proxy::start(listener, Manner::Tunnels, SystemConnector, server.clone());
    (proxy, at, server)
}

#[tokio::test]
async fn a1_the_proxy_is_asked_for_the_name_that_nobody_has_looked_up() {
    let (proxy, at, _) = start(plain()).await;
    let channel = Channel::builder("dns:///echo.test:50051").insecure();
    let client = client(channel.proxy(through(&at)));
    assert_eq!(echo(&client).await.expect("an answer"), ANSWER);
    assert_eq!(echo(&client).await.expect("an answer"), ANSWER);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1, "one connection: {requests:?}");
    let lines: Vec<_> = requests[0].lines().collect();
    assert_eq!(lines[0], "CONNECT echo.test:50051 HTTP/1.1");
    assert!(lines.contains(&"Host: echo.test:50051"), "{lines:?}");
    let basic = "Proxy-Authorization: Basic bWU6c0BjcmV0";
    assert!(lines.contains(&basic), "{lines:?}");
    let agent = "User-Agent: highball/";
    assert!(
        lines.iter().any(|line| line.starts_with(agent)),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a1_the_proxy_is_asked_for_each_address_that_a_resolver_finds() {
    let (proxy, at, _) = start(plain()).await;
    let channel = Channel::builder("ipv4:192.0.2.1:1,192.0.2.2:2")
        .insecure()
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#);
    let client = client(channel.proxy(through(&at)));
    while proxy.requests().len() < 2 {
        assert_eq!(echo(&client).await.expect("an answer"), ANSWER);
    }
    let mut asked_for = proxy.asked_for();
    asked_for.sort();
    assert_eq!(
        asked_for,
        [
            "CONNECT 192.0.2.1:1 HTTP/1.1",
            "CONNECT 192.0.2.2:2 HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a1_the_proxy_is_asked_for_an_ipv6_address_in_brackets() {
    for target in ["ipv6:[2001:db8::1]:443", "dns:///[2001:db8::1]:443"] {
        let (proxy, at, _) = start(plain()).await;
        let channel = Channel::builder(target).insecure();
        let client = client(channel.proxy(through(&at)));
        assert_eq!(echo(&client).await.expect("an answer"), ANSWER);
        let requests = proxy.requests();
        let lines: Vec<_> = requests[0].lines().collect();
        assert_eq!(lines[0], "CONNECT [2001:db8::1]:443 HTTP/1.1", "{target}");
        assert!(lines.contains(&"Host: [2001:db8::1]:443"), "{lines:?}");
    }
}

#[tokio::test]
async fn a1_this_machine_and_who_is_listed_are_reached_directly() {
    let (proxy, at, server) = start(plain()).await;
    let environment = ProxySettings::from_variables(|name| match name {
        "https_proxy" => Some(at.to_string()),
        "no_proxy" => Some("listed.test".to_owned()),
        _ => None,
    });
    let direct = format!("passthrough:///{server}");
    for settings in [environment.clone(), ProxySettings::none()] {
        let channel = Channel::builder(&*direct).insecure().proxy(settings);
        assert_eq!(echo(&client(channel)).await.expect("an answer"), ANSWER);
    }
    let listed = Channel::builder("a.listed.test:1").insecure();
    let error = echo(&client(listed.proxy(environment.clone()))).await;
    let error = error.expect_err("there is no such name");
    assert!(error.message().contains("dns"), "looked up here: {error}");
    assert_eq!(proxy.asked_for(), [""; 0]);
    let other = Channel::builder("other.test:1").insecure();
    let client = client(other.proxy(environment));
    assert_eq!(echo(&client).await.expect("an answer"), ANSWER);
    assert_eq!(proxy.asked_for(), ["CONNECT other.test:1 HTTP/1.1"]);
}

#[tokio::test]
async fn tls_runs_through_the_tunnel_and_makes_sure_of_the_server() {
    let authority = Authority::new("Test CA");
    let issued = authority.issue(&["echo.test"]);
    let identity = Identity::from_pem(&issued.chain, &issued.key).expect("a chain and a key");
    let credentials = TlsServerCredentials::new(identity).expect("a good identity");
    let (proxy, at, _) = start(Server::builder().credentials(credentials)).await;
    let calling = async |target: &str| {
        let roots = Certificates::from_pem(authority.pem()).expect("a certificate");
        let credentials = TlsChannelCredentials::builder().roots(roots).build();
        let channel = Channel::builder(target)
            .credentials(credentials.expect("good credentials"))
            .proxy(through(&at));
        echo(&client(channel)).await
    };
    assert_eq!(calling("echo.test:443").await.expect("an answer"), ANSWER);
    let error = calling("other.test:443").await.expect_err("another name");
    let told = error.message();
    assert!(told.contains("authentication handshake failed"), "{told}");
    assert!(
        told.contains(&format!("other.test:443 through the proxy {at}")),
        "{told}"
    );
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test]
async fn a_proxy_on_this_machine_makes_no_server_local() {
    let (_proxy, at, _) = start(plain()).await;
    let channel = Channel::builder("echo.test:443").credentials(LocalCredentials);
    let error = echo(&client(channel.proxy(through(&at)))).await;
    let error = error.expect_err("a server elsewhere");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("echo.test:443"), "{error}");
}
