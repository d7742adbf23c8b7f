//! The file of a snapshot: what it keeps to itself, and when it is refused.

use super::chats::{Chats, KEY, MAPPING, now, text, told};
use crate::common::stores::Store;
use crate::common::text as output_text;
use chatctl::audit::{Key, file};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

fn sqlite() -> (Store, Chats) {
    let store = Store::sqlite();
    let chats = Chats::in_store(&store);
    (store, chats)
}

/// The names in a folder.
fn names(folder: PathBuf) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|name| name.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What was done to the file, the exit code, and what the error and its hint must say.
type Bad = (&'static str, fn(&mut Vec<u8>), i32, &'static str);

#[test]
fn a_file_that_is_not_as_it_was_written_is_refused() {
    const BAD: &[Bad] = &[
        ("empty", |bytes| bytes.clear(), 2, "is not a snapshot"),
        (
            "another file",
            |bytes| *bytes = vec![b'x'; 4000],
            2,
            "is not a snapshot",
        ),
        ("head only", |bytes| bytes.truncate(40), 4, "is incomplete"),
        (
            "cut",
            |bytes| bytes.truncate(bytes.len() - 1),
            4,
            "is incomplete",
        ),
        (
            "half",
            |bytes| bytes.truncate(bytes.len() / 2),
            4,
            "is incomplete",
        ),
        ("head altered", |bytes| bytes[60] ^= 1, 4, "was altered"),
        (
            "middle altered",
            |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            },
            4,
            "was altered",
        ),
        (
            "end altered",
            |bytes| {
                let at = bytes.len() - 60;
                bytes[at] ^= 1;
            },
            4,
            "was altered",
        ),
        ("newer", |bytes| bytes[8] = 6, 4, "version 6"),
    ];
    let (_store, chats) = sqlite();
    chats.snapshot("before.cas");
    let whole = fs::read(chats.file("before.cas")).unwrap();
    for (name, act, expected, said) in BAD {
        let mut bytes = whole.clone();
        act(&mut bytes);
        fs::write(chats.file("bad.cas"), bytes).unwrap();
        for arguments in [
            &["compare", "bad.cas"][..],
            &["compare", "before.cas", "bad.cas"],
        ] {
            let output = chats.audit(arguments).output().unwrap();
            let (out, err) = output_text(&output);
            assert_eq!(output.status.code(), Some(*expected), "{name}: {out}{err}");
            assert!(
                err.contains(said) && err.contains("hint: "),
                "{name}: {err}"
            );
        }
    }
}

/// Wherever one byte is another one, nothing is told from the file.
#[test]
fn no_byte_can_be_altered() {
    let (_store, chats) = sqlite();
    chats.snapshot_with("before.cas", &["--keep-ids"]);
    let whole = fs::read(chats.file("before.cas")).unwrap();
    let key = Key::find(Some(&format!("file:{}", key_file(&chats).display()))).unwrap();
    let path = chats.file("bad.cas");
    // Every byte of the head and the end, and every seventh between.
    let far = |at: &usize| *at < 1000 || at + 400 > whole.len() || at.is_multiple_of(7);
    for at in (0..whole.len()).filter(far) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let read = file::open(&path, &key).map_err(|_| ()).and_then(|bad| {
            let after = file::open(&path, &key).map_err(|_| ())?;
            chatctl::audit::compare_files(&bad, &after).map_err(|_| ())
        });
        assert!(read.is_err(), "byte {at} of {}", whole.len());
    }
}

fn key_file(chats: &Chats) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;

    let path = chats.file("audit.key");
    fs::write(&path, KEY).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn another_key_and_another_mapping_are_refused() {
    let (_store, chats) = sqlite();
    chats.snapshot("before.cas");
    let mut other = chats.audit(&["compare", "before.cas"]);
    let output = other.env("AUDIT_KEY", KEY.replace("00", "ff")).output();
    let output = output.unwrap();
    let (_, err) = output_text(&output);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("was taken with the key") && err.contains("hint: "),
        "{err}"
    );

    chats.map(&MAPPING.replace("time = \"created_at\"\n", ""));
    let output = chats.audit(&["compare", "before.cas"]).output().unwrap();
    let (_, err) = output_text(&output);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("another mapping") && err.contains("hint: "),
        "{err}"
    );
    // Other names of the same things are no other mapping.
    chats.map(MAPPING);
    chats.sql("ALTER TABLE message RENAME COLUMN created_at TO made_at");
    chats.map(&MAPPING.replace("created_at", "made_at"));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N schema-changed", 0),
        "{report:#}"
    );
}

