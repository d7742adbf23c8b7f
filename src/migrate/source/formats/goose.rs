//! goose 3: `<VERSION>_<NAME>.sql` with `-- +goose …` lines (its `internal/sqlparser/parser.go`).

use super::{Claim, Depth, Format, Parsed, at_line, claim_by_line, lines};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version};
use std::ops::Range;

/// The row of goose.
pub const FORMAT: Format = Format {
    name: "goose",
    summary: "00001_create_chat.sql with `-- +goose Up` and `-- +goose Down` in it",
    depth: Depth::Flat,
    another: Some("goose create NAME sql"),
    claim,
    parse,
};

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- +goose Up", |line| {
        matches!(annotation(line), Some(Ok(Annotation::Up)))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Annotation {
    Up,
    Down,
    Begin,
    End,
    NoTransaction,
    SubstituteOn,
    SubstituteOff,
}

/// The annotation of a line; none when it is no such line, the word when goose does not know it.
fn annotation(line: &str) -> Option<Result<Annotation, String>> {
    if !line.trim().starts_with("--") || !line.contains("+goose") {
        return None;
    }
    let word = line.replace("--", "").replacen("+goose", "", 1);
    let word = word.trim();
    if line.starts_with([' ', '\t']) {
        return Some(Err(format!("`{word}` with white space before it")));
    }
    Some(Ok(match word.to_ascii_lowercase().as_str() {
        "up" => Annotation::Up,
        "down" => Annotation::Down,
        "statementbegin" => Annotation::Begin,
        "statementend" => Annotation::End,
        "no transaction" => Annotation::NoTransaction,
        "envsub on" => Annotation::SubstituteOn,
        "envsub off" => Annotation::SubstituteOff,
        _ => return Some(Err(format!("`{word}`"))),
    }))
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let stem = file
            .name
            .strip_suffix(".sql")
            .or_else(|| file.name.strip_suffix(".go"));
        let named = stem.and_then(|stem| {
            let (number, title) = stem.split_once('_')?;
            let version: i64 = number.parse().ok()?;
            (version > 0).then_some((Version::parse(number)?, title.to_owned()))
        });
        let Some((version, title)) = named else {
            parsed.ignore(
                file,
                "goose takes only names like `<VERSION>_<NAME>.sql`, with a version above 0",
            );
            continue;
        };
        if file.name.ends_with("_test.go") {
            parsed.ignore(file, "it is a test");
        } else if file.name.ends_with(".go") {
            let mut migration = Migration::whole(version, title, file)?;
            migration.unsupported = Some(Unsupported::new(
                "it is written in Go; chatctl runs only SQL",
            ));
            parsed.migrations.push(migration);
        } else {
            parsed.migrations.push(migration(file, version, title)?);
        }
    }
    Ok(parsed)
}

fn migration(file: &File, version: Version, title: String) -> Result<Migration, CliError> {
    let (text, _) = file.text()?;
    let mut machine = Machine::new(text);
    machine
        .run()
        .map_err(|wrong| at_line(file, text, wrong.at, &wrong.message).hint(wrong.hint))?;
    let mut migration = Migration::whole(version, title, file)?;
    // A comment above `Up` may be a directive of chatctl.
    text[..machine.down_at.unwrap_or(text.len())].clone_into(&mut migration.up);
    migration.split = Some(machine.up);
    migration.down = machine
        .down_at
        .filter(|_| !machine.down.is_empty())
        .map(|at| text[at..].to_owned());
    migration.no_transaction = machine.no_transaction;
    migration.unsupported = machine.substitutes.then(|| {
        Unsupported::new("it takes text from environment variables (`-- +goose ENVSUB ON`), so its content is not fixed")
    });
    Ok(migration)
}

struct Wrong {
    at: usize,
    message: String,
    hint: &'static str,
}

/// Where the parser is; `open` says whether it is between StatementBegin and StatementEnd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Up { open: bool },
    Down { open: bool },
}

