//! What is not recognised counts as destructive until somebody looked at it.

use super::super::{Here, Hit, Hits, Rule, UNPARSABLE};
use super::EVERY;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: UNPARSABLE,
    severity: Severity::Error,
    dialects: EVERY,
    why: "a statement is not recognised, so it may destroy anything",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    if here.facts().kind != Kind::Other {
        return;
    }
    let words = here.step().statement.text.split_whitespace().take(4);
    let words = words.collect::<Vec<_>>().join(" ");
    hits.add(
        here,
        Hit::new(
            format!("`{words}` is not recognised, so it may destroy anything"),
            "look what it does, then write `-- chatctl: ignore unparsable-statement \
             reason=\"…\"` above it",
        ),
    );
}
