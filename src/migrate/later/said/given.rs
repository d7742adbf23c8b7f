//! What a body gives to the written row by a query, or as a whole.

use super::{Assigned, Said, Tokens};
use std::ops::Range;

impl Said {
    /// What a query gives to columns of the row: `SELECT 'x', y INTO z, NEW.a`.
    pub(super) fn selected(&self, tokens: &Tokens<'_>) -> Vec<(String, Assigned)> {
        let depths = tokens.depths();
        let outside = |at: usize, words: &[&str]| depths[at].1 == 0 && tokens.is(at, words);
        let count = tokens.all.len();
        let Some(into) = (1..count).find(|at| outside(*at, &["INTO"])) else {
            return Vec::new();
        };
        let first = into + 1 + usize::from(tokens.is(into + 1, &["STRICT"]));
        let targets = targets(tokens, first);
        let behind = targets.last().map_or(first, |it| it.end);
        let begins = if into == 1 { behind } else { 1 };
        let ends = |at: &usize| outside(*at, &["FROM", "INTO", "LIMIT", "ORDER", "WHERE"]);
        let end = (begins..count).find(ends).unwrap_or(count);
        let values = split(tokens, begins..end);
        let pairs = targets.iter().zip(values);
        let of_row = pairs.filter(|(it, _)| it.len() == 3 && tokens.is_of(it.start, &["NEW"]));
        let given = of_row.map(|(it, value)| {
            let column = tokens.name(it.start + 2);
            (column.to_owned(), self.assigned(tokens, &value, column))
        });
        given.collect()
    }

    /// The same where it replaces the row: `NEW := ROW(…)`, with a value for each of these columns.
    pub(super) fn whole(&self, columns: &[&str]) -> Vec<(String, Assigned)> {
        let tokens = self.tokens();
        let values = self.values_of_row().unwrap_or_default();
        if values.len() != columns.len() {
            return Vec::new();
        }
        let pairs = columns.iter().zip(&values);
        let given = pairs
            .map(|(column, value)| ((*column).to_owned(), self.assigned(&tokens, value, column)));
        given.collect()
    }

    /// The places of the values that replace the row.
    pub(super) fn values_of_row(&self) -> Option<Vec<Vec<usize>>> {
        let tokens = self.tokens();
        let value = match [1, 2].map(|at| tokens.at(at)) {
            [":", "="] => 3,
            [":=" | "=", _] => 2,
            _ => return None,
        };
        let opens = value + usize::from(tokens.is(value, &["ROW"]));
        let closes = tokens.all.len().checked_sub(1)?;
        let is_row = tokens.is(0, &["NEW"]) && tokens.at(opens) == "(" && tokens.at(closes) == ")";
        is_row.then(|| split(&tokens, opens + 1..closes))
    }
}

/// Names with commas between them, from a place on.
fn targets(tokens: &Tokens<'_>, first: usize) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut at = first;
    while at < tokens.all.len() {
        let start = at;
        at += 1;
        while tokens.at(at) == "." {
            at += 2;
        }
        all.push(start..at);
        if tokens.at(at) != "," {
            break;
        }
        at += 1;
    }
    all
}

/// The places of what is between commas.
fn split(tokens: &Tokens<'_>, range: Range<usize>) -> Vec<Vec<usize>> {
    let mut parts = vec![Vec::new()];
    let mut depth = 0_usize;
    for at in range {
        match tokens.at(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if depth > 0 || tokens.at(at) != "," => part.push(at),
            _ => parts.push(Vec::new()),
        }
    }
    parts
}