struct Machine<'a> {
    text: &'a str,
    state: State,
    /// Where the statement that is being read starts.
    from: Option<usize>,
    down_at: Option<usize>,
    up: Vec<Range<usize>>,
    down: Vec<Range<usize>>,
    no_transaction: bool,
    substitutes: bool,
}

impl<'a> Machine<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            state: State::Start,
            from: None,
            down_at: None,
            up: Vec::new(),
            down: Vec::new(),
            no_transaction: false,
            substitutes: false,
        }
    }

    fn run(&mut self) -> Result<(), Wrong> {
        for (at, line) in lines(self.text) {
            match annotation(line) {
                Some(Ok(annotation)) => self.annotated(at, annotation)?,
                Some(Err(word)) => {
                    return wrong(
                        at,
                        format!("goose knows no annotation {word}"),
                        "it knows Up, Down, StatementBegin, StatementEnd, NO TRANSACTION, ENVSUB ON and ENVSUB OFF, at the start of a line",
                    );
                }
                None => self.plain(at, line)?,
            }
        }
        match self.state {
            State::Start => wrong(
                0,
                "there is no `-- +goose Up`",
                "put `-- +goose Up` on a line before the statements",
            ),
            State::Up { open: true } | State::Down { open: true } => wrong(
                self.from.unwrap_or(self.text.len()),
                "`-- +goose StatementBegin` without its end",
                "put `-- +goose StatementEnd` on a line after the statement",
            ),
            _ => self.finished(),
        }
    }

    /// A statement that no semicolon ends would be cut off or run together with the next.
    fn finished(&self) -> Result<(), Wrong> {
        match self.from {
            Some(at) if !self.text[at..].trim().is_empty() => wrong(
                at,
                "the statement has no semicolon at the end of a line",
                "end it with `;`, or put it between StatementBegin and StatementEnd",
            ),
            _ => Ok(()),
        }
    }

    fn annotated(&mut self, at: usize, annotation: Annotation) -> Result<(), Wrong> {
        match (annotation, self.state) {
            (Annotation::Up, State::Start) => {
                self.state = State::Up { open: false };
            }
            (Annotation::Up, _) => {
                return wrong(at, "a second `-- +goose Up`", "put it into a separate file");
            }
            (Annotation::Down, State::Up { open: false }) => {
                if let Some(from) = self.from.take()
                    && !self.text[from..at].trim().is_empty()
                {
                    self.from = Some(from);
                    return self.finished();
                }
                self.state = State::Down { open: false };
                self.down_at = Some(at);
            }
            (Annotation::Down, _) => {
                return wrong(
                    at,
                    "`-- +goose Down` does not follow the statements of `-- +goose Up`",
                    "write one `-- +goose Up` and after it at most one `-- +goose Down`",
                );
            }
            (Annotation::Begin, State::Up { open: false }) => self.state = State::Up { open: true },
            (Annotation::Begin, State::Down { open: false }) => {
                self.state = State::Down { open: true };
            }
            (Annotation::End, State::Up { open: true } | State::Down { open: true }) => {
                self.end_statement(at);
            }
            (Annotation::Begin | Annotation::End, _) => {
                return wrong(
                    at,
                    "StatementBegin and StatementEnd are not in pairs after Up or Down",
                    "put each statement between one StatementBegin and one StatementEnd",
                );
            }
            (Annotation::NoTransaction, _) => self.no_transaction = true,
            (Annotation::SubstituteOn, _) => self.substitutes = true,
            (Annotation::SubstituteOff, _) => {}
        }
        Ok(())
    }

    fn plain(&mut self, at: usize, line: &str) -> Result<(), Wrong> {
        if self.from.is_none() && (line.trim().is_empty() || line.trim().starts_with("--")) {
            return Ok(());
        }
        let (State::Up { open } | State::Down { open }) = self.state else {
            return wrong(
                at,
                "there is a statement before `-- +goose Up`",
                "put `-- +goose Up` on a line before it",
            );
        };
        if self.from.is_none() {
            self.from = Some(at);
        }
        if !open && ends_with_semicolon(line) {
            self.end_statement(at + line.len());
        }
        Ok(())
    }

    fn end_statement(&mut self, end: usize) {
        let up = matches!(self.state, State::Up { .. });
        if let Some(from) = self.from.take() {
            let end = from + self.text[from..end].trim_end().len();
            let list = if up { &mut self.up } else { &mut self.down };
            list.push(from..end);
        }
        self.state = if up {
            State::Up { open: false }
        } else {
            State::Down { open: false }
        };
    }
}

