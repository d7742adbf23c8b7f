//! What fails a run, what the last line says, and what each finding carries.

use super::rows::TABLES;
use super::{Chats, found};
use crate::common::stores::{Store, execute, on_each_backend, run};
use crate::common::{codes, root, text};
use serde_json::Value;
use std::fs;

/// So many questions without an answer, each in a conversation of its own, long ago.
fn unanswered(count: u32) -> String {
    let rows: Vec<_> = (1..=count)
        .map(|id| format!("({id}, {id}, 'user', 'q{id}', '2026-01-01 10:00:00', 1)"))
        .collect();
    let chats: Vec<_> = (2..=count).map(|id| format!("({id}, NULL)")).collect();
    format!(
        "INSERT INTO message VALUES {}; INSERT INTO conversation VALUES {}",
        rows.join(", "),
        chats.join(", ")
    )
}

fn reason<'a>(report: &'a Value, code: &str) -> &'a str {
    crate::common::case(report, code)["reason"]
        .as_str()
        .unwrap()
}

#[test]
fn warnings_fail_the_run_where_they_are_asked_to() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, &unanswered(82)]);
    for (more, exit) in [
        (&[][..], 0),
        (&["--fail-on", "error"], 0),
        (&["--fail-on", "warning"], 1),
        (&["--fail-on", "note"], 1),
        (&["--max", "unanswered-turn=82"], 0),
        (&["--max", "unanswered-turn=81"], 1),
        (&["--max", "unanswered-turn=0"], 1),
        // What is accepted fails no run, whatever the level.
        (&["--fail-on", "warning", "--max", "unanswered-turn=82"], 0),
        (&["--fail-on", "warning", "--max", "unanswered-turn=81"], 1),
        (&["--fail-on", "warning", "--check", "empty-answer"], 0),
    ] {
        let (report, code) = chats.report(more);
        assert_eq!(code, exit, "{more:?}: {report:#}");
    }
    let (report, _) = chats.report(&["--max", "unanswered-turn=81"]);
    let told = report["findings"].to_string();
    assert!(
        told.contains("82 were found, and --max unanswered-turn=81 accepts no more"),
        "{told}"
    );
    assert_eq!(
        crate::common::case(&report, "unanswered-turn")["verdict"],
        "violated"
    );

    // The store without them is silent.
    let good = Chats::new(Store::sqlite(), "", &[TABLES, super::rows::ANSWERED]);
    for more in [
        &["--fail-on", "warning"][..],
        &["--max", "unanswered-turn=0"],
    ] {
        assert_eq!(good.report(more).1, 0, "{more:?}");
    }
}

#[test]
fn an_error_is_accepted_up_to_a_number() {
    let orphans = "INSERT INTO message VALUES (7, 99, 'user', 'a', '2026-01-01 10:00:00', 1), (8, 99, 'user', 'b', NULL, 1);";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, orphans]);
    for (max, exit) in [("orphan-message=1", 1), ("orphan-message=2", 0)] {
        let (report, code) = chats.report(&["--check", "orphan-message", "--max", max]);
        assert_eq!(code, exit, "{max}: {report:#}");
        let level = if exit == 1 { "error" } else { "warning" };
        assert_eq!(codes(&report, level), ["orphan-message"]);
    }
    // Notes count for a code that has nothing else, and else not.
    let went_on = "INSERT INTO message VALUES (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1),
        (2, 1, 'user', 'and b', '2026-01-01 10:00:05', 1), (3, 1, 'assistant', 'c', '2026-01-01 10:00:09', 1);
        INSERT INTO conversation VALUES (2, '2026-01-01 09:00:00');";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, went_on]);
    assert_eq!(chats.report(&["--max", "unanswered-turn=0"]).1, 0);
    assert_eq!(chats.report(&["--max", "empty-conversation=1"]).1, 0);
    assert_eq!(chats.report(&["--max", "empty-conversation=0"]).1, 1);
}

