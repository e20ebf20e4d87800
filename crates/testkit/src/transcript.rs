//! Transcripts: scripts for policies, with what came of each line written below it.
//!
//! A line that begins with `>` is a step; the indented lines below it are what the policies asked for and
//! published; anything else is a comment. [`check`] runs every transcript of a folder and compares. Run
//! the tests with `BLESS=1` to write what came out into the files, then read the difference.
//!
//! ```text
//! > resolve [["a:1"], ["b:2"]] {"round_robin": {}}   endpoints, and a policy if it changes
//! > a:1 READY                                        what becomes of a subchannel
//! > a:1 TRANSIENT_FAILURE connection refused
//! > a:1 healthy | a:1 unhealthy draining | a:1 health unknown
//! > pick x3                                          where calls would go
//! > call x3 UNAVAILABLE boom                         calls that end like this, or with OK
//! > timer                                            the first timer fires
//! > wait 250ms                                       time passes
//! > resolver error no such host                      the resolver fails
//! > connect                                          the application wants a connection
//! > dump                                             the tree's own account of itself
//! ```
//!
//! An endpoint is a list of addresses, or `{"addresses": […], "weight": 3}`; what stands behind a `+` in
//! an address is an attribute of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use highball_balancer::{Choice, EndpointWeight, HealthState, Registry, SubchannelState};
use highball_core::{Address, Attributes, Code, Endpoint, Status};
use serde_json::Value;

use crate::Sim;

/// Runs every `.txt` file in `folder` and its subfolders against the policies of `registry`.
///
/// # Panics
///
/// If a transcript differs from what came out, showing the first difference, or if there is none.
pub fn check(folder: impl AsRef<Path>, registry: &Registry) {
    let files = files_in(folder.as_ref());
    assert!(
        !files.is_empty(),
        "no transcripts in {}",
        folder.as_ref().display()
    );
    let bless = std::env::var_os("BLESS").is_some();
    for file in files {
        let expected = fs::read_to_string(&file).expect("a transcript is UTF-8");
        let actual = run(&expected, registry);
        if bless {
            fs::write(&file, actual).expect("a transcript can be written");
        } else if let Some((line, expected, actual)) = first_difference(&expected, &actual) {
            let file = file.display();
            panic!(
                "{file}:{line}\n expected: {expected}\n   actual: {actual}\nBLESS=1 rewrites it"
            );
        }
    }
}

/// Runs one transcript: its comments and steps, with what came out in place of what stood there.
pub fn run(transcript: &str, registry: &Registry) -> String {
    let mut sim = Sim::new(0);
    let mut choice = registry.default_choice();
    let mut output = String::new();
    for line in transcript.lines().filter(|line| !line.starts_with("  ")) {
        output.push_str(line);
        output.push('\n');
        if let Some(step) = line.strip_prefix("> ") {
            take(step, &mut sim, &mut choice, registry);
            output.push_str(&sim.take_log());
            if step == "dump" {
                sim.dump()
                    .lines()
                    .for_each(|line| output.push_str(&format!("  {line}\n")));
            }
        }
    }
    output
}

/// One step.
fn take(step: &str, sim: &mut Sim, choice: &mut Choice, registry: &Registry) {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    match verb {
        "resolve" => {
            let (endpoints, policy) = resolution(rest);
            if let Some(policy) = policy {
                *choice = registry
                    .choose(&Value::Array(vec![policy]))
                    .expect("a good config");
            }
            sim.resolve(choice, endpoints);
        }
        "resolver" => {
            let text = rest.strip_prefix("error ").expect("resolver error <text>");
            sim.fail_resolution(Status::unavailable(text.to_owned()));
        }
        "connect" => sim.exit_idle(),
        "timer" => assert!(sim.timer(), "no timer is set"),
        "wait" => sim.wait(duration(rest)),
        "pick" => drop(sim.pick(times(rest))),
        "call" => {
            let (n, end) = rest.split_once(' ').expect("call x<n> <CODE> [<text>]");
            sim.call(times(n), &outcome(end));
        }
        "dump" => {}
        label => subchannel(label, rest, sim),
    }
}

