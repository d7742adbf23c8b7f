//! Every profile that is a file: what it reads, and that it tells a right server from a wrong one.

use crate::common::{Turn, case, chatctl, codes, errors, report, root, small};
use chatctl::gateway::providers;
use chatctl::stream::body::Body;
use chatctl::stream::marker::FinalMarker;
use chatctl::stream::profiles::Profile;
use chatctl::stream::session::parse_profile;
use chatctl::stream::{profiles, turn};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

const TEXT: &str = "Grüße, buy milk\n";
/// Profiles that have code of their own, and tests beside it.
const CODED: [&str; 2] = ["plain", "openai-chat"];

/// What those say in their fixtures that keep reasoning apart.
const THOUGHT: &str = "Milk, then. ";
const THINKING: [&str; 8] = [
    "vercel-data",
    "adk",
    "librechat",
    "agno",
    "chat-ui",
    "onyx",
    "khoj",
    "open-webui",
];
/// Those that do not say when the text is complete, other than by the final marker.
const COMPLETE_UNSAID: [&str; 12] = [
    "text",
    "langgraph",
    "langserve",
    "dify",
    "flowise",
    "anythingllm",
    "mcp",
    "librechat",
    "langflow",
    "onyx",
    "ragflow-legacy",
    "chainlit",
];

/// Those that do not say which tools are called.
const CALLS_UNSAID: [&str; 3] = ["mcp", "ragflow", "khoj"];

/// MCP has the text in its last event only.
fn said_before_the_end(profile: &Profile) -> &'static str {
    if profile.name == "mcp" { "" } else { TEXT }
}

fn files() -> impl Iterator<Item = &'static Profile> {
    let all = profiles::ALL.iter();
    all.filter(|profile| !CODED.contains(&profile.name))
}

/// What a profile reads of a body, in chunks of some bytes; of a WebSocket, in messages, a line each.
fn read(profile: &Profile, body: &[u8], size: usize) -> turn::Turn {
    let mut reader = profile.start(profile.marker());
    let mut decoder = Body::new(&profile.framing());
    let mut turn = turn::Turn::default();
    let at = Duration::from_millis(1);
    let chunks: Vec<_> = if profile.framing().needs_a_socket() {
        body.split(|byte| *byte == b'\n').collect()
    } else {
        body.chunks(size).collect()
    };
    for chunk in chunks {
        for item in decoder.push(at, chunk).unwrap() {
            turn.take(&item, reader.as_mut());
        }
    }
    for item in decoder.finish(at).unwrap() {
        turn.take(&item, reader.as_mut());
    }
    turn.end(at, &profile.marker());
    turn
}

fn fixture(profile: &Profile, kind: &str) -> Option<Vec<u8>> {
    let file = format!("fixtures/profiles/{}.{kind}.txt", profile.name);
    fs::read(root().join(file)).ok()
}

#[test]
fn every_profile_reads_a_normal_answer() {
    for profile in files() {
        let body = fixture(profile, "normal").unwrap();
        for size in [1, 7, 100_000] {
            let turn = read(profile, &body, size);
            assert_eq!(turn.text, TEXT, "{}", profile.name);
            assert!(turn.final_at.is_some(), "{}", profile.name);
            assert!(turn.faults.is_empty(), "{}", profile.name);
            assert_eq!(turn.failed, None, "{}", profile.name);
            // What the model thought is not part of the answer.
            let thinks = THINKING.contains(&profile.name);
            let thought = if thinks { THOUGHT } else { "" };
            assert_eq!(turn.reasoning, thought, "{}", profile.name);
            let completes = !COMPLETE_UNSAID.contains(&profile.name);
            assert_eq!(turn.text_complete.is_some(), completes, "{}", profile.name);
        }
    }
}

#[test]
fn every_profile_sees_an_error_in_mid_stream() {
    for profile in files() {
        let Some(body) = fixture(profile, "error") else {
            let formless = ["khoj", "text"].contains(&profile.name);
            assert!(
                formless,
                "{}: only two have no form for an error",
                profile.name
            );
            continue;
        };
        let turn = read(profile, &body, 7);
        assert_eq!(turn.text, said_before_the_end(profile), "{}", profile.name);
        assert_eq!(turn.failed.as_deref(), Some("it broke"), "{}", profile.name);
        if profile.marker() == FinalMarker::End {
            assert!(turn.final_at.is_none(), "a failed answer has no good end");
        }
    }
}

