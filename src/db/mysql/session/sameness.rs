//! When a value is the same one although its type is another: both sides are written in a form
//! that only equal values share. Pure; `tests/it/sameness.rs` tries every pair on a server.

use super::quoted;
use crate::model::ShapeColumn;
use std::collections::BTreeSet;

/// Which side of the comparison a value is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// What a type holds, as far as sameness goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Whole numbers, and those with a fixed count of digits behind the point.
    Exact,
    /// `FLOAT`.
    Single,
    Double,
    /// Bits, which are numbers next to numbers and bytes next to bytes.
    Bit,
    /// `DATE` and `DATETIME`.
    Date,
    /// `TIMESTAMP`: an instant, shown in the session's time zone.
    Instant,
    Time,
    Uuid,
    /// Bytes, and what is only ever compared as bytes.
    Bytes,
    /// Text, and everything that is written as a word.
    Text,
}

/// A number that needs no leading zero, exponent or space to be written.
const NUMERAL: &str = "^-?(0|[1-9][0-9]*)([.][0-9]+)?$";
/// A number as a float is written.
const FLOATING: &str = "^-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?$";
/// A time in UTC or in no zone, to the microsecond.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?( ?(Z|UTC|[+-]00:?00))?)?$";
/// The same in no zone, and in UTC by its own word.
const LOCAL: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?)?$";
const IN_UTC: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)? ?(Z|UTC|[+-]00:?00)$";
const TIME: &str = "^-?[0-9]{2,3}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?$";
const UUID: &str = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";
/// More digits than any float needs, on both sides of the point.
const LONG: &str = "DECIMAL(65, 30)";

/// In which zone an instant and a time without one are read next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// In that of clients, which the statements run in.
    Clients,
    /// In UTC, which a file may set, or write its times in.
    Utc,
}

/// Whether two values are the same one, as a condition that is never NULL for two values.
pub(super) fn equal(a: (&str, &ShapeColumn), b: (&str, &ShapeColumn)) -> String {
    equal_in(Zone::Clients, a, b)
}

fn equal_in(zone: Zone, (a, was): (&str, &ShapeColumn), (b, now): (&str, &ShapeColumn)) -> String {
    let is_number = |column: &ShapeColumn| {
        matches!(class(column), Class::Exact | Class::Single | Class::Double)
    };
    if was.declared == now.declared && is_number(was) {
        return format!("coalesce({a} = {b}, FALSE)");
    }
    format!(
        "coalesce({} = {}, FALSE)",
        form_in(zone, a, (was, now), Side::Before),
        form_in(zone, b, (now, was), Side::After)
    )
}

/// The same in each way in which all values of a column may be the same: a text may stand for bytes,
/// or be in a document.
pub(super) fn readings(
    (a, was): (&str, &ShapeColumn),
    (b, now): (&str, &ShapeColumn),
) -> Vec<String> {
    let mut all = vec![equal((a, was), (b, now))];
    let (text, bytes) = match (class(was), class(now)) {
        (Class::Text, Class::Bytes) => (a, b),
        (Class::Bytes, Class::Text) => (b, a),
        (Class::Text, Class::Text) if was.declared != now.declared && is_document(now) => {
            all.extend(PLACES.map(|place| text_within((a, b), place)));
            return all;
        }
        (Class::Text, Class::Exact) => {
            all.push(same_truth(a, b));
            return all;
        }
        (Class::Exact, Class::Text) => {
            all.push(same_truth(b, a));
            return all;
        }
        (Class::Date, Class::Instant | Class::Exact | Class::Single | Class::Double)
        | (Class::Instant | Class::Exact | Class::Single | Class::Double, Class::Date)
        | (Class::Instant, Class::Text)
        | (Class::Text, Class::Instant) => {
            all.push(equal_in(Zone::Utc, (a, was), (b, now)));
            return all;
        }
        _ => return all,
    };
    let hexed = [format!("lower(hex({bytes}))"), format!("hex({bytes})")];
    all.extend(hexed.map(|it| same_text(text, &it)));
    let in_one_line = |text: &str| format!("replace({text}, char(10), '')");
    all.push(same_text(
        &in_one_line(text),
        &in_one_line(&format!("to_base64({bytes})")),
    ));
    all
}

/// Where in a document the text may be of which it was made.
const PLACES: [&str; 4] = ["$", "$[0]", "$.text", "$[0].text"];

/// MariaDB's JSON is a long text.
fn is_document(column: &ShapeColumn) -> bool {
    matches!(column.declared.as_str(), "json" | "longtext")
}

