//! `--redact` beyond texts: ids, roles, literals and names that may be a person's.

use crate::common::stores::{Store, execute};
use crate::common::{chatctl, stores, text};

/// Ids, roles and literals that may name somebody.
const TELLING: &[&str] = &[
    "4915112345678",
    "DE89370400440532013000",
    "john_doe",
    "TWFyZ2FyZXRoZQ",
    "Quintero",
    "correct_horse_battery",
];
const UUID: &str = "4d2f7c1e-0b7a-4c39-9c51-6a7f0a3b1c2d";

async fn fill(store: &Store) {
    let sql = format!(
        "CREATE TABLE conversations (id VARCHAR(60) PRIMARY KEY, title VARCHAR(90), user_id VARCHAR(60), created_at VARCHAR(30));
         CREATE TABLE messages (id VARCHAR(60) PRIMARY KEY, conversation_id VARCHAR(60), role VARCHAR(60), content TEXT, phone BIGINT, created_at VARCHAR(30));
         INSERT INTO conversations VALUES ('4915112345678', 't', 'john_doe', '2026-01-01 10:00:00'),
            ('DE89370400440532013000', 'Quintero', '1', '2026-01-01 10:00:00'), ('{UUID}', 't', '1', '2026-01-01 10:00:00'),
            ('john_doe', 'same', '1', '2026-01-01 09:00:00'), ('TWFyZ2FyZXRoZQ==', NULL, '1', '2026-01-01 08:00:00');
         INSERT INTO messages VALUES ('4915112345678', '4915112345678', 'user', 'a question', 4915112345678, '2026-01-01 10:00:00'),
            ('john_doe', 'DE89370400440532013000', 'user', 'correct_horse_battery', 1, '2026-01-01 10:00:00'),
            ('17', '{UUID}', 'user', 'x', 1, '2026-01-01 10:00:00'),
            ('Quintero', '{UUID}', 'Margarethe_Quintero', 'Error: correct_horse_battery', 1, '2026-01-01 10:00:01'),
            ('18', 'john_doe', 'user', 'x', 1, '2026-01-01 10:00:00'), ('19', 'john_doe', 'assistant', '', 1, '2026-01-01 09:00:00'),
            ('20', 'nobody-john_doe', 'assistant', 'y', 1, '2026-01-01 09:00:00'),
            ('21', 'TWFyZ2FyZXRoZQ==', 'user', 'y', 1, '2026-01-01 09:00:00'), ('22', 'TWFyZ2FyZXRoZQ==', 'assistant', 'y', 1, '2026-01-01 09:00:01'),
            ('23', 'TWFyZ2FyZXRoZQ==', 'user', 'y', 1, '2026-01-01 09:00:02'), ('24', 'TWFyZ2FyZXRoZQ==', 'assistant', 'y', 1, '2026-01-01 09:00:03')"
    );
    execute(&*store.open().await, &sql).await;
}

#[test]
fn ids_roles_and_literals_are_hidden_unless_they_name_nobody() {
    for store in [Store::sqlite(), Store::postgres(), Store::mysql()] {
        stores::run(fill(&store));
        let folder = tempfile::tempdir().unwrap();
        let migration = "DELETE FROM messages WHERE content='correct_horse_battery' OR phone = 4915112345678;\n\
                         UPDATE messages SET content = 'Quintero' WHERE role = 'Margarethe_Quintero';";
        let path = folder.path().join("1_tidy.sql");
        std::fs::write(&path, migration).unwrap();
        let dollars = "SELECT $$Margarethe Quintero$$, $q$correct_horse_battery$q$, E'Quintero' FROM nothing_there;";
        std::fs::write(folder.path().join("2_more.sql"), dollars).unwrap();
        let dir = folder.path().to_str().unwrap();
        let alias = store.pick(
            "SELECT content AS \"Margarethe Quintero\", 'correct_horse_battery', phone FROM messages",
            "SELECT content AS \"Margarethe Quintero\", 'correct_horse_battery' AS john_doe, phone FROM messages",
            "SELECT content AS `Margarethe Quintero`, 'correct_horse_battery', phone FROM messages",
        );
        let snapshot = folder.path().join("before.cas");
        let key = folder.path().join("audit.key");
        std::fs::write(&key, "0f".repeat(32)).unwrap();
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&key, own).unwrap();
        let key = format!("file:{}", key.display());
        let snapshot = snapshot.to_str().unwrap();
        let url = store.url();
        let take = [
            "audit",
            "snapshot",
            "-o",
            snapshot,
            "--key",
            &key,
            "--database-url",
            &url,
        ];
        assert!(chatctl().args(take).output().unwrap().status.success());
        let altered = "UPDATE messages SET content = 'z' WHERE id = '24'";
        stores::run(async { execute(&*store.open().await, altered).await });
        let wrong =
            "SELECT * FROM nothing WHERE content='correct_horse_battery' AND role='Quintero'";
        for arguments in [
            &["inspect", "conversations"][..],
            &["inspect", "show", "4915112345678"],
            &["inspect", "show", "DE8"],
            &["inspect", "show", UUID],
            &["inspect", "show", "john_doe", "--raw"],
            &["inspect", "search", "x"],
            &["inspect", "sql", alias],
            &["inspect", "sql", wrong],
            &["audit", "check", "--grace", "0s"],
            &["audit", "compare", snapshot, "--key", &key],
            &["audit", "rate", "--window", "100000h", "--last", "100000h"],
            &["migrate", "plan", "--dir", dir],
            &["migrate", "up", "--dir", dir],
            &["migrate", "lint", "--dir", dir],
        ] {
            for format in ["human", "json"] {
                let mut command = chatctl();
                command.args([
                    "--redact",
                    "-v",
                    "--format",
                    format,
                    "--database-url",
                    &store.url(),
                ]);
                let (out, err) = text(&command.args(arguments).output().unwrap());
                for telling in TELLING {
                    // What the user typed on the command line is in the process list anyway.
                    let typed = arguments.iter().any(|argument| argument == telling);
                    assert!(!out.contains(telling), "{telling} in {arguments:?}: {out}");
                    assert!(
                        typed || !err.contains(telling),
                        "{telling} in {arguments:?}: {err}"
                    );
                }
                if arguments == ["inspect", "conversations"] && format == "json" {
                    assert!(out.contains(UUID), "{out}");
                }
                if arguments == ["inspect", "show", UUID] {
                    assert!(out.contains("user") && out.contains("17"), "{out}");
                }
            }
        }
    }
}
