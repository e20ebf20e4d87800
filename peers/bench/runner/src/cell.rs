//! The kinds of work: the cells of the result's tables.

use std::fmt;

use bench_kit::{Kind, Runtime};
use serde::Serialize;

/// One kind of work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) payload: usize,
    pub(crate) calls: usize,
    pub(crate) connections: usize,
    pub(crate) runtime: Runtime,
}

impl Cell {
    fn new(kind: Kind, payload: usize, calls: usize) -> Self {
        Self {
            kind,
            payload,
            calls,
            connections: 1,
            runtime: Runtime::Current,
        }
    }

    /// What a client is told of it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::Unary => "unary",
            Kind::ServerStream => "server_stream",
            Kind::ClientStream => "client_stream",
            Kind::Bidi => "bidi",
            Kind::Cold => "cold",
        };
        let (calls, connections) = (self.calls, self.connections);
        let line = format!(
            "--kind {kind} --payload {} --calls-in-flight {calls} --connections {connections}",
            self.payload
        );
        line.split(' ').map(str::to_owned).collect()
    }

    /// What either program is told.
    pub(crate) fn runtime(&self) -> [&'static str; 2] {
        match self.runtime {
            Runtime::Current => ["--runtime", "current"],
            Runtime::Multi => ["--runtime", "multi"],
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Unary => "unary",
            Kind::ServerStream => "server stream",
            Kind::ClientStream => "client stream",
            Kind::Bidi => "bidi ping-pong",
            Kind::Cold => "cold channel",
        };
        let size = match self.payload {
            size if size >= 1024 => format!("{} KiB", size / 1024),
            size => format!("{size} B"),
        };
        write!(
            f,
            "{kind} {size}, {} calls, {} conn.",
            self.calls, self.connections,
        )?;
        match self.runtime {
            Runtime::Current => Ok(()),
            Runtime::Multi => f.write_str(", threads"),
        }
    }
}

/// Fifty clients of one thread, a thousand calls open.
fn crowd() -> Cell {
    Cell {
        connections: 50,
        ..Cell::new(Kind::Unary, 32, 1_000)
    }
}

/// What `--quick` measures.
pub(crate) fn quick() -> Vec<Cell> {
    vec![
        Cell::new(Kind::Unary, 32, 1),
        Cell::new(Kind::Unary, 32, 16),
        Cell::new(Kind::Unary, 32, 128),
        Cell::new(Kind::Unary, 1024, 128),
        Cell::new(Kind::Unary, 64 * 1024, 16),
        Cell::new(Kind::Bidi, 32, 16),
        crowd(),
        Cell::new(Kind::ServerStream, 4, 1),
        Cell::new(Kind::ServerStream, 1024, 1),
        Cell::new(Kind::ServerStream, 64 * 1024, 1),
        Cell::new(Kind::ClientStream, 1024, 1),
        Cell::new(Kind::Cold, 32, 1),
    ]
}

/// Everything.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for payload in [32, 1024, 64 * 1024] {
        for connections in [1, 4] {
            for calls in [1, 16, 128]
                .into_iter()
                .filter(|calls| *calls >= connections)
            {
                cells.push(Cell {
                    connections,
                    ..Cell::new(Kind::Unary, payload, calls)
                });
            }
        }
    }
    for calls in [1, 16, 128] {
        cells.push(Cell {
            runtime: Runtime::Multi,
            ..Cell::new(Kind::Unary, 32, calls)
        });
    }
    cells.push(crowd());
    cells.push(Cell::new(Kind::Bidi, 32, 1));
    cells.extend(quick().into_iter().filter(|cell| cell.kind != Kind::Unary));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_quick_measures_is_measured_otherwise_too() {
        let names: Vec<_> = all().iter().map(ToString::to_string).collect();
        for cell in quick() {
            assert!(names.contains(&cell.to_string()), "{cell}");
        }
        let first = Cell::new(Kind::Unary, 1024, 16);
        assert_eq!(first.to_string(), "unary 1 KiB, 16 calls, 1 conn.");
    }
}
