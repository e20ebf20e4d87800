//! Every example runs as its reader would run it, and prints what its file in `expected` says.
//!
//! Ports differ from run to run: the first one an example prints is `<port 1>` in the expected text, the next
//! `<port 2>`. `BLESS=1 cargo test -p highball-examples` writes the files anew.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const ON_FREE_PORTS: [&str; 2] = ["--addresses", "localhost:0,localhost:0"];

#[test]
fn custom_load_balancer() {
    check(
        "custom_load_balancer",
        &run("custom_load_balancer", &ON_FREE_PORTS),
    );
}

#[test]
fn custom_load_balancer_with_another_ratio() {
    let flags = ["--calls", "8", "--choose-second", "4"];
    let output = run(
        "custom_load_balancer",
        &[&ON_FREE_PORTS[..], &flags].concat(),
    );
    check("custom_load_balancer_every_fourth", &output);
}

#[test]
fn custom_load_balancer_in_two_processes() {
    let mut server = Server::start();
    let flags = ["--addresses", &server.addresses];
    check(
        "custom_load_balancer",
        &run("custom_load_balancer_client", &flags),
    );
    server.stop();
}

#[test]
fn a_client_without_servers_says_so() {
    let free = Server::start().stop();
    let output = run(
        "custom_load_balancer_client",
        &["--timeout", "1", "--addresses", &free],
    );
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("did not both answer within 1 s"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let both = format!("{address},localhost:0");
    for example in ["custom_load_balancer", "custom_load_balancer_server"] {
        let output = run(example, &["--addresses", &both]);
        assert_eq!(output.status.code(), Some(1), "{example}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains(&format!("failed to listen on {address}")),
            "{text}"
        );
        assert!(text.contains("in use"), "{text}");
    }
}

#[test]
fn bad_flags_are_refused_with_what_is_wanted() {
    for (addresses, wanted) in [
        ("localhost:1", "want two addresses"),
        ("one,two", "\"one\""),
    ] {
        let output = run("custom_load_balancer", &["--addresses", addresses]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(wanted), "{text}");
    }
}

macro_rules! plain_examples {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), &run(stringify!($name), &[]));
            }
        )*

        const PLAIN: &[&str] = &[$(stringify!($name)),*];
    };
}

plain_examples! {
    binary_log cancellation compression deadline explain file_resolver graceful_stop interceptor keepalive
    load_balancing metadata mtls name_resolving orca retry tls wait_for_ready
}

#[test]
fn no_example_is_left_out() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let examples: BTreeSet<_> = manifest
        .split("[[example]]")
        .skip(1)
        .filter_map(|example| example.split('"').nth(1))
        .filter(|name| !name.starts_with("custom_load_balancer"))
        .collect();
    assert_eq!(examples, PLAIN.iter().copied().collect());
}

#[test]
fn every_example_says_what_to_watch_for() {
    for name in PLAIN.iter().chain(&[
        "custom_load_balancer",
        "custom_load_balancer_client",
        "custom_load_balancer_server",
    ]) {
        let text = fs::read_to_string(folder().join(format!("{name}.rs"))).unwrap();
        assert!(
            text.starts_with("//! ") && text.contains("//! What to watch for: "),
            "{name}"
        );
    }
}

#[test]
fn what_is_written_outside_is_short() {
    for (file, what, most) in [("ports.rs", "resolver", 15), ("sharded.rs", "policy", 80)] {
        let text = fs::read_to_string(folder().join("outside/src").join(file)).unwrap();
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with(&format!("// The {what}")));
        let end = format!("// The end of the {what}");
        let count = lines
            .skip(1)
            .take_while(|line| !line.starts_with(&end))
            .count();
        assert!(
            (5..=most).contains(&count),
            "{file}: {count} lines of {what}"
        );
    }
}

/// The server of the two-process demo.
struct Server {
    process: Child,
    addresses: String,
}

impl Server {
    fn start() -> Self {
        let mut process = command("custom_load_balancer_server", &ON_FREE_PORTS)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example is built");
        let lines = BufReader::new(process.stdout.as_mut().expect("it is piped")).lines();
        let addresses: Vec<_> = lines
            .take(2)
            .map(|line| {
                line.unwrap()
                    .strip_prefix("serving on ")
                    .unwrap()
                    .to_owned()
            })
            .collect();
        Self {
            process,
            addresses: addresses.join(","),
        }
    }

    /// Ends the process; gives back the addresses, where nobody listens any more.
    fn stop(&mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.addresses.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `cargo test` builds the examples next to its tests.
fn command(example: &str, flags: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let built = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples")
        .join(example);
    let mut command = Command::new(built);
    command.args(flags).env_remove("RUST_LOG");
    command
}

fn run(example: &str, flags: &[&str]) -> Output {
    command(example, flags)
        .output()
        .unwrap_or_else(|error| panic!("{example}: {error}"))
}

fn check(name: &str, output: &Output) {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {:?}\n{complaints}",
        output.status.code()
    );
    let actual = without_ports(&String::from_utf8_lossy(&output.stdout));
    let actual = match name {
        "explain" => without_times(&actual),
        _ => actual,
    };
    let path = folder().join("tests/expected").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(expected, actual, "BLESS=1 rewrites {}", path.display());
}

/// The text with each port replaced by the order in which it first came.
fn without_ports(text: &str) -> String {
    let mut ports: Vec<&str> = Vec::new();
    let mut pieces = text.split(':');
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = piece.split_at(digits);
        result.push(':');
        if digits < 4 {
            result.push_str(piece);
            continue;
        }
        let known = ports
            .iter()
            .position(|known| *known == port)
            .unwrap_or_else(|| {
                ports.push(port);
                ports.len() - 1
            });
        result.push_str(&format!("<port {}>{rest}", known + 1));
    }
    result
}

/// The text with each time replaced by `<time>`: no two runs take the same.
fn without_times(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let unit = word.trim_end_matches([',', ';', ':']);
            let is_number = |word: &String| word.parse::<f64>().is_ok();
            match words.last_mut() {
                Some(number) if matches!(unit, "ms" | "s") && is_number(number) => {
                    *number = format!("<time>{}", &word[unit.len()..]);
                }
                _ => words.push(word.to_owned()),
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}
