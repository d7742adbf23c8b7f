//! The form around the user's own restart command.

use crate::common::{Chat, chatctl, errors};
use crate::restart::{is_clean, runs, session, signal, until};
use chatctl::http::Reserved;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A server of the user's, with a script that restarts it.
struct Own {
    chat: Chat,
    port: u16,
    gateway: u16,
    // Nobody else's while the server is stopped, and between two audits.
    _reserved: [Reserved; 2],
}

impl Own {
    fn new(mode: &'static str) -> Self {
        let reserved = [(); 2].map(|()| Reserved::new().unwrap());
        let own = Self {
            chat: Chat::new(mode),
            port: reserved[0].port(),
            gateway: reserved[1].port(),
            _reserved: reserved,
        };
        let start = own
            .chat
            .start()
            .replace("{database_path}", own.chat.database().to_str().unwrap())
            .replace(
                "{gateway_url}",
                &format!("http://127.0.0.1:{}/v1", own.gateway),
            )
            .replace("{port}", &own.port.to_string());
        let pid = own.chat.folder.path().join("pid");
        let log = own.chat.folder.path().join("log");
        let script = format!(
            "if [ -e {pid} ]; then kill $(cat {pid}); while kill -0 $(cat {pid}) 2>/dev/null; do sleep 0.05; done; fi\n\
             {start} >{log} 2>&1 &\necho $! >{pid}\n",
            pid = pid.display(),
            log = log.display(),
        );
        fs::write(own.script(), script).unwrap();
        own.restart();
        own
    }

    fn script(&self) -> std::path::PathBuf {
        self.chat.folder.path().join("restart.sh")
    }

    fn restart(&self) {
        assert!(
            Command::new("sh")
                .arg(self.script())
                .status()
                .unwrap()
                .success()
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The audit, up to the user's command.
    fn audit(&self) -> Command {
        let mut audit = chatctl();
        audit
            .args(["audit", "restart", &session(self.chat.folder.path())])
            .args([
                "--database-url",
                &format!("sqlite:{}", self.chat.database().display()),
                "--server",
                &format!("http://127.0.0.1:{}", self.port),
                "--gateway",
                &format!("127.0.0.1:{}", self.gateway),
                "--ready",
                &format!("http://127.0.0.1:{}/health", self.port),
                "--ready-timeout",
                "15s",
                "--rounds",
                "2",
                "--format",
                "json",
                "--",
            ]);
        audit
    }

    fn audited(&self, command: &[&str]) -> (Value, i32) {
        let output = self.audit().args(command).output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        (
            report.unwrap_or_else(|_| panic!("{output:?}")),
            output.status.code().unwrap(),
        )
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.chat.folder.path().join("pid")).unwrap_or_default();
        let _ = Command::new("kill").arg(pid.trim()).status();
    }
}

/// The form around the user's own command: the server is restarted by it, and left running.
#[test]
fn around_a_command() {
    let own = Own::new("correct");
    let (report, exit) = own.audited(&["sh", own.script().to_str().unwrap()]);
    is_clean(&report, exit, 2);
    assert!(std::net::TcpStream::connect(("127.0.0.1", own.port)).is_ok());
    let own = Own::new("hard_reset");
    let (report, exit) = own.audited(&["sh", own.script().to_str().unwrap()]);
    assert_eq!(errors(&report), ["conversation-not-found"], "{report:#}");
    assert_eq!(exit, 1);
}

/// A command that restarts nothing, one that fails, and one that only stops.
#[test]
fn commands_that_do_not_restart() {
    let own = Own::new("correct");
    for (command, words) in [
        (&["true"][..], "never stopped answering"),
        (&["false"], "failed (exit status: 1)"),
    ] {
        let (report, exit) = own.audited(command);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("inconclusive", 3),
            "{report:#}"
        );
        assert!(
            report["cases"][0]["reason"]
                .as_str()
                .unwrap()
                .contains(words),
            "{report:#}"
        );
    }
    let pid = fs::read_to_string(own.chat.folder.path().join("pid")).unwrap();
    let (report, exit) = own.audited(&["kill", pid.trim()]);
    assert_eq!(errors(&report), ["server-did-not-start"], "{report:#}");
    assert_eq!(exit, 1);
}

/// Another program on the port is not the server, whatever it answers.
#[test]
fn a_port_that_another_program_took() {
    let own = Own::new("correct");
    let folder = own.chat.folder.path();
    let script = folder.join("mix-up.sh");
    let text = format!(
        "kill $(cat {pid}); while kill -0 $(cat {pid}) 2>/dev/null; do sleep 0.05; done\n\
         {chatctl} demo-server --db {other} --port {port} --gateway http://127.0.0.1:{gateway}/v1 >{other}.log 2>&1 &\n\
         echo $! >{pid}\n",
        pid = folder.join("pid").display(),
        chatctl = env!("CARGO_BIN_EXE_chatctl"),
        other = folder.join("other.db").display(),
        port = own.port,
        gateway = own.gateway,
    );
    fs::write(&script, text).unwrap();
    let (report, exit) = own.audited(&["sh", script.to_str().unwrap()]);
    let told = (report["verdict"].as_str().unwrap(), exit);
    assert_eq!(told, ("inconclusive", 3), "{report:#}");
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("has another program taken the port"),
        "{reason}"
    );
    assert_eq!(report["cases"].as_array().unwrap().len(), 1, "{report:#}");
}

/// A signal while the user's command runs ends it with all that it started, and leaves no file
/// behind; the server is the user's.
#[test]
fn an_interrupt_ends_the_command() {
    let own = Own::new("correct");
    let folder = own.chat.folder.path();
    for told in [Signal::SIGINT, Signal::SIGTERM] {
        let temporary = folder.join(format!("tmp-{told}"));
        fs::create_dir(&temporary).unwrap();
        let begun = temporary.join("begun");
        // The name of the file is in the commands of the shell and of its child.
        let script = format!(
            "sh -c 'sleep 600; : {0}' & touch {0}; sleep 600; : {0}",
            begun.display()
        );
        let mut child = own
            .audit()
            .args(["sh", "-c", &script])
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until(|| begun.exists(), "the command was not run");
        signal(&child, told);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        until(|| !runs(&begun), "a process of the command is left");
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "beside the command's own file: {left:?}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", own.port)).is_ok());
    }
}
