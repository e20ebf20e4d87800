//! Whom a channel asks for, and what its servers' certificates must be for.

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Address, BuildError, Channel, Code, Request};
use highball_echo::EchoRequest;
use highball_server::TlsServerCredentials;

use crate::rig::{HOST, Rig, SERVER, call_with, never_connects, said};

async fn asking(channel: &Channel, authority: &str) -> Result<String, highball_channel::Status> {
    let mut request = Request::new(EchoRequest::default());
    request.options_mut().authority = Some(authority.to_owned());
    let reply = call_with(channel, request).await?;
    Ok(reply.into_message().message)
}

#[tokio::test(start_paused = true)]
async fn a_calls_own_authority_must_be_in_the_certificate() {
    let mut rig = Rig::without_server();
    let identity = rig.identity(&[HOST, "second.test", "10.1.2.3"]);
    rig.serve(TlsServerCredentials::new(identity).unwrap());
    let channel = rig.good_channel();
    for good in ["second.test", "second.test:8443", "10.1.2.3:80", SERVER] {
        let said = asking(&channel, good).await.unwrap();
        assert!(said.ends_with(&format!("asks {good}")), "{said}");
    }
    for bad in ["third.test", "10.1.2.4", "x.server.test"] {
        let status = asking(&channel, bad).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let begins = format!("failed to validate authority \"{bad}\": invalid peer certificate");
        assert!(status.message().starts_with(&begins), "{status}");
    }
    assert_eq!(rig.network.connections(SERVER), 1, "and nothing is lost");
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_name_that_credentials_insist_on_is_asked_for() {
    let mut rig = Rig::without_server();
    let identity = rig.identity(&["*.test.google.fr"]);
    rig.serve(TlsServerCredentials::new(identity).unwrap());
    let foo = rig.trusting().server_name("foo.test.google.fr");
    let channel = rig.channel(foo.clone().build().unwrap());
    assert_eq!(channel.authority(), "foo.test.google.fr");
    assert!(said(&channel).await.ends_with("asks foo.test.google.fr"));
    channel.close().await;
    let agreed = rig.builder(foo.clone().build().unwrap());
    assert!(agreed.authority("foo.test.google.fr").build().is_ok());
    let conflict = rig.builder(foo.build().unwrap()).authority("bar");
    let error = conflict.build().unwrap_err();
    assert!(matches!(error, BuildError::AuthorityConflict { .. }));
    assert_eq!(
        error.to_string(),
        "the channel's authority is \"bar\", but its credentials are for \"foo.test.google.fr\""
    );
}

/// A channel whose resolver says that the server at [`SERVER`] is called `name`.
fn resolved_as(rig: &Rig, name: &str) -> highball_channel::ChannelBuilder {
    let resolver = ManualResolver::new("manual");
    let address = Address::tcp(SERVER).with_server_name(name);
    resolver.update(Resolution::new([address]));
    Channel::builder("manual:///service.test")
        .credentials(rig.trusting().build().expect("good credentials"))
        .connector(rig.network.clone())
        .resolver(resolver)
}

#[tokio::test(start_paused = true)]
async fn a_resolver_names_servers_unless_the_user_has() {
    let rig = Rig::new();
    let channel = resolved_as(&rig, HOST).build().unwrap();
    assert!(said(&channel).await.ends_with("asks server.test"));
    channel.close().await;
    let channel = resolved_as(&rig, "evil.test").authority(HOST);
    let channel = channel.build().unwrap();
    assert!(said(&channel).await.ends_with("asks server.test"));
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_a_resolver_misnames_is_refused() {
    let rig = Rig::new();
    let channel = resolved_as(&rig, "evil.test").build().unwrap();
    let words = ["handshake failed", "not valid for name \"evil.test\""];
    never_connects(&rig.network, &channel, &words).await;
    rig.nothing_is_left(channel).await;
}
