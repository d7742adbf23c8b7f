//! The condition of a statement: what AND and OR join in it, outside of brackets.

use super::{Said, Tokens};
use crate::sql::Dialect;
use std::ops::Range;

impl Said {
    /// The places of the tokens behind WHERE.
    pub(super) fn condition(&self, tokens: &Tokens<'_>) -> Range<usize> {
        let depths = tokens.depths();
        let mut outside = depths.iter().filter(|(_, depth)| *depth == 0);
        let end = tokens.all.len();
        let Some((begins, _)) = outside.find(|(at, _)| tokens.is(*at, &["WHERE"])) else {
            return end..end;
        };
        let ends = outside.find(|(at, _)| tokens.is(*at, &["RETURNING", "ORDER", "LIMIT"]));
        begins + 1..ends.map_or(end, |(at, _)| *at)
    }

    /// Whether every row that it finds has to do with the row as it was: an OR may bring in others.
    pub(in crate::migrate::later) fn follows_old(&self) -> bool {
        let tokens = self.tokens();
        let arms = arms(&tokens, self.condition(&tokens));
        // What is put in when it runs has a number in the text.
        let names = |arm: &Range<usize>| {
            let mut arm = arm.clone();
            arm.any(|at| tokens.is_of(at, &["OLD"]) || tokens.at(at).starts_with('$'))
        };
        let is_of_transition = self.transitions.old.is_some();
        self.names_row("OLD") && (arms.len() < 2 || is_of_transition || arms.iter().all(names))
    }

    /// Whether it finds one row at most, which the new one names: by each column of a key.
    pub(in crate::migrate::later) fn is_held_to_new(&self, key: &[String]) -> bool {
        let tokens = self.tokens();
        let condition = self.condition(&tokens);
        let is_one = arms(&tokens, condition.clone()).len() == 1;
        let parts = parts(&tokens, condition);
        let is_held = |column: &String| {
            let is_it = |at: usize| tokens.name(at).eq_ignore_ascii_case(column);
            parts.iter().any(|part| match sides(&tokens, part) {
                Some((left, right)) => {
                    is_it(left.end - 1) && is_new(&tokens, &right)
                        || is_it(right.end - 1) && is_new(&tokens, &left)
                }
                None => false,
            })
        };
        is_one && !key.is_empty() && key.iter().all(is_held)
    }

    /// Whether its condition keeps nothing out, such as that a column is equal to itself.
    pub(super) fn has_idle_condition(&self, tokens: &Tokens<'_>) -> bool {
        let condition = self.condition(tokens);
        let is_own = |name: &str| self.facts.tables().any(|table| table.matches(name));
        !condition.is_empty() && holds(tokens, condition, &is_own)
    }
}

/// The column of which a condition asks whether it gets another value, and nothing else.
pub(in crate::migrate::later) fn changed(condition: &str, dialect: Dialect) -> Option<String> {
    let tokens = Tokens::of(condition, dialect);
    let mut parts = Vec::new();
    let mut at = 0;
    while at < tokens.all.len() {
        match tokens.at(at) {
            "(" | ")" => at += 1,
            // A cast, with its type.
            ":" => at += 3,
            part => {
                parts.push(part.trim_matches(['"', '`', '[', ']']));
                at += 1;
            }
        }
    }
    let [one, ".", column, asks @ .., other, ".", same] = parts.as_slice() else {
        return None;
    };
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let both = is(one, "NEW") && is(other, "OLD") || is(one, "OLD") && is(other, "NEW");
    let asks = asks.concat().to_ascii_uppercase();
    let is_other = ["<>", "!=", "ISDISTINCTFROM", "ISNOT"].contains(&asks.as_str());
    (both && is_other && is(column, same)).then(|| (*column).to_owned())
}

/// Both sides of an `=`, where each is a single name or value.
fn sides(tokens: &Tokens<'_>, part: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let part = bare(tokens, part.clone());
    let equals = part.clone().find(|at| tokens.at(*at) == "=")?;
    let (left, right) = (part.start..equals, equals + 1..part.end);
    let is_plain = |side: &Range<usize>| match side.len() {
        1 => true,
        3 => tokens.at(side.start + 1) == ".",
        _ => false,
    };
    (is_plain(&left) && is_plain(&right)).then_some((left, right))
}

fn is_new(tokens: &Tokens<'_>, side: &Range<usize>) -> bool {
    side.len() == 3 && tokens.is_of(side.start, &["NEW"])
}

/// Whether a condition is true for each row, in a statement of one table.
fn holds(tokens: &Tokens<'_>, condition: Range<usize>, is_own: &dyn Fn(&str) -> bool) -> bool {
    let arms = arms(tokens, condition);
    arms.into_iter().any(|arm| {
        let parts = parts(tokens, arm);
        parts.iter().all(|part| holds_alone(tokens, part, is_own))
    })
}

fn holds_alone(tokens: &Tokens<'_>, part: &Range<usize>, is_own: &dyn Fn(&str) -> bool) -> bool {
    let part = bare(tokens, part.clone());
    let text = |at: usize| tokens.at(at);
    if part.len() == 1 {
        return tokens.is(part.start, &["TRUE"]) || text(part.start) == "1";
    }
    let Some((left, right)) = sides(tokens, &part) else {
        return false;
    };
    let of_row = [&left, &right]
        .iter()
        .any(|side| side.len() == 3 && tokens.is_of_row(side.start));
    // A variable of a function may have a field of the column's name.
    let owner = |side: &Range<usize>| (side.len() == 3).then(|| tokens.name(side.start));
    let same_owner = match (owner(&left), owner(&right)) {
        (None, None) => true,
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (Some(one), None) | (None, Some(one)) => is_own(one),
    };
    let (left, right) = (tokens.name(left.end - 1), tokens.name(right.end - 1));
    !of_row && same_owner && left.eq_ignore_ascii_case(right)
}

fn arms(tokens: &Tokens<'_>, condition: Range<usize>) -> Vec<Range<usize>> {
    joined(tokens, condition, "OR")
}

fn parts(tokens: &Tokens<'_>, condition: Range<usize>) -> Vec<Range<usize>> {
    joined(tokens, condition, "AND")
}

fn joined(tokens: &Tokens<'_>, condition: Range<usize>, by: &str) -> Vec<Range<usize>> {
    let condition = bare(tokens, condition);
    let (mut depth, mut is_between) = (0_usize, false);
    let mut all = Vec::new();
    let mut start = condition.start;
    for at in condition.clone() {
        match tokens.at(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if tokens.is(at, &["CASE"]) => depth += 1,
            _ if tokens.is(at, &["END"]) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if tokens.is(at, &["BETWEEN"]) => is_between = true,
            // The AND of a BETWEEN joins no conditions.
            _ if tokens.is(at, &["AND"]) && std::mem::take(&mut is_between) => {}
            _ if tokens.is(at, &[by]) => {
                all.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(start..condition.end);
    all
}

/// A condition without the brackets around all of it.
fn bare(tokens: &Tokens<'_>, condition: Range<usize>) -> Range<usize> {
    let mut condition = condition;
    while condition.len() > 2 && tokens.at(condition.start) == "(" {
        let mut depth = 0_usize;
        let closes = condition.clone().find(|at| {
            match tokens.at(*at) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        if closes != Some(condition.end - 1) {
            break;
        }
        condition = condition.start + 1..condition.end - 1;
    }
    condition
}
