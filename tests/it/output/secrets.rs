//! A secret is masked wherever it is given, and only where it is a word of its own.

use crate::common::servers::Postgres;
use crate::common::stores::Store;
use crate::common::{Chat, chatctl, text};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: &str = "hunter2SECRET";

/// Database URLs and what is mistaken for one.
const URLS: &[&str] = &[
    "host=127.0.0.1 user=bob password=hunter2SECRET dbname=chat",
    "user=bob password='hunter2SECRET'",
    "hunter2SECRET",
    "hunter2SECRET:x",
    "bob:hunter2SECRET@127.0.0.1:1/chat",
    "postgres://bob:hunter2SECRET@127.0.0.1:1/chat",
    "postgres://bob:hunter2SECRET@127.0.0.1:1",
    "postgres://bob:hunter2SECRET@127.0.0.1:port/chat",
    "postgres:/bob:hunter2SECRET@127.0.0.1:1/chat",
    "postgres:bob:hunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:1234/wordhunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:p@ss/hunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:12#hunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:12?hunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:12?a=hunter2SECRET@127.0.0.1:1/chat",
    "postgres://app:hunter2SECRET/@127.0.0.1:1/chat",
    "postgres://bob@127.0.0.1:1/chat?password=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?Password=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?pass=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?passw%6frd=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?sslpassword=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?sslmode=require&sslkey=-----BEGIN%20PRIVATE%20KEY-----hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?sslkey=/hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?options=-c%20app.jwt_secret=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?options[app.jwt_secret]=hunter2SECRET",
    "postgres://bob@127.0.0.1:1/chat?hunter2SECRET",
    "postgresql+asyncpg://bob:hunter2SECRET@db/chat",
    "postgresql+asyncpg://bob:hunter2SECRET@db:port/chat",
    "postgresql+asyncpg://bob:a/hunter2SECRET@db/chat",
    "mysql://bob:hunter2SECRET@127.0.0.1:1/chat",
    "mysql://bob:hunter2SECRET@127.0.0.1:1/",
    "mysql+pymysql://bob:hunter2SECRET@127.0.0.1:1/chat",
    "mysql://bob@127.0.0.1:1/chat?password=hunter2SECRET",
    "sqlite+pysqlcipher://:hunter2SECRET@/foo.db",
    "sqlite+pysqlcipher://:hunter2SECRET@/foo.db?cipher=aes",
    "sqlite://:hunter2SECRET@/foo.db",
    "sqlite:no-such.db?key=hunter2SECRET",
    "sqlite:?key=hunter2SECRET",
    "mongodb://bob:hunter2SECRET@127.0.0.1:1/chat",
    "redis://:hunter2SECRET@127.0.0.1:1/0",
];

/// The text of both streams, which must not hold the secret; what is hidden is hidden in one form.
#[track_caller]
fn hides(command: &mut std::process::Command) -> String {
    let (out, err) = text(&command.output().unwrap());
    let told = out + &err;
    let what: Vec<_> = command.get_args().collect();
    assert!(!told.contains("SECRET"), "{what:?}: {told}");
    assert!(!told.contains("hunter2"), "{what:?}: {told}");
    assert!(!told.contains("panicked"), "{what:?}: {told}");
    for form in ["%2A%2A%2A", "<redacted>", "[hidden]", "xxxx", "://..."] {
        assert!(!told.contains(form), "{what:?}: {told}");
    }
    told
}