#[test]
fn what_is_no_number_of_a_code_is_refused() {
    let chats = Chats::new(Store::sqlite(), "", &[TABLES]);
    for (max, said) in [
        ("unanswered-turn", "--max unanswered-turn=5"),
        ("unanswered-turn=", "not a code with a number"),
        ("unanswered-turn=many", "not a code with a number"),
        ("unanswered-turn=-1", "not a code with a number"),
        ("unansered-turn=1", "did you mean `unanswered-turn`?"),
    ] {
        let output = chats.check(&["--max", max]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{max}");
        assert!(text(&output).1.contains(said), "{max}: {}", text(&output).1);
    }
    for more in [
        &["--check", "empty-answer", "--max", "unanswered-turn=1"][..],
        &["--max", "unanswered-turn=1", "--max", "unanswered-turn=2"],
    ] {
        assert_eq!(chats.check(more).output().unwrap().status.code(), Some(2));
    }
}

#[test]
fn the_last_line_says_what_was_found() {
    let last = |chats: &Chats, more: &[&str]| {
        let output = chats.check(more).output().unwrap();
        let (out, _) = text(&output);
        // It may be wrapped.
        let at = out.trim_end().rfind("\n\n").unwrap();
        out[at..].trim().replace('\n', " ")
    };
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, &unanswered(82)]);
    let line = last(&chats, &[]);
    assert!(
        line.starts_with("held: 0 errors, 1 warning (82 unanswered-turn) in "),
        "{line}"
    );
    assert!(line.contains(" skipped (82 checks)"), "{line}");
    let yellow = last(&chats, &["--color", "always"]);
    assert!(yellow.starts_with("\u{1b}[1;33mheld"), "{yellow}");
    assert!(
        yellow.contains("\u{1b}[33m: 0 errors, 1 warning (82"),
        "{yellow}"
    );
    let orphans = "INSERT INTO message VALUES (7, 99, 'user', 'a', '2026-01-01 10:00:00', 1)";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, orphans]);
    let line = last(&chats, &[]);
    let expected = "violated: 1 error (1 orphan-message), 1 warning (1 unanswered-turn) in ";
    assert!(line.starts_with(expected), "{line}");
    // Where notes fail the run, they are named.
    let empty = "INSERT INTO conversation VALUES (77, NULL)";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, super::rows::ANSWERED, empty]);
    let line = last(&chats, &["--fail-on", "note"]);
    assert!(
        line.starts_with("violated: 0 errors, 0 warnings, notes (")
            && line.contains("1 empty-conversation"),
        "{line}"
    );
    assert!(!last(&chats, &[]).contains("notes"));
    // Where nothing is found nothing is yellow.
    let good = Chats::new(Store::sqlite(), "", &[TABLES, super::rows::ANSWERED]);
    let line = last(&good, &["--color", "always"]);
    assert!(line.contains("held") && !line.contains("33m"), "{line}");
}

#[test]
fn what_is_too_young_is_reported_and_nothing_but_that_is_undecided() {
    let young = "INSERT INTO message VALUES (1, 1, 'user', 'a', datetime('now', '-5 seconds'), 1), \
        (2, 1, 'user', 'b', datetime('now', '-30 seconds'), 1)";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, young]);
    let (report, exit) = chats.report(&["--check", "unanswered-turn"]);
    assert_eq!(
        reason(&report, "unanswered-turn"),
        "nothing could be judged; 2 not judged: younger than --grace 1m"
    );
    assert_eq!(exit, 3, "{report:#}");
    let (report, exit) = chats.report(&["--check", "unanswered-turn", "--grace", "10s"]);
    assert_eq!(
        found(&report, "unanswered-turn"),
        [("no-row".to_owned(), 1)]
    );
    assert!(reason(&report, "unanswered-turn").ends_with("1 not judged: younger than --grace 10s"));
    assert_eq!(exit, 0);
    // One that was answered needs no age.
    let answered = "INSERT INTO message VALUES (3, 1, 'assistant', 'c', datetime('now'), 1)";
    run(async { execute(chats.store.open().await.as_ref(), answered).await });
    let (report, exit) = chats.report(&["--check", "unanswered-turn"]);
    assert_eq!(
        (found(&report, "unanswered-turn").len(), exit),
        (0, 0),
        "{report:#}"
    );
}

