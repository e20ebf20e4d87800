//! The code that is checked in is what the generator makes of its `.proto` files.
//!
//! `BLESS=1 cargo test -p highball-codegen --test checked_in` writes it anew. The test is here and not beside
//! the code, so that it runs also while that code does not compile; but for what channel and server are made of,
//! which the tests of this crate need.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use highball_codegen::Builder;

/// `.proto` files, and where what they become is checked in. Both folders lie in `crates/`.
struct CheckedIn {
    protos: &'static str,
    files: &'static [&'static str],
    folder: &'static str,
}

impl CheckedIn {
    /// Compares what `builder` makes of the files with what is checked in.
    #[track_caller]
    fn assert_code(&self, builder: &Builder) {
        let generated = builder.generate(self.files, &[in_crates(self.protos)]);
        for file in generated.expect("the .proto files compile") {
            self.assert_file(&file.name, file.text.as_bytes());
        }
    }

    /// Compares the descriptors of the files with those that are checked in as `name`.
    #[track_caller]
    fn assert_descriptors(&self, name: &str) {
        let set = Builder::new().descriptor_set(self.files, &[in_crates(self.protos)]);
        self.assert_file(name, &set.expect("the .proto files compile"));
    }

    #[track_caller]
    fn assert_file(&self, name: &str, content: &[u8]) {
        let path = in_crates(self.folder).join(name);
        if env::var_os("BLESS").is_some() {
            fs::write(&path, content).expect("a writable folder");
        }
        let checked_in = fs::read(&path).unwrap_or_default();
        assert!(
            checked_in == content,
            "{} is not what the generator makes of {:?}: see what `BLESS=1 cargo test \
             -p highball-codegen --test checked_in` changes",
            path.display(),
            self.files
        );
    }
}

fn in_crates(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("")
        .join(path)
}

#[test]
fn the_echo_service_is_up_to_date() {
    let echo = CheckedIn {
        protos: "echo/proto",
        files: &["grpc/examples/echo/echo.proto"],
        folder: "echo/src/generated",
    };
    echo.assert_code(&Builder::new());
    echo.assert_descriptors("grpc.examples.echo.bin");
}

#[test]
fn the_interop_service_is_up_to_date() {
    let interop = CheckedIn {
        protos: "echo/proto",
        files: &["grpc/testing/test.proto"],
        folder: "echo/src/generated",
    };
    interop.assert_code(&Builder::new());
    interop.assert_descriptors("grpc.testing.bin");
}

#[test]
fn the_servers_own_services_are_up_to_date() {
    let mut services = CheckedIn {
        protos: "server/proto",
        files: &[
            "grpc/health/v1/health.proto",
            "grpc/reflection/v1/reflection.proto",
        ],
        folder: "server/src/generated",
    };
    services.assert_code(&Builder::new().client(false).server_path("crate"));
    services.files = &[
        "grpc/health/v1/health.proto",
        "grpc/reflection/v1/reflection.proto",
        "grpc/reflection/v1alpha/reflection.proto",
        "xds/service/orca/v3/orca.proto",
    ];
    services.assert_descriptors("services.bin");
}

#[test]
fn the_servers_load_reporting_is_up_to_date() {
    let reporting = CheckedIn {
        protos: "server/proto",
        files: &["xds/service/orca/v3/orca.proto"],
        folder: "server/src/generated",
    };
    let builder = Builder::new()
        .client(false)
        .server_path("crate")
        .extern_path(
            ".xds.data.orca.v3.OrcaLoadReport",
            "::highball_core::LoadReport",
        )
        .extern_path(
            ".google.protobuf.Duration",
            "::highball_core::details::ProtoDuration",
        );
    reporting.assert_code(&builder);
}

#[test]
fn the_details_of_a_status_are_up_to_date() {
    let details = CheckedIn {
        protos: "core/proto",
        files: &["google/rpc/status.proto", "google/rpc/error_details.proto"],
        folder: "core/src/generated",
    };
    // Of protobuf's own types two are needed, which is not worth a crate.
    let builder = Builder::new()
        .type_names(true)
        .extern_path(".google.protobuf.Any", "super::Any")
        .extern_path(".google.protobuf.Duration", "super::ProtoDuration");
    details.assert_code(&builder);
}

#[test]
fn the_entries_of_a_binary_log_are_up_to_date() {
    let binary_log = CheckedIn {
        protos: "binary-log/proto",
        files: &["grpc/binlog/v1/binarylog.proto"],
        folder: "binary-log/src/generated",
    };
    binary_log.assert_code(&Builder::new());
}

#[test]
fn the_odd_names_are_up_to_date() {
    let odd = CheckedIn {
        protos: "codegen/tests/odd_names/proto",
        files: &["names.proto"],
        folder: "codegen/tests/odd_names/generated",
    };
    odd.assert_code(&Builder::new());
}
