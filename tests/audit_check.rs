//! Each check of `audit check` on a bad store, which it must count and name, and on a good one.
#![allow(clippy::unwrap_used)]

mod common;

use common::chatctl;
use common::codes;
use common::report;
use common::stores::Store;
use common::stores::execute;
use common::stores::run;
use common::text;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const TABLES: &str = "CREATE TABLE conversation (id INTEGER PRIMARY KEY, created_at TEXT);
CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT, done INTEGER DEFAULT 1);
CREATE INDEX message_conversation ON message (conversation_id);
INSERT INTO conversation VALUES (1, '2026-01-01 09:00:00');";

const MAPPING: &str = "[[store]]
[store.conversation]
table = 'conversation'
created = 'created_at'
[store.message]
table = 'message'
conversation = ['conversation_id']
role = 'role'
content = 'content'
time = 'created_at'
";

/// A check, the rows on which it fires, those on which it is silent, and what it must tell.
struct Row {
    code: &'static str,
    /// What of the mapping this check needs beside the usual.
    mapping: &'static str,
    bad: &'static str,
    good: &'static str,
    /// Cause and count.
    counts: &'static [(&'static str, u64)],
    /// A piece of the evidence.
    names: &'static str,
}

const ANSWERED: &str = "INSERT INTO message VALUES
    (1, 1, 'user', 'Hello?', '2026-01-01 10:00:00', 1),
    (2, 1, 'assistant', 'Hello.', '2026-01-01 10:00:05', 1);";

