//! Credentials for what stays on this machine.

use std::io;
use std::net::SocketAddr;

use futures_core::future::BoxFuture;
use highball_core::{Address, AuthInfo, Network, SecurityLevel};

use super::{ChannelCredentials, Secured, ServerCredentials};
use crate::connect::BoxIo;

/// Takes connections over loopback and over Unix sockets as they are, and refuses all others.
///
/// For both ends. Unlike plaintext they carry call credentials, for what they carry does not leave this
/// machine. Other users of the machine can listen in on loopback if the system lets them; on a Unix
/// socket they cannot.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalCredentials;

impl ChannelCredentials for LocalCredentials {
    fn handshake<'a>(&'a self, io: BoxIo, _: &'a str) -> BoxFuture<'a, io::Result<Secured>> {
        Box::pin(std::future::ready(secure(io)))
    }

    /// Whoever is asked for is on this machine.
    fn check_authority(&self, _: &AuthInfo, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl ServerCredentials for LocalCredentials {
    fn handshake(&self, io: BoxIo) -> BoxFuture<'_, io::Result<Secured>> {
        Box::pin(std::future::ready(secure(io)))
    }
}

fn secure(io: BoxIo) -> io::Result<Secured> {
    let auth_info = AuthInfo::local(level(&io.peer())?);
    Ok(Secured { io, auth_info })
}

/// How safe the way to `peer` is, if it does not leave this machine.
fn level(peer: &Address) -> io::Result<SecurityLevel> {
    match peer.network() {
        Network::Unix | Network::UnixAbstract => Ok(SecurityLevel::PrivacyAndIntegrity),
        Network::Tcp if is_loopback(peer.text()) => Ok(SecurityLevel::NoSecurity),
        Network::Tcp => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("local credentials rejected connection to non-local address \"{peer}\""),
        )),
    }
}

fn is_loopback(text: &str) -> bool {
    text.parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for (address, expected) in [
            ("127.0.0.1:50051", Some(SecurityLevel::NoSecurity)),
            ("127.8.9.10:1", Some(SecurityLevel::NoSecurity)),
            ("[::1]:50051", Some(SecurityLevel::NoSecurity)),
            ("[::ffff:127.0.0.1]:50051", Some(SecurityLevel::NoSecurity)),
            ("unix:/run/x", Some(SecurityLevel::PrivacyAndIntegrity)),
            ("unix:", Some(SecurityLevel::PrivacyAndIntegrity)),
            ("unix-abstract:x", Some(SecurityLevel::PrivacyAndIntegrity)),
            ("192.0.2.1:50051", None),
            ("[2001:db8::1]:50051", None),
            ("0.0.0.0:50051", None),
            // A name proves nothing.
            ("localhost:50051", None),
            ("127.0.0.1.example:1", None),
            ("", None),
        ] {
            assert_eq!(level(&address.into()).ok(), expected, "{address:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_address() {
        assert_eq!(
            level(&"192.0.2.1:80".into()).unwrap_err().to_string(),
            "local credentials rejected connection to non-local address \"192.0.2.1:80\""
        );
    }
}
