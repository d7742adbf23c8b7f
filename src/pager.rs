//! A pager between a view and the terminal.
//!
//! It is started with the first text, so that a command that fails before shows its error alone.
//! When it can't be started the text goes to the terminal as it is.

use std::io;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// Scrolls, keeps colours, ends by itself when all fits on the screen and leaves it there.
const DEFAULT: &str = "less -FRX";

/// The pager that the environment names, split into words; none when it names none on purpose.
pub fn named(variable: impl Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let named = variable("CHATCTL_PAGER").or_else(|| variable("PAGER"));
    let words = shlex::split(&named.unwrap_or_else(|| DEFAULT.to_owned()))?;
    let is_none = matches!(words.first().map(String::as_str), None | Some("cat"));
    (!is_none).then_some(words)
}

/// Writes into a pager, or into `out` when it can't be started.
pub struct Pager<'a> {
    words: Vec<String>,
    child: Option<Child>,
    out: &'a mut dyn Write,
}

impl<'a> Pager<'a> {
    /// A pager that is not started yet; without a word there is none.
    pub fn new(words: Vec<String>, out: &'a mut dyn Write) -> Self {
        Self {
            words,
            child: None,
            out,
        }
    }

    fn start(&mut self) {
        let Some((program, arguments)) = self.words.split_first() else {
            return;
        };
        let mut command = Command::new(program);
        self.child = command.args(arguments).stdin(Stdio::piped()).spawn().ok();
        self.words.clear();
    }
}

impl Write for Pager<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.start();
        match self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(stdin) => stdin.write(text),
            None => self.out.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(stdin) => stdin.flush(),
            None => self.out.flush(),
        }
    }
}

impl Drop for Pager<'_> {
    /// Waits until the reader has quit it: it owns the terminal until then.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            // Nobody else waits for it, so this can't fail.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Pager;
    use super::named;
    use std::io::Write as _;

    fn from(pairs: &[(&str, &str)]) -> Option<Vec<String>> {
        named(|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_names_the_pager() {
        assert_eq!(from(&[]).unwrap(), ["less", "-FRX"]);
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
        let mut out = Vec::new();
        let mut pager = Pager::new(words.to_vec(), &mut out);
        pager.write_all(b"one\ntwo\n").unwrap();
        drop(pager);
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        assert!(out.is_empty());
    }

    #[test]
    fn a_pager_that_cannot_start_is_done_without() {
        let mut out = Vec::new();
        let mut pager = Pager::new(vec!["/no/such/pager".to_owned()], &mut out);
        pager.write_all(b"one").unwrap();
        drop(pager);
        assert_eq!(out, b"one");
    }

    #[test]
    fn a_pager_that_was_quit_closes_the_pipe() {
        let mut out = Vec::new();
        let mut pager = Pager::new(vec!["true".to_owned()], &mut out);
        let text = vec![b'x'; 1 << 20];
        let error = pager.write_all(&text).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
