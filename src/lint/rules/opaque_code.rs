//! Code that runs at once and whose effect is not in its text: blocks, procedures, functions.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{SERVERS, list};
use crate::report::Severity;
use crate::sql::{Dialect, Kind, TokenKind, tokenize};

pub(super) const RULE: Rule = Rule {
    code: "opaque-code",
    severity: Severity::Warning,
    dialects: SERVERS,
    why: "code runs that cannot be inspected",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let what = match &facts.kind {
        Kind::Do => match worst(context.step().statement.text, context.script.dialect) {
            Some((words, true)) if context.script.directives.allow_loss.is_empty() => {
                violations.add(
                    context,
                    violation(&format!("the block runs `{words}`")).only(Severity::Error),
                );
                return;
            }
            Some((words, _)) => format!("the block runs `{words}`"),
            None => return,
        },
        Kind::Call => match &facts.object {
            Some(name) => format!("the procedure `{name}` runs code that is not in this file"),
            None => "a procedure runs code that is not in this file".to_owned(),
        },
        _ if facts.calls.is_empty() => return,
        _ => format!(
            "{} may run code that is not in this file",
            list(&facts.calls)
        ),
    };
    violations.add(context, violation(&what));
}

fn violation(what: &str) -> Violation {
    Violation::new(
        format!("{what}; the text does not show which rows it changes"),
        "write the statements explicitly, or review the code and write `-- chatctl: ignore opaque-code reason=\"…\"`",
    )
    .only(Severity::Warning)
}

/// The worst that a block says, and whether it is there to destroy.
fn worst(block: &str, dialect: Dialect) -> Option<(String, bool)> {
    const MAY: [&str; 7] = [
        "ALTER", "CALL", "EXECUTE", "MERGE", "PERFORM", "REPLACE", "UPDATE",
    ];
    const DROPS: [&str; 5] = ["TABLE", "COLUMN", "SCHEMA", "DATABASE", "OWNED"];
    let tokens: Vec<_> = tokenize(block, dialect)
        .into_iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    let word = |index: usize| {
        let token = tokens
            .get(index)
            .filter(|token| token.kind == TokenKind::Word);
        token.map_or_else(String::new, |token| token.text(block).to_uppercase())
    };
    // REPLACE() is a function too.
    let called = |index: usize| {
        let next = tokens.get(index + 1);
        next.is_some_and(|token| token.text(block) == "(")
    };
    let mut may = None;
    for (index, token) in tokens.iter().enumerate() {
        let text = token.text(block);
        // PostgreSQL has the body in a string.
        let inner = match token.kind {
            TokenKind::DollarString => body(text).and_then(|body| worst(body, dialect)),
            _ => None,
        };
        let next = word(index + 1);
        let own = match word(index).as_str() {
            "DROP" if DROPS.contains(&next.as_str()) => Some((format!("DROP {next}"), true)),
            "DELETE" if next == "FROM" => Some(("DELETE FROM".to_owned(), true)),
            "TRUNCATE" if !next.is_empty() => Some(("TRUNCATE".to_owned(), true)),
            "DROP" => Some((format!("DROP {next}"), false)),
            known if MAY.contains(&known) && !called(index) => Some((known.to_owned(), false)),
            _ => None,
        };
        match inner.or(own) {
            Some((words, true)) => return Some((words, true)),
            found => may = may.or(found),
        }
    }
    may
}

/// What is between dollar quotes.
fn body(quoted: &str) -> Option<&str> {
    let tag = quoted.get(1..)?.find('$')? + 2;
    quoted.get(tag..quoted.len().checked_sub(tag)?)
}
