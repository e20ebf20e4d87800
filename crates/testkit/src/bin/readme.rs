//! Runs the commands of a page and compares what they print with what the page says they print.
//!
//! ````text
//! ```console ci
//! $ cargo run --example hello
//! hello
//! … (a line that begins with an ellipsis stands for any number of lines)
//! done after … ms (and one inside a line for any text)
//! ```
//! ````
//!
//! Blocks whose fence says `console ci` are run, in order, from the current folder; a command fails if its
//! exit code is not zero or its standard output differs. What goes to standard error is passed on.
//!
//! ```text
//! readme PAGE [--ran COMMAND]…
//! ```
//!
//! `--ran` names a command that the caller has run already: it must be one of the page's, and is skipped.
#![expect(clippy::print_stdout, reason = "a program that reports to a terminal")]

use std::env;
use std::error::Error;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

const ANYTHING: char = '…';

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let page = arguments
        .next()
        .ok_or("usage: readme PAGE [--ran COMMAND]…")?;
    let mut already_run = Vec::new();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--ran", Some(command)) => already_run.push(command),
            _ => return Err(format!("{argument}: want --ran COMMAND").into()),
        }
    }
    let sessions = sessions(&fs::read_to_string(&page)?);
    for command in &already_run {
        if !sessions.iter().any(|session| session.command == *command) {
            return Err(format!("{page} has no command {command:?} to skip").into());
        }
    }
    let mut failures = 0;
    for session in &sessions {
        println!("{page}:{}: $ {}", session.line, session.command);
        if already_run.contains(&session.command) {
            println!("    run already");
        } else if let Err(complaint) = session.run() {
            println!("    FAILED: {complaint}");
            failures += 1;
        }
    }
    println!("{page}: {} commands, {failures} failed", sessions.len());
    // A page without commands is one whose fences are misspelt.
    Ok(ExitCode::from(u8::from(
        failures > 0 || sessions.is_empty(),
    )))
}

/// A command and what it prints, as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    /// Where the command stands, counted from one.
    line: usize,
    command: String,
    expected: Vec<String>,
}

impl Session {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let output = Command::new("sh")
            .args(["-c", &self.command])
            .stderr(Stdio::inherit())
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        for line in printed.lines() {
            println!("    {line}");
        }
        println!("    took {:.1} s", start.elapsed().as_secs_f64());
        if !output.status.success() {
            return Err(format!("{}", output.status).into());
        }
        let printed: Vec<_> = printed.lines().map(str::trim_end).collect();
        if !lines_match(&self.expected, &printed) {
            return Err(format!("the page says\n{}", self.expected.join("\n")).into());
        }
        Ok(())
    }
}

/// The commands of every block that is marked for CI.
fn sessions(page: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut is_inside = false;
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            is_inside = line == "```console ci";
        } else if is_inside {
            if let Some(command) = line.strip_prefix("$ ") {
                sessions.push(Session {
                    line: index + 1,
                    command: command.to_owned(),
                    expected: Vec::new(),
                });
            } else if let Some(session) = sessions.last_mut() {
                session.expected.push(line.trim_end().to_owned());
            }
        }
    }
    sessions
}

/// Whether `printed` is what `expected` says, an ellipsis standing for any lines.
fn lines_match(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.starts_with(ANYTHING) => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed.split_first().is_some_and(|(line, others)| {
            let parts: Vec<_> = first.split(ANYTHING).collect();
            line_matches(&parts, line) && lines_match(rest, others)
        }),
    }
}

/// Whether `line` is the `parts` with any text between them.
fn line_matches(parts: &[&str], line: &str) -> bool {
    match parts {
        [] => line.is_empty(),
        [only] => *only == line,
        [first, rest @ ..] => line.strip_prefix(first).is_some_and(|line| {
            let mut ends = line.char_indices().map(|(index, _)| index);
            ends.any(|index| line_matches(rest, &line[index..])) || line_matches(rest, "")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(expected: &str, printed: &str) -> bool {
        let expected: Vec<_> = expected.lines().map(ToOwned::to_owned).collect();
        lines_match(&expected, &printed.lines().collect::<Vec<_>>())
    }

    #[test]
    fn only_marked_blocks_are_run() {
        let page = "\
```console\n$ rm -rf build\n```\n\
```console ci\n$ echo a\na\n$ echo b\nb\n```\n\
$ echo text\n";
        let found = sessions(page);
        let found: Vec<_> = found.iter().map(|s| (s.line, s.command.as_str())).collect();
        assert_eq!(found, [(5, "echo a"), (7, "echo b")]);
        assert_eq!(sessions(page)[0].expected, ["a"]);
    }

    #[test]
    fn output_is_compared_line_by_line() {
        assert!(is_match("a\nb", "a\nb"));
        for printed in ["a", "a\nb\nc", "a\nc", ""] {
            assert!(!is_match("a\nb", printed), "{printed:?}");
        }
    }

    #[test]
    fn an_ellipsis_stands_for_any_lines() {
        for printed in ["a\nz", "a\nb\nc\nz"] {
            assert!(is_match("a\n…\nz", printed), "{printed:?}");
            assert!(is_match("a\n… (and so on)\nz", printed), "{printed:?}");
        }
        for printed in ["a\nb", "b\nz", "z"] {
            assert!(!is_match("a\n…\nz", printed), "{printed:?}");
        }
    }

    #[test]
    fn an_ellipsis_inside_a_line_stands_for_any_text() {
        for printed in ["took 5 ms", "took  ms", "took 1.2 or 3 ms"] {
            assert!(is_match("took … ms", printed), "{printed:?}");
        }
        for printed in ["took 5 s", "it took 5 ms", "took 5 ms more"] {
            assert!(!is_match("took … ms", printed), "{printed:?}");
        }
    }

    #[test]
    fn a_command_that_fails_or_prints_something_else_is_reported() {
        let session = |command: &str, expected: &str| Session {
            line: 1,
            command: command.to_owned(),
            expected: expected.lines().map(ToOwned::to_owned).collect(),
        };
        assert!(session("echo a", "a").run().is_ok());
        assert!(session("echo a", "b").run().is_err());
        assert!(session("echo a; exit 3", "a").run().is_err());
    }
}