/// A store without a mapping, with one table of messages.
fn detected() -> (Store, Chats) {
    let (store, chats) = sqlite();
    chats.map("");
    chats.sql(&format!(
        "DROP TABLE message; DROP TABLE conversation; CREATE TABLE chat_message {COLUMNS}; \
         INSERT INTO chat_message VALUES (1, 1, 'user', 'please buy milk', '2026-01-01 10:00:00'), \
         (2, 1, 'assistant', 'it is bought', '2026-01-01 10:00:05'), (3, 1, 'user', 'and tea', '2026-01-01 10:01:00'), \
         (4, 1, 'assistant', 'no tea left', '2026-01-01 10:01:05')"
    ));
    chats.snapshot("before.cas");
    (store, chats)
}

const COLUMNS: &str =
    "(id INTEGER PRIMARY KEY, chat_id INTEGER, role TEXT, content TEXT, created_at TEXT)";

/// What the snapshot has is compared.
#[test]
fn a_column_of_tool_calls_may_be_added() {
    for column in ["tool_calls TEXT", "tool_calls TEXT DEFAULT '[]'"] {
        let (_store, chats) = detected();
        chats.sql(&format!("ALTER TABLE chat_message ADD COLUMN {column}"));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(
            (told(&report).as_str(), code),
            ("N schema-changed", 0),
            "{report:#}"
        );
        chats.sql("UPDATE chat_message SET content = 'it is not' WHERE id = 2");
        let (report, code) = chats.compare(&["before.cas"]);
        assert!(told(&report).contains("E message-altered"), "{report:#}");
        assert_eq!(code, 1);
    }
}

/// The later file has calls in its digests that the earlier one has not.
#[test]
fn a_column_of_tool_calls_may_be_added_between_two_files() {
    let (_store, chats) = detected();
    chats.sql("ALTER TABLE chat_message ADD COLUMN tool_calls TEXT");
    chats.sql(
        "INSERT INTO chat_message VALUES (5, 1, 'user', 'and bread', '2026-01-01 10:02:00', NULL), \
         (6, 1, 'assistant', '', '2026-01-01 10:02:05', '[{\"type\": \"function\", \"function\": {\"name\": \"buy\"}}]')",
    );
    chats.snapshot("after.cas");
    let (report, code) = chats.compare(&["before.cas", "after.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N schema-changed", 0),
        "{report:#}"
    );
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("`tool_calls` were not compared"),
        "{reason}"
    );
    chats.sql("DELETE FROM chat_message WHERE id = 2");
    chats.snapshot("after.cas");
    let (report, code) = chats.compare(&["before.cas", "after.cas"]);
    assert!(told(&report).contains("E message-lost"), "{report:#}");
    assert_eq!(code, 1);
    // What looks altered may have got its calls only.
    chats.sql("UPDATE chat_message SET content = 'no tea' WHERE id = 4");
    chats.snapshot("after.cas");
    let mut refused = chats.audit(&["compare", "before.cas", "after.cas"]);
    assert_eq!(refused.output().unwrap().status.code(), Some(4));
}

/// Numbers that become texts order no messages any more: their times do.
#[test]
fn keys_may_become_texts_between_two_files() {
    let text = "CREATE TABLE other (id TEXT PRIMARY KEY, chat_id INTEGER, role TEXT, content TEXT, created_at TEXT); \
        INSERT INTO other SELECT * FROM chat_message; DROP TABLE chat_message; ALTER TABLE other RENAME TO chat_message";
    let number = format!(
        "CREATE TABLE other {COLUMNS}; INSERT INTO other SELECT * FROM chat_message; DROP TABLE chat_message; \
         ALTER TABLE other RENAME TO chat_message"
    );
    for (before, after) in [("", text), (text, &number)] {
        for detail in ["messages", "sketch", "conversations"] {
            let (_store, chats) = detected();
            chats.sql(before);
            chats.snapshot_with("before.cas", &["--detail", detail]);
            chats.sql(after);
            chats.sql("INSERT INTO chat_message VALUES ('5', 1, 'user', 'and bread', '2026-01-01 10:02:00')");
            let compared = || {
                chats.snapshot_with("after.cas", &["--detail", detail]);
                chats.compare(&["before.cas", "after.cas"])
            };
            let (report, code) = compared();
            let reason = report["cases"][0]["reason"].as_str().unwrap();
            assert!(
                reason.contains("other columns order them now"),
                "{detail} {reason}"
            );
            // Places are in the sums, which tell nothing then.
            let whole = detail == "messages";
            assert_eq!(code == 0, whole, "{detail} {report:#}");
            assert!(!told(&report).contains("message-"), "{detail} {report:#}");
            chats.sql("DELETE FROM chat_message WHERE id = '2'");
            let (report, code) = compared();
            if whole {
                assert!(told(&report).contains("E message-lost"), "{report:#}");
            }
            assert_ne!(code, 0, "{detail} {report:#}");
            chats.sql("UPDATE chat_message SET content = 'no tea' WHERE id = '4'");
            let (report, _) = compared();
            if whole {
                assert!(told(&report).contains("E message-altered"), "{report:#}");
            }
        }
    }
}

