//! What stops a verification says what happened and what to set: a server that never reaches the
//! gateway, an address that is none, a session for other paths, and a server without end.

use crate::common::{Chat, chatctl, text};
use chatctl::http::Reserved;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

/// Runs it: the exit code, and what stderr says.
#[track_caller]
fn stops(command: &mut Command, exit: i32, says: &[&str], but_not: &[&str]) {
    let output = command.output().unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(exit), "{out}{err}");
    for part in says {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    for part in but_not {
        assert!(!err.contains(part), "`{part}` is in: {err}");
    }
}

const NEVER: &str = "it never called the gateway";

/// The provider's address is wrong, and the server's stream breaks off, as most do then.
#[test]
fn a_stream_that_broke_off_before_the_gateway_was_called() {
    let nobody = Reserved::new().unwrap();
    let url = format!("http://127.0.0.1:{}/v1", nobody.port());
    let chat = Chat::new("unguarded");
    let start = chat.start().replace("{gateway_url}", &url);
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--start", &start]);
    command.args([
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
    ]);
    stops(
        &mut command,
        3,
        &[
            "the server's stream broke off",
            NEVER,
            "hint: let the server use `http://127.0.0.1:",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            "NO_PROXY",
            "All connection attempts failed",
        ],
        &[],
    );
    // One that tells its client of the error, and ends well.
    let chat = Chat::new("correct");
    let start = chat.start().replace("{gateway_url}", &url);
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--start", &start]);
    command.args([
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
    ]);
    stops(
        &mut command,
        3,
        &[
            "answered without calling its provider",
            NEVER,
            "its answer begins `event: error",
        ],
        &[],
    );
}

#[test]
fn a_gateway_that_is_called_over_tls() {
    let gateway = Reserved::new().unwrap();
    let address = format!("127.0.0.1:{}", gateway.port());
    let chat = Chat::new("correct").set("GATEWAY_URL", &format!("https://{address}/v1"));
    let start = chat.start().replace("GATEWAY_URL={gateway_url}", "");
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--start", &start]);
    command.args(["--gateway", &address, "--database-url"]);
    command.arg(format!("sqlite:{}", chat.database().display()));
    stops(
        &mut command,
        3,
        &["sent it no HTTP request", "not https://"],
        &[NEVER],
    );
}

/// It is called, with a path that it does not have.
#[test]
fn a_gateway_that_is_called_elsewhere() {
    let chat = Chat::new("correct");
    let start = chat.start().replace("{gateway_url}", "{gateway_url}/wrong");
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--start", &start]);
    command.args([
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
    ]);
    stops(
        &mut command,
        3,
        &[
            "called its provider with `POST /v1/wrong/chat/completions`",
            "gateway refused it",
            "does not serve this path",
        ],
        &["without calling", NEVER],
    );
}

/// Requests with images are large: what is read is answered, and what is not is reported as refused.
#[test]
fn large_requests_to_the_provider() {
    let chat = Chat::new("correct").set("PROMPT_MB", "20");
    let (report, exit) = chat.report(&["--proof", "observe"]);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("held", 0),
        "{report:#}"
    );
    let chat = Chat::new("correct").set("PROMPT_MB", "65");
    stops(
        &mut chat.verify(),
        3,
        &["gateway refused it: its body has more than 64 MB"],
        &["without calling", "never called"],
    );
}

fn verify(arguments: &[&str]) -> Command {
    let mut command = chatctl();
    command.args(["verify-stream", "--database-url", "sqlite:no-such.db"]);
    command.args(["--gateway", "127.0.0.1:0"]).args(arguments);
    command
}

