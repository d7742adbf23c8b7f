//! What a migration leaves behind that no row shows: numbers that were set back before it was refused, large
//! objects next to others who delete some, routines that its user may not read, and rows that VACUUM numbers.

use crate::common::backend::Backend;
use crate::common::faults::holder::{Holder, until_waiting};
use crate::common::faults::store::{Ended, Host, Store};
use crate::common::servers::{run_sql, texts};
use crate::common::sites::TestBed;

/// The harm and the subject of the first error.
#[track_caller]
fn refused(ended: &Ended) -> (&str, &str) {
    assert_eq!(ended.exit, 1, "{ended:?}");
    let mut findings = ended.report["findings"].as_array().into_iter().flatten();
    let found = findings.find(|it| it["severity"] == "error");
    let found = found.unwrap_or_else(|| panic!("{ended:?}"));
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    (text("harm"), text("subject"))
}

/// PostgreSQL does not take back what counts.
#[test]
fn numbers_that_a_refused_file_set_back_are_set_forward_again_on_postgres() {
    const COUNTED: &str = "SELECT last_value || ' ' || is_called FROM logs_id_seq \
        UNION ALL SELECT last_value || ' ' || is_called FROM falling";
    let host = Host::postgres();
    let store = host.store("counted");
    run_sql(
        &store.url,
        "CREATE TABLE logs (id bigserial PRIMARY KEY, body text); \
         CREATE SEQUENCE falling INCREMENT BY -1; \
         CREATE TABLE notes (id bigint PRIMARY KEY DEFAULT nextval('falling'), body text); \
         INSERT INTO logs (body) SELECT 'a log' FROM generate_series(1, 20); \
         INSERT INTO notes (body) SELECT 'a note' FROM generate_series(1, 20)",
    );
    let was = ["20 true", "-20 true"];
    assert_eq!(texts(&store.url, COUNTED), was);
    // What is refused, with what it lost before, and what fails.
    for back in [
        "SELECT setval('logs_id_seq', 1);\nSELECT setval('falling', -1, false);\n",
        "SELECT setval('logs_id_seq', 1, false);\nALTER SEQUENCE falling RESTART;\nDELETE FROM logs;\n",
        "SELECT setval('logs_id_seq', 3);\nSELECT setval('falling', -3);\nSELECT 1 / 0;\n",
    ] {
        store.file("2_change.sql", back);
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 1, "{back}: {ended:?}");
        assert_eq!(texts(&store.url, COUNTED), was, "{back}");
    }
    run_sql(
        &store.url,
        "INSERT INTO logs (body) VALUES ('one more'); INSERT INTO notes (body) VALUES ('one more')",
    );
    // Others may have counted meanwhile: what goes forward stays.
    store.file(
        "2_change.sql",
        "SELECT setval('logs_id_seq', 50);\nSELECT setval('falling', -50);\nSELECT 1 / 0;\n",
    );
    assert_eq!(store.up(&[]).exit, 1);
    assert_eq!(texts(&store.url, COUNTED), ["50 true", "-50 true"]);
}

/// The harms of the warnings with a code.
fn warned<'a>(ended: &'a Ended, code: &str) -> Vec<&'a str> {
    let findings = ended.report["findings"].as_array().into_iter().flatten();
    let found = findings.filter(|it| it["severity"] == "warning" && it["code"] == code);
    found.filter_map(|it| it["harm"].as_str()).collect()
}

