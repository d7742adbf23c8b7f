//! Equal times in different spellings: a text, or seconds or milliseconds since 1970.
//! Pure.

use crate::model::CellRef;

/// From this number on they are milliseconds: as seconds it would be the year 5138.
const MILLISECONDS: f64 = 1e11;

/// A time in microseconds since 1970. A text without a zone is in UTC. None for what is none.
pub(super) fn canonical(cell: CellRef<'_>) -> Option<i64> {
    match cell {
        CellRef::Int(number) if number.unsigned_abs() < 100_000_000_000 => {
            number.checked_mul(1_000_000)
        }
        CellRef::Int(number) => number.checked_mul(1_000),
        CellRef::Real(number) => of_real(number),
        CellRef::Text(text) => of_text(text),
        CellRef::Null | CellRef::Blob(_) | CellRef::Garbled(_) => None,
    }
}

fn of_real(number: f64) -> Option<i64> {
    let scale = if number.abs() < MILLISECONDS {
        1e6
    } else {
        1e3
    };
    let scaled = (number * scale).round();
    (scaled.abs() < 9e15).then(|| format!("{scaled:.0}").parse().ok())?
}

/// `2024-01-31 12:30:59.25+01:00`, with a T or a space, and with or without what is behind the
/// minutes.
fn of_text(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], zone(&time[at..])?),
        None => (time, 0),
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let clock = if clock.matches(':').count() == 1 {
        format!("{clock}:00")
    } else {
        clock.to_owned()
    };
    let [hour, minute, second] = numbers(&clock, ':')?;
    let is_time = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let is_fraction = fraction.len() <= 6 && fraction.bytes().all(|it| it.is_ascii_digit());
    if !is_time || !is_fraction || date.len() != 10 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - zone;
    Some(seconds * 1_000_000 + micros)
}

/// `Z`, `+01:00` or `+0100` in seconds.
fn zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text[1..].replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2)?;
    let [hours, minutes] =
        [hours, if minutes.is_empty() { "0" } else { minutes }].map(|it| it.parse::<i64>().ok());
    Some(sign * (hours? * 3_600 + minutes? * 60))
}

/// Three numbers of digits only.
fn numbers(text: &str, mark: char) -> Option<[i64; 3]> {
    let is_number = |part: &&str| part.len() >= 2 && part.bytes().all(|it| it.is_ascii_digit());
    let parts: Vec<_> = text.split(mark).filter(is_number).collect();
    let parts: Vec<i64> = parts.iter().filter_map(|it| it.parse().ok()).collect();
    parts.try_into().ok()
}

/// The days from 1970 to a date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use crate::model::CellRef;

    #[test]
    fn a_time_is_the_same_however_it_is_spelled() {
        let micros = Some(1_704_070_800_250_000);
        for text in [
            "2024-01-01 01:00:00.25",
            "2024-01-01T01:00:00.250Z",
            "2024-01-01T02:00:00.250+01:00",
            "2023-12-31 23:30:00.250000-0130",
        ] {
            assert_eq!(canonical(CellRef::Text(text)), micros, "{text}");
        }
        assert_eq!(canonical(CellRef::Int(1_704_070_800_250)), micros);
        assert_eq!(canonical(CellRef::Real(1_704_070_800.25)), micros);
        let whole = Some(1_704_070_800_000_000);
        assert_eq!(canonical(CellRef::Int(1_704_070_800)), whole);
        assert_eq!(canonical(CellRef::Text("2024-01-01 01:00")), whole);
        assert_eq!(
            canonical(CellRef::Text("1969-12-31 23:59:59")),
            Some(-1_000_000)
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2024-01-01",
            "2024-13-01 01:00:00",
            "2024-01-01 25:00:00",
            "2024-01-01 01:00:00.1234567",
            "2024-1-1 01:00:00",
            "see 2024-01-01 01:00:00",
            "2024-01-01 01:00:00 sharp",
        ] {
            assert_eq!(canonical(CellRef::Text(text)), None, "{text}");
        }
        assert_eq!(canonical(CellRef::Null), None);
    }
}