fn text_within((text, document): (&str, &str), place: &str) -> String {
    let found = format!("json_extract({document}, '{place}')");
    let found = format!(
        "if(json_valid({document}), if(json_type({found}) = 'STRING', json_unquote({found}), NULL), NULL)"
    );
    same_text(text, &found)
}

/// Whether a word and a number are both true, or both false.
fn same_truth(word: &str, number: &str) -> String {
    format!(
        "coalesce(CASE lower({word}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END = {number}, FALSE)"
    )
}

/// Whether two texts are the same to the byte, as a condition that is never NULL.
fn same_text(a: &str, b: &str) -> String {
    let bytes = |text: &str| format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)");
    format!("coalesce({} = {}, FALSE)", bytes(a), bytes(b))
}

/// A value's bytes in the form that only equal values share, next to a column of another type.
pub(super) fn form(value: &str, columns: (&ShapeColumn, &ShapeColumn), side: Side) -> String {
    form_in(Zone::Clients, value, columns, side)
}

fn form_in(
    zone: Zone,
    value: &str,
    (own, other): (&ShapeColumn, &ShapeColumn),
    side: Side,
) -> String {
    let text = match pair(zone, value, (own, other), side) {
        Form::Bytes => return format!("CAST({value} AS BINARY)"),
        Form::Text(text) => text,
    };
    // Whatever the character set is, and whatever a collation calls equal.
    format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)")
}

enum Form {
    Bytes,
    Text(String),
}

fn pair(zone: Zone, value: &str, (own, other): (&ShapeColumn, &ShapeColumn), side: Side) -> Form {
    use Class::{Bit, Bytes, Date, Double, Exact, Instant, Single, Text, Time, Uuid};
    if own.declared != other.declared
        && let (Some(own), Some(other)) = (members(&own.declared), members(&other.declared))
    {
        return Form::Text(in_one_order(value, own.chain(other)));
    }
    let (mine, theirs) = (class(own), class(other));
    let floats = |class: Class| matches!(class, Single | Double);
    let to_float = side == Side::After && floats(mine) || side == Side::Before && floats(theirs);
    let padded = own.declared.contains("zerofill") || other.declared.contains("zerofill");
    Form::Text(match (mine, theirs) {
        // A word keeps the zeros that a number is shown with.
        (Exact, Text) | (Text, Exact) if padded => format!("CAST({value} AS CHAR)"),
        (Exact | Bit, Exact | Bit) | (Exact, Text) => digits(&decimal(value, own)),
        (Text, Exact) => when(value, NUMERAL, &digits(value)),
        (Single | Double, Single | Double) => double(value),
        // Whoever makes a float loses what a double can't hold: all digits count.
        (Exact | Bit, Single | Double) if to_float => digits(&decimal(value, own)),
        (Single | Double, Exact | Bit | Text) if to_float => {
            digits(&format!("CAST({value} AS {LONG})"))
        }
        (Text, Single | Double) if to_float => when(value, NUMERAL, &digits(value)),
        // Whoever leaves a float has kept it if the same float comes of it.
        (Single | Double, Exact | Bit | Text) => double(value),
        (Exact | Bit, Single) => double(&single(value)),
        (Exact | Bit, Double) => double(value),
        (Text, Single) => when(value, FLOATING, &double(&single(&double(value)))),
        (Text, Double) => when(value, FLOATING, &double(value)),
        (Date, Exact | Single | Double) => seconds_of(&instant(zone, value)),
        (Instant, Exact | Single | Double) => seconds_of(value),
        (Exact, Date | Instant) => digits(&seconds(&decimal(value, own))),
        (Single | Double, Date | Instant) => digits(&seconds(&format!("CAST({value} AS {LONG})"))),
        // Two instants can be shown alike, in the hour that a clock is put back.
        (Date, Instant) => moment_and_seconds(value, &instant(zone, value)),
        (Instant, Date) => moment_and_seconds(&shown(zone, value), value),
        (Date, Date) | (Instant, Instant) | (Date, Text) => moment(value),
        (Instant, Text) => moment(&shown(zone, value)),
        (Text, Date) => when(value, MOMENT, &moment(value)),
        (Text, Instant) => {
            let local = when(value, LOCAL, &moment(value));
            if_like(value, IN_UTC, &moment(&shown(zone, &moment(value))), &local)
        }
        (Time, Exact | Single | Double) => seconds_of_span(value),
        (Exact, Time) => digits(&decimal(value, own)),
        (Single | Double, Time) => digits(&format!("CAST({value} AS {LONG})")),
        (Time, Time | Text) => format!("CAST({value} AS TIME(6))"),
        (Text, Time) => when(value, TIME, &format!("CAST({value} AS TIME(6))")),
        (Uuid, Text) => format!("lower({value})"),
        (Text, Uuid) => when(value, UUID, &format!("lower({value})")),
        (Uuid, Bytes) => format!("replace(CAST({value} AS CHAR), '-', '')"),
        (Bytes, Uuid | Text) => hex(value, &format!("CAST({value} AS CHAR)")),
        // Who read the bytes reads the same text, whatever character set the column has.
        (Text, Bytes) => hex(
            &format!("CAST(CONVERT({value} USING utf8mb4) AS BINARY)"),
            value,
        ),
        (Bytes | Bit, Bytes | Bit) => return Form::Bytes,
        _ => value.to_owned(),
    })
}