const ROWS: &[Row] = &[
    Row {
        code: "unanswered-turn",
        mapping: "open = '{done} = 0'\nerror = '{done} = 9'\n",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'again', '2026-01-01 10:00:00', 1),
            (2, 1, 'user', 'again', '2026-01-01 10:01:00', 1),
            (3, 1, 'assistant', '', '2026-01-01 10:01:05', 1),
            (4, 1, 'user', 'b', '2026-01-01 11:00:00', 1),
            (5, 1, 'assistant', 'half', '2026-01-01 11:00:00', 0),
            (6, 1, 'user', 'c', '2026-01-01 12:00:00', 1),
            (7, 1, 'assistant', 'no', '2026-01-01 12:00:00', 9),
            (8, 1, 'user', 'd', '2026-01-01 13:00:00', 1);",
        good: ANSWERED,
        counts: &[("asked-again", 1), ("empty", 1), ("open", 1), ("failed", 1), ("no-row", 1)],
        names: "conversation 1, message 8",
    },
    Row {
        code: "empty-answer",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'assistant', ' ', '2026-01-01 10:00:00', 1);",
        good: ANSWERED,
        counts: &[("empty", 1)],
        names: "message 7",
    },
    Row {
        code: "stuck-streaming",
        mapping: "open = '{done} = 0'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'assistant', 'half', '2026-01-01 10:00:00', 0);",
        // One that was begun just now is under way.
        good: "INSERT INTO message VALUES (7, 1, 'assistant', 'half', datetime('now'), 0);",
        counts: &[("open", 1)],
        names: "message 7: 4 characters are stored",
    },
    Row {
        code: "orphan-message",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 99, 'user', 'a', '2026-01-01 10:00:00', 1), (8, 99, 'user', 'b', NULL, 1);",
        good: ANSWERED,
        counts: &[("no-conversation", 2)],
        names: "message 7 names conversation 99",
    },
    Row {
        code: "empty-conversation",
        mapping: "",
        bad: "INSERT INTO conversation VALUES (2, '2026-01-01 09:00:00');",
        good: ANSWERED,
        counts: &[("no-message", 2)],
        names: "conversation 2",
    },
    Row {
        code: "duplicate-message",
        mapping: "",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'user', 'a', '2026-01-01 10:00:01', 1),
            (3, 1, 'assistant', 'b', '2026-01-01 10:00:10', 1), (4, 1, 'assistant', 'b', '2026-01-01 10:00:40', 1);",
        // People say yes twice, with an answer in between.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'yes', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'ok', '2026-01-01 10:00:01', 1),
            (3, 1, 'user', 'yes', '2026-01-01 10:00:01', 1), (4, 1, 'assistant', 'ok', '2026-01-01 10:00:02', 1);",
        counts: &[("user", 1), ("assistant", 1)],
        names: "message 4: the same as message 3",
    },
    Row {
        code: "order-tied",
        mapping: "order = ['created_at']\n",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', '2026-01-01 10:00:00', 1);",
        good: ANSWERED,
        counts: &[("same-time", 1)],
        names: "the same time as message",
    },
    Row {
        code: "time-runs-backwards",
        mapping: "",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', '2026-01-01 09:59:00', 1);",
        // Within a second two clocks may differ.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00.9', 1), (2, 1, 'assistant', 'b', '2026-01-01 10:00:00.1', 1);",
        counts: &[("earlier", 1)],
        names: "message 2: 60 s before message 1",
    },
    Row {
        code: "role-unknown",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'narrator', 'a', NULL, 1), (8, 1, NULL, 'a', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'system', 'a', NULL, 1), (8, 1, 'Human', 'a', NULL, 1);",
        counts: &[("unknown", 1), ("missing", 1)],
        names: "role `narrator`",
    },
    Row {
        code: "replacement-character",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'user', 'caf\u{fffd}', NULL, 1), (8, 1, 'user', 'so ????', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', 'café, really??', NULL, 1);",
        counts: &[("replaced", 1), ("question-marks", 1)],
        names: "message 7: at byte 3 of 6",
    },
    Row {
        code: "truncated-answer",
        mapping: "content = 'body'\n",
        bad: "ALTER TABLE message ADD body VARCHAR(20);
            INSERT INTO message VALUES (7, 1, 'assistant', '', NULL, 1, 'exactly twenty chars'),
            (8, 1, 'assistant', '', NULL, 1, '```sh' || char(10) || 'ls'), (9, 1, 'user', '', NULL, 1, 'caf\u{fffd}');",
        good: "ALTER TABLE message ADD body VARCHAR(20);
            INSERT INTO message VALUES (7, 1, 'assistant', '', NULL, 1, 'nineteen characters'),
            (8, 1, 'assistant', '', NULL, 1, '```' || char(10) || 'ls' || char(10) || '```');",
        counts: &[("length-limit", 1), ("open-code-fence", 1), ("half-a-character", 1)],
        names: "message 7: 20 characters",
    },
    Row {
        code: "undecodable-content",
        mapping: "content = 'content::$.text'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'user', '{text: broken}', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"a\"}', NULL, 1);",
        counts: &[("undecodable", 1)],
        names: "it begins with `{text: broken}`",
    },
    Row {
        code: "truncated-answer",
        mapping: "content = 'content::$.text'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"cut of', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"a\"}', NULL, 1);",
        counts: &[("json-ends", 1)],
        names: "message 7",
    },
    Row {
        code: "error-text-as-answer",
        mapping: "",
        bad: "INSERT INTO message VALUES
            (1, 1, 'assistant', 'Internal Server Error', NULL, 1),
            (2, 1, 'assistant', '{\"error\": {\"message\": \"overloaded\"}}', NULL, 1),
            (3, 1, 'assistant', 'openai.RateLimitError: slow down', NULL, 1);",
        // Words about errors, and a user who shows one.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'Internal Server Error', NULL, 1),
            (2, 1, 'assistant', 'An Internal Server Error means that …', NULL, 1),
            (3, 1, 'assistant', 'openai.chat is a module', NULL, 1),
            (4, 1, 'assistant', '{\"error\": false}', NULL, 1);",
        counts: &[("error-text", 3)],
        names: "it begins with `Internal Server Error`",
    },
    Row {
        code: "branch-broken",
        mapping: "parent = 'parent'\n",
        bad: "ALTER TABLE message ADD parent INTEGER;
            INSERT INTO message VALUES (1, 1, 'user', 'a', NULL, 1, 99),
            (2, 1, 'user', 'b', NULL, 1, 3), (3, 1, 'assistant', 'c', NULL, 1, 2);",
        good: "ALTER TABLE message ADD parent INTEGER;
            INSERT INTO message VALUES (1, 1, 'user', 'a', NULL, 1, NULL), (2, 1, 'assistant', 'b', NULL, 1, 1),
            (3, 1, 'assistant', 'c', NULL, 1, 1), (4, 1, 'user', 'd', NULL, 1, 0);",
        counts: &[("parent-missing", 1), ("circle", 1)],
        names: "message 1: message 99 is before it",
    },
    Row {
        code: "foreign-keys-off",
        mapping: "table = 'kept'\n",
        bad: "CREATE TABLE kept (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversation (id), role, content, created_at);
            INSERT INTO kept VALUES (7, 99, 'user', 'a', NULL);",
        good: "CREATE TABLE kept (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversation (id), role, content, created_at);
            INSERT INTO kept VALUES (7, 1, 'user', 'a', NULL);",
        counts: &[("violated", 1)],
        names: "`kept`: row 7 refers to conversation",
    },
    Row {
        code: "no-index",
        mapping: "",
        bad: "DROP INDEX message_conversation; CREATE INDEX other ON message (role, conversation_id);",
        good: "DROP INDEX message_conversation; CREATE INDEX other ON message (conversation_id, id);",
        counts: &[("full-scan", 1)],
        names: "`message`.`conversation_id`",
    },
];

