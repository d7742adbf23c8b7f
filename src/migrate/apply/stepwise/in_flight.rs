//! What is noted before a statement that can't be in a transaction, so that the next run knows whether it
//! was done when the process ended.

use super::exchanged;
use super::late::Others;
use crate::db::Session;
use crate::migrate::apply::reach;
use crate::migrate::intent::Piece;
use crate::migrate::journal;
use crate::model::{Names, Shape};
use crate::sql::{AlterAction, Dialect, Facts, Kind, Name};

/// How a note begins that is about the tables of the statement only.
const OF_TABLES: &str = "tables:";
/// How one begins that is about routines and events, too: the schema has none of them.
const WITH_CODE: &str = "code:";
/// How one begins of the tables of a statement under the locks of its file.
const UNDER_LOCKS: &str = "locked:";

/// What is there before a statement: the schema, and behind a space the rows of an exchange.
pub(super) fn note(
    session: &mut dyn Session,
    piece: (&Piece<'_>, Dialect),
    others: Others,
) -> anyhow::Result<String> {
    let schema = schema(session, piece, others)?;
    Ok(match exchanged::note(session, piece.0, others)? {
        Some(rows) => format!("{schema} {rows}"),
        None => schema,
    })
}

/// The schema of the tables that a statement names where it changes no others, otherwise all of it.
fn schema(
    session: &mut dyn Session,
    (piece, dialect): (&Piece<'_>, Dialect),
    others: Others,
) -> anyhow::Result<String> {
    let names = tables(piece);
    if let (Some(names), Others::Wait) = (&names, others) {
        return under_locks(session, names);
    }
    if let Some(names) = names
        && let Some(lines) = session.schema_of(&names)?
    {
        return Ok(format!("{OF_TABLES}{}", journal::hash(&lines.join("\n"))));
    }
    match dialect {
        Dialect::Mysql => with_code(session),
        Dialect::Postgres | Dialect::Sqlite => whole(session),
    }
}

/// Whether the schema is as it was noted before a statement.
pub(super) fn is_as_noted(
    session: &mut dyn Session,
    piece: (&Piece<'_>, Dialect),
    noted: &str,
) -> anyhow::Result<bool> {
    let noted = noted.split(' ').next().unwrap_or_default();
    let now = if noted.starts_with(OF_TABLES) {
        schema(session, piece, Others::Write)?
    } else if noted.starts_with(UNDER_LOCKS) {
        under_locks(session, &tables(piece.0).unwrap_or_default())?
    } else if noted.starts_with(WITH_CODE) {
        with_code(session)?
    } else {
        whole(session)?
    };
    Ok(now == noted)
}

fn whole(session: &mut dyn Session) -> anyhow::Result<String> {
    Ok(journal::hash(&session.schema()?.join("\n")))
}

/// The tables of a statement, as they are found without waiting for a lock: behind an ALTER, LOCK
/// TABLES keeps other connections from asking how a table is made.
fn under_locks(session: &mut dyn Session, names: &[&str]) -> anyhow::Result<String> {
    let names = names.iter();
    let names = names.map(|it| format!("'{}'", it.replace('\\', "\\\\").replace('\'', "''")));
    let names: Vec<_> = names.collect();
    let of = |table: &str, shown: &str| {
        format!(
            "SELECT concat_ws(' ', '{table}', table_name, {shown}) FROM information_schema.{table} \
             WHERE table_schema = database() AND table_name IN ({})",
            names.join(", ")
        )
    };
    let all = [
        of(
            "columns",
            "ordinal_position, column_name, column_type, is_nullable, quote(column_default), extra, collation_name",
        ),
        of(
            "statistics",
            "index_name, seq_in_index, column_name, sub_part, non_unique, index_type",
        ),
        of(
            "key_column_usage",
            "constraint_name, column_name, referenced_table_name, referenced_column_name",
        ),
    ];
    let rows = session.rows(&format!("{} ORDER BY 1", all.join(" UNION ALL ")))?;
    let lines: Vec<_> = rows.iter().map(|row| row[0].to_string()).collect();
    Ok(format!("{UNDER_LOCKS}{}", journal::hash(&lines.join("\n"))))
}

/// The same of a database of MySQL, with its code.
fn with_code(session: &mut dyn Session) -> anyhow::Result<String> {
    let code = session.rows(
        "SELECT concat_ws(' ', routine_type, routine_name, md5(routine_definition)) FROM information_schema.routines \
         WHERE routine_schema = database() UNION ALL \
         SELECT concat_ws(' ', 'EVENT', event_name, md5(event_definition)) FROM information_schema.events \
         WHERE event_schema = database() ORDER BY 1",
    )?;
    let mut lines = session.schema()?;
    lines.extend(code.iter().map(|row| row[0].to_string()));
    Ok(format!("{WITH_CODE}{}", journal::hash(&lines.join("\n"))))
}

/// Whether a statement was certainly not done, though the schema is another one: somebody else may
/// have changed it.
pub(super) fn is_undone(session: &mut dyn Session, piece: &Piece<'_>) -> anyhow::Result<bool> {
    let (there, names) = (session.catalog()?, session.names());
    Ok(lacks(&piece.facts, (&there, names)))
}

/// PostgreSQL's indexes, each with its table and its schema.
const INDEXES: &str = "FROM pg_catalog.pg_index AS i \
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid \
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace";

fn text(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// The schema that a name leads to now.
fn in_schema(name: Option<&Name>) -> String {
    match name.and_then(|it| it.schema.as_deref()) {
        Some(schema) => format!("n.nspname = {}", text(schema)),
        None => "n.nspname = ANY (pg_catalog.current_schemas(false))".to_owned(),
    }
}

/// The invalid indexes that a statement, which makes one next to others who write, left behind: none in
/// other schemas, where somebody else may be making one of that name.
pub(super) fn broken(session: &mut dyn Session, piece: &Piece<'_>) -> anyhow::Result<Vec<String>> {
    let concurrently = matches!(
        piece.facts.kind,
        Kind::CreateIndex {
            concurrently: true,
            ..
        }
    );
    let (true, Some(table), Some(index)) = (
        concurrently,
        piece.facts.table.as_ref(),
        piece.facts.object.as_ref(),
    ) else {
        return Ok(Vec::new());
    };
    let (on, named) = (text(&table.name), text(&index.name));
    let rows = session.rows(&format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) {INDEXES} \
         WHERE NOT i.indisvalid AND t.relname = {on} AND c.relname = {named} AND {}",
        in_schema(Some(table))
    ))?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}

/// Whether a statement of PostgreSQL was not done, as far as the object tells that it makes or drops: the rest
/// of the schema may be another one for reasons of its own.
pub(super) fn lacks_object(
    session: &mut dyn Session,
    piece: &Piece<'_>,
) -> anyhow::Result<Option<bool>> {
    let (table, object) = (piece.facts.table.as_ref(), piece.facts.object.as_ref());
    let mut has = |is_it: &str| -> anyhow::Result<bool> {
        let rows = session.rows(&format!("SELECT count(*)::text {INDEXES} WHERE {is_it}"))?;
        Ok(rows[0][0].to_string() != "0")
    };
    match (&piece.facts.kind, table, object) {
        (Kind::CreateIndex { .. }, Some(table), Some(index)) => {
            let (on, named) = (text(&table.name), text(&index.name));
            let is_it = format!("i.indisvalid AND t.relname = {on} AND c.relname = {named}");
            if has(&format!("{is_it} AND {}", in_schema(Some(table))))? {
                return Ok(Some(false));
            }
            // Where the file finds names in another schema, one of them may be it.
            Ok(if has(&is_it)? { None } else { Some(true) })
        }
        (Kind::DropIndex { .. }, _, Some(index)) => {
            let named = format!("c.relname = {}", text(&index.name));
            let broken = format!("{named} AND NOT i.indisvalid");
            if has(&format!("{broken} AND {}", in_schema(Some(index))))? {
                return Ok(Some(true));
            }
            // A whole one of this name may be that of another schema.
            Ok(if has(&named)? { None } else { Some(false) })
        }
        // Once more is harmless.
        (Kind::Vacuum | Kind::Reindex { .. }, ..) => Ok(Some(true)),
        _ => Ok(None),
    }
}

/// Whether something is not there that a statement makes, or is there that it takes away.
fn lacks(facts: &Facts, (there, names): (&[Shape], Names)) -> bool {
    if facts.tables().any(|it| it.schema.is_some()) {
        return false;
    }
    let found = |table: &Name| {
        let mut there = there.iter();
        there.find(|it| names.tables.same(&it.table, &table.name))
    };
    match (&facts.kind, &facts.table) {
        (
            Kind::CreateTable {
                temporary: false, ..
            },
            Some(table),
        ) => found(table).is_none(),
        (
            Kind::DropTable {
                temporary: false, ..
            },
            _,
        ) => facts.tables().any(|it| found(it).is_some()),
        (Kind::AlterTable { actions }, Some(table)) => {
            let renamed = actions.iter().find_map(|action| match action {
                AlterAction::RenameTable { to } => Some(to),
                _ => None,
            });
            match (renamed, found(table)) {
                (Some(to), _) => found(to).is_none(),
                (None, Some(shape)) => actions
                    .iter()
                    .any(|it| lacks_action((it, actions), (shape, names))),
                (None, None) => false,
            }
        }
        _ => false,
    }
}

fn lacks_action(
    (action, all): (&AlterAction, &[AlterAction]),
    (shape, names): (&Shape, Names),
) -> bool {
    // What is no plain name may be read wrongly, and is not looked for.
    let is_name = |name: &str| name.chars().all(|it| it.is_alphanumeric() || it == '_');
    let has = |name: &str| {
        let mut columns = shape.columns.iter();
        columns.any(|it| names.columns.same(&it.name, name))
    };
    let adds = |name: &str| {
        let is_it = |it: &AlterAction| match it {
            AlterAction::AddColumn { column, .. } => names.columns.same(column, name),
            AlterAction::RenameColumn { to, .. } | AlterAction::Change { to, .. } => {
                names.columns.same(to, name)
            }
            _ => false,
        };
        all.iter().any(is_it)
    };
    match action {
        AlterAction::AddColumn { column, .. } => is_name(column) && !has(column),
        AlterAction::DropColumn { column, .. } => has(column) && !adds(column),
        _ => false,
    }
}

/// The tables that a statement changes by their names, and with which it changes nothing else of the
/// schema. A name that is read wrongly leads to a statement that is run once more, and fails.
fn tables<'a>(piece: &'a Piece<'_>) -> Option<Vec<&'a str>> {
    let by_name = matches!(
        piece.facts.kind,
        Kind::CreateTable { .. }
            | Kind::DropTable { .. }
            | Kind::AlterTable { .. }
            | Kind::RenameTable { .. }
            | Kind::CreateIndex { .. }
            | Kind::DropIndex { .. }
    );
    let named = reach::written(piece);
    // A name of another database is searched for nowhere.
    let is_here = !named.is_empty() && named.iter().all(|name| name.schema.is_none());
    let names = named.into_iter().map(|name| name.name.as_str());
    (by_name && is_here).then(|| names.collect())
}

#[cfg(test)]
mod tests {
    use super::{lacks, tables};
    use crate::migrate::intent::Intent;
    use crate::migrate::source::Migration;
    use crate::model::{Names, Shape, ShapeColumn};
    use crate::sql::{Dialect, Statement, facts};

    fn of(text: &str) -> Option<Vec<String>> {
        let migration = Migration::of_text(text);
        let intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
        let names = tables(&intent.pieces[0])?;
        Some(names.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn every_name_that_a_table_has_before_or_after_counts() {
        for (text, names) in [
            ("CREATE TABLE a (id INT);", &["a"][..]),
            (
                "ALTER TABLE a ADD COLUMN b INT, RENAME TO `c d`;",
                &["a", "c d"],
            ),
            ("RENAME TABLE a TO b, c TO a;", &["a", "b", "c"]),
            ("DROP TABLE a, b;", &["a", "b"]),
            ("CREATE INDEX i ON a (id);", &["a"]),
            ("DROP INDEX i ON a;", &["a"]),
        ] {
            let mut found = of(text).unwrap_or_default();
            found.sort();
            found.dedup();
            assert_eq!(found, names, "{text}");
        }
    }

    #[test]
    fn what_a_statement_would_have_made_or_taken_shows_that_it_was_not_done() {
        let column = |name: &str| ShapeColumn {
            id: None,
            name: name.to_owned(),
            declared: String::new(),
        };
        let there = [Shape {
            name: "a".to_owned(),
            table: "a".to_owned(),
            columns: vec![column("id"), column("body")],
            ..Shape::default()
        }];
        for (text, is) in [
            ("ALTER TABLE a ADD COLUMN lang INT", true),
            ("ALTER TABLE a ADD COLUMN body INT", false),
            ("ALTER TABLE a ADD COLUMN (b INT, c INT)", true),
            ("ALTER TABLE a DROP COLUMN body", true),
            ("ALTER TABLE a DROP COLUMN gone", false),
            (
                "ALTER TABLE a DROP COLUMN body, ADD COLUMN body JSON",
                false,
            ),
            ("ALTER TABLE a RENAME TO b", true),
            ("ALTER TABLE a MODIFY body TEXT", false),
            ("CREATE TABLE b (id INT)", true),
            ("CREATE TABLE a (id INT)", false),
            ("DROP TABLE a", true),
            ("DROP TABLE b", false),
            ("CREATE INDEX i ON a (body)", false),
        ] {
            let facts = facts(&Statement::alone(text), Dialect::Mysql);
            assert_eq!(lacks(&facts, (&there, Names::SQLITE)), is, "{text}");
        }
    }

    #[test]
    fn of_everything_else_the_whole_schema_counts() {
        for text in [
            "CREATE VIEW v AS SELECT 1;",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x = 1;",
            "CALL tidy();",
            "CREATE TABLE other.a (id INT);",
            "EXECUTE IMMEDIATE 'DROP TABLE a';",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