fn wrong(at: usize, message: impl Into<String>, hint: &'static str) -> Result<(), Wrong> {
    Err(Wrong {
        at,
        message: message.into(),
        hint,
    })
}

/// Whether the last word before a comment ends with a semicolon.
fn ends_with_semicolon(line: &str) -> bool {
    line.split_whitespace()
        .take_while(|word| !word.starts_with("--"))
        .last()
        .is_some_and(|word| word.ends_with(';'))
}

#[cfg(test)]
mod tests {
    use super::super::Parsed;
    use crate::cli_error::CliError;
    use crate::migrate::source::{File, Migration, Settings};

    fn parse(name: &str, text: &str) -> Result<Parsed, CliError> {
        let file = File {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        super::parse(&[file], &Settings::default())
    }

    fn one(text: &str) -> Migration {
        parse("00001_a.sql", text).unwrap().migrations.remove(0)
    }

    fn statements(migration: &Migration) -> Vec<&str> {
        let ranges = migration.split.as_ref().unwrap();
        ranges
            .iter()
            .map(|range| &migration.up[range.clone()])
            .collect()
    }

    #[test]
    fn statements_end_at_semicolons_and_blocks_at_their_end() {
        let text = "-- about\n-- +goose Up\n-- one\nA\n  b; -- note\nC;\n\
            -- +goose StatementBegin\nD;\nE;\n-- +goose StatementEnd\n-- +goose Down\nF;\n";
        let migration = one(text);
        assert_eq!(statements(&migration), ["A\n  b; -- note", "C;", "D;\nE;"]);
        assert_eq!(migration.down.as_deref(), Some("-- +goose Down\nF;\n"));
        assert!(migration.up.starts_with("-- about"));
        assert!(!migration.no_transaction);
    }

    #[test]
    fn a_file_may_ask_for_no_transaction_and_have_no_down() {
        let migration = one("-- +goose NO TRANSACTION\n-- +goose up\nA;\n");
        assert!(migration.no_transaction);
        assert_eq!(migration.down, None);
        assert_eq!(statements(&migration), ["A;"]);
    }

    #[test]
    fn what_goose_refuses_is_refused_with_the_line() {
        for (text, line) in [
            ("A;\n", 1),
            ("-- only a comment\n", 1),
            ("-- +goose Up\nA\n", 2),
            ("-- +goose Up\nA\n-- +goose Down\nB;\n", 2),
            ("-- +goose Up\n-- +goose Up\n", 2),
            ("-- +goose Down\n", 1),
            ("-- +goose Up\n-- +goose StatementBegin\nA;\n", 3),
            ("-- +goose Up\n-- +goose StatementEnd\n", 2),
            ("-- +goose Up\n  -- +goose Down\n", 2),
            ("-- +goose Up\n-- +goose Sideways\n", 2),
        ] {
            let stop = parse("1_a.sql", text).unwrap_err();
            let place = format!("`1_a.sql:{line}`: ");
            assert!(stop.message.starts_with(&place), "{text}: {}", stop.message);
        }
    }

    #[test]
    fn what_only_goose_can_run_is_listed_with_the_reason() {
        let migration = one("-- +goose Up\n-- +goose ENVSUB ON\nA ${B};\n");
        assert!(migration.unsupported.unwrap().why.contains("ENVSUB"));
        let parsed = parse("00002_b.go", "").unwrap();
        assert!(
            parsed.migrations[0]
                .unsupported
                .as_ref()
                .unwrap()
                .why
                .contains("Go")
        );
        assert_eq!(parse("00002_b_test.go", "").unwrap().ignored.len(), 1);
        assert_eq!(parse("00000_b.sql", "").unwrap().ignored.len(), 1);
    }
}
