//! The code that is checked in is what the generator makes of its `.proto` files.
//!
//! `BLESS=1 cargo test -p highball-codegen --test checked_in` writes it anew. The test is here and not beside
//! the code, so that it runs also while that code does not compile.

use std::env;
use std::fs;
use std::path::Path;

use highball_codegen::Builder;

/// Compares what `builder` makes of `proto` in `protos` with the files in `folder`; both lie in `crates/`.
#[track_caller]
fn assert_up_to_date(builder: &Builder, protos: &str, proto: &str, folder: &str) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
    let generated = builder.generate(&[proto], &[crates.join(protos)]);
    for file in generated.expect("the .proto file compiles") {
        let path = crates.join(folder).join(&file.name);
        if env::var_os("BLESS").is_some() {
            fs::write(&path, &file.text).expect("a writable folder");
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == file.text,
            "{} is not what the generator makes of {proto}: see what `BLESS=1 cargo test \
             -p highball-codegen --test checked_in` changes",
            path.display()
        );
    }
}

#[test]
fn the_echo_service_is_up_to_date() {
    let proto = "grpc/examples/echo/echo.proto";
    assert_up_to_date(&Builder::new(), "echo/proto", proto, "echo/src/generated");
}

#[test]
fn the_odd_names_are_up_to_date() {
    let odd = "codegen/tests/odd_names";
    let (protos, folder) = (format!("{odd}/proto"), format!("{odd}/generated"));
    assert_up_to_date(&Builder::new(), &protos, "names.proto", &folder);
}
