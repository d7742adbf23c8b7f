//! What a file of MySQL does in the database, though it does not on the copy: code may ask where it
//! runs. Pure.

use super::reach;
use crate::cli_error::CliError;
use crate::migrate::intent::{Intent, Piece};
use crate::model::Shape;
use crate::sql;
use crate::sql::{Dialect, Kind, TokenKind};
use std::collections::{BTreeMap, BTreeSet};

/// Whether what a file does depends on more than its text and the rows.
pub(super) fn runs_code(intent: &Intent<'_>) -> bool {
    let runs = |piece: &Piece<'_>| {
        let reads = matches!(piece.facts.kind, Kind::Select | Kind::SetVariable { .. });
        !reads && !reach::is_plain(piece)
    };
    intent.pieces.iter().any(runs)
}

/// Refuses code that asks the catalogue for the database by its name: the copy has another one, so
/// that it would find nothing there.
pub(super) fn allowed(intent: &Intent<'_>, database: &str) -> Result<(), CliError> {
    let asks = |piece: &Piece<'_>| {
        let text = piece.text.to_ascii_lowercase();
        text.contains("information_schema")
    };
    if database.is_empty() || !intent.pieces.iter().any(asks) || !runs_code(intent) {
        return Ok(());
    }
    let concerns = |piece: &&Piece<'_>| {
        matches!(piece.facts.kind, Kind::SetVariable { .. }) || !reach::is_plain(piece)
    };
    let mut concerned = intent.pieces.iter().filter(concerns);
    match concerned.find(|piece| names(piece.text, database)) {
        None => Ok(()),
        Some(piece) => Err(CliError::refused(format!(
            "{}:{} names the database, but the copy for the rehearsal has another name",
            intent.migration.path.display(),
            piece.line
        ))
        .hint(format!("write DATABASE() instead of '{database}'"))),
    }
}

/// Whether one of the strings of a text is this name, or has a string in it that is. What is compared with the name
/// of a table or of a column is not the database's.
fn names(text: &str, database: &str) -> bool {
    let database = database.to_lowercase();
    let mut tokens = sql::tokenize(text, Dialect::Mysql);
    tokens.retain(|token| token.kind != TokenKind::Comment);
    let of_another = |at: usize| {
        let before = tokens[..at].iter().rev();
        let mut before = before.map(|token| token.text(text).to_ascii_lowercase());
        let compared = before.find(|it| !["=", "(", "in"].contains(&it.as_str()));
        compared.is_some_and(|it| {
            let it = it.trim_matches('`');
            it != "schema_name" && it.ends_with("_name")
        })
    };
    tokens.iter().enumerate().any(|(at, token)| {
        let string = token.text(text).to_lowercase();
        let inside = string.replace("''", "'").replace("\\'", "'");
        let quoted = ['\'', '"'].map(|mark| format!("{mark}{database}{mark}"));
        token.kind == TokenKind::String
            && quoted.iter().any(|it| inside.contains(it))
            && !(quoted.contains(&inside) && of_another(at))
    })
}

/// The tables of a database, each with its columns.
pub(super) struct Inventory(BTreeMap<String, BTreeSet<String>>);

/// A table that is gone, or a column of one that is not.
pub(super) type Gone = BTreeSet<(String, Option<String>)>;

impl Inventory {
    pub(super) fn of(tables: &[Shape]) -> Self {
        let columns = |shape: &Shape| shape.columns.iter().map(|it| it.name.clone()).collect();
        let tables = tables.iter();
        Self(tables.map(|it| (it.name.clone(), columns(it))).collect())
    }

    /// What is not there any more.
    pub(super) fn gone(&self, now: &Self) -> Gone {
        let mut gone = Gone::new();
        for (table, columns) in &self.0 {
            match now.0.get(table) {
                None => {
                    gone.insert((table.clone(), None));
                }
                Some(left) => gone.extend(
                    columns
                        .difference(left)
                        .map(|column| (table.clone(), Some(column.clone()))),
                ),
            }
        }
        gone
    }

    /// What is gone here, and was not at the end of the rehearsal; in words.
    pub(super) fn unlike(&self, now: &Self, rehearsed: &Gone) -> Option<String> {
        let what = match self.gone(now).difference(rehearsed).next()? {
            (table, Some(column)) => format!("the column `{table}.{column}` is"),
            (table, None) => format!("the table `{table}` is"),
        };
        Some(format!(
            "{what} gone, although it existed at the end of the rehearsal: the file behaves differently \
                here than on the copy, or somebody else removed it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_string_names_the_database_also_inside_of_another_one() {
        for (text, is) in [
            ("SET @d = 'chat'", true),
            ("SELECT 1 FROM t WHERE table_schema IN (\"Chat\")", true),
            ("EXECUTE IMMEDIATE 'SELECT IF(s = ''chat'', 1, 2)'", true),
            ("INSERT INTO t VALUES ('a chat', 'chats')", false),
            ("SELECT chat FROM t -- 'chat'", false),
        ] {
            assert_eq!(names(text, "chat"), is, "{text}");
        }
    }
}
