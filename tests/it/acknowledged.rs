//! Losses that are acknowledged next to the folder, in `acknowledgements.toml` or `chatctl.toml`: as good as
//! in the file, and no better.

use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::{codes, errors, text};
use serde_json::Value;
use std::fs;

on_each_bed! {
    what_is_acknowledged_next_to_the_file_may_go
    what_covers_nothing_is_shown
    a_near_miss_covers_nothing_and_is_named
    a_mistake_is_named_with_its_line
    the_settings_acknowledge_too
}

const BEGIN: &str = "CREATE TABLE messages (id BIGINT PRIMARY KEY, body VARCHAR(100));
CREATE TABLE drafts (id BIGINT PRIMARY KEY, body VARCHAR(100));
INSERT INTO messages VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO drafts VALUES (1, 'a'), (2, 'b');
";
const LOSS: &str = "DELETE FROM drafts WHERE id = 1;\n";

fn at(bed: &TestBed, name: &str, second: &str) -> Site {
    bed.at(name, &[BEGIN, second])
}

/// An entry of the file next to the folder's migrations.
fn entry(table: &str, rows: u64) -> String {
    format!(
        "[[allow-loss]]\nfile = \"2_file.sql\"\ntable = \"{table}\"\nrows = {rows}\nreason = \"nobody reads them\"\n"
    )
}

fn drafts(site: &Site) -> u64 {
    site.backend.count(&site.url, "drafts")
}

/// The findings with this code, as `harm` and `help`, with where they point.
fn found(report: &Value, code: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let with_code = findings.filter(|finding| finding["code"] == code);
    with_code
        .map(|finding| {
            format!(
                "{} {} {}",
                finding["harm"], finding["help"], finding["place"]
            )
        })
        .collect()
}

fn what_is_acknowledged_next_to_the_file_may_go(bed: &TestBed) {
    let site = at(bed, "good", LOSS);
    let (report, exit) = site.report(&["up"]);
    assert_eq!(
        (exit, errors(&report)),
        (1, vec!["rows-lost"]),
        "{report:#}"
    );
    site.file("acknowledgements.toml", &entry("drafts", 1));
    let (plan, told) = site.passed_with(&["plan"], 10);
    assert!(
        !told.contains("acknowledgements.toml"),
        "it is not a migration: {told}{plan}"
    );
    let (report, exit) = site.report(&["up", "--backup-dir", "aside"]);
    assert_eq!(
        (exit, codes(&report, "note")),
        (0, vec!["rows-lost"]),
        "{report:#}"
    );
    assert_eq!(drafts(&site), 1);
    assert_eq!(
        crate::common::sites::files(&site.folder.join("aside")).len(),
        2,
        "a backup and its checksum"
    );
    assert_eq!(site.status(), 0);
    // A loss that is acknowledged needs its backup, wherever that is written.
    let site = at(bed, "bare", LOSS);
    site.file("acknowledgements.toml", &entry("drafts", 1));
    assert!(
        site.refused(&["up", "--backup", "never"])
            .contains("acknowledges a loss")
    );
    assert_eq!(drafts(&site), 2);
    // `migrate lint` knows it as well.
    let dialect = ["lint", "--dialect", site.backend.name()];
    let linted = |site: &Site| {
        let mut lint = crate::common::chatctl();
        lint.arg("migrate")
            .args(dialect)
            .arg("--dir")
            .arg(site.dir());
        found(&crate::common::report(&mut lint).0, "delete-rows").len()
    };
    assert_eq!(linted(&site), 0);
    fs::remove_file(site.dir().join("acknowledgements.toml")).unwrap();
    assert_eq!(linted(&site), 1);
}

