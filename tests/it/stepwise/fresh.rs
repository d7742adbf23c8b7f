//! Files of MySQL that make tables and fill those: what is tried on temporary tables, and what is not.

use crate::common::faults::store::{Ended, Host};

fn reason(ended: &Ended, case: usize) -> &str {
    ended.report["cases"][case]["reason"]
        .as_str()
        .unwrap_or_default()
}

const MAKE: &str = "CREATE TABLE kinds (id INT PRIMARY KEY, name VARCHAR(20));\nINSERT INTO kinds VALUES (1, 'a');\n";

#[test]
fn new_tables_are_tried_as_temporary_ones_on_mysql() {
    let host = Host::mysql();
    let store = host.store("new");
    store.file("2_make.sql", MAKE);
    store.file(
        "3_fill.sql",
        "INSERT INTO kinds VALUES (2, 'b');\nCREATE UNIQUE INDEX by_name ON kinds (name);\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    for case in 0..2 {
        let reason = reason(&ended, case);
        assert!(reason.contains("a trial on temporary tables"), "{ended:?}");
    }
    assert_eq!(store.backend.count(&store.url, "kinds"), 2);

    // A statement that fails is found before anything is changed.
    let before = store.contents();
    store.file(
        "4_more.sql",
        "CREATE TABLE more (id INT PRIMARY KEY);\nINSERT INTO more VALUES (1), (1);\n",
    );
    let ended = store.up(&[]);
    assert_eq!((ended.exit, ended.failure().0), (1, 2), "{ended:?}");
    assert_eq!(store.contents(), before);

    // What no temporary table may have.
    store.file(
        "4_more.sql",
        "CREATE TABLE more (id INT PRIMARY KEY, text TEXT, FULLTEXT (text));\n",
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert!(reason(&ended, 0).contains("a rehearsal on a copy"));
}

/// Each takes rows of a table that was there before, next to a file that makes a table.
#[test]
fn what_takes_rows_is_rehearsed_next_to_new_tables_on_mysql() {
    let host = Host::mysql();
    for (number, file) in [
        "DELETE FROM tags WHERE id = 1;\n",
        "REPLACE INTO tags VALUES (1, 'z');\n",
        "CREATE OR REPLACE TABLE tags (id INT);\n",
        "INSERT INTO tags VALUES (1, 'z') ON DUPLICATE KEY UPDATE label = 'z';\n",
        "CREATE TRIGGER takes AFTER INSERT ON kinds FOR EACH ROW DELETE FROM tags;\nINSERT INTO kinds VALUES (9, 'z');\n",
    ]
    .into_iter()
    .enumerate()
    {
        let store = host.store(&format!("taken_{number}"));
        store.file("2_make.sql", MAKE);
        store.file("3_take.sql", file);
        let (before, ended) = (store.contents(), store.up(&[]));
        assert_eq!(ended.exit, 1, "{file}: {ended:?}");
        assert_eq!(store.contents(), before, "{file}");
    }
}
