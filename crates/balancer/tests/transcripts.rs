//! Runs the transcripts: what each policy does, step by step. `BLESS=1` rewrites them.

use highball_balancer::Registry;
use highball_testkit::transcript;

fn check(folder: &str) {
    let transcripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/");
    transcript::check(format!("{transcripts}{folder}"), &Registry::builtin());
}

#[test]
fn pick_first_does_what_its_transcripts_say() {
    check("pick_first");
}

#[test]
fn round_robin_does_what_its_transcripts_say() {
    check("round_robin");
}

#[test]
fn the_graceful_switch_does_what_its_transcripts_say() {
    check("graceful_switch");
}