#[test]
fn no_form_of_a_database_url_shows_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for url in URLS {
        fs::write(at("url"), url).unwrap();
        fs::write(at("env.toml"), "database-url = \"env:GIVEN_URL\"").unwrap();
        fs::write(
            at("file.toml"),
            format!("database-url = \"file:{}\"", at("url")),
        )
        .unwrap();
        let plain = url.replace('\'', "");
        fs::write(at("plain.toml"), format!("database-url = '{plain}'")).unwrap();
        let session = [
            "verify-stream",
            "--server",
            "http://127.0.0.1:9",
            "--gateway",
            "127.0.0.1:0",
        ];
        for arguments in [
            &["inspect", "tables"][..],
            &["config"],
            &["audit", "check"],
            &["migrate", "status"],
            &session,
        ] {
            let run = |more: &[&str]| {
                let mut command = chatctl();
                command
                    .current_dir(folder.path())
                    .args(arguments)
                    .args(more);
                command
            };
            hides(run(&[]).args(["-vv", "--database-url", url]));
            if arguments == ["inspect", "tables"] || arguments == ["config"] {
                hides(run(&[]).env("DATABASE_URL", url));
                hides(run(&["--config", &at("env.toml")]).env("GIVEN_URL", url));
                hides(&mut run(&["--config", &at("file.toml")]));
                hides(&mut run(&["--config", &at("plain.toml")]));
                hides(run(&["--format", "json"]).args(["--database-url", url]));
            }
        }
    }
}

#[test]
fn the_password_that_means_something_in_a_url_is_hinted_at() {
    let told = |url: &str| hides(chatctl().args(["inspect", "tables", "--database-url", url]));
    for url in [
        "postgres://app:1234/wordhunter2SECRET@db/chat",
        "postgres://app:12#hunter2SECRET@db/chat",
    ] {
        let told = told(url);
        assert!(
            told.contains("`postgres://app:***@db/chat`") && told.contains("%2F for /"),
            "{told}"
        );
    }
    let told = told("host=db user=bob password=hunter2SECRET");
    assert!(
        told.contains("as a URL: postgres://USER:PASSWORD@HOST"),
        "{told}"
    );
}

#[test]
fn a_file_is_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "rooted: hunter2SECRET:rooted\n").unwrap();
    for key in [
        "database-url",
        "server",
        "start",
        "format",
        "profile",
        "gateway",
        "settle",
        "origin",
        "sessions",
    ] {
        let config = folder.path().join("chatctl.toml");
        fs::write(&config, format!("{key} = \"file:{}\"", secret.display())).unwrap();
        for command in [&["config"][..], &["verify-stream"], &["inspect", "tables"]] {
            let told = hides(chatctl().current_dir(folder.path()).args(command));
            assert!(!told.contains("rooted"), "{key}: {told}");
        }
    }
}

#[test]
fn no_form_of_a_server_shows_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chat.db"), b"").unwrap();
    let db = format!("sqlite:{}", folder.path().join("chat.db").display());
    for server in [
        "http://127.0.0.1:9/?token=hunter2SECRET",
        "http://127.0.0.1:9/?hunter2SECRET",
        "http://hunter2SECRET@127.0.0.1:9/",
        "http://bob:hunter2SECRET@127.0.0.1:9/",
        "http://bob:hunter2SECRET@host:port",
        "http://bob:a/hunter2SECRET@127.0.0.1:9/",
        "bob:hunter2SECRET@127.0.0.1:9",
        "https://bob:hunter2SECRET@",
    ] {
        let verify = [
            "verify-stream",
            "--database-url",
            &db,
            "--gateway",
            "127.0.0.1:0",
        ];
        hides(chatctl().args(verify).args(["--server", server]));
        hides(chatctl().args(["config"]).env("CHATCTL_SERVER", server));
        hides(chatctl().args([
            "audit",
            "restart",
            "--database-url",
            &db,
            "--server",
            server,
            "--ready",
            "/x",
            "--",
            "true",
        ]));
    }
}

