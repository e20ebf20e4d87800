//! The case of metadata that comes back, before and after the messages.

use futures::stream;
use highball_channel::{MetadataMap, Request};

use super::streaming::asking_for;
use super::unary::of_sizes;
use super::{Failure, Tester};
use crate::interop::{ECHO_INITIAL, ECHO_TRAILING};

const INITIAL: &str = "test_initial_metadata_value";
const TRAILING: [u8; 3] = [0xab, 0xab, 0xab];

pub(super) async fn custom(tester: &Tester) -> Result<(), Failure> {
    let request = with_metadata(tester.request(of_sizes(271_828, 314_159)))?;
    let reply = tester.client.unary_call(request).await?;
    expect_echo(reply.metadata(), reply.trailers())?;

    let requests = [asking_for(271_828, &[314_159])];
    let request = with_metadata(tester.request(stream::iter(requests)))?;
    let mut replies = tester.client.full_duplex_call(request).await?;
    let initial = replies.headers().await?.clone();
    while replies.message().await?.is_some() {}
    expect_echo(&initial, replies.trailers())
}

fn with_metadata<T>(mut request: Request<T>) -> Result<Request<T>, Failure> {
    let metadata = request.metadata_mut();
    metadata.append(ECHO_INITIAL, INITIAL)?;
    metadata.append_bin(ECHO_TRAILING, &TRAILING)?;
    Ok(request)
}

/// Each value once, where it belongs.
fn expect_echo(initial: &MetadataMap, trailing: &MetadataMap) -> Result<(), Failure> {
    let values: Vec<_> = initial.get_all(ECHO_INITIAL).collect();
    Failure::unless_equal("initial metadata", &values, &vec![INITIAL])?;
    let values: Vec<_> = trailing.get_all_bin(ECHO_TRAILING).collect();
    Failure::unless_equal(
        "trailing metadata",
        &values,
        &vec![TRAILING.to_vec().into()],
    )
}
