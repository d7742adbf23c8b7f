//! The form in which a value can be compared with one of another type. Pure.

use super::{quoted, text_literal};
use crate::db::session::witness::{Field, Form};
use crate::model::ShapeColumn;

/// What matters of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Float,
    Boolean,
    /// A time in UTC, or one that is taken for it.
    Time,
    Document,
    Text,
    Uuid,
    Array,
    Bytes,
    Address,
    Money,
    /// A time of the day, or how long something takes.
    Span,
    /// So many bits, and no more than a number has.
    Bits,
    Other,
}

/// How many bits a number has room for, besides its sign.
const BITS: u32 = 63;

fn of(column: &ShapeColumn) -> Type {
    let declared = column.declared.as_str();
    if declared.ends_with("[]") {
        return Type::Array;
    }
    // What a type takes is behind it in parentheses, and a zone behind that.
    let name = declared.split('(').next().unwrap_or_default().trim_end();
    match name
        .strip_suffix(" with time zone")
        .or(name.strip_suffix(" without time zone"))
        .unwrap_or(name)
    {
        "smallint" | "integer" | "bigint" | "numeric" => Type::Number,
        "real" | "double precision" => Type::Float,
        "boolean" => Type::Boolean,
        "timestamp" | "date" => Type::Time,
        "json" | "jsonb" => Type::Document,
        "text" | "character" | "character varying" => Type::Text,
        "uuid" => Type::Uuid,
        "bytea" => Type::Bytes,
        "inet" => Type::Address,
        "money" => Type::Money,
        "time" | "interval" => Type::Span,
        "bit" if arity(declared).is_some_and(|bits| bits <= BITS) => Type::Bits,
        _ => Type::Other,
    }
}

/// What a type takes in parentheses: `bit(8)` has eight bits.
fn arity(declared: &str) -> Option<u32> {
    declared.split(['(', ')']).nth(1)?.parse().ok()
}

/// Whether a column is an array of floats, such as an embedding.
fn holds_floats(column: &ShapeColumn) -> bool {
    matches!(column.declared.as_str(), "real[]" | "double precision[]")
}

/// Whether a column has instants, and not times that have no zone.
fn holds_instants(column: &ShapeColumn) -> bool {
    column.declared.ends_with(" with time zone")
}

/// The same where new sessions have another zone than UTC: a time without a zone is read in both, next to an
/// instant.
pub(super) fn form_in(zone: &str, own: &ShapeColumn, other: &ShapeColumn) -> Field {
    let are_times = [own, other].map(|it| of(it) == Type::Time) == [true, true];
    if !are_times || holds_instants(own) == holds_instants(other) {
        return form(own, other);
    }
    let column = quoted(&own.name);
    let in_utc = time(&column);
    Field {
        sql: if holds_instants(own) {
            in_utc
        } else {
            let zone = text_literal(zone);
            format!(
                "{in_utc} || '|' || pg_catalog.timezone({zone}, {column}::pg_catalog.timestamp)::pg_catalog.text"
            )
        },
        form: Form::InUtc,
    }
}

/// A value of a column, to be compared with one of another.
pub(super) fn form(own: &ShapeColumn, other: &ShapeColumn) -> Field {
    let column = quoted(&own.name);
    let raw = format!("{column}::pg_catalog.text");
    // What a type of the user's own is cast to, a cast of the user's own may say. As its type writes it, two
    // values are never one; a domain is cast to what it is made of by the server.
    let is_of_user = own.declared.contains('.') && of(other) != Type::Boolean;
    let is_other = matches!(
        of(own),
        Type::Array | Type::Address | Type::Money | Type::Span | Type::Bits | Type::Other
    );
    let as_it_is = Field {
        sql: if is_other && (is_of_user || own.declared == other.declared) {
            column.clone()
        } else {
            raw.clone()
        },
        form: Form::Raw,
    };
    if own.declared == other.declared {
        return as_it_is;
    }
    let (sql, form) = match (of(own), of(other)) {
        (Type::Document | Type::Text, Type::Document) | (Type::Document, Type::Array) => {
            (raw, Form::Document)
        }
        (Type::Document, Type::Text) => (raw, Form::Composed),
        (Type::Text, Type::Array) => (raw, Form::Wrapped),
        (Type::Array, Type::Text) => (as_it_is.sql, Form::Listed),
        (Type::Text, Type::Bytes) => (raw, Form::Plain),
        (Type::Bytes, Type::Text) => (format!("pg_catalog.encode({column}, 'hex')"), Form::Hex),
        (Type::Array, Type::Document) => (
            format!("pg_catalog.to_jsonb({column})::pg_catalog.text"),
            Form::Document,
        ),
        _ => match text_of(own, other) {
            Some(sql) => (sql, Form::Raw),
            None => return as_it_is,
        },
    };
    Field { sql, form }
}

