//! Answers that come over a WebSocket, plain or as events of Socket.IO.

use crate::common::{Turn, case, chatctl, python, report, root, side_by_side};
use chatctl::stream::session::{Outside, parse};
use serde_json::Value;
use std::fs;

/// The session of docs/sessions.md, for the wire `own`.
fn documented() -> String {
    let page = fs::read_to_string(root().join("docs/sessions.md")).unwrap();
    let section = page.split("## Over a WebSocket\n").nth(1).unwrap();
    let block = section.split("```toml\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn session(wire: &str) -> String {
    if wire == "own" {
        return documented();
    }
    let file = format!("fixtures/sessions/sockets/{wire}.toml");
    fs::read_to_string(root().join(file)).unwrap()
}

/// A verification of a server that speaks this wire, with a session for it.
fn verify(wire: &str, session: &str, server: &str, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    fs::write(&file, session).unwrap();
    let program = root().join("tests/servers/sockets.py");
    let start = format!(
        "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --wire {wire} {server}",
        python().display(),
        program.display(),
    );
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let arguments = [
        "verify-stream",
        "--ready",
        "/health",
        "--ready-timeout",
        "2m",
        "--trials",
        "3",
    ];
    let (report, _) = report(
        chatctl()
            .args(arguments)
            .args(["--database-url", &url, "--start", &start])
            .args(more)
            .arg(&file),
    );
    report
}

#[test]
fn every_wire_distinguishes_a_right_server_from_a_wrong_one() {
    let _turn = Turn::shared();
    let wires = ["own", "openai-responses", "khoj", "open-webui", "chainlit"];
    let gate = ["--proof", "gate"];
    side_by_side(&wires, |wire| {
        let right = verify(wire, &session(wire), "--save before", &gate);
        let verdict = &case(&right, "/order")["verdict"];
        assert_eq!(verdict, "proven", "{wire}: {right:#}");
        let wrong = right["findings"].as_array().unwrap().iter();
        let wrong: Vec<_> = wrong.filter(|found| found["severity"] != "note").collect();
        assert!(wrong.is_empty(), "{wire}: {wrong:#?}");
        let late = verify(wire, &session(wire), "--save 300", &gate);
        let verdict = &case(&late, "/order")["verdict"];
        assert_eq!(verdict, "violated", "{wire}: {late:#}");
        let mut codes = late["findings"].as_array().unwrap().iter();
        let is_late = codes.any(|found| found["code"] == "saved-after-done");
        assert!(is_late, "{wire}: {late:#}");
    });
}

/// A client that leaves closes the socket: what becomes of the answer is judged as over HTTP.
#[test]
fn a_closed_socket_is_a_client_that_leaves() {
    let _turn = Turn::shared();
    let declared = documented().replace("[request]\n", "[request]\non_disconnect = \"finish\"\n");
    let full = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    side_by_side(&[("finish", false), ("drop", true)], |(left, breaks)| {
        let report = verify("own", &declared, &format!("--left {left}"), &full);
        let cases = report["cases"].as_array().unwrap().iter();
        let violated: Vec<_> = cases.filter(|case| case["verdict"] == "violated").collect();
        assert_eq!(!violated.is_empty(), *breaks, "{left}: {violated:#?}");
        let mut codes = report["findings"].as_array().unwrap().iter();
        let broken = codes.any(|found| found["code"] == "answer-lost-on-disconnect");
        assert_eq!(broken, *breaks, "{left}: {report:#}");
    });
}

/// The stop button sends a message over the socket of the answer, in the middle of it.
#[test]
fn a_message_over_the_socket_stops_an_answer() {
    let _turn = Turn::shared();
    let stop = "\n[stop]\nmessage = { kind = \"stop\" }\non_stop = \"keep-whole\"\n";
    let declared = format!("{}{stop}", documented());
    let only = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    let only = [&only[..], &["--cases", "stopped-at"]].concat();
    side_by_side(
        &[("ignore", "held"), ("drop", "violated")],
        |(stop, verdict)| {
            let report = verify("own", &declared, &format!("--stop {stop}"), &only);
            let cases = report["cases"].as_array().unwrap().iter();
            let stopped =
                cases.filter(|case| case["name"].as_str().unwrap().contains("stopped-at"));
            let verdicts: Vec<_> = stopped.map(|case| &case["verdict"]).collect();
            assert!(verdicts.len() >= 3, "{stop}: {report:#}");
            assert!(
                verdicts.iter().all(|it| *it == verdict),
                "{stop}: {report:#}"
            );
        },
    );
}

/// Another answer comes over a socket as the first one did.
#[test]
fn an_answer_is_asked_for_again_over_a_socket() {
    let _turn = Turn::shared();
    let again = r#"
[regenerate]
request = "WS /ws/{run}"
hello = [{ kind = "hello" }]
ready = { json = { path = "$.kind", equals = "ready" } }
json = { kind = "again" }
old_answer = "replace"
"#;
    let declared = format!("{}{again}", documented());
    let only = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    let only = [&only[..], &["--cases", "regenerated"]].concat();
    side_by_side(
        &[("replace", "held"), ("add", "violated")],
        |(way, verdict)| {
            let report = verify("own", &declared, &format!("--again {way}"), &only);
            assert_eq!(
                case(&report, "/regenerated")["verdict"],
                *verdict,
                "{way}: {report:#}"
            );
        },
    );
}

/// So does the answer to a question whose words are changed.
#[test]
fn a_question_is_edited_over_a_socket() {
    let _turn = Turn::shared();
    let edit = r#"
[edit]
request = "WS /ws/{run}"
hello = [{ kind = "hello" }]
ready = { json = { path = "$.kind", equals = "ready" } }
json = { kind = "edit", text = "{user}" }
old_answer = "replace"
"#;
    let declared = format!("{}{edit}", documented());
    let only = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    let only = [&only[..], &["--cases", "edited"]].concat();
    side_by_side(
        &[("replace", "held"), ("add", "violated")],
        |(way, verdict)| {
            let report = verify("own", &declared, &format!("--again {way}"), &only);
            assert_eq!(
                case(&report, "/edited")["verdict"],
                *verdict,
                "{way}: {report:#}"
            );
        },
    );
}

/// A page that lost its socket opens another one, and asks for what it lacks.
#[test]
fn an_answer_is_resumed_over_another_socket() {
    let _turn = Turn::shared();
    let resume = r#"
[resume]
request = "WS /ws/{run}"
hello = [{ kind = "hello" }]
ready = { json = { path = "$.kind", equals = "ready" } }
json = { kind = "resume", after = "{cursor}" }
cursor = "$.n"
"#;
    let declared = format!("{}{resume}", documented());
    let whole = declared
        .replace("cursor = \"$.n\"\n", "")
        .replace("\"{cursor}\"", "0");
    let only = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    let only = [&only[..], &["--cases", "resumed"]].concat();
    let servers = [
        ("rest", &declared, None),
        ("rest", &whole, None),
        ("twice", &declared, Some("resume-text-differs")),
        ("now", &declared, Some("resume-text-differs")),
        ("refuse", &declared, Some("resume-refused")),
    ];
    side_by_side(&servers, |(resume, session, code)| {
        let report = verify("own", session, &format!("--resume {resume}"), &only);
        let verdict = |name: &str| case(&report, name)["verdict"].clone();
        let in_mid_answer = if code.is_some() { "violated" } else { "held" };
        assert_eq!(
            verdict("/resumed-at-event-2"),
            in_mid_answer,
            "{resume}: {report:#}"
        );
        // A client that has seen the whole answer needs nothing.
        assert_eq!(
            verdict("/resumed-after-the-end"),
            "held",
            "{resume}: {report:#}"
        );
        let findings = report["findings"].as_array().unwrap().iter();
        let errors: Vec<_> = findings
            .filter(|found| found["severity"] == "error")
            .map(|found| found["code"].as_str().unwrap())
            .collect();
        match code {
            Some(code) => assert!(errors.contains(code), "{resume}: {report:#}"),
            None => {
                assert!(errors.is_empty(), "{resume}: {report:#}");
                let cases = report["cases"].as_array().unwrap().iter();
                let resumed = cases.filter(|case| {
                    let name = case["name"].as_str().unwrap();
                    name.contains("/resumed-") && case["verdict"] == "held"
                });
                assert_eq!(resumed.count(), 6, "{report:#}");
            }
        }
    });
}

/// A page of Socket.IO that lost its connection connects again, under the name that it had.
#[test]
fn an_answer_is_resumed_over_socket_io() {
    let _turn = Turn::shared();
    let only = ["--suite", "full", "--proof", "observe", "--settle", "500ms"];
    let only = [&only[..], &["--cases", "resumed"]].concat();
    let servers = [
        ("chainlit", "rest", "held"),
        ("chainlit", "now", "violated"),
        ("open-webui", "rest", "held"),
        ("open-webui", "now", "violated"),
        // Who is not let in may not be logged in.
        ("chainlit", "refuse", "inconclusive"),
    ];
    side_by_side(&servers, |(wire, resume, verdict)| {
        let report = verify(wire, &session(wire), &format!("--resume {resume}"), &only);
        let cases = report["cases"].as_array().unwrap().iter();
        let resumed = cases.filter_map(|case| {
            let (_, name) = case["name"].as_str()?.split_once("/resumed-")?;
            Some((name, case["verdict"].as_str()?))
        });
        let resumed: Vec<_> = resumed.collect();
        assert!(resumed.contains(&("at-event-2", *verdict)), "{report:#}");
        // A page that has seen the whole answer needs nothing.
        assert!(resumed.contains(&("after-the-end", "held")), "{report:#}");
        let findings = report["findings"].as_array().unwrap().iter();
        let errors = findings.filter(|found| found["severity"] == "error");
        let errors: Vec<_> = errors.map(|found| &found["code"]).collect();
        match *verdict {
            // Of what was missed a page gets nothing, or what follows it.
            "violated" => assert!(
                errors.iter().any(|it| **it == "resume-text-differs"),
                "{report:#}"
            ),
            _ => assert!(errors.is_empty(), "{wire} {resume}: {report:#}"),
        }
        if *verdict == "held" {
            assert!(resumed.len() >= 5, "{wire}: {report:#}");
            let is_held = |(_, verdict): &(&str, &str)| *verdict == "held";
            assert!(resumed.iter().all(is_held), "{wire}: {report:#}");
        }
    });
}

/// The server's close is the end of the body, and an error ends an answer that has no marker.
#[test]
fn a_socket_ends_as_a_body_does() {
    let _turn = Turn::shared();
    let closing = documented().replace(
        "final = { json = { path = \"$.kind\", equals = \"bye\" } }",
        "final = { end = \"body\" }",
    );
    let right = verify("own", &closing, "--close", &["--proof", "gate"]);
    assert_eq!(case(&right, "/order")["verdict"], "proven", "{right:#}");
    let failing = verify("own", &documented(), "--fails", &["--proof", "gate"]);
    let order = case(&failing, "/order");
    assert_eq!(order["verdict"], "inconclusive", "{failing:#}");
}

/// What does not fit is said before the first turn, or in the server's words.
#[test]
fn a_socket_that_does_not_open_has_a_reason() {
    let _turn = Turn::shared();
    let chainlit = session("chainlit");
    let cases = [
        (
            "chainlit",
            chainlit.replace("token = \"t\", ", ""),
            "refused the Socket.IO connection",
        ),
        (
            "chainlit",
            chainlit.replace("WS /ws/socket.io/", "WS /nope"),
            "was answered 403",
        ),
    ];
    side_by_side(&cases, |(wire, session, said)| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.toml");
        fs::write(&file, session).unwrap();
        let program = root().join("tests/servers/sockets.py");
        let start = format!(
            "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --wire {wire}",
            python().display(),
            program.display(),
        );
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let output = chatctl()
            .args([
                "verify-stream",
                "--ready",
                "/health",
                "--ready-timeout",
                "2m",
            ])
            .args(["--database-url", &url, "--start", &start])
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(said), "{wire}: {errors}");
        assert_eq!(output.status.code(), Some(3), "{errors}");
    });
}

