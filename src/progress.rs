//! The progress of a long command: notes, and a bar on stderr.
//!
//! The bar is hidden when stderr is not a terminal, with `--quiet`, and with every format but
//! `human`; notes are hidden with `--quiet` only.

use crate::mask::Mask;
use crate::render::escape;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Nothing but errors.
    Quiet,
    Notes,
    /// Notes and a bar.
    Bar,
}

/// The way of a command to stderr.
pub struct Progress {
    bar: ProgressBar,
    talk: Talk,
    mask: Mask,
    /// Whether the bar is drawn by itself.
    ticks: AtomicBool,
    stderr: Mutex<Box<dyn Write + Send>>,
}

impl Progress {
    /// Tells through `stderr`.
    pub fn new(talk: Talk, mask: Mask, stderr: Box<dyn Write + Send>) -> Self {
        let target = match talk {
            Talk::Bar => ProgressDrawTarget::stderr(),
            Talk::Quiet | Talk::Notes => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        bar.set_style(style.expect("the template is valid"));
        Self {
            bar,
            talk,
            mask,
            ticks: AtomicBool::new(false),
            stderr: Mutex::new(stderr),
        }
    }

    /// A fact that a person should know before they read the report.
    pub fn note(&self, text: &str) {
        if self.talk != Talk::Quiet {
            self.line("note", text);
        }
    }

    /// Something that may make the report less than it seems.
    pub fn warning(&self, text: &str) {
        if self.talk != Talk::Quiet {
            self.line("warning", text);
        }
    }

    /// What is being done now.
    pub fn doing(&self, what: String) {
        // Each beginning is a new thread.
        if self.bar.is_hidden() {
            return;
        }
        if !self.ticks.swap(true, Ordering::Relaxed) {
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
        let what = self.mask.fact(&what);
        self.bar.set_message(escape::line(&what).into_owned());
    }

    /// Nothing more is being done.
    pub fn done(&self) {
        self.bar.finish_and_clear();
        self.ticks.store(false, Ordering::Relaxed);
    }

    fn line(&self, kind: &str, text: &str) {
        self.bar.suspend(|| {
            let mut stderr = self.stderr.lock().expect("no holder panics");
            // There is nowhere to tell that stderr is closed.
            let text = self.mask.fact(text);
            let line = format!("{kind}: {}\n", escape::line(&text));
            let _ = stderr.write_all(line.as_bytes());
        });
    }
}
