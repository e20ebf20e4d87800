//! Rules for manifests: what every crate takes from the workspace.

use crate::arrows::Member;
use crate::report::{Violation, line_of};

/// What stands in the manifest of every member, and why.
const SHARED: [(&str, &str); 4] = [
    (
        "[lints]\nworkspace = true",
        "a crate with lints of its own may contain unsafe code, and nobody would notice",
    ),
    (
        "edition.workspace = true",
        "readers learn the language once",
    ),
    (
        "rust-version.workspace = true",
        "the oldest compiler is a promise of the whole project",
    ),
    (
        "license.workspace = true",
        "users take all crates on the same terms",
    ),
];

/// Manifests that lack something that is shared.
pub(crate) fn unshared(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let missing = SHARED
            .iter()
            .filter(|(lines, _)| !member.manifest.text.contains(lines));
        for (lines, reason) in missing {
            violations.push(Violation {
                file: member.manifest.path.clone(),
                line: line_of(&member.manifest.text, "[package]"),
                what: format!("lacks {lines:?}"),
                reason: (*reason).to_owned(),
            });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workspace::TextFile;

    fn member(manifest: &str) -> Vec<Member> {
        vec![Member {
            name: "highball-core".to_owned(),
            manifest: TextFile::new("crates/core/Cargo.toml", manifest),
            dependencies: BTreeSet::new(),
        }]
    }

    #[test]
    fn lints_of_its_own_are_found() {
        let shared: Vec<_> = SHARED.iter().map(|(lines, _)| *lines).collect();
        assert_eq!(unshared(&member(&shared.join("\n\n"))), []);
        let found = unshared(&member(&shared[1..].join("\n")));
        assert_eq!(found.len(), 1);
        assert!(found[0].reason.contains("unsafe"), "{found:?}");
    }
}