/// The text's own form where it is written so; what it is in no other case.
fn when(value: &str, pattern: &str, form: &str) -> String {
    if_like(
        value,
        pattern,
        form,
        &format!("concat('text ', {})", exact(value)),
    )
}

fn if_like(value: &str, pattern: &str, form: &str, otherwise: &str) -> String {
    let text = exact(value);
    // A pattern's end may be before a last line break.
    format!("if({text} REGEXP '{pattern}' AND instr({text}, char(10)) = 0, {form}, {otherwise})")
}

fn exact(value: &str) -> String {
    format!("CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin")
}

/// An instant as clients see it; what no zone changes, such as zeros, stays.
fn shown(zone: Zone, value: &str) -> String {
    match zone {
        Zone::Clients => {
            format!("coalesce(convert_tz({value}, @@SESSION.time_zone, @chatctl_zone), {value})")
        }
        Zone::Utc => value.to_owned(),
    }
}

/// A time that clients see, as the session sees it.
fn instant(zone: Zone, value: &str) -> String {
    match zone {
        Zone::Clients => {
            format!("coalesce(convert_tz({value}, @chatctl_zone, @@SESSION.time_zone), {value})")
        }
        Zone::Utc => value.to_owned(),
    }
}

fn seconds_of(instant: &str) -> String {
    digits(&format!(
        "CAST(unix_timestamp({instant}) AS DECIMAL(65, 6))"
    ))
}

fn moment_and_seconds(shown: &str, instant: &str) -> String {
    format!(
        "concat({}, '/', CAST(unix_timestamp({instant}) AS DECIMAL(65, 6)))",
        moment(shown)
    )
}

/// The seconds of a time of day or of a span, with all their digits: not every server gives these.
fn seconds_of_span(value: &str) -> String {
    let whole = format!("hour({value}) * 3600 + minute({value}) * 60 + second({value})");
    let sign = format!("if(left(CAST({value} AS CHAR), 1) = '-', -1, 1)");
    digits(&format!(
        "CAST({sign} * ({whole} + CAST(microsecond({value}) AS DECIMAL(65, 6)) / 1000000) AS DECIMAL(65, 6))"
    ))
}

/// The members of a SET, as the type lists them; none where a literal would read as something else.
fn members(declared: &str) -> Option<impl Iterator<Item = &str>> {
    let list = declared.strip_prefix("set(")?.strip_suffix(')')?;
    (!list.contains('\\')).then(|| list.split(','))
}

/// The members that a value of a SET has, whatever order its type has them in. No member has a comma.
fn in_one_order<'a>(value: &str, members: impl Iterator<Item = &'a str>) -> String {
    let members: BTreeSet<_> = members.collect();
    let text = exact(value);
    let part = |member: &&str| {
        format!("if(find_in_set({member} COLLATE utf8mb4_bin, {text}), concat({member}, ','), '')")
    };
    let parts: Vec<_> = members.iter().map(part).collect();
    let ordered = format!("concat({})", parts.join(", "));
    // All of them were found, or it is the text.
    let is_whole = format!("char_length({ordered}) = char_length({text}) + ({text} <> '')");
    format!("if({is_whole}, {ordered}, {text})")
}

/// A decimal number without the zeros at its end.
fn digits(number: &str) -> String {
    let text = format!("CAST({number} AS CHAR)");
    format!(
        "if(instr({text}, '.'), trim(TRAILING '.' FROM trim(TRAILING '0' FROM {text})), {text})"
    )
}

/// A number with all its digits, and without those that only fill it up.
fn decimal(value: &str, column: &ShapeColumn) -> String {
    format!("CAST({value} AS DECIMAL(65, {}))", scale(&column.declared))
}

/// The text of a float itself is cut short; that of a double is not.
fn double(value: &str) -> String {
    format!("CAST({value} AS DOUBLE)")
}

fn single(value: &str) -> String {
    format!("CAST({value} AS FLOAT)")
}

