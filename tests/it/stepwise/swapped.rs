//! What a table of MySQL has besides its rows, and a swap or a MODIFY takes along: foreign keys,
//! and what new rows get.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed};
use crate::common::{codes, errors};

const BEGIN: &str = "CREATE TABLE chats (id BIGINT PRIMARY KEY);
CREATE TABLE messages (id BIGINT PRIMARY KEY AUTO_INCREMENT, chat_id BIGINT, body TEXT,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), status VARCHAR(20) NOT NULL DEFAULT 'sent',
    KEY by_chat (chat_id), FOREIGN KEY (chat_id) REFERENCES chats (id) ON DELETE CASCADE);
CREATE TABLE attachments (id BIGINT PRIMARY KEY, message_id BIGINT,
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE);
INSERT INTO chats VALUES (1);
INSERT INTO messages (chat_id, body) VALUES (1, 'a'), (1, 'b');
INSERT INTO attachments VALUES (1, 1);
";

const COPY: &str = "SET foreign_key_checks = 0;
CREATE TABLE messages_new LIKE messages;
ALTER TABLE messages_new MODIFY body LONGTEXT;
INSERT INTO messages_new SELECT * FROM messages;
";

const SWAP: &str = "RENAME TABLE messages TO messages_old, messages_new TO messages;\n";

fn site(bed: &TestBed, name: &str, change: &str) -> Site {
    bed.at(name, &[BEGIN, change])
}

#[test]
fn a_swap_that_drops_the_table_of_a_key_is_refused_on_mysql() {
    let bed = TestBed::new(Backend::Mysql);
    let dropped = format!("{COPY}{SWAP}DROP TABLE messages_old;\n");
    let site_of = |name: &str, change: &str| site(&bed, name, change);
    let refused = site_of("dropped", &dropped);
    let (report, exit) = refused.report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    assert_eq!(errors(&report), ["migration-failed"], "{report:#}");
    let said = report.to_string();
    assert!(said.contains("leads to `messages_old`"), "{said}");
    assert!(!refused.tables().iter().any(|it| it == "messages_old"));
    // The old table stays, and takes no row for a new message.
    let kept = site_of("kept", &format!("{COPY}{SWAP}"));
    let report = kept.up();
    let said = report.to_string();
    assert!(
        codes(&report, "warning").contains(&"objects-lost"),
        "{said}"
    );
    assert!(
        said.contains("leads to `messages_old` and no longer to `messages`"),
        "{said}"
    );
    let own = "ALTER TABLE attachments DROP FOREIGN KEY attachments_ibfk_1;
CREATE TABLE messages_copy AS SELECT * FROM messages;
ALTER TABLE messages_copy ADD PRIMARY KEY (id);
ALTER TABLE attachments ADD CONSTRAINT to_copy FOREIGN KEY (message_id) REFERENCES messages_copy (id);
";
    let report = site_of("meant", own).up();
    assert!(!report.to_string().contains("no longer to"), "{report:#}");
}

#[test]
fn a_key_that_a_swap_keeps_or_that_is_added_again_is_no_loss_on_mysql() {
    let bed = TestBed::new(Backend::Mysql);
    let own = "ALTER TABLE messages ADD CONSTRAINT of_chat FOREIGN KEY (chat_id) REFERENCES chats (id) ON DELETE CASCADE;\n";
    let by_name = "DROP TABLE messages;\nRENAME TABLE messages_new TO messages;\n";
    let moved =
        "DROP TABLE messages_old;\nALTER TABLE attachments DROP FOREIGN KEY attachments_ibfk_1;
ALTER TABLE attachments ADD FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;\n";
    for (name, change, is_lost) in [
        ("by_name", format!("{COPY}{by_name}{own}"), false),
        ("moved", format!("{COPY}{SWAP}{moved}{own}"), false),
        ("without", format!("{COPY}{by_name}"), true),
    ] {
        let site = site(&bed, name, &change);
        let report = site.up();
        let lost = codes(&report, "warning").contains(&"objects-lost");
        assert_eq!(lost, is_lost, "{name}: {report:#}");
        let key = report.to_string().contains("foreign key `messages_ibfk_1`");
        assert_eq!(key, is_lost, "{name}: {report:#}");
        site.texts("INSERT INTO attachments VALUES (2, 2)");
    }
}

#[test]
fn what_modify_forgets_is_reported_on_mysql() {
    let bed = TestBed::new(Backend::Mysql);
    for (name, change, lost) in [
        (
            "counter",
            "SET foreign_key_checks = 0; ALTER TABLE messages MODIFY id BIGINT NOT NULL;",
            Some("`id` on `messages`"),
        ),
        (
            "default",
            "ALTER TABLE messages MODIFY created_at DATETIME(6) NOT NULL;",
            Some("default `created_at` on `messages`"),
        ),
        (
            "nullable",
            "ALTER TABLE messages MODIFY created_at DATETIME(6) NULL DEFAULT CURRENT_TIMESTAMP(6), MODIFY status VARCHAR(20) NULL DEFAULT 'sent';",
            None,
        ),
        (
            "default_of_null",
            "ALTER TABLE messages MODIFY status VARCHAR(20) NULL;",
            Some("default `status` on `messages`"),
        ),
        (
            "both_stay",
            "SET foreign_key_checks = 0; ALTER TABLE messages MODIFY id BIGINT NOT NULL AUTO_INCREMENT, \
             MODIFY created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6);",
            None,
        ),
        (
            "named",
            "ALTER TABLE messages ALTER COLUMN created_at DROP DEFAULT;",
            None,
        ),
    ] {
        let report = site(&bed, name, change).up();
        let warned = codes(&report, "warning").contains(&"objects-lost");
        assert_eq!(warned, lost.is_some(), "{name}: {report:#}");
        let said = report.to_string();
        assert!(said.contains(lost.unwrap_or_default()), "{name}: {said}");
    }
}
