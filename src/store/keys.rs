//! Keys from people and servers, as conditions that an index can answer.

use super::Mapping;
use super::source::Source;
use crate::db::Db;
use crate::model::{Cell, Column};
use std::borrow::Cow;

/// A condition and its values; without a text it holds for every row.
#[derive(Default)]
pub(super) struct Condition {
    pub sql: String,
    pub args: Vec<Cell>,
}

/// That one of these transactions, from one number to another, wrote the row of table `m`; nothing
/// without any. A row keeps the low 32 bits of the number, which begin again after 2^32.
pub(super) fn written_by(transactions: &[(u64, u64)]) -> Option<Condition> {
    let range = |(first, last): &(u64, u64)| {
        let (first, last) = (first & 0xffff_ffff, last & 0xffff_ffff);
        let joined = if first <= last { "AND" } else { "OR" };
        format!("(m.xmin::text::bigint >= {first} {joined} m.xmin::text::bigint <= {last})")
    };
    let ranges: Vec<_> = transactions.iter().map(range).collect();
    (!ranges.is_empty()).then(|| Condition {
        sql: format!("({})", ranges.join(" OR ")),
        args: Vec::new(),
    })
}

/// That the columns of table `m` hold a key. Nothing when no column could hold it so.
pub(super) fn holds(
    db: &dyn Db,
    mapping: &Mapping,
    table: &str,
    columns: &[Source],
    key: &str,
) -> Option<Condition> {
    let parts: Vec<_> = match columns.len() {
        1 => vec![Cow::Borrowed(key)],
        _ => key.split('/').map(of_part).collect(),
    };
    if columns.is_empty() || parts.len() != columns.len() {
        return None;
    }
    let mut conditions = Vec::new();
    let mut args = Vec::new();
    for (source, part) in columns.iter().zip(parts) {
        let mut before = String::new();
        let mut any = Vec::new();
        for name in source.columns() {
            let quoted = format!("m.{}", db.quote(name));
            let values = mapping
                .column(table, name)
                .map(|column| spellings(column, &part));
            if let Some(values) = values.filter(|values| !values.is_empty()) {
                let places = vec!["?"; values.len()].join(", ");
                any.push(format!("{before}{quoted} IN ({places})"));
                args.extend(values);
            }
            // The next column counts only where this one has no value.
            before = format!("{before}{quoted} IS NULL AND ");
        }
        if any.is_empty() {
            return None;
        }
        conditions.push(format!("({})", any.join(" OR ")));
    }
    Some(Condition {
        sql: conditions.join(" AND "),
        args,
    })
}

/// That the columns hold a key in any spelling: no index helps.
pub(super) fn alike(db: &dyn Db, columns: &[Source], key: &str) -> Condition {
    Condition {
        sql: format!("{} = ?", plain(db, columns)),
        args: vec![Cell::Text(plain_text(key))],
    }
}

/// That a key begins with a text; that of several columns, or its last one.
pub(super) fn begins(db: &dyn Db, columns: &[Source], text: &str) -> Condition {
    let pattern = plain_text(text)
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    let mut whole = vec![format!("{} LIKE ? ESCAPE '!'", plain(db, columns))];
    if columns.len() > 1 {
        whole.push(format!(
            "{} LIKE ? ESCAPE '!'",
            plain(db, &columns[columns.len() - 1..])
        ));
    }
    Condition {
        args: vec![Cell::Text(format!("{pattern}%")); whole.len()],
        sql: format!("({})", whole.join(" OR ")),
    }
}

/// A key as text, its parts joined by `/`.
pub(super) fn joined(db: &dyn Db, columns: &[Source]) -> String {
    let parts: Vec<_> = columns
        .iter()
        .map(|source| {
            let places: Vec<_> = source
                .columns()
                .map(|name| db.text_of(&format!("m.{}", db.quote(name))))
                .collect();
            let text = format!("coalesce({}, '')", places.join(", "));
            match columns.len() {
                1 => text,
                _ => format!("replace(replace({text}, '%', '%25'), '/', '%2F')"),
            }
        })
        .collect();
    if parts.is_empty() {
        "''".to_owned()
    } else {
        parts.join(" || '/' || ")
    }
}

/// A part of a key of several columns, as it is in the key: a `/` in it is not one between parts.
pub(super) fn part(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(['%', '/']) {
        Cow::Owned(text.replace('%', "%25").replace('/', "%2F"))
    } else {
        text
    }
}