/// The text that a value has in both types, as SQL; nothing where it is as its type writes it.
fn text_of(own: &ShapeColumn, other: &ShapeColumn) -> Option<String> {
    let column = quoted(&own.name);
    let raw = format!("{column}::pg_catalog.text");
    let sql = match (of(own), of(other)) {
        (Type::Array, Type::Array) if [own, other].into_iter().all(holds_floats) => {
            format!("{column}::pg_catalog.float8[]::pg_catalog.text")
        }
        (Type::Float, Type::Float) => format!("{column}::pg_catalog.float8::pg_catalog.text"),
        (Type::Number | Type::Float, Type::Number | Type::Float) => number(&raw),
        (Type::Number, Type::Text) if own.declared.starts_with("numeric") => number(&raw),
        (Type::Float, Type::Text) => number(&raw),
        (Type::Text, Type::Number | Type::Float) => number_of_text(&column, &raw),
        (Type::Text, Type::Time) => time_of_text(&column, &raw),
        (Type::Time, Type::Time | Type::Text) => time(&column),
        (Type::Number | Type::Float, Type::Time) => epoch(&number(&raw)),
        (Type::Time, Type::Number | Type::Float) => format!(
            "pg_catalog.trim_scale(extract(epoch FROM {column}::pg_catalog.timestamptz)::pg_catalog.numeric)::pg_catalog.text"
        ),
        (Type::Number, Type::Boolean) => {
            format!("CASE {raw} WHEN '0' THEN 'false' WHEN '1' THEN 'true' ELSE {raw} END")
        }
        (Type::Text, Type::Boolean) => truth_of_text(&raw),
        (Type::Bytes, Type::Uuid) => format!("pg_catalog.encode({column}, 'hex')"),
        (Type::Uuid, Type::Bytes) => format!("pg_catalog.replace({raw}, '-', '')"),
        (Type::Address, Type::Text) => address(&column),
        (Type::Text, Type::Address) => {
            let address = address(&format!("{column}::pg_catalog.inet"));
            // A word without a colon is none.
            let four = "[0-9]{1,3}([.][0-9]{1,3}){3}";
            let six = "[0-9a-fA-F]*:[0-9a-fA-F:]*:?[0-9a-fA-F.:]*";
            let like = format!("^({four}|{six})(/[0-9]{{1,3}})?$");
            only_like(&raw, &like, &address)
        }
        (Type::Text, Type::Span) => span_of_text(&column, (&raw, &other.declared)),
        (Type::Span, Type::Span) => return span_of_day(&column, own, other),
        (Type::Span, Type::Number | Type::Float) => return seconds(&column, own),
        (Type::Number | Type::Float, Type::Span | Type::Bits) => number(&raw),
        (Type::Bits, Type::Number | Type::Float) => {
            format!("{column}::pg_catalog.int8::pg_catalog.text")
        }
        (Type::Number, Type::Money) => number(&raw),
        (Type::Money, Type::Number) => {
            number(&format!("{column}::pg_catalog.numeric::pg_catalog.text"))
        }
        (Type::Text, Type::Uuid) => {
            // Not the digest of something, which has more digits.
            let digits = "[0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}";
            let like = format!("^({digits}|[{{]{digits}[}}])$");
            let form = format!("{column}::pg_catalog.uuid::pg_catalog.text");
            only_like(&raw, &like, &form)
        }
        _ => return None,
    };
    Some(sql)
}