#[test]
fn what_does_not_fit_a_socket_is_an_error_before_anything_starts() {
    let chainlit = session("chainlit");
    for (session, said) in [
        (
            chainlit.replace("profile = \"chainlit\"", ""),
            "no profile is named, and that of a WebSocket is not detected",
        ),
        (
            chainlit.replace("profile = \"chainlit\"", "profile = \"khoj\""),
            "`auth` of `WS /ws/socket.io/` is for Socket.IO, which profile `khoj` does not read",
        ),
        (
            chainlit.replace("[[\"connection_successful\"]]", "[\"connection_successful\"]"),
            "what `WS /ws/socket.io/` sends is not an event of Socket.IO",
        ),
        (
            format!("{chainlit}\n[stop]\nmessage = \"stop\"\n"),
            "`message` of [stop] is not an event of Socket.IO",
        ),
        (
            "profile = \"chainlit\"\n[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n[[turn]]\nuser = \"a\"\nanswer = \"b\"\n".to_owned(),
            "profile `chainlit` reads a WebSocket, but `POST /chat` does not open one",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.toml");
        fs::write(&file, session).unwrap();
        let output = chatctl()
            .args(["verify-stream", "--database-url", "sqlite::memory:", "--start", "true"])
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(said), "{errors}");
        assert_eq!(output.status.code(), Some(2), "{errors}");
    }
}