/// Local times that are read as UTC lie ahead: then no question would ever be old enough.
#[test]
fn a_time_after_now_is_no_grace() {
    let ahead = "INSERT INTO message VALUES (1, 1, 'user', 'a', datetime('now', '+9 hours'), 1), \
        (2, 1, 'user', 'b', datetime('now', '+8 hours'), 1), (3, 1, 'assistant', 'half', datetime('now', '+8 hours'), 0)";
    let chats = Chats::new(Store::sqlite(), "open = '{done} = 0'\n", &[TABLES, ahead]);
    let (report, exit) =
        chats.report(&["--check", "unanswered-turn", "--check", "stuck-streaming"]);
    assert_eq!(
        found(&report, "unanswered-turn"),
        [("no-row".to_owned(), 1), ("open".to_owned(), 1)]
    );
    // How long it has been open nobody can say.
    assert_eq!(
        found(&report, "stuck-streaming"),
        [("undated".to_owned(), 1)]
    );
    assert!(
        codes(&report, "warning").contains(&"time-ahead"),
        "{report:#}"
    );
    assert_eq!(exit, 0);
    let good = Chats::new(Store::sqlite(), "", &[TABLES, super::rows::ANSWERED]);
    assert!(!codes(&good.report(&[]).0, "warning").contains(&"time-ahead"));
}

#[test]
fn a_span_has_two_ends_and_each_is_a_time_or_a_duration() {
    let bad = "INSERT INTO message VALUES (1, 1, 'assistant', '', '2026-01-01 10:00:00', 1),
        (2, 1, 'assistant', '', '2026-02-01 10:00:00', 1), (3, 1, 'assistant', '', datetime('now', '-2 hours'), 1);";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, bad]);
    for (more, count) in [
        (&[][..], 3),
        (&["--until", "2026-01-15"], 1),
        (&["--since", "2026-01-15T00:00:00Z", "--until", "1day"], 1),
        (&["--since", "3h"], 1),
        (&["--since", "3h", "--until", "1h"], 1),
        (&["--since", "1h"], 0),
        (&["--until", "3h"], 2),
    ] {
        let arguments = [&["--check", "empty-answer"], more].concat();
        let (report, _) = chats.report(&arguments);
        let counted: u64 = found(&report, "empty-answer")
            .iter()
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, count, "{more:?}");
    }
    for more in [
        &["--until", "soon"][..],
        &["--since", "1h", "--until", "3h"],
    ] {
        assert_eq!(
            chats.check(more).output().unwrap().status.code(),
            Some(2),
            "{more:?}"
        );
    }
}

on_each_backend! { each_finding_has_time_user_and_title }

const TITLED: [&str; 3] = [
    "CREATE TABLE conversation (id BIGINT PRIMARY KEY, title VARCHAR(200), owner VARCHAR(200))",
    "CREATE TABLE message (id BIGINT PRIMARY KEY, conversation_id BIGINT, role VARCHAR(20), content VARCHAR(200), created_at VARCHAR(40))",
    "INSERT INTO conversation VALUES (1, 'Trip to \"Rome\", soon', 'olga'), (2, NULL, 'bob')",
];

async fn each_finding_has_time_user_and_title(store: &Store) {
    let mut questions = vec!["(1, 1, 'user', 'a', '2026-01-01 10:00:00')".to_owned()];
    questions
        .extend((2..9).map(|id| format!("({id}, 2, 'user', 'q{id}', '2026-01-02 10:{id:02}:00')")));
    let db = store.open().await;
    for sql in TITLED {
        execute(db.as_ref(), sql).await;
    }
    execute(
        db.as_ref(),
        &format!("INSERT INTO message VALUES {}", questions.join(", ")),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chatctl.toml");
    let mapping =
        super::rows::MAPPING.replace("created = 'created_at'", "title = 'title'\nuser = 'owner'");
    fs::write(&config, mapping).unwrap();
    let check = |more: &[&str]| {
        let mut check = crate::common::chatctl();
        check.args([
            "audit",
            "check",
            "--check",
            "unanswered-turn",
            "--database-url",
        ]);
        check
            .arg(store.url())
            .arg("--config")
            .arg(&config)
            .args(more);
        let output = check.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
        text(&output).0
    };
    let report: Value = serde_json::from_str(&check(&["--format", "json"])).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(
        finding["rows"][0],
        serde_json::json!({
            "cause": "no-row",
            "conversation": "1",
            "title": "Trip to \"Rome\", soon",
            "user": "olga",
            "message": "1",
            "time": "2026-01-01T10:00:00.000Z",
        })
    );
    assert_eq!(finding["rows"].as_array().unwrap().len(), 5, "--examples");
    let fact = finding["evidence"][0]["fact"].as_str().unwrap();
    let expected = "2026-01-01T10:00:00.000Z, user `olga`, conversation `1`, message `1`, titled \"Trip to \"Rome\", soon\"";
    assert_eq!(fact, expected);

    // Every one has a row where rows are asked for.
    let csv = check(&["--format", "csv"]);
    let mut lines = csv.split("\r\n");
    assert_eq!(
        lines.next(),
        Some("severity,code,cause,conversation,title,user,message,time,fact")
    );
    assert_eq!(
        lines.next(),
        Some(
            "warning,unanswered-turn,no-row,1,\"Trip to \"\"Rome\"\", soon\",olga,1,2026-01-01T10:00:00.000Z,"
        )
    );
    assert_eq!(
        lines
            .filter(|line| line.starts_with("warning,unanswered-turn,no-row,2,,bob,"))
            .count(),
        7
    );
    let jsonl = check(&["--format", "jsonl"]);
    let rows: Vec<Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["kind"] == "row")
        .collect();
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0]["code"], "unanswered-turn");
    assert_eq!(
        (&rows[0]["user"], &rows[0]["severity"]),
        (&"olga".into(), &"warning".into())
    );

    // Nothing that users wrote or are called is reported where it is to be hidden.
    for format in ["human", "json", "jsonl", "csv"] {
        let told = check(&["--format", format, "--redact"]);
        for hidden in ["Rome", "olga", "bob"] {
            assert!(!told.contains(hidden), "{format}: {told}");
        }
    }
}

