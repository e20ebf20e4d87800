// The client program: the same command line, closed loop and report as the other stacks'.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var (
	port        = flag.Int("port", 0, "the server's port on 127.0.0.1")
	serverPid   = flag.Int("server-pid", 0, "the server's process")
	kind        = flag.String("kind", "unary", "unary, server_stream, client_stream, bidi or cold")
	calls       = flag.Int("calls-in-flight", 1, "how many calls are open at any time")
	connections = flag.Int("connections", 1, "over how many channels they are spread")
	payload     = flag.Int("payload", 32, "the size of a message's payload in bytes")
	messages    = flag.Uint("messages", 1000, "how many messages a stream has")
	seconds     = flag.Float64("seconds", 1, "how long to measure")
	warmup      = flag.Float64("warmup", 0.3, "how long to work before measuring")
	kept        = flag.String("keep", "", "keeps parked-streams or idle-channels, and reports by how much that made both ends grow")
	threads     = flag.String("runtime", "current", "current: one thread runs Go code; multi: as many as there are processors")
)

// report is one line of JSON, as the other stacks print it.
type report struct {
	Calls        uint64   `json:"calls"`
	Seconds      float64  `json:"seconds"`
	P50          *float64 `json:"p50_us"`
	P99          *float64 `json:"p99_us"`
	ClientCPU    float64  `json:"client_cpu_s"`
	ServerCPU    float64  `json:"server_cpu_s"`
	ClientMemory uint64   `json:"client_rss_kib"`
	ServerMemory uint64   `json:"server_rss_kib"`
}

func main() {
	flag.Parse()
	if *threads == "current" {
		runtime.GOMAXPROCS(1)
	}
	if *kept != "" {
		show(keep(*kept))
		os.Exit(0)
	}
	channels := make([]*grpc.ClientConn, *connections)
	for i := range channels {
		channels[i] = connect()
	}
	for i := range *calls {
		go forever(channels[i%len(channels)])
	}
	time.Sleep(duration(*warmup))
	server := strconv.Itoa(*serverPid)
	client, other := used("self"), used(server)
	started, before := time.Now(), done.Load()
	recording.Store(true)
	time.Sleep(duration(*seconds))
	took, count := time.Since(started), done.Load()-before
	recording.Store(false)
	clientAfter, otherAfter := used("self"), used(server)
	show(report{
		Calls:        count,
		Seconds:      took.Seconds(),
		P50:          quantile(50),
		P99:          quantile(99),
		ClientCPU:    clientAfter.cpu - client.cpu,
		ServerCPU:    otherAfter.cpu - other.cpu,
		ClientMemory: clientAfter.rss,
		ServerMemory: otherAfter.rss,
	})
	os.Exit(0)
}

// show prints one line of JSON.
func show(what any) {
	line, err := json.Marshal(what)
	check(err)
	fmt.Println(string(line))
}

// connect makes a channel as users do, with round_robin as Highball's has.
func connect() *grpc.ClientConn {
	channel, err := grpc.NewClient(
		fmt.Sprintf("127.0.0.1:%d", *port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	)
	if err != nil {
		log.Fatal(err)
	}
	return channel
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}
