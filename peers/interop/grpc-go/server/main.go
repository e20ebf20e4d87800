// The server of gRPC's interoperability tests, on grpc-go: its own service, in a program that knows gzip as well, and
// where its clients are.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
)

var (
	port        = flag.Int("port", 10000, "the port to listen on")
	limit       = flag.Uint("max_concurrent_streams_limit", 0, "how many streams a client may have open on a connection")
	useTLS      = flag.Bool("use_tls", false, "whether to speak TLS")
	certificate = flag.String("tls_cert_file", "", "the server's certificate")
	key         = flag.String("tls_key_file", "", "the key of the certificate")
)

// A stream whose answers say where the client is, once it has asked for that.
type located struct {
	grpc.ServerStream
	wanted bool
}

func (stream *located) RecvMsg(message any) error {
	err := stream.ServerStream.RecvMsg(message)
	if request, ok := message.(*testgrpc.StreamingOutputCallRequest); ok && err == nil {
		for _, parameters := range request.GetResponseParameters() {
			stream.wanted = stream.wanted || parameters.GetFillPeerSocketAddress().GetValue()
		}
	}
	return err
}

func (stream *located) SendMsg(message any) error {
	if response, ok := message.(*testgrpc.StreamingOutputCallResponse); ok && stream.wanted {
		if client, ok := peer.FromContext(stream.Context()); ok {
			response.PeerSocketAddress = client.Addr.String()
		}
	}
	return stream.ServerStream.SendMsg(message)
}

func locate(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(service, &located{ServerStream: stream})
}

func main() {
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{grpc.StreamInterceptor(locate)}
	if *limit > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*limit)))
	}
	if *useTLS {
		pair, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(pair))
	}
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	log.Fatal(server.Serve(listener))
}