/// A store with a mapping beside it.
struct Chats {
    store: Store,
    config: tempfile::TempDir,
}

impl Chats {
    /// The lines of `more` win over those of the usual mapping.
    fn new(store: Store, more: &str, sql: &[&str]) -> Self {
        run(async {
            let db = store.open().await;
            for statement in sql {
                execute(db.as_ref(), statement).await;
            }
        });
        let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
        let own: Vec<_> = more.lines().map(key).collect();
        let (head, message) = MAPPING.split_once("[store.message]\n").unwrap();
        let usual = message.lines().filter(|line| !own.contains(&key(line)));
        let usual: Vec<_> = usual.collect();
        let config = tempfile::tempdir().unwrap();
        let text = format!("{head}[store.message]\n{}\n{more}", usual.join("\n"));
        fs::write(config.path().join("chatctl.toml"), text).unwrap();
        Self { store, config }
    }

    fn config(&self) -> std::path::PathBuf {
        self.config.path().join("chatctl.toml")
    }

    fn check(&self, more: &[&str]) -> Command {
        let mut command = chatctl();
        command.args([
            "audit",
            "check",
            "--database-url",
            &self.store.url(),
            "--config",
        ]);
        command.arg(self.config()).args(more);
        command
    }

    fn report(&self, more: &[&str]) -> (Value, i32) {
        report(&mut self.check(more))
    }
}

fn found(report: &Value, code: &str) -> Vec<(String, u64)> {
    let metrics = common::case(report, code)["metrics"].as_object().unwrap();
    let causes = metrics.iter().filter(|(name, _)| *name != "found");
    causes
        .map(|(name, count)| (name.clone(), count.as_f64().unwrap() as u64))
        .collect()
}

#[test]
fn each_check_fires_on_the_bad_store_and_is_silent_on_the_good_one() {
    for row in ROWS {
        let bad = Chats::new(Store::sqlite(), row.mapping, &[TABLES, row.bad]);
        let (report, exit) = bad.report(&["--check", row.code]);
        let mut expected: Vec<_> = row
            .counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        expected.sort();
        let mut counted = found(&report, row.code);
        counted.sort();
        assert_eq!(counted, expected, "{}: {report:#}", row.code);
        let evidence = report["findings"].to_string();
        let names = serde_json::to_string(row.names).unwrap();
        assert!(
            evidence.contains(names.trim_matches('"')),
            "{}: {report:#}",
            row.code
        );
        let errors = codes(&report, "error");
        assert_eq!(exit, i32::from(!errors.is_empty()), "{}", row.code);

        let good = Chats::new(Store::sqlite(), row.mapping, &[TABLES, row.good]);
        let (report, exit) = good.report(&["--check", row.code]);
        assert_eq!(found(&report, row.code), [], "{}: {report:#}", row.code);
        assert_eq!((report["findings"].as_array().unwrap().len(), exit), (0, 0));
    }
    // Every check is in the table, but the one with a folder of its own.
    for check in chatctl::audit::checks::ALL {
        let tested = ROWS.iter().any(|row| row.code == check.code);
        assert!(tested || check.code == "missing-table", "{}", check.code);
    }
}

