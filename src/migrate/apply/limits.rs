//! What the statements that are done took of what has a limit, and what that leaves of it for a run
//! which resumes a stopped one. Pure.

use super::origin;
use crate::migrate::intent::Intent;
use crate::migrate::journal::{Standing, Took};
use crate::migrate::preserve::{Lost, Meaning, Tables};
use std::collections::BTreeMap;

/// By the numbers of the statements. As one table or column can be told of twice, each counts once.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<usize, Vec<Took>>);

impl Taken {
    /// A statement runs, maybe once more.
    pub(super) fn forget(&mut self, number: usize) {
        self.0.split_off(&number);
    }

    /// Notes that a statement took so many rows or values.
    pub(super) fn note(&mut self, number: usize, lost: &Lost, rows: u64) {
        if rows == 0 {
            return;
        }
        let took = self.0.entry(number).or_default();
        let is_it = |it: &&mut Took| (&it.table, &it.column) == (&lost.table, &lost.column);
        match took.iter_mut().find(is_it) {
            Some(known) => known.rows = known.rows.max(rows),
            None => took.push(Took {
                table: lost.table.clone(),
                column: lost.column.clone(),
                rows,
            }),
        }
    }

    /// For the journal; none where it took nothing.
    pub(super) fn written(&self, number: usize) -> Option<String> {
        serde_json::to_string(self.0.get(&number)?).ok()
    }
}

/// Whether a file acknowledges losses up to a number.
pub(super) fn has_limits(intent: &Intent<'_>) -> bool {
    intent.allowed.iter().any(|it| it.rows.is_some())
}

/// Lowers the limits of a file by what its statements took that are done.
pub(super) fn lower(intent: &mut Intent<'_>, standing: &Standing, now: Tables<'_>) {
    let shapes = origin::began_with(&standing.began, now).unwrap_or_default();
    let before = Tables {
        shapes: &shapes,
        names: now.names,
    };
    for allowed in &mut intent.allowed {
        let (shape, column) = match allowed.subject.resolve(before) {
            Meaning::Table(shape) => (shape, None),
            Meaning::Column(shape, column) => (shape, Some(column.to_owned())),
            Meaning::Both(..) | Meaning::Nothing => continue,
        };
        let took = standing.took.values().flatten();
        let of_it = took.filter(|it| (&it.table, &it.column) == (&shape.name, &column));
        let took: u64 = of_it.map(|it| it.rows).sum();
        allowed.rows = allowed.rows.map(|limit| limit.saturating_sub(took));
    }
}

#[cfg(test)]
mod tests {
    use super::{Taken, lower};
    use crate::migrate::apply::origin;
    use crate::migrate::intent::Intent;
    use crate::migrate::journal::Standing;
    use crate::migrate::preserve::{Tables, What, loss};
    use crate::migrate::source::Migration;
    use crate::model::{Names, Shape};
    use crate::sql::Dialect;

    #[test]
    fn a_limit_is_what_the_statements_left_of_it_that_are_done() {
        let text = "-- chatctl: allow-loss messages rows<=5 reason=\"old\"\nDELETE FROM messages WHERE id = 1;\nDELETE FROM messages WHERE id = 2;\n";
        let migration = Migration::of_text(text);
        let mut intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
        let table = Shape {
            name: "messages".to_owned(),
            table: "messages".to_owned(),
            bare: true,
            ..Shape::default()
        };
        let tables = Tables {
            shapes: std::slice::from_ref(&table),
            names: Names::SQLITE,
        };
        let mut taken = Taken::default();
        let gone = loss(&table, None, (What::RowsGone, 0, 0), tables);
        taken.note(0, &gone, 2);
        taken.note(0, &gone, 3);
        taken.note(1, &gone, 1);
        taken.forget(1);
        assert_eq!(taken.written(1), None);
        let written = taken.written(0).expect("it took something");
        let took = serde_json::from_str(&written).expect("it was written");
        let standing = Standing {
            began: origin::written(std::slice::from_ref(&table)),
            took: [(1, took)].into(),
            ..Standing::default()
        };
        lower(&mut intent, &standing, tables);
        assert_eq!(intent.allowed[0].rows, Some(2));
    }
}
