//! A change of type that can cut values.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{SERVERS, actions};
use crate::report::Severity;
use crate::sql::{AlterAction, Dialect, Name};

pub(super) const RULE: Rule = Rule {
    code: "narrowing-type",
    severity: Severity::Warning,
    dialects: SERVERS,
    why: "the new type may not hold every value",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let Some(table) = context.older_table() else {
        return;
    };
    let risky: Vec<String> = actions(facts)
        .iter()
        .filter_map(|action| {
            let (column, definition, using) = match action {
                AlterAction::AlterType { column, to, using } => (column, to, *using),
                AlterAction::Modify { column, to } => (column, to, false),
                AlterAction::Change {
                    from, definition, ..
                } => (from, definition, false),
                _ => return None,
            };
            let narrow = using || is_narrow(definition, context.script.dialect);
            let known = context.is_acknowledged(table, Some(column));
            (narrow && !known).then(|| words(table, column, definition))
        })
        .collect();
    let Some(first) = risky.first() else {
        return;
    };
    let loss = match context.script.dialect {
        Dialect::Mysql => {
            "values that do not fit fail the statement, or are cut where `sql_mode` is not strict"
        }
        _ => "values are converted, and what the type or `USING` drops is lost",
    };
    violations.add(
        context,
        Violation::new(
            format!("{first} may hold less than before: {loss}"),
            "count the values that do not fit first; add a wider column instead, or acknowledge \
             the loss with `allow-loss`",
        ),
    );
}

fn words(table: &Name, column: &str, definition: &str) -> String {
    format!("`{table}.{column}` as `{}`", type_of(definition))
}

/// The type at the start of a definition of MySQL; PostgreSQL has nothing behind it.
fn type_of(definition: &str) -> &str {
    let word = definition
        .find(char::is_whitespace)
        .map_or(definition, |end| &definition[..end]);
    match definition.find(')') {
        Some(end) if word.contains('(') => &definition[..=end],
        _ => word,
    }
}

/// Whether the type has a limit that another of its kind does not have.
fn is_narrow(definition: &str, dialect: Dialect) -> bool {
    let upper = definition.to_uppercase();
    let name = upper
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .unwrap_or_default();
    match dialect {
        Dialect::Mysql => !matches!(
            name,
            "LONGTEXT" | "LONGBLOB" | "BIGINT" | "JSON" | "DOUBLE" | "DATETIME"
        ),
        _ => {
            upper.contains('(')
                || matches!(
                    name,
                    "SMALLINT"
                        | "INT"
                        | "INTEGER"
                        | "INT2"
                        | "INT4"
                        | "REAL"
                        | "FLOAT4"
                        | "DATE"
                        | "BOOLEAN"
                        | "BOOL"
                )
        }
    }
}