#[test]
fn every_profile_misses_the_marker_of_a_cut_answer() {
    for profile in files() {
        let turn = read(profile, &fixture(profile, "cut").unwrap(), 7);
        assert_eq!(turn.text, said_before_the_end(profile), "{}", profile.name);
        // Where the end of the body is the marker, only the connection can tell.
        let is_end = profile.marker() == FinalMarker::End;
        assert_eq!(turn.final_at.is_some(), is_end, "{}", profile.name);
    }
}

#[test]
fn tool_calls_are_put_together() {
    let mut read_tools = 0;
    for profile in files() {
        let Some(body) = fixture(profile, "tool") else {
            continue;
        };
        let turn = read(profile, &body, 7);
        assert!(turn.final_at.is_some(), "{}", profile.name);
        if CALLS_UNSAID.contains(&profile.name) {
            // What it says of a tool beside its text is no part of the answer.
            assert_eq!(turn.text, TEXT, "{}", profile.name);
            assert!(turn.tools.is_empty(), "{}", profile.name);
            continue;
        }
        let (name, arguments) = &turn.tools[&0];
        assert_eq!((name.as_str(), arguments.as_str()), ("add", "{\"a\":1}"));
        assert_eq!(turn.tools.len(), 1, "{}", profile.name);
        read_tools += 1;
    }
    assert_eq!(read_tools, 15);
}

#[test]
fn a_gap_in_the_numbers_is_a_fault() {
    let profile = profiles::named("openai-responses").unwrap();
    let event = |number: i64| {
        format!(
            "data: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"delta\":\"a\"}}\n\n"
        )
    };
    let gapless = read(profile, (event(3) + &event(4)).as_bytes(), 100);
    assert!(gapless.faults.is_empty());
    let gap = read(profile, (event(3) + &event(5)).as_bytes(), 100);
    assert_eq!(
        gap.faults,
        [turn::Fault::Gap(
            "`$.sequence_number` is 5 where 4 was expected".to_owned()
        )]
    );
}

/// A verification of the small server with these options that saves at this point.
fn verify(options: &[&str], save: &str, arguments: &[&str]) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    report(
        chatctl()
            .args([
                "verify-stream",
                "--ready",
                "/health",
                "--proof",
                "gate",
                "--trials",
                "3",
            ])
            .args(["--database-url", &url])
            .args([
                "--start",
                &small::start(&[options, &["--save", save]].concat()),
            ])
            .args(arguments),
    )
}

fn told_apart(options: &[&str], late: &str, arguments: &[&str]) {
    let (right, _) = verify(options, "before", arguments);
    let verdict = &case(&right, "/order")["verdict"];
    assert_eq!(verdict, "proven", "{options:?}: {right:#}");
    let (wrong, exit) = verify(options, late, arguments);
    let verdict = &case(&wrong, "/order")["verdict"];
    assert_eq!(verdict, "violated", "{options:?}: {wrong:#}");
    assert_eq!(exit, 1);
    let findings = wrong["findings"].as_array().unwrap().iter();
    let late: Vec<_> = findings
        .filter(|finding| finding["code"] == "saved-after-done")
        .collect();
    // The AI SDK sends an event that looks like the end before anything can be saved.
    let by_design = options.iter().any(|option| option.starts_with("vercel-"));
    let help = late[0]["help"].as_str().unwrap();
    assert_eq!(help.contains("by design"), by_design, "{help}");
}

/// Does this with each, eight at a time: most of a verification is waiting.
fn side_by_side<T: Copy + Send>(all: &[T], check: impl Fn(T) + Sync) {
    for few in all.chunks(8) {
        thread::scope(|scope| {
            for one in few {
                let (one, check) = (*one, &check);
                scope.spawn(move || check(one));
            }
        });
    }
}

