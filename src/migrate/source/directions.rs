//! Files with both directions: the statements of a step, and those that undo it.
//!
//! A tool marks the two parts by comments, which a database passes over: whoever does not know the
//! marks runs both parts, and the second takes back what the first made. So each text is examined
//! for the marks of every tool before it is run, whichever tool the folder is taken for.

use super::{blank, says_nothing};
use crate::sql::{Dialect, TokenKind, tokenize};

/// Which way a part of a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// It makes the step.
    Up,
    /// It undoes it.
    Down,
}

/// A file divided by its tool's marks.
pub(crate) struct Divided {
    /// The file with everything blank that is not run: an offset here is one in the file.
    pub(crate) up: String,
    /// The parts that undo it.
    pub(crate) down: Option<String>,
}

/// Divides a text at the lines that `mark` knows; it is given the place of each line. What comes
/// before the first of them makes the step.
pub(crate) fn divide(text: &str, mark: impl Fn(usize, &str) -> Option<Direction>) -> Divided {
    let (mut up, mut down) = (String::new(), String::new());
    let mut direction = Direction::Up;
    for line in text.split_inclusive('\n') {
        let at = up.len();
        direction = mark(at, line.trim_end()).unwrap_or(direction);
        match direction {
            Direction::Up => up.push_str(line),
            Direction::Down => {
                down.push_str(line);
                up.push_str(&blank(line, 0..line.len()));
            }
        }
    }
    Divided {
        up,
        down: Some(down).filter(|down| !says_nothing(down)),
    }
}

/// A mark that a text has though it is not divided there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undivided {
    /// Where the line begins, in bytes.
    pub(crate) at: usize,
    pub(crate) line: String,
    /// Whose mark it is, by the name of its format where there is one.
    pub(crate) tool: Option<&'static str>,
}

/// The mark that is followed by statements which undo those before it; none where a text goes one way.
pub(crate) fn undivided(text: &str) -> Option<Undivided> {
    let mut marks = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((direction, tool)) = mark(line) {
            marks.push((at, line, direction, tool));
        }
        at += line.len();
    }
    if marks
        .iter()
        .all(|(_, _, direction, _)| *direction == Direction::Up)
    {
        return None;
    }
    let dialects = [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql];
    let texts: Vec<_> = dialects.map(|dialect| Code::of(text, dialect)).into();
    for (number, (at, line, direction, tool)) in marks.iter().enumerate() {
        if *direction == Direction::Up {
            continue;
        }
        let begin = at + (line.len() - line.trim_start().len());
        let (from, to) = (
            at + line.len(),
            marks.get(number + 1).map_or(text.len(), |next| next.0),
        );
        let undoes = |code: &Code| code.comments.contains(&begin) && code.between(from, to);
        let found = match tool {
            Some(_) => texts.iter().any(undoes),
            // A heading is not a tool's mark: it must be one in any reading, and have something to undo.
            None => texts
                .iter()
                .take(2)
                .all(|code| undoes(code) && code.between(0, *at)),
        };
        if found {
            return Some(Undivided {
                at: *at,
                line: line.trim().to_owned(),
                tool: *tool,
            });
        }
    }
    None
}

/// Where the comments and the statements of a text are, as one database reads it.
struct Code {
    comments: Vec<usize>,
    statements: Vec<usize>,
}

impl Code {
    fn of(text: &str, dialect: Dialect) -> Self {
        let mut code = Self {
            comments: Vec::new(),
            statements: Vec::new(),
        };
        for token in tokenize(text, dialect) {
            match token.kind {
                TokenKind::Comment => code.comments.push(token.start),
                TokenKind::Semicolon | TokenKind::Delimiter => {}
                _ => code.statements.push(token.start),
            }
        }
        code
    }

    /// Whether there is a statement between two places.
    fn between(&self, from: usize, to: usize) -> bool {
        self.statements.iter().any(|at| (from..to).contains(at))
    }
}

/// Whether the name of a file says that it undoes something: `001_chat_down.sql`, `001_chat.rollback.sql`.
pub(crate) fn undoes_by_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix(".sql").unwrap_or(&lower);
    let last = stem.rsplit(['_', '-', '.']).next();
    last.is_some_and(|word| DOWNS.contains(&word))
}

/// What a line says on its direction, and the tool whose mark it is; a heading is nobody's.
fn mark(line: &str) -> Option<(Direction, Option<&'static str>)> {
    /// More words are a sentence.
    const HEADING: usize = 5;
    let line = line.trim();
    let comment = ["--", "#", "/*"]
        .iter()
        .find_map(|begin| line.strip_prefix(begin))?;
    let lower = comment.to_ascii_lowercase();
    let words: Vec<_> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let tool = tool_of(line, &words);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let heading = words.len() <= HEADING
        && words
            .iter()
            .all(|word| [UPS, DOWNS, FILL].iter().any(|list| list.contains(word)));
    if tool.is_none() && !heading {
        return None;
    }
    let direction = if has(DOWNS) || tool == Some("tern") {
        Direction::Down
    } else if has(UPS) {
        Direction::Up
    } else {
        return None;
    };
    Some((direction, tool))
}