#[test]
fn an_address_without_a_scheme() {
    for (server, address) in [
        ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("localhost:8000", "http://localhost:8000/"),
        (
            "bob:hunter2@chat.example/api",
            "http://bob:***@chat.example/api",
        ),
    ] {
        stops(
            &mut verify(&["--server", server]),
            2,
            &[
                "does not say whether it is http or https",
                &format!("hint: --server {address}"),
            ],
            &["hunter2"],
        );
    }
    for server in ["ftp://bob:hunter2@x", "http://", "http://bob:hunter2@[", ""] {
        stops(
            &mut verify(&["--server", server]),
            2,
            &[
                "not the address of a web server",
                "hint: use --server http://",
            ],
            &["hunter2"],
        );
    }
}

/// At once, and not when the time to be ready is over.
#[test]
fn a_command_that_does_not_know_where_to_listen() {
    stops(
        &mut verify(&["--start", "uvicorn app:app", "--ready-timeout", "1h"]),
        2,
        &["`--start` has no {port}", "hint: use {port}"],
        &[],
    );
    stops(
        &mut verify(&["--start", "x {port} {database_urls}"]),
        2,
        &["unknown name {database_urls}", "{database_url:aiosqlite}"],
        &[],
    );
}

#[test]
fn no_session_for_a_server_with_other_paths() {
    let chat = Chat::new("correct");
    let start = chat.start().replace("--host", "--root-path /x --host");
    let other = start.replace("chat.app:app", "other:app");
    // A server that has none of the paths.
    let folder = chat.folder.path();
    std::fs::write(
        folder.join("other.py"),
        "from fastapi import FastAPI\napp = FastAPI()\n",
    )
    .unwrap();
    let other = other.replace(
        crate::common::root()
            .join("tests/servers")
            .to_str()
            .unwrap(),
        folder.to_str().unwrap(),
    );
    let mut command = chatctl();
    command.args(["verify-stream", "--start", &other, "--database-url"]);
    command.arg(format!("sqlite:{}", chat.database().display()));
    stops(
        &mut command,
        3,
        &[
            "`POST /conversations` was answered 404",
            "no session was named",
            "POST /conversations and POST /chat",
            "docs/sessions.md",
        ],
        &["in the session file"],
    );
}

/// What shows that a server is ready: a port, or an address of its own.
#[test]
fn ready_is_a_path_a_port_or_a_url() {
    let reserved = Reserved::new().unwrap();
    let server = format!("http://127.0.0.1:{}", reserved.port());
    for ready in [reserved.port().to_string(), format!("{server}/health")] {
        let chat = Chat::new("correct");
        let start = chat.start();
        let mut command = chatctl();
        command.args(["verify-stream", "--proof", "observe", "--start", &start]);
        command.args(["--ready", &ready, "--server", &server, "--database-url"]);
        command.arg(format!("sqlite:{}", chat.database().display()));
        let (report, exit) = crate::common::report(&mut command);
        assert_eq!(exit, 0, "{ready}: {report:#}");
    }
    stops(
        &mut verify(&["--start", "x {port}", "--ready", "health"]),
        2,
        &["`health` is not a valid value for `ready`"],
        &[],
    );
}

/// A first turn may take longer than any other, and is not judged.
#[test]
fn a_first_turn_that_is_slow() {
    let chat = Chat::new("slow_first");
    let (report, exit) = chat.report(&["--proof", "observe", "--response-timeout", "1s"]);
    assert_eq!(exit, 0, "{report:#}");
    // After a restart each first turn is one.
    let chat = Chat::new("slow_first");
    let mut command = chatctl();
    command.args(["audit", "restart", "--stop", "kill", "--rounds", "1"]);
    command.args(["--response-timeout", "1s", "--start", &chat.start()]);
    command.args([
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
    ]);
    let (report, exit) = crate::common::report(&mut command);
    assert_eq!(exit, 0, "{report:#}");
}

/// The server makes its database when it is first talked to.
#[test]
fn a_database_that_comes_later() {
    let chat = Chat::new("late_store");
    let output = chat.verify().args(["--proof", "fault"]).output().unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(err.contains("waiting for the server to create it"), "{err}");
}

