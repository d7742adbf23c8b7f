//! A source file is touched, and the server reloads itself, or does not.

use crate::common::{Chat, chatctl, errors, report, root};
use crate::restart::{audited, is_clean, session};
use std::fs;

/// A server whose sources are its own, so that one of them may be touched.
#[test]
fn a_reload() {
    for (mode, clean) in [("correct", true), ("in_memory", false)] {
        let chat = Chat::new(mode);
        let sources = chat.folder.path().join("sources");
        fs::create_dir_all(sources.join("chat")).unwrap();
        for entry in fs::read_dir(root().join("tests/servers/chat")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, sources.join("chat").join(path.file_name().unwrap())).unwrap();
            }
        }
        let sources = sources.to_str().unwrap();
        let start = chat
            .start()
            .replace(root().join("tests/servers").to_str().unwrap(), sources);
        let mut command = chatctl();
        command
            .args([
                "audit",
                "restart",
                &session(chat.folder.path()),
                "--ready",
                "/health",
            ])
            .args([
                "--stop",
                "reload",
                "--rounds",
                "2",
                "--settle",
                "500ms",
                "--database-url",
                &format!("sqlite:{}", chat.database().display()),
                "--start",
                &format!("{start} --reload --reload-dir {sources}"),
            ]);
        let (report, exit) = report(&mut command);
        if clean {
            is_clean(&report, exit, 2);
        } else {
            assert!(
                errors(&report).contains(&"conversation-not-found"),
                "{report:#}"
            );
        }
    }
}

/// A server that does not watch its sources is not reloaded: nothing is shown.
#[test]
fn no_reload() {
    let chat = Chat::new("correct");
    let source = chat.folder.path().join("app.py");
    fs::write(&source, "").unwrap();
    let file = source.to_str().unwrap();
    let arguments = [
        "--stop",
        "reload",
        "--reload-file",
        file,
        "--ready-timeout",
        "12s",
        "--rounds",
        "1",
    ];
    let (report, exit) = audited(&chat, &arguments);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("inconclusive", 3),
        "{report:#}"
    );
    assert!(
        report["cases"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("did not reload")
    );
}
