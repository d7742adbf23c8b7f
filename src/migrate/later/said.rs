//! The statements in the body of a trigger, a rule, an event or a routine.

mod assigned;
mod condition;
mod constants;
mod discards;
mod given;
mod path;

pub(super) use assigned::Assigned;
pub(super) use condition::changed;
pub(super) use constants::with_constants;
pub(super) use discards::{depends, discards, drops_row, named, reads};

use crate::model::Transitions;
use crate::sql;
use crate::sql::{Dialect, Facts, Kind, Statement, Token, TokenKind, tokenize};

/// A statement of a body.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) facts: Facts,
    /// Whether the action puts it together and runs it as a text.
    pub(super) is_put_together: bool,
    /// What the written rows are called in it, where they are tables.
    pub(super) transitions: Transitions,
    dialect: Dialect,
    tokens: Vec<Token>,
}

/// Words that a statement begins with in a body.
const BEGIN: [&str; 17] = [
    "ALTER", "CALL", "DELETE", "DROP", "EXECUTE", "INSERT", "MERGE", "NEW", "PERFORM", "REPLACE",
    "RETURN", "SELECT", "SET", "TRUNCATE", "UPDATE", "VALUES", "WITH",
];

/// Words that a statement may come after.
const BEFORE: [&str; 8] = [
    "ALSO", "ATOMIC", "BEGIN", "DO", "ELSE", "INSTEAD", "LOOP", "THEN",
];

/// What changes rows wherever it begins.
const WRITES: [&str; 6] = ["DELETE", "INSERT", "MERGE", "REPLACE", "TRUNCATE", "UPDATE"];

/// Words behind which one of these is an event, a right, a lock or a part of another statement.
const NO_WRITE: [&str; 9] = [
    "AFTER", "BEFORE", "FOR", "GRANT", "KEY", "OF", "ON", "OR", "REVOKE",
];

/// What names the table that a trigger hangs on.
pub(super) const OWN_TABLE: [&str; 3] = ["TG_TABLE_NAME", "TG_RELNAME", "TG_RELID"];

/// A text with its tokens, without comments.
pub(super) struct Tokens<'a> {
    pub(super) text: &'a str,
    pub(super) all: Vec<Token>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str, dialect: Dialect) -> Self {
        let all = tokenize(text, dialect);
        let all = all.into_iter().filter(|it| it.kind != TokenKind::Comment);
        Self {
            text,
            all: all.collect(),
        }
    }

    pub(super) fn at(&self, index: usize) -> &'a str {
        self.all.get(index).map_or("", |it| it.text(self.text))
    }

    pub(super) fn is(&self, index: usize, words: &[&str]) -> bool {
        let is_word = self
            .all
            .get(index)
            .is_some_and(|it| it.kind == TokenKind::Word);
        is_word
            && words
                .iter()
                .any(|word| self.at(index).eq_ignore_ascii_case(word))
    }

    fn has(&self, words: &[&str]) -> bool {
        (0..self.all.len()).any(|index| self.is(index, words))
    }

    /// Whether a statement of a body begins here.
    fn opens(&self, index: usize) -> bool {
        let is_after = |words: &[&str]| index > 0 && self.is(index - 1, words);
        let before = index.checked_sub(1).map_or(";", |before| self.at(before));
        if is_after(&BEFORE) || matches!(before, ";" | "(" | ">>" | ":") {
            return self.is(index, &BEGIN);
        }
        // Behind whatever else the language of bodies has: IN, REPEAT, a condition of a handler.
        let is_named = index > 0
            && matches!(
                self.all[index - 1].kind,
                TokenKind::Word | TokenKind::String | TokenKind::Number
            );
        let writes = self.is(index, &WRITES)
            && !matches!(self.at(index + 1), "(" | "," | "=" | "." | ":" | ")" | ";")
            && !self.is(index + 1, &["ON", "OR"]);
        writes && (is_named || before == ")") && !is_after(&NO_WRITE)
    }

    /// Whether a column of the row that sets the action off is at this place.
    fn is_of_row(&self, index: usize) -> bool {
        self.is_of(index, &["NEW", "OLD"])
    }

    /// Whether what one of these has is at this place.
    fn is_of(&self, index: usize, words: &[&str]) -> bool {
        self.is(index, words) && self.at(index + 1) == "."
    }

    /// The places of all tokens, each with the number of brackets that are open there.
    fn depths(&self) -> Vec<(usize, usize)> {
        let mut depth = 0_usize;
        let all = (0..self.all.len()).map(|index| {
            match self.at(index) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            (index, depth)
        });
        all.collect()
    }

    /// A name at this place, without its quotes.
    fn name(&self, index: usize) -> &'a str {
        self.at(index).trim_matches(['"', '`', '[', ']'])
    }
}

