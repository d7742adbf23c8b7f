//! Whole files, as the tools of the domain write them.

use super::*;

/// Each statement as the name of its kind and the tables that it changes.
#[track_caller]
fn outline(sql: &str, dialect: Dialect) -> Vec<String> {
    let outline = |text: &str| -> Vec<String> {
        split(text, dialect)
            .unwrap()
            .iter()
            .map(|statement| {
                let facts = facts(statement, dialect);
                let kind = format!("{:?}", facts.kind);
                let end = kind.find([' ', '{']).unwrap_or(kind.len());
                let tables = facts.tables().map(|name| format!(" {name}"));
                let tables: String = tables.collect();
                format!("{}{tables}", &kind[..end])
            })
            .collect()
    };
    let plain = outline(sql);
    let windows = ["\u{feff}", &sql.replace('\n', "\r\n")].concat();
    assert_eq!(outline(&windows), plain);
    plain
}

#[test]
fn a_rebuild_of_drizzle() {
    let sql = "PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_conversations` (
\t`id` integer PRIMARY KEY NOT NULL,
\t`title` text DEFAULT 'New; chat' NOT NULL
);
--> statement-breakpoint
INSERT INTO `__new_conversations`(\"id\", \"title\") SELECT \"id\", \"title\" FROM `conversations`;\
--> statement-breakpoint
DROP TABLE `conversations`;--> statement-breakpoint
ALTER TABLE `__new_conversations` RENAME TO `conversations`;--> statement-breakpoint
PRAGMA foreign_keys=ON;";
    assert_eq!(
        outline(sql, Dialect::Sqlite),
        [
            "Pragma",
            "CreateTable __new_conversations",
            "Insert __new_conversations",
            "DropTable conversations",
            "AlterTable __new_conversations",
            "Pragma",
        ]
    );
}

#[test]
fn a_batch_of_alembic() {
    let sql = "BEGIN TRANSACTION;

CREATE TABLE _alembic_tmp_messages (
\tid INTEGER NOT NULL, \n\tbody TEXT, \n\tPRIMARY KEY (id), \n\
\tFOREIGN KEY(id) REFERENCES conversations (id) ON DELETE CASCADE
);

INSERT INTO _alembic_tmp_messages (id, body) SELECT messages.id, messages.body \nFROM messages;

DROP TABLE messages;

ALTER TABLE _alembic_tmp_messages RENAME TO messages;

UPDATE alembic_version SET version_num='ae10' WHERE alembic_version.version_num = '19';

COMMIT;
";
    assert_eq!(
        outline(sql, Dialect::Sqlite),
        [
            "Begin",
            "CreateTable _alembic_tmp_messages",
            "Insert _alembic_tmp_messages",
            "DropTable messages",
            "AlterTable _alembic_tmp_messages",
            "Update alembic_version",
            "Commit",
        ]
    );
}

#[test]
fn a_rebuild_of_django() {
    let sql = r#"BEGIN;
--
-- Alter field body on message
--
CREATE TABLE "new__chat_message" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "body" varchar(5) NOT NULL, "c_id" bigint NOT NULL REFERENCES "chat_c" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "new__chat_message" ("id", "c_id", "body") SELECT "id", "c_id", coalesce("body", '') FROM "chat_message";
DROP TABLE "chat_message";
ALTER TABLE "new__chat_message" RENAME TO "chat_message";
CREATE INDEX "chat_message_c_id_e0" ON "chat_message" ("c_id");
COMMIT;
"#;
    assert_eq!(
        outline(sql, Dialect::Sqlite),
        [
            "Begin",
            "CreateTable new__chat_message",
            "Insert new__chat_message",
            "DropTable chat_message",
            "AlterTable new__chat_message",
            "CreateIndex chat_message",
            "Commit",
        ]
    );
}

#[test]
fn an_fts_index_and_its_triggers() {
    let sql = "CREATE VIRTUAL TABLE messages_fts USING fts5(body, content='messages', content_rowid='id');
CREATE TRIGGER messages_ad AFTER DELETE ON messages BEGIN
  INSERT INTO messages_fts(messages_fts, rowid, body) VALUES ('delete', old.id, old.body);
END;
INSERT INTO messages_fts(messages_fts) VALUES ('rebuild');
VACUUM INTO 'backup.db';";
    assert_eq!(
        outline(sql, Dialect::Sqlite),
        [
            "CreateTable messages_fts",
            "CreateTrigger messages",
            "Insert messages_fts",
            "Vacuum",
        ]
    );
}

#[test]
fn a_dump_of_mysql() {
    let sql = "-- MariaDB dump
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
DROP TABLE IF EXISTS `messages`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `messages` (
  `body` text DEFAULT 'it\\'s; -- #'
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4;
LOCK TABLES `messages` WRITE;
/*!40000 ALTER TABLE `messages` DISABLE KEYS */;
INSERT INTO `messages` VALUES ('a\\\\'),(\"b;\\\"\");
UNLOCK TABLES;
";
    assert_eq!(
        outline(sql, Dialect::Mysql),
        [
            "SetVariable",
            "DropTable messages",
            "SetVariable",
            "CreateTable messages",
            "Lock messages",
            "AlterTable messages",
            "Insert messages",
            "Lock",
        ]
    );
}

/// `ALTER … MODIFY` fails in strict mode and cuts values off without it.
#[test]
fn a_narrowing_that_turns_the_strict_mode_off() {
    let sql = "SET sql_mode=''; ALTER TABLE messages MODIFY body varchar(5)";
    let statements = split(sql, Dialect::Mysql).unwrap();
    let all: Vec<_> = statements
        .iter()
        .map(|s| facts(s, Dialect::Mysql))
        .collect();
    assert_eq!(all[0].kind.set_value("sql_mode"), Some(""));
    assert_eq!(all[1].destroys(), Destroys::Possibly);
}
