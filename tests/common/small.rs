//! The small chat server of the standard library, which starts at once.

use super::chatctl;
use super::python;
use super::report;
use super::root;
use serde_json::Value;

/// The command that starts it with these options.
pub fn start(options: &[&str]) -> String {
    format!(
        "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} {}",
        python().display(),
        root().join("tests/servers/small.py").display(),
        options.join(" ")
    )
}

/// `chatctl audit restart` of it with a new store, and the exit code.
pub fn audit(options: &[&str], arguments: &[&str]) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    report(
        chatctl()
            .args(["audit", "restart", "--ready", "/health"])
            .args(["--database-url", &url, "--start", &start(options)])
            .args(arguments),
    )
}
