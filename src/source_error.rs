//! Mistakes in a file that a person wrote, with their place and a fix.

use crate::cli_error::CliError;
use std::fmt;

/// A mistake in a session, a cassette or the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// The file, as the user named it.
    pub file: String,
    /// Line from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column in characters from 1; 0 when the file as a whole is meant.
    pub column: u32,
    /// What is wrong, a lower-case fragment with operands in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl SourceError {
    /// A mistake that has no place in the file: it cannot be read, or is not text.
    pub fn whole_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            help: None,
        }
    }

    /// A mistake at a byte offset of a text.
    pub fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self {
            file: file.to_owned(),
            line,
            column,
            message: message.into(),
            help: None,
        }
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            ..
        } = self;
        if *line == 0 {
            write!(f, "{file}: {message}")
        } else {
            write!(f, "{file}:{line}:{column}: {message}")
        }
    }
}

impl std::error::Error for SourceError {}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        let stop = Self::usage(error.to_string());
        match error.help {
            Some(help) => stop.hint(help),
            None => stop,
        }
    }
}

/// Bytes as text, or a mistake at the first byte that is not UTF-8.
pub fn utf8<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, SourceError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let good = String::from_utf8_lossy(good);
        let byte = bad.first().copied().unwrap_or_default();
        let message = format!("the file is not UTF-8: byte 0x{byte:02x}");
        SourceError::at(file, &good, good.len(), message).help("save the file as UTF-8")
    })
}

/// The candidate that a mistyped word most likely meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
            (distance, candidate)
        })
        // A third of the letters may be wrong; more is another word.
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` ``
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    // A byte order mark takes no column: no editor shows it.
    let column = before
        .get(line_start..)
        .unwrap_or_default()
        .trim_start_matches('\u{feff}')
        .chars()
        .count()
        + 1;
    (
        u32::try_from(line).unwrap_or(u32::MAX),
        u32::try_from(column).unwrap_or(u32::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::{line_and_column, nearest};

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column("\u{feff}äb\nc", 5), (1, 2));
        assert_eq!(line_and_column("\u{feff}äb\nc", 7), (2, 1));
    }

    #[test]
    fn another_word_is_no_near_miss() {
        assert_eq!(nearest("cassete", ["user", "cassette"]), Some("cassette"));
        assert_eq!(nearest("Cassette", ["user", "cassette"]), Some("cassette"));
        assert_eq!(nearest("temperature", ["user", "cassette"]), None);
    }
}
