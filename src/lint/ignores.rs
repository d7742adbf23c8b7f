//! `-- chatctl: ignore CODE reason="…"`: hides findings, and is a finding when it hides none.

use super::place::Places;
use super::script::Script;
use super::{ALL, Found, UNUSED_IGNORE, squawk};
use crate::report::{Finding, Severity, Source};
use crate::sql::{Ignore, Scope};
use crate::text;

/// Drops what is ignored, and adds a finding for each ignore that hides nothing.
pub(super) fn apply(
    script: &Script<'_>,
    places: &Places<'_>,
    found: Vec<Found>,
    foreign: &[&str],
) -> Vec<Found> {
    let ignores = &script.directives.ignores;
    let mut used = vec![false; ignores.len()];
    let mut out = Vec::new();
    for found in found {
        let mut hidden = false;
        for (ignore, used) in ignores.iter().zip(&mut used) {
            if hides(ignore, &found) {
                *used = true;
                hidden = true;
            }
        }
        if !hidden {
            out.push(found);
        }
    }
    for (ignore, used) in ignores.iter().zip(used) {
        if !used && !foreign.contains(&ignore.code.as_str()) {
            out.push(unused(ignore, places));
        }
    }
    out
}

fn hides(ignore: &Ignore, found: &Found) -> bool {
    let within = match &ignore.scope {
        Scope::File => true,
        Scope::Statement(span) => span.contains(&found.at),
    };
    within && ignore.code == found.finding.code
}

fn unused(ignore: &Ignore, places: &Places<'_>) -> Found {
    let code = &ignore.code;
    let (harm, help) = if is_code(code) {
        let where_it_counts = match ignore.scope {
            Scope::File => "in this file",
            Scope::Statement(_) => "in the statement that it counts for",
        };
        (
            format!("the comment has no effect: there is no `{code}` {where_it_counts}"),
            "remove the comment, so that it cannot hide a later finding".to_owned(),
        )
    } else {
        let help = match nearest(code) {
            Some(near) => format!("write `{near}`, or remove the comment"),
            None => "name a code that `chatctl explain` lists, or remove the comment".to_owned(),
        };
        (
            format!("the comment ignores `{code}`, which is not a code of `migrate lint`"),
            help,
        )
    };
    let at = places.comment(ignore.line);
    let finding = Finding::new(UNUSED_IGNORE, Severity::Warning, "", harm, help)
        .with(Source::File, places.line_at(at));
    places.found(at, finding)
}

fn is_code(code: &str) -> bool {
    ALL.iter().any(|rule| rule.code == code) || squawk::is_code(code)
}

/// The code that was probably meant.
fn nearest(code: &str) -> Option<&'static str> {
    let rules = ALL.iter().map(|rule| rule.code);
    text::nearest(code, rules.chain(squawk::codes()))
}
