//! What the tests share: running chatctl, and the real chat servers in their modes.
pub mod backend;
pub mod faults;
pub mod node;
pub mod servers;
pub mod sites;
pub mod small;
pub mod stores;

use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program.
pub fn chatctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
    // Settings of whoever runs the tests must not reach them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHATCTL_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The Python that has the chat servers' packages; `tests/run` makes it.
pub fn python() -> PathBuf {
    let named = std::env::var_os("CHATCTL_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| root().join("target/venv/bin/python"));
    assert!(
        python.exists(),
        "no {}: run tests/run, which makes the chat servers' environment",
        python.display()
    );
    python
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A place among the tests that run at the same time.
///
/// A right server's final marker can follow its commit within a fraction of a millisecond. Whether
/// the gate is closed again by then is a question of the scheduler, so a test that wants `proven`
/// runs alone; all others share the machine.
pub struct Turn(#[expect(dead_code, reason = "the lock is given back when it is dropped")] File);

impl Turn {
    /// Beside other tests.
    pub fn shared() -> Self {
        let file = Self::file("turn");
        file.lock_shared().unwrap();
        Self(file)
    }

    /// With no other test that has a turn.
    pub fn alone() -> Self {
        Self::at("turn")
    }

    /// With no other test at the same thing.
    fn at(thing: &str) -> Self {
        let file = Self::file(thing);
        file.lock().unwrap();
        Self(file)
    }

    fn file(name: &str) -> File {
        File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)).unwrap()
    }
}

/// A chat server in a mode, with a store of its own.
pub struct Chat {
    pub folder: tempfile::TempDir,
    mode: &'static str,
    settings: Vec<(&'static str, String)>,
    profile: &'static str,
    app: &'static str,
    /// The URL of its database; a file of its own when absent.
    server: Option<String>,
    _turn: Turn,
}

impl Chat {
    /// A server in a mode of `tests/servers/chat/modes.py`.
    pub fn new(mode: &'static str) -> Self {
        Self::with(Turn::shared(), mode)
    }

    /// The same, for a test that wants `proven`.
    pub fn alone(mode: &'static str) -> Self {
        Self::with(Turn::alone(), mode)
    }

    fn with(turn: Turn, mode: &'static str) -> Self {
        Self {
            _turn: turn,
            folder: tempfile::tempdir().unwrap(),
            mode,
            settings: Vec::new(),
            profile: "plain",
            app: "chat.app",
            server: None,
        }
    }

    /// The server that keeps its chats as other applications do.
    pub fn kept(form: &str, save: &str) -> Self {
        Self {
            app: "chat.kept_otherwise",
            ..Self::alone("correct").set("KEPT", form).set("SAVE", save)
        }
    }

    /// `sync`, `async` or `raw`.
    pub fn stack(self, stack: &str) -> Self {
        self.set("STACK", stack)
    }

    /// `wal` or `delete`.
    pub fn journal(self, journal: &str) -> Self {
        self.set("JOURNAL", journal)
    }

    /// `starlette` or `sse`.
    pub fn transport(self, transport: &str) -> Self {
        self.set("TRANSPORT", transport)
    }

    /// Passes the provider's chunks through.
    pub fn openai(mut self) -> Self {
        self.profile = "openai-chat";
        self.set("WIRE", "openai")
    }

    /// Any setting of the server.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// In a database of a server, with this driver of SQLAlchemy.
    pub fn on(mut self, url: String, driver: &str) -> Self {
        self.server = Some(url);
        self.set("DRIVER", driver)
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("chat.db")
    }

    /// The command that starts it, as `--start` takes it.
    pub fn start(&self) -> String {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let database = match &self.server {
            Some(_) => "DATABASE_URL={database_url}",
            None => "DATABASE_PATH={database_path}",
        };
        format!(
            "env MODE={} {database} GATEWAY_URL={{gateway_url}} {} {} -m uvicorn {}:app \
             --app-dir {} --host 127.0.0.1 --port {{port}}",
            self.mode,
            settings.join(" "),
            python().display(),
            self.app,
            root().join("tests/servers").display(),
        )
    }

    /// `chatctl verify-stream` of it, started by chatctl; more arguments may follow.
    pub fn verify(&self) -> Command {
        let file = || format!("sqlite:{}", self.database().display());
        let mut command = chatctl();
        command.arg("verify-stream").args([
            "--database-url",
            &self.server.clone().unwrap_or_else(file),
            "--ready",
            "/health",
            "--profile",
            self.profile,
            "--start",
            &self.start(),
        ]);
        command
    }

    /// The report of a verification, and the exit code.
    pub fn report(&self, arguments: &[&str]) -> (Value, i32) {
        report(self.verify().args(arguments))
    }
}

/// Runs a command for its JSON report.
pub fn report(command: &mut Command) -> (Value, i32) {
    let output = command.args(["--format", "json"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!(
            "no report on stdout; stderr: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    (report, output.status.code().unwrap_or(-1))
}

/// The codes of a report's findings of level error.
pub fn errors(report: &Value) -> Vec<&str> {
    codes(report, "error")
}

/// The codes of a report's findings of a level.
pub fn codes<'a>(report: &'a Value, severity: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["severity"] == severity)
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

/// The case of a report whose name ends so.
pub fn case<'a>(report: &'a Value, ending: &str) -> &'a Value {
    let cases = report["cases"].as_array().unwrap();
    cases
        .iter()
        .find(|case| case["name"].as_str().unwrap().ends_with(ending))
        .unwrap_or_else(|| panic!("no case {ending} in {report:#}"))
}

/// Output as text.
pub fn text(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
