//! Who may depend on whom: the arrows of ARCHITECTURE.md.

use std::collections::BTreeSet;

use crate::report::{Violation, line_of};
use crate::workspace::TextFile;

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest: TextFile,
    /// Normal and build dependencies by name; those of its tests do not count.
    pub(crate) dependencies: BTreeSet<String>,
}

/// Every arrow there is. A crate that is not listed must not depend on any of ours.
const DRAWN: &[(&str, &[&str])] = &[
    ("highball-resolver", &["highball-core"]),
    ("highball-balancer", &["highball-core"]),
    ("highball-transport", &["highball-core"]),
    (
        "highball-subchannel",
        &["highball-core", "highball-transport"],
    ),
    (
        "highball-channel",
        &[
            "highball-balancer",
            "highball-core",
            "highball-resolver",
            "highball-subchannel",
            "highball-transport",
        ],
    ),
    ("highball-server", &["highball-core", "highball-transport"]),
    (
        "highball-binary-log",
        &["highball-channel", "highball-server"],
    ),
    ("highball-echo", &["highball-channel", "highball-server"]),
    (
        "highball-examples",
        &[
            "highball-binary-log",
            "highball-channel",
            "highball-echo",
            "highball-server",
        ],
    ),
];

/// The kit reaches whatever it tests; in return, nothing reaches it but tests.
const KIT: &str = "highball-testkit";

/// Crates that compute and do nothing else.
pub(crate) const PURE: [&str; 2] = ["highball-core", "highball-balancer"];

const IMPURE: [&str; 4] = ["tokio", "h2", "hyper", "mio"];

/// Dependencies that no arrow allows, and arrows that no dependency follows.
pub(crate) fn undrawn(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members.iter().filter(|member| member.name != KIT) {
        let drawn: BTreeSet<_> = DRAWN
            .iter()
            .filter(|(from, _)| *from == member.name)
            .flat_map(|(_, to)| to.iter().map(ToString::to_string))
            .collect();
        let found = members.iter().map(|member| member.name.clone());
        let found: BTreeSet<_> = found
            .filter(|name| member.dependencies.contains(name))
            .collect();
        for name in found.difference(&drawn) {
            violations.push(violation(member, name, &reason(name)));
        }
        for name in drawn.difference(&found) {
            let reason = "an arrow of ARCHITECTURE.md that nothing follows misleads its readers";
            violations.push(violation(member, name, reason));
        }
    }
    violations
}

fn reason(name: &str) -> String {
    if name == KIT {
        "the kit is for tests: a [dev-dependencies] entry, so that no user compiles it".to_owned()
    } else {
        format!("no arrow of ARCHITECTURE.md leads to {name}: what is shared belongs further down")
    }
}

fn violation(member: &Member, dependency: &str, reason: &str) -> Violation {
    Violation {
        file: member.manifest.path.clone(),
        line: line_of(&member.manifest.text, dependency),
        what: format!("{} → {dependency}", member.name),
        reason: reason.to_owned(),
    }
}

/// What a pure crate must not reach, not even through others, in its `cargo tree`.
pub(crate) fn impure(package: &str, tree: &str) -> Vec<Violation> {
    let folder = package.trim_start_matches("highball-");
    let reached = IMPURE.into_iter().filter(|name| {
        let mut crates = tree.lines().filter_map(|line| line.split(' ').next());
        crates.any(|found| found == *name)
    });
    reached
        .map(|name| Violation {
            file: format!("crates/{folder}/Cargo.toml"),
            line: 1,
            what: format!("{package} reaches {name} (cargo tree -p {package} -i {name})"),
            reason: "it computes: I/O, tasks and clocks belong to the crates above".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, dependencies: &[&str]) -> Member {
        let lines: Vec<_> = dependencies.iter().map(|d| format!("{d} = {{}}")).collect();
        Member {
            name: name.to_owned(),
            manifest: TextFile::new(format!("{name}/Cargo.toml"), lines.join("\n")),
            dependencies: dependencies.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_drawn_arrow_passes() {
        let members = [
            member("highball-core", &["bytes"]),
            member("highball-transport", &["bytes", "highball-core"]),
        ];
        assert_eq!(undrawn(&members), []);
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found_with_its_line() {
        let members = [
            member("highball-core", &[]),
            member("highball-resolver", &[]),
            member("highball-balancer", &["highball-core", "highball-resolver"]),
        ];
        let found = undrawn(&members);
        let place = |v: &Violation| (v.file.clone(), v.line, v.what.clone());
        let expected = "highball-balancer → highball-resolver";
        let file = "highball-balancer/Cargo.toml";
        assert_eq!(
            found.iter().map(place).next_back(),
            Some((file.to_owned(), 2, expected.to_owned()))
        );
    }

    #[test]
    fn an_arrow_that_nothing_follows_is_found() {
        let members = [
            member("highball-core", &[]),
            member("highball-transport", &[]),
        ];
        assert_eq!(undrawn(&members)[0].file, "highball-transport/Cargo.toml");
    }

    #[test]
    fn the_kit_is_for_tests_only() {
        let members = [
            member("highball-core", &["highball-testkit"]),
            member(KIT, &["highball-core"]),
        ];
        let found = undrawn(&members);
        assert_eq!(found.len(), 1);
        assert!(found[0].reason.contains("dev-dependencies"), "{found:?}");
    }

    #[test]
    fn a_runtime_below_a_pure_crate_is_found() {
        let tree = "highball-core v0.1.0 (/x)\nbytes v1.0.0\ntokio v1.0.0\n";
        assert_eq!(impure("highball-core", tree)[0].line, 1);
        let lookalike = "highball-core v0.1.0 (/x)\ntokio-free v1.0.0\n";
        assert_eq!(impure("highball-core", lookalike), []);
    }
}
