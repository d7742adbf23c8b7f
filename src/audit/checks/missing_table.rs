//! A table that should exist.

use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::Table;
use crate::report::Severity::Error;

pub(super) const CHECK: Check = Check {
    code: "missing-table",
    causes: CAUSES,
    help: "check the start-up code (`chatctl migrate guard`), restore the table from a backup, and create tables \
           by migrations only",
    unfit,
    look: Look::Store(look),
};

static CAUSES: &[Cause] = &[cause(
    "missing",
    Error,
    "a table that the migrations or the mapping name does not exist in the store: its contents are gone",
)];

/// Those of these tables that are not there.
pub fn absent<'n>(
    expected: impl IntoIterator<Item = &'n String>,
    schema: &[Table],
) -> Vec<&'n String> {
    let there = |name: &str| {
        schema
            .iter()
            .any(|table| table.name.eq_ignore_ascii_case(name))
    };
    expected.into_iter().filter(|name| !there(name)).collect()
}

/// A mapping that is in use has all its tables; only a folder of migrations can expect more.
fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let named = context.asked.expected.is_some();
    (!named).then_some(
        "no folder of migrations was named (--dir), and every table of the mapping exists",
    )
}

fn look<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        for name in absent(context.asked.expected.iter().flatten(), context.schema) {
            tally.row(&CAUSES[0], None, || Thing::fact(format!("table `{name}`")));
        }
        Ok(())
    })
}