#[test]
fn mistakes_have_a_place() {
    let outside = Outside {
        profiles: &[],
        read: &|_| Err("no file".to_owned()),
        env: &|_| None,
    };
    let own = documented();
    let open_webui = session("open-webui");
    for (text, message, help) in [
        (
            own.replace("WS /ws/{run}", "POST /ws/{run}"),
            "s.toml:9:1: `hello` is for a WebSocket",
            "a request for one is written `WS /path`",
        ),
        (
            own.replace("[request]", "[[setup]]\nrequest = \"WS /ws\"\n\n[request]"),
            "s.toml:8:11: [[setup]] can't be a WebSocket",
            "the answer of a turn can come over one: `WS` is for [request], [[turn]], [stream], [regenerate], [edit] and [resume]",
        ),
        (
            own.replace("json = { text", "form = { text"),
            "s.toml:7:1: a WebSocket carries no forms",
            "use `json` or `body`, which is sent as a message",
        ),
        (
            own.replace(
                "ready = { json = { path = \"$.kind\", equals = \"ready\" } }",
                "ready = { end = \"body\" }",
            ),
            "s.toml:10:9: after the end of the body nothing can be sent",
            "add one of `data`, `json`, `event`",
        ),
        (
            format!("{own}\n[stream]\nrequest = \"GET /a\"\n"),
            "s.toml:20:2: the turn is sent over a WebSocket, which brings the answer: [stream] has nothing to fetch",
            "leave one of the two out",
        ),
        (
            format!("{own}\n[resume]\nrequest = \"GET /rest\"\n"),
            "s.toml:20:2: the answer comes over a WebSocket, but `GET /rest` of [resume] does not open one",
            "write the request as `WS /path`",
        ),
        (
            format!("{own}\n[resume]\nrequest = \"WS /ws?after={{cursor}}\"\n"),
            "s.toml:20:2: the messages of a WebSocket have no ids for `{cursor}`",
            "say where in a message the number is",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n[[turn]]\nuser = \"a\"\nanswer = \"b\"\n\
             [resume]\nrequest = \"WS /ws\"\n"
                .to_owned(),
            "s.toml:7:2: the answer comes over HTTP, but [resume] opens a WebSocket",
            "declare the request that your page sends for the rest",
        ),
        (
            format!("{own}\n[stop]\nmessage = \"stop\"\nabort = true\n"),
            "s.toml:21:1: [stop] has more than one of `request`, `message` and `abort`",
            "keep the one that your stop button uses",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n[[turn]]\nuser = \"a\"\nanswer = \"b\"\n\
             [stop]\nmessage = \"stop\"\n"
                .to_owned(),
            "s.toml:8:1: `message` is sent over the WebSocket of the answer, but the answer comes over HTTP",
            "declare the request that your stop button sends",
        ),
        (
            open_webui.replace("first = true", "first = true\npoll = \"1s\""),
            "s.toml:8:1: `poll` can't be combined with a WebSocket or with `first`",
            "leave `poll` out",
        ),
        (
            open_webui.replace("first = true", "first = false"),
            "s.toml:13:75: unknown name `{sid}`",
            "known here: `{user}`",
        ),
    ] {
        let error = parse("s.toml", &text, &outside).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        let said = error.help.unwrap_or_default();
        assert!(said.starts_with(help), "{said}");
    }
}
