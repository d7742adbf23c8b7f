//! Splits the messages into ranges that are read in parallel.
//!
//! A range is of rows of the messages' table, so that all parts of a message and all messages of a
//! row are in one. Where it is cut is only a matter of how even the ranges are: whatever the
//! places and however the engine orders its keys, each row is in exactly one range.

use super::Mapping;
use super::declared::Shape;
use super::keys::Condition;
use crate::db::Db;
use crate::model::{Cell, Column};

/// A part of the messages.
pub struct Range(pub(super) Condition);

/// How the messages were cut.
pub enum Split {
    /// Into ranges: each message is in exactly one.
    Ranges(Vec<Range>),
    /// Not at all, and why, in words that continue a sentence.
    Whole(String),
}

/// Cuts the messages into `count` ranges, or fewer where there is too little to cut.
pub async fn split(db: &dyn Db, mapping: &Mapping, count: usize) -> anyhow::Result<Split> {
    let store = mapping.store();
    if store.shape == Shape::Chain {
        let why = "each message is found by the one after it";
        return Ok(Split::Whole(why.to_owned()));
    }
    if let Some(stretches) = db.stretches(store.table(), count).await? {
        let condition = |sql| {
            Range(Condition {
                sql,
                args: Vec::new(),
            })
        };
        return Ok(Split::Ranges(
            stretches.into_iter().map(condition).collect(),
        ));
    }
    let Some(column) = column(mapping) else {
        let why = "no key of it is a number, a text or a UUID";
        return Ok(Split::Whole(why.to_owned()));
    };
    let name = format!("m.{}", db.quote(&column.name));
    let from = format!("FROM {} m", db.quote(store.table()));
    let ends = db
        .rows(&format!("SELECT min({name}), max({name}) {from}"), &[])
        .await?;
    let mut places = Vec::new();
    let next = format!("SELECT min({name}) {from} WHERE {name} >= ?");
    for place in wished(column, &ends[0][0], &ends[0][1], count) {
        // A value that is there is one that the engine can compare with any other.
        let found = db.rows(&next, &[place]).await?;
        let place = found.into_iter().flatten().next();
        places.extend(place.filter(|place| *place != Cell::Null));
        places.dedup();
    }
    Ok(Split::Ranges(cut(&name, &places)))
}

/// The column whose values are cut: one that the rows are stored or indexed by.
fn column(mapping: &Mapping) -> Option<&Column> {
    let store = mapping.store();
    let (key, append) = match &store.conversation {
        Some(place) if store.shape == Shape::Blob => (&place.key, None),
        _ => (&store.message.key, store.message.append.as_ref()),
    };
    let names = key.iter().chain(append);
    let columns = names.filter_map(|name| mapping.column(store.table(), name));
    let mut usable: Vec<_> = columns.filter(|column| is_usable(column)).collect();
    // The sort is stable: of several the first one that the mapping names.
    usable.sort_by_key(|column| !column.key);
    usable.first().copied()
}

/// Whether a value between two others can be made up.
fn is_usable(column: &Column) -> bool {
    let has = |name: &str| column.declared.contains(name);
    let named = has("ENUM") || has("SET(") || has("JSON");
    column.is_whole() || has("UUID") || has("BINARY(") || column.holds_text() && !named
}

/// Conditions that cut the values of a column at these places: a row is in the first range whose
/// place it is before, one without a value in the first.
fn cut(column: &str, places: &[Cell]) -> Vec<Range> {
    let range = |at: usize| {
        let mut args = places[..at].to_vec();
        let mut parts = vec![format!("{column} >= ?"); at];
        if let Some(place) = places.get(at) {
            args.push(place.clone());
            parts.push(match at {
                0 => format!("({column} < ? OR {column} IS NULL)"),
                _ => format!("{column} < ?"),
            });
        }
        Range(Condition {
            sql: parts.join(" AND "),
            args,
        })
    };
    (0..=places.len()).map(range).collect()
}

