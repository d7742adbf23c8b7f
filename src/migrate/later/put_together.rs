//! Dynamic SQL that an action builds and runs: what its texts show. Pure.

use super::said::{OWN_TABLE, Tokens};
use crate::sql::{Dialect, Token, TokenKind};
use std::collections::BTreeSet;
use std::ops::Range;

/// What is run as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// The statement as far as it is written down, with the names of what is put into it.
    Text(String),
    /// Nobody can tell what the statement does.
    Unknown,
}

/// Functions that begin with what their first argument has.
const KEEP: [&str; 8] = [
    "BTRIM",
    "CONCAT",
    "FORMAT",
    "LOWER",
    "REGEXP_REPLACE",
    "REPLACE",
    "TRIM",
    "UPPER",
];

/// What ends a text that is run.
const ENDS: [&str; 5] = ["INTO", "LOOP", "STRICT", "THEN", "USING"];

/// Everything that a body runs as a text.
pub(super) fn runs(body: &str, dialect: Dialect) -> Vec<Run> {
    let body = Body {
        tokens: Tokens::of(body, dialect),
    };
    let count = body.tokens.all.len();
    let starts = (0..count).filter_map(|index| body.text_at(index, dialect));
    let mut all = Vec::new();
    for start in starts {
        let of = body.up_to_end(start);
        let given = body.given(of.end);
        let mut runs = Vec::new();
        body.resolve(of, &mut BTreeSet::new(), &mut runs);
        all.extend(runs.into_iter().map(|run| match run {
            Run::Text(text) => Run::Text(text + &given),
            Run::Unknown => Run::Unknown,
        }));
    }
    all
}

struct Body<'a> {
    tokens: Tokens<'a>,
}