/// The statements of a body, in whatever blocks they are.
pub(super) fn statements(body: &str, dialect: Dialect) -> Vec<Said> {
    let tokens = Tokens::of(body, dialect);
    let mut all = Vec::new();
    let mut index = 0;
    while index < tokens.all.len() {
        // The rows that are returned may come from any statement.
        if tokens.is(index, &["RETURN"]) && tokens.is(index + 1, &["QUERY"]) {
            index += 2;
        }
        if !tokens.opens(index) {
            index += 1;
            continue;
        }
        let start = index;
        let mut depth = 0_usize;
        while index < tokens.all.len() {
            match tokens.at(index) {
                "(" => depth += 1,
                ")" if depth == 0 => break,
                ")" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
            index += 1;
        }
        let (from, to) = (tokens.all[start].start, tokens.all[index - 1].end);
        all.push(Said::of(&body[from..to], dialect));
    }
    all
}

/// The names in a body that may be of routines that it calls, in lower case.
pub(super) fn called(body: &str, dialect: Dialect) -> Vec<String> {
    let tokens = Tokens::of(body, dialect);
    let names = (0..tokens.all.len()).filter(|index| {
        tokens.at(index + 1) == "(" || *index > 0 && tokens.is(index - 1, &["CALL"])
    });
    names
        .map(|index| tokens.at(index).trim_matches(['"', '`']).to_lowercase())
        .collect()
}

/// What else a body makes from a token on that may act by itself: of a trigger the name of its function in
/// lower case, of anything else nothing.
pub(super) fn made(body: &str, from: usize, dialect: Dialect) -> Vec<Option<String>> {
    const MADE: [&str; 5] = ["EVENT", "FUNCTION", "PROCEDURE", "RULE", "TRIGGER"];
    const BETWEEN: [&str; 3] = ["CONSTRAINT", "OR", "REPLACE"];
    let tokens = Tokens::of(body, dialect);
    let mut all = Vec::new();
    for create in (from..tokens.all.len()).filter(|index| tokens.is(*index, &["CREATE"])) {
        let mut at = create + 1;
        while tokens.is(at, &BETWEEN) {
            at += 1;
        }
        if tokens.is(at, &MADE) {
            let runs = (at..tokens.all.len()).find(|index| {
                tokens.is(*index, &["EXECUTE"]) && tokens.is(index + 1, &["FUNCTION", "PROCEDURE"])
            });
            let is_trigger = tokens.is(at, &["TRIGGER"]);
            let name = runs.filter(|_| is_trigger).map(|runs| {
                let mut name = runs + 2;
                while tokens.at(name + 1) == "." {
                    name += 2;
                }
                tokens.at(name).trim_matches('"').to_lowercase()
            });
            all.push(name);
        }
    }
    all
}

/// Whether what a body does depends on something.
pub(super) fn asks(body: &str, dialect: Dialect) -> bool {
    Tokens::of(body, dialect).has(&["IF", "CASE", "WHEN"])
}

/// Whether what a body does depends on what the row is written by.
pub(super) fn asks_operation(body: &str, dialect: Dialect) -> bool {
    Tokens::of(body, dialect).has(&["TG_OP"])
}

/// Whether a body keeps foreign keys and other triggers from acting, and does not let them act again.
pub(super) fn mutes(body: &str, dialect: Dialect) -> bool {
    let tokens = Tokens::of(body, dialect);
    let is_setting = |index: &usize| {
        let text = tokens.at(*index).trim_matches('\'');
        text.eq_ignore_ascii_case("session_replication_role")
    };
    let settings: Vec<_> = (0..tokens.all.len()).filter(is_setting).collect();
    // What it is set to is at most three tokens behind it: `= replica`, `', 'replica'`.
    let is_set_to = |words: &[&str]| {
        let mut near = settings.iter().flat_map(|index| index + 1..=index + 3);
        near.any(|index| {
            let text = if index < tokens.all.len() {
                tokens.at(index)
            } else {
                ""
            };
            words
                .iter()
                .any(|word| text.trim_matches('\'').eq_ignore_ascii_case(word))
        })
    };
    let is_reset = settings
        .iter()
        .any(|index| *index > 0 && tokens.is(index - 1, &["RESET"]));
    dialect == Dialect::Postgres
        && is_set_to(&["replica"])
        && !is_set_to(&["origin", "default", "local_only"])
        && !is_reset
}

/// What a rule does begins so, and the function of a trigger does not.
const IN_RULES: [&str; 7] = [
    "DELETE", "INSERT", "NOTHING", "NOTIFY", "SELECT", "UPDATE", "WITH",
];

impl Said {
    fn of(text: &str, dialect: Dialect) -> Self {
        Self {
            facts: sql::facts(&Statement::alone(text), dialect),
            tokens: Tokens::of(text, dialect).all,
            text: text.to_owned(),
            is_put_together: false,
            transitions: Transitions::default(),
            dialect,
        }
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            text: &self.text,
            all: self.tokens.clone(),
        }
    }

    /// Whether it uses the row that sets the action off, as it is (`NEW`) or was (`OLD`).
    pub(super) fn names_row(&self, which: &str) -> bool {
        let tokens = self.tokens();
        let table = match which {
            "NEW" => self.transitions.new.as_deref(),
            _ => self.transitions.old.as_deref(),
        };
        let is_table = |index: usize| {
            let name = tokens.name(index);
            table.is_some_and(|it| it.eq_ignore_ascii_case(name))
        };
        (0..tokens.all.len()).any(|index| tokens.is_of(index, &[which]) || is_table(index))
    }

    /// Whether it takes along what is in the row that sets the action off: all of it, or one of these columns.
    /// A key alone is what a log has, and so is the row as one value.
    pub(super) fn carries_row(&self, texts: &[&str]) -> bool {
        let tokens = self.tokens();
        (0..tokens.all.len()).any(|index| {
            let after = |at: usize| tokens.at(index + at);
            let is_named = tokens.is(index, &["NEW"]) && after(1) == ".";
            let is_text = || {
                let column = tokens.name(index + 2);
                texts.is_empty() || texts.iter().any(|it| column.eq_ignore_ascii_case(it))
            };
            let is_whole = after(1) == ")" && after(2) == "." && after(3) == "*";
            is_named && (after(2) == "*" || is_text()) || tokens.is(index, &["NEW"]) && is_whole
        })
    }

    /// The columns of the new row that it names; none where it takes all of it.
    pub(super) fn columns_of_new(&self) -> Option<Vec<String>> {
        let tokens = self.tokens();
        let is_whole = |index: usize| {
            let after = [1, 2, 3].map(|at| tokens.at(index + at));
            after[..2] == [".", "*"] || after == [")", ".", "*"]
        };
        let of_new = (0..tokens.all.len()).filter(|index| tokens.is(*index, &["NEW"]));
        let of_new = of_new.filter(|index| is_whole(*index) || tokens.at(index + 1) == ".");
        of_new
            .map(|index| (!is_whole(index)).then(|| tokens.name(index + 2).to_lowercase()))
            .collect()
    }

    /// Whether it, or a part of it, is of such a kind.
    pub(super) fn is_a(&self, is_it: impl Fn(&Kind) -> bool) -> bool {
        match &self.facts.kind {
            Kind::With { writes } => writes.iter().any(is_it),
            kind => is_it(kind),
        }
    }

    pub(super) fn inserts(&self) -> bool {
        self.is_a(|kind| matches!(kind, Kind::Insert { .. }))
    }

    /// Whether it has words of a statement that takes rows or columns away.
    pub(super) fn removes(&self) -> bool {
        let text = self.text.to_ascii_uppercase();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = [
            "DELETE FROM",
            "TRUNCATE",
            "DROP TABLE",
            "DROP COLUMN",
            "DROP SCHEMA",
            "THEN DELETE",
        ];
        words.iter().any(|words| text.contains(words))
    }

    /// The statements in it that overwrite values: itself, or those in brackets behind WITH.
    pub(super) fn updates(&self) -> Vec<Self> {
        let tokens = self.tokens();
        let begins = |at: &usize| {
            let opens = *at == 0 || matches!(tokens.at(at - 1), "(" | ")");
            opens && tokens.is(*at, &["UPDATE"])
        };
        let starts = (0..tokens.all.len()).filter(begins);
        let all = starts.map(|start| {
            let mut depth = 0_usize;
            let ends = |at: &usize| {
                match tokens.at(*at) {
                    "(" => depth += 1,
                    ")" if depth == 0 => return true,
                    ")" => depth -= 1,
                    _ => {}
                }
                false
            };
            let end = (start..tokens.all.len()).find(ends);
            let end = end.map_or(self.text.len(), |end| tokens.all[end].start);
            Self {
                is_put_together: self.is_put_together,
                transitions: self.transitions.clone(),
                ..Self::of(&self.text[tokens.all[start].start..end], self.dialect)
            }
        });
        all.collect()
    }

    /// Whether it has the name of the table that its trigger hangs on put in.
    pub(super) fn means_own_table(&self) -> bool {
        self.tokens().has(&OWN_TABLE)
    }
}
