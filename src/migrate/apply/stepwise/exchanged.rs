//! `ALTER TABLE … EXCHANGE PARTITION` leaves the schema as it is: whether it was done when the
//! process ended, the rows of both sides say. A second run of it would exchange them back.

use super::late::{Others, asked};
use crate::cli_error::CliError;
use crate::db::Session;
use crate::migrate::apply::counting::{numbers, which};
use crate::migrate::intent::Piece;
use crate::model::Shape;
use crate::sql::{AlterAction, Kind};

/// A partition, and the table that it is exchanged with.
struct Exchange<'a> {
    table: &'a str,
    partition: &'a str,
    with: &'a str,
}

/// The number of rows on both sides, and a sum of their values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Sides {
    partition: Vec<u64>,
    with: Vec<u64>,
}

impl<'a> Exchange<'a> {
    fn of(piece: &'a Piece<'_>) -> Option<Self> {
        let Kind::AlterTable { actions } = &piece.facts.kind else {
            return None;
        };
        let texts = actions.iter().filter_map(|action| match action {
            AlterAction::Other { text } => Some(text),
            _ => None,
        });
        let mut found = texts.filter_map(|text| {
            let words: Vec<_> = text.split_whitespace().collect();
            let [
                exchange,
                partition_word,
                partition,
                with_word,
                table_word,
                with,
                ..,
            ] = words[..]
            else {
                return None;
            };
            let keywords = [exchange, partition_word, with_word, table_word];
            let is_it = keywords
                .iter()
                .zip(["EXCHANGE", "PARTITION", "WITH", "TABLE"])
                .all(|(word, keyword)| word.eq_ignore_ascii_case(keyword));
            is_it.then_some((partition, with))
        });
        let (partition, with) = found.next()?;
        Some(Self {
            table: &piece.facts.table.as_ref()?.name,
            partition: partition.trim_matches('`'),
            with: with.rsplit('.').next().unwrap_or(with).trim_matches('`'),
        })
    }

    /// None where one side is not there.
    fn sides(&self, session: &mut dyn Session, others: Others) -> anyhow::Result<Option<Sides>> {
        let (shapes, names) = (session.shapes(&[self.table, self.with])?, session.names());
        let of = |table: &str| {
            let shape = shapes
                .iter()
                .find(|it| names.tables.same(&it.name, table))?;
            // Equal keys may have other values.
            let shape = Shape {
                key: Vec::new(),
                ..shape.clone()
            };
            Some(which(session, &shape, &shape.name))
        };
        let (Some(table), Some(with)) = (of(self.table), of(self.with)) else {
            return Ok(None);
        };
        let partition = format!("{table} PARTITION ({})", session.quote(self.partition));
        Ok(Some(Sides {
            partition: numbers(&asked(session, &partition, others)?)?,
            with: numbers(&asked(session, &with, others)?)?,
        }))
    }
}

/// What a note says besides the schema, before such a statement.
pub(super) fn note(
    session: &mut dyn Session,
    piece: &Piece<'_>,
    others: Others,
) -> anyhow::Result<Option<String>> {
    let Some(exchange) = Exchange::of(piece) else {
        return Ok(None);
    };
    let sides = exchange.sides(session, others)?;
    Ok(sides.and_then(|sides| serde_json::to_string(&sides).ok()))
}

/// Whether such a statement was not done, by what was noted; none for another one.
pub(super) fn is_undone(
    session: &mut dyn Session,
    piece: &Piece<'_>,
    noted: &str,
) -> anyhow::Result<Option<bool>> {
    let sides = noted.split_once(' ');
    let then: Option<Sides> = sides.and_then(|(_, sides)| serde_json::from_str(sides).ok());
    let Some(exchange) = Exchange::of(piece) else {
        return Ok(None);
    };
    let now = exchange.sides(session, Others::Write)?;
    match then.zip(now).and_then(|(then, now)| exchanged(&then, &now)) {
        Some(is_done) => Ok(Some(!is_done)),
        None => Err(CliError::refused(format!(
            "the process ended during `{}`, and the rows of both sides, which users may have written since, \
                do not show whether they were exchanged",
            piece.text
        ))
        .hint(
            "look where the rows are; run the rest of the file by hand, and record it as applied: \
                `chatctl migrate resolve VERSION --as applied`",
        )
        .into()),
    }
}

/// Whether both sides have what the other one had; none where users wrote both since.
fn exchanged(then: &Sides, now: &Sides) -> Option<bool> {
    if now.with == then.with {
        return Some(false);
    }
    let was_empty = then.with.first() == Some(&0);
    if now.with == then.partition || now.partition == then.with || was_empty {
        return Some(true);
    }
    (now.partition == then.partition).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::{Sides, exchanged};

    #[test]
    fn the_rows_of_both_sides_say_whether_they_were_exchanged() {
        let sides = |partition: u64, with: u64| Sides {
            partition: vec![partition, partition],
            with: vec![with, with],
        };
        for (then, now, is) in [
            ((7, 3), (7, 3), Some(false)),
            ((7, 3), (3, 7), Some(true)),
            // One of them was written since.
            ((7, 3), (3, 8), Some(true)),
            ((7, 3), (4, 7), Some(true)),
            ((7, 3), (7, 4), Some(false)),
            ((7, 3), (8, 3), Some(false)),
            ((7, 3), (4, 8), None),
            // A new table has only what it got by the exchange.
            ((7, 0), (2, 8), Some(true)),
            ((7, 0), (9, 0), Some(false)),
        ] {
            let (before, after) = (sides(then.0, then.1), sides(now.0, now.1));
            assert_eq!(exchanged(&before, &after), is, "{then:?} {now:?}");
        }
    }
}
