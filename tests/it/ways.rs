//! The ways to say what is wanted, each against a real server: the documented sessions, a
//! declared mapping, the other gate, a server that runs already.

use crate::common::{Chat, case, chatctl, codes, report, root, side_by_side};
use chatctl::http::Reserved;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The sessions that the documentation shows are run as they are.
#[test]
fn the_documented_sessions_run() {
    for (file, server) in [
        ("hello.toml", Chat::new("correct")),
        (
            "two-turns.toml",
            Chat::new("correct").stack("async").set("AUTH", "bearer"),
        ),
        ("eventsource.toml", Chat::new("correct").transport("sse")),
        ("openai.toml", Chat::new("correct").openai()),
    ] {
        let file = root().join("fixtures/sessions/hello").join(file);
        let (report, exit) = server.report(&[file.to_str().unwrap(), "--proof", "observe"]);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("held", 0),
            "{}: {report:#}",
            file.display()
        );
    }
}

/// A folder of sessions is a run of all of them.
#[test]
fn a_folder_is_all_its_sessions() {
    let chat = Chat::new("correct");
    let folder = chat.folder.path().join("sessions");
    fs::create_dir(&folder).unwrap();
    let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml")).unwrap();
    for name in ["a", "b"] {
        let text = shipped.replace("name = \"plain\"", &format!("name = \"{name}\""));
        fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
    let (report, _) = chat.report(&[folder.to_str().unwrap(), "--proof", "observe"]);
    let orders = report["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["name"].as_str().unwrap().ends_with("/order"));
    assert_eq!(orders.count(), 2, "{report:#}");
}

#[test]
fn a_declared_mapping_is_taken() {
    let chat = Chat::new("after");
    let config = chat.folder.path().join("chatctl.toml");
    let text = "settle = \"1s\"\n[[store]]\n[store.message]\ntable = \"message\"\nconversation = [\"conversation_id\"]\n\
        role = \"role\"\ncontent = \"content\"\norder = [\"id\"]\n";
    fs::write(&config, text).unwrap();
    let (report, exit) = chat.report(&["--config", config.to_str().unwrap(), "--proof", "gate"]);
    assert!(
        report["store"]["mapping"]
            .as_str()
            .unwrap()
            .contains("declared"),
        "{report:#}"
    );
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{report:#}"
    );
}

/// However the chats are kept, the order of a save and the marker is shown: in a tree in the
/// conversation's row, in a row for each turn, in JSON, and in rows of parts.
#[test]
fn the_order_is_shown_in_every_shape() {
    let forms = [
        ("blob", None),
        ("turn", None),
        ("json", None),
        (
            "parts",
            Some(
                "[[store]]\n[store.message]\ntable = 'msg'\nconversation = ['thread_id']\nrole = 'role'\norder = ['n']\n\
                 [store.parts]\ntable = 'msg_part'\nkey = 'msg_id'\norder = 'position'\ncontent = 'body'\n",
            ),
        ),
    ];
    let saves = [("before", "proven"), ("after", "violated")];
    let cases: Vec<_> = forms
        .iter()
        .flat_map(|form| saves.iter().map(move |save| (form, save)))
        .collect();
    side_by_side(&cases, |((form, declared), (save, verdict))| {
        let chat = Chat::kept_beside(form, save);
        let config = chat.folder.path().join("chatctl.toml");
        fs::write(&config, declared.unwrap_or_default()).unwrap();
        let config = ["--config", config.to_str().unwrap()];
        let (report, _) =
            chat.report(&[&config[..], &["--proof", "gate", "--trials", "3"]].concat());
        let order = &case(&report, "/order")["verdict"];
        assert_eq!(order, verdict, "{form} {save}: {report:#}");
    });
}

/// SQLite's own write lock proves a violation, and says of a right server only what it can: it
/// does not count the writes that it lets through.
#[test]
fn the_other_gate_is_never_wrong() {
    for journal in ["wal", "delete"] {
        let gate = ["--proof", "gate", "--gate", "begin-immediate"];
        let (report, exit) = Chat::new("after").journal(journal).report(&gate);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("violated", 1),
            "{journal}: {report:#}"
        );
        let (report, exit) = Chat::new("correct").journal(journal).report(&gate);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("inconclusive", 3),
            "{journal}: {report:#}"
        );
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that somebody else started: it is verified and left running.
#[test]
fn a_server_that_runs_already() {
    let chat = Chat::alone("correct");
    let reserved = [(); 2].map(|()| Reserved::new().unwrap());
    let [port, gateway] = [reserved[0].port(), reserved[1].port()];
    let mut server = Running(
        Command::new(crate::common::python())
            .args([
                "-m",
                "uvicorn",
                "chat.app:app",
                "--host",
                "127.0.0.1",
                "--app-dir",
            ])
            .arg(root().join("tests/servers"))
            .args(["--port", &port.to_string()])
            .env("DATABASE_PATH", chat.database())
            .env("GATEWAY_URL", format!("http://127.0.0.1:{gateway}/v1"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let ready = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    assert!(ready);
    let (report, exit) = report(chatctl().args([
        "verify-stream",
        "--database-url",
        &format!("sqlite:{}", chat.database().display()),
        "--server",
        &format!("http://127.0.0.1:{port}"),
        "--gateway",
        &format!("127.0.0.1:{gateway}"),
    ]));
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("proven", 0),
        "{report:#}"
    );
    // Its store is not chatctl's to break: no save was made to fail.
    assert!(
        report["cases"]
            .as_array()
            .unwrap()
            .iter()
            .all(|case| case["name"] != "plain/save-fails")
    );
    assert_eq!(codes(&report, "note"), ["failed-save-untried"]);
    assert_eq!(case(&report, "/close-at-final")["verdict"], "held");
    assert!(
        server.0.try_wait().unwrap().is_none(),
        "the server was ended"
    );
}
