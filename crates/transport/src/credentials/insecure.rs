//! Credentials for plaintext: none.

use std::io;

use futures_core::future::BoxFuture;
use highball_core::AuthInfo;

use super::{ChannelCredentials, Secured, ServerCredentials};
use crate::connect::BoxIo;

/// Leaves byte streams as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InsecureCredentials;

impl ChannelCredentials for InsecureCredentials {
    fn handshake<'a>(&'a self, io: BoxIo, _: &'a str) -> BoxFuture<'a, io::Result<Secured>> {
        Box::pin(std::future::ready(Ok(plain(io))))
    }

    /// There is nobody to be sure of.
    fn check_authority(&self, _: &AuthInfo, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl ServerCredentials for InsecureCredentials {
    fn handshake(&self, io: BoxIo) -> BoxFuture<'_, io::Result<Secured>> {
        Box::pin(std::future::ready(Ok(plain(io))))
    }
}

fn plain(io: BoxIo) -> Secured {
    let auth_info = AuthInfo::insecure();
    Secured { io, auth_info }
}
