//! Every file in a folder of rows has its row, a code is its file's name, and no code is used twice.
#![allow(clippy::unwrap_used)]

use chatctl::demo;
use chatctl::explain;
use chatctl::gate;
use chatctl::render;
use chatctl::stream::judge;
use chatctl::stream::profiles;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of a folder's source files and folders, less those that are no rows.
fn files(folder: &str, but: &[&str]) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('_', "-")
        })
        .filter(|name| name != "mod" && !but.contains(&name.as_str()))
        .collect()
}

fn rows<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name.to_owned()), "`{name}` has two rows");
    }
    seen
}

#[test]
fn every_profile_has_a_row() {
    let named = rows(profiles::ALL.iter().map(|profile| profile.name));
    assert_eq!(files("src/stream/profiles", &["marker"]), named);
}

#[test]
fn every_check_has_a_row() {
    let named = rows(judge::ALL.iter().map(|check| check.code));
    assert_eq!(files("src/stream/judge", &["order"]), named);
}

#[test]
fn every_gate_has_a_row() {
    let named = rows(gate::ALL.iter().map(|kind| kind.name));
    assert_eq!(files("src/gate", &["holder", "fault", "ofd"]), named);
}

#[test]
fn every_format_has_a_row() {
    let named = rows(render::ALL.iter().map(|format| format.name));
    assert_eq!(
        files(
            "src/render",
            &["escape", "text", "samples", "tests", "golden"]
        ),
        named
    );
}

#[test]
fn every_backend_has_a_row() {
    let named = rows(chatctl::db::ALL.iter().map(|backend| backend.name));
    assert_eq!(files("src/db", &["target"]), named);
}

/// A code that a report can have is explained, and no page explains a code that none has.
#[test]
fn every_code_is_explained() {
    let checks = judge::ALL.iter().map(|check| check.code);
    let codes = rows(checks.chain(judge::DRIVEN.iter().copied()));
    let pages = rows(explain::ALL.iter().map(|page| page.code));
    assert_eq!(codes, pages);
}

/// Every code has a server in a test that makes it fire; the table of the tests says which.
#[test]
fn every_code_has_a_bad_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let told: String = ["bad_servers.rs", "matrix.rs"]
        .iter()
        .map(|file| fs::read_to_string(folder.join(file)).unwrap())
        .collect();
    for page in explain::ALL {
        assert!(
            told.contains(&format!("\"{}\"", page.code)),
            "no test makes `{}` fire",
            page.code
        );
    }
}

#[test]
fn every_bug_of_the_demo_is_named_once() {
    assert_eq!(
        rows(demo::ALL.iter().map(|bug| bug.name)).len(),
        demo::ALL.len()
    );
}
