package main

import (
	"log"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"highball.example/bench/echo"
)

const (
	// settling is longer than either end has something to do after the last reply.
	settling = 500 * time.Millisecond
	// streamsPerConnection is as many as every server allows.
	streamsPerConnection = 100
)

// growth is what each thing that is kept adds to the resident memory of both ends, in bytes.
type growth struct {
	Client float64 `json:"client"`
	Server float64 `json:"server"`
}

// keep opens things that do nothing, and keeps them.
func keep(thing string) growth {
	request := &echo.EchoMessage{Payload: make([]byte, 32)}
	channels := func(count int) []*grpc.ClientConn {
		made := make([]*grpc.ClientConn, count)
		for i := range made {
			made[i] = connect()
			unary(made[i], request)
		}
		return made
	}
	var first []*grpc.ClientConn
	var grow func() int
	switch thing {
	case "parked-streams":
		first = channels(100)
		grow = func() int { return park(first, request) }
	case "idle-channels":
		first = channels(20)
		grow = func() int { return len(channels(1_000)) }
	default:
		log.Fatalf("nobody keeps %q", thing)
	}
	time.Sleep(settling)
	server := strconv.Itoa(*serverPid)
	client, other := used("self"), used(server)
	count := float64(grow())
	time.Sleep(settling)
	clientAfter, otherAfter := used("self"), used(server)
	return growth{
		Client: (float64(clientAfter.rss) - float64(client.rss)) * 1024 / count,
		Server: (float64(otherAfter.rss) - float64(other.rss)) * 1024 / count,
	}
}

// park opens streams and makes one round trip on each. They stay open until the program ends.
func park(channels []*grpc.ClientConn, request *echo.EchoMessage) int {
	for _, channel := range channels {
		for range streamsPerConnection {
			stream, _ := open(channel, echo.Bidi)
			check(stream.SendMsg(request))
			check(stream.RecvMsg(new(echo.EchoMessage)))
		}
	}
	return len(channels) * streamsPerConnection
}
