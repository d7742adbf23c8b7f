//! What a session takes from outside of its file: cassettes, secrets, bytes that are no text.

use chatctl::cli_error::CliError;
use chatctl::source_error::SourceError;
use chatctl::stream::session::{Outside, Session, load, parse};
use std::path::PathBuf;

const REQUEST: &str = "[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n";
const TURN: &str = "[[turn]]\nuser = \"Hi\"\nanswer = \"Hello\"\n";

fn read(name: &str) -> Result<Vec<u8>, String> {
    Ok(match name {
        "good.sse" => b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".to_vec(),
        "lines.jsonl" => b"{\"t_us\":0,\"bytes\":\"a\"}\n{\"t_us\":0,\"byte\":\"a\"}\n".to_vec(),
        "plain.sse" => b"data: Hello\n\n".to_vec(),
        "other.jsonl" => {
            b"{\"chatctl_cassette\":1,\"profile\":\"other\"}\n{\"t_us\":0,\"bytes\":\"a\"}\n"
                .to_vec()
        }
        "empty.sse" => Vec::new(),
        "token" => b"s3cret\n".to_vec(),
        _ => return Err("No such file".to_owned()),
    })
}

fn try_parse(text: &str) -> Result<Session, SourceError> {
    let outside = Outside {
        profiles: &[],
        read: &read,
        env: &|name| (name == "TOKEN").then(|| "t0ken".to_owned()),
    };
    parse("chats/x.toml", text, &outside)
}

#[test]
fn a_cassette_that_cannot_be_played_is_reported() {
    let cases = [
        (
            "gone.sse",
            "x.toml:6:12: the cassette `gone.sse` cannot be read: No such file",
            "the path is relative to the session file",
        ),
        (
            "plain.sse",
            "x.toml:6:12: the cassette `plain.sse` has no answer: `data: Hello` is not JSON: expected value at line 1 column 1",
            "",
        ),
        (
            "other.jsonl",
            "x.toml:6:12: the text of the cassette is unknown: chatctl does not read its format",
            "declare what must be stored: expect = { answer = \"…\" }",
        ),
        // A mistake in the cassette itself has its place there.
        (
            "lines.jsonl",
            "lines.jsonl:2:11: unknown key `byte` in a chunk",
            "did you mean `bytes`?",
        ),
        ("empty.sse", "empty.sse: the cassette is empty", ""),
    ];
    for (name, message, help) in cases {
        let text = format!("{REQUEST}[[turn]]\nuser = \"a\"\ncassette = \"{name}\"");
        let error = try_parse(&text).unwrap_err();
        assert_eq!(error.to_string(), format!("chats/{message}"));
        assert_eq!(error.help.unwrap_or_default(), help);
    }
}

#[test]
fn a_file_that_is_no_text_is_reported_where_it_breaks() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("latin1.toml");
    std::fs::write(&path, b"name = \"x\"\n# \xc3\xa4 \xe4\n").unwrap();
    let error = load(&path, &[]).unwrap_err();
    let place = format!("{}:2:5: the file is not UTF-8: byte 0xe4", path.display());
    assert_eq!(error.to_string(), place);
    let stop = CliError::from(error);
    assert_eq!(stop.hint.as_deref(), Some("save the file as UTF-8"));
    let error = load(&path.with_file_name("gone.toml"), &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("gone.toml: the session cannot be read: "),
        "{error}"
    );
}

#[test]
fn secrets_are_resolved_and_hidden() {
    let text = format!(
        "headers = {{ authorization = \"Bearer env:TOKEN\", x-a = \"1\" }}\n[login]\nrequest = \"POST /login\"\nheaders = {{ X-A = \"2\" }}\njson = {{ password = \"file:token\" }}\n{REQUEST}{TURN}"
    );
    let session = try_parse(&text).unwrap();
    let shown = format!("{session:?}");
    assert!(
        !shown.contains("t0ken") && !shown.contains("s3cret"),
        "{shown}"
    );
    let secrets: Vec<_> = session
        .secrets
        .iter()
        .map(|secret| secret.expose())
        .collect();
    assert_eq!(secrets, ["t0ken", "s3cret"]);
    let expanded = session.login.unwrap().request.expand(&[].into()).unwrap();
    assert_eq!(expanded.body, br#"{"password":"s3cret"}"#);
    let headers: Vec<_> = expanded
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        headers,
        [
            "X-A: 2",
            "authorization: Bearer t0ken",
            "content-type: application/json"
        ]
    );
    assert_eq!(session.request.headers.len(), 2);
}

#[test]
fn what_must_be_stored_can_differ_from_the_answer() {
    let turn = "[[turn]]\nuser = \"Hi {x}\"\ncassette = \"good.sse\"\n";
    let session = try_parse(&format!(
        "{REQUEST}{turn}{turn}expect.answer = \"{{user}}: {{answer}}!\""
    ))
    .unwrap();
    let captures = [("user".to_owned(), "Hi {x} [tag]".into())].into();
    let expected = |turn: usize| {
        let turn = &session.turns[turn];
        turn.expected(&captures, Some("a n"), "n").unwrap()
    };
    assert_eq!(expected(0), "a n");
    // As it was sent, not as the session writes it.
    assert_eq!(expected(1), "Hi {x} [tag]: a n!");
}

/// What a format says that is not read can only be told by the session.
#[test]
fn the_new_text_of_another_format_is_named() {
    let turn = "[[turn]]\nuser = \"Hi\"\ncassette = \"other.jsonl\"\n";
    let session = try_parse(&format!(
        "{REQUEST}{turn}expect.answer = \"Hello {{nonce}}\""
    ))
    .unwrap();
    let expected = session.turns[0].expected(&[].into(), None, "n-1");
    assert_eq!(expected.unwrap(), "Hello n-1");
    let error = try_parse(&format!("{REQUEST}{turn}expect.answer = \"{{answer}}\"")).unwrap_err();
    assert!(
        error.to_string().contains("`{answer}` is unknown"),
        "{error}"
    );
}