/// Where a column would best be cut.
fn wished(column: &Column, first: &Cell, last: &Cell, count: usize) -> Vec<Cell> {
    match (first, last) {
        (Cell::Text(low), Cell::Text(high)) if column.declared == "UUID" && is_turned(low) => {
            let [low_turned, high_turned] = [low, high].map(|text| Cell::Text(turned(text)));
            let places = places(&low_turned, &high_turned, count);
            let texts = places.iter().filter_map(Cell::text);
            texts
                .map(|text| Cell::Text(alike(&turned(text), low)))
                .collect()
        }
        _ => places(first, last, count),
    }
}

/// MariaDB's UUIDs of the versions 1 to 5 are in the order of their last part, then the one before
/// it, to the first one (mariadb.com/kb/en/uuid-data-type).
fn is_turned(uuid: &str) -> bool {
    let version = uuid.as_bytes().get(VERSION);
    version.is_some_and(|version| (b'1'..=b'5').contains(version))
}

/// Where the digits of the version and of the variant are.
const VERSION: usize = 14;
const VARIANT: usize = 19;

fn turned(uuid: &str) -> String {
    let parts: Vec<_> = uuid.rsplit('-').collect();
    parts.join("-")
}

/// A UUID in the version and variant of another: it is none without.
fn alike(uuid: &str, other: &str) -> String {
    let digit = |(at, (own, other))| match at {
        VERSION | VARIANT => other,
        _ => own,
    };
    uuid.chars()
        .zip(other.chars())
        .enumerate()
        .map(digit)
        .collect()
}

/// Values that divide what is between two evenly, in so many parts; fewer where they are the same.
fn places(first: &Cell, last: &Cell, count: usize) -> Vec<Cell> {
    let mut places: Vec<_> = match (first, last) {
        (Cell::Int(first), Cell::Int(last)) => {
            let between = between((*first).into(), (*last).into(), count);
            let whole = between.filter_map(|place| i64::try_from(place).ok());
            whole.map(Cell::Int).collect()
        }
        (Cell::Text(first), Cell::Text(last)) => match (hex(first), hex(last)) {
            (Some(low), Some(high)) if first.len() == last.len() => between(low, high, count)
                .map(|place| Cell::Text(like(last, place)))
                .collect(),
            _ => texts(first, last, count),
        },
        (Cell::Blob(first), Cell::Blob(last)) => {
            let [low, high] = [first, last].map(|bytes| number(bytes.iter().copied(), 256, 15));
            let bytes = between(low, high, count).map(|place| place.to_be_bytes()[1..].to_vec());
            bytes.map(Cell::Blob).collect()
        }
        _ => Vec::new(),
    };
    places.dedup();
    places
}

fn between(low: i128, high: i128, count: usize) -> impl Iterator<Item = i128> {
    let span = high.saturating_sub(low).max(0);
    let count = count as i128;
    // Divided first, since the product may be more than fits.
    let step = move |at: i128| span / count * at + span % count * at / count;
    (1..count)
        .map(move |at| low + step(at))
        .filter(move |place| *place > low)
}

/// The first 31 hexadecimal digits of a UUID or a digest, with dashes or without, as a number.
fn hex(text: &str) -> Option<i128> {
    let digits: Option<Vec<_>> = text
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16))
        .collect();
    let digits = digits.filter(|digits| digits.len() >= 16)?;
    Some(number(digits.iter().map(|digit| *digit as u8), 16, 31))
}

/// Digits, the highest first, as a number of so many.
fn number(digits: impl Iterator<Item = u8>, base: i128, count: usize) -> i128 {
    let digits = digits.chain(std::iter::repeat(0)).take(count);
    digits.fold(0, |number, digit| number * base + i128::from(digit))
}

/// A number as [`hex`] reads it, in the form of another text.
fn like(text: &str, number: i128) -> String {
    let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let digits = if upper {
        format!("{number:031X}")
    } else {
        format!("{number:031x}")
    };
    let mut digits = digits.chars().chain(std::iter::repeat('0'));
    let next = |c| {
        if c == '-' {
            c
        } else {
            digits.next().unwrap_or('0')
        }
    };
    text.chars().map(next).collect()
}

