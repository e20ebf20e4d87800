//! Rules for pages: links lead somewhere, and the tests they name exist.

use std::collections::BTreeSet;

use crate::report::Violation;
use crate::workspace::TextFile;

/// Relative links whose file is missing; `exists` answers for a path from the workspace root.
pub(crate) fn dead_links(pages: &[TextFile], exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for page in pages {
        for (line, _, target) in links(&page.text) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains("://");
            if !is_elsewhere && !exists(&from_root(&page.path, file)) {
                violations.push(Violation {
                    file: page.path.clone(),
                    line,
                    what: format!("links to {target}, which is not there"),
                    reason: "the pages are read by people who follow their links".to_owned(),
                });
            }
        }
    }
    violations
}

/// Tests that a page links to by name, as in ``[`a_name`](path.rs)``, and that are not there.
pub(crate) fn missing_tests(pages: &[TextFile], tests: &BTreeSet<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for page in pages {
        for (line, text, target) in links(&page.text) {
            let path = from_root(&page.path, &target);
            let Some(name) = test_name(&text, &path) else {
                continue;
            };
            if !tests.contains(&format!("{path} {name}")) {
                violations.push(Violation {
                    file: page.path.clone(),
                    line,
                    what: format!("{path} has no test `{name}`"),
                    reason: "a claim is pinned by a test or it is a rumour".to_owned(),
                });
            }
        }
    }
    violations
}

/// Files that a page's numbered list links to, the stops of a reading path, and that do not open with a
/// picture and an exercise.
pub(crate) fn bare_stops(page: &TextFile, files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut is_in_list = false;
    for (index, line) in page.text.lines().enumerate() {
        let is_item = line
            .split_once(". ")
            .is_some_and(|(n, _)| n.parse::<u8>().is_ok());
        is_in_list = is_item || (is_in_list && line.starts_with(' '));
        for (_, _, target) in links(line).into_iter().filter(|_| is_in_list) {
            let path = from_root(&page.path, &target);
            let opening = files.iter().find(|file| file.path == path).map(opening);
            let opening = opening.unwrap_or_default();
            for (sign, what) in [("```text", "a picture"), ("Exercise", "an exercise")] {
                if !opening.contains(sign) {
                    violations.push(Violation {
                        file: page.path.clone(),
                        line: index + 1,
                        what: format!("{path} does not open with {what}"),
                        reason: "a stop of the reading path teaches: see, then do".to_owned(),
                    });
                }
            }
        }
    }
    violations
}

/// The `//!` comment at the top of a file.
fn opening(file: &TextFile) -> String {
    let lines = file.text.lines().take_while(|line| line.starts_with("//!"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every test, as its file's path, a space and its name.
pub(crate) fn test_names(files: &[TextFile]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files {
        let mut marked = false;
        for line in file.text.lines().map(str::trim) {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let signature = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = signature.and_then(|rest| rest.split(['(', '<']).next()) {
                if marked {
                    names.insert(format!("{} {name}", file.path));
                }
                marked = false;
            }
        }
    }
    names
}

/// The name in ``[`a_name`](path.rs)``: a link to a Rust file of a crate whose text is a function's name of
/// at least two words, as a test's is.
fn test_name(text: &str, path: &str) -> Option<String> {
    let name = text.strip_prefix('`')?.strip_suffix('`')?;
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_name = name.contains('_') && name.chars().all(is_word);
    (is_name && path.starts_with("crates/") && path.ends_with(".rs")).then(|| name.to_owned())
}

/// Every `[text](target)` with its line.
fn links(page: &str) -> Vec<(usize, String, String)> {
    let mut links = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("](") {
            let text = before.rsplit('[').next().unwrap_or_default();
            let target = after.split(')').next().unwrap_or_default();
            links.push((index + 1, text.to_owned(), target.to_owned()));
            rest = after;
        }
    }
    links
}

/// `target`, seen from `page`, as a path from the workspace root.
fn from_root(page: &str, target: &str) -> String {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> [TextFile; 1] {
        [TextFile::new(path, text)]
    }

    #[test]
    fn a_dead_link_is_found_with_its_line() {
        let exists = |path: &str| path == "docs/a.md";
        let text = "x\n[a](a.md) and [b](../b.md)\n";
        let found = dead_links(&page("docs/x.md", text), exists);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
        let fine = "[a](../docs/a.md#part) [web](https://grpc.io) [here](#part)";
        assert_eq!(dead_links(&page("docs/x.md", fine), exists), []);
    }

    #[test]
    fn tests_are_known_by_their_attribute() {
        let text = "\
            #[test]\nfn one_fact() {}\n\
            #[tokio::test(start_paused = true)]\n    async fn another_fact() {}\n\
            fn no_test() {}\n";
        let names: Vec<_> = test_names(&page("a.rs", text)).into_iter().collect();
        assert_eq!(names, ["a.rs another_fact", "a.rs one_fact"]);
    }

    #[test]
    fn a_named_test_that_is_not_in_that_file_is_found() {
        let tests = BTreeSet::from(["crates/core/src/a.rs one_fact".to_owned()]);
        let good = "| x | [`one_fact`](../crates/core/src/a.rs) |";
        assert_eq!(missing_tests(&page("docs/x.md", good), &tests), []);
        for bad in [
            "[`another_fact`](../crates/core/src/a.rs)",
            "[`one_fact`](../crates/core/src/b.rs)",
        ] {
            assert_eq!(missing_tests(&page("docs/x.md", bad), &tests).len(), 1);
        }
    }

    #[test]
    fn a_stop_without_an_exercise_is_found() {
        let readme = &page(
            "README.md",
            "Stops:\n\n1. [a](a.rs),\n   [b](b.rs): x\n\n[c](c.rs)\n",
        )[0];
        let files = [
            TextFile::new("a.rs", "//! ```text\n//! ```\n//! Exercise: try.\n"),
            TextFile::new("b.rs", "//! ```text\n//! ```\n\n// Exercise: too late.\n"),
        ];
        let found = bare_stops(readme, &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 4);
        assert_eq!(bare_stops(readme, &files[..1]).len(), 2);
    }

    #[test]
    fn a_link_to_a_file_is_not_taken_for_a_test() {
        let text = "[`pick_first.rs`](crates/a.rs) [`Status`](crates/b.rs) [`echo`](crates/c.rs) \
                    [`custom_load_balancer`](examples/custom_load_balancer.rs)";
        assert_eq!(missing_tests(&page("x.md", text), &BTreeSet::new()), []);
    }
}
