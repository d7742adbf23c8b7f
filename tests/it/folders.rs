//! Folders as other tools write them, run for real: each step is made, and nothing that undoes it is run.

use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::{root, text};
use std::fs;
use std::path::Path;

on_each_bed! {
    the_steps_of_each_tool_are_made_and_stay
    both_directions_are_run_by_nobody
    folders_with_one_time_are_applied_in_the_order_of_their_names
    a_folder_that_is_not_read_is_named_and_nothing_is_run
}

/// A plain file among those of a tool that writes others would be read as one of them, or they would
/// not be read any more.
#[test]
fn a_new_file_suits_the_folder_or_is_none() {
    for format in chatctl::migrate::source::ALL {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("migrations");
        copy(&root().join("fixtures/formats").join(format.name), &dir);
        let before = crate::common::sites::files(&dir);
        let mut new = crate::common::chatctl();
        new.args(["migrate", "new", "Add notes", "--dir"]).arg(&dir);
        match format.another {
            Some(way) => {
                let told = crate::common::sites::refused(new.output().unwrap());
                assert!(told.contains(format.name) && told.contains(way), "{told}");
                assert_eq!(crate::common::sites::files(&dir), before);
            }
            None => {
                crate::common::sites::passed(new.output().unwrap());
                let folder = chatctl::migrate::source::read(&dir, Some(format.name));
                let sqlx = chatctl::migrate::source::read(&dir, None).unwrap();
                assert!(
                    folder.is_ok() && sqlx.migrations.len() > 2,
                    "{}",
                    format.name
                );
            }
        }
    }
}

/// Tools whose files hold what undoes a step, or have a folder for each.
const TOOLS: [&str; 8] = [
    "prisma",
    "diesel",
    "drizzle",
    "node-pg-migrate",
    "sql-migrate",
    "tern",
    "mybatis",
    "rambler",
];

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in crate::common::sites::files(from) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn titles(site: &Site) -> Vec<String> {
    site.texts("SELECT title FROM conversation ORDER BY title")
}

fn the_steps_of_each_tool_are_made_and_stay(bed: &TestBed) {
    for tool in TOOLS {
        let site = bed.site(&format!("of_{}", tool.replace('-', "_")));
        copy(&root().join("fixtures/formats").join(tool), &site.dir());
        assert_eq!(site.status(), 10, "{tool}");
        let (_, told) = site.passed(&["up"]);
        assert!(told.contains(&format!("({tool}, ")), "{told}");
        assert!(site.tables().contains(&"conversation".to_owned()), "{tool}");
        site.texts("INSERT INTO conversation (id, title) VALUES (1, 'kept')");
        assert_eq!(site.status(), 0, "{tool}");
        let again = site.up();
        assert_eq!(
            again["cases"].as_array().unwrap().len(),
            1,
            "{tool}: {again:#}"
        );
        assert_eq!(titles(&site), ["kept"], "{tool}");
    }
}

/// The file makes a table and, below a mark, drops it: plain SQL to every database.
fn both_directions_are_run_by_nobody(bed: &TestBed) {
    const MAKES: &str = "CREATE TABLE conversation (id BIGINT PRIMARY KEY, title VARCHAR(200));\n";
    const UNDOES: &str = "DROP TABLE conversation;\n";
    for (number, (above, below, source)) in [
        (
            "-- +migrate Up\n",
            "-- +migrate Down\n",
            Some("sql-migrate"),
        ),
        ("", "---- create above / drop below ----\n", Some("tern")),
        ("", "-- //@UNDO\n", Some("mybatis")),
        ("-- rambler up\n", "-- rambler down\n", Some("rambler")),
        (
            "-- Up Migration\n",
            "-- Down Migration\n",
            Some("node-pg-migrate"),
        ),
        ("-- +goose Up\n", "-- +goose Down\n", Some("goose")),
        ("-- migrate:up\n", "-- migrate:down\n", Some("dbmate")),
        ("", "-- Rollback script\n", None),
        ("-- UP\n", "-- DOWN\n", None),
    ]
    .into_iter()
    .enumerate()
    {
        let site = bed.site(&format!("both_{number}"));
        site.file("1_a.sql", &format!("{above}{MAKES}{below}{UNDOES}"));
        // Taken for a tool that knows no marks.
        let told = site.refused(&["up", "--source", "sqlx"]);
        assert!(told.contains("a part that undoes the rest"), "{told}");
        assert_eq!(site.tables(), [""; 0], "{below}");
        match source {
            // What the hint says is done.
            Some(source) => {
                assert!(told.contains(&format!("--source {source}")), "{told}");
                site.passed(&["up", "--source", source]);
                assert_eq!(titles(&site), [""; 0], "{source}");
                site.passed(&["up"]);
            }
            None => {
                assert!(told.contains("move the statements"), "{told}");
                assert!(
                    site.refused(&["up"])
                        .contains("a part that undoes the rest")
                );
                site.file("1_a.sql", MAKES);
                site.passed(&["up"]);
                assert_eq!(titles(&site), [""; 0]);
            }
        }
    }
}

fn folders_with_one_time_are_applied_in_the_order_of_their_names(bed: &TestBed) {
    let site = bed.site("one_time");
    site.file(
        "20240101120000_b/migration.sql",
        "INSERT INTO conversation (id, title) VALUES (1, 'b');\n",
    );
    site.file(
        "20240101120000_a/migration.sql",
        "CREATE TABLE conversation (id BIGINT PRIMARY KEY, title VARCHAR(200));\n",
    );
    site.passed(&["up", "--to", "20240101120000_a"]);
    assert_eq!(titles(&site), [""; 0]);
    assert_eq!(site.status(), 10);
    // One that comes later has the time of both, and a name between theirs.
    site.up();
    site.file(
        "20240101120000_aa/migration.sql",
        "INSERT INTO conversation (id, title) VALUES (2, 'aa');\n",
    );
    assert!(site.refused(&["up"]).contains("`20240101120000_aa`"));
    site.passed(&["up", "--allow-out-of-order"]);
    assert_eq!(titles(&site), ["aa", "b"]);
    assert_eq!(site.status(), 0);
    // An edit of one is reported of this one.
    site.file("20240101120000_aa/migration.sql", "SELECT 1;\n");
    assert!(
        site.refused(&["up"])
            .contains("20240101120000_aa/migration.sql")
    );
}

fn a_folder_that_is_not_read_is_named_and_nothing_is_run(bed: &TestBed) {
    for (number, (tool, files)) in [
        ("postgrator", ["001.do.chat.sql", "001.undo.chat.sql"]),
        (
            "db-migrate",
            ["20240101120000-chat-up.sql", "20240101120000-chat-down.sql"],
        ),
        ("yoyo", ["0001_chat.sql", "0001_chat.rollback.sql"]),
        (
            "Rails",
            ["20240101120000_chat.rb", "20240102120000_chat.rb"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let site = bed.site(&format!("foreign_{number}"));
        for name in files {
            site.file(name, "CREATE TABLE conversation (id BIGINT);\n");
        }
        for sub in ["up", "status", "adopt"] {
            let output = site.command(&[sub]).output().unwrap();
            let (_, told) = text(&output);
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(tool) && told.contains("hint: "), "{told}");
        }
        assert_eq!(site.tables(), [""; 0]);
    }
}
