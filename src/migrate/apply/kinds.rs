//! Columns whose new type changes what an application reads, or stores from then on, although each
//! value is the same for a comparison.

use crate::db::Session;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Shape, ShapeColumn, Successor};
use crate::sql::Dialect;

/// What such columns of a table lose.
pub(super) fn of(
    session: &mut dyn Session,
    (was, successor): (&Shape, &Successor),
    before: Tables<'_>,
    dialect: Dialect,
) -> anyhow::Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for (old, new) in &successor.columns {
        let Some(kind) = Kind::of(old, new, dialect) else {
            continue;
        };
        let table = session.quote(&successor.table);
        let quote = session.names().quote;
        let doubled = new.name.replace(quote, &format!("{quote}{quote}"));
        let condition = kind.condition(&format!("{quote}{doubled}{quote}"));
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let rows: u64 = session.rows(&sql)?[0][0].to_string().parse()?;
        if rows > 0 {
            lost.push(kind.lost((was, old), (new, rows), before));
        }
    }
    Ok(lost)
}

/// What a new type of a column changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// PostgreSQL fills shorter texts with blanks to this length, and drivers return them so.
    Padded(u64),
    /// SQLite stores a text that looks like a number as one.
    Numeric,
}

impl Kind {
    fn of(old: &ShapeColumn, new: &ShapeColumn, dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Postgres => {
                let length = padded(&new.declared)?;
                padded(&old.declared)
                    .is_none()
                    .then_some(Self::Padded(length))
            }
            Dialect::Sqlite => {
                let becomes = is_meant_as_text(&new.declared) && !is_meant_as_text(&old.declared);
                (becomes && keeps_texts(&old.declared)).then_some(Self::Numeric)
            }
            Dialect::Mysql => None,
        }
    }

    /// The rows that show it.
    fn condition(self, column: &str) -> String {
        match self {
            Self::Padded(length) => {
                format!("pg_catalog.char_length({column}::pg_catalog.text) < {length}")
            }
            Self::Numeric => format!("typeof({column}) = 'text'"),
        }
    }

    fn lost(
        self,
        (was, old): (&Shape, &ShapeColumn),
        (new, rows): (&ShapeColumn, u64),
        before: Tables<'_>,
    ) -> Lost {
        let column = Some(old.name.as_str());
        match self {
            Self::Padded(_) => {
                preserve::loss(was, column, (What::ValuesChanged, rows, rows), before)
            }
            Self::Numeric => {
                let words = format!(
                    "`{}.{}` would store a text such as '007' as the number 7, because {} is a numeric type of SQLite",
                    was.name, old.name, new.declared
                );
                // Few texts look like a number that is written in another way: a warning.
                Lost {
                    rows,
                    ..preserve::later(What::Unstored, (was, column), words, before)
                }
            }
        }
    }
}

/// The length to which PostgreSQL fills the texts of a type.
fn padded(declared: &str) -> Option<u64> {
    let length = declared.strip_prefix("character(")?.strip_suffix(')')?;
    length.parse().ok()
}

/// Whether SQLite keeps each text in a column of a type as it is.
fn keeps_texts(declared: &str) -> bool {
    let upper = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|it| upper.contains(it));
    !has(&["INT"]) && (upper.is_empty() || has(&["BLOB", "CHAR", "CLOB", "TEXT"]))
}

/// Whether a type is called as one for texts, and SQLite takes it for one of numbers.
fn is_meant_as_text(declared: &str) -> bool {
    !keeps_texts(declared) && declared.to_ascii_uppercase().contains("STR")
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use crate::model::ShapeColumn;
    use crate::sql::Dialect;

    fn kind(old: &str, new: &str, dialect: Dialect) -> Option<Kind> {
        let column = |declared: &str| ShapeColumn {
            declared: declared.to_owned(),
            ..ShapeColumn::default()
        };
        Kind::of(&column(old), &column(new), dialect)
    }

    #[test]
    fn a_type_that_fills_texts_is_told_from_others() {
        let of = |old, new| kind(old, new, Dialect::Postgres);
        assert_eq!(of("text", "character(20)"), Some(Kind::Padded(20)));
        assert_eq!(
            of("character varying(20)", "character(4)"),
            Some(Kind::Padded(4))
        );
        assert_eq!(of("text", "character varying(20)"), None);
        assert_eq!(of("character(4)", "character(20)"), None);
        assert_eq!(of("character(20)", "text"), None);
        assert_eq!(kind("text", "character(20)", Dialect::Sqlite), None);
    }

    #[test]
    fn a_string_is_a_number_to_sqlite() {
        let of = |old, new| kind(old, new, Dialect::Sqlite);
        assert_eq!(of("TEXT", "STRING"), Some(Kind::Numeric));
        assert_eq!(of("varchar(20)", "String(20)"), Some(Kind::Numeric));
        for (old, new) in [
            ("STRING", "STRING"),
            ("INTEGER", "STRING"),
            ("TEXT", "DATETIME"),
            ("TEXT", "JSON"),
            ("TEXT", "VARCHAR(20)"),
        ] {
            assert_eq!(of(old, new), None, "{old} {new}");
        }
    }
}
