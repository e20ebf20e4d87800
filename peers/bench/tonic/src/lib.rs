//! tonic as its users get it: a generated client and server with every setting at its default, a timeout on
//! every call.

mod client;
mod server;

/// What tonic generates.
mod generated {
    #![allow(missing_docs, unreachable_pub, reason = "generated code")]
    #![allow(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "generated code"
    )]

    tonic::include_proto!("bench.Echo");
}

pub use client::Client;
pub use server::serve;
