// Reads a binary log with grpc-go's own types, prints it, and has grpc-go's sink write it again.
//
//	go run . FILE
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/binarylog"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	entries, err := read(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fmt.Println(line(entry))
		if age := time.Since(entry.GetTimestamp().AsTime()); age < 0 || age > time.Hour {
			return fmt.Errorf("it is from %v", entry.GetTimestamp().AsTime())
		}
	}
	rewritten, err := rewrite(entries)
	if err != nil {
		return err
	}
	if len(rewritten) != len(entries) {
		return fmt.Errorf("of %d entries grpc-go's sink has written %d", len(entries), len(rewritten))
	}
	for i, entry := range entries {
		if !proto.Equal(entry, rewritten[i]) {
			return fmt.Errorf("grpc-go's sink has written %v for %v", rewritten[i], entry)
		}
		if unknown := entry.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			return fmt.Errorf("%v has fields that grpc-go does not know", entry)
		}
	}
	fmt.Printf("grpc-go's sink writes the same %d entries\n", len(entries))
	return nil
}

// read takes the form that grpc-go's sink writes: each entry behind its length in four bytes, the highest first.
func read(path string) ([]*pb.GrpcLogEntry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	log := bufio.NewReader(file)
	var entries []*pb.GrpcLogEntry
	for {
		var length uint32
		if err := binary.Read(log, binary.BigEndian, &length); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		encoded := make([]byte, length)
		if _, err := io.ReadFull(log, encoded); err != nil {
			return nil, err
		}
		entry := &pb.GrpcLogEntry{}
		if err := proto.Unmarshal(encoded, entry); err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
}

// rewrite has the sink of grpc-go write the entries, and reads its file as the other one was read.
func rewrite(entries []*pb.GrpcLogEntry) ([]*pb.GrpcLogEntry, error) {
	const files = "/tmp/grpcgo_binarylog_*.txt"
	before, err := filepath.Glob(files)
	if err != nil {
		return nil, err
	}
	sink, err := binarylog.NewTempFileSink()
	if err != nil {
		return nil, err
	}
	after, err := filepath.Glob(files)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := sink.Write(entry); err != nil {
			return nil, err
		}
	}
	if err := sink.Close(); err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, path := range before {
		known[path] = true
	}
	for _, path := range after {
		if !known[path] {
			defer os.Remove(path)
			return read(path)
		}
	}
	return nil, errors.New("grpc-go's sink has made no file")
}

func line(entry *pb.GrpcLogEntry) string {
	event := strings.TrimPrefix(entry.GetType().String(), "EVENT_TYPE_")
	logger := strings.TrimPrefix(entry.GetLogger().String(), "LOGGER_")
	text := fmt.Sprintf("%s %d.%d %s", logger, entry.GetCallId(), entry.GetSequenceIdWithinCall(), event)
	switch payload := entry.GetPayload().(type) {
	case *pb.GrpcLogEntry_ClientHeader:
		header := payload.ClientHeader
		text += fmt.Sprintf(" %s at %s%s", header.GetMethodName(), header.GetAuthority(), pairs(header.GetMetadata()))
		if timeout := header.GetTimeout(); timeout != nil {
			text += fmt.Sprintf(" within %v", timeout.AsDuration().Round(time.Second))
		}
	case *pb.GrpcLogEntry_ServerHeader:
		text += pairs(payload.ServerHeader.GetMetadata())
	case *pb.GrpcLogEntry_Message:
		text += fmt.Sprintf(" %q of %d bytes", payload.Message.GetData(), payload.Message.GetLength())
	case *pb.GrpcLogEntry_Trailer:
		trailer := payload.Trailer
		text += fmt.Sprintf(" %v %q%s", codes.Code(trailer.GetStatusCode()), trailer.GetStatusMessage(),
			pairs(trailer.GetMetadata()))
	}
	if peer := entry.GetPeer(); peer != nil {
		text += fmt.Sprintf(" from %s %s", strings.TrimPrefix(peer.GetType().String(), "TYPE_"), peer.GetAddress())
		if peer.GetIpPort() == 0 {
			text += " without a port"
		}
	}
	if entry.GetPayloadTruncated() {
		text += " (cut)"
	}
	return text
}

func pairs(metadata *pb.Metadata) string {
	var text strings.Builder
	for _, entry := range metadata.GetEntry() {
		fmt.Fprintf(&text, " %s=%q", entry.GetKey(), entry.GetValue())
	}
	return text.String()
}
