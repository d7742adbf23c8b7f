//! `--redact`: what users wrote is in no stream and in no report.

use crate::common::stores::{Store, execute};
use crate::common::{Chat, chatctl, stores, text};
use std::fs;
use std::process::Command;

const PLANTED: [&str; 4] = [
    "ann@example.org",
    "sk-abcdef1234567890",
    "planted words",
    "hunter2hunter2",
];
const OF_VIEWS: &[&str] = &["human", "json", "jsonl", "csv", "markdown"];
const OF_REPORTS: &[&str] = &[
    "human", "json", "jsonl", "junit", "sarif", "github", "markdown",
];

/// All that a command tells, on both streams and in files of these formats.
fn told(command: &mut Command, formats: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for format in formats {
        let file = folder.path().join(format);
        command.args(["--report", &format!("{format}={}", file.display())]);
    }
    let (mut out, err) = text(&command.output().unwrap());
    out.push_str(&err);
    for entry in fs::read_dir(folder.path()).unwrap() {
        out.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    out
}

#[test]
fn redact_hides_what_users_wrote_in_every_command() {
    for store in [Store::sqlite(), Store::postgres(), Store::mysql()] {
        let planted = format!("{} password={}", PLANTED[..3].join(" "), PLANTED[3]);
        stores::run(async {
            let db = store.open().await;
            let sql = format!(
                "CREATE TABLE note (id INTEGER PRIMARY KEY, content VARCHAR(200) DEFAULT 'ann@example.org');
                 INSERT INTO note VALUES (1, '{planted}')"
            );
            execute(&*db, &sql).await;
        });
        let folder = tempfile::tempdir().unwrap();
        let migration = format!("DELETE FROM note WHERE content = '{planted}';");
        fs::write(folder.path().join("1_tidy.sql"), migration).unwrap();
        let dir = folder.path().to_str().unwrap();
        let wrong = store.pick(
            "SELECT json(content) FROM note",
            "SELECT content::int FROM note",
            "SELECT content FROM nothing",
        );
        for (arguments, formats) in [
            (&["inspect", "tables"][..], OF_VIEWS),
            (&["inspect", "schema"], OF_VIEWS),
            (&["inspect", "sql", "SELECT * FROM note"], OF_VIEWS),
            (&["inspect", "sql", wrong], &[]),
            (&["migrate", "plan", "--dir", dir], OF_REPORTS),
            (&["migrate", "up", "--dir", dir], OF_REPORTS),
            (&["migrate", "status", "--dir", dir], OF_REPORTS),
            (&["config"], &[]),
        ] {
            let run = |redact: &[&str]| {
                let mut command = chatctl();
                command.args(arguments).args(redact);
                command.args(["-v", "--database-url", &store.url()]);
                told(&mut command, formats)
            };
            let all = run(&["--redact"]);
            for secret in PLANTED {
                assert!(!all.contains(secret), "{secret} in {arguments:?}: {all}");
            }
            if arguments == ["inspect", "sql", "SELECT * FROM note"] {
                assert!(all.contains("chars, blake3:"), "{all}");
                assert!(run(&[]).contains(PLANTED[2]), "only --redact hides it");
            }
        }
    }
}

#[test]
fn redact_hides_the_answers_of_a_verification() {
    let chat = Chat::new("truncated");
    let run = |redact: &[&str]| told(chat.verify().args(redact).arg("-v"), OF_REPORTS);
    let (plain, hidden) = (run(&[]), run(&["--redact"]));
    for told in [&plain, &hidden] {
        assert!(told.contains("answer-differs"), "{told}");
    }
    assert!(hidden.contains("chars, blake3:"), "{hidden}");
    assert!(plain.to_lowercase().contains("milk"), "{plain}");
    assert!(!hidden.to_lowercase().contains("milk"), "{hidden}");
}