/// What the store alone shows to be lost fails the run; what may be innocent does not.
#[test]
fn only_a_certain_loss_fails_the_run() {
    for (code, fails) in [
        ("orphan-message", true),
        ("stuck-streaming", true),
        ("branch-broken", true),
        ("unanswered-turn", false),
        ("duplicate-message", false),
    ] {
        let row = ROWS.iter().find(|row| row.code == code).unwrap();
        let bad = Chats::new(Store::sqlite(), row.mapping, &[TABLES, row.bad]);
        let (_, exit) = bad.report(&["--check", code]);
        assert_eq!(exit, i32::from(fails), "{code}");
    }
    // Where users may delete a conversation, what is left of it is untidy.
    let bad = Chats::new(Store::sqlite(), "", &[TABLES, ROWS[3].bad]);
    let text = fs::read_to_string(bad.config()).unwrap();
    fs::write(
        bad.config(),
        text.replace("[[store]]\n", "[[store]]\nallow = ['delete']\n"),
    )
    .unwrap();
    let (report, exit) = bad.report(&["--check", "orphan-message"]);
    assert_eq!(
        (codes(&report, "warning"), exit),
        (vec!["orphan-message"], 0)
    );
}

#[test]
fn since_and_examples_cut_what_is_told() {
    let bad = "INSERT INTO message VALUES (1, 1, 'assistant', '', '2026-01-01 10:00:00', 1),
        (2, 1, 'assistant', '', '2026-02-01 10:00:00', 1), (3, 1, 'assistant', '', '2026-02-02 10:00:00', 1);";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, bad]);
    let arguments = [
        "--check",
        "empty-answer",
        "--examples",
        "1",
        "--since",
        "2026-01-15",
    ];
    let (report, _) = chats.report(&arguments);
    assert_eq!(found(&report, "empty-answer"), [("empty".to_owned(), 2)]);
    let evidence = report["findings"][0]["evidence"].as_array().unwrap();
    let facts: Vec<_> = evidence
        .iter()
        .map(|it| it["fact"].as_str().unwrap())
        .collect();
    assert_eq!(
        facts,
        [
            "conversation 1, message 2",
            "1 more are not named; --examples 2 would"
        ]
    );
    let grace = ["--check", "empty-answer", "--grace", "36500d"];
    assert_eq!(found(&chats.report(&grace).0, "empty-answer"), []);
}

#[test]
fn an_unknown_code_suggests_the_nearest() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES]);
    let output = chats.check(&["--check", "orphan-mesage"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).1.contains("did you mean `orphan-message`?"),
        "{}",
        text(&output).1
    );
}

/// What can't be looked for is told; who asks for it by its name gets no pass.
#[test]
fn a_check_that_does_not_fit_is_told_as_skipped() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, ANSWERED]);
    let (whole, exit) = chats.report(&[]);
    assert_eq!(exit, 0, "{whole:#}");
    let notes = whole["findings"].as_array().unwrap().iter();
    let skipped: Vec<_> = notes
        .filter(|it| it["code"] == "check-skipped")
        .map(|it| it["subject"].as_str().unwrap())
        .collect();
    for code in [
        "missing-table",
        "branch-broken",
        "stuck-streaming",
        "undecodable-content",
    ] {
        assert!(skipped.contains(&code), "{code}: {skipped:?}");
    }
    assert_eq!(chats.report(&["--check", "stuck-streaming"]).1, 3);
    let opaque = "[[store]]\nshape = 'opaque'\n[store.message]\ntable = 'message'\npayload = ['content']\nconversation = ['conversation_id']\n";
    fs::write(chats.config(), opaque).unwrap();
    assert_eq!(chats.report(&["--check", "empty-answer"]).1, 3);
}

