//! What `custom_round_robin` does: transcripts for its states and sequences, tables for its config, and
//! the shares under many callers at once.

use std::sync::Mutex;
use std::thread;

use highball_channel::MetadataMap;
use highball_channel::policy::{
    CallInfo, Choice, HealthState, Pick, Picker, Registry, SubchannelId, SubchannelState,
};
use highball_echo::custom_round_robin::CustomRoundRobin;
use highball_testkit::{Sim, transcript};
use serde_json::json;

fn registry() -> Registry {
    let mut registry = Registry::builtin();
    registry.register::<CustomRoundRobin>();
    registry
}

fn choose(config: serde_json::Value) -> Result<Choice, String> {
    let list = json!([{"custom_round_robin": config}]);
    registry().choose(&list).map_err(|error| error.to_string())
}

/// Two READY endpoints, `first:1` and `second:1`.
fn both_ready(config: serde_json::Value) -> Sim {
    let mut sim = Sim::new(0);
    sim.resolve(
        &choose(config).expect("a good config"),
        ["first:1", "second:1"],
    );
    for label in ["first:1", "second:1"] {
        sim.subchannel(label, SubchannelState::Ready);
        sim.health(label, HealthState::Ready);
    }
    sim
}

#[test]
fn it_does_what_its_transcripts_say() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/transcripts/custom_round_robin"
    );
    transcript::check(folder, &registry());
}

#[test]
fn the_table_of_good_configs() {
    for (config, pattern) in [
        (json!({}), "FFSFFS"),
        (json!(null), "FFSFFS"),
        (json!({"chooseSecond": null}), "FFSFFS"),
        (json!({"chooseSecond": 3}), "FFSFFS"),
        (json!({"chooseSecond": 2}), "FSFSFS"),
        (json!({"choose_second": 2}), "FSFSFS"),
        (json!({"chooseSecond": 1}), "SSSSSS"),
        (json!({"chooseSecond": 5, "unknown": [1]}), "FFFFSFFFFS"),
        (json!({"chooseSecond": 0}), "FFFFFF"),
        (json!({"chooseSecond": u32::MAX}), "FFFFFF"),
    ] {
        let picks = both_ready(config.clone()).pick(pattern.len());
        let picks = picks
            .iter()
            .map(|pick| if pick == "first:1" { 'F' } else { 'S' });
        assert_eq!(picks.collect::<String>(), pattern, "{config}");
    }
}

#[test]
fn the_table_of_bad_configs() {
    let prefix = "error parsing config for policy \"custom_round_robin\": \
                  custom-round-robin: unable to unmarshal customRRConfig: ";
    for (config, detail) in [
        (
            json!({"chooseSecond": -1}),
            "invalid value: integer `-1`, expected u32",
        ),
        (
            json!({"chooseSecond": 1.5}),
            "invalid type: floating point `1.5`, expected u32",
        ),
        (
            json!({"chooseSecond": 4_294_967_296_u64}),
            "invalid value: integer `4294967296`, expected u32",
        ),
        (
            json!({"chooseSecond": "3"}),
            "invalid type: string \"3\", expected u32",
        ),
        (
            json!({"chooseSecond": true}),
            "invalid type: boolean `true`, expected u32",
        ),
        (
            json!({"chooseSecond": [3]}),
            "invalid type: sequence, expected u32",
        ),
        (
            json!({"chooseSecond": {}}),
            "invalid type: map, expected u32",
        ),
        (json!([3]), "expected a JSON object, received [3]"),
        (json!(3), "expected a JSON object, received 3"),
    ] {
        let error = choose(config.clone()).unwrap_err();
        assert_eq!(error, format!("{prefix}{detail}"), "{config}");
    }
}

#[test]
fn shares_are_exact_with_64_callers_at_once() {
    for choose_second in [1, 2, 3, 5, 0] {
        let sim = both_ready(json!({"chooseSecond": choose_second}));
        let picker = sim.state().unwrap().picker.clone();
        let second = target(&*picker, choose_second);
        let metadata = MetadataMap::new();
        let seconds = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let call = CallInfo::new("/m", &metadata);
                    let picks = (0..300).map(|_| id(picker.pick(&call)));
                    let count = picks.filter(|id| Some(*id) == second).count();
                    *seconds.lock().unwrap() += count;
                });
            }
        });
        // 0 never chooses the second.
        let expected = (64_usize * 300).checked_div(choose_second).unwrap_or(0);
        assert_eq!(
            *seconds.lock().unwrap(),
            expected,
            "chooseSecond {choose_second}"
        );
    }
}

/// Uses up one whole round; tells which subchannel its last call went to, the second one.
fn target(picker: &dyn Picker, choose_second: usize) -> Option<SubchannelId> {
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/m", &metadata);
    (0..choose_second).map(|_| id(picker.pick(&call))).last()
}

fn id(pick: Pick) -> SubchannelId {
    match pick {
        Pick::Use(selection) => selection.subchannel,
        other => panic!("{other:?}"),
    }
}
