//! The code that is checked in is what the generator makes of its `.proto` files.
//!
//! `BLESS=1 cargo test -p highball-codegen --test checked_in` writes it anew. The test is here and not beside
//! the code, so that it runs also while that code does not compile.

use std::env;
use std::fs;
use std::path::Path;

use highball_codegen::Builder;

#[track_caller]
fn assert_up_to_date(builder: &Builder, proto: &str, member: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(member);
    let generated = builder.generate(&[proto], &[folder.join("proto")]);
    for file in generated.expect("the .proto file compiles") {
        let path = folder.join("src/generated").join(&file.name);
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
    assert_up_to_date(&Builder::new(), "grpc/examples/echo/echo.proto", "echo");
}
