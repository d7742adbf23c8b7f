//! The form around the user's own restart command.

use crate::common::Chat;
use crate::common::chatctl;
use crate::common::errors;
use crate::is_clean;
use crate::session;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

/// A server of the user's, with a script that restarts it.
struct Own {
    chat: Chat,
    port: u16,
    gateway: u16,
}

impl Own {
    fn new(mode: &'static str) -> Self {
        let free = || {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let own = Self {
            chat: Chat::new(mode),
            port: free(),
            gateway: free(),
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

    fn audited(&self, command: &[&str]) -> (Value, i32) {
        let output = chatctl()
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
            ])
            .args(command)
            .output()
            .unwrap();
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
