//! The small chat server of the standard library, which starts at once.

use super::{chatctl, python, report, root};
use serde_json::Value;
use std::path::Path;

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
    audit_in(folder.path(), &start(options), arguments)
}

/// The same with the store in a folder, and a command of one's own.
pub fn audit_in(folder: &Path, start: &str, arguments: &[&str]) -> (Value, i32) {
    let url = format!("sqlite:{}", folder.join("chat.db").display());
    report(
        chatctl()
            .args(["audit", "restart", "--ready", "/health"])
            .args(["--database-url", &url, "--start", start])
            .args(arguments),
    )
}
