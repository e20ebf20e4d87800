"""What both ends of grpcio's interoperability tests share: messages, methods and flags.

The messages are made from the descriptors that Highball's code generator writes, so no protoc is needed."""

import argparse
import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DESCRIPTORS = pathlib.Path(__file__).parents[3] / "crates/echo/src/generated/grpc.testing.bin"
SERVICE = "grpc.testing.TestService"
ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    _pool.Add(_file)


def message(name):
    """The class of a message of grpc.testing."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"grpc.testing.{name}"))


Empty = message("Empty")
Payload = message("Payload")
SimpleRequest = message("SimpleRequest")
SimpleResponse = message("SimpleResponse")
InputRequest = message("StreamingInputCallRequest")
InputResponse = message("StreamingInputCallResponse")
OutputRequest = message("StreamingOutputCallRequest")
OutputResponse = message("StreamingOutputCallResponse")


def methods():
    """Each method's name, kind ("unary_stream"), request and response."""
    for method in _pool.FindServiceByName(SERVICE).methods:
        proto = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(proto)
        kind = ["unary", "stream"]
        kind = f"{kind[proto.client_streaming]}_{kind[proto.server_streaming]}"
        yield method.name, kind, message(method.input_type.name), message(method.output_type.name)


def payload(size):
    return Payload(body=bytes(size))


def flags(*names):
    """The official flags; further ones are ignored."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}")
    return parser.parse_known_args()[0]
