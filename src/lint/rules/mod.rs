//! The rules: one file and one row here per harm.

mod add_not_null_without_default;
mod convert_charset;
mod delete_rows;
mod delete_without_where;
mod drop_column;
mod drop_database;
mod drop_partition;
mod drop_table;
mod drop_table_cascades;
mod ends_transaction;
mod ignore_drops_rows;
mod loosens_sql_mode;
mod narrowing_type;
mod needs_no_transaction;
mod opaque_code;
mod partly_applied;
mod pragma_without_effect;
mod rename_in_use;
mod replace_deletes_rows;
mod table_copied;
mod truncate_table;
mod unparsable_statement;
mod update_without_where;

use super::script::same;
use super::{Rule, RuleContext};
use crate::sql::{AlterAction, Dialect, Facts, Kind, Name};
use std::fmt::Display;

/// Every rule, in the order of the alphabet.
pub static ALL: &[Rule] = &[
    add_not_null_without_default::RULE,
    convert_charset::RULE,
    delete_rows::RULE,
    delete_without_where::RULE,
    drop_column::RULE,
    drop_database::RULE,
    drop_partition::RULE,
    drop_table::RULE,
    drop_table_cascades::RULE,
    ends_transaction::RULE,
    ignore_drops_rows::RULE,
    loosens_sql_mode::RULE,
    narrowing_type::RULE,
    needs_no_transaction::RULE,
    opaque_code::RULE,
    partly_applied::RULE,
    pragma_without_effect::RULE,
    rename_in_use::RULE,
    replace_deletes_rows::RULE,
    table_copied::RULE,
    truncate_table::RULE,
    unparsable_statement::RULE,
    update_without_where::RULE,
];

const EVERY: &[Dialect] = &[Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql];
const SERVERS: &[Dialect] = &[Dialect::Postgres, Dialect::Mysql];
const TRANSACTIONAL: &[Dialect] = &[Dialect::Sqlite, Dialect::Postgres];
/// Those that squawk does not know.
const UNKNOWN_TO_SQUAWK: &[Dialect] = &[Dialect::Sqlite, Dialect::Mysql];
const SQLITE: &[Dialect] = &[Dialect::Sqlite];
const MYSQL: &[Dialect] = &[Dialect::Mysql];

/// Names in backticks, with commas between.
fn list<T: Display>(names: &[T]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// How to say that rows of a table may go.
fn acknowledge(table: &Name) -> String {
    let target = target(table, None);
    format!(
        "acknowledge the loss: `-- chatctl: allow-loss {target} rows<=N reason=\"…\"`, with N from `chatctl migrate verify`"
    )
}

/// A table or a column as `allow-loss` names it: behind a schema three parts are wanted.
fn target(table: &Name, column: Option<&str>) -> String {
    match (&table.schema, column) {
        (Some(_), None) => format!("{table}.*"),
        (_, Some(column)) => format!("{table}.{column}"),
        (None, None) => table.to_string(),
    }
}

/// Whether a statement, or a write inside of it, is of a kind.
fn does(kind: &Kind, wanted: &dyn Fn(&Kind) -> bool) -> bool {
    match kind {
        Kind::With { writes } => writes.iter().any(|write| does(write, wanted)),
        kind => wanted(kind),
    }
}

/// The tables of a statement whose rows go without a word about it.
fn lost<'a>(context: &RuleContext<'a>) -> Vec<&'a Name> {
    let facts = context.facts();
    // Which write inside of it is about which table is not known: one word is for all.
    let one_for_all = matches!(facts.kind, Kind::With { .. })
        && facts
            .tables()
            .any(|table| context.is_acknowledged(table, None));
    if one_for_all {
        return Vec::new();
    }
    facts
        .tables()
        .filter(|table| context.loses(table))
        .collect()
}

/// Whether a join of MySQL chooses the rows of an `UPDATE` or `DELETE`.
fn joins(context: &RuleContext<'_>) -> bool {
    let facts = context.facts();
    let several = facts.tables().count() + facts.reads.len() > 1;
    context.script.dialect == Dialect::Mysql && several
}

fn actions(facts: &Facts) -> &[AlterAction] {
    match &facts.kind {
        Kind::AlterTable { actions } => actions,
        _ => &[],
    }
}
