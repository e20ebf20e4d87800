// The server of gRPC's interoperability tests, on grpc-go: its own service, in a program that knows gzip as well.
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
)

var (
	port        = flag.Int("port", 10000, "the port to listen on")
	useTLS      = flag.Bool("use_tls", false, "whether to speak TLS")
	certificate = flag.String("tls_cert_file", "", "the server's certificate")
	key         = flag.String("tls_key_file", "", "the key of the certificate")
)

func main() {
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	var options []grpc.ServerOption
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
