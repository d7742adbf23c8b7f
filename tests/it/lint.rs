//! `chatctl migrate lint`: the program on every fixture, and what surrounds a finding.

use crate::common::{chatctl, report, root, text};
use chatctl::lint;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixtures() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(root().join("fixtures/lint")).unwrap() {
        let folder = folder.unwrap();
        let code = folder.file_name().into_string().unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            found.push((code.clone(), file.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// `bad.sqlite.sql`: whether it is bad, and its dialect.
fn named(file: &Path) -> (bool, String) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let (kind, rest) = name.split_once('.').unwrap();
    let dialect = rest.strip_suffix(".sql").unwrap();
    assert!(["bad", "good"].contains(&kind), "{name}");
    (kind == "bad", dialect.to_owned())
}

fn lint(dialect: &str) -> Command {
    let mut command = chatctl();
    command.args(["migrate", "lint", "--quiet", "--dialect", dialect]);
    command
}

/// Code, line and column of each finding, in the order of the report.
fn places(report: &Value) -> Vec<(String, u64, u64)> {
    let findings = report["findings"].as_array().unwrap();
    let place = |finding: &Value| {
        let code = finding["code"].as_str().unwrap().to_owned();
        let number = |name: &str| finding["place"][name].as_u64().unwrap();
        (code, number("line"), number("column"))
    };
    findings.iter().map(place).collect()
}

/// What a text gives: code, line and column.
fn found(dialect: &str, sql: &str) -> Vec<(String, u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("1_test.sql");
    fs::write(&file, sql).unwrap();
    places(&report(lint(dialect).arg(&file)).0)
}

fn expected(of: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    let row = |(code, line, column): &(&str, u64, u64)| ((*code).to_owned(), *line, *column);
    of.iter().map(row).collect()
}

#[test]
fn a_bad_file_gives_its_code_on_its_lines_and_a_good_one_nothing() {
    for (code, file) in fixtures() {
        let (bad, dialect) = named(&file);
        let (report, exit) = report(lint(&dialect).arg(&file));
        let shown = file.display();
        let sql = fs::read_to_string(&file).unwrap();
        let marks = ["-- here", "-- and here"];
        let wanted: Vec<u64> = sql
            .lines()
            .zip(1..)
            .filter(|(line, _)| marks.iter().any(|mark| line.contains(mark)))
            .map(|(_, number)| number)
            .collect();
        assert_eq!(bad, !wanted.is_empty(), "{shown}");
        let found = places(&report);
        let lines: Vec<u64> = found.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(lines, wanted, "{shown}: {found:?}");
        for (own, _, _) in &found {
            let family = own.split('/').next().unwrap();
            assert_eq!(family, code, "{shown}");
        }
        let errors = report["summary"]["errors"].as_u64().unwrap();
        assert_eq!(exit, i32::from(errors > 0), "{shown}");
    }
}

#[test]
fn every_rule_has_both_fixtures_for_each_of_its_dialects() {
    let all = fixtures();
    for rule in lint::ALL {
        for dialect in rule.dialects {
            let dialect = format!("{dialect:?}").to_lowercase();
            for kind in ["bad", "good"] {
                let ending = format!("{}/{kind}.{dialect}.sql", rule.code);
                assert!(
                    all.iter().any(|(_, file)| file.ends_with(&ending)),
                    "{ending}"
                );
            }
        }
    }
}

#[test]
fn certain_loss_fails_and_what_is_risky_does_not() {
    for (dialect, sql, exit) in [
        ("sqlite", "DROP TABLE messages", 1),
        ("sqlite", "DELETE FROM messages WHERE id = 1", 0),
        ("postgres", "ALTER TABLE messages DROP COLUMN body", 1),
        ("mysql", "INSERT IGNORE INTO a SELECT * FROM b", 0),
        ("sqlite", "SELECT 1", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("1_test.sql");
        fs::write(&file, sql).unwrap();
        assert_eq!(report(lint(dialect).arg(&file)).1, exit, "{sql}");
    }
}

#[test]
fn an_ignore_hides_its_code_in_its_statement_or_in_the_file() {
    let sql = "-- chatctl: ignore delete-rows reason=\"counted\"\n\n\
               DELETE FROM a WHERE x;\n\
               -- chatctl: ignore drop-table reason=\"unread\"\n\
               DROP TABLE b;\nDROP TABLE c;\nDELETE FROM d WHERE x;\n";
    assert_eq!(found("sqlite", sql), expected(&[("drop-table", 6, 1)]));
    // One of another command is left to it, and the codes of squawk are known.
    let sql = "-- chatctl: ignore drop-in-init-sql reason=\"read once\"\n\
               -- chatctl: ignore squawk/renaming-table reason=\"unread\"\n\
               ALTER TABLE a RENAME TO b;\n";
    assert_eq!(found("postgres", sql), []);
}

#[test]
fn an_ignore_that_hides_nothing_is_reported_with_the_code_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("1_test.sql");
    let sql = "  -- chatctl: ignore delete-row reason=\"counted\"\nSELECT 1;\n\
               -- chatctl: ignore drop-table reason=\"unread\"\nSELECT 2;\n";
    fs::write(&file, sql).unwrap();
    let (report, exit) = report(lint("sqlite").arg(&file));
    assert_eq!(exit, 0);
    assert_eq!(
        places(&report),
        expected(&[("unused-ignore", 1, 3), ("unused-ignore", 3, 1)])
    );
    let help = |at: usize| report["findings"][at]["help"].as_str().unwrap();
    assert!(help(0).contains("`delete-rows`"), "{}", help(0));
    assert!(help(1).starts_with("remove the comment"), "{}", help(1));
}

#[test]
fn places_are_those_of_the_file() {
    let sql = "SELECT 1;\r\n\r\n  DROP TABLE a;\r\n  SELECT 'é'; DROP TABLE b;\r\n";
    let drops = expected(&[("drop-table", 3, 3), ("drop-table", 4, 15)]);
    assert_eq!(found("sqlite", sql), drops);
    assert_eq!(found("sqlite", &format!("\u{feff}{sql}")), drops);
    let bom = "\u{feff}DROP TABLE a;\r\nCREATE INDEX i ON m (x);\r\n";
    assert_eq!(
        found("postgres", bom),
        expected(&[
            ("drop-table", 1, 1),
            ("squawk/require-concurrent-index-creation", 2, 1),
        ])
    );
}

#[test]
fn the_part_that_undoes_is_left_out_and_the_place_stays() {
    let goose =
        "-- a remark\r\n-- +goose Up\r\nDROP TABLE a;\r\n-- +goose Down\r\nDROP TABLE b;\r\n";
    assert_eq!(found("sqlite", goose), expected(&[("drop-table", 3, 1)]));
    let dbmate = "-- migrate:up\nDELETE FROM a;\n-- migrate:down\nDELETE FROM b;\n";
    assert_eq!(
        found("mysql", dbmate),
        expected(&[("delete-without-where", 2, 1)])
    );
    let alembic = "-- Running upgrade  -> ae1027a6acf\n\nDROP TABLE a;\n\n\
                   -- Running upgrade ae1027a6acf -> be1027a6acf\n\nDROP TABLE b;\n";
    assert_eq!(
        found("sqlite", alembic),
        expected(&[("drop-table", 3, 1), ("drop-table", 7, 1)])
    );
}

#[test]
fn a_folder_knows_what_its_earlier_files_made() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sql: &str| fs::write(folder.path().join(name), sql).unwrap();
    write(
        "1_chat.sql",
        "CREATE TABLE conversations (id INTEGER PRIMARY KEY, title TEXT);\n\
         CREATE TABLE messages (id INTEGER PRIMARY KEY, c INTEGER NOT NULL\n\
         REFERENCES conversations (id) ON UPDATE CASCADE ON DELETE CASCADE, body TEXT);\n",
    );
    let rebuild = |table: &str| {
        format!(
            "CREATE TABLE n (id INTEGER PRIMARY KEY);\nINSERT INTO n SELECT id FROM {table};\n\
             DROP TABLE {table};\nALTER TABLE n RENAME TO {table};\n"
        )
    };
    write("2_messages.sql", &rebuild("messages"));
    write("3_conversations.sql", &rebuild("conversations"));
    let (report, exit) = report(lint("sqlite").arg("--dir").arg(folder.path()));
    assert_eq!(exit, 0);
    assert_eq!(places(&report), expected(&[("drop-table-cascades", 3, 1)]));
    let finding = &report["findings"][0];
    let file = finding["place"]["file"].as_str().unwrap();
    assert!(file.ends_with("3_conversations.sql"), "{file}");
    let harm = finding["harm"].as_str().unwrap();
    assert!(harm.contains("the rows of `messages`"), "{harm}");
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
}

#[test]
fn squawk_hears_of_the_server_and_of_the_transaction() {
    let sql = "ALTER TABLE m ADD COLUMN IF NOT EXISTS x int8 DEFAULT 1;\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("1_test.sql");
    fs::write(&file, sql).unwrap();
    let with = |version: &str| {
        let mut command = lint("postgres");
        command.args(["--server-version", version]).arg(&file);
        places(&report(&mut command).0)
    };
    let rewrites = expected(&[("squawk/adding-field-with-default", 1, 55)]);
    assert_eq!(with("10"), rewrites);
    assert_eq!(with("16.4"), []);
    assert_eq!(
        found("postgres", "DROP INDEX CONCURRENTLY IF EXISTS i;").len(),
        1
    );
    let alone = "-- no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS i;";
    assert_eq!(found("postgres", alone), []);
}

#[test]
fn every_format_carries_the_findings() {
    let file = "fixtures/lint/drop-table/bad.sqlite.sql";
    let run = |format: &str| {
        let mut command = lint("sqlite");
        command.current_dir(root()).args(["--format", format, file]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}");
        text(&output).0
    };
    assert!(run("human").contains(&format!("{file}:1:1")));
    assert!(run("github").contains(&format!(
        "::error title=drop-table,file={file},line=1,col=1::"
    )));
    assert!(run("junit").contains("type=\"drop-table\""));
    let sarif: Value = serde_json::from_str(&run("sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], file);
    assert_eq!(place["region"]["startLine"], 1);
    assert_eq!(results[0]["level"], "error");
    let help = &sarif["runs"][0]["tool"]["driver"]["rules"][0]["help"]["text"];
    assert!(help.as_str().unwrap().contains("## How to fix it"));
}

#[test]
fn the_dialect_comes_from_the_flag_or_the_database() {
    let file = root().join("fixtures/lint/drop-table/bad.sqlite.sql");
    let run = |arguments: &[&str]| {
        let output = chatctl()
            .args(["migrate", "lint"])
            .args(arguments)
            .arg(&file)
            .output()
            .unwrap();
        (output.status.code(), text(&output).1)
    };
    let (exit, err) = run(&[]);
    assert_eq!(exit, Some(1), "a dropped table is one in every dialect");
    assert!(err.contains("note: dialect: none is given"), "{err}");
    let (exit, err) = run(&["--database-url", "postgresql+asyncpg://chat@localhost/chat"]);
    assert_eq!(exit, Some(1));
    assert!(err.contains("note: dialect: postgres"), "{err}");
    let (exit, err) = run(&["--database-url", "oracle://x"]);
    assert_eq!(exit, Some(2));
    assert!(err.contains("`oracle`"), "{err}");
    assert_eq!(run(&["--dialect", "oracle"]).0, Some(2));
    assert_eq!(
        run(&["--dialect", "postgres", "--server-version", "x"]).0,
        Some(2)
    );
}

#[test]
fn what_is_not_there_is_a_usage_error() {
    for arguments in [["--dir", "no/such"], ["no/such.sql", "--quiet"]] {
        let output = chatctl()
            .args(["migrate", "lint", "--dialect", "sqlite"])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output).1.contains("hint: "), "{arguments:?}");
    }
}

#[test]
fn a_code_of_squawk_is_explained() {
    let explain = |code: &str| chatctl().args(["explain", code]).output().unwrap();
    let output = explain("squawk/renaming-column");
    assert!(
        text(&output)
            .0
            .contains("https://squawkhq.com/docs/renaming-column")
    );
    assert_eq!(explain("squawk/no-such-rule").status.code(), Some(2));
}

/// Without a dialect only what every database would do is said; nothing that one of them reads otherwise.
#[test]
fn without_a_dialect_what_holds_for_all_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let lint = || {
        let mut command = chatctl();
        command
            .args(["migrate", "lint", "--dir"])
            .arg(folder.path());
        command
    };
    let found = || {
        let (report, exit) = report(&mut lint());
        (places(&report), exit)
    };
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "1_a.sql",
        "CREATE TABLE chat (id INTEGER PRIMARY KEY, title VARCHAR(20));\n",
    );
    write(
        "2_b.sql",
        "DROP TABLE chat;\nCREATE INDEX x ON note (id);\n",
    );
    assert_eq!(found(), (expected(&[("drop-table", 1, 1)]), 1));
    assert!(
        text(&lint().output().unwrap())
            .1
            .contains("--dialect shows the others")
    );
    // Each of these is read by one database, and not by the others.
    write(
        "2_b.sql",
        "PRAGMA foreign_keys = OFF;\nCREATE TABLE `a` (id INT) ENGINE=InnoDB;\nCREATE INDEX CONCURRENTLY x ON chat (title);\n",
    );
    assert_eq!(found(), (Vec::new(), 0));
    // A lock file says which database it is.
    fs::remove_file(folder.path().join("1_a.sql")).unwrap();
    fs::remove_file(folder.path().join("2_b.sql")).unwrap();
    fs::create_dir(folder.path().join("1_a")).unwrap();
    write("1_a/migration.sql", "CREATE INDEX x ON chat (title);\n");
    assert_eq!(found(), (Vec::new(), 0));
    write("migration_lock.toml", "provider = \"postgresql\"\n");
    let (all, _) = found();
    assert!(
        all.iter().any(|(code, ..)| code.starts_with("squawk")),
        "{all:?}"
    );
    // Prisma sends the statements of SQLite one by one: there the pragma acts.
    write("migration_lock.toml", "provider = \"sqlite\"\n");
    write(
        "1_a/migration.sql",
        "PRAGMA defer_foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\nCREATE TABLE a (id INTEGER);\n\
         PRAGMA foreign_keys=ON;\nPRAGMA defer_foreign_keys=OFF;\n",
    );
    assert_eq!(found(), (Vec::new(), 0));
}
