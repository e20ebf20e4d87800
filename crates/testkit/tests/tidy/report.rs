//! What a rule has to say: where, what, and why it matters.

use std::fmt;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Relative to the workspace root.
    pub(crate) file: String,
    /// Counted from one; one if the whole file is meant.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            what,
            reason,
        } = self;
        write!(f, "{file}:{line}: {what}\n    {reason}")
    }
}

/// Panics with the whole list, unless it is empty.
pub(crate) fn assert_none(violations: &[Violation]) {
    let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}

/// The number of the first line of `text` that holds `needle`; one if there is none.
pub(crate) fn line_of(text: &str, needle: &str) -> usize {
    text.lines()
        .position(|line| line.contains(needle))
        .map_or(1, |index| index + 1)
}

#[test]
fn a_violation_reads_as_a_place_and_a_reason() {
    let violation = Violation {
        file: "crates/core/src/lib.rs".to_owned(),
        line: 7,
        what: "this".to_owned(),
        reason: "because".to_owned(),
    };
    assert_eq!(
        violation.to_string(),
        "crates/core/src/lib.rs:7: this\n    because"
    );
}

#[test]
#[should_panic(expected = "a:1: this")]
fn one_violation_is_enough_to_fail() {
    assert_none(&[Violation {
        file: "a".to_owned(),
        line: 1,
        what: "this".to_owned(),
        reason: "because".to_owned(),
    }]);
}