impl Body<'_> {
    /// Where the text begins that a statement at this place runs.
    fn text_at(&self, index: usize, dialect: Dialect) -> Option<usize> {
        let is = |at: usize, words: &[&str]| self.tokens.is(at, words);
        match dialect {
            Dialect::Sqlite => None,
            // What comes before FUNCTION is a part of CREATE TRIGGER.
            Dialect::Postgres => {
                let runs = is(index, &["EXECUTE"]) && !is(index + 1, &["FUNCTION", "PROCEDURE"]);
                runs.then_some(index + 1)
            }
            Dialect::Mysql if is(index, &["EXECUTE"]) && is(index + 1, &["IMMEDIATE"]) => {
                Some(index + 2)
            }
            Dialect::Mysql => {
                let prepares = is(index, &["PREPARE"]) && is(index + 2, &["FROM"]);
                prepares.then_some(index + 3)
            }
        }
    }

    /// An expression, from here on.
    fn up_to_end(&self, start: usize) -> Range<usize> {
        let mut depth = 0_usize;
        for index in start..self.tokens.all.len() {
            match self.tokens.at(index) {
                "(" => depth += 1,
                ")" if depth == 0 => return start..index,
                ")" => depth -= 1,
                ";" => return start..index,
                _ if depth == 0 && index > start && self.tokens.is(index, &ENDS) => {
                    return start..index;
                }
                _ => {}
            }
        }
        start..self.tokens.all.len()
    }

    /// The values that a text is run with.
    fn given(&self, end: usize) -> String {
        let is_using = |index: &usize| self.tokens.is(*index, &["USING"]);
        let ends = |index: &usize| self.tokens.at(*index) == ";";
        let count = self.tokens.all.len();
        let until = (end..count).find(ends).unwrap_or(count);
        let using = (end..until).find(is_using);
        using.map_or(String::new(), |using| self.text(using..until))
    }

    /// What an expression gives.
    fn resolve(&self, of: Range<usize>, seen: &mut BTreeSet<String>, all: &mut Vec<Run>) {
        let Some(first) = self.first(of.clone()) else {
            all.push(Run::Unknown);
            return;
        };
        let name = self.tokens.at(first).to_lowercase();
        if is_text(&self.tokens.all[first]) {
            let text = self.text(of);
            // A place that is filled does not say what the statement is.
            let written = unquoted(self.tokens.at(first)) + &text;
            let begins = written.trim_start().chars().next();
            all.push(match begins {
                Some(letter) if letter.is_ascii_alphabetic() => Run::Text(text),
                _ => Run::Unknown,
            });
        } else if name.is_empty() || self.tokens.at(first + 1) == "(" {
            all.push(Run::Unknown);
        } else if seen.insert(name.clone()) {
            let values = self.values_of(&name);
            if values.is_empty() {
                all.push(Run::Unknown);
            }
            for value in values {
                self.resolve(value, seen, all);
            }
        } else {
            // It adds to itself: what it adds is written there, what it began with elsewhere.
            all.push(Run::Text(self.text(of)));
        }
    }

    /// What an expression begins with, behind brackets and functions that change nothing of that.
    fn first(&self, of: Range<usize>) -> Option<usize> {
        let opens = |index: usize| {
            let calls = self.tokens.is(index, &KEEP) && self.tokens.at(index + 1) == "(";
            calls || matches!(self.tokens.at(index), "(" | "@")
        };
        let mut index = of.start;
        while index < of.end && opens(index) {
            index += 1;
        }
        (index < of.end).then_some(index)
    }

    /// What is assigned to a variable.
    fn values_of(&self, name: &str) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        for index in 0..self.tokens.all.len() {
            if !self.tokens.at(index).eq_ignore_ascii_case(name) {
                continue;
            }
            if let Some(start) = self.assigned(index) {
                all.push(self.up_to_end(start));
            } else if self.is_into(index) {
                let mut before = (0..index).rev();
                let select = before.find(|at| self.tokens.is(*at, &["SELECT"]));
                all.extend(select.map(|at| self.up_to_end(at + 1)));
            }
        }
        all
    }

    /// Where the value begins that a variable gets at this place.
    fn assigned(&self, index: usize) -> Option<usize> {
        let at = |index: usize| self.tokens.at(index);
        // `name := …`, `name = …`, and `name text := …` where it is declared.
        for equals in index + 1..index + 6 {
            match at(equals) {
                ":" if at(equals + 1) == "=" => return Some(equals + 2),
                ":=" => return Some(equals + 1),
                "=" => {
                    let before =
                        index.saturating_sub(1 + usize::from(is_at(at(index.wrapping_sub(1)))));
                    let begins = index == 0
                        || matches!(at(before), ";" | ",")
                        || self
                            .tokens
                            .is(before, &["SET", "BEGIN", "THEN", "ELSE", "LOOP", "DECLARE"]);
                    return (equals == index + 1 && begins).then_some(equals + 1);
                }
                ";" | "," | "" => return None,
                _ if self.tokens.is(equals, &["DEFAULT"]) => return Some(equals + 1),
                _ => {}
            }
        }
        None
    }

    fn is_into(&self, index: usize) -> bool {
        let before = index.checked_sub(1).filter(|it| is_at(self.tokens.at(*it)));
        let before = before.unwrap_or(index);
        before > 0 && self.tokens.is(before - 1, &["INTO", "STRICT"])
    }

    /// An expression as the statement that it gives: what is in quotes without them, what joins it left out,
    /// and a name that is put in as one that says so.
    fn text(&self, of: Range<usize>) -> String {
        let mut text = String::new();
        let mut index = of.start;
        while index < of.end {
            let token = &self.tokens.all[index];
            let word = self.tokens.at(index);
            let joins =
                self.tokens.is(index, &KEEP) || matches!(word, "|" | "||" | "(" | ")" | ",");
            if let Some((filled, end)) = self.filled(index, of.end) {
                text.push_str(&filled);
                index = end;
                continue;
            }
            if is_text(token) {
                text.push_str(&unquoted(word));
            } else if !joins && names_table(&text) {
                let is_written = |at: &usize| is_text(&self.tokens.all[*at]);
                let end = (index..of.end).find(is_written).unwrap_or(of.end);
                text.push_str(self.name(index..end));
                index = end;
                continue;
            } else if !joins {
                text.push(' ');
                text.push_str(word);
            }
            index += 1;
        }
        text
    }

    /// A name that is put in: the one of the trigger's own table as such.
    fn name(&self, of: Range<usize>) -> &'static str {
        let mut of = of;
        if of.any(|index| self.tokens.is(index, &OWN_TABLE)) {
            OWN_TABLE[0]
        } else {
            LATE
        }
    }

    /// What `format` gives here, and where it ends; none where it is not called with a written text.
    fn filled(&self, index: usize, end: usize) -> Option<(String, usize)> {
        let begins = self.tokens.is(index, &["FORMAT"]) && self.tokens.at(index + 1) == "(";
        let template = self.tokens.all.get(index + 2).filter(|it| is_text(it))?;
        let (mut depth, mut at, mut start) = (0_usize, index + 1, index + 2);
        let mut parts = Vec::new();
        while begins && at < end {
            match self.tokens.at(at) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            let closes = depth == 0;
            if closes || depth == 1 && self.tokens.at(at) == "," {
                parts.push(start..at);
                start = at + 1;
            }
            if closes {
                break;
            }
            at += 1;
        }
        let (first, args) = parts.split_first().filter(|_| depth == 0)?;
        let is_alone = first.len() == 1;
        let template = unquoted(template.text(self.tokens.text));
        is_alone.then(|| (self.fill(&template, args), at + 1))
    }

    /// A text with its places filled.
    fn fill(&self, template: &str, args: &[Range<usize>]) -> String {
        let mut text = String::new();
        let (mut rest, mut next) = (template, 0);
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let kind =
                behind.find(|it: char| !it.is_ascii_digit() && !matches!(it, '$' | '-' | '*'));
            let Some(kind) = kind else {
                rest = behind;
                continue;
            };
            let letter = behind[kind..].chars().next().unwrap_or_default();
            rest = &behind[kind + letter.len_utf8()..];
            if letter == '%' {
                text.push('%');
                continue;
            }
            let number = behind[..kind].split_once('$');
            let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
            let place = number.map_or(next, |number| number.saturating_sub(1));
            next = place + 1;
            let Some(arg) = args.get(place).cloned() else {
                text.push_str(LATE);
                continue;
            };
            if letter == 'I' || names_table(&text) {
                text.push_str(self.name(arg));
            } else if letter == 'L' && arg.len() == 1 && is_text(&self.tokens.all[arg.start]) {
                text.push_str(self.tokens.at(arg.start));
            } else {
                text.push_str(&self.text(arg));
            }
        }
        text + rest
    }
}

