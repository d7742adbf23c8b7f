//! Sample reports like those of real runs, to test the formats.

use crate::report::{
    Case, ClientMoment, Finding, Lane, Location, Replay, Report, Severity, Source, StoreLine,
    Timeline, Verdict,
};
use std::time::{Duration, SystemTime};

/// Every sample with its name; between them they hold every verdict.
pub(super) fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("proven", proven()),
        ("held", held()),
        ("violated", violated()),
        ("mixed", mixed()),
        ("refused", refused()),
        ("empty", empty()),
        ("hostile", hostile()),
        ("many", many()),
    ]
}

pub(super) fn proven() -> Report {
    let mut report = report(
        "postgres",
        "postgres://chat:***@127.0.0.1:5432/chat",
        "sqlmodel-chat (detected)",
    );
    report.cases = vec![
        proven_case("hello/order"),
        held_case("hello/close-at-final"),
    ];
    report.checked = 6;
    report
}

pub(super) fn held() -> Report {
    let mut report = report("sqlite", "sqlite:chat.db", "sqlmodel-chat (detected)");
    let mut left = held_case("hello/left-at-event-2-by-rst");
    let client = ClientMoment {
        by: "rst".to_owned(),
        point: "event-2".to_owned(),
        received_bytes: 148,
    };
    let at = Duration::from_millis(12);
    left.timeline
        .add_client(at, "the client resets the connection", client);
    report.cases = vec![held_case("hello/order"), left];
    report.checked = 5;
    report.replay = Some(Replay {
        seed: 42,
        arguments: vec!["--suite=full".to_owned(), "--seed=42".to_owned()],
        shard: Some("1/4".to_owned()),
    });
    report
}

pub(super) fn violated() -> Report {
    let mut report = report("sqlite", "sqlite:chat.db", "sqlmodel-chat (detected)");
    report.cases = vec![violated_case(), held_case("hello/close-at-final")];
    report.cases[1].verdict = Verdict::Violated;
    report.cases[1].reason =
        "the answer is not in the store 2 s after the end, 5 of 5 trials".into();
    report.checked = 10;
    report.add(saved_after_done());
    report.add(
        Finding::new(
            "never-saved",
            Severity::Error,
            "turn 1 of hello",
            "the answer of turn 1 of hello is shown to the user and is gone after a reload",
            "commit the message before the final marker is sent",
        )
        .in_case("hello/close-at-final")
        .with(
            Source::Stream,
            "200, 7 chunks, `[DONE]` at 39.8 ms; the client left at its first byte",
        )
        .with(
            Source::Store,
            "conversation 17 holds 1 message (role user); no assistant message after 2 s",
        ),
    );
    report
}

pub(super) fn mixed() -> Report {
    let mut report = report(
        "postgres",
        "postgres://chat:***@127.0.0.1:5432/chat",
        "chatctl.toml",
    );
    let mut undecided = held_case("edit/order");
    undecided.session = "edit".into();
    undecided.verdict = Verdict::Inconclusive;
    undecided.reason =
        "2 writes passed in one step; which of them completed the row is not known".into();
    undecided.timeline.add(
        ms(41.0),
        Lane::Store,
        "gate closed on `message`, held and verified",
    );
    undecided
        .timeline
        .add(ms(988.2), Lane::Store, "step: 2 writes let through");
    report.cases = vec![violated_case(), proven_case("hello/pause"), undecided];
    report.checked = 18;
    report.add(saved_after_done());
    let mut forbidden = Finding::new(
        "log-forbidden",
        Severity::Warning,
        "`HARD RESET`",
        "the server's output says `HARD RESET` at start: stored conversations may be gone",
        "remove the statement that drops tables at start-up",
    )
    .with(Source::Log, "[HARD RESET] Dropping all existing tables...\n[HARD RESET] All tables dropped successfully");
    forbidden.place = Location {
        case: None,
        file: Some("logs/chat, server.log".into()),
        line: None,
        column: None,
    };
    report.add(forbidden);
    report.add(Finding::new(
        "provider-call-extra",
        Severity::Note,
        "hello/pause",
        "the server asked the provider once more than the session has turns",
        "nothing, when it makes a title; else look for a retry",
    ));
    report
}

pub(super) fn refused() -> Report {
    let mut report = report(
        "mysql",
        "mysql://chat:***@db.example:3306/chat",
        "chatctl.toml",
    );
    let mut case = held_case("hello/order");
    case.verdict = Verdict::Refused;
    case.reason = "the store is not on loopback; --allow-gate permits it".into();
    report.cases = vec![case];
    report
}

pub(super) fn empty() -> Report {
    let mut report = report("", "", "");
    report.store = None;
    report
}

/// Text that would take over a terminal, end a command or break XML.
pub(super) fn hostile() -> Report {
    let evil = "a\u{1b}[2Jb\u{202e}c\u{9b}d\0e\r\n::error::f\u{fffe}]]><g & \"h\"\u{7f}\u{e000}%0A";
    let mut report = report(evil, evil, evil);
    let mut case = violated_case();
    case.name = evil.into();
    case.session = evil.into();
    case.fault = evil.into();
    case.client = evil.into();
    case.reason = evil.into();
    case.timeline.add(ms(1.0), Lane::Server, evil);
    report.cases = vec![case];
    let mut finding = Finding::new("answer-differs", Severity::Error, evil, evil, evil)
        .in_case(evil)
        .with(Source::Store, evil)
        .with(Source::Stream, "--- sent\n+++ stored\n-a\tb \n+a b\n \n");
    finding.place.file = Some(evil.into());
    finding.place.line = Some(3);
    report.add(finding);
    report
}

