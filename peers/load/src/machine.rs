//! On what the load was run.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The machine and the versions.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<String>,
}

pub(crate) fn describe() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let processor = model.and_then(|line| line.split_once(": "));
    let versions = [
        first_line("git", &["describe", "--always"]).map(|at| format!("highball {at}")),
        first_line("rustc", &["--version"]),
        locked("h2"),
        locked("tokio"),
    ];
    Machine {
        processor: processor.map_or("?", |(_, name)| name).to_owned(),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        versions: versions.into_iter().flatten().collect(),
    }
}

fn locked(name: &str) -> Option<String> {
    let lock = include_str!("../../bench/Cargo.lock");
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(format!("{name} {}", rest.split('"').next()?))
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let command = command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8(command.output().ok()?.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}
