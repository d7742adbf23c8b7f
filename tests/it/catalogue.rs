//! On PostgreSQL the catalogue is read again only where it changed: what a table is can change by a row
//! of another one, and by others between two files of a run.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed};
use serde_json::Value;

/// Files, of which the last is refused for this, or passes.
struct Case {
    name: &'static str,
    files: &'static [&'static str],
    lost: Option<(&'static str, &'static str)>,
}

const CASES: &[Case] = &[
    Case {
        name: "rowtype",
        files: &[
            "CREATE TABLE places (street text, zip text);\nCREATE TABLE people (id int PRIMARY KEY, home places);\n\
             INSERT INTO people VALUES (1, ROW('a street', '12345')::places);\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "DO $$ BEGIN EXECUTE 'ALTER TABLE places DROP COLUMN zip'; END $$;\n",
        ],
        lost: Some(("values-changed", "people.home")),
    },
    Case {
        name: "later_rowtype",
        files: &[
            "CREATE TABLE places (street text, zip text);\n",
            "CREATE TABLE people (id int PRIMARY KEY, homes places[]);\n\
             CREATE TABLE notes (id int PRIMARY KEY);\n",
            "INSERT INTO people VALUES (1, ARRAY[ROW('a street', '12345')::places]);\n",
            "ALTER TABLE notes ADD COLUMN text text;\n",
        ],
        lost: None,
    },
    Case {
        name: "column_by_code",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "DO $$ BEGIN EXECUTE 'ALTER TABLE ch' || 'ats DROP COLUMN title'; END $$;\n",
        ],
        lost: Some(("column-lost", "chats.title")),
    },
    Case {
        name: "table_by_code",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "DO $$ BEGIN EXECUTE 'DROP TABLE ch' || 'ats'; EXECUTE 'CREATE TABLE chats (id int PRIMARY KEY, title text)'; END $$;\n",
        ],
        lost: Some(("rows-lost", "chats")),
    },
    Case {
        name: "column_by_function",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\n\
             CREATE FUNCTION tidy() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER TABLE ch' || 'ats DROP COLUMN title'; RETURN 1; END $$;\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "SELECT tidy();\n",
        ],
        lost: Some(("column-lost", "chats.title")),
    },
    Case {
        name: "column_in_a_savepoint",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "DO $$ BEGIN BEGIN EXECUTE 'ALTER TABLE ch' || 'ats DROP COLUMN title'; EXCEPTION WHEN others THEN NULL; END; \
             BEGIN INSERT INTO notes VALUES (1), (1); EXCEPTION WHEN others THEN NULL; END; END $$;\n",
        ],
        lost: Some(("column-lost", "chats.title")),
    },
    Case {
        name: "rows_by_trigger",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\nCREATE TABLE log (id int PRIMARY KEY);\n\
             CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM chats; RETURN NEW; END $$;\n\
             CREATE TRIGGER tidies AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION tidy();\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "INSERT INTO log VALUES (1);\n",
        ],
        lost: Some(("rows-lost", "chats")),
    },
    Case {
        name: "renamed_schema",
        files: &[
            "CREATE SCHEMA app;\nCREATE TABLE app.chats (id int PRIMARY KEY);\nINSERT INTO app.chats VALUES (1);\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "ALTER SCHEMA app RENAME TO store;\n",
            "DO $$ BEGIN EXECUTE 'DELETE FROM store.ch' || 'ats'; END $$;\n",
        ],
        lost: Some(("rows-lost", "store.chats")),
    },
    // What another session made in the middle of the run is the users'.
    Case {
        name: "table_of_another_session",
        files: &[
            "CREATE TABLE said (line text);\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "DO $$ BEGIN EXECUTE format('COPY said FROM PROGRAM %L', format('psql -Xq -h 127.0.0.1 -p %s -U %s -d %s -c \"CREATE TABLE IF NOT EXISTS beside AS SELECT 1 AS id\"', \
             current_setting('port'), current_user, current_database())); END $$;\n",
            "DO $$ BEGIN EXECUTE 'DROP TABLE bes' || 'ide'; END $$;\n",
        ],
        lost: Some(("table-lost", "beside")),
    },
    Case {
        name: "quiet_changes",
        files: &[
            "CREATE TABLE chats (id int PRIMARY KEY, title text);\nINSERT INTO chats VALUES (1, 'a');\n",
            "CREATE TABLE notes (id bigserial PRIMARY KEY, chat int REFERENCES chats (id), text text);\n",
            "ALTER TABLE chats RENAME COLUMN title TO name;\nCREATE INDEX chats_by_name ON chats (name);\n",
            "ALTER TABLE chats ADD COLUMN state text DEFAULT 'new';\nINSERT INTO notes (chat, text) SELECT id, name FROM chats;\n",
            "CREATE VIEW named AS SELECT name FROM chats;\nGRANT SELECT ON chats TO public;\nINSERT INTO chats VALUES (2, 'b');\n",
            "UPDATE chats SET state = 'old';\n",
        ],
        lost: None,
    },
    Case {
        name: "renamed_whole",
        files: &[
            "CREATE TABLE ev (id int, day int) PARTITION BY LIST (day);\nCREATE TABLE ev_1 PARTITION OF ev FOR VALUES IN (1);\n\
             INSERT INTO ev VALUES (1, 1), (2, 1);\n",
            "ALTER TABLE ev RENAME TO events;\n",
            "DO $$ BEGIN EXECUTE 'DELETE FROM eve' || 'nts WHERE id = 1'; END $$;\n",
        ],
        lost: Some(("rows-lost", "events")),
    },
    Case {
        name: "renamed_type",
        files: &[
            "CREATE TYPE mood AS ENUM ('a', 'b');\nCREATE TABLE chats (id int PRIMARY KEY, mood mood);\nINSERT INTO chats VALUES (1, 'a');\n",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
            "ALTER TYPE mood RENAME VALUE 'a' TO 't';\nALTER TYPE mood RENAME VALUE 'b' TO 'a';\nALTER TYPE mood RENAME VALUE 't' TO 'b';\n",
        ],
        lost: Some(("values-changed", "chats.mood")),
    },
];

#[test]
fn what_a_file_does_is_seen_after_others_that_changed_the_catalogue() {
    let bed = TestBed::new(Backend::Postgres);
    for case in CASES {
        let site = bed.site(case.name);
        site.file("1_file.sql", case.files[0]);
        site.up();
        for (number, text) in case.files.iter().enumerate().skip(1) {
            site.file(&format!("{}_file.sql", number + 1), text);
        }
        let (report, exit) = site.report(&["up"]);
        let found = findings(&report);
        let (name, lost) = (case.name, case.lost);
        match lost {
            None => assert_eq!(exit, 0, "{name}: {report:#}"),
            Some((code, subject)) => {
                let seen = found.contains(&(code.to_owned(), subject.to_owned()));
                assert!(exit == 1 && seen, "{name}: {report:#}");
                assert_applied(&site, case.files.len() - 1);
            }
        }
    }
}

fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = report["findings"].as_array().unwrap().iter();
    found
        .map(|it| (text(&it["code"]), text(&it["subject"])))
        .collect()
}

/// The files before the refused one stay.
fn assert_applied(site: &Site, files: usize) {
    let (report, _) = site.report(&["status"]);
    let cases = report["cases"].as_array().unwrap().iter();
    let applied = |it: &&Value| it["reason"].as_str().unwrap().starts_with("applied");
    assert_eq!(cases.filter(applied).count(), files, "{report:#}");
}
