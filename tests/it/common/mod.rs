//! What the tests share: running chatctl, and the real chat servers in their modes.
pub mod backend;
pub mod faults;
pub mod node;
pub mod servers;
pub mod sites;
pub mod small;
pub mod stores;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

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
/// a gate that is a lock is closed again by then is a question of the scheduler, so a test that
/// wants `proven` under one runs alone; all others share the machine. A gate that withholds the
/// commit itself stays closed.
///
/// cargo-nextest gives each test a process of its own, and `.config/nextest.toml` has the group of those
/// that run alone. `cargo test` runs all tests as threads of one process, where these turns keep
/// them apart.
pub enum Turn {
    Shared,
    Alone,
}

/// How many tests have a turn, and whether it is one that runs alone. A test may have several shared
/// ones, so nobody who waits holds up those that come after.
static TURNS: Mutex<(usize, bool)> = Mutex::new((0, false));
static TURN_OVER: Condvar = Condvar::new();

impl Turn {
    /// Next to other tests.
    pub fn shared() -> Self {
        let mut turns = Self::until(|(_, alone)| !alone);
        turns.0 += 1;
        Self::Shared
    }

    /// With no other test that has a turn.
    pub fn alone() -> Self {
        if std::env::var_os("NEXTEST").is_some() {
            let group = std::env::var("NEXTEST_TEST_GROUP").unwrap_or_default();
            assert_eq!(
                group, "alone",
                "a test that runs alone belongs into the group `alone` of .config/nextest.toml"
            );
        }
        let mut turns = Self::until(|(count, _)| *count == 0);
        *turns = (1, true);
        Self::Alone
    }

    fn until(free: impl Fn(&(usize, bool)) -> bool) -> MutexGuard<'static, (usize, bool)> {
        let turns = TURNS.lock().unwrap();
        TURN_OVER.wait_while(turns, |turns| !free(turns)).unwrap()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = TURNS.lock().unwrap();
        turns.0 -= 1;
        turns.1 &= matches!(self, Self::Shared);
        TURN_OVER.notify_all();
    }
}

/// Runs cases, three at a time: each waits most of its time, for a server to start or for a hold to pass.
pub fn side_by_side<T: Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(case);
                }
            });
        }
    });
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

    /// The same, for a test that wants `proven` under a lock.
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
        Self::kept_in(Turn::alone(), form, save)
    }

    /// The same, next to other tests.
    pub fn kept_beside(form: &str, save: &str) -> Self {
        Self::kept_in(Turn::shared(), form, save)
    }

    fn kept_in(turn: Turn, form: &str, save: &str) -> Self {
        Self {
            app: "chat.kept_otherwise",
            ..Self::with(turn, "correct")
                .set("KEPT", form)
                .set("SAVE", save)
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
        let mut settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let names_stack = self.settings.iter().any(|(name, _)| *name == "STACK");
        if self.app == "chat.app" && self.server.is_none() && !names_stack {
            settings.push("STACK=threads".to_owned());
        }
        let database = match &self.server {
            Some(_) => "DATABASE_URL={database_url}",
            None => "DATABASE_PATH={database_path}",
        };
        format!(
            "env MODE={} {database} GATEWAY_URL={{gateway_url}} {} {} -m uvicorn {}:app \
             --app-dir {} --ws none --host 127.0.0.1 --port {{port}}",
            self.mode,
            settings.join(" "),
            python().display(),
            self.app,
            root().join("tests/servers").display(),
        )
    }

    /// The same command with one more setting.
    pub fn set_of(&self, name: &str, value: &str) -> String {
        self.start()
            .replacen("env ", &format!("env {name}={value} "), 1)
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
            // A busy machine takes its time to import a framework.
            "--ready-timeout",
            "2m",
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
