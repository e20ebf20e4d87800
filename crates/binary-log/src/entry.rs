//! What happened to a call, as an entry of the log: what is left out of it, and what is cut short.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use highball_channel::{Address as PeerAddress, AnyMessage, Entry, MetadataMap, Network, Status};
use prost::Message as _;

use crate::filter::Limits;
use crate::v1::grpc_log_entry::{EventType, Logger, Payload};
use crate::v1::{
    Address, ClientHeader, GrpcLogEntry, Message, Metadata, MetadataEntry, ServerHeader, Trailer,
    address,
};

/// The one key of gRPC's own that is logged, whatever the limit.
const TRACE: &str = "grpc-trace-bin";

/// What the headers of a client say beside the metadata.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) path: &'a str,
    pub(crate) authority: &'a str,
    pub(crate) timeout: Option<Duration>,
}

/// Builds entries. Which call they are of is added when they are logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries {
    pub(crate) logger: Logger,
    pub(crate) limits: Limits,
}

impl Entries {
    pub(crate) fn client_header(&self, head: &Head<'_>, metadata: &MetadataMap) -> GrpcLogEntry {
        let (metadata, truncated) = self.metadata(metadata);
        let header = ClientHeader {
            metadata: Some(metadata),
            method_name: head.path.to_owned(),
            authority: head.authority.to_owned(),
            timeout: head.timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        let payload = Payload::ClientHeader(header);
        self.entry(EventType::ClientHeader, Some(payload), truncated)
    }

    pub(crate) fn server_header(&self, metadata: &MetadataMap) -> GrpcLogEntry {
        let (metadata, truncated) = self.metadata(metadata);
        let payload = Payload::ServerHeader(ServerHeader {
            metadata: Some(metadata),
        });
        self.entry(EventType::ServerHeader, Some(payload), truncated)
    }

    /// `from` is the client's or the server's event of a message.
    pub(crate) fn message(&self, from: EventType, message: &AnyMessage) -> GrpcLogEntry {
        let whole = message.encoded_len();
        let kept = usize::try_from(self.limits.message).map_or(whole, |limit| limit.min(whole));
        let data = match kept {
            0 => Vec::new(),
            _ => message.payload()[..kept].to_vec(),
        };
        let payload = Payload::Message(Message {
            // Messages are of less than 4 GiB, as their length on the wire has four bytes.
            length: u32::try_from(whole).unwrap_or(u32::MAX),
            data,
        });
        self.entry(from, Some(payload), kept < whole)
    }

    /// The end of a call that ended well with these trailers, or with a status.
    pub(crate) fn trailer(&self, end: Result<&MetadataMap, &Status>) -> GrpcLogEntry {
        let ok = Status::ok();
        let (metadata, status) = match end {
            Ok(trailers) => (trailers, &ok),
            Err(status) => (status.metadata(), status),
        };
        let (metadata, truncated) = self.metadata(metadata);
        let payload = Payload::Trailer(Trailer {
            metadata: Some(metadata),
            status_code: status.code() as u32,
            status_message: status.message().to_owned(),
            status_details: status.details().to_vec(),
        });
        self.entry(EventType::ServerTrailer, Some(payload), truncated)
    }

    /// An event that is all there is to say.
    pub(crate) fn bare(&self, event: EventType) -> GrpcLogEntry {
        self.entry(event, None, false)
    }

    fn entry(&self, event: EventType, payload: Option<Payload>, truncated: bool) -> GrpcLogEntry {
        GrpcLogEntry {
            timestamp: Some(SystemTime::now().into()),
            r#type: event.into(),
            logger: self.logger.into(),
            payload_truncated: truncated,
            payload,
            ..GrpcLogEntry::default()
        }
    }

    /// What an application has sent, up to the first entry that has no room; and whether there was one.
    fn metadata(&self, metadata: &MetadataMap) -> (Metadata, bool) {
        let mut room = self.limits.metadata;
        let mut entry = Vec::new();
        for (key, value) in metadata
            .iter()
            .map(bytes)
            .filter(|(key, _)| !is_left_out(key))
        {
            if key != TRACE {
                let size = (key.len() + value.len()) as u64;
                match room.checked_sub(size) {
                    Some(left) => room = left,
                    None => return (Metadata { entry }, true),
                }
            }
            let key = key.to_owned();
            entry.push(MetadataEntry { key, value });
        }
        (Metadata { entry }, false)
    }
}

fn bytes(entry: Entry<'_>) -> (&str, Vec<u8>) {
    match entry {
        Entry::Ascii(key, text) => (key, text.as_bytes().to_vec()),
        Entry::Binary(key, bytes) => (key, bytes.to_vec()),
    }
}

/// Keys of HTTP's and gRPC's own. Most of them never come as metadata.
fn is_left_out(key: &str) -> bool {
    match key {
        "lb-token" | "content-encoding" | "content-type" | "user-agent" | "te" => true,
        TRACE => false,
        _ => key.starts_with("grpc-") || key.starts_with(':'),
    }
}

/// Where a peer is.
pub(crate) fn address(address: &PeerAddress) -> Address {
    match address.network() {
        Network::Tcp => ip_address(address).unwrap_or_default(),
        Network::Unix | Network::UnixAbstract => Address {
            r#type: address::Type::Unix.into(),
            address: address.to_string(),
            ip_port: 0,
        },
    }
}

fn ip_address(address: &PeerAddress) -> Option<Address> {
    let text = address.to_string();
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // A zone is not part of an address.
    let host = host.split('%').next()?;
    let ip: IpAddr = host.parse().ok()?;
    let r#type = match ip {
        IpAddr::V4(_) => address::Type::Ipv4,
        IpAddr::V6(_) => address::Type::Ipv6,
    };
    Some(Address {
        r#type: r#type.into(),
        address: ip.to_string(),
        ip_port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(metadata: u64, message: u64) -> Entries {
        Entries {
            logger: Logger::Client,
            limits: Limits { metadata, message },
        }
    }

    fn metadata(pairs: &[(&str, &str)]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (key, value) in pairs {
            metadata.append(key, value).unwrap();
        }
        metadata
    }

    fn logged(limit: u64, metadata: &MetadataMap) -> (Vec<String>, bool) {
        let (logged, truncated) = entries(limit, 0).metadata(metadata);
        let keys = logged.entry.into_iter().map(|entry| entry.key);
        (keys.collect(), truncated)
    }

    #[test]
    fn a16_metadata_is_cut_at_the_first_entry_that_does_not_fit() {
        let sent = metadata(&[("k1", "v1"), ("k2", "value"), ("k3", "3")]);
        let all = ["k1", "k2", "k3"].map(str::to_owned).to_vec();
        for (limit, kept, truncated) in [
            (u64::MAX, 3, false),
            (14, 3, false),
            (13, 2, true),
            (11, 2, true),
            (10, 1, true),
            (4, 1, true),
            (3, 0, true),
            (0, 0, true),
        ] {
            assert_eq!(logged(limit, &sent), (all[..kept].to_vec(), truncated));
        }
        assert_eq!(logged(0, &MetadataMap::new()), (Vec::new(), false));
    }

    #[test]
    fn a16_a_trace_is_logged_and_counts_for_nothing() {
        let mut sent = MetadataMap::new();
        if sent.append_bin(TRACE, &[7; 29]).is_err() {
            return;
        }
        sent.append("k", "v").unwrap();
        let both = vec![TRACE.to_owned(), "k".to_owned()];
        assert_eq!(logged(2, &sent), (both, false));
        assert_eq!(logged(1, &sent), (vec![TRACE.to_owned()], true));
    }

    #[test]
    fn a16_keys_of_http_and_grpc_are_left_out() {
        for key in [
            "lb-token",
            "user-agent",
            "te",
            "content-type",
            ":path",
            "grpc-timeout",
        ] {
            assert!(is_left_out(key), "{key}");
        }
        for key in [TRACE, "grpctest", "authorization", "x"] {
            assert!(!is_left_out(key), "{key}");
        }
        let sent = metadata(&[("lb-token", "secret"), ("k", "v")]);
        assert_eq!(logged(2, &sent), (vec!["k".to_owned()], false));
    }

    #[test]
    fn a16_messages_are_cut_and_say_how_long_they_were() {
        let message = AnyMessage::new(String::from("hello"));
        let whole = message.payload();
        for (limit, kept) in [(u64::MAX, 7), (7, 7), (6, 6), (1, 1), (0, 0)] {
            let entry = entries(0, limit).message(EventType::ClientMessage, &message);
            assert_eq!(entry.payload_truncated, kept < 7);
            let Some(Payload::Message(logged)) = entry.payload else {
                panic!("it is a message")
            };
            assert_eq!((logged.length, &*logged.data), (7, &whole[..kept]));
        }
    }

    #[test]
    fn peers_are_told_by_their_kind_of_address() {
        use address::Type::{Ipv4, Ipv6, Unix, Unknown};

        for (peer, r#type, text, port) in [
            (PeerAddress::tcp("127.0.0.1:80"), Ipv4, "127.0.0.1", 80),
            (PeerAddress::tcp("[::1]:81"), Ipv6, "::1", 81),
            (PeerAddress::tcp("[fe80::1%eth0]:82"), Ipv6, "fe80::1", 82),
            (PeerAddress::tcp("host:83"), Unknown, "", 0),
            (PeerAddress::unix("/run/x"), Unix, "unix:/run/x", 0),
        ] {
            let logged = address(&peer);
            let expected = Address {
                r#type: r#type.into(),
                address: text.to_owned(),
                ip_port: port,
            };
            assert_eq!(logged, expected);
        }
    }
}