#[test]
fn every_profile_tells_a_right_server_from_a_wrong_one() {
    let _turn = Turn::shared();
    // tests/it/sockets.rs has those of WebSockets.
    let over_http = files().filter(|profile| !profile.framing().needs_a_socket());
    side_by_side(&over_http.collect::<Vec<_>>(), |profile| {
        let late = if profile.marker() == FinalMarker::End {
            "ended"
        } else {
            "300"
        };
        let wire = ["--wire", profile.name];
        told_apart(&wire, late, &["--profile", profile.name]);
    });
}

/// Whatever the server speaks to its provider, the gateway withholds the end of the answer.
#[test]
fn every_provider_tells_a_right_server_from_a_wrong_one() {
    let _turn = Turn::shared();
    let mut ways: Vec<_> = providers::ALL.iter().map(|way| way.name).collect();
    // tests/servers/asking.py has one of them over a WebSocket, too.
    ways.push("openai-responses-socket");
    side_by_side(&ways, |way| {
        told_apart(&["--provider", way], "300", &[]);
    });
}

#[test]
fn the_first_response_shows_the_profile() {
    let _turn = Turn::shared();
    // The names in the report, and the one that was found.
    let wires = [
        (None, None),
        (Some("vercel-ui"), Some("vercel-ui")),
        (Some("khoj"), Some("khoj")),
        (Some("text"), Some("text")),
        (Some("own"), None),
    ];
    side_by_side(&wires, |(wire, found)| {
        let options = wire.map_or(vec![], |wire| vec!["--wire", wire]);
        let (report, _) = verify(&options, "before", &[]);
        let findings = report["findings"].as_array().unwrap().iter();
        let said: Vec<_> = findings
            .filter(|finding| finding["code"] == "profile-detected")
            .map(|finding| finding["harm"].as_str().unwrap().to_owned())
            .collect();
        let expected = found.map(|name: &str| {
            format!("no profile is named; the first response is in the format of `{name}`")
        });
        assert_eq!(said, expected.into_iter().collect::<Vec<_>>(), "{report:#}");
        let is_read = wire.is_none() || found.is_some();
        let verdict = &case(&report, "/order")["verdict"];
        assert_eq!(verdict == "proven", is_read, "{report:#}");
    });
}

/// A session without a profile, and with more at its end.
fn session(folder: &Path, more: &str) -> String {
    let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml")).unwrap();
    let file = folder.join("session.toml");
    let text = shipped.replace("profile = \"plain\"", "");
    fs::write(&file, format!("{text}\n{more}")).unwrap();
    file.to_str().unwrap().to_owned()
}

/// `data: {"token": …}`, and `data: {"done": true}` at the end: nobody said that this is the end,
/// so no marker is missing. Once it is declared, a right server is told from a wrong one.
#[test]
fn an_end_that_nobody_declared_is_not_judged() {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let undeclared = session(folder.path(), "");
    let (report, exit) = verify(&["--wire", "token"], "before", &[&undeclared]);
    assert_eq!((errors(&report), exit), (vec![], 3), "{report:#}");
    assert_eq!(case(&report, "/order")["verdict"], "inconclusive");
    let findings = report["findings"].as_array().unwrap();
    let help = |code: &str| {
        let found = findings.iter().find(|finding| finding["code"] == code);
        found.unwrap()["help"].as_str().unwrap().to_owned()
    };
    let declared = "json = { path = \"$.done\", equals = true }";
    let end = help("stream-end-unknown");
    assert!(
        end.contains(declared) && end.contains("session.toml"),
        "{end}"
    );
    let place = help("profile-detected");
    // It can be pasted as it is.
    let (_, section) = place.split_once('\n').unwrap();
    let pasted = self::session(folder.path(), &format!("{section}\n"));
    told_apart(&["--wire", "token"], "300", &[&pasted]);
    let session = session(folder.path(), &format!("[final]\n{declared}\n"));
    told_apart(&["--wire", "token"], "300", &[&session]);
}

