//! What only looks: `plan` and `status` tell what would be done and how everything stands, of one
//! folder or several, and change nothing.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::{chatctl, errors, report, text};
use crate::rehearsal::{BEGIN, GOOD, LOSS};
use serde_json::Value;
use std::fs;

on_each_bed! {
    plan_shows_every_statement_and_makes_nothing
    status_shows_the_state_of_each_version
    several_folders_are_one_history
}

on_each_bed! { on_sqlite Sqlite: a_file_that_may_not_be_written_is_planned_for a_module_that_is_not_there_is_left_out
what_is_no_database_is_said_to_be_none }
on_each_bed! { on_postgres Postgres: who_may_only_read_may_plan }
on_each_bed! { on_mysql Mysql: who_may_only_read_may_plan what_commits_by_itself_is_reported }

/// The places and texts of a plan.
#[track_caller]
fn plan(site: &Site) -> (Vec<(String, String)>, i32) {
    let (plan, exit) = site.report(&["plan"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = plan["cases"].as_array().unwrap().iter();
    let cases = cases.map(|case| (text(&case["name"]), text(&case["reason"])));
    (cases.collect(), exit)
}

const PLANNED: [(&str, &str); 2] = [
    (
        "2_file.sql:2",
        "ALTER TABLE conversations ADD COLUMN archived BOOLEAN",
    ),
    (
        "2_file.sql:4",
        "CREATE TABLE notes ( id BIGINT PRIMARY KEY )",
    ),
];

fn as_planned() -> (Vec<(String, String)>, i32) {
    let cases = PLANNED.map(|(place, text)| (place.to_owned(), text.to_owned()));
    (cases.to_vec(), 10)
}

fn plan_shows_every_statement_and_makes_nothing(bed: &TestBed) {
    let virgin = bed.site("virgin");
    virgin.file("2_file.sql", GOOD);
    assert_eq!(plan(&virgin), as_planned());
    assert_eq!(virgin.tables(), [] as [&str; 0], "plan made a table");
    let site = bed.at("talk", &[BEGIN, GOOD]);
    let before = site.contents();
    assert_eq!(plan(&site), as_planned());
    site.file("3_file.sql", LOSS);
    let (planned, exit) = site.report(&["plan"]);
    assert_eq!(exit, 10);
    let risk = planned["findings"].as_array().unwrap();
    let risk = risk.iter().find(|it| it["code"] == "destructive-statement");
    let place = &risk.unwrap()["place"];
    assert_eq!((&place["line"], &place["column"]), (&1.into(), &1.into()));
    assert_eq!(site.contents(), before, "it was only looked at");
    site.left_nothing();
    fs::remove_file(site.dir().join("3_file.sql")).unwrap();
    site.up();
    let done = ("head".to_owned(), "every migration is applied".to_owned());
    assert_eq!(plan(&site), (vec![done], 0));
}

/// Neither a file that is not there nor one byte of one that is there changes.
fn a_file_that_may_not_be_written_is_planned_for(bed: &TestBed) {
    let mut site = bed.at("talk", &[BEGIN, GOOD]);
    let path = site.folder.join("chat.db");
    let before = (
        fs::read(&path).unwrap(),
        crate::common::sites::files(&site.folder),
    );
    site.url.push_str("?mode=ro");
    assert_eq!(plan(&site), as_planned());
    assert_eq!(site.status(), 10);
    assert_eq!(site.report(&["drift"]).1, 0);
    let told = site.refused(&["up"]);
    assert!(told.contains("forbids writing"), "{told}");
    let after = (
        fs::read(&path).unwrap(),
        crate::common::sites::files(&site.folder),
    );
    assert!(after == before, "the file or what lies beside it changed");
    site.url = format!("sqlite:{}", site.folder.join("none.db").display());
    assert_eq!(site.status(), 10);
    assert_eq!(
        crate::common::sites::files(&site.folder),
        before.1,
        "a file was made"
    );
}

/// Vector indexes are usual next to chats, and their module is in the application only.
fn a_module_that_is_not_there_is_left_out(bed: &TestBed) {
    let site = bed.at(
        "vectors",
        &[
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT);\n\
             CREATE TABLE vecs_rows (id INTEGER PRIMARY KEY, row BLOB);\n\
             INSERT INTO messages VALUES (1, 1, 'user', 'hi', '2026-01-01'), (2, 1, 'assistant', 'hello', '2026-01-02');\n\
             INSERT INTO vecs_rows VALUES (1, x'00');\n",
            "ALTER TABLE messages ADD COLUMN note TEXT;\n",
        ],
    );
    site.texts(
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) \
         VALUES ('table', 'vecs', 'vecs', 0, 'CREATE VIRTUAL TABLE vecs USING vec0(row float[3])')",
    );
    let (_, notes) = site.passed(&["up"]);
    assert!(notes.contains("warning: `vecs` is left out"), "{notes}");
    assert!(notes.contains("module `vec0`"), "{notes}");
    for arguments in [
        &["inspect", "tables"][..],
        &["inspect", "mapping"],
        &["audit", "check"],
    ] {
        let mut command = chatctl();
        let output = command
            .args(arguments)
            .args(["--database-url", &site.url])
            .output()
            .unwrap();
        let (stdout, stderr) = text(&output);
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{stdout}{stderr}"
        );
    }
    site.file("3_file.sql", "DELETE FROM vecs_rows;\n");
    let (report, exit) = site.report(&["up"]);
    assert_eq!(
        (exit, errors(&report)),
        (1, vec!["rows-lost"]),
        "{report:#}"
    );
}

