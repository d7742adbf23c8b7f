//! `audit rate`: the share of a store whose turns are known, and the probe on real servers.

use crate::common::stores::{Store, execute, run};
use crate::common::{Chat, case, chatctl, codes, errors, report, root, small, text};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// Minutes ago, and what became of the question.
const TURNS: &[(u32, &str)] = &[
    (0, "young"),
    (10, "answered"),
    (20, "answered"),
    (30, "no-row"),
    (90, "answered"),
    (100, "empty"),
    (4_000, "no-row"),
];

fn store(turns: &[(u32, &str)]) -> Store {
    let store = Store::sqlite();
    let mut sql = "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT);".to_owned();
    for (number, (minutes, what)) in turns.iter().enumerate() {
        let row = |role: &str, content: &str| {
            format!(
                "INSERT INTO message (conversation_id, role, content, created_at) VALUES ({number}, '{role}', '{content}', datetime('now', '-{minutes} minutes'));"
            )
        };
        sql += &row("user", "a question");
        match *what {
            "answered" => sql += &row("assistant", "an answer"),
            "empty" => sql += &row("assistant", ""),
            _ => {}
        }
    }
    run(async { execute(store.open().await.as_ref(), &sql).await });
    store
}

fn rate(store: &Store, more: &[&str]) -> Command {
    let mut command = chatctl();
    command
        .args(["audit", "rate", "--database-url", &store.url()])
        .args(more);
    command
}

fn metric(report: &Value, name: &str, metric: &str) -> f64 {
    case(report, name)["metrics"][metric]
        .as_f64()
        .unwrap_or(-1.0)
}

#[test]
fn questions_are_counted_by_window_and_cause() {
    let store = store(TURNS);
    let (report_, exit) = report(&mut rate(&store, &[]));
    assert_eq!(exit, 0, "{report_:#}");
    for (name, expected) in [
        ("questions", 5.0),
        ("answered", 3.0),
        ("no-row", 1.0),
        ("empty", 1.0),
        ("answered_share", 0.6),
    ] {
        assert_eq!(
            metric(&report_, "answered", name),
            expected,
            "{name}: {report_:#}"
        );
    }
    // The three questions of the last hour and a half, as if the server had been started then.
    let (report_, _) = report(&mut rate(&store, &["--since-restart", "80m"]));
    assert_eq!(metric(&report_, "answered-since-restart", "questions"), 3.0);
    let (report_, _) = report(&mut rate(&store, &["--grace", "25m"]));
    assert_eq!(metric(&report_, "answered", "questions"), 3.0);
}

