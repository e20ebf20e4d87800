"""The client of gRPC's interoperability tests, on grpcio (C-core). The exit code says whether the case passed."""

import pathlib
import queue

import grpc

import interop
from interop import payload

REQUESTS = [27182, 8, 1828, 45904]
RESPONSES = [31415, 9, 2653, 58979]
METADATA = [
    (interop.ECHO_INITIAL, "test_initial_metadata_value"),
    (interop.ECHO_TRAILING, b"\xab\xab\xab"),
]


class Requests:
    """A stream of requests that is fed as the case goes on."""

    def __init__(self):
        self.queue = queue.Queue()

    def send(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)

    def __iter__(self):
        return iter(self.queue.get, None)


def asking_for(size, *sizes):
    request = interop.OutputRequest(payload=payload(size))
    for wanted in sizes:
        request.response_parameters.add(size=wanted)
    return request


def sizes(replies):
    return [len(reply.payload.body) for reply in replies]


def expect(got, wanted):
    assert got == wanted, f"got {got!r}, want {wanted!r}"


def expect_status(run, code, text=None):
    try:
        reply = run()
    except grpc.RpcError as error:
        expect(error.code(), code)
        expect(error.details(), error.details() if text is None else text)
    else:
        raise AssertionError(f"got {reply!r}, want {code}")


def empty_unary(stub):
    expect(stub.EmptyCall(interop.Empty()), interop.Empty())


def large_unary(stub):
    reply = stub.UnaryCall(interop.SimpleRequest(payload=payload(271828), response_size=314159))
    expect(reply.payload.body, bytes(314159))


def client_streaming(stub):
    requests = (interop.InputRequest(payload=payload(size)) for size in REQUESTS)
    expect(stub.StreamingInputCall(requests).aggregated_payload_size, 74922)


def server_streaming(stub):
    expect(sizes(stub.StreamingOutputCall(asking_for(0, *RESPONSES))), RESPONSES)


def ping_pong(stub):
    requests = Requests()
    replies = stub.FullDuplexCall(iter(requests))
    for request, response in zip(REQUESTS, RESPONSES):
        requests.send(asking_for(request, response))
        expect(len(next(replies).payload.body), response)
    requests.close()
    expect(list(replies), [])


def empty_stream(stub):
    expect(list(stub.FullDuplexCall(iter([]))), [])


def half_duplex(stub):
    requests = [asking_for(*pair) for pair in zip(REQUESTS, RESPONSES)]
    expect(sizes(stub.HalfDuplexCall(iter(requests))), RESPONSES)


def cancel_after_begin(stub):
    call = stub.StreamingInputCall.future(iter(Requests()))
    call.cancel()
    assert call.cancelled()
    expect(call.code(), grpc.StatusCode.CANCELLED)


def cancel_after_first_response(stub):
    requests = Requests()
    replies = stub.FullDuplexCall(iter(requests))
    requests.send(asking_for(REQUESTS[0], RESPONSES[0]))
    expect(len(next(replies).payload.body), RESPONSES[0])
    replies.cancel()
    expect_status(lambda: next(replies), grpc.StatusCode.CANCELLED)


def timeout_on_sleeping_server(stub):
    requests = Requests()
    replies = stub.FullDuplexCall(iter(requests), timeout=0.001)
    requests.send(asking_for(REQUESTS[0]))
    expect_status(lambda: next(replies), grpc.StatusCode.DEADLINE_EXCEEDED)
    requests.close()


def status_code_and_message(stub):
    text = "test status message"
    status = {"code": 2, "message": text}
    unary = interop.SimpleRequest(response_status=status)
    expect_status(lambda: stub.UnaryCall(unary), grpc.StatusCode.UNKNOWN, text)
    stream = interop.OutputRequest(response_status=status)
    expect_status(
        lambda: next(stub.FullDuplexCall(iter([stream]))), grpc.StatusCode.UNKNOWN, text
    )


def special_status_message(stub):
    text = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    request = interop.SimpleRequest(response_status={"code": 2, "message": text})
    expect_status(lambda: stub.UnaryCall(request), grpc.StatusCode.UNKNOWN, text)


def custom_metadata(stub):
    def echoed(call):
        initial = [pair.value for pair in call.initial_metadata() if pair.key == METADATA[0][0]]
        trailing = [pair.value for pair in call.trailing_metadata() if pair.key == METADATA[1][0]]
        expect((initial, trailing), ([METADATA[0][1]], [METADATA[1][1]]))

    request = interop.SimpleRequest(payload=payload(271828), response_size=314159)
    echoed(stub.UnaryCall.with_call(request, metadata=METADATA)[1])
    call = stub.FullDuplexCall(iter([asking_for(271828, 314159)]), metadata=METADATA)
    expect(sizes(call), [314159])
    echoed(call)


def unimplemented_method(stub):
    call = stub.UnimplementedCall
    expect_status(lambda: call(interop.Empty()), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(stub):
    call = stub.channel.unary_unary(
        "/grpc.testing.UnimplementedService/UnimplementedCall",
        request_serializer=interop.Empty.SerializeToString,
        response_deserializer=interop.Empty.FromString,
    )
    expect_status(lambda: call(interop.Empty()), grpc.StatusCode.UNIMPLEMENTED)


def pick_first_unary(stub):
    request = interop.SimpleRequest(fill_server_id=True)
    ids = {stub.UnaryCall(request).server_id for _ in range(100)}
    assert len(ids) == 1 and ids != {""}, ids


def compressed_request(compressed):
    request = interop.SimpleRequest(payload=payload(271828), response_size=314159)
    request.expect_compressed.value = compressed
    return request


def client_compressed_unary(stub):
    lie = compressed_request(True)
    expect_status(lambda: stub.UnaryCall(lie), grpc.StatusCode.INVALID_ARGUMENT)
    for compressed, how in [(True, grpc.Compression.Gzip), (False, None)]:
        reply = stub.UnaryCall(compressed_request(compressed), compression=how)
        expect(len(reply.payload.body), 314159)


def server_compressed_unary(stub):
    for compressed in [True, False]:
        request = interop.SimpleRequest(payload=payload(271828), response_size=314159)
        request.response_compressed.value = compressed
        expect(len(stub.UnaryCall(request).payload.body), 314159)


def server_compressed_streaming(stub):
    request = interop.OutputRequest()
    for size, compressed in [(31415, True), (92653, False)]:
        request.response_parameters.add(size=size).compressed.value = compressed
    expect(sizes(stub.StreamingOutputCall(request)), [31415, 92653])


class Stub:
    def __init__(self, channel):
        self.channel = channel
        for name, kind, request, response in interop.methods():
            call = getattr(channel, kind)(
                f"/{interop.SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            setattr(self, name, call)


def connect(flags):
    address = f"{flags.server_host}:{flags.server_port}"
    if flags.use_tls != "true":
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(pathlib.Path(flags.ca_file).read_bytes())
    options = [("grpc.ssl_target_name_override", flags.server_host_override)]
    return grpc.secure_channel(address, credentials, options)


flags = interop.flags(
    "server_host", "server_port", "server_host_override", "use_tls", "ca_file", "test_case"
)
with connect(flags) as channel:
    globals()[flags.test_case](Stub(channel))
