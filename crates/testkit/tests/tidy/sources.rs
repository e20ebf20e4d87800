//! Rules for Rust files: how they open, how long they are, what they are called and what they name.

use crate::report::Violation;
use crate::workspace::TextFile;

/// Lines of production code that a file may have.
const MOST_LINES: usize = 400;

/// Names that say nothing about what is inside.
const VAGUE: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

/// Where code that nobody wrote lies.
const GENERATED: &str = "/generated/";

/// Files whose first line is not a `//!` comment of at least three words.
pub(crate) fn unintroduced(files: &[TextFile]) -> Vec<Violation> {
    let introduces = |file: &TextFile| {
        let first = file.text.lines().next().unwrap_or_default();
        let words = first.strip_prefix("//! ").map(str::split_whitespace);
        words.is_some_and(|words| words.count() >= 3)
    };
    files
        .iter()
        .filter(|file| !is_generated(file) && !introduces(file))
        .map(|file| Violation {
            file: file.path.clone(),
            line: 1,
            what: "does not open with a `//!` comment that says something".to_owned(),
            reason: "a reader who opens the file first wants to know what it is for".to_owned(),
        })
        .collect()
}

/// Files with too many lines before their tests.
pub(crate) fn over_budget(files: &[TextFile]) -> Vec<Violation> {
    files
        .iter()
        .filter(|file| file.path.contains("/src/") && !is_generated(file))
        .map(|file| (file, production(file).count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| Violation {
            file: file.path.clone(),
            line: MOST_LINES + 1,
            what: format!("{lines} lines of production code"),
            reason: format!("over {MOST_LINES} a file holds two nouns: find the second one"),
        })
        .collect()
}

/// Mentions of `tokio::net` outside the two files that may open sockets.
pub(crate) fn stray_sockets(files: &[TextFile]) -> Vec<Violation> {
    let checked = |file: &&TextFile| file.path.contains("/src/") && !may_open_sockets(&file.path);
    let mut violations = Vec::new();
    for file in files.iter().filter(checked) {
        for (line, code) in production(file) {
            let grouped = code.contains("tokio::{") && code.contains("net::");
            if code.contains("tokio::net") || grouped {
                violations.push(Violation {
                    file: file.path.clone(),
                    line,
                    what: "names tokio::net".to_owned(),
                    reason: "sockets are opened by the transport's connector and the server's \
                             listener, so that all else runs over in-memory and simulated networks"
                        .to_owned(),
                });
            }
        }
    }
    violations
}

/// Locks in the crates of the policies and the resolvers.
pub(crate) fn locks(files: &[TextFile]) -> Vec<Violation> {
    let is_lock_free = |path: &str| {
        path.starts_with("crates/balancer/src/") || path.starts_with("crates/resolver/src/")
    };
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| is_lock_free(&file.path)) {
        let locks = production(file)
            .filter(|(_, code)| ["Mutex", "RwLock"].iter().any(|lock| code.contains(lock)));
        violations.extend(locks.map(|(line, code)| {
            Violation {
                file: file.path.clone(),
                line,
                what: format!("`{}`", code.trim()),
                reason:
                    "policies and resolvers have one owner and publish values: a lock in them is \
                     a call up in disguise"
                        .to_owned(),
            }
        }));
    }
    violations
}

fn may_open_sockets(path: &str) -> bool {
    path.starts_with("crates/transport/src/connect") || path == "crates/server/src/listener.rs"
}

/// Files and folders whose name could hold anything.
pub(crate) fn vaguely_named(files: &[TextFile]) -> Vec<Violation> {
    files
        .iter()
        .filter_map(|file| {
            let parts = file.path.split('/');
            let vague = parts
                .map(|part| part.trim_end_matches(".rs"))
                .find(|part| VAGUE.contains(part))?;
            Some(Violation {
                file: file.path.clone(),
                line: 1,
                what: format!("is called `{vague}`"),
                reason: "a name that could hold anything will: split by what things are".to_owned(),
            })
        })
        .collect()
}

/// Lints switched off with `allow`.
pub(crate) fn allowed_lints(files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("#[allow(") || line.starts_with("#![allow(") {
                violations.push(Violation {
                    file: file.path.clone(),
                    line: index + 1,
                    what: format!("`{line}`"),
                    reason: "`#[expect(…, reason = \"…\")]` says why, and complains once it is \
                             needless"
                        .to_owned(),
                });
            }
        }
    }
    violations
}

fn is_generated(file: &TextFile) -> bool {
    file.path.contains(GENERATED)
}

