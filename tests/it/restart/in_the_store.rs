//! What is in the store is found there, whatever it is kept with and however late it comes.

use crate::common::{errors, python, root, small};
use crate::restart::{is_clean, wrapped};
use std::fs;
use std::path::Path;

/// The shipped session, of a server that shows no history.
fn without_history(folder: &Path) -> String {
    let text = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml")).unwrap();
    let (head, _) = text.split_once("[history]").unwrap();
    let path = folder.join("without-history.toml");
    fs::write(&path, head).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Question and answer in one row, which names no conversation: there is no key to look by.
#[test]
fn rows_that_name_no_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let session = without_history(folder.path());
    let start = small::start(&["--keep", "turns"]);
    let arguments = [
        &session,
        "--stop",
        "term,kill,kill-in-stream",
        "--rounds",
        "2",
    ];
    let (report, exit) = small::audit_in(folder.path(), &start, &arguments);
    is_clean(&report, exit, 6);
    assert_eq!(report["cases"][3]["metrics"]["conversations"], 4.0);
}

/// The same, with a start that deletes them.
#[test]
fn rows_that_name_no_conversation_and_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let session = without_history(folder.path());
    let delete = folder.path().join("delete.py");
    let text = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM asked'); c.commit()";
    fs::write(&delete, text).unwrap();
    let script = format!(
        "if [ $again = 1 ]; then {} {} {}; fi; exec \"$@\"",
        python().display(),
        delete.display(),
        folder.path().join("chat.db").display()
    );
    let start = wrapped(folder.path(), &script, &small::start(&["--keep", "turns"]));
    let arguments = [
        &session, "--stop", "term", "--rounds", "1", "--settle", "300ms",
    ];
    let (report, exit) = small::audit_in(folder.path(), &start, &arguments);
    let told = (errors(&report), exit);
    assert_eq!(told, (vec!["conversation-not-found"], 1), "{report:#}");
}

/// The row comes a moment after the answer is over, or after the new start.
#[test]
fn rows_that_come_late() {
    for keep in ["messages", "turns"] {
        let folder = tempfile::tempdir().unwrap();
        let session = without_history(folder.path());
        let start = small::start(&["--keep", keep, "--save", "200"]);
        let arguments = [&session, "--stop", "term", "--rounds", "3"];
        let (report, exit) = small::audit_in(folder.path(), &start, &arguments);
        is_clean(&report, exit, 3);
    }
}

/// The texts are in the store, in tables that nobody can read as messages: nothing is decided by
/// them, and a history that is gone does not mean that they are.
#[test]
fn tables_that_no_mapping_reads() {
    for (script, expected, exit) in [
        ("exec \"$@\"", &[][..], 3),
        (
            "if [ $again = 1 ]; then set -- \"$@\" --mute; fi; exec \"$@\"",
            &["conversation-not-found"][..],
            1,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let start = small::start(&["--keep", "apart"]);
        let start = wrapped(folder.path(), script, &start);
        let arguments = ["--stop", "term", "--rounds", "1", "--settle", "300ms"];
        let (report, code) = small::audit_in(folder.path(), &start, &arguments);
        assert_eq!(
            (errors(&report).as_slice(), code),
            (expected, exit),
            "{report:#}"
        );
    }
}

/// All share one chat, which is shown to each: what others said is not a damage.
#[test]
fn one_chat_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let start = small::start(&["--keep", "turns"]);
    // Once more with the same store: its history begins with what was said before.
    for _ in 0..2 {
        let arguments = ["--stop", "kill", "--rounds", "2"];
        let (report, exit) = small::audit_in(folder.path(), &start, &arguments);
        is_clean(&report, exit, 2);
    }
}

/// The server makes its file after the first answer, and the tables in it a moment later.
#[test]
fn a_file_that_comes_late() {
    for declared in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let session = without_history(folder.path());
        let config = folder.path().join("chatctl.toml");
        let store = "[[store]]\n[store.message]\ntable = \"message\"\nconversation = [\"conversation_id\"]\n\
            role = \"role\"\ncontent = \"content\"\norder = [\"id\"]\n";
        fs::write(&config, if declared { store } else { "" }).unwrap();
        let config = config.to_str().unwrap();
        let start = small::start(&["--late", "300"]);
        let arguments = [
            &session, "--config", config, "--stop", "term", "--rounds", "1",
        ];
        let (report, exit) = small::audit_in(folder.path(), &start, &arguments);
        is_clean(&report, exit, 1);
    }
}

/// `[[store]]` names a table that the server never writes to: its chats are not lost.
#[test]
fn a_declared_table_that_is_not_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let make = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE note \
        (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT)')";
    let mut program = std::process::Command::new(python());
    program
        .args(["-c", make])
        .arg(folder.path().join("chat.db"));
    assert!(program.status().unwrap().success());
    let config = folder.path().join("chatctl.toml");
    let text = "[[store]]\n[store.message]\ntable = \"note\"\nconversation = [\"conversation_id\"]\n\
        role = \"role\"\ncontent = \"content\"\norder = [\"id\"]\n";
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let arguments = [
        "--config", config, "--stop", "kill", "--rounds", "2", "--settle", "300ms",
    ];
    let (report, exit) = small::audit_in(folder.path(), &small::start(&[]), &arguments);
    assert_eq!((errors(&report).len(), exit), (0, 3), "{report:#}");
    let reason = report["cases"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("it reads `note.content`"), "{reason}");
}
