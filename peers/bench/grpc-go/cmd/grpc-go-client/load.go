package main

import (
	"context"
	"errors"
	"io"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"

	"highball.example/bench/echo"
)

// timeout is longer than any call takes, and short enough to be one that users set.
const timeout = 60 * time.Second

var (
	done      atomic.Uint64
	recording atomic.Bool

	latencyLock sync.Mutex
	latencies   = hdrhistogram.New(1_000, int64(60*time.Second), 3)
)

// forever does one thing after the other; a failure ends the program.
func forever(channel *grpc.ClientConn) {
	request := &echo.EchoMessage{Payload: make([]byte, *payload)}
	if *kind == "bidi" {
		pingPong(channel, request)
	}
	for {
		started := time.Now()
		switch *kind {
		case "unary":
			unary(channel, request)
		case "cold":
			cold := connect()
			unary(cold, request)
			check(cold.Close())
		case "server_stream":
			serverStream(channel, request)
			continue
		case "client_stream":
			clientStream(channel, request)
			continue
		default:
			log.Fatalf("unknown kind %q", *kind)
		}
		round(started)
	}
}

func unary(channel *grpc.ClientConn, request *echo.EchoMessage) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	reply := new(echo.EchoMessage)
	check(channel.Invoke(ctx, echo.Unary, request, reply))
	same(request, reply)
}

func open(channel *grpc.ClientConn, method string) (grpc.ClientStream, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	stream, err := channel.NewStream(ctx, echo.Streams[method], method)
	check(err)
	return stream, cancel
}

func serverStream(channel *grpc.ClientConn, request *echo.EchoMessage) {
	stream, cancel := open(channel, echo.ServerStream)
	defer cancel()
	check(stream.SendMsg(&echo.EchoMessage{Payload: request.Payload, Replies: uint32(*messages)}))
	check(stream.CloseSend())
	for {
		err := stream.RecvMsg(new(echo.EchoMessage))
		if errors.Is(err, io.EOF) {
			return
		}
		check(err)
		done.Add(1)
	}
}

func clientStream(channel *grpc.ClientConn, request *echo.EchoMessage) {
	stream, cancel := open(channel, echo.ClientStream)
	defer cancel()
	for range *messages {
		check(stream.SendMsg(request))
		done.Add(1)
	}
	check(stream.CloseSend())
	reply := new(echo.EchoMessage)
	check(stream.RecvMsg(reply))
	same(request, reply)
}

func pingPong(channel *grpc.ClientConn, message *echo.EchoMessage) {
	stream, cancel := open(channel, echo.Bidi)
	defer cancel()
	for {
		started := time.Now()
		check(stream.SendMsg(message))
		reply := new(echo.EchoMessage)
		check(stream.RecvMsg(reply))
		same(message, reply)
		round(started)
	}
}

// round counts what began at started, and keeps how long it took.
func round(started time.Time) {
	done.Add(1)
	if recording.Load() {
		latencyLock.Lock()
		defer latencyLock.Unlock()
		check(latencies.RecordValue(time.Since(started).Nanoseconds()))
	}
}

// quantile is in microseconds; nil without any latency.
func quantile(percent float64) *float64 {
	latencyLock.Lock()
	defer latencyLock.Unlock()
	if latencies.TotalCount() == 0 {
		return nil
	}
	value := float64(latencies.ValueAtQuantile(percent)) / 1_000
	return &value
}

func same(sent, received *echo.EchoMessage) {
	if len(sent.Payload) != len(received.Payload) {
		log.Fatal("the reply is not what was sent")
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
