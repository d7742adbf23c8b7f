//! Every file in a folder of rows has its row, a code is its file's name, and no code is used twice.

use chatctl::audit::evidence::judge as evidence;
use chatctl::gateway::{faults, providers};
use chatctl::migrate::{history, source};
use chatctl::model::Engine;
use chatctl::stream::{judge, profiles};
use chatctl::{audit, demo, explain, gate, guard, lint, migrate, render};
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
    let coded = files("src/stream/profiles", &["declared", "shipped"]);
    let shipped = fs::read_dir("src/stream/profiles/shipped").unwrap();
    let shipped = shipped.map(|entry| entry.unwrap().path());
    let shipped = shipped.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    let both: BTreeSet<String> = coded.into_iter().chain(shipped).collect();
    assert_eq!(both, named);
}

#[test]
fn every_provider_has_a_row() {
    let named = rows(providers::ALL.iter().map(|provider| provider.name));
    assert_eq!(files("src/gateway/providers", &["form"]), named);
}

/// A fault is in the table of the manual, in the same order and the same words.
#[test]
fn every_provider_fault_is_in_the_manual() {
    rows(faults::ALL.iter().map(|fault| fault.name));
    let table: String = faults::ALL
        .iter()
        .map(|fault| format!("| `{}` | {} | {} |\n", fault.name, fault.what, fault.breaks))
        .collect();
    let page = fs::read_to_string("docs/provider-faults.md").unwrap();
    assert!(page.contains(&table), "the table has to be:\n{table}");
}

#[test]
fn every_check_has_a_row() {
    let named = rows(judge::ALL.iter().map(|check| check.code));
    assert_eq!(
        files(
            "src/stream/judge",
            &[
                "approval",
                "asked-again",
                "commit-fault",
                "commit-order",
                "ended-among-others",
                "ended-early",
                "judged",
                "failing-tool",
                "mutants",
                "order",
                "provider-faults",
                "reload",
                "resumed",
                "sent-twice",
                "side-by-side",
                "whole-turn"
            ]
        ),
        named
    );
}

#[test]
fn every_gate_has_a_row() {
    let named = rows(gate::ALL.iter().map(|kind| kind.name));
    assert_eq!(
        files(
            "src/gate",
            &[
                "alarm",
                "commits",
                "control",
                "holder",
                "fault",
                "ofd",
                "turnstile"
            ]
        ),
        named
    );
}

#[test]
fn every_format_has_a_row() {
    let named = rows(render::ALL.iter().map(|format| format.name));
    assert_eq!(
        files(
            "src/render",
            &[
                "escape",
                "golden",
                "clean",
                "samples",
                "tests",
                "text",
                "view-tests"
            ]
        ),
        named
    );
}

#[test]
fn every_backend_has_a_folder() {
    let named = rows(Engine::ALL.iter().map(|engine| engine.name()));
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
    let is_backend = |name: &String| src.join(name).join("reader.rs").is_file();
    let folders = files("src/db", &[]).into_iter().filter(is_backend);
    assert_eq!(folders.collect::<BTreeSet<_>>(), named);
}

/// A code that a report can have is explained, and no page explains a code that none has.
#[test]
fn every_code_is_explained() {
    let checks = judge::ALL.iter().map(|check| check.code);
    let patterns = guard::ALL
        .iter()
        .map(|pattern| pattern.code)
        .chain([guard::ignores::UNUSED_IGNORE]);
    let driven = judge::DRIVEN
        .iter()
        .chain(migrate::CODES)
        .chain(evidence::CODES)
        .copied();
    // An ignore that silences nothing has one code in both.
    assert_eq!(guard::ignores::UNUSED_IGNORE, lint::UNUSED_IGNORE);
    let linted = lint::ALL
        .iter()
        .map(|rule| rule.code)
        .chain([lint::INVALID_DIRECTIVE, lint::squawk::FAMILY]);
    let compared = audit::compare::ALL.iter().map(|kind| kind.name);
    let checked = audit::checks::ALL.iter().map(|check| check.code);
    let checked = checked.chain([audit::checks::SKIPPED, audit::checks::AHEAD]);
    let audited = [audit::restart::CODES, audit::rate::CODES].concat();
    let known = checks.chain(patterns).chain(driven).chain(linted);
    let codes = rows(known.chain(compared).chain(checked).chain(audited));
    let pages = rows(explain::ALL.iter().map(|page| page.code));
    assert_eq!(codes, pages);
}

