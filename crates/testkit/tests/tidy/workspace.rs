//! The workspace as the rules see it: members, dependency trees, Rust files and pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::arrows::Member;

/// A text file and its path relative to the workspace root, with `/` between the parts.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// The members, with what each depends on outside its tests.
pub(crate) fn members() -> Vec<Member> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked"];
    let metadata: Value =
        serde_json::from_str(&cargo(&arguments)).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages is a list");
    packages.iter().map(member).collect()
}

fn member(package: &Value) -> Member {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let manifest = relative(Path::new(&text(&package["manifest_path"])));
    let dependencies = package["dependencies"].as_array().expect("a list");
    Member {
        name: text(&package["name"]),
        manifest: TextFile::new(&manifest, read(&manifest)),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    }
}

/// What `cargo tree` prints for one package: every crate that a program depending on it compiles, with
/// default features, on Linux.
pub(crate) fn dependency_tree(package: &str) -> String {
    cargo(&[
        "tree",
        "--package",
        package,
        "--edges=normal",
        "--prefix=none",
        "--target=x86_64-unknown-linux-gnu",
        "--locked",
    ])
}

/// Every Rust file that is ours, by path.
pub(crate) fn rust_files() -> Vec<TextFile> {
    files_under(&["crates", "examples"], "rs")
}

/// Every page of documentation, by path.
pub(crate) fn pages() -> Vec<TextFile> {
    let mut pages = files_under(&["docs", "crates", "examples"], "md");
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        pages.push(TextFile::new(name, read(name)));
    }
    pages
}

fn files_under(folders: &[&str], extension: &str) -> Vec<TextFile> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), extension, &mut found);
    }
    found.sort();
    found
        .iter()
        .map(|path| {
            let path = relative(path);
            let text = read(&path);
            TextFile::new(path, text)
        })
        .collect()
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies in crates/testkit")
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("a path of the workspace");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[test]
fn this_file_is_found() {
    let path = "crates/testkit/tests/tidy/workspace.rs";
    assert!(rust_files().iter().any(|file| file.path == path));
}

#[test]
fn members_are_known_with_their_dependencies() {
    let members = members();
    let channel = members
        .iter()
        .find(|member| member.name == "highball-channel");
    let channel = channel.expect("the channel is a member");
    let subchannel = "highball-subchannel".to_owned();
    assert!(channel.dependencies.contains(&subchannel));
}