/// A number with all its digits and without its scale: a cast of a float to numeric would round it,
/// its shortest text does not. What is not a finite number stays what it is.
fn number(raw: &str) -> String {
    format!(
        "CASE WHEN {raw} ~ '^-?[0-9.]+(e[-+]?[0-9]+)?$' THEN pg_catalog.trim_scale({raw}::pg_catalog.numeric)::pg_catalog.text ELSE {raw} END"
    )
}

/// The text of a number; one that has zeros before it is a code.
fn number_of_text(column: &str, raw: &str) -> String {
    format!(
        "CASE WHEN {raw} ~ '^-?(0|[1-9][0-9]*)([.][0-9]+)?(e[-+]?[0-9]+)?$' THEN pg_catalog.trim_scale({column}::pg_catalog.numeric)::pg_catalog.text ELSE {raw} END"
    )
}

/// What the server's own cast takes for true or false; another word stays what it is.
fn truth_of_text(raw: &str) -> String {
    let word = format!("pg_catalog.lower(pg_catalog.btrim({raw}))");
    format!(
        "CASE WHEN {word} IN ('t', 'tr', 'tru', 'true', 'y', 'ye', 'yes', 'on', '1') THEN 'true' \
         WHEN {word} IN ('f', 'fa', 'fal', 'fals', 'false', 'n', 'no', 'of', 'off', '0') THEN 'false' \
         ELSE pg_catalog.lower({raw}) END"
    )
}

fn time(column: &str) -> String {
    format!("{column}::pg_catalog.timestamptz::pg_catalog.text")
}

/// A text in the form that its type gives it where it looks like a value of this type. Another one, such as an
/// empty text, has no form in it and stays what it is: a cast of it would end the reading of all rows.
fn only_like(raw: &str, like: &str, form: &str) -> String {
    format!("CASE WHEN {raw} ~ '{like}' THEN {form} ELSE {raw} END")
}

/// The text of a time, unless it has digits that a time does not have, or none but zeros: MySQL writes those
/// for no time.
fn time_of_text(column: &str, raw: &str) -> String {
    format!(
        "CASE WHEN {raw} ~ '[.][0-9]{{6}}0*[1-9]' OR {raw} !~ '[1-9]' OR {raw} ~ '^0000-00-00' THEN {raw} ELSE {} END",
        time(column)
    )
}

/// An address without the length of its network, where that is the address alone.
fn address(address: &str) -> String {
    format!(
        "CASE WHEN pg_catalog.masklen({address}) = CASE pg_catalog.family({address}) WHEN 4 THEN 32 ELSE 128 END \
         THEN pg_catalog.host({address}) ELSE {address}::pg_catalog.text END"
    )
}

/// The text of a time of the day or of an interval, unless it has digits that these do not have.
fn span_of_text(column: &str, (raw, declared): (&str, &str)) -> String {
    // Without the precision that the type was given, which would round it.
    // A time of day drops a date that is written before it, and a zone behind it.
    let of_day = "[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?";
    let (kind, is_one) = if declared.starts_with("interval") {
        (
            "interval",
            format!("{raw} !~ '[.][0-9]{{6}}0*[1-9]' AND {raw} ~ '[0-9]'"),
        )
    } else if declared.ends_with(" with time zone") {
        (
            "timetz",
            format!("{raw} ~ '^{of_day}[-+][0-9]{{2}}(:?[0-9]{{2}})?$'"),
        )
    } else {
        ("time", format!("{raw} ~ '^{of_day}$'"))
    };
    format!("CASE WHEN {is_one} THEN {column}::pg_catalog.{kind}::pg_catalog.text ELSE {raw} END")
}