#[test]
fn a_table_that_is_gone_is_named() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES]);
    let folder = chats.config.path().join("migrations");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("1_chat.sql"), TABLES).unwrap();
    let dir = folder.to_str().unwrap();
    assert_eq!(
        chats.report(&["--dir", dir, "--check", "missing-table"]).1,
        0
    );
    fs::write(
        folder.join("2_more.sql"),
        "CREATE TABLE attachment (id INTEGER);",
    )
    .unwrap();
    let (report, exit) = chats.report(&["--dir", dir, "--check", "missing-table"]);
    assert_eq!(
        (found(&report, "missing-table"), exit),
        (vec![("missing".to_owned(), 1)], 1)
    );
    assert!(
        report["findings"]
            .to_string()
            .contains("table `attachment`")
    );
    // A table of the mapping itself: nothing else can be looked at.
    run(async { execute(chats.store.open().await.as_ref(), "DROP TABLE message").await });
    let (report, exit) = chats.report(&[]);
    assert_eq!(
        (codes(&report, "error"), exit),
        (vec!["missing-table"], 1),
        "{report:#}"
    );
}

/// The statements of the checks that ask the catalogue, where they differ.
#[test]
fn servers_are_asked_in_their_own_words() {
    for (store, mysql) in [(Store::postgres(), false), (Store::mysql(), true)] {
        let key = if mysql { "VARCHAR(36)" } else { "UUID" };
        let uuid = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
        let conversation =
            format!("CREATE TABLE conversation (id {key} PRIMARY KEY, created_at TIMESTAMP NULL)");
        let engine = if mysql { " ENGINE=MyISAM" } else { "" };
        let tables = format!(
            "CREATE TABLE message (id INT PRIMARY KEY, conversation_id VARCHAR(36), role VARCHAR(20), content TEXT, created_at TIMESTAMP NULL){engine}"
        );
        let bad = format!(
            "INSERT INTO message VALUES (1, '{0}', 'user', 'q', '2026-01-01 10:00:00'), (2, '{0}', 'assistant', {2}, '2026-01-01 10:00:01'), (3, '{1}', 'user', 'lost', NULL)",
            uuid(1),
            uuid(9),
            if mysql { "repeat('x', 65535)" } else { "'a'" },
        );
        let rows = format!(
            "INSERT INTO conversation VALUES ('{}', NULL), ('{}', NULL)",
            uuid(1),
            uuid(2)
        );
        let mut sql = vec![
            conversation.as_str(),
            tables.as_str(),
            rows.as_str(),
            bad.as_str(),
        ];
        if !mysql {
            sql.push("CREATE TABLE other (id UUID PRIMARY KEY)");
            sql.push("ALTER TABLE message ADD other UUID REFERENCES other (id), ADD CONSTRAINT late FOREIGN KEY (other) REFERENCES other (id) NOT VALID");
        }
        let chats = Chats::new(store, "", &sql);
        let (report, exit) = chats.report(&[]);
        assert_eq!(exit, 1, "{report:#}");
        let one = |name: &str| vec![(name.to_owned(), 1)];
        assert_eq!(
            found(&report, "orphan-message"),
            one("no-conversation"),
            "{report:#}"
        );
        assert_eq!(found(&report, "empty-conversation"), one("no-message"));
        assert_eq!(found(&report, "no-index"), one("full-scan"));
        assert_eq!(found(&report, "unanswered-turn"), one("no-row"));
        let (keys, cut) = match mysql {
            true => (one("no-transactions"), one("column-full")),
            false => (one("not-checked"), vec![]),
        };
        assert_eq!(found(&report, "foreign-keys-off"), keys, "{report:#}");
        assert_eq!(found(&report, "truncated-answer"), cut);
        run(async {
            let db = chats.store.open().await;
            execute(
                db.as_ref(),
                "CREATE INDEX by_conversation ON message (conversation_id)",
            )
            .await;
        });
        assert_eq!(found(&chats.report(&[]).0, "no-index"), []);
        assert!(Path::new(&chats.config()).exists());
    }
}