fn what_is_no_database_is_said_to_be_none(bed: &TestBed) {
    let site = bed.at("text", &["CREATE TABLE notes (id INTEGER PRIMARY KEY);\n"]);
    let path = site.folder.join("chat.db");
    std::fs::write(&path, "not a database".repeat(100)).unwrap();
    for sub in ["up", "plan", "status"] {
        let (_, told) = site.passed_with(&[sub], 3);
        assert!(told.contains("is not a database of SQLite"), "{told}");
        assert!(!told.contains("defect of chatctl"), "{told}");
    }
    std::fs::write(&path, "").unwrap();
    site.up();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    site.file(
        "2_file.sql",
        "CREATE TABLE more (id INTEGER PRIMARY KEY);\n",
    );
    for sub in ["up", "plan", "status"] {
        let (_, told) = site.passed_with(&[sub], 3);
        assert!(told.contains("damaged"), "{told}");
        assert!(!told.contains("defect of chatctl"), "{told}");
    }
}

fn who_may_only_read_may_plan(bed: &TestBed) {
    let mut site = bed.at("talk", &[BEGIN, GOOD]);
    let before = site.contents();
    let whole = site.url.clone();
    let (sql, user) = match site.backend {
        Backend::Mysql => (
            "CREATE USER reader@'127.0.0.1'; GRANT SELECT ON talk.* TO reader@'127.0.0.1'",
            "root@",
        ),
        _ => (
            "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
            "postgres@",
        ),
    };
    site.texts(sql);
    site.url = whole.replace(user, "reader@");
    assert_eq!(plan(&site), as_planned());
    assert_eq!(site.status(), 10);
    // It may make no database to try things on.
    for arguments in [["verify"], ["drift"]] {
        let told = site.refused(&arguments);
        assert!(told.contains("no scratch database could be made"), "{told}");
    }
    site.url = whole;
    assert_eq!(site.contents(), before);
}

fn what_commits_by_itself_is_reported(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, GOOD]);
    let (planned, _) = site.report(&["plan"]);
    let notes = crate::common::codes(&planned, "note");
    assert_eq!(notes, ["implicit-commit"], "{planned:#}");
    let told = planned["findings"][0]["harm"].as_str().unwrap();
    assert!(
        told.starts_with("2 of 2 statements commit implicitly"),
        "{told}"
    );
    site.file("2_file.sql", "INSERT INTO messages (id) VALUES (9);\n");
    let (planned, _) = site.report(&["plan"]);
    assert_eq!(
        planned["findings"].as_array().unwrap().len(),
        0,
        "{planned:#}"
    );
}