pub(super) fn many() -> Report {
    let mut report = report("sqlite", "sqlite:chat.db", "sqlmodel-chat (detected)");
    for at in 0..12 {
        let mut case = violated_case();
        case.name = format!("hello/close-after-{at}");
        report.cases.push(case);
    }
    report.checked = 60;
    let codes = [
        "never-saved",
        "answer-empty",
        "context-lost",
        "done-missing",
        "cors-blocked",
    ];
    for (at, code) in codes.into_iter().enumerate() {
        let severity = if at % 2 == 0 {
            Severity::Error
        } else {
            Severity::Warning
        };
        let mut finding = Finding::new(code, severity, format!("turn {at}"), "harm", "help");
        for trial in 0..20 {
            finding = finding.with(Source::Store, format!("trial {trial}: no row"));
        }
        report.add(finding);
    }
    report
}

fn report(backend: &str, url: &str, mapping: &str) -> Report {
    let mut report = Report::new("verify-stream");
    report.started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_256_100_250);
    report.took = ms(4_210.0);
    report.store = Some(StoreLine {
        backend: backend.into(),
        url: url.into(),
        mapping: mapping.into(),
    });
    report
}

fn held_case(name: &str) -> Case {
    Case {
        name: name.into(),
        session: "hello".into(),
        fault: "none".into(),
        client: "close-at-final".into(),
        verdict: Verdict::Held,
        reason: "the answer was in the store each time, 5 of 5; seen, not proven".into(),
        took: ms(812.0),
        timeline: Timeline::default(),
        metrics: [("trials", 5.0)].into(),
    }
}

fn violated_case() -> Case {
    let mut timeline = Timeline::default();
    for (at, lane, what) in [
        (0.0, Lane::Client, "turn 1 sent: \"Hello, who are you?\""),
        (8.214, Lane::Store, "the user's message is committed"),
        (
            12.6,
            Lane::Gateway,
            "6 of 7 chunks sent; the last, with a nonce never sent before, is withheld",
        ),
        (
            43.1,
            Lane::Store,
            "gate closed on the whole file: no answer can be committed from here on",
        ),
        (
            43.9,
            Lane::Gateway,
            "last chunk, `finish_reason: stop` and `[DONE]` sent: the provider's end",
        ),
        (
            45.4,
            Lane::Client,
            "final marker `[DONE]` received, while the gate is closed",
        ),
        (45.9, Lane::Store, "the answer's row is not there"),
        (52.0, Lane::Store, "waiter seen: 1 write waits for the gate"),
        (65.9, Lane::Store, "gate open"),
        (
            68.3,
            Lane::Store,
            "the answer's row is complete, 22.9 ms after the final marker",
        ),
        (69.0, Lane::Client, "end of the response"),
    ] {
        timeline.add(ms(at), lane, what);
    }
    Case {
        name: "hello/order".into(),
        session: "hello".into(),
        fault: "none".into(),
        client: "read-to-end".into(),
        verdict: Verdict::Violated,
        reason: "`[DONE]` reached the client while the gate was closed: nothing was committed yet"
            .into(),
        took: ms(1_240.0),
        timeline,
        metrics: [("hold_ms", 300.0), ("trials", 1.0)].into(),
    }
}

fn proven_case(name: &str) -> Case {
    let mut timeline = Timeline::default();
    for (at, lane, what) in [
        (0.0, Lane::Client, "turn 1 sent: \"Hello, who are you?\""),
        (8.2, Lane::Store, "the user's message is committed"),
        (
            12.6,
            Lane::Gateway,
            "6 of 7 chunks sent; the last, with a nonce never sent before, is withheld",
        ),
        (
            43.1,
            Lane::Store,
            "gate closed on `message` (SHARE ROW EXCLUSIVE): no answer can be committed",
        ),
        (
            43.9,
            Lane::Gateway,
            "last chunk, `finish_reason: stop` and `[DONE]` sent: the provider's end",
        ),
        (47.2, Lane::Store, "waiter seen: 1 write waits for the gate"),
        (
            947.3,
            Lane::Client,
            "no final marker for 900 ms: the server waits for its write",
        ),
        (
            947.8,
            Lane::Store,
            "step: exactly 1 write let through, the gate is closed again",
        ),
        (
            949.2,
            Lane::Store,
            "the answer's row is complete, by this write",
        ),
        (
            950.3,
            Lane::Client,
            "final marker `[DONE]` received, while the gate is closed",
        ),
        (951.0, Lane::Store, "gate open"),
        (952.4, Lane::Client, "end of the response"),
    ] {
        timeline.add(ms(at), lane, what);
    }
    Case {
        name: name.into(),
        session: "hello".into(),
        fault: "none".into(),
        client: "read-to-end".into(),
        verdict: Verdict::Proven,
        reason: "in 5 of 5 trials `[DONE]` came only after the one write that completes the answer"
            .into(),
        took: ms(6_120.0),
        timeline,
        metrics: [("hold_ms", 900.0), ("trials", 5.0)].into(),
    }
}

fn saved_after_done() -> Finding {
    Finding::new(
        "saved-after-done",
        Severity::Error,
        "turn 1 of hello",
        "the answer of turn 1 of hello is committed after the client could see that the stream is complete; \
         a browser that closes at `[DONE]` can cancel the save, and the user finds the answer gone after a reload",
        "commit the assistant's message before the final marker is written to the response",
    )
    .in_case("hello/order")
    .with(Source::Stream, "`[DONE]` arrived at 45.4 ms, while the gate was closed")
    .with(Source::Store, "no assistant message in conversation 17 at 45.9 ms; complete (id 34) at 68.3 ms, after the gate opened")
    .with(Source::Gateway, "the provider's answer had ended at 43.9 ms")
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}