/// The numbered lines above a file's test module, without what stands in `//` comments. A file that is a
/// test module as a whole has none.
fn production(file: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    let whole_file_is_tests = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    let lines: Vec<_> = file.text.lines().collect();
    let end = if whole_file_is_tests {
        0
    } else {
        let opens_tests = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        lines
            .windows(2)
            .position(opens_tests)
            .unwrap_or(lines.len())
    };
    let code = |line: &'_ str| line.find("//").unwrap_or(line.len());
    lines
        .into_iter()
        .take(end)
        .enumerate()
        .map(move |(index, line)| (index + 1, &line[..code(line)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> [TextFile; 1] {
        [TextFile::new(path, text)]
    }

    #[test]
    fn a_file_without_an_introduction_is_found() {
        for opening in [
            "use std::fmt;\n",
            "//! `code`.\n",
            "// The status codes.\n",
            "",
        ] {
            let found = unintroduced(&file("crates/core/src/code.rs", opening));
            assert_eq!(found.len(), 1, "{opening:?}");
        }
        assert_eq!(
            unintroduced(&file("crates/core/src/code.rs", "//! The status codes.\n")),
            []
        );
        assert_eq!(
            unintroduced(&file("crates/echo/src/generated/echo.rs", "use x;\n")),
            []
        );
    }

    #[test]
    fn line_401_is_over_budget_and_tests_do_not_count() {
        let lines = |n: usize| "let x = 1;\n".repeat(n);
        let path = "crates/core/src/code.rs";
        assert_eq!(over_budget(&file(path, lines(400))), []);
        assert_eq!(over_budget(&file(path, lines(401)))[0].line, 401);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(400), lines(9));
        assert_eq!(over_budget(&file(path, tested)), []);
        assert_eq!(
            over_budget(&file("crates/core/tests/code.rs", lines(500))),
            []
        );
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_does_not_end_the_count() {
        let text = format!("#[cfg(test)]\nmod tests;\n{}", "let x = 1;\n".repeat(400));
        assert_eq!(over_budget(&file("crates/core/src/code.rs", text)).len(), 1);
    }

    #[test]
    fn a_stray_socket_is_found_with_its_line() {
        let text = "//! x\nuse tokio::net::TcpStream;\n";
        let found = stray_sockets(&file("crates/channel/src/dial.rs", text));
        assert_eq!(found[0].line, 2);
        let grouped = "use tokio::{net::TcpStream, time};\n";
        assert_eq!(
            stray_sockets(&file("crates/channel/src/dial.rs", grouped)).len(),
            1
        );
        for path in [
            "crates/transport/src/connect.rs",
            "crates/transport/src/connect/tcp.rs",
            "crates/server/src/listener.rs",
            "crates/channel/tests/dial.rs",
        ] {
            assert_eq!(stray_sockets(&file(path, text)), [], "{path}");
        }
        let comment = "// Never tokio::net here.\n";
        assert_eq!(
            stray_sockets(&file("crates/channel/src/dial.rs", comment)),
            []
        );
    }

    #[test]
    fn a_lock_in_a_policy_is_found_and_one_in_its_tests_passes() {
        let lock = "use std::sync::Mutex;\n";
        let policy = "crates/balancer/src/round_robin.rs";
        assert_eq!(locks(&file(policy, lock)).len(), 1);
        let in_tests = format!("//! x\n#[cfg(test)]\nmod tests {{\n{lock}}}\n");
        assert_eq!(locks(&file(policy, in_tests)), []);
        assert_eq!(locks(&file("crates/channel/src/driver/mod.rs", lock)), []);
    }

    #[test]
    fn a_vague_name_is_found_in_files_and_folders() {
        for path in [
            "crates/core/src/utils.rs",
            "crates/core/src/helpers/x.rs",
            "crates/core/tests/common/mod.rs",
        ] {
            assert_eq!(vaguely_named(&file(path, "")).len(), 1, "{path}");
        }
        assert_eq!(
            vaguely_named(&file("crates/core/src/commonwealth.rs", "")),
            []
        );
    }

    #[test]
    fn an_allowed_lint_is_found_and_an_expected_one_passes() {
        let path = "crates/core/src/code.rs";
        let outer = format!("//! x\n    #[{}(dead_code)]\n", "allow");
        assert_eq!(allowed_lints(&file(path, outer))[0].line, 2);
        let inner = format!("#![{}(dead_code)]\n", "allow");
        assert_eq!(allowed_lints(&file(path, inner)).len(), 1);
        let expected = "#[expect(dead_code, reason = \"x\")]\n";
        assert_eq!(allowed_lints(&file(path, expected)), []);
    }
}
