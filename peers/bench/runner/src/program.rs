//! Servers and clients as processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bench_kit::{Report, Result};
use serde::de::DeserializeOwned;

/// A server that runs. Dropping it ends its standard input, and waits until it has ended.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts what `command` says, and waits for the port it prints.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("a server without output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(port) => Ok(Self { child, port }),
            Err(_) => {
                drop(child.kill());
                child.wait()?;
                Err(format!("{command:?} printed no port").into())
            }
        }
    }

    /// What a client must know of it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let (port, pid) = (self.port, self.child.id());
        let line = format!("--port {port} --server-pid {pid}");
        line.split(' ').map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Runs a client to its end and reads what it prints of a measurement.
pub(crate) fn measure(client: &Path, arguments: &[String]) -> Result<Report> {
    run(client, arguments)
}

/// Runs a program to its end and reads the JSON that it prints.
pub(crate) fn run<T: DeserializeOwned>(program: &Path, arguments: &[String]) -> Result<T> {
    let output = Command::new(program).args(arguments).output()?;
    let line = String::from_utf8_lossy(&output.stdout);
    let told = || {
        let said = String::from_utf8_lossy(&output.stderr);
        let program = program.display();
        format!("{program} {} said {line:?} {said}", arguments.join(" "))
    };
    serde_json::from_str(&line).map_err(|_| told().into())
}