/// A time of day with a zone next to one without: without its zone where that is UTC, which the other one
/// is taken to be in.
fn span_of_day(column: &str, own: &ShapeColumn, other: &ShapeColumn) -> Option<String> {
    let is_day = |it: &ShapeColumn| it.declared.starts_with("time");
    if !is_day(own) || !is_day(other) {
        return None;
    }
    let raw = format!("{column}::pg_catalog.text");
    let bare = format!("{column}::pg_catalog.time::pg_catalog.text");
    Some(if holds_instants(own) && !holds_instants(other) {
        format!("CASE WHEN extract(timezone FROM {column}) = 0 THEN {bare} ELSE {raw} END")
    } else {
        raw
    })
}

/// The seconds of a time of day without a zone, or of an interval without days and months: these have no
/// number of seconds.
fn seconds(column: &str, own: &ShapeColumn) -> Option<String> {
    let seconds = format!(
        "pg_catalog.trim_scale(extract(epoch FROM {column})::pg_catalog.numeric)::pg_catalog.text"
    );
    if own.declared.starts_with("interval") {
        let longer =
            ["year", "month", "day"].map(|part| format!("extract({part} FROM {column}) = 0"));
        let raw = format!("{column}::pg_catalog.text");
        let plain = longer.join(" AND ");
        Some(format!("CASE WHEN {plain} THEN {seconds} ELSE {raw} END"))
    } else {
        (!holds_instants(own)).then_some(seconds)
    }
}

/// Seconds since 1970 of a number of seconds, or of as many thousandths or millionths as make a time
/// of our age.
fn epoch(number: &str) -> String {
    let seconds = format!("({number})::pg_catalog.numeric");
    format!(
        "pg_catalog.trim_scale(CASE WHEN pg_catalog.abs({seconds}) >= 1e14 THEN {seconds} / 1e6 \
         WHEN pg_catalog.abs({seconds}) >= 1e11 THEN {seconds} / 1e3 ELSE {seconds} END)::pg_catalog.text"
    )
}

#[cfg(test)]
mod tests {
    use super::{Type, form, of};
    use crate::model::ShapeColumn;

    #[test]
    fn a_type_is_known_by_its_whole_name() {
        for (declared, is) in [
            ("integer", Type::Number),
            ("integer[]", Type::Array),
            ("numeric(10,2)", Type::Number),
            ("character varying(20)", Type::Text),
            ("timestamp(3) with time zone", Type::Time),
            ("timestamp without time zone", Type::Time),
            ("text_of_mine", Type::Other),
            ("public.\"integer\"", Type::Other),
            ("\"json\"", Type::Other),
            ("bytea", Type::Bytes),
            ("time without time zone", Type::Span),
            ("double precision", Type::Float),
            ("bit(8)", Type::Bits),
            ("bit(64)", Type::Other),
            ("bit varying(8)", Type::Other),
            ("bit varying", Type::Other),
        ] {
            let column = ShapeColumn {
                declared: declared.to_owned(),
                ..ShapeColumn::default()
            };
            assert_eq!(of(&column), is, "{declared}");
        }
    }

    #[test]
    fn arrays_of_floats_are_compared_by_their_numbers() {
        let column = |declared: &str| ShapeColumn {
            name: "v".to_owned(),
            declared: declared.to_owned(),
            ..ShapeColumn::default()
        };
        let sql = |own, other| form(&column(own), &column(other)).sql;
        let widened = "\"v\"::pg_catalog.float8[]::pg_catalog.text";
        assert_eq!(sql("real[]", "double precision[]"), widened);
        assert_eq!(sql("double precision[]", "real[]"), widened);
        for (own, other) in [
            ("real[]", "text[]"),
            ("numeric[]", "double precision[]"),
            ("real[]", "numeric[]"),
        ] {
            let as_written = "\"v\"::pg_catalog.text";
            assert_eq!(sql(own, other), as_written, "{own} {other}");
        }
    }
}
