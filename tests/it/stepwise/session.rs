//! What a file sets for its session, or makes in it, is neither the next file's nor lost when the file resumes.

use crate::common::faults::store::{Host, Store};
use crate::common::servers;

/// Runs two files, in one run or in two.
fn applied(host: &Host, name: &str, files: [&str; 2], together: bool) -> Store {
    let store = host.store(name);
    store.file("2_change.sql", files[0]);
    if !together {
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
    }
    store.file("3_next.sql", files[1]);
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    store
}

#[test]
fn a_temporary_table_ends_with_its_file_on_sqlite() {
    let next = "CREATE TABLE IF NOT EXISTS staging (id, body);\n\
        INSERT INTO staging SELECT id, body FROM messages;\n";
    for (together, drops) in [(true, ""), (false, ""), (true, "DROP TABLE staging;\n")] {
        let first =
            format!("-- no-transaction\nCREATE TEMP TABLE staging (id, body);\nVACUUM;\n{drops}");
        let store = applied(&Host::sqlite(), "staging", [&first, next], together);
        assert_eq!(store.backend.count(&store.url, "staging"), 1000);
    }
}

#[test]
fn a_search_path_ends_with_its_file_on_postgres() {
    let host = Host::postgres();
    let first = "-- no-transaction\nCREATE SCHEMA archive;\nSET search_path = archive, public;\n\
        CREATE INDEX CONCURRENTLY by_role ON messages (role);\n";
    let next = "CREATE TABLE kept (id int);\nINSERT INTO kept VALUES (1);\n";
    for (name, together) in [("together", true), ("apart", false)] {
        let store = applied(&host, name, [first, next], together);
        let place = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'kept'";
        assert_eq!(servers::texts(&store.url, place), ["public"], "{name}");
    }
}

/// Without its pragma, the view would follow the table that the file renames and drops.
#[test]
fn a_resumed_file_sets_its_pragmas_again() {
    let store = Host::sqlite().store("pragmas");
    let view = "CREATE VIEW shown AS SELECT label FROM tags";
    store.sqlite().execute_batch(view).unwrap();
    let file = |second: &str| {
        let text = format!(
            "-- no-transaction\nPRAGMA legacy_alter_table = ON;\n{second};\nBEGIN;\n\
             ALTER TABLE tags RENAME TO tags_old;\n\
             CREATE TABLE tags (id INTEGER PRIMARY KEY, label VARCHAR(50), pinned INTEGER);\n\
             INSERT INTO tags SELECT id, label, NULL FROM tags_old;\n\
             DROP TABLE tags_old;\nCOMMIT;\nVACUUM;\n"
        );
        store.file("2_change.sql", &text);
    };
    file("INSERT INTO nowhere VALUES (1)");
    let ended = store.up(&[]);
    assert_eq!((ended.exit, ended.failure().0), (1, 3), "{ended:?}");
    file("INSERT INTO runs VALUES (1)");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.backend.count(&store.url, "tags"), 2);
    assert_eq!(store.backend.count(&store.url, "runs"), 1);
    let view = "SELECT sql FROM sqlite_master WHERE name = 'shown'";
    let text = &store.backend.texts(&store.url, view)[0];
    assert!(text.ends_with("FROM tags"), "{text}");
}
