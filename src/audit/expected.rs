//! The tables that a folder of migrations creates and does not drop again: pure.

use crate::sql::{AlterAction, Dialect, Facts, Kind, Name, facts, split};

/// The tables that are there after these texts have run, one after another. A text that can't be
/// split says nothing.
pub fn expected<'t>(ups: impl IntoIterator<Item = &'t str>, dialect: Dialect) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for up in ups {
        for statement in split(up, dialect).unwrap_or_default() {
            run(&facts(&statement, dialect), &mut tables);
        }
    }
    tables.sort();
    tables.dedup();
    tables
}

/// What one statement does to the tables.
fn run(facts: &Facts, tables: &mut Vec<String>) {
    let named = || facts.tables().map(|name| name.name.clone());
    match &facts.kind {
        Kind::CreateTable {
            temporary: false, ..
        } => tables.extend(named()),
        Kind::DropTable { .. } => {
            let gone: Vec<_> = named().collect();
            tables.retain(|table| !is_in(table, &gone));
        }
        Kind::RenameTable { renames } => {
            for (from, to) in renames {
                rename(tables, &from.name, to);
            }
        }
        Kind::AlterTable { actions } => {
            let renames = actions.iter().filter_map(|action| match action {
                AlterAction::RenameTable { to } => Some((facts.table.as_ref()?, to)),
                _ => None,
            });
            for (from, to) in renames {
                rename(tables, &from.name, to);
            }
        }
        _ => {}
    }
}

fn is_in(table: &str, names: &[String]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(table))
}

fn rename(tables: &mut [String], from: &str, to: &Name) {
    for table in tables {
        if table.eq_ignore_ascii_case(from) {
            table.clone_from(&to.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::expected;
    use crate::sql::Dialect;

    #[test]
    fn a_table_counts_until_it_is_dropped_and_by_its_last_name() {
        let ups = [
            "CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TEMP TABLE t (id INT);",
            "CREATE TABLE c_new (id INT); DROP TABLE a; ALTER TABLE c_new RENAME TO c;",
        ];
        assert_eq!(expected(ups, Dialect::Sqlite), ["b", "c"]);
        assert_eq!(
            expected(
                ["CREATE TABLE x (i INT); RENAME TABLE x TO y"],
                Dialect::Mysql
            ),
            ["y"]
        );
    }
}
