//! Compares the names in a mapping with those in the store.

use crate::cli_error::CliError;
use crate::model::Table;
use crate::text;

/// The table of that name, whatever its case.
pub(super) fn table<'s>(schema: &'s [Table], name: &str) -> Result<&'s Table, CliError> {
    let names = schema.iter().map(|table| table.name.as_str());
    let found = find(names, name).map_err(|near| unknown("table", name, "the store", &near))?;
    Ok(&schema[found])
}

/// A column of a table as the catalogue spells it.
pub(super) fn column(table: &Table, name: &str) -> Result<String, CliError> {
    let names = table.columns.iter().map(|column| column.name.as_str());
    let found = find(names, name)
        .map_err(|near| unknown("column", name, &format!("table `{}`", table.name), &near))?;
    Ok(table.columns[found].name.clone())
}

fn find<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    wanted: &str,
) -> Result<usize, Vec<String>> {
    let exact = names.clone().position(|name| name == wanted);
    let alike = || {
        names
            .clone()
            .position(|name| name.eq_ignore_ascii_case(wanted))
    };
    exact.or_else(alike).ok_or_else(|| {
        let near = text::alike(wanted, names).into_iter().take(3);
        near.map(|name| format!("`{name}`")).collect()
    })
}

fn unknown(what: &str, name: &str, place: &str, near: &[String]) -> CliError {
    let stop = CliError::usage(format!("no {what} `{name}` in {place}"));
    if !near.is_empty() {
        stop.hint(format!(
            "did you mean {}? fix [[store]] in chatctl.toml",
            near.join(" or ")
        ))
    } else {
        stop.hint(
            "fix [[store]] in chatctl.toml, or remove it to let chatctl find the table; `chatctl inspect schema` lists tables and columns",
        )
    }
}