/// Texts are cut behind what all of them begin with, as if their characters were digits.
fn texts(first: &str, last: &str, count: usize) -> Vec<Cell> {
    const LONG: usize = 8;
    let same = first.chars().zip(last.chars());
    let same: String = same.take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let rest = [first, last].map(|text| &text.as_bytes()[same.len()..]);
    let digits = digits(&rest.concat());
    let base = digits.len() as i128;
    let digit = |byte: &u8| digits.partition_point(|digit| digit < byte);
    let [low, high] = rest.map(|text| {
        let digits = text.iter().map(|byte| digit(byte).min(digits.len() - 1));
        number(digits.map(|digit| digit as u8), base, LONG)
    });
    let text = |mut place: i128| {
        let mut text = [0; LONG];
        for byte in text.iter_mut().rev() {
            *byte = digits[(place % base) as usize];
            place /= base;
        }
        Cell::Text(same.chars().chain(text.map(char::from)).collect())
    };
    between(low, high, count).map(text).collect()
}

/// What keys are made of, in the order of ASCII. Letters of a case that does not occur are none: to
/// some engines they are the same.
fn digits(seen: &[u8]) -> Vec<u8> {
    let upper = seen.iter().any(u8::is_ascii_uppercase);
    let lower = seen.iter().any(u8::is_ascii_lowercase) || !upper;
    let letters = [(upper, b'A'..=b'Z'), (lower, b'a'..=b'z')];
    let letters = letters.into_iter().filter(|(there, _)| *there);
    (b'0'..=b'9')
        .chain(letters.flat_map(|(_, letters)| letters))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, cut, places, wished};

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn every_value_is_before_exactly_one_place() {
        let ranges = cut("m.id", &[Cell::Int(10), Cell::Int(20)]);
        let told: Vec<_> = ranges.iter().map(|range| range.0.sql.as_str()).collect();
        assert_eq!(
            told,
            [
                "(m.id < ? OR m.id IS NULL)",
                "m.id >= ? AND m.id < ?",
                "m.id >= ? AND m.id >= ?"
            ]
        );
        assert_eq!(ranges[2].0.args, [Cell::Int(10), Cell::Int(20)]);
        assert_eq!(cut("m.id", &[])[0].0.sql, "");
    }

    #[test]
    fn what_is_between_two_keys_is_divided_evenly() {
        let int = |all: &[i64]| all.iter().copied().map(Cell::Int).collect::<Vec<_>>();
        for (first, last, count, expected) in [
            (Cell::Int(0), Cell::Int(100), 4, int(&[25, 50, 75])),
            (Cell::Int(7), Cell::Int(8), 4, int(&[])),
            (Cell::Int(i64::MIN), Cell::Int(i64::MAX), 2, int(&[-1])),
            (Cell::Null, Cell::Null, 4, int(&[])),
            (
                text("00000000-00000000"),
                text("FFFFFFFF-FFFFFFFF"),
                2,
                vec![text("7FFFFFFF-FFFFFFFF")],
            ),
            (
                text("msg_0000"),
                text("msg_zzzz"),
                2,
                vec![text("msg_hzzzi000")],
            ),
            (
                Cell::Blob(vec![0; 16]),
                Cell::Blob(vec![255; 16]),
                2,
                vec![Cell::Blob([&[127][..], &[255; 14]].concat())],
            ),
        ] {
            assert_eq!(places(&first, &last, count), expected, "{first} to {last}");
        }
    }

    #[test]
    fn uuids_are_cut_in_the_order_that_their_engine_gives_them() {
        let column = Column {
            name: "id".to_owned(),
            declared: "UUID".to_owned(),
            key: true,
            references: None,
        };
        let ends = [
            "89abcdef-0000-4000-8000-000000000000",
            "01234567-ffff-4fff-bfff-ffffffffffff",
        ];
        let ends = ends.map(text);
        let cut = wished(&column, &ends[0], &ends[1], 2);
        let [Cell::Text(cut)] = &cut[..] else {
            panic!("{cut:?}")
        };
        assert!(
            cut.ends_with("-800000000000") && &cut[14..15] == "4",
            "{cut}"
        );
    }

    #[test]
    fn no_text_stops_it() {
        for (first, last) in [("", "é"), ("é", "ü"), ("b", "a"), ("", ""), ("a", "aé")] {
            let places = places(&text(first), &text(last), 8);
            assert!(places.len() < 8, "{first} to {last}");
        }
    }
}
