//! A name that one part of a file gives up and a later one gives to something else. Between the two nobody
//! finds the rows, and neither part shows what is missing under the name at the end.

use crate::cli_error::CliError;
use crate::migrate::intent::{Intent, Piece};
use crate::sql::{AlterAction, Kind, Name};

/// The name of a table, or of a column of a table.
#[derive(Debug, Clone, Copy)]
struct Called<'a> {
    schema: Option<&'a str>,
    table: &'a str,
    column: Option<&'a str>,
}

impl<'a> Called<'a> {
    fn table(name: &'a Name) -> Self {
        Self {
            schema: name.schema.as_deref(),
            table: &name.name,
            column: None,
        }
    }

    const fn column(self, column: &'a str) -> Self {
        Self {
            column: Some(column),
            ..self
        }
    }

    fn is(&self, other: &Self) -> bool {
        let same = |one: Option<&str>, other: Option<&str>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (Some(_), None) | (None, Some(_)) => false,
        };
        same(self.column, other.column) && self.is_of(other)
    }

    /// Whether its table is that of another one. A name without a schema may be in any.
    fn is_of(&self, other: &Self) -> bool {
        let schemas = self.schema.zip(other.schema);
        schemas.is_none_or(|(one, other)| one.eq_ignore_ascii_case(other))
            && self.table.eq_ignore_ascii_case(other.table)
    }

    /// Whether it is written as the other one, with its schema: what may be another table is not it.
    fn is_written_as(&self, other: &Self) -> bool {
        self.is(other) && self.has_schema_of(other)
    }

    fn has_schema_of(&self, other: &Self) -> bool {
        let lower = |it: &Self| it.schema.map(str::to_lowercase);
        lower(self) == lower(other)
    }

    /// The same of a table that gets another name.
    fn renamed(&mut self, from: &Self, to: &Self) {
        if self.is_of(from) && self.has_schema_of(from) && from.column.is_none() {
            (self.schema, self.table) = (to.schema.or(self.schema), to.table);
        }
    }
}

/// What a statement does to a name.
#[derive(Clone, Copy)]
enum Given<'a> {
    /// Something new has it: what only this file has filled, unless it may have been there.
    Made { name: Called<'a>, is_new: bool },
    /// It goes from something to something else.
    Renamed { from: Called<'a>, to: Called<'a> },
}

/// A name that a file took away.
struct Free<'a> {
    was: Called<'a>,
    /// What had it is called so now.
    now: Called<'a>,
    /// The part that took it away.
    part: usize,
}

/// Refuses a file that hands a name on over its parts.
pub(super) fn refuse(intent: &Intent<'_>) -> Result<(), CliError> {
    let (mut free, mut made): (Vec<Free<'_>>, Vec<Called<'_>>) = (Vec::new(), Vec::new());
    for (part, pieces) in intent.parts().into_iter().enumerate() {
        for piece in &intent.pieces[pieces] {
            for given in given(piece) {
                let (from, to) = match given {
                    Given::Made { name, .. } => (None, name),
                    Given::Renamed { from, to } => (Some(from), to),
                };
                // What gets back the name that it had is the same as before.
                let is_own = |it: &Free<'_>| from.is_some_and(|from| from.is(&it.now));
                let earlier = free.iter().filter(|it| it.part < part && it.was.is(&to));
                if earlier.filter(|it| !is_own(it)).count() > 0 {
                    return Err(refusal(intent, piece, to));
                }
                match (from, given) {
                    (Some(from), _) => rename((&mut free, &mut made), (from, to), part),
                    (None, Given::Made { is_new: true, .. }) => made.push(to),
                    (None, _) => {}
                }
            }
        }
    }
    Ok(())
}

fn rename<'a>(
    (free, made): (&mut Vec<Free<'a>>, &mut Vec<Called<'a>>),
    (from, to): (Called<'a>, Called<'a>),
    part: usize,
) {
    // What the file made had no name of before, and what has another name already gave it up then.
    if let Some(made) = made.iter_mut().find(|it| it.is_written_as(&from)) {
        *made = to;
    } else if let Some(known) = free.iter_mut().find(|it| it.now.is_written_as(&from)) {
        known.now = to;
    } else {
        let (was, now) = (from, to);
        free.push(Free { was, now, part });
    }
    free.retain(|it| !it.was.is_written_as(&it.now));
    let columns = free.iter_mut().flat_map(|it| [&mut it.was, &mut it.now]);
    for column in columns.chain(made).filter(|it| it.column.is_some()) {
        column.renamed(&from, &to);
    }
}