/// A table that looks like that of the snapshot, as a partition that was detached, is not taken for it.
#[test]
fn the_table_of_the_snapshot_is_compared() {
    let (_store, chats) = detected();
    chats.sql(&format!(
        "CREATE TABLE message {COLUMNS}; INSERT INTO message VALUES (7, 2, 'user', 'a biscuit', '2026-01-01 11:00:00'), \
         (8, 2, 'assistant', 'here it is', '2026-01-01 11:00:05')"
    ));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    chats.sql("INSERT INTO message SELECT * FROM chat_message WHERE id > 2; DELETE FROM chat_message WHERE id > 2");
    let (report, code) = chats.compare(&["before.cas"]);
    assert!(told(&report).contains("E message-lost"), "{report:#}");
    assert_eq!(code, 1);
}

#[test]
fn neither_content_nor_identifiers_are_in_the_file_unless_asked_for() {
    let (_store, chats) = sqlite();
    let at = now(&chats.url);
    let said = text("PLANTED young");
    chats.sql(&format!(
        "CREATE TABLE keyed (id TEXT PRIMARY KEY, chat TEXT, role TEXT, parts TEXT, created_at TEXT); \
         INSERT INTO keyed VALUES ('PLANTED-key-1', 'PLANTED-chat', 'user', {said}, {at}), \
         ('PLANTED-key-2', 'PLANTED-chat', 'assistant', {said}, {at}), ('PLANTED-key-3', 'PLANTED-chat', 'user', {said}, '2026-01-01 10:00:00')"
    ));
    chats.map(
        "[[store]]\n[store.message]\ntable = \"keyed\"\nconversation = [\"chat\"]\nrole = \"role\"\n\
         content = \"parts::$\"\ntime = \"created_at\"\n",
    );
    chats.snapshot("hidden.cas");
    chats.snapshot_with("kept.cas", &["--keep-ids"]);
    let file = fs::read(chats.file("hidden.cas")).unwrap();
    for planted in ["PLANTED", "young", "key-1"] {
        let there = file
            .windows(planted.len())
            .any(|part| part == planted.as_bytes());
        assert!(!there, "{planted} stands in the file");
    }
    chats.sql("DELETE FROM keyed WHERE id = 'PLANTED-key-3'");
    for (name, is_named) in [("hidden.cas", false), ("kept.cas", true)] {
        let (report, code) = chats.compare(&[name]);
        assert_eq!((told(&report).as_str(), code), ("E message-lost", 1));
        let evidence = report["findings"][0]["evidence"].to_string();
        assert_eq!(evidence.contains("`PLANTED-key-3`"), is_named, "{evidence}");
        // The conversation is still there, and needs no keeping.
        assert!(evidence.contains("`PLANTED-chat`"), "{evidence}");
    }
}

