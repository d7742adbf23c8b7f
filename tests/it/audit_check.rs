//! Each check of `audit check` on a bad store, which it must count and name, and on a good one.

mod backends;
mod innocent;
mod rows;
mod told;

use crate::common::stores::{Store, execute, run};
use crate::common::{chatctl, codes, report, text};
use rows::{ANSWERED, MAPPING, ROWS, TABLES};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// A store with a mapping next to it.
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
        let (report, exit) = report(&mut self.check(more));
        let schema = serde_json::from_str(chatctl::render::SCHEMAS[0].1).unwrap();
        assert!(jsonschema::is_valid(&schema, &report), "{report:#}");
        (report, exit)
    }
}

fn found(report: &Value, code: &str) -> Vec<(String, u64)> {
    let metrics = crate::common::case(report, code)["metrics"]
        .as_object()
        .unwrap();
    let causes = metrics
        .iter()
        .filter(|(name, _)| !["found", "too_young"].contains(&name.as_str()));
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

/// No check is misled by what people, agents and tools do.
#[test]
fn nothing_is_found_in_chats_in_which_nothing_is_wrong() {
    let chats = Chats::new(
        Store::sqlite(),
        innocent::MAPPING,
        &[TABLES, innocent::CHATS],
    );
    let (report, exit) = chats.report(&[]);
    let findings = report["findings"].as_array().unwrap();
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| finding["code"] != "check-skipped")
        .map(|finding| (&finding["subject"], &finding["severity"]))
        .collect();
    let one = [(&"message: went-on".into(), &"note".into())];
    assert_eq!((told.as_slice(), exit), (&one[..], 0), "{report:#}");
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
    let orphans = ROWS.iter().find(|row| row.code == "orphan-message");
    let bad = Chats::new(Store::sqlite(), "", &[TABLES, orphans.unwrap().bad]);
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
    // What it was followed by too; links that lead in a circle nobody can delete.
    let parents = "ALTER TABLE message ADD parent INTEGER; INSERT INTO message VALUES (1, 1, 'user', 'a', NULL, 1, 99);";
    let bad = Chats::new(Store::sqlite(), "parent = 'parent'\n", &[TABLES, parents]);
    let text = fs::read_to_string(bad.config()).unwrap();
    let text = text.replace("[[store]]\n", "[[store]]\nallow = ['delete']\n");
    fs::write(bad.config(), text).unwrap();
    let (report, exit) = bad.report(&["--check", "branch-broken"]);
    assert_eq!(
        (codes(&report, "warning"), exit),
        (vec!["branch-broken"], 0)
    );
    let circle = "INSERT INTO message VALUES (2, 1, 'user', 'b', NULL, 1, 3), (3, 1, 'assistant', 'c', NULL, 1, 2)";
    run(async { execute(bad.store.open().await.as_ref(), circle).await });
    assert_eq!(bad.report(&["--check", "branch-broken"]).1, 1);
}

/// The user asks on while the answer is still being written.
#[test]
fn a_turn_that_is_answered_after_the_next_question_runs_no_clock_backwards() {
    let tables = "CREATE TABLE turn (id INTEGER PRIMARY KEY, chat INTEGER, prompt TEXT, response TEXT, asked TEXT, answered TEXT);
        INSERT INTO turn VALUES (1, 1, 'a', 'b', '2026-01-01 10:00:00', '2026-01-01 10:01:00'),
        (2, 1, 'c', 'd', '2026-01-01 10:00:30', '2026-01-01 10:00:40');";
    let chats = Chats::new(Store::sqlite(), "", &[tables]);
    let mapping = "[[store]]\nshape = 'turn'\n[store.message]\ntable = 'turn'\nconversation = ['chat']\n\
        prompt = 'prompt'\nresponse = 'response'\ntime = 'asked'\nresponse_time = 'answered'\nappend = 'id'\n";
    fs::write(chats.config(), mapping).unwrap();
    let look = || {
        found(
            &chats.report(&["--check", "time-runs-backwards"]).0,
            "time-runs-backwards",
        )
    };
    assert_eq!(look(), []);
    let earlier = "UPDATE turn SET asked = '2026-01-01 09:00:00' WHERE id = 2";
    run(async { execute(chats.store.open().await.as_ref(), earlier).await });
    assert_eq!(look(), [("earlier".to_owned(), 1)]);
}

#[test]
fn since_and_examples_cut_what_is_reported() {
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
            "2026-02-01T10:00:00.000Z, conversation `1`, message `2`",
            "1 more is not listed; --examples 2 lists it, and --format csv or jsonl lists all"
        ]
    );
    assert_eq!(report["summary"]["checked"], 2);
    // A range in which nothing is.
    let (report, code) = chats.report(&["--since", "2026-03-01"]);
    assert_eq!((&report["summary"]["checked"], code), (&0.into(), 0));
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

/// What can't be looked for is reported; who asks for it by its name gets no pass.
#[test]
fn a_check_that_does_not_fit_is_reported_as_skipped() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, ANSWERED]);
    let (whole, exit) = chats.report(&[]);
    assert_eq!(exit, 0, "{whole:#}");
    let notes = whole["findings"].as_array().unwrap();
    let note = notes.iter().find(|it| it["code"] == "check-skipped");
    let skipped = note.unwrap()["evidence"].to_string();
    for code in [
        "missing-table",
        "branch-broken",
        "stuck-streaming",
        "undecodable-content",
    ] {
        assert!(
            skipped.contains(&format!("`{code}`: ")),
            "{code}: {skipped}"
        );
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
