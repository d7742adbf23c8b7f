//! Looks into what a query may name: views and stored routines, and what these name in turn.

use super::{acts, calls, loaded, statements};
use crate::cli_error::CliError;
use crate::db::query::{guard, refused};
use crate::sql::Dialect;
use sqlx::{AssertSqlSafe, MySqlConnection};
use std::collections::BTreeSet;

/// How many names are searched for.
const MOST: usize = 2000;

/// Refuses what could do more than read. A name is searched for in every database: the server may
/// find it in any of them.
pub(super) async fn judge(
    connection: &mut MySqlConnection,
    named: &guard::QueryColumn,
) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::from_iter(named.names.iter().cloned());
    // A query calls functions only. What it calls may call procedures.
    let mut from = From::Query;
    while !names.is_empty() {
        seen.extend(names.iter().cloned());
        if seen.len() > MOST {
            return Err(refused("it refers to more objects than chatctl can inspect").into());
        }
        elsewhere(connection, &names).await?;
        let mut next: BTreeSet<String> = BTreeSet::new();
        for (kind, name, body) in bodies(connection, from, &names).await? {
            let Some(body) = body.filter(|body| !body.is_empty()) else {
                return Err(unseen(kind, &name).into());
            };
            let inner = guard::body(&body, Dialect::Mysql);
            inside(kind, &name, &body, &inner)?;
            loaded(connection, &inner).await?;
            next.extend(inner.names);
        }
        if from == From::Query {
            // What the query names too may be a procedure that it can't call itself.
            (from, names) = (From::Body, next);
            seen.clear();
        } else {
            names = next.difference(&seen).cloned().collect();
        }
    }
    Ok(())
}

/// Where names are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Query,
    Body,
}

/// What can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    View,
    /// A function, a procedure, or the body of a package.
    Routine,
    /// A routine whose text chatctl can't read as the server does.
    Unreadable,
}

/// Routines in another language, and texts in which a backslash may be a character as any other. It is
/// never NULL: a text that this user may not see is one of the others, where it is refused.
const UNREADABLE: &str = "(coalesce(external_language, 'SQL') <> 'SQL' \
    OR (sql_mode LIKE '%NO_BACKSLASH_ESCAPES%' OR sql_mode LIKE '%ANSI_QUOTES%') AND coalesce(instr(routine_definition, char(92)), 0) > 0)";

/// The bodies of the views and the routines of these names; nothing of what this user may not see.
async fn bodies(
    connection: &mut MySqlConnection,
    from: From,
    names: &BTreeSet<String>,
) -> anyhow::Result<Vec<(Kind, String, Option<String>)>> {
    let of_routines = |which: &str| {
        let kinds = match from {
            From::Query => "routine_type NOT IN ('PROCEDURE', 'PACKAGE')",
            From::Body => "routine_type <> 'PACKAGE'",
        };
        format!(
            "SELECT CAST(routine_name AS CHAR), CAST(routine_definition AS CHAR) \
             FROM information_schema.routines WHERE {kinds} AND {which} AND {{routine_name}}"
        )
    };
    let of_views = "SELECT CAST(table_name AS CHAR), CAST(view_definition AS CHAR) \
        FROM information_schema.views WHERE {table_name}";
    let mut found = Vec::new();
    for (kind, sql) in [
        (Kind::View, of_views.to_owned()),
        (Kind::Routine, of_routines(&format!("NOT {UNREADABLE}"))),
        (Kind::Unreadable, of_routines(UNREADABLE)),
    ] {
        let rows = of_names(connection, &sql, names).await?;
        found.extend(rows.into_iter().map(|(name, body)| (kind, name, body)));
    }
    Ok(found)
}

/// The rows of a statement that ends with the column, in braces, that has the names.
async fn of_names(
    connection: &mut MySqlConnection,
    sql: &str,
    names: &BTreeSet<String>,
) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let places = vec!["?"; names.len()].join(", ");
    let (sql, column) = sql
        .trim_end_matches('}')
        .rsplit_once('{')
        .unwrap_or((sql, ""));
    // The server and chatctl do not agree on the lower case of every letter.
    let sql = format!("{sql}({column} IN ({places}) OR lower({column}) IN ({places}))");
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for name in names.iter().chain(names) {
        query = query.bind(name);
    }
    Ok(query.fetch_all(connection).await?)
}

/// Refuses tables whose rows are read elsewhere.
async fn elsewhere(
    connection: &mut MySqlConnection,
    names: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let sql = "SELECT CAST(table_name AS CHAR), CAST(engine AS CHAR) FROM information_schema.tables \
        WHERE engine IN ('FEDERATED', 'CONNECT', 'SPIDER') AND {table_name}";
    match of_names(connection, sql, names).await?.into_iter().next() {
        Some((name, engine)) => Err(refused(&format!(
            "`{name}` is a table of the engine {}: reading it acts on another server, or reads a file",
            engine.unwrap_or_default()
        ))
        .into()),
        None => Ok(()),
    }
}

/// Refuses what a view or a routine does. A routine may keep values in variables.
fn inside(kind: Kind, name: &str, body: &str, inner: &guard::QueryColumn) -> Result<(), CliError> {
    let judged = match kind {
        Kind::View => acts(inner),
        Kind::Routine => match statements::acting(body) {
            Some(what) => Err(refused(&format!("`{what}` acts on the server"))),
            None => calls(&inner.called),
        },
        Kind::Unreadable => Err(refused("chatctl cannot inspect its text")),
    };
    judged.map_err(|stop| {
        let why = stop.message.trim_start_matches("the query is refused: ");
        refused(&format!("`{name}` may do more than read: {why}"))
    })
}

fn unseen(kind: Kind, name: &str) -> CliError {
    let (what, right) = match kind {
        Kind::View => ("view", "GRANT SHOW VIEW ON its database TO this user"),
        Kind::Routine | Kind::Unreadable => (
            "routine",
            "GRANT SELECT ON mysql.proc TO this user (MySQL: SHOW_ROUTINE)",
        ),
    };
    CliError::refused(format!(
        "the query is refused: this user may not see the definition of the {what} `{name}`"
    ))
    .hint(right)
}
