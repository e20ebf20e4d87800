//! The corpus again, without a fuzzer: what was found once is not lost.

use std::fs;
use std::path::Path;

use highball_fuzz::TARGETS;

#[test]
fn each_target_has_a_corpus_and_survives_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut files: Vec<_> = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name} has no corpus: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            println!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn each_target_survives_nothing_and_every_single_byte() {
    for (name, target) in TARGETS {
        println!("{name}");
        target(&[]);
        for byte in 0..=255 {
            target(&[byte]);
        }
    }
}

#[test]
fn each_fuzz_target_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}