/// On a day in the past, so that it is known in which windows the questions fall.
#[test]
fn windows_begin_on_the_clock_and_are_reported_by_it() {
    let store = store(&[]);
    let rows = [
        ("08:59:59", "q0", ""),
        ("09:30:00", "q1", "a"),
        ("10:00:00", "q2", ""),
        ("10:59:59", "q3", "a"),
        ("11:20:00", "q4", ""),
        ("12:00:00", "q5", ""),
    ];
    let mut sql = String::new();
    for (number, (clock, question, answer)) in rows.iter().enumerate() {
        for (role, text) in [("user", question), ("assistant", answer)] {
            if !text.is_empty() {
                sql += &format!(
                    "INSERT INTO message (conversation_id, role, content, created_at) \
                     VALUES ({number}, '{role}', '{text}', '2026-01-05 {clock}');"
                );
            }
        }
    }
    run(async { execute(store.open().await.as_ref(), &sql).await });
    let span = [
        "--since",
        "2026-01-05T09:10:00Z",
        "--until",
        "2026-01-05 12:00:00",
    ];
    let (report_, exit) = report(rate(&store, &span).args(["--min", "0.9"]));
    assert_eq!((errors(&report_), exit), (vec!["answered-rate-low"], 1));
    let answered = case(&report_, "answered");
    let windows: Vec<_> = answered["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["time"].as_str().unwrap(), it["what"].as_str().unwrap()))
        .collect();
    let expected = [
        ("2026-01-05T09:00:00Z", "1 of 1 answered"),
        ("2026-01-05T10:00:00Z", "1 of 2 answered"),
        ("2026-01-05T11:00:00Z", "0 of 1 answered"),
    ];
    assert_eq!(windows, expected, "{report_:#}");
    let reason = answered["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("by 1h from 2026-01-05T09:00:00Z (· where nothing was asked): █▄▁"),
        "{reason}"
    );
    let told = report_["findings"].to_string();
    let window = "from 2026-01-05T10:00:00Z to 2026-01-05T11:00:00Z: 1 of 2 answered";
    assert!(told.contains(window), "{told}");
    let (human, _) = text(&rate(&store, &span).output().unwrap());
    assert!(
        human.contains("2026-01-05T11:00:00Z  store    0 of 1 answered"),
        "{human}"
    );
    // Days begin at midnight, and both ends may be durations.
    let (report_, _) = report(rate(&store, &span).args(["--window", "1d"]));
    let day = &case(&report_, "answered")["timeline"][0];
    assert_eq!(day["time"], "2026-01-05T00:00:00Z", "{report_:#}");
    let (report_, exit) = report(&mut rate(&store, &["--since", "90s", "--until", "60s"]));
    assert_eq!((metric(&report_, "answered", "questions"), exit), (0.0, 3));
}

/// The status column counts where no mapping declares it.
#[test]
fn an_answer_that_its_row_calls_unfinished_or_failed_does_not_count() {
    for (status, share, exit) in [
        ("complete", 1.0, 0),
        ("stopped", 1.0, 0),
        ("streaming", 0.5, 1),
        ("failed", 0.5, 1),
    ] {
        let store = store(&[(10, "answered"), (20, "answered")]);
        let sql = format!(
            "ALTER TABLE message ADD COLUMN status TEXT;
            UPDATE message SET status = CASE WHEN role = 'user' OR conversation_id = 0 THEN 'complete' ELSE '{status}' END"
        );
        run(async { execute(store.open().await.as_ref(), &sql).await });
        let (report_, code) = report(&mut rate(&store, &["--min", "0.99"]));
        assert_eq!(code, exit, "{status}: {report_:#}");
        assert_eq!(
            metric(&report_, "answered", "answered_share"),
            share,
            "{status}"
        );
    }
}

#[test]
fn too_few_answers_fail_and_no_question_decides_nothing() {
    let store = store(TURNS);
    let (report_, exit) = report(&mut rate(&store, &["--min", "0.99"]));
    assert_eq!((errors(&report_), exit), (vec!["answered-rate-low"], 1));
    assert!(
        report_["findings"].to_string().contains("message"),
        "{report_:#}"
    );
    assert_eq!(report(&mut rate(&store, &["--min", "0.6"])).1, 0);
    let (report_, exit) = report(&mut rate(&store, &["--last", "5m", "--min", "0.1"]));
    assert_eq!(
        (report_["verdict"].as_str().unwrap(), exit),
        ("inconclusive", 3)
    );
    for wrong in [
        &["--min", "99"][..],
        &["--window", "1ms"],
        &["--since-restart", "auto"],
        &["--since-restart", "soon"],
        &["--since", "soon"],
        &["--since", "1h", "--until", "2h"],
        &["--since", "1h", "--last", "1h"],
        &["--since", "1970-01-01", "--window", "1s"],
    ] {
        assert_eq!(
            rate(&store, wrong).output().unwrap().status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}

#[test]
fn the_file_for_prometheus_is_whole_and_can_be_read_by_others() {
    let store = store(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatctl.prom");
    fs::write(&path, "the one before").unwrap();
    // Whoever opened the old file goes on reading the old one: it was not written into.
    let mut old = fs::File::open(&path).unwrap();
    let arguments = ["--min", "0.99", "--prometheus", path.to_str().unwrap()];
    assert_eq!(
        rate(&store, &arguments).output().unwrap().status.code(),
        Some(1)
    );
    let mut before = String::new();
    std::io::Read::read_to_string(&mut old, &mut before).unwrap();
    assert_eq!(before, "the one before");
    let text = fs::read_to_string(&path).unwrap();
    for line in [
        "# TYPE chatctl_answered_ratio gauge",
        "chatctl_answered_ratio{span=\"looked-at\"} 0.6",
        "chatctl_questions{span=\"looked-at\"} 5",
        "chatctl_questions_unanswered{span=\"looked-at\",cause=\"no-row\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

/// Sends the turns of the shipped session to a real server.
fn probe(chat: &Chat) -> (Value, i32) {
    let session = root().join("fixtures/sessions/shipped/plain.toml");
    let mut command = chatctl();
    command.args([
        "audit", "rate", "--probes", "2", "--settle", "700ms", "--probe",
    ]);
    command.arg(session);
    command.args([
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
    ]);
    command.args(["--ready", "/health", "--start", &chat.start()]);
    report(&mut command)
}

#[test]
fn a_server_that_saves_before_the_marker_stores_all() {
    let chat = Chat::new("correct").stack("async");
    let (report, exit) = probe(&chat);
    assert_eq!(exit, 0, "{report:#}");
    for client in ["/read-to-end", "/close-at-final"] {
        assert_eq!(metric(&report, client, "save_share"), 1.0, "{report:#}");
        assert_eq!(metric(&report, client, "sent"), 2.0);
    }
    assert_eq!(errors(&report), [] as [&str; 0]);
}

/// How many answers there are of each outcome: whole, marked, unmarked, nothing, unknown.
fn outcomes(report: &Value, client: &str) -> [f64; 5] {
    ["whole", "cut-marked", "cut-unmarked", "nothing", "unknown"]
        .map(|outcome| metric(report, client, outcome))
}

/// Probes the small server, once with each client.
fn probe_small(options: &[&str]) -> (Value, i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let session = root().join("fixtures/sessions/shipped/plain.toml");
    let mut command = chatctl();
    command.args(["audit", "rate", "--probes", "1", "--settle", "700ms"]);
    command.arg("--probe").arg(session);
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    command.args(["--database-url", &url, "--ready", "/health"]);
    command.args(["--start", &small::start(options), "--format", "json"]);
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (report, output.status.code().unwrap_or(-1), text(&output).1)
}

/// The server makes its file after the first question, and the tables in it a moment later.
#[test]
fn a_store_that_comes_late_is_waited_for() {
    let (report, exit, told) = probe_small(&["--late", "200"]);
    assert_eq!(exit, 0, "{report:#} {told}");
    assert!(
        told.contains("waiting for the server to create it"),
        "{told}"
    );
}

/// A client that leaves in mid-stream: the server goes on, keeps a part that it marks, keeps a
/// part that looks whole, or keeps nothing.
#[test]
fn an_answer_is_whole_or_cut_or_not_there() {
    let kept = ["--keep", "status", "--left"];
    for (left, expected, warnings) in [
        ("whole", [1.0, 0.0, 0.0, 0.0, 0.0], 0),
        ("marked", [0.0, 1.0, 0.0, 0.0, 0.0], 0),
        ("cut", [0.0, 0.0, 1.0, 0.0, 0.0], 1),
        ("never", [0.0, 0.0, 0.0, 1.0, 0.0], 1),
    ] {
        let (report, exit, _) = probe_small(&[&kept[..], &[left]].concat());
        assert_eq!(
            outcomes(&report, "/close-in-stream"),
            expected,
            "{left}: {report:#}"
        );
        for client in ["/read-to-end", "/close-at-final"] {
            assert_eq!(metric(&report, client, "whole"), 1.0, "{left}: {report:#}");
        }
        assert_eq!(
            (codes(&report, "warning").len(), exit),
            (warnings, 0),
            "{left}: {report:#}"
        );
        let told = report["findings"].to_string();
        assert_eq!(told.contains("not marked as cut"), left == "cut", "{told}");
        // The text that the provider had said by then, and not a character less.
        let has_seen = told.contains("the client had seen 34 characters");
        assert_eq!(has_seen, warnings == 1, "{told}");
    }
}

/// Frames of JSON are no text: the client does not leave at the first of them, nor counts them.
#[test]
fn a_probe_leaves_at_text_and_counts_no_frames() {
    let options = ["--keep", "status", "--left", "marked", "--frames"];
    let (report, exit, notes) = probe_small(&options);
    let expected = [0.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(
        outcomes(&report, "/close-in-stream"),
        expected,
        "{report:#}"
    );
    assert_eq!(exit, 0, "{report:#}");
    assert!(
        notes.contains("profile `plain` does not read the text"),
        "{notes}"
    );
    let (report, _, _) = probe_small(&["--left", "never", "--frames"]);
    let told = report["findings"].to_string();
    assert!(
        told.contains("nothing of the answer is stored; the question"),
        "{told}"
    );
}

/// The question of a turn that the client left is stored with its answer, and so with none.
#[test]
fn a_question_that_only_some_rows_have_is_lost() {
    let (report, exit, _) = probe_small(&["--keep", "turns", "--left", "never"]);
    assert_eq!(
        (errors(&report), exit),
        (vec!["user-message-lost"], 1),
        "{report:#}"
    );
    let (report, exit, _) = probe_small(&["--left", "never"]);
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}

/// The first response shows the profile, so that each client does what it is there for.
#[test]
fn a_probe_without_a_profile_reads_what_the_server_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session.toml");
    let shipped = root().join("fixtures/sessions/shipped/plain.toml");
    let shipped = fs::read_to_string(shipped).unwrap();
    fs::write(&session, shipped.replace("profile = \"plain\"", "")).unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let start = small::start(&["--wire", "khoj"]);
    let (report, exit) = report(
        chatctl()
            .args(["audit", "rate", "--probes", "1", "--settle", "700ms"])
            .arg("--probe")
            .arg(&session)
            .args([
                "--database-url",
                &url,
                "--ready",
                "/health",
                "--start",
                &start,
            ]),
    );
    assert_eq!(exit, 0, "{report:#}");
    assert!(
        codes(&report, "note").contains(&"profile-detected"),
        "{report:#}"
    );
    for client in ["/read-to-end", "/close-in-stream", "/close-at-final"] {
        assert_eq!(case(&report, client)["verdict"], "held", "{report:#}");
    }
    // Without the profile nobody sees the marker to hang up at.
    assert_eq!(
        metric(&report, "/close-at-final", "whole"),
        1.0,
        "{report:#}"
    );
}

/// Where no conversation is named, what is new in the table is looked at.
#[test]
fn a_part_is_found_where_no_conversation_is_named() {
    let (report, _, _) = probe_small(&["--keep", "turns", "--left", "cut"]);
    let expected = [0.0, 0.0, 1.0, 0.0, 0.0];
    assert_eq!(
        outcomes(&report, "/close-in-stream"),
        expected,
        "{report:#}"
    );
    assert_eq!(metric(&report, "/read-to-end", "whole"), 1.0, "{report:#}");
}

/// The server asks a provider of its own: of a client that left nobody knows the whole answer.
#[test]
fn what_nobody_has_read_is_not_judged() {
    let (report, exit, notes) = probe_small(&["--own", "--left", "cut"]);
    let unknown = [0.0, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(outcomes(&report, "/close-in-stream"), unknown, "{report:#}");
    assert_eq!(metric(&report, "/read-to-end", "whole"), 1.0, "{report:#}");
    assert_eq!(exit, 0, "{report:#}");
    assert!(notes.contains("its own provider"), "{notes}");
    let (_, exit, notes) = probe_small(&["--own", "--frames"]);
    assert_eq!(exit, 2, "{notes}");
    assert!(
        notes.contains("are JSON, and profile `plain` takes them for text"),
        "{notes}"
    );
}

/// A client that stays gets all of it, and the store keeps a part that looks whole.
#[test]
fn an_answer_that_is_cut_is_not_stored() {
    let (report, exit) = probe(&Chat::new("truncated"));
    assert_eq!(
        (errors(&report), exit),
        (vec!["save-rate-low"; 2], 1),
        "{report:#}"
    );
    assert_eq!(
        metric(&report, "/read-to-end", "cut-unmarked"),
        2.0,
        "{report:#}"
    );
    assert_eq!(
        metric(&report, "/read-to-end", "save_share"),
        0.0,
        "{report:#}"
    );
}

#[test]
fn a_server_that_saves_after_the_marker_loses_what_is_hung_up_on() {
    // Whether one that saves at once notices in time that nobody listens is a matter of luck.
    let chat = Chat::kept("json", "after");
    let (report, exit) = probe(&chat);
    assert_eq!(
        (errors(&report), exit),
        (vec!["save-rate-low"], 1),
        "{report:#}"
    );
    assert_eq!(
        metric(&report, "/read-to-end", "save_share"),
        1.0,
        "{report:#}"
    );
    assert!(
        metric(&report, "/close-at-final", "save_share") < 1.0,
        "{report:#}"
    );
    // To forget an answer in mid-stream may be meant.
    assert!(
        codes(&report, "warning")
            .iter()
            .all(|code| *code == "save-rate-low")
    );
}

/// Whatever cleans up behind a client that has left saves the answer a second time.
#[test]
fn an_answer_that_is_stored_twice_is_reported() {
    let (report, exit, _) = probe_small(&["--spoil", "twice"]);
    let at_final = case(&report, "/close-at-final");
    assert_eq!((at_final["verdict"].as_str(), exit), (Some("violated"), 1));
    let is_it = |code: &&str| *code == "answer-duplicated";
    assert!(errors(&report).iter().all(is_it), "{report:#}");
    let (report, exit, _) = probe_small(&[]);
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}
