//! The checked-in code is what the generator makes of the `.proto` file.
//!
//! `BLESS=1 cargo test -p highball-echo --test generated` writes it anew.

use std::env;
use std::fs;
use std::path::Path;

use highball_codegen::Builder;

#[test]
fn the_generated_code_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = Builder::new()
        .server(false)
        .generate(&["grpc/examples/echo/echo.proto"], &[here.join("proto")])
        .unwrap();
    let names: Vec<_> = generated.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["grpc.examples.echo.rs"]);
    let path = here.join("src/generated/grpc.examples.echo.rs");
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &generated[0].text).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap();
    assert!(
        checked_in == generated[0].text,
        "{} differs from what the generator makes: look at what `BLESS=1 cargo test -p highball-echo \
         --test generated` changes",
        path.display()
    );
}
