//! A name that one part of a file gives up and a later one gives to something else. Between the two nobody
//! finds the rows, and neither part shows what is missing under the name at the end.

use crate::cli_error::CliError;
use crate::migrate::intent::{Intent, Piece};
use crate::sql::{AlterAction, Kind, Name};

/// The name of a table, or of a column of a table.
#[derive(Debug, PartialEq, Eq)]
struct Called<'a> {
    table: &'a str,
    column: Option<&'a str>,
}

impl Called<'_> {
    fn is(&self, other: &Self) -> bool {
        let column = match (self.column, other.column) {
            (None, None) => true,
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (Some(_), None) | (None, Some(_)) => false,
        };
        column && self.table.eq_ignore_ascii_case(other.table)
    }
}

/// A name that goes from something to something else, which has no name before where it is new.
struct Given<'a> {
    from: Option<Called<'a>>,
    to: Called<'a>,
}

/// Refuses a file that hands a name on over its parts.
pub(super) fn refuse(intent: &Intent<'_>) -> Result<(), CliError> {
    let mut free: Vec<(Called<'_>, Called<'_>)> = Vec::new();
    for part in intent.parts() {
        let given: Vec<_> = intent.pieces[part]
            .iter()
            .flat_map(|piece| given(piece).into_iter().map(move |given| (piece, given)))
            .collect();
        for (piece, Given { from, to }) in &given {
            // What gets back the name that it had is the same as before.
            let is_own = |now: &Called<'_>| from.as_ref().is_some_and(|from| from.is(now));
            if free.iter().any(|(was, now)| was.is(to) && !is_own(now)) {
                let place = format!("{}:{}", intent.migration.path.display(), piece.line);
                let name = match to.column {
                    Some(column) => format!("{}.{column}", to.table),
                    None => to.table.to_owned(),
                };
                return Err(CliError::refused(format!(
                    "{place} gives the name `{name}` to something else, and an earlier statement that is committed by itself \
                     takes it away: until then nobody finds the rows"
                ))
                .hint("put the statements from the RENAME to this one between BEGIN and COMMIT, or into a file without `-- no-transaction`"));
            }
        }
        let renamed = |(_, given): (&Piece<'_>, _)| {
            let Given { from, to } = given;
            Some((from?, to))
        };
        free.extend(given.into_iter().filter_map(renamed));
    }
    Ok(())
}

/// The names that a statement gives.
fn given<'a>(piece: &'a Piece<'_>) -> Vec<Given<'a>> {
    let called = |name: &'a Name| Called {
        table: &name.name,
        column: None,
    };
    let made = |name: Option<&'a Name>| {
        let to = called(name?);
        Some(Given { from: None, to })
    };
    let facts = &piece.facts;
    match &facts.kind {
        Kind::CreateTable { .. } => made(facts.table.as_ref()).into_iter().collect(),
        Kind::CreateView { .. } => {
            let view = facts.object.as_ref().or(facts.table.as_ref());
            made(view).into_iter().collect()
        }
        Kind::RenameTable { renames } => renames
            .iter()
            .map(|(from, to)| Given {
                from: Some(called(from)),
                to: called(to),
            })
            .collect(),
        Kind::AlterTable { actions } => {
            let Some(table) = &facts.table else {
                return Vec::new();
            };
            let column = |column: &'a str| Called {
                table: &table.name,
                column: Some(column),
            };
            let of = |action: &'a AlterAction| match action {
                AlterAction::RenameTable { to } => Some(Given {
                    from: Some(called(table)),
                    to: called(to),
                }),
                AlterAction::RenameColumn { from, to } => Some(Given {
                    from: Some(column(from)),
                    to: column(to),
                }),
                AlterAction::AddColumn { column: name, .. } => Some(Given {
                    from: None,
                    to: column(name),
                }),
                _ => None,
            };
            actions.iter().filter_map(of).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::refuse;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::{File, Migration, Version};
    use crate::sql::Dialect;

    fn refusal(text: &str) -> Option<String> {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let mut migration = Migration::whole(Version::number(1), String::new(), &file)
            .expect("the file is a migration");
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
        for text in [TABLE, SWAP, VIEW, COLUMN] {
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
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }
}