fn refusal(intent: &Intent<'_>, piece: &Piece<'_>, to: Called<'_>) -> CliError {
    let place = format!("{}:{}", intent.migration.path.display(), piece.line);
    let name = match to.column {
        Some(column) => format!("{}.{column}", to.table),
        None => to.table.to_owned(),
    };
    CliError::refused(format!(
        "{place} gives the name `{name}` to something else, and an earlier statement that is committed by itself \
         takes it away: until then nobody finds the rows"
    ))
    .hint("put the statements from the RENAME to this one between BEGIN and COMMIT, or into a file without `-- no-transaction`")
}

/// What a statement does to names.
fn given<'a>(piece: &'a Piece<'_>) -> Vec<Given<'a>> {
    let facts = &piece.facts;
    let made = |name: Option<&'a Name>, is_new: bool| {
        let name = name.map(Called::table);
        name.map(|name| Given::Made { name, is_new })
    };
    match &facts.kind {
        Kind::CreateTable {
            if_not_exists,
            temporary,
            ..
        } => match &facts.table {
            // Nobody but the session finds it.
            Some(name) if *temporary || is_of_session(name) => Vec::new(),
            name => made(name.as_ref(), !if_not_exists).into_iter().collect(),
        },
        // Behind it are rows of other tables.
        Kind::CreateView { .. } => {
            let view = facts.object.as_ref().or(facts.table.as_ref());
            made(view, false).into_iter().collect()
        }
        Kind::RenameTable { renames } => renames
            .iter()
            .map(|(from, to)| Given::Renamed {
                from: Called::table(from),
                to: Called::table(to),
            })
            .collect(),
        Kind::AlterTable { actions } => {
            let Some(table) = facts.table.as_ref().map(Called::table) else {
                return Vec::new();
            };
            let of = |action: &'a AlterAction| match action {
                AlterAction::RenameTable { to } => {
                    let to = Called::table(to);
                    let schema = to.schema.or(table.schema);
                    Some(Given::Renamed {
                        from: table,
                        to: Called { schema, ..to },
                    })
                }
                AlterAction::RenameColumn { from, to } => Some(Given::Renamed {
                    from: table.column(from),
                    to: table.column(to),
                }),
                AlterAction::AddColumn {
                    column,
                    if_not_exists,
                    ..
                } => Some(Given::Made {
                    name: table.column(column),
                    is_new: !if_not_exists,
                }),
                _ => None,
            };
            actions.iter().filter_map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether it is in the schema of a session's own tables.
fn is_of_session(name: &Name) -> bool {
    let schema = name.schema.as_deref();
    schema.is_some_and(|it| it.eq_ignore_ascii_case("pg_temp"))
}

#[cfg(test)]
mod tests {
    use super::refuse;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::Migration;
    use crate::sql::Dialect;

    fn refusal(text: &str) -> Option<String> {
        let mut migration = Migration::of_text(text);
        migration.no_transaction = true;
        let intent = Intent::of(&migration, Dialect::Postgres).expect("the file can be read");
        refuse(&intent).err().map(|error| error.to_string())
    }

    #[test]
    fn a_name_is_handed_on_in_one_part_only() {
        const TABLE: &str =
            "ALTER TABLE messages RENAME TO old;\nCREATE TABLE messages (id int);\n";
        const SWAP: &str =
            "ALTER TABLE messages RENAME TO old;\nALTER TABLE new RENAME TO messages;\n";
        const VIEW: &str =
            "ALTER TABLE messages RENAME TO old;\nCREATE VIEW messages AS SELECT * FROM old;\n";
        const COLUMN: &str =
            "ALTER TABLE messages RENAME content TO old;\nALTER TABLE messages ADD content text;\n";
        const OTHER_SCHEMA: &str =
            "ALTER TABLE messages RENAME TO old;\nCREATE TABLE chat.messages (id int);\n";
        for text in [TABLE, SWAP, VIEW, COLUMN, OTHER_SCHEMA] {
            let refusal_of = refusal(text).unwrap_or_else(|| panic!("{text} passed"));
            assert!(
                refusal_of.contains("1_a.sql:2 gives the name"),
                "{refusal_of}"
            );
            let block =
                format!("BEGIN;\n{text}COMMIT;\nCREATE INDEX CONCURRENTLY i ON old (id);\n");
            assert_eq!(refusal(&block), None, "{block}");
        }
        for text in [
            "ALTER TABLE messages RENAME TO old;\nCREATE TABLE other (id int);\n",
            "ALTER TABLE messages RENAME TO old;\nALTER TABLE old RENAME TO messages;\n",
            "ALTER TABLE messages RENAME content TO old;\nALTER TABLE parts ADD content text;\n",
            // Another schema, and the session's own.
            "ALTER TABLE chat.messages RENAME TO old;\nCREATE TABLE archive.messages (id int);\n",
            "ALTER TABLE messages RENAME TO old;\nCREATE TEMP TABLE messages (id int);\n",
            "ALTER TABLE messages RENAME TO old;\nCREATE TABLE pg_temp.messages (id int);\n",
            // What the file made, users do not read under that name.
            "CREATE TABLE staging (id int);\nALTER TABLE staging RENAME TO parts;\nCREATE TABLE staging (id int);\n",
            "ALTER TABLE messages ADD a text;\nALTER TABLE messages RENAME a TO b;\nALTER TABLE messages ADD a text;\n",
            // It gets its own name back.
            "ALTER TABLE a RENAME TO b;\nALTER TABLE b RENAME TO c;\nALTER TABLE c RENAME TO a;\n",
            "ALTER TABLE messages RENAME a TO b;\nALTER TABLE messages RENAME TO m;\nALTER TABLE m RENAME b TO a;\n",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_of_users_is_followed_over_more_than_one_rename() {
        for (text, line) in [
            // It may have been there.
            (
                "CREATE TABLE IF NOT EXISTS a (id int);\nALTER TABLE a RENAME TO b;\nCREATE TABLE a (id int);\n",
                3,
            ),
            (
                "ALTER TABLE a RENAME TO b;\nALTER TABLE b RENAME TO c;\nCREATE TABLE a (id int);\n",
                3,
            ),
            (
                "CREATE TABLE n (id int);\nALTER TABLE chat.a RENAME TO b;\nALTER TABLE n RENAME TO a;\n",
                3,
            ),
            (
                "ALTER TABLE m RENAME a TO b;\nALTER TABLE m RENAME TO n;\nALTER TABLE n ADD a text;\n",
                3,
            ),
            // What has the name in another schema, or in the session only, is another table.
            (
                "CREATE TABLE archive.a (id int);\nALTER TABLE a RENAME TO b;\nCREATE TABLE a (id int);\n",
                3,
            ),
            (
                "CREATE TEMP TABLE a (id int);\nALTER TABLE public.a RENAME TO b;\nCREATE TABLE public.a (id int);\n",
                3,
            ),
            (
                "CREATE TEMP TABLE a (id int);\nDROP TABLE a;\nALTER TABLE a RENAME TO b;\nCREATE TABLE a (id int);\n",
                4,
            ),
            (
                "ALTER TABLE archive.m ADD a text;\nALTER TABLE m RENAME a TO b;\nALTER TABLE m ADD a text;\n",
                3,
            ),
            (
                "ALTER TABLE m RENAME a TO b;\nALTER TABLE archive.m RENAME TO n;\nALTER TABLE m ADD a text;\n",
                3,
            ),
            (
                "ALTER TABLE a RENAME TO b;\nALTER TABLE archive.b RENAME TO a;\nCREATE TABLE a (id int);\n",
                3,
            ),
            // It came back, and goes once more.
            (
                "ALTER TABLE a RENAME TO b;\nALTER TABLE b RENAME TO a;\nALTER TABLE a RENAME TO b;\nCREATE TABLE a (id int);\n",
                4,
            ),
        ] {
            let refusal_of = refusal(text).unwrap_or_else(|| panic!("{text} passed"));
            let place = format!("1_a.sql:{line} gives the name");
            assert!(refusal_of.contains(&place), "{text}: {refusal_of}");
        }
    }
}