/// Stands for a name that is put in only when the statement runs.
const LATE: &str = "chatctl_named_late";

/// Whether the name of a table follows a text.
fn names_table(text: &str) -> bool {
    const BEFORE: [&str; 7] = [
        "EXISTS", "FROM", "INTO", "ONLY", "TABLE", "TRUNCATE", "UPDATE",
    ];
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let is_over = text.ends_with(char::is_whitespace);
    let named = is_over && BEFORE.iter().any(|it| last.eq_ignore_ascii_case(it));
    named || last.len() > 1 && text.ends_with('.')
}

fn is_at(word: &str) -> bool {
    word == "@"
}

const fn is_text(token: &Token) -> bool {
    matches!(token.kind, TokenKind::String | TokenKind::DollarString)
}

/// What a string says.
fn unquoted(text: &str) -> String {
    if let Some(behind) = text.strip_prefix('$') {
        let tag = behind.find('$').map_or(0, |end| end + 2);
        let inner = text.get(tag..text.len().saturating_sub(tag));
        return inner.unwrap_or_default().to_owned();
    }
    let Some(quote) = text.find(['\'', '"']) else {
        return text.to_owned();
    };
    let mark = &text[quote..=quote];
    let inner = text.get(quote + 1..text.len().saturating_sub(1));
    inner.unwrap_or_default().replace(&mark.repeat(2), mark)
}

