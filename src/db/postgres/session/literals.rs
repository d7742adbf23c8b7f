//! Values in the text of a statement.

use crate::model::Cell;
use crate::text::hex;

/// A value in a statement. What is not ASCII is written by its number, since a migration may have said that
/// the text of statements comes in another encoding.
pub(super) fn literal(cell: &Cell) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Real(number) => format!("{number:?}"),
        Cell::Text(text) if text.contains('\0') => {
            anyhow::bail!("PostgreSQL has no text with a zero byte in it")
        }
        Cell::Text(text) => {
            let escaped = |c: char| match c {
                '\'' => "''".to_owned(),
                '\\' => "\\\\".to_owned(),
                c if c.is_ascii() => c.to_string(),
                c => format!("\\U{:08X}", u32::from(c)),
            };
            format!("E'{}'", text.chars().map(escaped).collect::<String>())
        }
        Cell::Blob(bytes) => format!("E'\\\\x{}'", hex(bytes)),
    })
}

/// With backslashes as they are: `standard_conforming_strings` may be off in a migration.
pub(super) fn text_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
