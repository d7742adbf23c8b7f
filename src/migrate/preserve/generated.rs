//! Columns that the engine computes. They hold nothing of their own, until nothing computes them any more.

use super::{Renames, Tables, successor};
use crate::model::{Shape, ShapeColumn};

/// The generated columns of a table under whose names there are stored ones afterwards. What the engine lets
/// stay as it was computed is the same column.
pub fn stored_since<'a>(
    was: &'a Shape,
    before: Tables<'_>,
    after: Tables<'_>,
    renames: &Renames,
) -> Vec<&'a ShapeColumn> {
    if was.generated.is_empty() {
        return Vec::new();
    }
    let found = successor(was, before, after, renames);
    let Some(now) = found.and_then(|it| after.called(&it.table)) else {
        return Vec::new();
    };
    let is_stored = |column: &&ShapeColumn| {
        let mut stored = now.columns.iter();
        let stored = stored.find(|it| after.names.columns.same(&it.name, &column.name));
        stored.is_some_and(|it| column.id.is_none() || was.id != now.id || it.id != column.id)
    };
    was.generated.iter().filter(is_stored).collect()
}
