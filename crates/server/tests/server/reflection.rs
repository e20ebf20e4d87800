//! Reflection as tools see it: what can be asked, and what is answered.

use std::collections::BTreeSet;

use highball_server::reflection::Descriptors;
use highball_server::reflection::v1::server_reflection_request::MessageRequest as Question;
use highball_server::reflection::v1::server_reflection_response::MessageResponse as Answer;
use highball_server::reflection::v1::{
    ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse,
};
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto,
};

use crate::support::client::{framed, to_path};
use crate::support::{Client, World};

const V1: &str = "grpc.reflection.v1.ServerReflection";
const V1ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn field(text: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: name(text),
        ..Default::default()
    }
}

fn extension(text: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto {
        extendee: name(".rail.Line"),
        number: Some(number),
        ..field(text)
    }
}

fn enumeration(text: &str, value: &str) -> EnumDescriptorProto {
    EnumDescriptorProto {
        name: name(text),
        value: vec![EnumValueDescriptorProto {
            name: name(value),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// `lines.proto`, with something of everything.
fn lines() -> FileDescriptorProto {
    let line = DescriptorProto {
        name: name("Line"),
        field: vec![field("gauge")],
        oneof_decl: vec![OneofDescriptorProto {
            name: name("power"),
            ..Default::default()
        }],
        nested_type: vec![DescriptorProto {
            name: name("Stop"),
            field: vec![field("platform")],
            extension: vec![extension("lift", 102)],
            ..Default::default()
        }],
        enum_type: vec![enumeration("Kind", "MAIN")],
        ..Default::default()
    };
    let signal = ServiceDescriptorProto {
        name: name("Signal"),
        method: vec![MethodDescriptorProto {
            name: name("Watch"),
            ..Default::default()
        }],
        ..Default::default()
    };
    FileDescriptorProto {
        name: name("lines.proto"),
        package: name("rail"),
        message_type: vec![line],
        enum_type: vec![enumeration("Aspect", "CLEAR")],
        service: vec![signal],
        ..Default::default()
    }
}

/// Files that import each other: `trams.proto` both others, `tunnels.proto` the first.
fn set() -> Vec<u8> {
    let importing = |file: &str, imports: &[&str], extension| FileDescriptorProto {
        name: name(file),
        dependency: imports.iter().map(ToString::to_string).collect(),
        extension: vec![extension],
        ..Default::default()
    };
    let tunnels = importing("tunnels.proto", &["lines.proto"], extension("bore", 101));
    let imports = ["lines.proto", "tunnels.proto"];
    let trams = importing("trams.proto", &imports, extension("road", 100));
    FileDescriptorSet {
        file: vec![trams, tunnels, lines()],
    }
    .encode_to_vec()
}

fn world() -> World {
    World::with(|builder| builder.reflection(Descriptors::decode([set()]).unwrap()))
}

fn symbol(name: &str) -> Question {
    Question::FileContainingSymbol(name.to_owned())
}

fn file(name: &str) -> Question {
    Question::FileByFilename(name.to_owned())
}

/// Asks on one stream.
async fn ask(
    client: &Client,
    service: &str,
    questions: impl IntoIterator<Item = Option<Question>>,
) -> Vec<ServerReflectionResponse> {
    let questions = questions.into_iter().map(|question| {
        framed(&ServerReflectionRequest {
            host: "lab.example".to_owned(),
            message_request: question,
        })
    });
    let request = to_path(&format!("/{service}/ServerReflectionInfo"));
    let reply = client.send_all(request, questions).await;
    assert_eq!(reply.status(), "0");
    let decode = |message| ServerReflectionResponse::decode(message).unwrap();
    reply.messages.into_iter().map(decode).collect()
}

/// An answer in a line: names of files, numbers, names of services, or an error.
fn said(answer: &ServerReflectionResponse) -> String {
    match answer.message_response.as_ref().unwrap() {
        Answer::FileDescriptorResponse(files) => {
            let files = files.file_descriptor_proto.iter();
            let name = |file: &Vec<u8>| FileDescriptorProto::decode(&file[..]).unwrap().name;
            files.filter_map(name).collect::<Vec<_>>().join(" ")
        }
        Answer::AllExtensionNumbersResponse(extensions) => {
            let numbers = &extensions.extension_number;
            format!("{} {numbers:?}", extensions.base_type_name)
        }
        Answer::ListServicesResponse(list) => {
            let names = list.service.iter().map(|service| service.name.as_str());
            names.collect::<Vec<_>>().join(" ")
        }
        Answer::ErrorResponse(error) => format!("{} {}", error.error_code, error.error_message),
    }
}

/// What one question on a stream of its own is answered.
async fn answer(client: &Client, question: Question) -> String {
    said(&ask(client, V1, [Some(question)]).await[0])
}

#[tokio::test(start_paused = true)]
async fn both_versions_list_every_service_of_the_server() {
    let world = world();
    let client = world.client().await;
    for service in [V1, V1ALPHA] {
        let question = Question::ListServices("*".to_owned());
        let answers = ask(&client, service, [Some(question)]).await;
        assert_eq!(said(&answers[0]), format!("{V1} {V1ALPHA} test.Lab"));
        let reply = to_path(&format!("/{service}/Guess"));
        let status = client.send_all(reply, []).await.status();
        assert_eq!(
            status,
            format!("12 unknown method Guess for service {service}")
        );
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_with_all_that_it_imports() {
    let world = world();
    let client = world.client().await;
    for (question, files) in [
        (file("lines.proto"), "lines.proto"),
        (file("tunnels.proto"), "tunnels.proto lines.proto"),
        (file("trams.proto"), "trams.proto tunnels.proto lines.proto"),
        (file("Lines.proto"), "5 no such file: Lines.proto"),
    ] {
        assert_eq!(answer(&client, question).await, files);
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn everything_that_a_file_declares_leads_to_it() {
    let world = world();
    let client = world.client().await;
    for declared in [
        "rail.Line",
        "rail.Line.gauge",
        "rail.Line.power",
        "rail.Line.Stop",
        "rail.Line.Stop.platform",
        "rail.Line.Stop.lift",
        "rail.Line.Kind",
        "rail.Line.MAIN",
        "rail.Aspect",
        "rail.CLEAR",
        "rail.Signal",
        "rail.Signal.Watch",
    ] {
        let found = answer(&client, symbol(declared)).await;
        assert_eq!(found, "lines.proto", "{declared}");
    }
    assert!(
        answer(&client, symbol("road"))
            .await
            .starts_with("trams.proto ")
    );
    for unknown in [
        "rail",
        "Line",
        "rail.Line.",
        ".rail.Line",
        "rail.Aspect.CLEAR",
        "",
    ] {
        let found = answer(&client, symbol(unknown)).await;
        assert_eq!(found, format!("5 no such symbol: {unknown}"));
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_services_of_the_server_itself_are_described() {
    let world = world();
    let client = world.client().await;
    for (service, file) in [
        ("grpc.health.v1.Health", "grpc/health/v1/health.proto"),
        (V1, "grpc/reflection/v1/reflection.proto"),
        (V1ALPHA, "grpc/reflection/v1alpha/reflection.proto"),
    ] {
        assert_eq!(answer(&client, symbol(service)).await, file);
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn extensions_are_found_by_number_and_numbered_by_message() {
    let world = world();
    let client = world.client().await;
    let extending = |number| {
        Question::FileContainingExtension(ExtensionRequest {
            containing_type: "rail.Line".to_owned(),
            extension_number: number,
        })
    };
    let numbers = |message: &str| Question::AllExtensionNumbersOfType(message.to_owned());
    for (question, expected) in [
        (extending(101), "tunnels.proto lines.proto"),
        (extending(102), "lines.proto"),
        (extending(7), "5 no such extension: 7 of rail.Line"),
        (numbers("rail.Line"), "rail.Line [100, 101, 102]"),
        (numbers("rail.Line.Stop"), "rail.Line.Stop []"),
        (numbers("rail.Signal"), "5 no such message: rail.Signal"),
        (numbers("rail.Train"), "5 no such message: rail.Train"),
    ] {
        assert_eq!(answer(&client, question).await, expected);
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_answers_in_order_and_sends_no_file_unasked_twice() {
    let world = world();
    let client = world.client().await;
    let questions = [
        Some(file("tunnels.proto")),
        Some(file("nothing.proto")),
        None,
        Some(file("trams.proto")),
        Some(file("lines.proto")),
    ];
    let answers = ask(&client, V1, questions.clone()).await;
    let said: Vec<_> = answers.iter().map(said).collect();
    assert_eq!(
        said,
        [
            "tunnels.proto lines.proto",
            "5 no such file: nothing.proto",
            "3 nothing is asked",
            "trams.proto",
            "lines.proto",
        ]
    );
    for (answer, question) in answers.iter().zip(questions) {
        assert_eq!(answer.valid_host, "lab.example");
        let original = answer.original_request.as_ref().unwrap();
        assert_eq!(original.message_request, question);
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_what_was_given() {
    let world = world();
    let client = world.client().await;
    let answers = ask(&client, V1, [Some(file("lines.proto"))]).await;
    let Some(Answer::FileDescriptorResponse(files)) = &answers[0].message_response else {
        panic!("{answers:?}");
    };
    let files: BTreeSet<_> = files.file_descriptor_proto.iter().cloned().collect();
    assert_eq!(files, BTreeSet::from([lines().encode_to_vec()]));
    drop(client);
    world.end().await;
}