/// The rows are there, and who could read them sees none of them.
#[test]
fn who_could_read_rows_and_can_not_any_more_is_named_on_postgres() {
    const SECURE: &str = "ALTER TABLE messages ENABLE ROW LEVEL SECURITY;\n";
    let host = Host::postgres();
    run_sql(
        &host.empty("roles").url,
        "CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE readers",
    );
    let cases = [
        (SECURE, "", true),
        (SECURE, "CREATE POLICY p ON messages USING (false);", true),
        (
            SECURE,
            "CREATE POLICY p ON messages FOR SELECT TO other USING (true);",
            true,
        ),
        (
            SECURE,
            "CREATE POLICY p ON messages USING (true); CREATE POLICY q ON messages AS RESTRICTIVE USING (false);",
            true,
        ),
        ("", "REVOKE SELECT ON messages FROM app;", true),
        ("", "REVOKE USAGE ON SCHEMA public FROM PUBLIC, app;", true),
        (
            SECURE,
            "ALTER TABLE messages OWNER TO app; ALTER TABLE messages FORCE ROW LEVEL SECURITY;",
            true,
        ),
        (SECURE, "ALTER TABLE messages OWNER TO app;", false),
        (
            SECURE,
            "CREATE POLICY p ON messages USING (conversation_id = 1);",
            false,
        ),
        (
            SECURE,
            "GRANT readers TO app; CREATE POLICY p ON messages TO readers USING (true);",
            false,
        ),
        ("", "REVOKE ALL ON SCHEMA public FROM PUBLIC;", false),
        (
            "",
            "GRANT SELECT ON messages TO other; REVOKE INSERT ON messages FROM app;",
            false,
        ),
        (
            "",
            "CREATE TABLE fresh (id integer); ALTER TABLE fresh ENABLE ROW LEVEL SECURITY;",
            false,
        ),
    ];
    for (number, (first, second, warns)) in cases.into_iter().enumerate() {
        let store = host.store(&format!("readers_{number}"));
        run_sql(
            &store.url,
            "GRANT USAGE ON SCHEMA public TO app; GRANT SELECT, INSERT ON messages TO app",
        );
        store.file("2_change.sql", &format!("{first}{second}\n"));
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{second}: {ended:?}");
        let named = warned(&ended, "rows-unreadable");
        assert_eq!(!named.is_empty(), warns, "{second}: {ended:?}");
        assert!(
            named
                .iter()
                .all(|it| it.starts_with("`app` could read `messages`")),
            "{named:?}"
        );
    }
    // What was the owner's by being the owner goes with that.
    let store = host.store("owners");
    run_sql(&store.url, "ALTER TABLE messages OWNER TO app");
    store.file("2_change.sql", "ALTER TABLE messages OWNER TO other;\n");
    assert_eq!(warned(&store.up(&[]), "rows-unreadable").len(), 1);
    // An UPDATE for which there is no policy changes nothing, without an error.
    for (name, policy, named) in [
        (
            "no_updates",
            "CREATE POLICY w ON messages FOR INSERT WITH CHECK (true)",
            &[
                "`app` could update `messages`, and an UPDATE would silently change none of its 1000 rows any more",
            ][..],
        ),
        (
            "updates",
            "CREATE POLICY w ON messages FOR UPDATE USING (true)",
            &[],
        ),
        ("revoked", "REVOKE UPDATE ON messages FROM app", &[]),
    ] {
        let store = host.store(name);
        run_sql(&store.url, "GRANT SELECT, UPDATE ON messages TO app");
        let reads = "CREATE POLICY r ON messages FOR SELECT USING (true);";
        store.file("2_change.sql", &format!("{SECURE}{reads}\n{policy};\n"));
        assert_eq!(warned(&store.up(&[]), "rows-unreadable"), named, "{name}");
    }
}

