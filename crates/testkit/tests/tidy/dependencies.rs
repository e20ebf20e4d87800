//! What may come from outside: the bans of deny.toml and the size of a client.

use std::collections::BTreeSet;

use crate::report::{Violation, line_of};

/// How many third-party crates a client with default features may compile.
pub(crate) const MOST_CLIENT_CRATES: usize = 45;

/// A crate that must stay out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The bans in deny.toml: its lines of the form `{ crate = "…", reason = "…" }`.
pub(crate) fn bans(deny: &str) -> Vec<Ban> {
    deny.lines()
        .filter_map(|line| {
            let mut quoted = line
                .trim()
                .strip_prefix("{ crate = \"")?
                .split('"')
                .step_by(2);
            Some(Ban {
                name: quoted.next()?.to_owned(),
                reason: quoted.next()?.to_owned(),
            })
        })
        .collect()
}

/// Banned packages in Cargo.lock. Whatever is called `tonic-…` is banned with tonic.
pub(crate) fn banned(lock: &str, bans: &[Ban]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in lock.lines().enumerate() {
        let Some(name) = line.strip_prefix("name = \"") else {
            continue;
        };
        let name = name.trim_end_matches('"');
        let family = name.split('-').next().filter(|family| *family == "tonic");
        let ban = bans
            .iter()
            .find(|ban| ban.name == name || Some(ban.name.as_str()) == family);
        if let Some(ban) = ban {
            violations.push(Violation {
                file: "Cargo.lock".to_owned(),
                line: index + 1,
                what: format!("{name} (cargo tree --workspace -i {name})"),
                reason: ban.reason.clone(),
            });
        }
    }
    violations
}

/// The crates of a `cargo tree` that are not ours, each version once.
pub(crate) fn third_party(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("highball-"))
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The complaint if a client has grown over its budget.
pub(crate) fn too_many(third_party: &BTreeSet<String>) -> Vec<Violation> {
    if third_party.len() <= MOST_CLIENT_CRATES {
        return Vec::new();
    }
    let list: Vec<_> = third_party.iter().map(String::as_str).collect();
    let (file, count) = ("crates/channel/Cargo.toml", list.len());
    vec![Violation {
        file: file.to_owned(),
        line: line_of(&crate::workspace::read(file), "[dependencies]"),
        what: format!("{count} third-party crates: {}", list.join(", ")),
        reason: format!(
            "whoever adds a client reads and compiles all of them: at most {MOST_CLIENT_CRATES}"
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = r#"
deny = [
  { crate = "tonic", reason = "another stack" },
  { crate = "openssl", reason = "TLS is rustls" },
]
"#;

    #[test]
    fn bans_are_read_with_their_reasons() {
        let bans = bans(DENY);
        assert_eq!(bans.len(), 2);
        assert_eq!(bans[1].name, "openssl");
        assert_eq!(bans[1].reason, "TLS is rustls");
    }

    #[test]
    fn a_banned_package_is_found_in_the_lock_file() {
        let lock = "[[package]]\nname = \"bytes\"\n\n[[package]]\nname = \"openssl\"\n";
        let found = banned(lock, &bans(DENY));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].line, found[0].reason.as_str()),
            (5, "TLS is rustls")
        );
    }

    #[test]
    fn the_whole_tonic_family_is_banned() {
        let lock = "name = \"tonic-build\"\nname = \"tonics\"\n";
        assert_eq!(banned(lock, &bans(DENY)).len(), 1);
    }

    #[test]
    fn our_own_crates_and_repetitions_do_not_count() {
        let tree = "highball-channel v0.1.0 (/x)\nbytes v1.0.0\nsyn v2.0.0 (proc-macro)\nsyn v2.0.0 (*)\nsyn v3.0.0\n";
        let crates: Vec<_> = third_party(tree).into_iter().collect();
        assert_eq!(crates, ["bytes v1.0.0", "syn v2.0.0", "syn v3.0.0"]);
    }

    #[test]
    fn the_forty_sixth_crate_is_one_too_many() {
        let crates = |n: usize| (0..n).map(|n| format!("crate-{n} v1.0.0")).collect();
        assert_eq!(too_many(&crates(45)), []);
        assert!(too_many(&crates(46))[0].what.starts_with("46 third-party"));
    }
}
