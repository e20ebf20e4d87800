//! On what was measured, and what.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The crates whose versions matter to a reader.
const CRATES: [&str; 5] = ["h2", "hyper", "prost", "tokio", "tonic"];

/// The machine and the versions.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    /// The load average of the last minute, before the start: other work makes figures worthless.
    pub(crate) load: String,
    pub(crate) versions: Vec<String>,
}

pub(crate) fn describe() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism();
    Machine {
        processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        processors: processors.map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load: read("/proc/loadavg")
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        versions: versions(),
    }
}

/// The value in a line `key : value`.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn versions() -> Vec<String> {
    let mut versions = vec![
        first_line("git", &["describe", "--always", "--dirty"]).map(|at| format!("highball {at}")),
        rustc(),
        first_line("go", &["version"]),
    ];
    let lock = include_str!("../../Cargo.lock");
    versions.extend(CRATES.map(|name| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    }));
    let go = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../grpc-go/go.mod"));
    versions.push(go.ok().and_then(|go| {
        let line = go
            .lines()
            .find(|line| line.contains("google.golang.org/grpc "))?;
        Some(line.trim().trim_start_matches("require ").to_owned())
    }));
    versions.into_iter().flatten().collect()
}

/// The compiler's name and version.
pub(crate) fn rustc() -> Option<String> {
    first_line("rustc", &["--version"])
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}