/// Words of a heading over what makes the step.
const UPS: &[&str] = &["up", "ups", "do", "forward", "forwards", "upgrade", "apply"];
/// Words of a heading over what undoes it.
const DOWNS: &[&str] = &[
    "down",
    "downs",
    "undo",
    "rollback",
    "revert",
    "downgrade",
    "backward",
    "backwards",
    "reverse",
];
/// Words that say nothing of the direction.
const FILL: &[&str] = &[
    "migration",
    "migrations",
    "migrate",
    "script",
    "section",
    "sql",
    "part",
    "begin",
    "start",
    "step",
    "schema",
    "changes",
    "change",
    "this",
    "the",
    "here",
];

/// Whose mark a line is.
fn tool_of(line: &str, words: &[&str]) -> Option<&'static str> {
    let begins = |begin: &[&str]| words.starts_with(begin);
    let either = |word: &str| begins(&[word, "up"]) || begins(&[word, "down"]);
    if line.contains("+goose") {
        Some("goose").filter(|_| either("goose"))
    } else if line.contains("+migrate") {
        Some("sql-migrate").filter(|_| either("migrate"))
    } else if line.contains("+micrate") {
        Some("micrate").filter(|_| either("micrate"))
    } else if line.contains("migrate:") {
        Some("dbmate").filter(|_| either("migrate"))
    } else if either("rambler") {
        Some("rambler")
    } else if line.contains("//") && line.contains("@UNDO") {
        Some("mybatis")
    } else if begins(&["create", "above", "drop", "below"]) {
        Some("tern")
    } else if begins(&["running", "downgrade"]) {
        Some("alembic")
    } else if line.contains("!Ups") || line.contains("!Downs") {
        Some("Play evolutions")
    } else if line.contains("==== UP") || line.contains("==== DOWN") {
        Some("shmig")
    } else if line == "-- upgrade --" || line == "-- downgrade --" {
        Some("Aerich")
    } else if begins(&["up", "migration"]) || begins(&["down", "migration"]) {
        Some("node-pg-migrate")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, divide, mark, undivided};

    /// What the second part takes back is not there afterwards, whichever tool marks it.
    #[test]
    fn the_marks_of_every_tool_are_known() {
        for (line, tool) in [
            ("-- +goose Down", Some("goose")),
            ("-- +migrate Down notransaction", Some("sql-migrate")),
            ("-- +micrate Down", Some("micrate")),
            ("-- migrate:down transaction:false", Some("dbmate")),
            ("--migrate:down", Some("dbmate")),
            ("-- rambler down", Some("rambler")),
            ("--//@UNDO", Some("mybatis")),
            ("-- //@UNDO", Some("mybatis")),
            ("---- create above / drop below ----", Some("tern")),
            ("-- Running downgrade aa -> bb", Some("alembic")),
            ("-- downgrade --", Some("Aerich")),
            ("# --- !Downs", Some("Play evolutions")),
            ("-- !Downs", Some("Play evolutions")),
            ("-- ==== DOWN ====", Some("shmig")),
            ("-- Down Migration", Some("node-pg-migrate")),
            ("--- down migration of the chats", Some("node-pg-migrate")),
            ("-- DOWN", None),
            ("--- Rollback script ---", None),
            ("/* down */", None),
            ("-- @down", None),
            ("-- <undo>", None),
        ] {
            let text = format!("CREATE TABLE a (id INT);\n{line}\nDROP TABLE a;\n");
            assert_eq!(mark(line).unwrap(), (Direction::Down, tool), "{line}");
            // MySQL alone reads `#` as a comment.
            if line.starts_with('#') {
                continue;
            }
            let found = undivided(&text).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(
                (found.at, found.line.as_str(), found.tool),
                (25, line, tool)
            );
        }
        assert!(undivided("CREATE TABLE a (id INT);\n# --- !Downs\nDROP TABLE a;\n").is_some());
    }

    #[test]
    fn a_text_that_goes_one_way_is_left_alone() {
        for text in [
            "CREATE TABLE a (id INT);\n-- Rollback:\n-- DROP TABLE a;\n",
            "CREATE TABLE a (id INT);\n-- Down Migration\n",
            "CREATE TABLE a (id INT);\n-- rollback\n/* DROP TABLE a;\n*/\n",
            "-- Revert\nDROP INDEX a;\n",
            "A;\n-- roll the old names back to what they were\nB;\n",
            "A;\n-- undo what 12 did to the titles of chats\nB;\n",
            "A;\n-- set up\nB;\n-- up\nC;\n",
            "INSERT INTO help VALUES ('first\n-- down\nsecond');\nB;\n",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n-- rollback\nRAISE 'x';\nEND $$;\n",
            "-- migrate:upwards\nA;\n-- migration\nB;\n",
            "A;\n-- down\n-- up\nB;\n",
        ] {
            assert_eq!(undivided(text), None, "{text}");
        }
    }

    #[test]
    fn each_part_keeps_its_place() {
        let mark = |_: usize, line: &str| match line {
            "-- u" => Some(Direction::Up),
            "-- d" => Some(Direction::Down),
            _ => None,
        };
        let text = "-- u\nA;\r\n-- d\nB;\n-- u\nC;\n";
        let divided = divide(text, mark);
        assert_eq!(divided.up, "-- u\nA;\r\n    \n  \n-- u\nC;\n");
        assert_eq!(divided.down.as_deref(), Some("-- d\nB;\n"));
        assert_eq!(divide("-- d\n-- no\n", mark).down, None);
    }
}
