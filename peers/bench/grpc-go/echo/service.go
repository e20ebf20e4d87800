// Package echo is bench.Echo: the message, and what a stub generator would write around it.
package echo

import (
	"context"

	"google.golang.org/grpc"
)

// The methods' full names.
const (
	Unary        = "/bench.Echo/Unary"
	ServerStream = "/bench.Echo/ServerStream"
	ClientStream = "/bench.Echo/ClientStream"
	Bidi         = "/bench.Echo/Bidi"
)

// Streams describes the three streaming methods.
var Streams = map[string]*grpc.StreamDesc{
	ServerStream: {StreamName: "ServerStream", ServerStreams: true, Handler: serverStream},
	ClientStream: {StreamName: "ClientStream", ClientStreams: true, Handler: clientStream},
	Bidi:         {StreamName: "Bidi", ServerStreams: true, ClientStreams: true, Handler: bidi},
}

// Service describes the service to a server.
var Service = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams:     []grpc.StreamDesc{*Streams[ServerStream], *Streams[ClientStream], *Streams[Bidi]},
}

func unary(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	request := new(EchoMessage)
	if err := decode(request); err != nil {
		return nil, err
	}
	return request, nil
}

func serverStream(_ any, stream grpc.ServerStream) error {
	request := new(EchoMessage)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	for range request.Replies {
		if err := stream.SendMsg(request); err != nil {
			return err
		}
	}
	return nil
}

func clientStream(_ any, stream grpc.ServerStream) error {
	last := new(EchoMessage)
	for {
		request := new(EchoMessage)
		if err := stream.RecvMsg(request); err != nil {
			// io.EOF, or a stream that is broken anyway.
			return stream.SendMsg(last)
		}
		last = request
	}
}

func bidi(_ any, stream grpc.ServerStream) error {
	for {
		message := new(EchoMessage)
		if err := stream.RecvMsg(message); err != nil {
			return nil
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
	}
}