/// The first piece is sent, and all are stored.
#[test]
fn a_stream_that_leaves_out_the_answers_end() {
    let _turn = Turn::shared();
    let (report, exit) = verify(&["--short"], "before", &[]);
    assert_eq!(
        (errors(&report), exit),
        (vec!["stream-text-differs"], 1),
        "{report:#}"
    );
}

/// What the user sees is not read by a profile that was named wrongly, and the order is proven all
/// the same.
#[test]
fn a_profile_that_reads_no_text_is_named() {
    let _turn = Turn::shared();
    let (report, _) = verify(&["--frames"], "before", &["--profile", "plain"]);
    assert_eq!(errors(&report), [] as [&str; 0], "{report:#}");
    assert!(
        codes(&report, "note").contains(&"stream-text-unread"),
        "{report:#}"
    );
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
}

/// Who relays the events of a model sends the end of each of its responses: the first is not that of the turn.
#[test]
fn an_end_that_comes_with_each_response_is_not_judged() {
    let _turn = Turn::shared();
    let names = ["anthropic", "openai-responses", "ollama", "ag-ui"];
    // Once the end is declared, a right server is told from a wrong one.
    side_by_side(&names, |name| {
        let folder = tempfile::tempdir().unwrap();
        let declared = session(folder.path(), "[final]\nend = \"body\"");
        let wire = format!("{name}-rounds");
        told_apart(&["--wire", &wire], "ended", &["--profile", name, &declared]);
    });
    side_by_side(&names, |name| {
        let folder = tempfile::tempdir().unwrap();
        let undeclared = session(folder.path(), "");
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let wire = format!("{name}-rounds");
        let output = chatctl()
            .args(["verify-stream", "--ready", "/health", "--proof", "gate"])
            .args(["--database-url", &url, &undeclared, "--profile", name])
            .args(["--start", &small::start(&["--wire", &wire])])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = "came more than once in one response";
        assert!(errors.contains(said), "{name}: {errors}");
        assert!(errors.contains("`end = \"body\"`"), "{name}: {errors}");
        assert_eq!(output.status.code(), Some(3), "{errors}");
    });
}

/// Forms of a profile that many servers send and none of the fixtures has, with and without a name.
#[test]
fn other_forms_of_a_profile_are_read() {
    let _turn = Turn::shared();
    let forms = [
        ("openai-responses-some", "300"),
        ("langgraph-parts", "ended"),
        ("ag-ui-snapshot", "300"),
    ];
    side_by_side(&forms, |(wire, late)| {
        let options = ["--wire", wire];
        told_apart(&options, late, &[]);
        let (right, _) = verify(&options, "before", &[]);
        assert!(
            !codes(&right, "note").contains(&"stream-text-unread"),
            "{right:#}"
        );
    });
}

/// What a server asks before the answer is not taken for the turn, and gets what it can read.
#[test]
fn a_guard_and_a_router_are_no_answers() {
    let _turn = Turn::shared();
    let ways = [
        ("openai-guard", 1),
        ("openai-router", 2),
        ("openai-json", 0),
    ];
    side_by_side(&ways, |(way, others)| {
        let options = ["--provider", way];
        told_apart(&options, "300", &[]);
        let (right, exit) = verify(&options, "before", &[]);
        assert_eq!((codes(&right, "warning"), exit), (vec![], 0), "{right:#}");
        let findings = right["findings"].as_array().unwrap().iter();
        let mut said = findings.filter(|finding| finding["code"] == "provider-call-extra");
        let harm = said.next().map(|finding| finding["harm"].as_str().unwrap());
        let expected = format!("{others} other requests and 0 retries");
        assert_eq!(
            harm.is_some_and(|harm| harm.contains(&expected)),
            others > 0,
            "{right:#}"
        );
    });
}

