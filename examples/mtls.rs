//! Mutual TLS: the server lets in only clients with a certificate, and its handler knows them by name.
//!
//! What to watch for: the client without a certificate is not READY for a moment, although TLS 1.3 lets it
//! finish its handshake before the server has looked; the handler decides by the names in the certificate
//! that TLS has verified, not by what a client says of itself.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::{
    Certificates, Channel, Identity, Request, Status, TlsChannelCredentials, TlsError,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_examples::Outcome;
use highball_server::{Response, Server, TlsServerCredentials};
use highball_testkit::certificates::Authority;

/// Serves conductors.
struct Cab;

impl Echo for Cab {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let names = request.peer().map(|peer| peer.auth_info().names());
        let names = names.unwrap_or_default();
        if !names.contains(&"spiffe://railway/conductor".to_owned()) {
            let text = format!("this is not for {}", names.join(", "));
            return Err(Status::permission_denied(text));
        }
        let message = format!("all clear, {}", names.join(", "));
        Ok(Response::new(EchoResponse { message }))
    }
}

#[tokio::main]
async fn main() -> Outcome {
    // In life these come from files: Identity::from_pem_files, Certificates::from_pem_file.
    let authority = Authority::new("Railway CA");
    let trusted = Certificates::from_pem(authority.pem())?;
    let credentials = TlsServerCredentials::builder(identity(&authority, "127.0.0.1")?)
        .require_client_certificate(trusted.clone())
        .build()?;

    let listener = highball_server::bind("127.0.0.1:0").await?;
    let target = format!("passthrough:///{}", listener.local_addr());
    let server = Server::builder().credentials(credentials);
    let server = server.add_service(EchoServer::new(Cab)).build();
    tokio::spawn(server.clone().serve(listener));

    let stranger = Authority::new("Toy Railway CA");
    for (who, shown) in [
        (
            "the conductor",
            Some(identity(&authority, "spiffe://railway/conductor")?),
        ),
        (
            "a passenger",
            Some(identity(&authority, "spiffe://railway/passenger")?),
        ),
        (
            "a toy's conductor",
            Some(identity(&stranger, "spiffe://railway/conductor")?),
        ),
        ("nobody", None),
    ] {
        let mut credentials = TlsChannelCredentials::builder().roots(trusted.clone());
        if let Some(identity) = shown {
            credentials = credentials.identity(identity);
        }
        let channel = Channel::builder(&target).credentials(credentials.build()?);
        let echo = EchoClient::new(channel.build()?);
        let reply = echo.unary_echo(Request::new(EchoRequest::default())).await;
        match reply {
            Ok(reply) => println!("{who}: {}", reply.message().message),
            Err(status) => println!("{who}: {status}"),
        }
    }
    server.stop().await;
    Ok(())
}

fn identity(authority: &Authority, name: &str) -> Result<Identity, TlsError> {
    let issued = authority.issue(&[name]);
    Identity::from_pem(issued.chain, issued.key)
}
