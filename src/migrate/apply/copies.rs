//! Which tables a run copies rows from and to. Pure.

use crate::db::Copying;
use crate::migrate::intent::{Intent, Piece};
use crate::model::Shape;
use crate::sql::{AlterAction, Kind, Name};
use std::collections::BTreeSet;

/// As far as the texts tell; what code does is taken for everything that it names.
pub(super) fn of<'a>(
    intents: impl Iterator<Item = &'a Intent<'a>> + Clone,
    there: &[Shape],
) -> Vec<Copying> {
    let pieces = || intents.clone().flat_map(|intent| &intent.pieces);
    let there = there.iter().map(|shape| shape.table.to_lowercase());
    let made = pieces().flat_map(|piece| piece.facts.tables()).map(low);
    let names: BTreeSet<_> = there.chain(made).collect();
    let mut found: Vec<Copying> = Vec::new();
    let dropped: Vec<_> = pieces().flat_map(dropped).collect();
    for copying in pieces().flat_map(|piece| by(piece, &names)) {
        // Within a table, only what is made of a column that the run takes away is a copy.
        let is_copy = copying.into != copying.from
            || copying.columns.as_ref().is_some_and(|words| {
                let is_of = |(table, column): &(String, String)| {
                    *table == copying.into && words.contains(column)
                };
                dropped.iter().any(is_of)
            });
        if is_copy && !found.contains(&copying) {
            found.push(copying);
        }
    }
    found
}

/// Tables and the columns that a statement drops of them.
fn dropped(piece: &Piece<'_>) -> Vec<(String, String)> {
    let (Kind::AlterTable { actions }, Some(table)) = (&piece.facts.kind, &piece.facts.table)
    else {
        return Vec::new();
    };
    let column = |action: &AlterAction| match action {
        AlterAction::DropColumn { column, .. } => Some((low(table), column.to_lowercase())),
        _ => None,
    };
    actions.iter().filter_map(column).collect()
}

fn low(name: &Name) -> String {
    name.name.to_lowercase()
}

/// What one statement fills, among tables of these names.
pub(super) fn by(piece: &Piece<'_>, names: &BTreeSet<String>) -> Vec<Copying> {
    let facts = &piece.facts;
    let into: Vec<_> = facts.tables().map(low).collect();
    let from: Vec<_> = facts.reads.iter().map(low).collect();
    match &facts.kind {
        Kind::Insert { .. }
        | Kind::CreateTable {
            as_select: true, ..
        }
        | Kind::Merge { .. } => pairs(&into, &from, None),
        // What one of its parts takes from a table, another one may put into the next.
        Kind::With { .. } => {
            let all: Vec<_> = into.iter().chain(&from).cloned().collect();
            pairs(&into, &all, None)
        }
        Kind::Update { .. } => {
            let all: Vec<_> = into.iter().chain(&from).cloned().collect();
            pairs(&into, &all, Some(&words(piece.text)))
        }
        Kind::RenameTable { renames } => renames.iter().flat_map(both).collect(),
        Kind::AlterTable { actions } => actions
            .iter()
            .filter_map(|action| match action {
                AlterAction::RenameTable { to } => Some((facts.table.clone()?, to.clone())),
                _ => None,
            })
            .flat_map(|names| both(&names))
            .collect(),
        Kind::Do
        | Kind::Call
        | Kind::Other
        | Kind::CreateTrigger { .. }
        | Kind::CreateFunction { .. } => {
            let words = words(piece.text);
            let named: Vec<_> = (&words & names).into_iter().collect();
            // A function does not say of which table's row it is called.
            let of_any = matches!(facts.kind, Kind::CreateFunction { .. })
                && ["old", "new"].iter().any(|row| words.contains(*row));
            let from: Vec<_> = names.iter().cloned().collect();
            pairs(&named, if of_any { &from } else { &named }, None)
        }
        _ => Vec::new(),
    }
}

fn pairs(into: &[String], from: &[String], columns: Option<&BTreeSet<String>>) -> Vec<Copying> {
    let of = |into: &String| {
        let from = from.iter();
        let pair = |from: &String| Copying {
            into: into.clone(),
            from: from.clone(),
            columns: columns.cloned(),
        };
        from.map(pair).collect::<Vec<_>>()
    };
    into.iter().flat_map(of).collect()
}

/// A table under its old name, and under its new one.
fn both((one, other): &(Name, Name)) -> Vec<Copying> {
    let names = [low(one), low(other)];
    pairs(&names, &names, None)
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::Migration;
    use crate::sql::Dialect;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let migration = Migration::of_text(text);
        let intent = Intent::of(&migration, Dialect::Postgres).expect("the file can be read");
        let found = of([&intent].into_iter(), &[]);
        found.into_iter().map(|it| (it.into, it.from)).collect()
    }

    #[test]
    fn what_is_filled_from_another_table_is_found() {
        let pair = |into: &str, from: &str| (into.to_owned(), from.to_owned());
        assert_eq!(
            pairs("INSERT INTO Kept (a) SELECT label FROM tags;"),
            [pair("kept", "tags")]
        );
        assert_eq!(
            pairs("CREATE TABLE kept AS SELECT * FROM app.tags;"),
            [pair("kept", "tags")]
        );
        assert_eq!(
            pairs("UPDATE drafts SET label = (SELECT label FROM tags LIMIT 1);"),
            [pair("drafts", "tags")]
        );
        assert_eq!(pairs("INSERT INTO roles VALUES (1, 'tags');"), []);
        let fold = "UPDATE users SET full_name = concat(first, last);\nALTER TABLE users DROP COLUMN first;";
        assert_eq!(pairs(fold), [pair("users", "users")]);
        let other = "UPDATE users SET state = 'new';\nALTER TABLE users DROP COLUMN first;";
        assert_eq!(pairs(other), []);
        let moved = "WITH m AS (DELETE FROM tags RETURNING *) INSERT INTO kept SELECT * FROM m;";
        assert!(pairs(moved).contains(&pair("kept", "tags")));
        let code = "CREATE TABLE kept (a int); DROP TABLE tags;\nDO $$ BEGIN INSERT INTO kept SELECT 1 FROM tags; END $$;";
        assert_eq!(pairs(code), [pair("kept", "tags"), pair("tags", "kept")]);
        let code = "CREATE TABLE kept (a int); DROP TABLE tags;\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO kept VALUES (OLD.a); RETURN OLD; END $$;";
        assert_eq!(pairs(code), [pair("kept", "tags")]);
    }
}
