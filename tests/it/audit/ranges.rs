//! Messages that are read in several ranges at a time are the same messages.

use super::chats::{Chats, figure, told};
use crate::common::servers::run_sql;
use crate::common::stores::{Store, run};
use crate::common::text;
use sqlx::{Connection as _, Executor as _, MySqlConnection};
use std::fmt::Write as _;

/// So many messages that they fill some pages.
const MESSAGES: u64 = 600;

/// A kind of key: the columns that differ, in PostgreSQL and in MariaDB, the key of the message of a
/// number, and what the mapping says of it.
struct Keys {
    columns: [&'static str; 2],
    key: fn(u64) -> String,
    mapping: &'static str,
}

const KEYS: [Keys; 5] = [
    Keys {
        columns: ["id bigint PRIMARY KEY", "id BIGINT PRIMARY KEY"],
        key: |number| (number * 7).to_string(),
        mapping: "append = \"id\"",
    },
    Keys {
        columns: ["id uuid PRIMARY KEY", "id UUID PRIMARY KEY"],
        key: |number| format!("'{}'", uuid(number)),
        mapping: "",
    },
    Keys {
        columns: ["id char(36) PRIMARY KEY", "id CHAR(36) PRIMARY KEY"],
        key: |number| format!("'{}'", uuid(number).to_uppercase()),
        mapping: "",
    },
    Keys {
        columns: ["id text PRIMARY KEY", "id VARCHAR(40) PRIMARY KEY"],
        key: |number| format!("'msg_{}'", &uuid(number)[9..30]),
        mapping: "",
    },
    Keys {
        columns: [
            "of text, id bigint, PRIMARY KEY (of, id)",
            "of VARCHAR(9), id BIGINT, PRIMARY KEY (of, id)",
        ],
        key: |number| number.to_string(),
        mapping: "key = [\"of\", \"id\"]",
    },
];

/// Of no order at all.
fn uuid(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    let digits = format!("{:032x}", random.u128(..));
    format!(
        "{}-{}-4{}-8{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..]
    )
}

fn fill(chats: &Chats, keys: &Keys) {
    let at = usize::from(chats.url.starts_with("mysql"));
    let composite = keys.columns[0].starts_with("of");
    let rows = (1..=MESSAGES).map(|number| {
        let of = if composite {
            format!("'c{}', ", number % 5)
        } else {
            String::new()
        };
        let role = ["user", "assistant"][(number % 2) as usize];
        format!(
            "({of}{}, {}, '{role}', 'text {number} {}')",
            (keys.key)(number),
            number % 10,
            "x".repeat(300)
        )
    });
    let rows: Vec<_> = rows.collect();
    let mut sql = format!(
        "CREATE TABLE message ({}, chat bigint NOT NULL, role varchar(20), body varchar(1000)",
        keys.columns[at]
    );
    let columns = if composite { "of, id" } else { "id" };
    write!(
        sql,
        "); INSERT INTO message ({columns}, chat, role, body) VALUES {}",
        rows.join(", ")
    )
    .unwrap();
    chats.sql(&sql);
    chats.map(&format!(
        "[[store]]\nshape = \"row\"\n[store.message]\ntable = \"message\"\nconversation = [\"chat\"]\n\
         role = \"role\"\ncontent = \"body\"\n{}\n",
        keys.mapping
    ));
}

fn whatever_the_keys(store: &Store) {
    for keys in &KEYS {
        let chats = Chats::looking_at(store.url());
        fill(&chats, keys);
        let one = chats.snapshot_with("one.cas", &[]);
        let four = chats.snapshot_with("four.cas", &["--ranges", "4"]);
        assert_eq!(figure(&one, "ranges"), 1);
        assert_eq!(figure(&four, "ranges"), 4, "{}", keys.columns[0]);
        for arguments in [
            &["one.cas", "four.cas"][..],
            &["four.cas", "one.cas"],
            &["one.cas", "--ranges", "3"],
            &["four.cas"],
        ] {
            let (report, code) = chats.compare(arguments);
            let same = (told(&report), code, figure(&report, "messages"));
            assert_eq!(
                same,
                (String::new(), 0, MESSAGES),
                "{arguments:?} {report:#}"
            );
            assert_eq!(figure(&report, "intact_conversations"), 10);
        }
        // And what is missing, in whichever range it was, is missed.
        for number in [1, MESSAGES / 2, MESSAGES] {
            chats.sql(&format!(
                "DELETE FROM message WHERE body LIKE 'text {number} %'"
            ));
        }
        let (report, code) = chats.compare(&["four.cas", "--ranges", "4"]);
        assert_eq!((told(&report).as_str(), code), ("E message-lost", 1));
        assert_eq!(
            report["findings"][0]["evidence"].as_array().unwrap().len(),
            3,
            "{report:#}"
        );
        chats.sql("DROP TABLE message");
    }
}

#[test]
fn ranges_of_postgres_hold_each_message_once() {
    whatever_the_keys(&Store::postgres());
}

#[test]
fn ranges_of_mariadb_hold_each_message_once() {
    whatever_the_keys(&Store::mysql());
}

/// Rows of partitions are in files of their own, and the parts of a message in those of another
/// table.
#[test]
fn partitions_and_parts_are_cut_too() {
    let store = Store::postgres();
    let chats = Chats::looking_at(store.url());
    chats.sql(
        "CREATE TABLE message (id bigint, chat bigint, role text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE early PARTITION OF message FOR VALUES FROM (0) TO (200);
         CREATE TABLE late PARTITION OF message FOR VALUES FROM (200) TO (100000);
         CREATE TABLE part (message_id bigint, place int, body text);
         INSERT INTO message SELECT n, n % 7, CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END FROM generate_series(0, 999) n;
         INSERT INTO part SELECT n / 3, n % 3, 'part ' || n FROM generate_series(0, 2999) n",
    );
    chats.map(
        "[[store]]\nshape = \"row\"\n[store.message]\ntable = \"message\"\nkey = [\"id\"]\nconversation = [\"chat\"]\n\
         role = \"role\"\nappend = \"id\"\n[store.parts]\ntable = \"part\"\nkey = \"message_id\"\norder = \"place\"\ncontent = \"body\"\n",
    );
    chats.snapshot("before.cas");
    let taken = chats.snapshot_with("ranges.cas", &["--ranges", "3"]);
    assert_eq!(figure(&taken, "ranges"), 3);
    let (report, code) = chats.compare(&["before.cas", "ranges.cas"]);
    let same = (told(&report), code, figure(&report, "messages"));
    assert_eq!(same, (String::new(), 0, 1000), "{report:#}");
    chats.sql("UPDATE part SET body = 'other' WHERE message_id = 500 AND place = 2");
    let (report, code) = chats.compare(&["before.cas", "--ranges", "3"]);
    assert_eq!((told(&report).as_str(), code), ("E message-altered", 1));
}

/// `--ranges` is a wish: what can't be had is said, and everything is read all the same.
#[test]
fn one_range_is_read_where_there_can_be_no_more() {
    let sqlite = Store::sqlite();
    let mariadb = Store::mysql();
    run_sql(
        &mariadb.url(),
        "CREATE USER reader IDENTIFIED BY 'reader'; GRANT SELECT ON chat.* TO reader",
    );
    let mut chats = [&sqlite, &mariadb].map(Chats::in_store);
    chats[1].url = chats[1].url.replace("root@", "reader:reader@");
    for (chats, why) in chats.iter().zip(["cannot share a snapshot", "RELOAD"]) {
        let mut snapshot = chats.audit(&["snapshot", "-o", "before.cas", "--ranges", "4"]);
        let (_, told) = text(&snapshot.output().unwrap());
        let told = told.replace('\n', " ");
        assert!(
            told.contains("read in one range") && told.contains(why),
            "{told}"
        );
        let (report, code) = chats.compare(&["before.cas", "--ranges", "4"]);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(figure(&report, "ranges"), 1);
    }
}

/// Whoever makes a backup is not disturbed.
#[test]
fn one_range_is_read_while_a_backup_is_made() {
    let store = Store::mysql();
    let chats = Chats::in_store(&store);
    run(async {
        let mut backup = MySqlConnection::connect(&chats.url).await.unwrap();
        backup.execute("BACKUP STAGE START").await.unwrap();
        let mut snapshot = chats.audit(&["snapshot", "-o", "before.cas", "--ranges", "2"]);
        let output = snapshot.output().unwrap();
        let (_, told) = text(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("a backup or a schema change"), "{told}");
        backup.execute("BACKUP STAGE END").await.unwrap();
    });
    let taken = chats.snapshot_with("before.cas", &["--ranges", "2"]);
    assert_eq!(figure(&taken, "ranges"), 2);
}

/// What is known of a store whose rows other servers keep is said: an extension of that name is all
/// that tells it.
#[test]
fn one_range_is_read_of_a_store_that_is_spread_over_servers() {
    let store = Store::postgres();
    let chats = Chats::in_store(&store);
    chats.sql(
        "SET allow_system_table_mods = on;
         INSERT INTO pg_extension VALUES (99999, 'citus', 10, 2200, false, '12.1', NULL, NULL)",
    );
    let mut snapshot = chats.audit(&["snapshot", "-o", "before.cas", "--ranges", "2"]);
    let output = snapshot.output().unwrap();
    let (_, told) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in ["a separate snapshot", "says nothing", "read in one range"] {
        assert!(told.contains(part), "{told}");
    }
}