fn what_covers_nothing_is_shown(bed: &TestBed) {
    let own = "-- chatctl: allow-loss messages rows<=1 reason=\"old\"\n";
    let site = at(bed, "unused", &format!("{own}{LOSS}"));
    let more = entry("drafts.body", 1);
    site.file(
        "acknowledgements.toml",
        &format!("{}{more}", entry("drafts", 1)),
    );
    let report = site.up();
    let unused = found(&report, "unused-acknowledgement");
    assert_eq!(unused.len(), 2, "{report:#}");
    assert!(
        unused[0].contains("`messages`") && unused[0].contains("2_file.sql:1"),
        "{unused:?}"
    );
    assert!(
        unused[1].contains("`drafts.body`") && unused[1].contains("acknowledgements.toml:8"),
        "{unused:?}"
    );
    assert_eq!(drafts(&site), 1);
}

fn a_near_miss_covers_nothing_and_is_named(bed: &TestBed) {
    let site = at(bed, "near", LOSS);
    for (table, rows, says) in [
        ("draft", 9, "acknowledges `draft`; did you mean `drafts`?"),
        (
            "drafts",
            0,
            "acknowledges at most 0 rows: fix the migration; or, if 1 row may be lost, raise the limit to 1",
        ),
        ("drafts.body", 9, "did you mean `drafts`?"),
    ] {
        site.file("acknowledgements.toml", &entry(table, rows));
        let (report, exit) = site.report(&["up"]);
        assert_eq!(
            (exit, errors(&report)),
            (1, vec!["rows-lost"]),
            "{report:#}"
        );
        let lost = found(&report, "rows-lost");
        assert!(
            lost[0].contains("acknowledgements.toml:3") && lost[0].contains(says),
            "{lost:?}"
        );
        assert_eq!(drafts(&site), 2);
    }
}

fn a_mistake_is_named_with_its_line(bed: &TestBed) {
    let site = at(bed, "wrong", LOSS);
    let before = site.contents();
    for (from, to, line, says) in [
        ("2_file.sql", "2_flie.sql", 2, "did you mean `2_file.sql`?"),
        ("table =", "tabel =", 3, "did you mean `table`?"),
        (
            "\"drafts\"",
            "\"a.b.c.d\"",
            3,
            "`a.b.c.d` is neither `table` nor `table.column`",
        ),
        ("rows = 1", "rows = -1", 4, "rows"),
        ("nobody reads them", "", 5, "the reason is empty"),
    ] {
        site.file(
            "acknowledgements.toml",
            &entry("drafts", 1).replace(from, to),
        );
        let output = site.command(&["up"]).output().unwrap();
        let (out, told) = text(&output);
        assert_eq!(
            (output.status.code(), out.as_str()),
            (Some(2), ""),
            "{told}"
        );
        assert!(
            told.contains(&format!("acknowledgements.toml:{line}: ")) && told.contains(says),
            "{told}"
        );
        assert_eq!(site.contents(), before, "{to}");
    }
}

fn the_settings_acknowledge_too(bed: &TestBed) {
    let site = at(bed, "settings", LOSS);
    let settings = |text: &str| fs::write(site.folder.join("chatctl.toml"), text).unwrap();
    // An entry for a file of another folder is not about this one.
    fs::create_dir(site.folder.join("other")).unwrap();
    fs::write(site.folder.join("other/2_file.sql"), "").unwrap();
    settings(&entry("drafts", 1).replace("2_file", "other/2_file"));
    assert_eq!(site.report(&["up"]).1, 1);
    assert_eq!(drafts(&site), 2);
    for (file, says) in [
        ("2_fiel.sql", "2_file.sql"),
        ("migrations/2_fiel.sql", "no migration"),
    ] {
        settings(&entry("drafts", 1).replace("2_file.sql", file));
        let output = site.command(&["up"]).output().unwrap();
        let told = text(&output).1;
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains("chatctl.toml:2: ") && told.contains(says),
            "{told}"
        );
    }
    settings(&format!(
        "profile = \"plain\"\n{}",
        entry("drafts", 1).replace("2_file", "migrations/2_file")
    ));
    let report = site.up();
    assert_eq!(codes(&report, "note"), ["rows-lost"], "{report:#}");
    assert_eq!(drafts(&site), 1);
}
