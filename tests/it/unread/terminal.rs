//! On a real terminal, with the pager that people have.

use super::{chat, ended, is_free, signal};
use crate::common::stores::{Store, on_each_backend};
use nix::pty::Winsize;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    screen: File,
}

impl Terminal {
    fn start(store: &Store, query: &str) -> Self {
        let size = Winsize {
            ws_row: 40,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = nix::pty::openpty(&size, None).unwrap();
        let side = File::from(pty.slave);
        // It becomes the leader of the terminal's session, as a shell would make it one.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(env!("CARGO_BIN_EXE_chatctl"))
            .args(["inspect", "sql", "--database-url", &store.url(), query])
            .env("TERM", "xterm")
            .env_remove("PAGER")
            .env_remove("CHATCTL_PAGER")
            .env_remove("LESS")
            .stdin(side.try_clone().unwrap())
            .stdout(side.try_clone().unwrap())
            .stderr(side)
            .spawn()
            .unwrap();
        Self {
            child,
            screen: File::from(pty.master),
        }
    }

    /// Waits until the pager shows the first page.
    fn is_shown(&mut self) {
        let mut seen = String::new();
        while !seen.contains("xxxxxxxx") {
            let mut some = [0; 4096];
            let count = self.screen.read(&mut some).unwrap();
            assert!(count > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    }

    fn press(&mut self, key: u8) {
        self.screen.write_all(&[key]).unwrap();
    }
}

const CTRL_C: u8 = 3;

async fn a_person_who_reads_keeps_nobody_from_writing(store: &Store) {
    chat(store).await;
    let mut terminal = Terminal::start(store, "SELECT * FROM message");
    terminal.is_shown();
    is_free(store).await;
    assert!(
        terminal.child.try_wait().unwrap().is_none(),
        "they still read"
    );
    terminal.press(b'q');
    assert_eq!(ended(&mut terminal.child).code(), Some(0));
}

async fn ctrl_c_ends_it_at_once(store: &Store) {
    chat(store).await;
    let mut terminal = Terminal::start(store, "SELECT * FROM message");
    terminal.is_shown();
    terminal.press(CTRL_C);
    assert_eq!(ended(&mut terminal.child).code(), Some(130));
    is_free(store).await;
}

async fn a_signal_ends_the_pager_too(store: &Store) {
    chat(store).await;
    let mut terminal = Terminal::start(store, "SELECT * FROM message");
    terminal.is_shown();
    signal(&terminal.child, Signal::SIGTERM);
    assert_eq!(ended(&mut terminal.child).code(), Some(130));
}

on_each_backend! {
    a_person_who_reads_keeps_nobody_from_writing
    ctrl_c_ends_it_at_once
}

#[test]
fn a_signal_to_chatctl_ends_the_pager() {
    crate::common::stores::run(a_signal_ends_the_pager_too(&Store::sqlite()));
}