fn moment(value: &str) -> String {
    format!("CAST({value} AS DATETIME(6))")
}

/// Seconds since 1970, from as many thousandths or millionths: nobody means the year 5000.
fn seconds(number: &str) -> String {
    format!(
        "{number} * CASE WHEN abs({number}) >= 1e14 THEN 0.000001 WHEN abs({number}) >= 1e11 THEN 0.001 ELSE 1 END"
    )
}

/// Bytes in hexadecimal, and a UUID as its sixteen bytes.
fn hex(bytes: &str, text: &str) -> String {
    format!(
        "if(length({bytes}) = 36 AND {text} REGEXP '{UUID}', lower(replace({text}, '-', '')), lower(hex({bytes})))"
    )
}

/// How many digits a type keeps behind the point: `decimal(10,5)` keeps five.
fn scale(declared: &str) -> u32 {
    let inside = declared.split(['(', ')']).nth(1).unwrap_or_default();
    let scale = inside.split_once(',').map_or("", |(_, scale)| scale);
    if declared.starts_with("decimal") {
        scale.trim().parse().unwrap_or(0)
    } else {
        0
    }
}

fn class(column: &ShapeColumn) -> Class {
    let name = column.declared.split(['(', ' ']).next().unwrap_or_default();
    match name {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => {
            Class::Exact
        }
        "float" => Class::Single,
        "double" => Class::Double,
        "bit" => Class::Bit,
        "date" | "datetime" => Class::Date,
        "timestamp" => Class::Instant,
        "time" => Class::Time,
        "uuid" => Class::Uuid,
        "binary" | "varbinary" | "blob" | "tinyblob" | "mediumblob" | "longblob" | "geometry"
        | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geometrycollection" | "geomcollection" | "vector" => Class::Bytes,
        _ => Class::Text,
    }
}

/// A column of a table that has a short name in the comparison.
pub(super) fn of(table: &str, column: &ShapeColumn) -> String {
    format!("{table}.{}", quoted(&column.name))
}

/// The condition that joins two rows by a column of their key, so that an index can be used though
/// its type is another one. What it takes for the same, the values are compared for after all.
pub(super) fn joined(was: &str, now: &str, (old, new): &(ShapeColumn, ShapeColumn)) -> String {
    let (a, b) = (of(was, old), of(now, new));
    match (class(old), class(new)) {
        (Class::Exact, Class::Text) => format!("{b} = CAST({a} AS CHAR)"),
        (Class::Text, Class::Exact) if scale(&new.declared) == 0 => {
            format!("{b} = CAST({a} AS DECIMAL(65, 0))")
        }
        (Class::Instant, Class::Date) => format!("{b} = {}", shown(Zone::Clients, &a)),
        (Class::Date, Class::Instant) => format!("{b} = {}", instant(Zone::Clients, &a)),
        (Class::Text, Class::Bytes) => format!("{b} = {}", bytes_of_text(&a, &new.declared)),
        (Class::Bytes, Class::Text) => {
            let sizes = size(&old.declared).zip(size(&new.declared));
            format!("{b} = {}", text_of_bytes(&a, sizes))
        }
        _ => format!("{b} = {a}"),
    }
}

/// The bytes that a text of a key stands for, where the column has room for no more; else its own.
fn bytes_of_text(text: &str, declared: &str) -> String {
    let plain = format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)");
    let digits = format!("replace({text}, '-', '')");
    size(declared).map_or(plain.clone(), |size| {
        format!(
            "CASE WHEN {digits} REGEXP '^[0-9a-fA-F]{{{}}}$' THEN unhex({digits}) ELSE {plain} END",
            2 * size
        )
    })
}

/// The text that stands for the bytes of a key, as a UUID or in hexadecimal, where the sizes of both
/// columns say so.
fn text_of_bytes(bytes: &str, sizes: Option<(u32, u32)>) -> String {
    let hex = format!("lower(hex({bytes}))");
    match sizes {
        Some((16, 36)) => [9, 14, 19, 24].iter().fold(hex, |text, place| {
            format!("insert({text}, {place}, 0, '-')")
        }),
        Some((old, new)) if new == 2 * old => hex,
        _ => bytes.to_owned(),
    }
}

/// Whether unlike values of a key can have one form in its new type: a letter in either case, a word and
/// a number.
pub(super) fn may_fold((old, new): &(ShapeColumn, ShapeColumn)) -> bool {
    class(old) != class(new)
}

/// How many bytes or characters a type has room for: `binary(16)` for sixteen.
fn size(declared: &str) -> Option<u32> {
    declared.split(['(', ')']).nth(1)?.trim().parse().ok()
}
