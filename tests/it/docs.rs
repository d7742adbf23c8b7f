//! The documentation names files that exist, and the README stays short.

use crate::common::root;
use chatctl::explain;
use std::fs;
use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let names = ["README.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut pages: Vec<PathBuf> = names.map(|name| root().join(name)).to_vec();
    for folder in ["docs", "docs/why"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    pages
}

/// The targets of Markdown links that are files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(' '))
}

/// The paths between backticks, up to the part that a contributor names.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|path| {
            ["src/", "tests/", "fixtures/", "benches/", "migrations/"]
                .iter()
                .any(|folder| path.starts_with(folder))
        })
        .filter(|path| !path.contains(['…', ' ', '*']))
        .map(|path| match path.find('<') {
            Some(own) => &path[..path[..own].rfind('/').unwrap_or(0)],
            None => path,
        })
}

#[test]
fn every_link_and_path_exists() {
    let mut missing = Vec::new();
    let (mut linked, mut named) = (0, 0);
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        let mut look = |path: &Path| {
            if !path.exists() {
                missing.push(format!("{}: {}", page.display(), path.display()));
            }
        };
        for link in links(&text) {
            linked += 1;
            look(&folder.join(link));
        }
        for path in paths(&text) {
            named += 1;
            look(&root().join(path));
        }
    }
    assert!(linked > 40 && named > 30, "{linked}, {named}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Whoever adds a row finds in one table which files it takes.
#[test]
fn the_architecture_says_where_to_add_what() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for what in [
        "a wire profile",
        "a provider",
        "a gate",
        "a backend",
        "a report format",
        "an audit check",
        "a lint rule",
    ] {
        let mut rows = page.lines();
        let row = rows.find(|line| line.starts_with(&format!("| {what} |")));
        assert!(
            row.is_some_and(|row| paths(row).count() >= 2),
            "no row for {what}"
        );
    }
}

#[test]
fn the_readme_and_the_glossary_stay_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150);
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, words) = page.split_once("\n## Words\n").unwrap();
    let (words, _) = words.split_once("\n## ").unwrap();
    let rows = words.lines().filter(|line| line.starts_with("| ")).count();
    assert!((20..=31).contains(&rows), "{rows} rows with the head");
}

/// The table of causes names codes that exist and tests that are there, and the README counts it rightly.
#[test]
fn every_cause_has_its_code_and_its_test() {
    let page = fs::read_to_string(root().join("docs/causes.md")).unwrap();
    let table = page.lines().filter(|line| line.starts_with("| "));
    let (mut causes, mut found, mut reports) = (0, 0, 0);
    for row in table.filter(|line| !line.starts_with("| cause ")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, count, _, codes, test] = cells[..] else {
            panic!("{row}");
        };
        causes += 1;
        reports += count.parse::<usize>().unwrap();
        if codes == "not found" {
            assert_eq!(test, "none", "{row}");
            continue;
        }
        found += 1;
        let quoted = |cell| -> Vec<&str> { str::split(cell, '`').skip(1).step_by(2).collect() };
        let [file, name] = quoted(test)[..] else {
            panic!("{row}");
        };
        let told = told(&root().join(file));
        assert!(told.contains(&format!("fn {name}(")), "{row}");
        assert!(!quoted(codes).is_empty(), "{row}");
        for code in quoted(codes) {
            assert!(explain::ALL.iter().any(|page| page.code == code), "{row}");
            assert!(told.contains(&format!("\"{code}\"")), "{code}: {row}");
        }
    }
    let claim = format!("finds {found} of the {causes} causes in {reports} public reports");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&claim), "{claim}");
    assert_eq!(reports, 165);
}

/// A test file and those in its folder.
fn told(file: &Path) -> String {
    let mut told = fs::read_to_string(file).unwrap();
    for entry in fs::read_dir(file.with_extension("")).into_iter().flatten() {
        told.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    told
}
