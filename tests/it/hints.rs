//! What chatctl says to do is done, word for word: it leads on, and nothing is skipped or run twice.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::{errors, text};
use serde_json::Value;
use std::fs;

on_each_bed! {
    a_file_that_is_gone_is_taken_out_of_the_history_and_nothing_is_skipped
    a_baseline_skips_nothing_that_is_pending
    the_history_of_a_tool_that_is_not_read_is_named
    a_schema_without_a_history_asks_for_a_baseline
    what_was_begun_is_settled_though_its_file_is_gone
    an_edit_and_other_line_ends_are_distinguished
    a_late_file_is_run_late
    what_only_its_own_tool_can_run_does_not_take_others_along
}

on_each_bed! { on_postgres Postgres: a_role_that_a_policy_hides_rows_from_is_given_the_right }

/// The commands in a text, without the program's name.
fn commands(told: &str) -> Vec<Vec<String>> {
    let quoted = told.split('`').skip(1).step_by(2);
    let ours = quoted.filter_map(|text| text.strip_prefix("chatctl migrate"));
    ours.map(|text| text.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// Does what the text says: the command in it that begins so.
#[track_caller]
fn follow(site: &Site, told: &str, begin: &[&str]) {
    let all = commands(told);
    let found = all.iter().find(|words| {
        words
            .iter()
            .map(String::as_str)
            .take(begin.len())
            .eq(begin.iter().copied())
    });
    let words = found.unwrap_or_else(|| panic!("no {begin:?} in {told}"));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    site.passed(&words);
}

/// The findings of level error or warning of `status`: code and help.
fn wrongs(site: &Site) -> (Vec<String>, String, i32) {
    let (status, exit) = site.report(&["status"]);
    let findings = status["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let codes = findings
        .iter()
        .map(|finding| text(finding, "code"))
        .collect();
    let helps: Vec<_> = findings
        .iter()
        .map(|finding| text(finding, "help"))
        .collect();
    let verdict = &status["verdict"];
    assert_eq!(
        *verdict == "violated",
        !errors(&status).is_empty(),
        "{status:#}"
    );
    (codes, helps.join("\n"), exit)
}

fn column(number: u32) -> String {
    format!("ALTER TABLE chat ADD COLUMN c{number} INTEGER;\n")
}

/// Files 1 to `applied` were applied, those up to `all` are pending; file N makes column cN.
fn at(bed: &TestBed, name: &str, applied: u32, all: u32) -> Site {
    let site = bed.site(name);
    site.file(
        "1_begin.sql",
        "CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER);\n",
    );
    for number in 2..=all {
        if number == applied + 1 {
            site.up();
        }
        site.file(&format!("{number}_step.sql"), &column(number));
    }
    if applied == all {
        site.up();
    }
    site
}

#[track_caller]
fn has_columns(site: &Site, columns: &[u32]) {
    for number in columns {
        site.texts(&format!(
            "SELECT CAST(c{number} AS CHAR(1)) FROM chat WHERE id IS NULL"
        ));
    }
}

fn versions(site: &Site) -> Vec<String> {
    let rows = site.history();
    rows.iter()
        .map(|row| row.split('|').next().unwrap().to_owned())
        .collect()
}

fn a_file_that_is_gone_is_taken_out_of_the_history_and_nothing_is_skipped(bed: &TestBed) {
    let site = at(bed, "gone", 3, 3);
    fs::remove_file(site.dir().join("2_step.sql")).unwrap();
    site.file("4_step.sql", &column(4));
    let told = site.refused(&["up"]);
    assert!(
        told.contains("its file is gone") && !told.contains("baseline"),
        "{told}"
    );
    let (codes, help, exit) = wrongs(&site);
    assert_eq!((codes, exit), (vec!["migration-missing".to_owned()], 1));
    // Only what is missing can be taken out.
    for version in ["1", "4", "9"] {
        let told = site.refused(&["repair", "--missing", version]);
        assert!(told.contains("not missing"), "{told}");
    }
    assert_eq!(versions(&site), ["1", "2", "3"]);
    follow(&site, &told, &["repair", "--missing"]);
    assert_eq!(versions(&site), ["1", "3"]);
    assert!(help.contains("repair --missing 2"), "{help}");
    assert_eq!(site.status(), 10, "the fourth is still pending");
    let report = site.up();
    assert_eq!(report["cases"].as_array().unwrap().len(), 1, "{report:#}");
    has_columns(&site, &[1, 2, 3, 4]);
    assert_eq!(site.status(), 0);
}

fn a_baseline_skips_nothing_that_is_pending(bed: &TestBed) {
    let site = at(bed, "skips", 1, 4);
    let told = site.refused(&["baseline", "4"]);
    assert!(told.contains("`2`, `3`"), "{told}");
    assert_eq!(versions(&site), ["1"]);
    follow(&site, &told, &["up", "--to"]);
    has_columns(&site, &[1, 2, 3]);
    site.texts(&column(4));
    site.passed(&["baseline", "4"]);
    assert_eq!(site.status(), 0);
    // Where nothing is applied it is what a baseline is for.
    let site = bed.site("fresh");
    for number in 1..=3 {
        site.file(&format!("{number}_step.sql"), "SELECT 1;\n");
    }
    site.passed(&["baseline", "3"]);
    assert_eq!(versions(&site), ["1", "2", "3"]);
}

fn the_history_of_a_tool_that_is_not_read_is_named(bed: &TestBed) {
    const TYPEORM: &str = "CREATE TABLE migrations (id INTEGER PRIMARY KEY, timestamp BIGINT NOT NULL, name VARCHAR(200) NOT NULL)";
    for (name, way) in [
        ("beside", &["baseline", "--none"] as &[&str]),
        ("instead", &["baseline", "1"]),
    ] {
        let site = bed.site(name);
        site.file(
            "1_begin.sql",
            "CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER);\n",
        );
        site.file("2_step.sql", "CREATE TABLE note (id BIGINT PRIMARY KEY);\n");
        site.texts(TYPEORM);
        assert!(wrongs(&site).0.is_empty(), "an empty one says nothing");
        site.texts("INSERT INTO migrations VALUES (1, 1700000000000, 'Begin1700000000000')");
        let before = site.contents();
        for arguments in [&["up"] as &[&str], &["plan"], &["adopt"]] {
            let told = site.refused(arguments);
            assert!(
                told.contains("TypeORM") && told.contains("chatctl migrate baseline VERSION"),
                "{told}"
            );
        }
        let (codes, help, exit) = wrongs(&site);
        assert_eq!((codes, exit), (vec!["foreign-history".to_owned()], 10));
        assert_eq!(site.contents(), before);
        if way[1] == "--none" {
            follow(&site, &help, way);
            assert!(site.refused(&["adopt"]).contains("already"));
        } else {
            site.texts("CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER)");
            site.passed(way);
        }
        assert!(wrongs(&site).0.is_empty());
        site.up();
        assert_eq!(site.status(), 0);
        has_columns(&site, &[1]);
        if way[1] == "--none" {
            assert!(site.refused(way).contains("a history exists already"));
        }
    }
}

fn a_schema_without_a_history_asks_for_a_baseline(bed: &TestBed) {
    let site = bed.site("bare");
    site.file(
        "1_begin.sql",
        "CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER);\n",
    );
    site.file("2_step.sql", &column(2));
    site.texts("CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER)");
    let help = |site: &Site| {
        let (report, exit) = site.report(&["up"]);
        assert_eq!(
            (exit, errors(&report)),
            (1, vec!["migration-failed"]),
            "{report:#}"
        );
        report["findings"][0]["help"].as_str().unwrap().to_owned()
    };
    assert!(help(&site).contains("chatctl migrate baseline VERSION"));
    site.passed(&["baseline", "1"]);
    site.up();
    has_columns(&site, &[1, 2]);
    // Later it is the statement that is wrong.
    site.file("3_step.sql", "CREATE TABLE chat (id BIGINT PRIMARY KEY);\n");
    let help = help(&site);
    assert!(!help.contains("baseline"), "{help}");
}

fn what_was_begun_is_settled_though_its_file_is_gone(bed: &TestBed) {
    let checksum = match bed.backend {
        Backend::Postgres => "'\\x00'",
        _ => "x'00'",
    };
    for (name, how, left) in [("retried", "retry", 10), ("counted", "applied", 0)] {
        let site = at(bed, name, 2, 2);
        // What sqlx leaves when its process ends in the middle.
        site.texts("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2");
        let (codes, _, exit) = wrongs(&site);
        assert_eq!((codes, exit), (vec!["migration-unfinished".to_owned()], 1));
        let told = site.refused(&["up"]);
        follow(&site, &told, &["resolve", "2", "--as", how]);
        assert_eq!(site.status(), left, "{how}");
    }
    let site = at(bed, "lost", 1, 1);
    site.texts(&format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (0, 'x', FALSE, {checksum}, 1)"
    ));
    let told = site.refused(&["up"]);
    follow(&site, &told, &["resolve", "0", "--as", "retry"]);
    assert_eq!(site.status(), 0);
}

fn an_edit_and_other_line_ends_are_distinguished(bed: &TestBed) {
    let site = at(bed, "edited", 2, 2);
    let good = column(2);
    site.file("2_step.sql", &good.replace('\n', "\r\n"));
    let (codes, help, exit) = wrongs(&site);
    assert_eq!((codes, exit), (vec!["migration-changed".to_owned()], 1));
    follow(&site, &help, &["repair", "--eol"]);
    assert_eq!(site.status(), 0);
    site.file("2_step.sql", "SELECT 1;\n");
    let (codes, help, exit) = wrongs(&site);
    assert_eq!((codes, exit), (vec!["migration-changed".to_owned()], 1));
    assert!(
        help.contains("git log -p -- ") && !help.contains("repair"),
        "{help}"
    );
    let output = site.command(&["repair", "--eol"]).output().unwrap();
    assert_eq!(text(&output).0, "nothing to do\n");
    assert_eq!(site.status(), 1);
}

fn a_late_file_is_run_late(bed: &TestBed) {
    let site = at(bed, "late", 3, 3);
    fs::remove_file(site.dir().join("2_step.sql")).unwrap();
    site.passed(&["repair", "--missing", "2"]);
    site.file(
        "2_other.sql",
        "CREATE TABLE note (id BIGINT PRIMARY KEY);\n",
    );
    let (codes, help, exit) = wrongs(&site);
    assert_eq!(
        (codes, exit),
        (vec!["migration-out-of-order".to_owned()], 1)
    );
    follow(&site, &help, &["up", "--allow-out-of-order"]);
    assert!(site.tables().contains(&"note".to_owned()));
    assert_eq!(site.status(), 0);
}

fn what_only_its_own_tool_can_run_does_not_take_others_along(bed: &TestBed) {
    let site = bed.site("java");
    site.file(
        "V1__begin.sql",
        "CREATE TABLE chat (id BIGINT PRIMARY KEY, c1 INTEGER);\n",
    );
    site.file("V2__code.java", "");
    site.file("V3__step.sql", &column(3));
    let told = site.refused(&["up"]);
    assert!(told.contains("written in Java"), "{told}");
    // In the order in which they are written: the first file is run before the second counts.
    for words in commands(&told) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        site.passed(&words);
    }
    assert_eq!(versions(&site), ["1", "2"]);
    site.up();
    has_columns(&site, &[1, 3]);
    assert_eq!(site.status(), 0);
}

/// Not the statement is wrong, but what the role may see.
fn a_role_that_a_policy_hides_rows_from_is_given_the_right(bed: &TestBed) {
    let begin = "CREATE TABLE chat (id BIGINT PRIMARY KEY, kind TEXT); INSERT INTO chat VALUES (1, NULL), (2, NULL);\n";
    let mut site = bed.at(
        "policy",
        &[begin, "UPDATE chat SET kind = 'text' WHERE kind IS NULL;\n"],
    );
    site.texts(
        "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; ALTER TABLE chat OWNER TO app; \
         ALTER TABLE _sqlx_migrations OWNER TO app; ALTER TABLE _chatctl_journal OWNER TO app; \
         ALTER TABLE chat ENABLE ROW LEVEL SECURITY; ALTER TABLE chat FORCE ROW LEVEL SECURITY; \
         CREATE POLICY own ON chat USING (id < 2)",
    );
    let superuser = site.url.clone();
    site.url = superuser.replace("postgres@", "app@");
    let (report, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    let finding = &report["findings"][0];
    assert!(finding["place"]["line"].is_null(), "{finding:#}");
    let help = finding["help"].as_str().unwrap();
    assert!(help.contains("`ALTER ROLE NAME BYPASSRLS`"), "{help}");
    let role = std::mem::replace(&mut site.url, superuser);
    site.texts("ALTER ROLE app BYPASSRLS");
    site.url = role;
    site.up();
}