#[cfg(test)]
mod tests {
    use super::{Run, runs};
    use crate::sql::Dialect;

    fn texts(body: &str, dialect: Dialect) -> Vec<String> {
        let all = runs(body, dialect).into_iter();
        all.map(|run| match run {
            Run::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Run::Unknown => "?".to_owned(),
        })
        .collect()
    }

    #[test]
    fn a_text_is_read_as_far_as_it_is_written_down() {
        for (body, text) in [
            ("BEGIN EXECUTE 'DELETE FROM m'; END", "DELETE FROM m"),
            (
                "BEGIN EXECUTE format('INSERT INTO %I SELECT $1.*', TG_ARGV[0]) USING OLD; END",
                "INSERT INTO chatctl_named_late SELECT $1.* USING OLD",
            ),
            (
                "BEGIN EXECUTE format('UPDATE %2$I SET a = %1$L, b = %%s, c = %3$s WHERE id = %L', '', NEW.t, 1, NEW.id); END",
                "UPDATE chatctl_named_late SET a = '', b = %s, c = 1 WHERE id = NEW . id",
            ),
            (
                "BEGIN EXECUTE 'DELETE FROM ' || quote_ident(NEW.t) || ' WHERE id = ' || NEW.id; END",
                "DELETE FROM chatctl_named_late WHERE id = NEW . id",
            ),
            (
                "BEGIN EXECUTE format('DELETE FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME); END",
                "DELETE FROM chatctl_named_late.TG_TABLE_NAME",
            ),
            (
                "BEGIN EXECUTE 'NOTIFY ' || quote_ident(TG_TABLE_NAME); END",
                "NOTIFY quote_ident TG_TABLE_NAME",
            ),
            ("BEGIN EXECUTE $q$SELECT ''$q$ INTO n; END", "SELECT ''"),
            (
                "DECLARE q text := 'SELECT 1'; BEGIN EXECUTE q; END",
                "SELECT 1",
            ),
            ("BEGIN q := 'SELECT 1'; EXECUTE q; END", "SELECT 1"),
            (
                "BEGIN SELECT 'SELECT ' || x INTO q FROM t; EXECUTE q; END",
                "SELECT x",
            ),
        ] {
            assert_eq!(texts(body, Dialect::Postgres), [text], "{body}");
        }
        for (body, text) in [
            (
                "BEGIN SET @s = concat('DELETE FROM ', t); PREPARE p FROM @s; EXECUTE p; END",
                "DELETE FROM chatctl_named_late",
            ),
            ("EXECUTE IMMEDIATE 'TRUNCATE m'", "TRUNCATE m"),
            ("PREPARE p FROM \"SELECT 1\"", "SELECT 1"),
        ] {
            assert_eq!(texts(body, Dialect::Mysql), [text], "{body}");
        }
    }

    #[test]
    fn what_is_written_nowhere_is_unknown() {
        for body in [
            "BEGIN EXECUTE NEW.command; END",
            "BEGIN EXECUTE q; END",
            "BEGIN EXECUTE format('%s FROM m', TG_ARGV[0]); END",
            "BEGIN EXECUTE statement_for(NEW.id); END",
            "BEGIN SELECT command INTO q FROM commands; EXECUTE q; END",
        ] {
            assert_eq!(texts(body, Dialect::Postgres), ["?"], "{body}");
        }
        for body in [
            "EXECUTE IMMEDIATE @q",
            "BEGIN PREPARE p FROM @q; EXECUTE p; END",
        ] {
            assert_eq!(texts(body, Dialect::Mysql), ["?"], "{body}");
        }
        assert_eq!(
            texts(
                "CREATE TRIGGER t AFTER INSERT ON m EXECUTE FUNCTION f()",
                Dialect::Postgres
            ),
            [] as [&str; 0]
        );
    }
}
