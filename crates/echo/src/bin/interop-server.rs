//! The server of gRPC's interoperability tests, with the official flags.
//!
//! ```text
//! interop-server --port=10000
//! ```
//!
//! It prints where it listens and serves until it is killed.

#![expect(clippy::print_stdout, reason = "a program talks to its user")]

use clap::{ArgAction, Parser};
use highball_echo::interop::{self, Failure, TestServer};
use highball_server::reflection::Descriptors;
use highball_server::{Server, ServerBuilder};

/// Serves gRPC's interoperability tests.
#[derive(Debug, Parser)]
#[command(rename_all = "snake_case")]
struct Flags {
    /// The port to listen on; 0 for any that is free.
    #[arg(long, default_value_t = 10000)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// How many streams a client may have open on a connection.
    #[arg(long)]
    max_concurrent_streams_limit: Option<u32>,
    /// Whether to speak TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    use_tls: bool,
    /// The server's certificate.
    #[arg(long)]
    tls_cert_file: Option<String>,
    /// The key of the certificate.
    #[arg(long)]
    tls_key_file: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let failed = |error: &dyn std::error::Error| Failure::new(error.to_string());
    let listener = highball_server::bind(format!("{}:{}", flags.host, flags.port)).await;
    let listener = listener.map_err(|error| failed(&error))?;
    let address = listener.local_addr();
    println!("listening on {address}");
    let descriptors =
        Descriptors::decode([interop::DESCRIPTORS]).map_err(|error| failed(&error))?;
    let mut server = Server::builder();
    if let Some(limit) = flags.max_concurrent_streams_limit {
        server = server.max_concurrent_streams(limit);
    }
    let server = TestServer::new(address.to_string()).add_to(server);
    let mut server = server.reflection(descriptors);
    if flags.use_tls {
        server = flags.secure(server)?;
    }
    server.serve(listener).await.map_err(|error| failed(&error))
}

impl Flags {
    #[cfg(feature = "tls")]
    fn secure(&self, server: ServerBuilder) -> Result<ServerBuilder, Failure> {
        use highball_server::{Identity, TlsError, TlsServerCredentials};

        let failed = |error: TlsError| Failure::new(error.to_string());
        let (Some(certificate), Some(key)) = (&self.tls_cert_file, &self.tls_key_file) else {
            return Err(Failure::new(
                "--use_tls needs --tls_cert_file and --tls_key_file",
            ));
        };
        let identity = Identity::from_pem_files(certificate, key).map_err(failed)?;
        let credentials = TlsServerCredentials::new(identity).map_err(failed)?;
        Ok(server.credentials(credentials))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _: ServerBuilder) -> Result<ServerBuilder, Failure> {
        Err(Failure::new("--use_tls needs a build with --features tls"))
    }
}
