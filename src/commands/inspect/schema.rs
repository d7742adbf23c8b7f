//! `chatctl inspect schema`: columns, keys and indexes.

use super::show;
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::db::Db;
use crate::model::{Cell, Value};
use crate::report::{Column, Head, Holds, Piece, Sheet};
use crate::text;

/// Show the columns, keys and indexes of a table, or of all tables
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The table [default: all]
    table: Option<String>,
}

pub(super) async fn run(args: &Args, db: &dyn Db, env: &Env) -> anyhow::Result<()> {
    let mut rows = db.rows(db.catalog().parts, &[]).await?;
    if let Some(wanted) = &args.table {
        let table = known(wanted, &rows)?;
        rows.retain(|row| row[0].text() == Some(&table));
    }
    let names = [
        "table",
        "part",
        "name",
        "type",
        "null",
        "default",
        "definition",
    ];
    let head = Sheet {
        command: "inspect schema",
        title: match &args.table {
            Some(table) => format!("schema of {table} in {}", db.target()),
            None => format!("schema of {}", db.target()),
        },
        columns: names.map(|name| Column::of(holds(name), name)).to_vec(),
    };
    show(env, Piece::Head(Head::Sheet(head))).await;
    for row in &rows {
        let values = row.iter().map(|cell| match cell {
            Cell::Null => Value::Null,
            other => Value::Text(other.to_string()),
        });
        show(env, Piece::Row(values.collect())).await;
    }
    Ok(())
}

/// A definition is a sentence; what else there is are names.
fn holds(column: &str) -> Holds {
    match column {
        "default" | "definition" => Holds::Words,
        _ => Holds::Names,
    }
}

/// The table of that name as the catalogue spells it.
fn known(wanted: &str, rows: &[Vec<Cell>]) -> Result<String, CliError> {
    let names = || rows.iter().filter_map(|row| row[0].text());
    let same = names().find(|name| *name == wanted);
    let same = same.or_else(|| names().find(|name| name.eq_ignore_ascii_case(wanted)));
    if let Some(name) = same {
        return Ok(name.to_owned());
    }
    let error = CliError::usage(format!("no table is called `{wanted}`"));
    Err(match (text::nearest(wanted, names()), names().next()) {
        (Some(near), _) => error.hint(format!(
            "did you mean `{near}`? `chatctl inspect tables` lists them"
        )),
        (None, Some(_)) => error.hint("`chatctl inspect tables` lists them"),
        (None, None) => error.hint("the database has no tables; is --database-url right?"),
    })
}

#[cfg(test)]
mod tests {
    use super::known;
    use crate::model::Cell;

    #[test]
    fn a_table_is_found_as_the_catalogue_spells_it() {
        let row = |name: &str| vec![Cell::Text(name.to_owned())];
        let rows = [row("Message"), row("conversation"), row("message")];
        for (wanted, found) in [
            ("message", "message"),
            ("Message", "Message"),
            ("CONVERSATION", "conversation"),
        ] {
            assert_eq!(known(wanted, &rows).unwrap(), found);
        }
        for (wanted, rows, hint) in [
            ("messages", &rows[..], "did you mean `"),
            ("xyz", &rows, "`chatctl inspect tables` lists them"),
            ("message", &[], "the database has no tables"),
        ] {
            let error = known(wanted, rows).unwrap_err();
            assert!(error.hint.unwrap().starts_with(hint), "{wanted}");
        }
    }
}
