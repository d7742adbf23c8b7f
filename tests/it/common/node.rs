//! The chat server on Node, which talks to its database by `pg`, `mysql2` or `better-sqlite3`.

use super::{Turn, chatctl, report, root};
use serde_json::Value;
use std::path::PathBuf;

/// The folder with the drivers; `tests/run` makes it.
fn drivers() -> PathBuf {
    let named = std::env::var_os("CHATCTL_TEST_NODE").map(PathBuf::from);
    let drivers = named.unwrap_or_else(|| root().join("target/node/node_modules"));
    assert!(
        drivers.exists(),
        "no {}: run tests/run, which makes it",
        drivers.display()
    );
    drivers
}

/// The command that starts it, with settings of its environment such as `MODE=after`.
pub fn start(settings: &str) -> String {
    format!(
        "env NODE_PATH={} GATEWAY_URL={{gateway_url}} {settings} node {} {{port}}",
        drivers().display(),
        root().join("tests/servers/node/server.js").display(),
    )
}

/// The modes that are right and those that are wrong.
pub fn modes() -> Vec<(String, bool)> {
    let listed = std::process::Command::new("node")
        .arg(root().join("tests/servers/node/modes.js"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let modes = listed.lines().map(|line| line.split_once(' ').unwrap());
    modes
        .map(|(mode, truth)| (mode.to_owned(), truth == "pass"))
        .collect()
}

/// The report of `chatctl verify-stream` of it, in its default gate.
pub fn verify(mode: &str, url: &str, settings: &str) -> Value {
    let _turn = Turn::shared();
    let start = start(&format!("MODE={mode} {settings}"));
    report(
        chatctl()
            .args(["verify-stream", "--ready", "/health", "--proof", "gate"])
            .args(["--trials", "3", "--database-url", url, "--start", &start]),
    )
    .0
}