#[test]
fn snapshots_form_a_chain() {
    let (_store, chats) = sqlite();
    chats.snapshot("1.cas");
    chats.snapshot_with("2.cas", &["--previous", "1.cas"]);
    let key = Key::find(Some(&format!("file:{}", key_file(&chats).display()))).unwrap();
    let open = |name: &str| file::open(&chats.file(name), &key).unwrap();
    assert_eq!(open("1.cas").header.previous, None);
    assert_eq!(open("2.cas").header.previous, Some(open("1.cas").id));
    let output = chats
        .audit(&["snapshot", "-o", "3.cas", "--previous", "no.cas"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!chats.file("3.cas").exists());
}

/// What an earlier snapshot says of that moment can't be read again.
#[test]
fn a_snapshot_does_not_replace_another_unasked() {
    let (_store, chats) = sqlite();
    chats.snapshot("before.cas");
    let before = fs::read(chats.file("before.cas")).unwrap();
    chats.sql("DELETE FROM message WHERE id = 20");
    let take = |more: &[&str]| {
        let mut snapshot = chats.audit(&["snapshot", "-o", "before.cas"]);
        let output = snapshot.args(more).output().unwrap();
        (output.status.code(), output_text(&output).1)
    };
    let (code, told) = take(&[]);
    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("exists") && told.contains("--overwrite"),
        "{told}"
    );
    assert!(fs::read(chats.file("before.cas")).unwrap() == before);
    assert_eq!(chats.compare(&["before.cas"]).1, 1);
    assert_eq!(take(&["--overwrite"]).0, Some(0));
    assert_eq!(chats.compare(&["before.cas"]).1, 0);
    // An empty file, such as one of `mktemp`, is no record.
    fs::write(chats.file("before.cas"), "").unwrap();
    let (code, told) = take(&[]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_look_leaves_no_trace_in_the_store() {
    for journal in ["delete", "wal"] {
        let store = Store::sqlite();
        let chats = Chats::in_store(&store);
        chats.sql(&format!("PRAGMA journal_mode = {journal}"));
        let path = PathBuf::from(chats.url.strip_prefix("sqlite:").unwrap());
        let before = fs::read(&path).unwrap();
        chats.snapshot("before.cas");
        assert_eq!(chats.compare(&["before.cas"]).1, 0);
        assert!(
            fs::read(&path).unwrap() == before,
            "{journal}: the file is another one"
        );
        assert_eq!(
            names(path.parent().unwrap().to_owned()),
            ["chat.db"],
            "{journal}"
        );
    }
}

#[test]
fn an_interrupted_snapshot_leaves_nothing_behind() {
    let (_store, chats) = sqlite();
    chats.sql(
        "INSERT INTO message (conversation_id, role, parts, created_at) \
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 150000) \
         SELECT n % 8 + 1, 'user', '[{\"type\": \"text\", \"text\": \"text ' || n || '\"}]', '2026-01-02 10:00:00' FROM n",
    );
    chats.snapshot("kept.cas");
    let kept = fs::read(chats.file("kept.cas")).unwrap();
    let before = names(chats.file("."));
    for arguments in [
        &["snapshot", "--overwrite", "-o", "kept.cas"][..],
        &["compare", "kept.cas"],
    ] {
        let mut running = chats
            .audit(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The note about the mapping comes right before the messages are read.
        let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("messages: ")));
        let id = Pid::from_raw(running.id().try_into().unwrap());
        nix::sys::signal::kill(id, Signal::SIGINT).unwrap();
        lines.for_each(|line| drop(line.unwrap()));
        assert_eq!(running.wait().unwrap().code(), Some(130), "{arguments:?}");
        assert_eq!(names(chats.file(".")), before);
        assert!(fs::read(chats.file("kept.cas")).unwrap() == kept);
    }
}

/// The messages are digested in a thread of their own, and what fails there is reported here.
#[test]
fn without_room_to_spill_nothing_is_written() {
    let (_store, chats) = sqlite();
    // Without a log the store itself is copied to where the room is.
    chats.sql("PRAGMA journal_mode = wal");
    chats.sql(
        "INSERT INTO message (conversation_id, role, parts, created_at) \
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
         SELECT n % 8 + 1, 'user', '[]', '2026-01-02 10:00:00' FROM n",
    );
    chats.snapshot("kept.cas");
    for arguments in [&["snapshot", "-o", "new.cas"][..], &["compare", "kept.cas"]] {
        let audit = || {
            let mut audit = chats.audit(arguments);
            audit.args(["--mem", "1M"]);
            audit
        };
        let missing = chats.file("missing");
        let before = names(chats.file("."));
        let failed = audit().env("TMPDIR", &missing).output().unwrap();
        let told = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(3), "{told}");
        assert!(told.contains(missing.to_str().unwrap()), "{told}");
        assert!(told.contains("set TMPDIR to a folder"), "{told}");
        assert_eq!(names(chats.file(".")), before);
        assert_eq!(audit().output().unwrap().status.code(), Some(0));
    }
}

#[test]
fn a_sketch_names_a_change_and_conversations_tell_where_it_is() {
    let (_store, chats) = sqlite();
    for detail in ["messages", "sketch", "conversations"] {
        chats.snapshot_with("before.cas", &["--detail", detail]);
        let other = text("another text");
        chats.sql(&format!("UPDATE message SET parts = {other} WHERE id = 20"));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(
            (told(&report).as_str(), code),
            ("E message-altered", 1),
            "{detail}"
        );
        let evidence = report["findings"][0]["evidence"].to_string();
        assert_eq!(evidence.contains("message `20`"), detail != "conversations");
        assert!(evidence.contains("conversation `2`"), "{evidence}");
        super::chats::again(&chats.url);
    }
    let usage = crate::common::chatctl()
        .args(["audit", "snapshot"])
        .output()
        .unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