/// The URL is the one that the server has in its container.
#[test]
fn a_database_in_a_container() {
    let chat = Chat::new("correct");
    let own = chat.database().display().to_string();
    let start = chat.start().replace("{database_path}", &own);
    let mut command = chatctl();
    command.args(["verify-stream", "--proof", "observe", "--settle", "100ms"]);
    command.args(["--database-url", "sqlite:/usr/src/chatctl-none/chat.db"]);
    command.args(["--start", &start]);
    stops(
        &mut command,
        3,
        &[
            "there is no database at",
            "inside a container",
            "docker inspect",
        ],
        &[],
    );
}

/// A server that needs its provider and its database from the environment gets them, and is told of.
#[test]
fn the_environment_of_a_server() {
    let chat = Chat::new("correct");
    let start = chat.start();
    let start = start
        .replace(
            "DATABASE_PATH={database_path} GATEWAY_URL={gateway_url}",
            "",
        )
        .replace("env ", "env -u http_proxy ");
    let folder = chat.folder.path();
    let mut command = chatctl();
    command
        .args(["verify-stream", "--proof", "observe", "--start", &start])
        .args(["--database-url", "sqlite:chat.db"])
        .current_dir(folder)
        // Another place: chats must not go there.
        .env("NO_PROXY", "intern.example");
    let output = command.output().unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let path = std::fs::canonicalize(folder).unwrap().join("chat.db");
    for part in [
        "note: the server gets OPENAI_BASE_URL=http://127.0.0.1:",
        "OPENAI_API_KEY=chatctl",
        &format!("DATABASE_URL=sqlite:///{}", path.display()),
        "NO_PROXY=intern.example,localhost,127.0.0.1,::1",
    ] {
        assert!(err.contains(part), "no `{part}` in {err}");
    }
}

/// A server of the kind that only an attacker writes: what it answers has no end.
struct Endless(SocketAddr);

impl Endless {
    /// Answers `POST /chat` with this event stream, and every other request with that body, each
    /// again and again for as long as somebody reads.
    fn serve(chat: &'static [u8], setup: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream, chat, setup));
            }
        });
        Self(address)
    }

    fn verify(&self) -> Command {
        let mut command = verify(&["--response-timeout", "60s"]);
        command.args(["--server", &format!("http://{}", self.0)]);
        command
    }
}

fn answer(mut stream: TcpStream, chat: &[u8], setup: &[u8]) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    // An answer to a request that was not read is lost when the connection is closed.
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    let is_chat = head.starts_with(b"POST /chat");
    let kind = if is_chat {
        "text/event-stream"
    } else {
        "application/json"
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    if !is_chat && setup.starts_with(b"{") {
        let _ = stream.write_all(setup);
        return;
    }
    let piece = if is_chat { chat } else { setup };
    let many = piece.repeat((1 << 16) / piece.len());
    while stream.write_all(&many).is_ok() {}
}

#[test]
fn a_set_up_answer_without_end() {
    let server = Endless::serve(b"", b" ");
    stops(
        &mut server.verify(),
        3,
        &["the answer of `POST /conversations` has more than 64 MB"],
        &[],
    );
}

/// A field of 4 kB that ends so.
const fn field(end: &[u8]) -> [u8; 4096] {
    let mut field = [b'x'; 4096];
    let mut at = 0;
    while at < 6 {
        field[at] = b"data: "[at];
        at += 1;
    }
    at = 0;
    while at < end.len() {
        field[4096 - end.len() + at] = end[at];
        at += 1;
    }
    field
}

#[test]
fn an_event_without_end() {
    static LINE: [u8; 4096] = field(b"\n");
    let server = Endless::serve(&LINE, b"{\"id\": 1}");
    stops(
        &mut server.verify(),
        3,
        &["an event of more than `33554432` bytes"],
        &[],
    );
}

#[test]
fn a_stream_without_end() {
    static EVENT: [u8; 4096] = field(b"\n\n");
    let server = Endless::serve(&EVENT, b"{\"id\": 1}");
    stops(
        &mut server.verify(),
        3,
        &["the server's stream has more than 128 MB"],
        &[],
    );
}
