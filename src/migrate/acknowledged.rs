//! The losses that a migration acknowledges, in its text or next to its folder. Pure.

use super::preserve::{Allowed, Lost, Matter, Named, Subject};
use super::source::Migration;
use crate::cli_error::CliError;
use crate::sql;
use crate::sql::{AllowLoss, Dialect, DirectiveError};
use crate::text::nearest;

/// An acknowledged loss, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// What may be lost.
    pub allowed: Allowed,
    /// The table or column, as it is written.
    pub written: String,
    /// Where: `FILE:LINE`.
    pub place: String,
}

/// Every loss that a migration acknowledges.
///
/// # Errors
/// Stops with the line when an acknowledgement names neither a table nor a column, or a comment is
/// nearly a directive.
pub fn of(migration: &Migration, dialect: Dialect) -> Result<Vec<Acknowledged>, CliError> {
    let path = migration.path.display();
    let above = String::from_utf8_lossy(&migration.raw);
    let above = above.get(..migration.up_at).unwrap_or_default();
    let above = above.matches('\n').count();
    let directives = sql::directives(&migration.up, dialect);
    if let Some(error) = directives.errors.into_iter().next() {
        let error = DirectiveError {
            line: error.line + u32::try_from(above).unwrap_or_default(),
            ..error
        };
        return Err(CliError::usage(format!("{path}:{error}"))
            .hint("`chatctl explain invalid-directive` shows how a directive is written"));
    }
    let own = directives.allow_loss.into_iter().map(|allow| {
        let place = format!("{path}:{}", above + allow.line as usize);
        acknowledged(allow, place)
    });
    let mut all: Vec<_> = own.collect();
    for next_to in &migration.acknowledged {
        let allow = AllowLoss::of(&next_to.subject, dialect)
            .map_err(|why| CliError::usage(format!("{}: {why}", next_to.place)).hint(SUBJECT))?;
        let allow = AllowLoss {
            rows: next_to.rows,
            ..allow
        };
        all.push(acknowledged(allow, next_to.place.clone()));
    }
    Ok(all)
}

/// How a subject is written.
pub const SUBJECT: &str = "write it as in a comment: `messages`, `messages.body`, `app.messages.*`";

fn acknowledged(allow: AllowLoss, place: String) -> Acknowledged {
    let parts = [
        allow.schema.as_ref(),
        Some(&allow.table),
        allow.column.as_ref(),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    Acknowledged {
        written: parts.join("."),
        place,
        allowed: Allowed {
            subject: Subject::of(allow.schema, allow.table, allow.column),
            rows: allow.rows,
        },
    }
}

/// Those that no loss of a run had any use for.
pub fn unused<'a>(all: &'a [Acknowledged], lost: &[Lost]) -> Vec<&'a Acknowledged> {
    let used = |it: &&Acknowledged| lost.iter().any(|lost| names(&it.allowed.subject, lost));
    all.iter().filter(|it| !used(it)).collect()
}

/// What is acknowledged that is nearly a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NearMiss {
    /// The loss, but fewer rows of it.
    TooFew {
        /// Where: `FILE:LINE`.
        place: String,
        /// How many.
        rows: u64,
    },
    /// The very name, of which it covers another kind of loss.
    Other {
        /// Where: `FILE:LINE`.
        place: String,
    },
    /// A name that is nearly the same, in words.
    Name(String),
}

/// Why a loss is not covered though something is acknowledged that is nearly the same.
pub fn near_miss(all: &[Acknowledged], lost: &Lost) -> Option<NearMiss> {
    let same = all.iter().filter(|it| names(&it.allowed.subject, lost));
    let same = same.max_by_key(|it| it.allowed.rows.unwrap_or(u64::MAX));
    if let Some(Acknowledged {
        allowed,
        place,
        written,
    }) = same
    {
        let place = place.clone();
        let is_exact = *written == lost.subject;
        let too_few = allowed.rows.filter(|rows| *rows < lost.rows);
        // A number is meant for rows that go; a higher one would not cover what else is lost.
        return match too_few.filter(|_| lost.what.matter() == Matter::Rows) {
            Some(rows) => Some(NearMiss::TooFew { place, rows }),
            None => is_exact.then_some(NearMiss::Other { place }),
        };
    }
    let written = all.iter().map(|it| it.written.as_str());
    let near = nearest(&lost.subject, written)?;
    let place = &all.iter().find(|it| it.written == near)?.place;
    Some(NearMiss::Name(format!(
        "{place} acknowledges `{near}`; did you mean `{}`?",
        lost.subject
    )))
}

