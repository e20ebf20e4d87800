//! More streams than a connection takes. The server lets two be on each, and the service config allows two connections.

use super::streaming::expect_end;
use super::{Failure, Tester};
use crate::interop::testing::{BoolValue, ResponseParameters, StreamingOutputCallRequest};

pub(super) async fn max_streams(tester: &Tester) -> Result<(), Failure> {
    let mut conversations = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let (sender, requests) = highball_channel::messages();
        let call = tester.client.full_duplex_call(tester.request(requests));
        let mut replies = call.await?;
        // What ended the call is known to the replies.
        let _ = sender.send(asking_for_socket()).await;
        let reply = replies.message().await?;
        let reply = reply.ok_or_else(|| Failure::new("the stream ended without a response"))?;
        sockets.push(reply.peer_socket_address);
        conversations.push((sender, replies));
    }
    Failure::unless_equal("socket of the second", &sockets[1], &sockets[0])?;
    if sockets[2] == sockets[0] {
        let socket = &sockets[0];
        return Err(Failure::new(format!(
            "the third came from {socket} as well"
        )));
    }
    for (sender, mut replies) in conversations {
        drop(sender);
        expect_end(&mut replies).await?;
    }
    Ok(())
}

/// A request for one response, which says where it came from.
fn asking_for_socket() -> StreamingOutputCallRequest {
    let parameters = ResponseParameters {
        size: 1,
        fill_peer_socket_address: Some(BoolValue { value: true }),
        ..ResponseParameters::default()
    };
    StreamingOutputCallRequest {
        response_parameters: vec![parameters],
        ..StreamingOutputCallRequest::default()
    }
}