fn status_shows_the_state_of_each_version(bed: &TestBed) {
    let reasons = |site: &Site| {
        let (status, exit) = site.report(&["status"]);
        let cases = status["cases"].as_array().unwrap().iter();
        let reasons = cases.map(|case| {
            let reason = case["reason"].as_str().unwrap();
            let state = reason.split(" at ").next().unwrap();
            state.split(": ").next().unwrap().to_owned()
        });
        (reasons.collect::<Vec<_>>(), exit)
    };
    let told = |words: &[&str], exit| {
        let words = words.iter().map(|word| (*word).to_owned());
        (words.collect::<Vec<_>>(), exit)
    };
    let site = bed.site("talk");
    site.file("1_file.sql", BEGIN);
    assert_eq!(reasons(&site), told(&["pending"], 10));
    assert_eq!(site.tables(), [] as [&str; 0]);
    let (history, exit) = crate::common::report(&mut site.bare(&["history"]));
    assert_eq!(exit, 0, "{history:#}");
    assert_eq!(
        history["cases"][0]["reason"],
        "chatctl has run no migration on this database"
    );
    site.up();
    assert_eq!(reasons(&site), told(&["applied"], 0));
    site.file("3_file.sql", GOOD);
    assert_eq!(reasons(&site), told(&["applied", "pending"], 10));
    site.up();
    site.file("2_file.sql", "CREATE TABLE late (id BIGINT);\n");
    assert_eq!(
        reasons(&site),
        told(&["applied", "out of order", "applied"], 1)
    );
    fs::remove_file(site.dir().join("2_file.sql")).unwrap();
    site.file("1_file.sql", LOSS);
    assert_eq!(reasons(&site), told(&["changed", "applied"], 1));
    fs::remove_file(site.dir().join("1_file.sql")).unwrap();
    assert_eq!(reasons(&site), told(&["missing", "applied"], 1));
    site.file("1_file.sql", BEGIN);
    fs::remove_file(site.dir().join("3_file.sql")).unwrap();
    assert_eq!(reasons(&site), told(&["applied", "newer"], 0));
    fs::remove_dir_all(site.dir()).unwrap();
    let output = site.command(&["status"]).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{:?}",
        crate::common::text(&output)
    );
}

fn several_folders_are_one_history(bed: &TestBed) {
    let site = bed.site("talk");
    let [base, more] = ["base", "more"].map(|name| site.folder.join(name));
    for (folder, name, text) in [
        (&base, "1_begin.sql", BEGIN),
        (&more, "2_good.sql", GOOD),
        (&base, "3_last.sql", "CREATE TABLE last (id BIGINT);\n"),
    ] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }
    let both = |sub: &str| {
        let mut command = site.bare(&[sub]);
        command.arg("--dir").arg(&more).arg("--dir").arg(&base);
        report(&mut command)
    };
    assert_eq!(both("status").1, 10);
    let (applied, exit) = both("up");
    let cases = applied["cases"].as_array().unwrap().iter();
    let names: Vec<_> = cases.map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(
        (exit, names),
        (0, vec!["1 begin", "2 good", "3 last"]),
        "{applied:#}"
    );
    assert_eq!(both("status").1, 0);
    assert_eq!(both("verify").1, 0);
    let (alone, exit) = report(site.bare(&["status"]).arg("--dir").arg(&base));
    assert_eq!(exit, 1, "the second is missing: {alone:#}");
    fs::write(more.join("3_again.sql"), GOOD).unwrap();
    let mut twice = site.bare(&["up"]);
    twice.arg("--dir").arg(&more).arg("--dir").arg(&base);
    let told = crate::common::sites::refused(twice.output().unwrap());
    assert!(told.contains("both have version `3`"), "{told}");
}

/// Before the first `up` there is no file, and a check makes none.
#[test]
fn without_a_database_the_files_are_tried_from_empty() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("migrations");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("1_begin.sql"), BEGIN).unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let tell = |sub: &str| {
        let mut command = chatctl();
        command.args(["migrate", sub, "--database-url", &url, "--dir"]);
        let output = command.arg(&files).output().unwrap();
        let (out, err) = text(&output);
        (output.status.code().unwrap(), out, err)
    };
    for (sub, expected) in [("plan", 10), ("status", 10), ("verify", 0), ("drift", 0)] {
        let (exit, out, err) = tell(sub);
        assert_eq!(exit, expected, "{sub}: {out}{err}");
        assert!(err.contains("there is no database at"), "{sub}: {err}");
        let is_pending = out.contains("`chatctl migrate` applies what is pending");
        assert_eq!(is_pending, exit == 10, "{sub}: {out}");
    }
    fs::write(
        files.join("2_wrong.sql"),
        "ALTER TABLE none ADD COLUMN a TEXT;",
    )
    .unwrap();
    let (exit, out, err) = tell("verify");
    assert_eq!(exit, 1, "{out}{err}");
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "only the folder of migrations");
}
