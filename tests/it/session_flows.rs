//! Turns that are more than one streamed request: forms, answers that are started and then fetched or
//! polled, ids that the stream gives out, and other forms of the history.

use crate::common::{Turn, case, chatctl, python, report, root};
use chatctl::stream::session::{Outside, parse};
use serde_json::Value;
use std::{fs, thread};

/// A form, and a history with a record for each turn.
const MULTIPART: &str = r#"
profile = "agno"

[request]
request = "POST /agents/a/runs"
multipart = { message = "{user}", session_id = "{run}", stream = "true", notes = { file = "n.txt", content = "milk\n" } }

[[turn]]
user = "Add a task"
answer = "Added."

[history]
request = "GET /chats/{run}/turns"
question = "$.query"
answer = "$.answer"
"#;

/// The answer is started, and then its stream is fetched.
const TWO_STEP: &str = r#"
profile = "plain"

[request]
request = "POST /threads/{run}/messages"
json = { id = "{uuid}", key = "{nanoid}", turn = "{turn}", message = "{user}" }
status = 202
capture = { started = "$.run" }

[stream]
request = "GET /runs/{started}/stream"

[[turn]]
user = "Add a task"
answer = "Added."

[[turn]]
user = "And one more"
answer = "Added, too."
pause = "50ms"

[history]
request = "GET /threads/{run}/messages"
"#;

/// The answer is started, and its state is asked for until it is done.
const POLL: &str = r#"
[profile]
text = { path = "$.text", mode = "snapshot" }
final = { json = { path = "$.state", equals = "done" } }

[request]
request = "POST /threads/{run}/messages"
json = { id = "{uuid}", key = "{nanoid}", turn = "{turn}", message = "{user}" }
status = 202
capture = { started = "$.run" }

[stream]
request = "GET /runs/{started}"
poll = "20ms"

[[turn]]
user = "Add a task"
answer = "Added."
"#;

/// The server names the thread in the stream; the history is a snapshot of the same protocol.
const IDS: &str = r#"
profile = "ag-ui"

[request]
request = "POST /chat"
json = { message = "{user}" }
capture = { thread = "$.threadId" }

[[turn]]
user = "Add a task"
answer = "Added."

[[turn]]
user = "And one more"
answer = "Added, too."
request = "POST /chat"
json = { message = "{user}", thread = "{thread}" }

[history]
request = "GET /threads/{thread}/snapshot"
framing = "sse"
messages = "$.messages[*]"
"#;

fn verify(flow: &str, session: &str, save: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    fs::write(&file, session).unwrap();
    let server = root().join("tests/servers/flows.py");
    let start = format!(
        "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --flow {flow} --save {save}",
        python().display(),
        server.display(),
    );
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let arguments = [
        "verify-stream",
        "--ready",
        "/health",
        "--proof",
        "gate",
        "--trials",
        "3",
    ];
    let (report, _) = report(
        chatctl()
            .args(arguments)
            .args(["--database-url", &url, "--start", &start])
            .arg(&file),
    );
    report
}

#[test]
fn every_flow_tells_a_right_server_from_a_wrong_one() {
    let _turn = Turn::shared();
    let flows = [
        ("multipart", MULTIPART),
        ("two-step", TWO_STEP),
        ("poll", POLL),
        ("ids", IDS),
    ];
    thread::scope(|scope| {
        for (flow, session) in flows {
            scope.spawn(move || {
                let right = verify(flow, session, "before");
                let verdict = &case(&right, "/order")["verdict"];
                assert_eq!(verdict, "proven", "{flow}: {right:#}");
                let wrong = right["findings"].as_array().unwrap().iter();
                let wrong: Vec<_> = wrong.filter(|found| found["severity"] != "note").collect();
                assert!(wrong.is_empty(), "{flow}: {wrong:#?}");
                let late = verify(flow, session, "300");
                let verdict = &case(&late, "/order")["verdict"];
                assert_eq!(verdict, "violated", "{flow}: {late:#}");
            });
        }
    });
}

/// The answer's head comes before its stream, and has an id as well.
#[test]
fn a_turn_is_captured_from_a_header_or_a_cookie() {
    let _turn = Turn::shared();
    thread::scope(|scope| {
        for from in ["header:X-Thread", "cookie:thread"] {
            scope.spawn(move || {
                let session = IDS.replace("$.threadId", from);
                let report = verify("ids", &session, "before");
                let verdict = &case(&report, "/order")["verdict"];
                assert_eq!(verdict, "proven", "{from}: {report:#}");
                // The second turn is in the first one's thread, and the history shows both.
                let wrong = report["findings"].as_array().unwrap().iter();
                let wrong: Vec<_> = wrong.filter(|found| found["severity"] != "note").collect();
                assert!(wrong.is_empty(), "{from}: {wrong:#?}");
            });
        }
    });
}

#[test]
fn mistakes_have_a_place() {
    let outside = Outside {
        profiles: &["plain"],
        read: &|_| Err("no file".to_owned()),
        env: &|_| None,
    };
    for (from, to, message, help) in [
        (
            "poll = \"20ms\"",
            "pol = \"20ms\"",
            "s.toml:14:1: unknown key `pol` in [stream]",
            "did you mean `poll`?",
        ),
        (
            "poll = \"20ms\"",
            "poll = \"20\"",
            "s.toml:14:8: `20` is not a duration: time unit needed, for example 20sec or 20ms",
            "write a number and a unit: `200ms`, `2s`, `1m`",
        ),
        (
            "GET /runs/{started}",
            "GET /runs/{start}",
            "s.toml:13:22: unknown name `{start}`",
            "did you mean `{started}`? known here: `{user}`, `{messages}`, `{turn}`, `{idempotency_key}`, `{run}`, `{uuid}`, `{nanoid}`, `{started}`",
        ),
        (
            "answer = \"Added.\"",
            "answer = \"Added.\"\njson = { a = 1 }",
            "s.toml:19:1: [[turn]] has `json` and no `request`",
            "add `request = \"POST /…\"`; a turn's own request takes nothing from [request]",
        ),
        (
            "answer = \"Added.\"",
            "answer = \"Added.\"\n[history]\nrequest = \"GET /h\"\nquestion = \"$.q\"",
            "s.toml:21:1: [history] has `question` and no `answer`",
            "records that hold a whole turn need both; others have `role` and `content`",
        ),
        (
            "json = { id",
            "multipart = { f = { content = \"x\" } }\nform = { id",
            "s.toml:9:1: [request] has both `multipart` and `form`",
            "keep one of the two",
        ),
    ] {
        let error = parse("s.toml", &POLL.replace(from, to), &outside).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.help.unwrap_or_default(), help);
    }
}