/// Whether an acknowledgement is about this loss, as far as names tell without their case and schema:
/// the proof itself looks more closely.
fn names(subject: &Subject, lost: &Lost) -> bool {
    let last = lost.table.rsplit('.').next().unwrap_or_default();
    let table = |name: &str| {
        [last, &lost.table]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
    };
    let column = |name: &str| {
        lost.column
            .as_ref()
            .is_some_and(|it| it.eq_ignore_ascii_case(name))
    };
    match subject {
        Subject::Table(Named { table: name, .. }) => lost.column.is_none() && table(name),
        Subject::Column(named, name) => table(&named.table) && column(name),
        Subject::Either { first, last } => {
            table(first) && column(last) || lost.column.is_none() && table(last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NearMiss, near_miss, of, unused};
    use crate::migrate::preserve::{Lost, What};
    use crate::migrate::source::{Acknowledgement, Migration};
    use crate::sql::Dialect;

    fn migration(text: &str, next_to: &[(&str, Option<u64>)]) -> Migration {
        let mut migration = Migration::of_text(text);
        let entry = |(subject, rows): &(&str, Option<u64>)| Acknowledgement {
            subject: (*subject).to_owned(),
            rows: *rows,
            reason: "x".to_owned(),
            place: "acknowledgements.toml:3".to_owned(),
        };
        migration.acknowledged = next_to.iter().map(entry).collect();
        migration
    }

    fn lost(table: &str, column: Option<&str>, rows: u64) -> Lost {
        Lost {
            table: table.to_owned(),
            column: column.map(str::to_owned),
            subject: column.map_or_else(|| table.to_owned(), |column| format!("{table}.{column}")),
            what: What::RowsGone,
            rows,
            before: rows,
            in_parts: false,
            by: None,
            derived: None,
        }
    }

    const TEXT: &str =
        "SELECT 1;\n-- chatctl: allow-loss messages rows<=2 reason=\"x\"\nSELECT 2;\n";

    #[test]
    fn both_places_count_and_are_named() {
        let all = of(
            &migration(TEXT, &[("drafts.body", Some(3))]),
            Dialect::Postgres,
        )
        .unwrap();
        let places: Vec<_> = all
            .iter()
            .map(|it| (it.place.as_str(), it.allowed.rows))
            .collect();
        assert_eq!(
            places,
            [("1_a.sql:2", Some(2)), ("acknowledgements.toml:3", Some(3))]
        );
        let stop = of(&migration("", &[("a.b.c.d", None)]), Dialect::Postgres).unwrap_err();
        assert!(
            stop.message
                .starts_with("acknowledgements.toml:3: `a.b.c.d`"),
            "{}",
            stop.message
        );
    }

    #[test]
    fn what_covers_nothing_is_unused() {
        let all = of(
            &migration(TEXT, &[("app.drafts.*", None), ("app.old", None)]),
            Dialect::Postgres,
        )
        .unwrap();
        let left = |lost: &[Lost]| {
            unused(&all, lost)
                .iter()
                .map(|it| it.written.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), ["messages", "app.drafts", "app.old"]);
        assert_eq!(
            left(&[lost("Messages", None, 1), lost("app.drafts", None, 1)]),
            ["app.old"]
        );
        assert_eq!(
            left(&[lost("app", Some("OLD"), 1)]),
            ["messages", "app.drafts"]
        );
        assert_eq!(
            left(&[lost("messages", Some("body"), 1), lost("app.old", None, 1)]),
            ["messages", "app.drafts"]
        );
    }

    #[test]
    fn a_near_miss_is_named_with_its_place() {
        let all = of(
            &migration(TEXT, &[("mesages.bodi", None)]),
            Dialect::Postgres,
        )
        .unwrap();
        let near = |lost: Lost| near_miss(&all, &lost);
        assert_eq!(
            near(lost("messages", None, 3)),
            Some(NearMiss::TooFew {
                place: "1_a.sql:2".to_owned(),
                rows: 2
            })
        );
        let name = |lost| match near(lost) {
            Some(NearMiss::Name(name)) => name,
            other => panic!("{other:?}"),
        };
        let told = name(lost("messages", Some("body"), 3));
        assert_eq!(
            told,
            "1_a.sql:2 acknowledges `messages`; did you mean `messages.body`?"
        );
        let told = name(lost("mesages", Some("body"), 3));
        assert!(
            told.starts_with("acknowledgements.toml:3 acknowledges `mesages.bodi`"),
            "{told}"
        );
        assert_eq!(near(lost("zzz", None, 3)), None);
        let place = "1_a.sql:2".to_owned();
        assert_eq!(
            near(lost("messages", None, 2)),
            Some(NearMiss::Other { place })
        );
        assert_eq!(near(lost("Messages", None, 2)), None);
        let later = Lost {
            what: What::Later,
            ..lost("messages", None, 3)
        };
        let place = "1_a.sql:2".to_owned();
        assert_eq!(near(later), Some(NearMiss::Other { place }));
    }
}
