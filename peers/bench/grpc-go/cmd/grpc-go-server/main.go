// The server program: prints its port, and ends when its standard input does.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"

	"google.golang.org/grpc"

	"highball.example/bench/echo"
)

func main() {
	threads := flag.String("runtime", "current", "current: one thread runs Go code; multi: as many as there are processors")
	flag.Parse()
	if *threads == "current" {
		runtime.GOMAXPROCS(1)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := grpc.NewServer()
	server.RegisterService(&echo.Service, nil)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(server.Serve(listener))
}