#[test]
fn no_form_of_a_command_shows_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("chat.db").display());
    let secret = "sh -c 'echo OPENAI_API_KEY=sk-hunter2SECRET9 postgres://bob:hunter2SECRET@db/x; echo {\\\"password\\\": \\\"hunter2SECRET\\\"} {port}; exit 1'";
    for start in [
        "env OPENAI_API_KEY=hunter2SECRET uvicorn --port {port} 'app",
        "OPENAI_API_KEY=hunter2SECRET uvicorn --port {port} 'app",
        "OPENAI_API_KEY=hunter2SECRET",
        "OPENAI_API_KEY=hunter2SECRET --port {port}",
        secret,
    ] {
        let verify = [
            "verify-stream",
            "--database-url",
            &db,
            "--ready-timeout",
            "1s",
        ];
        let told = hides(chatctl().args(verify).args(["--start", start]));
        assert!(
            start != secret || told.contains("the end of its output") && told.contains("***"),
            "{told}"
        );
        hides(chatctl().args(["config"]).env("CHATCTL_START", start));
    }
    let around = [
        "audit",
        "restart",
        "--database-url",
        &db,
        "--server",
        "http://127.0.0.1:9",
        "--ready",
        "/x",
        "--ready-timeout",
        "1s",
    ];
    hides(chatctl().args(around).args([
        "--",
        "sh",
        "-c",
        "TOKEN=hunter2SECRET; echo token=hunter2SECRET; exit 1",
    ]));
}

#[test]
fn a_server_may_say_the_password_of_its_database() {
    let chat = Chat::new("correct");
    // The server's own log and its answer quote what chatctl gave it.
    let start =
        "sh -c 'echo connecting with correcthorse to bob; echo {database_url} {port}; exit 3'";
    let mut command = chatctl();
    command.args([
        "verify-stream",
        "--database-url",
        "postgres://bob:correcthorse@127.0.0.1:1/chat",
        "--proof",
        "observe",
    ]);
    let (_, err) = text(&command.args(["--start", start]).output().unwrap());
    assert!(err.contains("connecting with *** to bob"), "{err}");
    assert!(!err.contains("correcthorse"), "{err}");
    drop(chat);
}

/// A password that is also a word is masked where it is one, and nowhere else.
#[test]
fn cells_and_our_own_words_are_never_masked() {
    let server = Postgres::start();
    let plain = server.url();
    crate::common::servers::run_sql(
        &plain,
        "CREATE TABLE messages (id integer primary key, conversation_id text, role text, content text, created_at timestamptz);
         INSERT INTO messages VALUES (1, 'chat', 'role', 'chatctl inspect, 2026-11-29 10:00, c0ffee42!', '2026-11-29'),
             (2, 'chat', 'assistant', 'messages', '2026-11-29 00:00:01')",
    );
    for password in [
        "role",
        "2026",
        "chat",
        "messages",
        "ctl",
        "2026-11-29",
        "c0ffee42",
        "assistant",
        "a",
    ] {
        let url = plain.replace("postgres@", &format!("postgres:{password}@"));
        let run = |url: &str, arguments: &[&str]| {
            let mut command = chatctl();
            let (out, err) = text(
                &command
                    .args(arguments)
                    .args(["--database-url", url])
                    .output()
                    .unwrap(),
            );
            (out, err)
        };
        let shown = |text: String| text.replace(":***@", "@");
        for arguments in [
            &["inspect", "tables"][..],
            &["inspect", "conversations"],
            &["inspect", "show", "chat"],
            &["inspect", "show", "chat", "--raw"],
            &["inspect", "search", "inspect"],
            &[
                "inspect",
                "sql",
                "SELECT id, role, content, conversation_id FROM messages",
            ],
            &[
                "inspect",
                "sql",
                "SELECT role AS chat, 2026 AS \"2026\" FROM messages",
            ],
            &["inspect", "mapping"],
            &["inspect", "schema"],
            &["inspect", "show", "nothing"],
        ] {
            let (with, without) = (run(&url, arguments), run(&plain, arguments));
            assert!(with.1.contains("postgres:***@"), "{}", with.1);
            assert_eq!(shown(with.0), without.0, "{password}: {arguments:?}");
            assert_eq!(shown(with.1), without.1, "{password}: {arguments:?}");
        }
        let (out, _) = run(&url, &["audit", "check", "--format", "json"]);
        assert!(
            !out.replace(":***@", "").contains("***"),
            "{password}: {out}"
        );
    }
}

