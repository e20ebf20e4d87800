//! The house rules, checked: each violation names a file, a line and the reason for the rule.
//!
//! A rule is a pure function from text to violations, with a test that shows it can fail; the tests here
//! put the workspace itself before it. Rules that clippy, rustfmt or rustdoc know are left to them.

mod arrows;
mod dependencies;
mod manifests;
mod pages;
mod report;
mod sources;
mod workspace;

use report::assert_none;

#[test]
fn crates_depend_on_each_other_as_drawn() {
    assert_none(&arrows::undrawn(&workspace::members()));
}

#[test]
fn the_pure_crates_stay_pure() {
    for name in arrows::PURE {
        assert_none(&arrows::impure(name, &workspace::dependency_tree(name)));
    }
}

#[test]
fn every_crate_takes_what_is_shared_from_the_workspace() {
    assert_none(&manifests::unshared(&workspace::members()));
}

#[test]
fn no_file_pins_a_toolchain() {
    for name in ["rust-toolchain", "rust-toolchain.toml"] {
        let reason = "any compiler from rust-version on will do; a pin downloads another one";
        assert!(!workspace::exists(name), "{name}: {reason}");
    }
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    assert_none(&sources::unintroduced(&workspace::rust_files()));
}

#[test]
fn no_file_is_over_budget() {
    assert_none(&sources::over_budget(&workspace::rust_files()));
}

#[test]
fn sockets_are_opened_in_two_places() {
    assert_none(&sources::stray_sockets(&workspace::rust_files()));
}

#[test]
fn policies_and_resolvers_have_no_locks() {
    assert_none(&sources::locks(&workspace::rust_files()));
}

#[test]
fn every_file_is_named_for_what_it_holds() {
    assert_none(&sources::vaguely_named(&workspace::rust_files()));
}

#[test]
fn lints_are_expected_not_allowed() {
    assert_none(&sources::allowed_lints(&workspace::rust_files()));
}

#[test]
fn banned_crates_stay_out() {
    let bans = dependencies::bans(&workspace::read("deny.toml"));
    for name in ["tonic", "openssl", "rustls-pemfile"] {
        assert!(
            bans.iter().any(|ban| ban.name == name),
            "deny.toml bans {name}"
        );
    }
    assert_none(&dependencies::banned(&workspace::read("Cargo.lock"), &bans));
}

#[test]
fn the_default_client_stays_small() {
    let tree = workspace::dependency_tree("highball-channel");
    let third_party = dependencies::third_party(&tree);
    println!(
        "highball-channel, default features: {} third-party crates, at most {}",
        third_party.len(),
        dependencies::MOST_CLIENT_CRATES
    );
    assert_none(&dependencies::too_many(&third_party));
    assert!(
        third_party.iter().any(|name| name.starts_with("zlib-rs ")),
        "gzip and deflate are in every default build"
    );
}

#[test]
fn links_between_pages_lead_somewhere() {
    assert_none(&pages::dead_links(&workspace::pages(), workspace::exists));
}

#[test]
fn every_test_that_a_page_names_exists() {
    let tests = pages::test_names(&workspace::rust_files());
    assert_none(&pages::missing_tests(&workspace::pages(), &tests));
}

#[test]
fn every_stop_of_the_reading_path_has_a_picture_and_an_exercise() {
    let readme = workspace::TextFile::new("README.md", workspace::read("README.md"));
    assert_none(&pages::bare_stops(&readme, &workspace::rust_files()));
}
