//! Every tree in fixtures/guard gives exactly the findings that its expect.txt names.

use chatctl::guard;
use chatctl::guard::ignores::UNUSED_IGNORE;
use chatctl::report::{Finding, Severity, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/guard")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// The trees: `fixtures/guard/<framework>/<bad, good, before or after>`.
fn trees() -> Vec<PathBuf> {
    folders(&fixtures())
        .iter()
        .flat_map(|folder| folders(folder))
        .collect()
}

fn inspect(tree: &Path) -> Vec<Finding> {
    guard::inspect(&[tree.to_path_buf()]).unwrap().findings
}

/// `code file:line`, with the file as the tree's own reader would write it.
fn line(tree: &Path, finding: &Finding) -> String {
    let file = finding.place.file.as_deref().unwrap();
    let start = format!("{}/", tree.display());
    let file = file.strip_prefix(&start).unwrap_or(file);
    format!("{} {file}:{}", finding.code, finding.place.line.unwrap())
}

fn expected(tree: &Path) -> Vec<String> {
    let text = fs::read_to_string(tree.join("expect.txt")).unwrap_or_default();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_tree_gives_what_it_expects_and_nothing_else() {
    for tree in trees() {
        let mut found: Vec<_> = inspect(&tree)
            .iter()
            .map(|found| line(&tree, found))
            .collect();
        found.sort();
        assert_eq!(found, expected(&tree), "{}", tree.display());
    }
}

#[test]
fn a_bad_tree_expects_something_and_a_good_one_nothing() {
    for tree in trees() {
        let good = tree.ends_with("good") || tree.ends_with("after");
        assert_eq!(expected(&tree).is_empty(), good, "{}", tree.display());
    }
}

#[test]
fn every_code_has_a_bad_tree_whose_sibling_is_good() {
    let mut shown: BTreeMap<String, bool> = BTreeMap::new();
    for tree in trees() {
        let sibling = ["good", "after"]
            .iter()
            .any(|name| tree.with_file_name(name).is_dir());
        for line in expected(&tree) {
            let code = line.split(' ').next().unwrap().to_owned();
            *shown.entry(code).or_default() |= sibling;
        }
    }
    for code in guard::ALL
        .iter()
        .map(|pattern| pattern.code)
        .chain([UNUSED_IGNORE])
    {
        assert_eq!(shown.get(code), Some(&true), "{code}");
    }
}

#[test]
fn every_rule_has_its_file_and_its_page() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: BTreeSet<String> = fs::read_dir(crate_folder.join("src/guard/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('_', "-")
        })
        .filter(|name| name != "mod")
        .collect();
    let codes: BTreeSet<String> = guard::ALL.iter().map(|row| row.code.to_owned()).collect();
    assert_eq!(files, codes);
    for code in codes {
        let page = crate_folder.join(format!("src/explain/{code}.md"));
        assert!(page.is_file(), "{code}");
    }
}

#[test]
fn a_finding_names_its_place_and_shows_the_line() {
    let tree = fixtures().join("incident/before");
    for finding in inspect(&tree) {
        assert!(finding.place.column.unwrap() > 0);
        assert!(!finding.evidence.is_empty());
        assert!(!finding.harm.ends_with('.'), "{}", finding.harm);
        let first = finding.help.chars().next().unwrap();
        assert!(first.is_lowercase(), "{}", finding.help);
    }
}

#[test]
fn the_incident_names_the_two_models_that_nobody_imports() {
    let tree = fixtures().join("incident/before");
    let found = inspect(&tree);
    let subjects: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == "models-not-imported")
        .map(|finding| finding.subject.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(subjects, ["Conversation", "Message"]);
    assert!(
        found
            .iter()
            .all(|finding| finding.code != "drop-all-at-startup")
    );
}

#[test]
fn a_condition_softens_an_error() {
    let tree = fixtures().join("sqlalchemy/bad");
    let found = inspect(&tree);
    let severity = |file: &str| {
        let mut drops = found.iter().filter(|finding| {
            finding.code == "drop-all-at-startup"
                && finding.place.file.as_deref().unwrap().ends_with(file)
        });
        drops.next().unwrap().severity
    };
    assert_eq!(severity("app/main.py"), Severity::Error);
    assert_eq!(severity("app/optional.py"), Severity::Warning);
}

#[test]
fn the_verdict_follows_from_what_was_read() {
    let report = |path: &str| {
        let found = guard::inspect(&[fixtures().join(path)]).unwrap();
        found.into_report(Duration::ZERO).verdict()
    };
    assert_eq!(report("incident/before"), Verdict::Violated);
    assert_eq!(report("incident/after"), Verdict::Held);
    assert!(guard::inspect(&[fixtures().join("nowhere")]).is_err());
}

#[test]
fn a_file_may_be_given_alone() {
    let file = fixtures().join("sqlmodel/bad/app/db.py");
    let found = guard::inspect(&[file]).unwrap();
    assert_eq!(found.files, 1);
    // Nothing in this file alone says that its function runs at start.
    let codes: Vec<_> = found.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["in-memory-database"]);
}

#[test]
fn a_model_that_another_module_happens_to_import_is_a_note() {
    let found = inspect(&fixtures().join("import-order/bad"));
    let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Note, Severity::Error]);
}
