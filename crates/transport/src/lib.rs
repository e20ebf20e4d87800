//! From messages to bytes over HTTP/2 and back, for both ends of a call.
//!
//! ```text
//!   RecvHalf / SendHalf     messages, headers, trailers; a call becomes a status
//!        │
//!       h2                  streams, flow control, HPACK
//!        │
//!    frame tap              sees what h2 hides; writes once a turn
//!        │
//!     Secured               a byte stream after its security handshake, by credentials
//!        │
//!      BoxIo                a byte stream, from a Connector
//! ```
//!
//! Knows connections and calls, but neither channels nor policies. A call becomes a status in
//! `status.rs`, the last stop of the reading path.
//!
//! # Compression
//!
//! The features `gzip`, `deflate` (both default) and `zstd` are ways to [compress](Compression) messages; without them
//! there is none, and nothing of it is paid for. Both ends say what they read (`grpc-accept-encoding`) in every request
//! and in the headers of every reply: without these features, `identity`. That is one byte in HPACK.
//!
//! # Proxies
//!
//! With the feature `proxy`, an address that has the attribute [`ThroughProxy`](highball_core::ThroughProxy) is reached
//! through that proxy (HTTP `CONNECT`, gRFC A1). Without it, connecting to such an address fails.
//!
//! # Settings
//!
//! Nothing is left to a default of h2's. Those marked with a star can be set, by
//! [`ClientOptions`](client::ClientOptions) and [`ServerOptions`](server::ServerOptions).
//!
//! | setting | client | server | why |
//! |---|---|---|---|
//! | server push | off | – | gRPC has none |
//! | concurrent streams | the server's limit; 100 until it is known | 100 * | a handler each |
//! | window of a stream | 256 KiB, to 16 MiB * | the same * | what the path holds, by its bandwidth-delay product |
//! | window of the connection | 32 MiB * | 32 MiB * | besides what streams hold that nobody reads |
//! | what they may hold | 2 GiB | 256 MiB | one client must not fill a server's memory |
//! | largest frame | 16 KiB | 16 KiB | streams take turns |
//! | header list | 16 KiB * | 16 KiB * | h2 is given four times that: beyond its own limit it cuts silently |
//! | HPACK table | 4 KiB | 4 KiB | |
//! | data queued in h2, a stream | 128 KiB | 128 KiB | a large message leaves whole |
//! | h2's budget for small DATA frames | 128 MiB | 32 MiB | its default closes healthy connections; half used up by cancelled calls, they drain |
//! | streams that h2 itself resets | unlimited | 10,000; half used up, they drain | its default is 1,024 for life |
//! | reset streams remembered | 1,000, 10 s | 1,000, 10 s | late frames are ignored |
//! | keepalive: PING after, closed after | off *; 10 s at least, 20 s | 2 h, 20 s * | gRFC A8 |
//! | PINGs of the peer apart | – | 5 min; 2 h without streams * | gRFC A8: three strikes end the connection |
//! | longest idle, oldest age, grace | – | none * | gRFC A9 |
//! | PINGs, SETTINGS, RST_STREAMs, idle frames | limits of the frame tap, per 10 s | the same | h2 has none |

mod alarm;
mod bdp;
mod bell;
pub mod client;
mod compression;
mod connect;
mod credentials;
mod credit;
mod dial;
pub mod framing;
mod gate;
mod inflow;
mod keepalive;
mod memory;
mod outbox;
mod percent;
mod pings;
mod response;
pub mod server;
mod settings;
mod status;
mod tap;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "proxy")]
mod tunnel;

pub use compression::{Compression, CompressionSwitch, Compressions};
pub use connect::{BoxIo, Connector, Io, SystemConnector, Tcp};
pub use credentials::{ChannelCredentials, LocalCredentials, Secured, ServerCredentials};
pub use inflow::Windows;
pub use memory::{MemoryListener, MemoryNetwork};
pub use outbox::{Messages, Sender, Unsent, messages};
#[cfg(feature = "tls")]
pub use tls::{
    Certificates, Identity, TlsChannelBuilder, TlsChannelCredentials, TlsError, TlsServerBuilder,
    TlsServerCredentials,
};
