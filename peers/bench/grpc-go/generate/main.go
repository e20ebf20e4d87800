// Generate writes echo/echo.pb.go as protoc would, without protoc: it describes echo.proto to protoc-gen-go.
//
//	go run ./generate
package main

import (
	"bytes"
	"log"
	"os"
	"os/exec"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	field := func(name, json string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, JsonName: &json, Number: &number, Type: &kind, Label: &label,
		}
	}
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{"echo/echo.proto"},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile: []*descriptorpb.FileDescriptorProto{{
			Name:    proto.String("echo/echo.proto"),
			Package: proto.String("bench"),
			Syntax:  proto.String("proto3"),
			Options: &descriptorpb.FileOptions{GoPackage: proto.String("highball.example/bench/echo")},
			MessageType: []*descriptorpb.DescriptorProto{{
				Name: proto.String("EchoMessage"),
				Field: []*descriptorpb.FieldDescriptorProto{
					field("payload", "payload", 1, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
					field("replies", "replies", 2, descriptorpb.FieldDescriptorProto_TYPE_UINT32),
				},
			}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	command := exec.Command("go", "run", "google.golang.org/protobuf/cmd/protoc-gen-go")
	command.Stdin, command.Stderr = bytes.NewReader(request), os.Stderr
	output, err := command.Output()
	if err != nil {
		log.Fatal(err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		log.Fatal(err)
	}
	if response.Error != nil {
		log.Fatal(*response.Error)
	}
	for _, file := range response.File {
		if err := os.WriteFile(file.GetName(), []byte(file.GetContent()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