/// A store that an application made, and more rows.
fn made(preset: &str, more: &str) -> (Value, i32) {
    let store = Store::sqlite();
    let dump = root().join(format!("fixtures/presets/{preset}/sqlite.sql"));
    let path = store.url();
    let path = path.strip_prefix("sqlite:").unwrap();
    let app = rusqlite::Connection::open(path).unwrap();
    app.execute_batch(&fs::read_to_string(dump).unwrap())
        .unwrap();
    app.execute_batch(more).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chatctl.toml");
    fs::write(&config, "").unwrap();
    let mut check = crate::common::chatctl();
    check.args(["audit", "check", "--database-url", &store.url(), "--config"]);
    crate::common::report(check.arg(&config))
}

/// What is counted of each cause, over all checks.
fn all(report: &Value) -> Vec<String> {
    let cases = report["cases"].as_array().unwrap();
    let mut all = Vec::new();
    for case in cases {
        for (name, count) in case["metrics"].as_object().unwrap() {
            if name != "found" {
                let count = count.as_f64().unwrap() as u64;
                all.push(format!("{} {name} {count}", case["name"].as_str().unwrap()));
            }
        }
    }
    all.sort();
    all
}

/// As google-adk 2.13.0 writes them: an aborted run ends with an event that has a code and no
/// content, and a step that an agent begins has neither.
#[test]
fn an_event_without_a_content_is_no_empty_answer() {
    let event = |id: &str, minute: u32, data: &str| {
        format!(
            "INSERT INTO events VALUES ('{id}', 'chat', 'user-1', 'milk', 'e-milk-9', '2026-03-01 09:{minute}:00.000000', '{data}');"
        )
    };
    let actions = r#""actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}"#;
    let question = format!(
        r#"{{"content": {{"parts": [{{"text": "and then?"}}], "role": "user"}}, "invocation_id": "e-milk-9", "author": "user", {actions}}}"#
    );
    let answer = question
        .replace("and then?", "Then this.")
        .replace(r#""author": "user""#, r#""author": "root_agent""#);
    let state = format!(r#"{{"invocation_id": "e-milk-9", "author": "root_agent", {actions}}}"#);
    let abort = format!(
        r#"{{"error_code": "INVOCATION_ABORTED", "error_message": "Invocation was aborted by client.", "invocation_id": "e-milk-9", "author": "root_agent", {actions}}}"#
    );
    let before = all(&made("google-adk", "").0);
    let innocent = [
        event("x-1", 51, &question),
        event("x-2", 52, &state),
        event("x-3", 53, &answer),
        event("x-4", 54, &abort),
    ];
    assert_eq!(all(&made("google-adk", &innocent.concat()).0), before);
    // A run that was aborted before it said anything has no answer, and that is what is reported.
    let aborted = [event("x-1", 51, &question), event("x-4", 54, &abort)];
    let mut told = all(&made("google-adk", &aborted.concat()).0);
    told.retain(|it| !before.contains(it));
    // The dump has one such answer already.
    assert_eq!(told, ["unanswered-turn failed 2"]);
    // An answer that is empty is one still.
    let empty = answer.replace("Then this.", "");
    let mut told = all(&made(
        "google-adk",
        &[event("x-1", 51, &question), event("x-3", 53, &empty)].concat(),
    )
    .0);
    told.retain(|it| !before.contains(it));
    assert_eq!(told, ["empty-answer empty 1", "unanswered-turn empty 1"]);
}

#[test]
fn a_part_that_is_still_streaming_is_open() {
    let message = |id: u32, state: &str| {
        format!(
            r#"INSERT INTO "Message_v2" (id, "chatId", role, parts, attachments, "createdAt")
               SELECT 'aaaaaaaa-0000-4000-8000-00000000000{id}', id, 'assistant', '[{{"type": "text", "text": "half", "state": "{state}"}}]', '[]', '2026-03-01 09:5{id}:00' FROM "Chat" LIMIT 1;"#
        )
    };
    // The dump is of PostgreSQL only: its tables, as SQLite takes them.
    let tables = r#"CREATE TABLE "Chat" (id TEXT PRIMARY KEY, "createdAt" TEXT, title TEXT, "userId" TEXT, visibility TEXT);
        CREATE TABLE "Message_v2" (id TEXT PRIMARY KEY, "chatId" TEXT, role TEXT, parts TEXT, attachments TEXT, "createdAt" TEXT);
        CREATE TABLE "Message" (id TEXT PRIMARY KEY, "chatId" TEXT, role TEXT, content TEXT, "createdAt" TEXT);
        INSERT INTO "Chat" VALUES ('c', '2026-03-01 09:00:00', 't', 'u', 'private');"#;
    let check = |more: &str| {
        let store = Store::sqlite();
        run(async {
            let db = store.open().await;
            execute(db.as_ref(), tables).await;
            execute(db.as_ref(), more).await;
        });
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("chatctl.toml");
        fs::write(&config, "").unwrap();
        let mut check = crate::common::chatctl();
        check.args([
            "audit",
            "check",
            "--check",
            "stuck-streaming",
            "--database-url",
            &store.url(),
            "--config",
        ]);
        crate::common::report(check.arg(&config))
    };
    let (report, exit) = check(&message(1, "streaming"));
    assert_eq!(
        (found(&report, "stuck-streaming"), exit),
        (vec![("open".to_owned(), 1)], 1),
        "{report:#}"
    );
    let (report, exit) = check(&message(1, "done"));
    assert_eq!(
        (found(&report, "stuck-streaming"), exit),
        (vec![], 0),
        "{report:#}"
    );
    // Where no part has a state, nothing is shown.
    let (report, exit) = check(&message(1, "done").replace(", \"state\": \"done\"", ""));
    assert_eq!(exit, 3, "{report:#}");
}

/// What a hosted tool did is an item without a name and a text.
#[test]
fn an_item_of_a_hosted_tool_can_be_decoded() {
    let with = |item: &str| {
        let row = format!(
            "INSERT INTO agent_messages (session_id, message_data, created_at) \
             SELECT session_id, '{item}', created_at FROM agent_messages LIMIT 1;"
        );
        all(&made("openai-agents", &row).0)
    };
    let before = all(&made("openai-agents", "").0);
    for item in [
        r#"{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"milk"}}"#,
        r#"{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot"}}"#,
        r#"{"type":"mcp_list_tools","server_label":"x","tools":[]}"#,
        r#"{"type":"compaction","encrypted_content":"x"}"#,
    ] {
        let told = with(item);
        let more: Vec<_> = told.iter().filter(|it| !before.contains(it)).collect();
        assert!(more.is_empty(), "{item}: {more:?}");
    }
    let told = with(r#"{"a":1}"#);
    assert!(
        told.contains(&"undecodable-content undecodable 1".to_owned()),
        "{told:?}"
    );
}

/// A person may allow it days later.
#[test]
fn a_run_that_waits_for_a_person_is_not_stuck() {
    let of = |status: &str| {
        let change = format!("UPDATE agno_runs SET status = '{status}' WHERE run_id = 'run-1'");
        found(&made("agno", &change).0, "stuck-streaming")
    };
    // One of the fixture is running, too.
    assert_eq!(of("RUNNING"), [("open".to_owned(), 2)]);
    assert_eq!(of("PAUSED"), [("open".to_owned(), 1)]);
}

#[test]
fn the_times_of_items_are_known() {
    let (report, _) = made("open-webui-blob", "");
    let skipped = report["findings"].to_string();
    assert!(!skipped.contains("the mapping names no time"), "{skipped}");
    assert_eq!(found(&report, "time-runs-backwards"), []);
    let earlier = "UPDATE chat SET chat = json_set(chat, '$.history.messages.' || \
        (SELECT key FROM json_each(chat, '$.history.messages') WHERE json_extract(value, '$.role') = 'assistant' LIMIT 1) || '.timestamp', 1000000000)";
    let (report, _) = made("open-webui-blob", earlier);
    let counted: u64 = found(&report, "time-runs-backwards")
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert!(counted > 0, "{report:#}");
}

/// ON DELETE SET NULL leaves messages that name nothing. Where most name nothing, that is usual.
#[test]
fn messages_whose_conversation_became_null_are_a_warning() {
    let named = "INSERT INTO message VALUES (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', NULL, 1);";
    let unnamed = "INSERT INTO message VALUES (3, NULL, 'user', 'c', NULL, 1), (4, NULL, 'assistant', 'd', NULL, 1);";
    let more = "INSERT INTO message VALUES (5, NULL, 'user', 'e', NULL, 1);";
    for (sql, expected) in [
        (&[TABLES, named, unnamed][..], &["orphan-message"][..]),
        (&[TABLES, named], &[]),
        (&[TABLES, named, unnamed, more], &[]),
    ] {
        let chats = Chats::new(Store::sqlite(), "", sql);
        let (report, code) = chats.report(&["--check", "orphan-message"]);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(codes(&report, "warning"), expected, "{report:#}");
    }
}

/// Conditions and indexes may need what only the application has. Then the rows can be read all the same.
#[test]
fn what_only_the_application_knows_is_no_damage() {
    let index = "CREATE INDEX text_of ON message (content COLLATE NOCASE)";
    let condition = "PRAGMA writable_schema = ON; UPDATE sqlite_master \
        SET sql = replace(sql, 'content TEXT', 'content TEXT CHECK (content REGEXP ''a'')') WHERE name = 'message'";
    let collation = "PRAGMA writable_schema = ON; \
        UPDATE sqlite_master SET sql = replace(sql, 'NOCASE', 'icu') WHERE name = 'text_of'";
    for foreign in [condition, collation] {
        let row = "INSERT INTO message VALUES (1, 1, 'user', 'banana', '2026-01-01 10:00:00', 1)";
        let chats = Chats::new(Store::sqlite(), "", &[TABLES, row, index, foreign]);
        let (report, code) = chats.report(&[]);
        assert_eq!(code, 0, "{report:#}");
    }
}

/// A torn write: SQLite reads the zeros as rows without values.
#[test]
fn a_damaged_page_is_never_held() {
    let many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 400)
        INSERT INTO message SELECT x, 1, 'user', 'a text of a torn page ' || x, '2026-01-01 10:00:00', 1 FROM n";
    let chats = Chats::new(Store::sqlite(), "", &[TABLES, many]);
    let url = chats.store.url();
    let path = url.strip_prefix("sqlite:").unwrap();
    let read = |command: &str| {
        let mut chatctl = crate::common::chatctl();
        chatctl.args(["audit", command, "--database-url", &url, "--config"]);
        chatctl.arg(chats.config());
        if command == "snapshot" {
            chatctl
                .arg("--output")
                .arg(chats.config.path().join("a.snapshot"));
        }
        let output = chatctl.output().unwrap();
        (output.status.code(), text(&output).1)
    };
    assert_eq!(read("check").0, Some(0));
    let mut bytes = std::fs::read(path).unwrap();
    let half = bytes
        .chunks(4096)
        .position(|page| page[0] == 13 && page[2048..].windows(9).any(|text| text == b"torn page"));
    let start = half.unwrap() * 4096 + 2048;
    bytes[start..start + 2048].fill(0);
    std::fs::write(path, bytes).unwrap();
    for command in ["check", "rate", "snapshot"] {
        let (exit, said) = read(command);
        assert_eq!(exit, Some(3), "{command}: {said}");
        assert!(said.contains("is damaged"), "{command}: {said}");
    }
}