#[test]
fn every_check_of_the_audit_has_a_row() {
    let named = rows(audit::checks::ALL.iter().map(|check| check.code));
    let others = [
        "absent",
        "cause-counts",
        "check-context",
        "first-seen",
        "run",
    ];
    assert_eq!(files("src/audit/checks", &others), named);
}

#[test]
fn every_guard_rule_has_a_row() {
    let named = rows(guard::ALL.iter().map(|pattern| pattern.code));
    assert_eq!(files("src/guard/rules", &[]), named);
}

#[test]
fn every_lint_rule_has_a_row() {
    let named = rows(lint::ALL.iter().map(|rule| rule.code));
    assert_eq!(files("src/lint/rules", &[]), named);
}

#[test]
fn every_migration_format_and_history_has_a_row() {
    let formats = rows(source::formats::ALL.iter().map(|format| format.name));
    assert_eq!(files("src/migrate/source/formats", &[]), formats);
    let histories = rows(history::ALL.iter().map(|history| history.tool));
    assert_eq!(
        files("src/migrate/history", &["tests", "foreign"]),
        histories
    );
}

/// Every code is made to fire in a test: by a bad server, a bad migration, or a fixture.
#[test]
fn every_code_is_made_to_fire() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    let mut told: String = [
        "acknowledged.rs",
        "around_final.rs",
        "asked_again.rs",
        "audit_check.rs",
        "audit_check/rows.rs",
        "audit_check/told.rs",
        "audit_rate.rs",
        "bad_servers.rs",
        "ended_early.rs",
        "hints.rs",
        "later.rs",
        "looking.rs",
        "matrix.rs",
        "migrate.rs",
        "odd_servers.rs",
        "profiles.rs",
        "rehearsal.rs",
        "provider_faults.rs",
        "restart.rs",
        "resume.rs",
        "sent_twice.rs",
        "side_by_side.rs",
        "restart/backends.rs",
        "restart/in_a_turn.rs",
        "restart/shown.rs",
        "stream_quality.rs",
        "tools.rs",
    ]
    .iter()
    .map(|file| read(&root.join("tests/it").join(file)))
    .collect();
    // These make one random change after the other.
    told.push_str(&read(&root.join("src/audit/compare/trials.rs")));
    told.push_str(&read(&root.join("src/audit/compare/tests.rs")));
    for group in fs::read_dir(root.join("fixtures/guard")).unwrap() {
        for tree in fs::read_dir(group.unwrap().path()).unwrap() {
            let expected = tree.unwrap().path().join("expect.txt");
            if expected.exists() {
                for code in read(&expected).split_whitespace() {
                    told.push_str(&format!("\"{code}\" "));
                }
            }
        }
    }
    // tests/it/cases.rs runs these, and each has to give the code that it expects.
    for folder in fs::read_dir(root.join("fixtures/migrations")).unwrap() {
        let case = folder.unwrap().path().join("case.toml");
        if case.exists() {
            told.push_str(&read(&case));
        }
    }
    // tests/it/lint.rs runs these, and each has to give the code that its folder is called by.
    for folder in fs::read_dir(root.join("fixtures/lint")).unwrap() {
        let code = folder.unwrap().file_name().into_string().unwrap();
        told.push_str(&format!("\"{code}\" "));
    }
    // tests/it/evidence.rs does each operation, and the level of what is told of it stands before the code.
    for backend in ["sqlite", "postgres", "mysql"] {
        let text = read(&root.join(format!("tests/it/evidence/{backend}.rs")));
        let codes = text.split(['"', ',']).map(str::trim);
        for code in codes.filter_map(|code| code.strip_prefix(['E', 'W', 'N'])?.strip_prefix(' ')) {
            told.push_str(&format!("\"{code}\" "));
        }
    }
    // So does each change of tests/it/audit/detected.rs.
    let text = read(&root.join("tests/it/audit/detected.rs"));
    let codes = text.split('"');
    for code in codes.filter_map(|code| code.strip_prefix(['E', 'W'])?.strip_prefix(' ')) {
        told.push_str(&format!("\"{code}\" "));
    }
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
