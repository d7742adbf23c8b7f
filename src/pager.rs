//! A pager between a view and the terminal.
//!
//! It is started with the first text, so that a command that fails before shows its error alone.
//! When it can't be started the text goes to the terminal as it is.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io;
use std::io::Write;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Scrolls, keeps colours, ends by itself when all fits on the screen and leaves it there, and ends
/// at Ctrl-C.
const DEFAULT: &str = "less -FRXK";

/// The exit code of `less -K` that Ctrl-C ended.
const AT_CTRL_C: i32 = 2;

/// How often it is asked whether the reader has quit it.
const LOOK: Duration = Duration::from_millis(10);

/// The pager that the environment names, split into words; none when it names none on purpose.
pub fn named(variable: impl Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let named = variable("CHATCTL_PAGER").or_else(|| variable("PAGER"));
    let words = shlex::split(&named.unwrap_or_else(|| DEFAULT.to_owned()))?;
    let is_none = matches!(words.first().map(String::as_str), None | Some("cat"));
    (!is_none).then_some(words)
}

/// Writes into a pager, or into `out` when it can't be started.
pub struct Pager {
    words: Vec<String>,
    stdin: Option<ChildStdin>,
    running: Running,
    out: Box<dyn Write + Send>,
}

/// The pager's process, from wherever it is to be ended.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    /// It is not started, or its reader has quit it.
    #[default]
    Absent,
    Runs(Child),
    /// Ctrl-C ended it. The same signal is on its way to this process, and may come later.
    Interrupted,
}

impl Pager {
    /// A pager that is not started yet; without a word there is none.
    pub fn new(words: Vec<String>, out: Box<dyn Write + Send>) -> Self {
        Self {
            words,
            stdin: None,
            running: Running::default(),
            out,
        }
    }

    /// Its process, from when it is started on.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    fn start(&mut self) {
        let Some((program, arguments)) = self.words.split_first() else {
            return;
        };
        let mut command = Command::new(program);
        let child = command.args(arguments).stdin(Stdio::piped()).spawn().ok();
        self.words.clear();
        if let Some(mut child) = child {
            self.stdin = child.stdin.take();
            *self.running.lock() = State::Runs(child);
        }
    }
}

impl Write for Pager {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.start();
        match &mut self.stdin {
            Some(stdin) => stdin.write(text),
            None => self.out.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.flush(),
            None => self.out.flush(),
        }
    }
}

impl Drop for Pager {
    /// Waits until the reader has quit it: it owns the terminal until then.
    fn drop(&mut self) {
        drop(self.stdin.take());
        while !self.running.has_ended() {
            std::thread::sleep(LOOK);
        }
    }
}

impl Running {
    /// Asks the pager to end, if it runs.
    pub fn end(&self) {
        if let State::Runs(child) = &*self.lock()
            && let Ok(id) = i32::try_from(child.id())
        {
            // It is still this child: only `has_ended` waits for it. One that has ended needs no signal.
            let _ = nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }

    /// Whether Ctrl-C ended it, and not its reader.
    pub fn is_interrupted(&self) -> bool {
        matches!(*self.lock(), State::Interrupted)
    }

    fn has_ended(&self) -> bool {
        let mut state = self.lock();
        if let State::Runs(child) = &mut *state {
            *state = match child.try_wait() {
                Ok(None) => return false,
                Ok(Some(status)) if by_ctrl_c(status) => State::Interrupted,
                Ok(Some(_)) | Err(_) => State::Absent,
            };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_ctrl_c(status: ExitStatus) -> bool {
    status.code() == Some(AT_CTRL_C) || status.signal() == Some(Signal::SIGINT as i32)
}

#[cfg(test)]
mod tests {
    use super::{Pager, named};
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    fn from(pairs: &[(&str, &str)]) -> Option<Vec<String>> {
        named(|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_names_the_pager() {
        assert_eq!(from(&[]).unwrap(), ["less", "-FRXK"]);
        assert_eq!(from(&[("PAGER", "more -d")]).unwrap(), ["more", "-d"]);
        let both = [("PAGER", "more"), ("CHATCTL_PAGER", "most")];
        assert_eq!(from(&both).unwrap(), ["most"]);
        for none in ["", "cat", " "] {
            assert_eq!(from(&[("PAGER", none)]), None);
        }
    }

    #[test]
    fn text_goes_through_the_pager_and_its_end_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown");
        let words = ["tee", path.to_str().unwrap()].map(str::to_owned);
        let (mut reader, out) = std::io::pipe().unwrap();
        let mut pager = Pager::new(words.to_vec(), Box::new(out));
        pager.write_all(b"one\ntwo\n").unwrap();
        drop(pager);
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_pager_that_cannot_start_is_done_without() {
        let (mut reader, out) = std::io::pipe().unwrap();
        let mut pager = Pager::new(vec!["/no/such/pager".to_owned()], Box::new(out));
        pager.write_all(b"one").unwrap();
        drop(pager);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
    }

    #[test]
    fn a_pager_that_was_quit_closes_the_pipe() {
        let mut pager = Pager::new(vec!["true".to_owned()], Box::new(std::io::empty()));
        let text = vec![b'x'; 1 << 20];
        let error = pager.write_all(&text).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pager_that_ctrl_c_ends_is_no_reader_that_quits() {
        let ended = |script: &str| {
            let words = ["sh", "-c", script].map(str::to_owned);
            let mut pager = Pager::new(words.to_vec(), Box::new(std::io::empty()));
            // It may end before the text is written.
            let _ = pager.write_all(b"one");
            let running = pager.running();
            drop(pager);
            running.is_interrupted()
        };
        assert!(ended("exit 2"));
        assert!(ended("kill -INT $$"));
        assert!(!ended("exit 0"));
        assert!(!ended("exit 1"));
        assert!(!ended("kill -TERM $$"));
    }

    #[test]
    fn a_pager_is_ended_from_elsewhere() {
        let words = ["sleep", "1000"].map(str::to_owned);
        let mut pager = Pager::new(words.to_vec(), Box::new(std::io::empty()));
        pager.write_all(b"one").unwrap();
        let running = pager.running();
        let waiting = std::thread::spawn(move || drop(pager));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiting.is_finished());
        running.end();
        waiting.join().unwrap();
    }
}
