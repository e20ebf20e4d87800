//! What a channel's calls say of the encodings that they read: in a build without compression that is `identity`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use futures::future::poll_fn;
use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::{MemoryListener, MemoryNetwork};
use highball_channel::{
    Channel, Code, Compression, Compressions, MetadataMap, Method, Request, Status,
};
use highball_transport::server::{Incoming, ServerConnection, ServerOptions};

/// Answers well, with an empty message, if `reads` is what the call says it reads.
async fn answer(mut call: Incoming, reads: Compressions) {
    let accepted = call.head.accepted();
    if accepted != reads {
        let text = format!("the call says {accepted:?}");
        return call.responder.finish(Status::new(Code::Aborted, text));
    }
    let mut empty = Bytes::from_static(&[0; 5]);
    let _ = poll_fn(|cx| call.responder.poll_send(&mut empty, cx)).await;
    call.responder.finish_ok(MetadataMap::new());
}

async fn serve(mut listener: MemoryListener, reads: Compressions) {
    let io = listener.accept().await.unwrap();
    let options = ServerOptions::default();
    let mut connection = ServerConnection::handshake(io, &options).await.unwrap();
    while let Some(call) = connection.accept().await {
        tokio::spawn(answer(*call, reads));
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_says_what_it_reads() {
    let network = MemoryNetwork::new();
    tokio::spawn(serve(network.listen("a:1"), Compressions::all()));
    let servers = ManualResolver::new("test");
    servers.update(Resolution::new(["a:1"]));
    let channel = Channel::builder("test:///one")
        .insecure()
        .resolver(servers)
        .connector(network)
        .build()
        .unwrap();
    let method = Method::new("/test.Lab/Echo");
    for _ in 0..3 {
        let reply = channel.unary::<(), ()>(&method, Request::new(())).await;
        assert!(reply.unwrap().metadata().is_empty());
    }
    // The server looks: less is not the same, unless there is nothing more than everybody reads.
    let mut request = Request::new(());
    let identity = Compressions::from([Compression::Identity]);
    request.options_mut().accept_compressions = Some(identity);
    let code = match channel.unary::<(), ()>(&method, request).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    let expected = match identity == Compressions::all() {
        true => Code::Ok,
        false => Code::Aborted,
    };
    assert_eq!(code, expected);
}
