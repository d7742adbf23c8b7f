use super::Intent;
use crate::migrate::source;
use crate::migrate::source::{File, Folder, Settings};
use crate::sql::{Dialect, Kind};
use std::path::Path;

fn folder(name: &str, text: &str, format: Option<&str>) -> Folder {
    let files = [File {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }];
    source::parse(Path::new("db"), &files, format, Settings::default()).unwrap()
}

/// The beginnings and lines of the statements between the marks of goose.
fn of_goose(block: &str, dialect: Dialect) -> Vec<(String, u32)> {
    let text = format!("-- +goose Up\n-- +goose StatementBegin\n{block}\n-- +goose StatementEnd\n");
    let folder = folder("1_a.sql", &text, Some("goose"));
    let intent = Intent::of(&folder.migrations[0], dialect).unwrap();
    let words = |text: &str| {
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let pieces = intent.pieces.iter();
    pieces.map(|it| (words(it.text), it.line)).collect()
}

#[test]
fn statements_in_one_block_of_goose_are_read_one_by_one() {
    let block = "CREATE TABLE drafts (id int);\nALTER TABLE messages RENAME TO posts;";
    for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql] {
        let expected = [("CREATE TABLE".into(), 3), ("ALTER TABLE".into(), 4)];
        assert_eq!(of_goose(block, dialect), expected);
    }
    let function = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  PERFORM 1;\n  RETURN 2;\nEND;\n$$;";
    assert_eq!(of_goose(function, Dialect::Postgres).len(), 1);
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM b;\n  DELETE FROM c;\nEND;";
    assert_eq!(of_goose(trigger, Dialect::Sqlite).len(), 1);
    let routine = "CREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\n  DELETE FROM c;\nEND;";
    assert_eq!(of_goose(routine, Dialect::Mysql).len(), 1);
}

#[test]
fn what_sets_the_session_is_run_again() {
    let text = "-- no-transaction\nPRAGMA legacy_alter_table = ON;\nPRAGMA legacy_alter_table;\n\
        PRAGMA user_version = 7;\nVACUUM;\n";
    let folder = folder("1_a.sql", text, None);
    let intent = Intent::of(&folder.migrations[0], Dialect::Sqlite).unwrap();
    let run: Vec<_> = (0..4).map(|number| intent.is_run(number, 3)).collect();
    assert_eq!(run, [true, false, false, true]);
}

#[test]
fn what_sqlite_takes_outside_of_transactions_only_is_bare() {
    let bare = |statement: &str, mark: &str| {
        let folder = folder("1_a.sql", &format!("{mark}{statement};\n"), None);
        let intent = Intent::of(&folder.migrations[0], Dialect::Sqlite).unwrap();
        assert!(!matches!(intent.pieces[0].facts.kind, Kind::Other));
        intent.stepwise()
    };
    for statement in [
        "VACUUM",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        "PRAGMA main.synchronous = 1",
        "PRAGMA wal_checkpoint",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        assert!(bare(statement, "-- no-transaction\n"), "{statement}");
        assert!(!bare(statement, ""), "{statement}");
    }
    for statement in [
        "PRAGMA journal_mode = OFF",
        "PRAGMA journal_mode = MEMORY",
        "PRAGMA synchronous = OFF",
        "PRAGMA synchronous",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA temp_store = MEMORY",
    ] {
        assert!(!bare(statement, "-- no-transaction\n"), "{statement}");
    }
}
