// The cases of compression, on grpc-go, whose own client has none. The exit code says whether the case passed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

var (
	host     = flag.String("server_host", "localhost", "the host to connect to")
	port     = flag.Int("server_port", 10000, "the port to connect to")
	name     = flag.String("server_host_override", "", "what the server is called in its certificate")
	useTLS   = flag.Bool("use_tls", false, "whether to speak TLS")
	_        = flag.Bool("use_test_ca", false, "whether to trust the test CA")
	caFile   = flag.String("ca_file", "", "the certificate of the CA to trust")
	testCase = flag.String("test_case", "", "the case")
	_        = flag.Int("soak_iterations", 0, "")
	_        = flag.Int("soak_overall_timeout_seconds", 0, "")
)

var cases = map[string]func(context.Context, testgrpc.TestServiceClient, *came) error{
	"client_compressed_unary":     clientUnary,
	"server_compressed_unary":     serverUnary,
	"server_compressed_streaming": serverStreaming,
}

// came notes of each reply whether it came compressed.
type came struct{ compressed []bool }

func (c *came) HandleRPC(_ context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		c.compressed = append(c.compressed, payload.CompressedLength < payload.Length)
	}
}
func (*came) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*came) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*came) HandleConn(context.Context, stats.ConnStats)                       {}

func (c *came) expect(want ...bool) error {
	if got := fmt.Sprint(c.compressed); got != fmt.Sprint(want) {
		return fmt.Errorf("came compressed: got %v, want %v", got, want)
	}
	return nil
}

func of(bytes int) *testgrpc.Payload { return &testgrpc.Payload{Body: make([]byte, bytes)} }

func flagged(value bool) *testgrpc.BoolValue { return &testgrpc.BoolValue{Value: value} }

func expectSize(got *testgrpc.Payload, want int) error {
	if len(got.GetBody()) != want {
		return fmt.Errorf("got %d bytes, want %d", len(got.GetBody()), want)
	}
	return nil
}

func clientUnary(ctx context.Context, client testgrpc.TestServiceClient, _ *came) error {
	request := func(compressed bool) *testgrpc.SimpleRequest {
		return &testgrpc.SimpleRequest{Payload: of(271828), ResponseSize: 314159, ExpectCompressed: flagged(compressed)}
	}
	if _, err := client.UnaryCall(ctx, request(true)); status.Code(err) != codes.InvalidArgument {
		return fmt.Errorf("the probe ended in %v", err)
	}
	reply, err := client.UnaryCall(ctx, request(true), grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	if err := expectSize(reply.Payload, 314159); err != nil {
		return err
	}
	reply, err = client.UnaryCall(ctx, request(false))
	if err != nil {
		return err
	}
	return expectSize(reply.Payload, 314159)
}

func serverUnary(ctx context.Context, client testgrpc.TestServiceClient, replies *came) error {
	for _, compressed := range []bool{true, false} {
		request := &testgrpc.SimpleRequest{
			Payload: of(271828), ResponseSize: 314159, ResponseCompressed: flagged(compressed),
		}
		reply, err := client.UnaryCall(ctx, request)
		if err != nil {
			return err
		}
		if err := expectSize(reply.Payload, 314159); err != nil {
			return err
		}
	}
	return replies.expect(true, false)
}

func serverStreaming(ctx context.Context, client testgrpc.TestServiceClient, replies *came) error {
	stream, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
		ResponseParameters: []*testgrpc.ResponseParameters{
			{Size: 31415, Compressed: flagged(true)},
			{Size: 92653, Compressed: flagged(false)},
		},
	})
	if err != nil {
		return err
	}
	for _, size := range []int{31415, 92653} {
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := expectSize(reply.Payload, size); err != nil {
			return err
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("the stream ended in %v", err)
	}
	return replies.expect(true, false)
}

func main() {
	flag.Parse()
	security := insecure.NewCredentials()
	if *useTLS {
		var err error
		if security, err = credentials.NewClientTLSFromFile(*caFile, *name); err != nil {
			log.Fatal(err)
		}
	}
	run, ok := cases[*testCase]
	if !ok {
		log.Fatalf("there is no case named %q", *testCase)
	}
	replies := &came{}
	target := fmt.Sprintf("%s:%d", *host, *port)
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(security), grpc.WithStatsHandler(replies))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, testgrpc.NewTestServiceClient(channel), replies); err != nil {
		log.Fatal(err)
	}
}