fn of_part(part: &str) -> Cow<'_, str> {
    if part.contains('%') {
        Cow::Owned(
            part.replace("%2F", "/")
                .replace("%2f", "/")
                .replace("%25", "%"),
        )
    } else {
        Cow::Borrowed(part)
    }
}

fn plain(db: &dyn Db, columns: &[Source]) -> String {
    format!("replace(lower({}), '-', '')", joined(db, columns))
}

/// What is alike in all spellings of a key: only a UUID has several.
pub(super) fn same(key: &str) -> String {
    let plain = plain_text(key);
    if plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        plain
    } else {
        key.to_owned()
    }
}

/// Stores spell a UUID with and without dashes, and in both cases.
pub(super) fn plain_text(key: &str) -> String {
    key.to_lowercase().replace('-', "")
}

/// The values by which a column of that type may hold a key.
pub(super) fn spellings(column: &Column, text: &str) -> Vec<Cell> {
    let has = |name: &str| column.declared.contains(name);
    let hex = plain_text(text);
    let uuid = (hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| {
        let at = |range| hex.get(range).unwrap_or_default();
        format!(
            "{}-{}-{}-{}-{}",
            at(0..8),
            at(8..12),
            at(12..16),
            at(16..20),
            at(20..32)
        )
    });
    let number = || text.parse().ok().map(Cell::Int);
    if column.is_whole() {
        return number().into_iter().collect();
    }
    if has("UUID") {
        return uuid.map(Cell::Text).into_iter().collect();
    }
    if has("BINARY") || has("BLOB") || has("BYTEA") {
        let bytes = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok())
            .collect::<Option<Vec<_>>>();
        return bytes
            .filter(|bytes| bytes.len() * 2 == hex.len())
            .map(Cell::Blob)
            .into_iter()
            .collect();
    }
    if !column.holds_text() {
        return Vec::new();
    }
    let mut values = vec![text.to_owned()];
    values.extend(uuid);
    if values.len() > 1 {
        values.push(hex);
    }
    values.dedup();
    let mut values: Vec<_> = values.into_iter().map(Cell::Text).collect();
    if column.declared.is_empty() {
        values.extend(number());
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{of_part, part, same, spellings};
    use crate::model::{Cell, Column};

    fn column(declared: &str) -> Column {
        Column {
            name: "id".into(),
            declared: declared.into(),
            key: true,
            references: None,
        }
    }

    #[test]
    fn a_slash_in_a_part_is_none_between_parts() {
        for text in ["a", "a/b", "a%2Fb", "%", "%/%25"] {
            let written = part(text.into());
            assert!(!written.contains('/'), "{written}");
            assert_eq!(of_part(&written), text);
        }
    }

    #[test]
    fn only_spellings_of_a_uuid_are_the_same() {
        let uuid = "0A1B2C3D-0000-4000-8000-00000000000f";
        assert_eq!(same(uuid), same("0a1b2c3d00004000800000000000000F"));
        for (one, other) in [("Abc", "abc"), ("a-b", "ab")] {
            assert_ne!(same(one), same(other));
        }
    }

    #[test]
    fn a_key_is_looked_up_as_its_column_stores_it() {
        let uuid = "0A1B2C3D-0000-4000-8000-00000000000f";
        let text = |text: &str| Cell::Text(text.to_owned());
        let dashed = "0a1b2c3d-0000-4000-8000-00000000000f";
        for (declared, key, expected) in [
            ("BIGINT", "12", vec![Cell::Int(12)]),
            ("BIGINT", "x", vec![]),
            ("UUID", uuid, vec![text(dashed)]),
            ("UUID", "x", vec![]),
            ("VARCHAR(36)", "Ab-1", vec![text("Ab-1")]),
            (
                "CHAR(32)",
                uuid,
                vec![
                    text(uuid),
                    text(dashed),
                    text("0a1b2c3d00004000800000000000000f"),
                ],
            ),
            ("", "12", vec![text("12"), Cell::Int(12)]),
            ("BINARY(2)", "0aff", vec![Cell::Blob(vec![10, 255])]),
        ] {
            assert_eq!(
                spellings(&column(declared), key),
                expected,
                "{declared} {key}"
            );
        }
    }
}
