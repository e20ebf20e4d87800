//! The case of call credentials, which needs no cloud: any token will do, and every server sends one back.

use highball_channel::{
    CallCredentials, CallCredentialsError, Code, MetadataMap, RequestInfo, SecurityLevel,
};

use super::unary::of_sizes;
use super::{Failure, Tester};
use crate::interop::ECHO_INITIAL;
use crate::interop::testing::Empty;

const TOKEN: &str = "a token that nobody else may see";

/// The token goes where servers of the interoperability tests send metadata back from.
#[derive(Debug)]
struct Echoed;

impl CallCredentials for Echoed {
    async fn metadata(&self, _: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        let mut metadata = MetadataMap::new();
        metadata.insert(ECHO_INITIAL, TOKEN)?;
        Ok(metadata)
    }
}

/// Over TLS the token arrives, once. Where others could read it, the call is not made.
pub(super) async fn of_a_call(tester: &Tester) -> Result<(), Failure> {
    let first = tester.client.empty_call(tester.request(Empty {})).await?;
    let level = first.peer().map(|peer| peer.auth_info().security_level());
    let is_private = level == Some(SecurityLevel::PrivacyAndIntegrity);
    let request = tester.request(of_sizes(1, 1));
    let call = tester.client.unary_call(request.with_credentials(Echoed));
    match call.await {
        Ok(reply) if is_private => {
            let echoed: Vec<_> = reply.metadata().get_all(ECHO_INITIAL).collect();
            Failure::unless_equal("token", &echoed, &vec![TOKEN])
        }
        Err(status) if !is_private => {
            Failure::unless_equal("code", &status.code(), &Code::Unauthenticated)
        }
        Ok(_) => Err(Failure::new("the token was sent for everybody to read")),
        Err(status) => Err(status.into()),
    }
}