fn subchannel(label: &str, news: &str, sim: &mut Sim) {
    let (news, text) = news.split_once(' ').unwrap_or((news, ""));
    let status = || Status::unavailable(text.to_owned());
    match news {
        "IDLE" => sim.subchannel(label, SubchannelState::Idle),
        "CONNECTING" => sim.subchannel(label, SubchannelState::Connecting),
        "READY" => sim.subchannel(label, SubchannelState::Ready),
        "TRANSIENT_FAILURE" => sim.subchannel(label, SubchannelState::TransientFailure(status())),
        "healthy" => sim.health(label, HealthState::Ready),
        "unhealthy" => sim.health(label, HealthState::TransientFailure(status())),
        "health" => sim.health(label, HealthState::Connecting),
        other => panic!("unknown step: {label} {other}"),
    }
}

/// `[endpoint, …] {policy}?`.
fn resolution(text: &str) -> (Vec<Endpoint>, Option<Value>) {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut values = values.map(|value| value.expect("JSON after resolve"));
    let endpoints = values.next().expect("resolve [endpoint, …]");
    let endpoints = endpoints.as_array().expect("a list of endpoints");
    (endpoints.iter().map(endpoint).collect(), values.next())
}

fn endpoint(value: &Value) -> Endpoint {
    let addresses = value.get("addresses").unwrap_or(value);
    let addresses = addresses
        .as_array()
        .expect("an endpoint is a list of addresses");
    let endpoint = Endpoint::new(addresses.iter().map(address));
    match value.get("weight").and_then(Value::as_u64) {
        Some(weight) => {
            let weight = EndpointWeight(u32::try_from(weight).expect("a weight has 32 bits"));
            endpoint.with_attributes(Attributes::default().with(weight))
        }
        None => endpoint,
    }
}

fn address(value: &Value) -> Address {
    let text = value.as_str().expect("an address is a string");
    match text.split_once('+') {
        Some((text, tag)) => {
            Address::from(text).with_attributes(Attributes::default().with(tag.to_owned()))
        }
        None => Address::from(text),
    }
}

fn times(text: &str) -> usize {
    let count = text.strip_prefix('x').and_then(|count| count.parse().ok());
    count.expect("a count: x3")
}

fn duration(text: &str) -> Duration {
    let (unit, scale) = match text.strip_suffix("ms") {
        Some(count) => (count, 1),
        None => (text.strip_suffix('s').expect("a time: 250ms or 3s"), 1000),
    };
    Duration::from_millis(unit.parse::<u64>().expect("a whole number") * scale)
}

fn outcome(text: &str) -> Result<(), Status> {
    let (code, message) = text.split_once(' ').unwrap_or((text, ""));
    match code.parse().expect("a status code") {
        Code::Ok => Ok(()),
        code => Err(Status::new(code, message.to_owned())),
    }
}

fn files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of transcripts exists");
    let mut paths: Vec<_> = entries
        .map(|e| e.expect("a readable folder").path())
        .collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let is_transcript = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "txt");
    let below = folders.iter().flat_map(|folder| files_in(folder));
    files
        .into_iter()
        .filter(is_transcript)
        .chain(below)
        .collect()
}

/// The number of the first line that differs, and both versions of it.
fn first_difference(expected: &str, actual: &str) -> Option<(usize, String, String)> {
    let mut expected = expected.lines();
    let mut actual = actual.lines();
    (1..).find_map(|line| match (expected.next(), actual.next()) {
        (None, None) => Some(None),
        (a, b) if a == b => None,
        (a, b) => Some(Some((line, text(a), text(b)))),
    })?
}

fn text(line: Option<&str>) -> String {
    line.unwrap_or("(the end)").to_owned()
}