/// Answers every request with the same head, and counts them.
fn answering(head: String) -> (u16, Arc<AtomicUsize>, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, heard) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let (counted, hears) = (Arc::clone(&count), Arc::clone(&heard));
    std::thread::spawn(move || {
        // More than any command here asks.
        for stream in listener.incoming().take(100).flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(stream, &head, &hears);
        }
    });
    (port, count, heard)
}

fn answer(mut stream: TcpStream, head: &str, heard: &std::sync::Mutex<String>) {
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).unwrap_or(0);
    heard
        .lock()
        .unwrap()
        .push_str(&String::from_utf8_lossy(&bytes[..read]));
    let _ = stream.write_all(head.as_bytes());
}

fn session(folder: &Path, text: &str) -> String {
    let path = folder.join("s.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn no_redirect_carries_a_secret_to_another_host() {
    let store = Store::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let chat = "[request]\nrequest = \"POST /chat\"\nheaders = { x-api-key = \"env:KEY\" }\njson = { message = \"{user}\" }\n[[turn]]\nuser = \"hi\"\nanswer = \"Hello.\"\n";
    let login = "[login]\nrequest = \"POST /login\"\njson = { email = \"ann@example.org\", password = \"env:KEY\" }\n";
    let setup =
        "[[setup]]\nrequest = \"POST /conversations\"\nheaders = { x-api-key = \"env:KEY\" }\n";
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        for text in [
            chat.to_owned(),
            format!("{login}{chat}"),
            format!("{setup}{chat}"),
        ] {
            let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 14\r\n\r\ndata: [DONE]\n\n";
            let (other, reached, _) = answering(ok.to_owned());
            let (home, asked, heard) = answering(format!(
                "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{other}/x?token=hunter2SECRET\r\ncontent-length: 0\r\n\r\n"
            ));
            let told = hides(
                chatctl()
                    .args([
                        "verify-stream",
                        "--database-url",
                        &store.url(),
                        "--gateway",
                        "127.0.0.1:0",
                    ])
                    .args([
                        "--server",
                        &format!("http://127.0.0.1:{home}"),
                        &session(folder.path(), &text),
                    ])
                    .env("KEY", "hunter2SECRET"),
            );
            assert!(asked.load(Ordering::SeqCst) > 0, "{told}");
            assert!(
                heard.lock().unwrap().contains(SECRET),
                "the server itself gets it"
            );
            assert_eq!(reached.load(Ordering::SeqCst), 0, "{status}: {told}");
            assert!(
                told.contains("a different host, and chatctl sends no keys or log-ins there"),
                "{status}: {told}"
            );
            assert!(
                told.contains(&format!("127.0.0.1:{other}/x?token=***")),
                "{status}: {told}"
            );
        }
    }
}

/// The server itself may send on to another of its paths.
#[test]
fn a_redirect_at_home_is_followed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().take(100).flatten() {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            let asked = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let answer = if asked.starts_with("POST /chat ") {
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /chat/\r\ncontent-length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 418 Teapot\r\ncontent-length: 5\r\n\r\nfound"
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let store = Store::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let chat = "[request]\nrequest = \"POST /chat\"\njson = { message = \"{user}\" }\n[[turn]]\nuser = \"hi\"\nanswer = \"Hello.\"\n";
    let (_, err) = text(
        &chatctl()
            .args([
                "verify-stream",
                "--database-url",
                &store.url(),
                "--gateway",
                "127.0.0.1:0",
            ])
            .args([
                "--server",
                &format!("http://127.0.0.1:{port}"),
                &session(folder.path(), chat),
            ])
            .output()
            .unwrap(),
    );
    assert!(err.contains("was answered 418"), "{err}");
}
