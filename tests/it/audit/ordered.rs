//! The order of messages by a column of its own, on each backend.

use super::chats::{Chats, MAPPING, told};
use crate::common::stores::{Store, on_each_backend};

on_each_backend! { messages_in_another_order_are_found }

async fn messages_in_another_order_are_found(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&MAPPING.replace(
        "append = \"id\"",
        "append = \"id\"\norder = [\"position\", \"id\"]",
    ));
    chats.sql("ALTER TABLE message ADD COLUMN position INTEGER");
    let numbered = "UPDATE message SET position = id";
    chats.sql(numbered);
    chats.snapshot("each.cas");
    let mut taken = vec!["each.cas"];
    // SQLite makes no sums.
    if !chats.url.starts_with("sqlite") {
        chats.snapshot_with("sums.cas", &["--quick"]);
        taken.push("sums.cas");
    }
    for file in taken {
        for same in [
            "UPDATE message SET position = position * 10 + 3",
            "UPDATE message SET position = position - 1000",
        ] {
            chats.sql(same);
            let (report, code) = chats.compare(&[file]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("", 0),
                "{same}: {report:#}"
            );
        }
        for (other, conversation) in [
            ("UPDATE message SET position = -position", "1"),
            // The first two messages of a conversation change places.
            (
                "UPDATE message SET position = 36 - position WHERE id IN (10, 26)",
                "5",
            ),
        ] {
            chats.sql(numbered);
            chats.sql(other);
            let (report, code) = chats.compare(&[file, "--examples", "100"]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("E message-altered", 1),
                "{other}: {report:#}"
            );
            let named = report["findings"].to_string();
            assert!(
                named.contains(&format!("conversation `{conversation}`")),
                "{named}"
            );
        }
        chats.sql(numbered);
    }
}