/// A path that fits no record is the session's mistake; a question in capitals is the server's.
#[test]
fn a_history_that_the_session_misreads_is_not_judged() {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let right = session(folder.path(), "");
    let text = fs::read_to_string(&right).unwrap();
    fs::write(
        &right,
        text.replace("content = \"$.content\"", "content = \"$.text\""),
    )
    .unwrap();
    let (report, exit) = verify(&["--loud"], "before", &[&right]);
    assert_eq!(
        (errors(&report), exit),
        (vec!["user-message-lost"], 1),
        "{report:#}"
    );
    let mut findings = report["findings"].as_array().unwrap().iter();
    let lost = findings.find(|finding| finding["code"] == "user-message-lost");
    let harm = lost.unwrap()["harm"].as_str().unwrap();
    assert!(harm.contains("is stored as a different text"), "{harm}");
    let history = case(&report, "/history");
    assert_eq!(history["verdict"], "inconclusive", "{report:#}");
    let reason = history["reason"].as_str().unwrap();
    assert!(
        reason.contains(
            "a record is an object with `role`, `content`; correct `content` in [history] of"
        ),
        "{reason}"
    );
}

#[test]
fn a_profile_can_be_a_file() {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let page = fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let block = page.split("```toml\n[profile]\n").nth(1).unwrap();
    fs::write(&file, block.split("```").next().unwrap()).unwrap();
    let file = file.to_str().unwrap();
    let (report, _) = verify(&["--wire", "own"], "before", &["--profile", file]);
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
    for (name, said) in [
        ("vercel-iu", "did you mean `vercel-ui`?"),
        ("none.toml", "cannot be read"),
    ] {
        let output = chatctl()
            .args([
                "verify-stream",
                "--database-url",
                "sqlite::memory:",
                "--profile",
                name,
            ])
            .args(["--start", "true"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(said), "{errors}");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// The session of docs/profiles.md.
#[test]
fn the_documented_profile_runs() {
    let _turn = Turn::shared();
    let page = fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap();
    let profile = block.split("```").next().unwrap();
    assert!(profile.lines().count() <= 12, "{profile}");
    let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("own.toml");
    let text = shipped.replace("profile = \"plain\"", "");
    fs::write(&session, format!("{text}\n{profile}")).unwrap();
    told_apart(&["--wire", "own"], "300", &[session.to_str().unwrap()]);
}

#[test]
fn mistakes_in_a_profile_have_a_place() {
    for (text, message, help) in [
        (
            "framing = \"ndjsn\"\ntext = \"$.a\"\nfinal = { end = \"body\" }",
            "p.toml:1:11: unknown framing `ndjsn`",
            "did you mean `ndjson`?",
        ),
        (
            "texts = \"$.a\"",
            "p.toml:1:1: unknown key `texts` in the profile",
            "did you mean `text`?",
        ),
        (
            "final = { end = \"body\" }",
            "p.toml:1:1: the profile has no `text`",
            "add `text = \"$.delta\"`: where a piece of the answer is",
        ),
        (
            "text = \"$.a\"",
            "p.toml:1:1: the profile has no `final`",
            "add `final = { data = \"[DONE]\" }`, or `end = \"body\"` where no event is final",
        ),
        (
            "text = \"a.b\"\nfinal = { end = \"body\" }",
            "p.toml:1:9: `a.b` is not a JSONPath: parser error",
            "a path starts with `$`, which is the whole answer: `$.id` (RFC 9535)",
        ),
        (
            "text = { path = \"$.a\", mode = \"snap\" }\nfinal = { end = \"body\" }",
            "p.toml:1:31: unknown mode `snap`",
            "use one of `delta`, `snapshot`, `whole`, `fallback`",
        ),
        (
            "text = { path = \"$.a\", when = { \"type\" = 1 } }\nfinal = { end = \"body\" }",
            "p.toml:1:33: `type` is not a JSONPath: parser error",
            "a condition looks like `when = { \"$.type\" = \"token\" }`",
        ),
        (
            "framing = \"ndjson\"\ntext = \"$.a\"\nfinal = { event = \"end\" }",
            "p.toml:3:9: only events of `sse`, `prefix-lines` and `socket.io` have names",
            "use `json = { path = \"$.type\", equals = \"done\" }`",
        ),
        (
            "text = \"$.a\"\nerror = {}\nfinal = { end = \"body\" }",
            "p.toml:2:9: `error` applies to every event",
            "say which: `event`, `when` or `path`",
        ),
    ] {
        let error = parse_profile("p.toml", text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.help.unwrap_or_default(), help);
    }
}