/// Who switches a trigger off by its name means it.
#[test]
fn triggers_that_are_switched_off_together_are_named_on_postgres() {
    let host = Host::postgres();
    for (name, change, warns) in [
        ("all", "ALTER TABLE messages DISABLE TRIGGER USER;\n", true),
        (
            "one",
            "ALTER TABLE messages DISABLE TRIGGER noted;\n",
            false,
        ),
        (
            "again",
            "ALTER TABLE messages DISABLE TRIGGER USER;\nALTER TABLE messages ENABLE TRIGGER USER;\n",
            false,
        ),
    ] {
        let store = host.store(name);
        run_sql(
            &store.url,
            "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER noted BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION noted(); \
             CREATE TRIGGER idle BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION noted(); \
             ALTER TABLE messages DISABLE TRIGGER idle",
        );
        store.file("2_change.sql", change);
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        let lost = !warned(&ended, "objects-lost").is_empty();
        assert_eq!(lost, warns, "{change}: {ended:?}");
        let text = ended.report.to_string();
        assert_eq!(text.contains("which is switched off"), warns, "{text}");
    }
    // An index that is in another schema is there still.
    let store = host.store("moved");
    store.file(
        "2_change.sql",
        "CREATE SCHEMA chat;\nALTER TABLE messages SET SCHEMA chat;\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(warned(&ended, "objects-lost"), [] as [&str; 0]);
}

/// A database with large objects, and a file that names them and then waits for the rows of a table.
fn with_large_objects(host: &Host, name: &str, then: &str) -> Store {
    let store = host.store(name);
    run_sql(
        &store.url,
        "CREATE TABLE files (id integer PRIMARY KEY, data oid); \
         INSERT INTO files SELECT i, lo_from_bytea(0, convert_to('file ' || i, 'UTF8')) FROM generate_series(1, 5) AS i",
    );
    store.file(
        "2_change.sql",
        &format!("DELETE FROM pg_largeobject WHERE loid = 0;\nUPDATE drafts SET id = id;\n{then}"),
    );
    store
}

/// Deletes one object and changes another one while the file waits.
fn meanwhile(store: &Store) -> Ended {
    let holder = Holder::of_rows(store, "drafts");
    let running = store.spawn(&["--lock-timeout", "90s"]);
    until_waiting(store, "UPDATE drafts");
    run_sql(
        &store.url,
        "SELECT lo_unlink(data) FROM files WHERE id = 1; SELECT lo_put(data, 0, 'other'::bytea) FROM files WHERE id = 2",
    );
    holder.release();
    running.ended()
}

/// Nobody may lock the table that has their bytes.
#[test]
fn large_objects_that_others_delete_meanwhile_are_not_the_files_on_postgres() {
    let host = Host::postgres();
    let store = with_large_objects(&host, "kept", "SELECT lo_from_bytea(0, 'new'::bytea);\n");
    let ended = meanwhile(&store);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let count = "SELECT count(*)::text FROM pg_largeobject_metadata";
    assert_eq!(texts(&store.url, count), ["5"]);

    let own = "SELECT lo_unlink(data) FROM files WHERE id = 3;\n";
    let store = with_large_objects(&host, "deleted", own);
    let ended = meanwhile(&store);
    let (harm, subject) = refused(&ended);
    assert_eq!(subject, "pg_largeobject");
    // The one that others deleted is not counted.
    assert!(harm.starts_with("1 of 4 rows of"), "{harm}");
    assert_eq!(texts(&store.url, count), ["4"]);

    let own = "SELECT lo_put(data, 0, 'changed'::bytea) FROM files WHERE id = 3;\n";
    let store = with_large_objects(&host, "changed", own);
    let ended = meanwhile(&store);
    let (harm, subject) = refused(&ended);
    assert_eq!(subject, "pg_largeobject.data");
    assert!(harm.starts_with("1 of "), "{harm}");
}

/// A database of a user who may do everything in it, and see nothing of others.
fn of_a_user(host: &Host, name: &str) -> Store {
    let mut store = host.store(name);
    run_sql(
        &store.url,
        &format!("GRANT ALL ON {name}.* TO app@'127.0.0.1' IDENTIFIED BY 'app'"),
    );
    store.url = store.url.replace("root@", "app:app@");
    store
}

/// What others made, a user of MariaDB may run and not read.
#[test]
fn a_routine_that_can_not_be_read_is_not_called_harmless_on_mysql() {
    let host = Host::mysql();
    let root = host.empty("users").url;
    run_sql(
        &root,
        "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'; \
         GRANT ALL ON `chatctl\\_scratch\\_%`.* TO app@'127.0.0.1' WITH GRANT OPTION; \
         GRANT CREATE USER ON *.* TO app@'127.0.0.1'",
    );
    let store = of_a_user(&host, "unread");
    run_sql(
        &root,
        "CREATE PROCEDURE unread.tidy(IN least INT) DELETE FROM messages WHERE id < least",
    );
    store.file(
        "2_change.sql",
        "CREATE TRIGGER tidied AFTER INSERT ON conversations FOR EACH ROW CALL tidy(5);\n",
    );
    let ended = store.up(&[]);
    let (harm, subject) = refused(&ended);
    assert_eq!(subject, "conversations");
    assert!(
        harm.contains("`tidy`, whose text this user may not read"),
        "{harm}"
    );
    // Nor is it rehearsed.
    store.file("2_change.sql", "CALL tidy(5);\n");
    let (line, said) = store.up(&[]).failure();
    assert_eq!(line, 1);
    assert!(said.contains("may not read the text"), "{said}");
    // What a file does not touch may be left unread.
    store.file(
        "2_change.sql",
        "CREATE TRIGGER noted BEFORE UPDATE ON messages FOR EACH ROW SET NEW.note = coalesce(NEW.note, 'x');\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    // What it makes itself can be read.
    let store = of_a_user(&host, "own");
    store.file(
        "2_change.sql",
        "CREATE PROCEDURE look(n INT) UPDATE conversations SET title = title WHERE id = n;\n\
         CREATE TRIGGER looked AFTER INSERT ON messages FOR EACH ROW CALL look(NEW.conversation_id);\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

/// The server hides triggers from a user without the right TRIGGER, and runs them all the same.
#[test]
fn triggers_that_a_user_may_not_see_are_no_proof_on_mysql() {
    let host = Host::mysql();
    let root = host.empty("users").url;
    run_sql(
        &root,
        "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'; \
         GRANT ALL ON `chatctl\\_scratch\\_%`.* TO app@'127.0.0.1' WITH GRANT OPTION; \
         GRANT CREATE USER ON *.* TO app@'127.0.0.1'; \
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES ON `hidd_n`.* TO app@'127.0.0.1'",
    );
    let mut store = host.store("hidden");
    store.url = store.url.replace("root@", "app:app@");
    let case = |number: usize, text: &str| {
        store.file(&format!("{number}_change.sql"), text);
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        ended.report["cases"][0].clone()
    };
    let new = case(2, "CREATE TABLE notes (id INT PRIMARY KEY);\n");
    assert_eq!(new["verdict"], "proven", "{new:#}");
    let written = "INSERT INTO conversations (id, title) VALUES (70000, 'a');\n";
    let unseen = case(3, written);
    assert_eq!(unseen["verdict"], "held", "{unseen:#}");
    assert!(unseen.to_string().contains("right TRIGGER"), "{unseen:#}");
    run_sql(&root, "GRANT TRIGGER ON `hidd_n`.* TO app@'127.0.0.1'");
    let seen = case(4, &written.replace("70000", "70001"));
    assert_eq!(seen["verdict"], "proven", "{seen:#}");
}

/// SQLite's VACUUM can't be taken back.
#[test]
fn vacuum_does_not_number_rows_again_that_an_index_finds() {
    let store = Host::sqlite().store("numbered");
    store.file(
        "2_documents.sql",
        "CREATE TABLE documents (body TEXT);\n\
         INSERT INTO documents SELECT body FROM messages WHERE id <= 20;\n\
         CREATE VIRTUAL TABLE found USING fts5 (body, content='documents');\n\
         INSERT INTO found (found) VALUES ('rebuild');\n",
    );
    store.file(
        "3_less.sql",
        "-- chatctl: allow-loss documents rows<=1 reason=\"it is old\"\n\
         DELETE FROM documents WHERE body = 'text 3';\n\
         INSERT INTO found (found) VALUES ('rebuild');\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    store.file("4_smaller.sql", "-- no-transaction\nVACUUM;\n");
    let (line, said) = store.up(&[]).failure();
    assert_eq!(line, 2);
    assert!(said.contains("renumbers the rows of `documents`"), "{said}");
    let found = "SELECT documents.body FROM found JOIN documents ON documents.rowid = found.rowid WHERE found MATCH '\"text 9\"'";
    assert_eq!(store.backend.texts(&store.url, found), ["text 9"]);
}

/// What a stopped run had made for its session the next one does not have, and a table of that name
/// is another one.
#[test]
fn a_file_is_not_resumed_without_its_temporary_table() {
    let store = Host::sqlite().store("staged");
    let file = |rest: &str| {
        let made = "CREATE TEMP TABLE staging AS SELECT id, body FROM messages WHERE id <= 3;";
        let text = format!("-- no-transaction\n{made}\nVACUUM;\n{rest}\n");
        store.file("3_kept.sql", &text);
    };
    store.file(
        "2_staging.sql",
        "CREATE TABLE staging (id INTEGER, body TEXT);\n",
    );
    file("INSERT INTO nowhere SELECT * FROM staging;");
    let (line, said) = store.up(&[]).failure();
    assert_eq!(line, 4);
    assert!(said.contains("nowhere"), "{said}");
    let keep = "CREATE TABLE kept AS SELECT * FROM staging;";
    file(keep);
    let (line, said) = store.up(&[]).failure();
    assert_eq!(line, 4);
    assert!(said.contains("`staging` was temporary"), "{said}");
    file(&format!(
        "CREATE TEMP TABLE staging AS SELECT id, body FROM messages WHERE id <= 2;\n{keep}"
    ));
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let kept = "SELECT CAST(count(*) AS TEXT) FROM kept";
    assert_eq!(store.backend.texts(&store.url, kept), ["2"]);
}

/// Of a table that has an index, VACUUM keeps the numbers.
#[test]
fn vacuum_runs_next_to_an_index_over_texts_with_keys_of_their_own() {
    let store = Host::sqlite().store("keyed");
    store.file(
        "2_documents.sql",
        "CREATE TABLE documents (body TEXT, id TEXT PRIMARY KEY);\n\
         INSERT INTO documents SELECT body, 'key ' || (1000 - id) FROM messages WHERE id <= 20;\n\
         CREATE VIRTUAL TABLE found USING fts5 (body, content='documents');\n\
         INSERT INTO found (found) VALUES ('rebuild');\n",
    );
    store.file(
        "3_less.sql",
        "-- chatctl: allow-loss documents rows<=1 reason=\"it is old\"\n\
         DELETE FROM documents WHERE body = 'text 3';\n\
         INSERT INTO found (found) VALUES ('rebuild');\n",
    );
    store.file("4_smaller.sql", "-- no-transaction\nVACUUM;\n");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let found = "SELECT documents.body FROM found JOIN documents ON documents.rowid = found.rowid WHERE found MATCH '\"text 9\"'";
    assert_eq!(store.backend.texts(&store.url, found), ["text 9"]);
}

/// What goose sends as one text: a rename in it is a rename.
#[test]
fn a_rename_in_a_block_of_goose_is_one() {
    let goose = |block: &str| {
        let store = Host::sqlite().empty("goose");
        store.file(
            "1_begin.sql",
            "-- +goose Up\nCREATE TABLE tags (id INTEGER PRIMARY KEY);\nINSERT INTO tags VALUES (1);\n",
        );
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        store.file(
            "2_change.sql",
            &format!("-- +goose Up\n-- +goose StatementBegin\n{block}\n-- +goose StatementEnd\n"),
        );
        store.up(&[])
    };
    let renames = "CREATE TABLE marks (id int);\nALTER TABLE tags RENAME TO labels;";
    let ended = goose(renames);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let ended = goose("CREATE TABLE marks (id int);\nDROP TABLE tags;");
    assert_eq!(ended.exit, 1, "{ended:?}");
}

/// The rows of a journal that tell a later run the names of an earlier one.
const NAMES: &str = "SELECT count(*)::text FROM _chatctl_journal WHERE state = 'names'";

/// On PostgreSQL each file is committed by itself: what a later file of the run puts under a name is compared with
/// what the run found there, also when the refused run is repeated.
#[test]
fn names_are_followed_over_the_files_of_a_run_on_postgres() {
    const BEGIN: &str = "CREATE TYPE role AS ENUM ('user', 'assistant');
        CREATE TABLE messages (id bigint PRIMARY KEY, role role, body text);
        INSERT INTO messages SELECT g, (ARRAY['user', 'assistant'])[1 + g % 2]::role, 'text ' || g
        FROM generate_series(1, 20) AS g;
        CREATE TYPE place AS (street text, zip text);
        CREATE TABLE users (id bigint PRIMARY KEY, home place);
        INSERT INTO users VALUES (1, ('High Street', '12345'));";
    const COLUMN: &str = "ALTER TABLE messages ADD COLUMN new_body text;
        ALTER TABLE messages RENAME COLUMN body TO old_body;";
    const ASIDE: &str = "ALTER TABLE messages RENAME TO old_messages;";
    const STEPWISE: &str = "-- no-transaction
        ALTER TABLE messages RENAME TO old_messages;
        CREATE INDEX CONCURRENTLY by_role ON old_messages (role);";
    const EMPTY: &str = "CREATE TABLE messages (id bigint PRIMARY KEY, role text, body text);";
    const VIEW: &str = "ALTER TABLE messages RENAME TO message;
        CREATE VIEW messages AS SELECT * FROM message;";
    const LABEL: &str = "ALTER TYPE role RENAME VALUE 'user' TO 'human';";
    const FIELD: &str = "ALTER TYPE place RENAME ATTRIBUTE street TO road;";
    let bed = TestBed::new(Backend::Postgres);
    for (name, first, second, lost) in [
        (
            "field",
            FIELD,
            "ALTER TYPE place RENAME ATTRIBUTE zip TO street;",
            "users.home",
        ),
        (
            "other_field",
            FIELD,
            "ALTER TYPE place RENAME ATTRIBUTE zip TO code;",
            "",
        ),
        (
            "field_again",
            FIELD,
            "ALTER TYPE place RENAME ATTRIBUTE road TO street;",
            "",
        ),
        ("taken", ASIDE, EMPTY, "old_messages"),
        ("stepwise", STEPWISE, EMPTY, "old_messages"),
        (
            "copied",
            ASIDE,
            "CREATE TABLE messages (LIKE old_messages); INSERT INTO messages SELECT * FROM old_messages;",
            "",
        ),
        (
            "of_column",
            COLUMN,
            "ALTER TABLE messages RENAME COLUMN new_body TO body;",
            "messages.old_body",
        ),
        (
            "filled",
            COLUMN,
            "UPDATE messages SET new_body = old_body; ALTER TABLE messages RENAME COLUMN new_body TO body;",
            "",
        ),
        (
            "of_view",
            VIEW,
            "CREATE OR REPLACE VIEW messages AS SELECT * FROM message WHERE role = 'user';",
            "message",
        ),
        (
            "whole_view",
            VIEW,
            "CREATE OR REPLACE VIEW messages AS SELECT id, role, body FROM message;",
            "",
        ),
        (
            "label",
            LABEL,
            "ALTER TYPE role RENAME VALUE 'assistant' TO 'user';",
            "messages.role",
        ),
        (
            "other_label",
            LABEL,
            "ALTER TYPE role RENAME VALUE 'assistant' TO 'model';",
            "",
        ),
        ("new_label", LABEL, "ALTER TYPE role ADD VALUE 'user';", ""),
    ] {
        let site = bed.at(name, &[BEGIN, first]);
        site.file("3_next.sql", second);
        if lost.is_empty() {
            site.up();
        } else {
            for _ in 0..2 {
                let (report, ended) = site.report(&["up"]);
                assert_eq!(ended, 1, "{name}: {report:#}");
                let is_lost = |finding: &serde_json::Value| {
                    finding["severity"] == "error" && finding["subject"] == lost
                };
                let mut findings = report["findings"].as_array().unwrap().iter();
                assert!(findings.any(is_lost), "{name}: {report:#}");
                assert_eq!(texts(&site.url, NAMES), ["1"], "{name}");
            }
            let meant =
                format!("-- chatctl: allow-loss {lost} rows<=20 reason=\"meant\"\n{second}");
            site.file("3_next.sql", &meant);
            site.up();
        }
        assert_eq!(texts(&site.url, NAMES), ["0"], "{name}");
    }
}

/// What is in no transaction divides a run of SQLite.
#[test]
fn names_are_followed_over_two_runs_on_sqlite() {
    let bed = TestBed::new(Backend::Sqlite);
    for (name, third, exit) in [
        (
            "taken",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, body TEXT);",
            1,
        ),
        (
            "copied",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, body TEXT); \
             INSERT INTO messages SELECT id, text FROM old_messages;",
            0,
        ),
    ] {
        let site = bed.at(
            name,
            &[
                "CREATE TABLE messages (id INTEGER PRIMARY KEY, body TEXT); \
                 INSERT INTO messages (body) VALUES ('a'), ('b');",
                "ALTER TABLE messages RENAME TO old_messages; ALTER TABLE old_messages RENAME body TO text;",
            ],
        );
        site.file("3_then.sql", "-- no-transaction\nVACUUM;\n");
        site.file("4_next.sql", third);
        for _ in 0..=exit {
            let (report, ended) = site.report(&["up"]);
            assert_eq!(ended, exit, "{name}: {report:#}");
        }
    }
}
