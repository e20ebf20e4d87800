"""The server of gRPC's interoperability tests, on grpcio (C-core)."""

import concurrent.futures
import pathlib
import time

import grpc

import interop


def echo_metadata(context):
    metadata = dict(context.invocation_metadata())
    if interop.ECHO_INITIAL in metadata:
        context.send_initial_metadata([(interop.ECHO_INITIAL, metadata[interop.ECHO_INITIAL])])
    if interop.ECHO_TRAILING in metadata:
        context.set_trailing_metadata([(interop.ECHO_TRAILING, metadata[interop.ECHO_TRAILING])])


def echo_status(request, context):
    if request.response_status.code:
        code = next(c for c in grpc.StatusCode if c.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def answers(request, context):
    echo_status(request, context)
    if any(parameters.HasField("compressed") for parameters in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        if parameters.HasField("compressed") and not parameters.compressed.value:
            context.disable_next_message_compression()
        socket = context.peer() if parameters.fill_peer_socket_address.value else ""
        yield interop.OutputResponse(
            payload=interop.payload(parameters.size), peer_socket_address=socket
        )


class Service:
    def EmptyCall(self, request, context):
        return interop.Empty()

    def UnaryCall(self, request, context):
        if request.HasField("response_compressed"):
            compressed = request.response_compressed.value
            compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
            context.set_compression(compression)
        echo_metadata(context)
        echo_status(request, context)
        server_id = "grpcio" if request.fill_server_id else ""
        return interop.SimpleResponse(
            payload=interop.payload(request.response_size), server_id=server_id
        )

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return interop.InputResponse(aggregated_payload_size=size)

    def StreamingOutputCall(self, request, context):
        yield from answers(request, context)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            yield from answers(request, context)

    def HalfDuplexCall(self, requests, context):
        for request in list(requests):
            yield from answers(request, context)


def serve(flags):
    service, handlers = Service(), {}
    for name, kind, request, response in interop.methods():
        if hasattr(service, name):
            make = getattr(grpc, f"{kind}_rpc_method_handler")
            handlers[name] = make(
                getattr(service, name),
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )
    limit = flags.max_concurrent_streams_limit
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=64),
        options=[("grpc.max_concurrent_streams", int(limit))] if limit else None,
    )
    handler = grpc.method_handlers_generic_handler(interop.SERVICE, handlers)
    server.add_generic_rpc_handlers([handler])
    address = f"127.0.0.1:{flags.port}"
    if flags.use_tls == "true":
        pair = [pathlib.Path(file).read_bytes() for file in (flags.tls_key_file, flags.tls_cert_file)]
        server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


serve(
    interop.flags(
        "port", "max_concurrent_streams_limit", "use_tls", "tls_cert_file", "tls_key_file"
    )
)
