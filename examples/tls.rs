//! TLS: a client makes sure of its server, a server renews its certificate while it runs, and a token travels
//! where nobody can read it.
//!
//! What to watch for: who trusts another authority, or asks for another name, never gets through, and is told
//! why; the certificate that is replaced is shown to new connections, while the old ones live on; a token is
//! refused in plaintext before anything is sent.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::{
    BearerToken, Certificates, Channel, ChannelBuilder, Identity, Request, Status,
    TlsChannelCredentials, TlsError,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_examples::Outcome;
use highball_server::{Response, Server, TlsServerCredentials};
use highball_testkit::certificates::Authority;

/// Says whether a token came with the call.
struct Doorman;

impl Echo for Doorman {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let known = request.metadata().get("authorization") == Some("Bearer open sesame");
        let message = if known { "come in" } else { "who is there?" }.to_owned();
        Ok(Response::new(EchoResponse { message }))
    }
}

#[tokio::main]
async fn main() -> Outcome {
    // In life these come from files: Identity::from_pem_files, Certificates::from_pem_file.
    let authority = Authority::new("Example CA");
    let shown = TlsServerCredentials::new(identity(&authority, "first.example")?)?;

    let listener = highball_server::bind("127.0.0.1:0").await?;
    let target = format!("passthrough:///{}", listener.local_addr());
    let server = Server::builder().credentials(shown.clone());
    let server = server.add_service(EchoServer::new(Doorman)).build();
    tokio::spawn(server.clone().serve(listener));
    let channel = |trusted: &Authority| -> Result<ChannelBuilder, TlsError> {
        let roots = Certificates::from_pem(trusted.pem())?;
        let credentials = TlsChannelCredentials::builder().roots(roots).build()?;
        Ok(Channel::builder(&target).credentials(credentials))
    };

    let first = channel(&authority)?.build()?;
    say("trusting the authority", &first).await;
    say(
        "trusting another one",
        &channel(&Authority::new("Other CA"))?.build()?,
    )
    .await;
    say(
        "asking for another name",
        &channel(&authority)?.authority("bank.example").build()?,
    )
    .await;

    shown.replace(&TlsServerCredentials::new(identity(
        &authority,
        "second.example",
    )?)?);
    say(
        "a new connection after the renewal",
        &channel(&authority)?.build()?,
    )
    .await;
    say("the connection from before", &first).await;

    let token = BearerToken::new("open sesame")?;
    let secure = channel(&authority)?
        .call_credentials(token.clone())
        .build()?;
    say("with a token", &secure).await;
    let plain = Channel::builder(&target).insecure().call_credentials(token);
    if let Err(refused) = plain.build() {
        println!("with a token in plaintext: {refused}");
    }
    server.stop().await;
    Ok(())
}

/// A certificate for this machine and one more name.
fn identity(authority: &Authority, name: &str) -> Result<Identity, TlsError> {
    let issued = authority.issue(&["127.0.0.1", name]);
    Identity::from_pem(issued.chain, issued.key)
}

async fn say(how: &str, channel: &Channel) {
    let request = Request::new(EchoRequest::default());
    match EchoClient::new(channel.clone()).unary_echo(request).await {
        Ok(reply) => {
            let names = reply.peer().map(|peer| peer.auth_info().names().join(", "));
            let names = names.unwrap_or_default();
            println!("{how}: {:?} says {names}", reply.message().message);
        }
        Err(status) => println!("{how}: {status}"),
    }
}
