//! Times in the many forms in which stores keep them, as microseconds since 1970 UTC.

/// A time in text: RFC 3339, SQL's form with a blank, with or without a zone (then UTC), or a number.
pub fn of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    // Java writes the zone's name behind its offset.
    let text = match text.split_once('[') {
        Some((time, zone)) if zone.ends_with(']') => time,
        _ => text,
    };
    let bytes = text.as_bytes();
    // A date is recognized at once: there is one in every message.
    let Some([year @ .., b'-', m1, m2, b'-', d1, d2]) = bytes.get(..10) else {
        return of_number(text.parse().ok()?);
    };
    let (year, month, day) = (digits(year)?, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?);
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let rest = match &bytes[10..] {
        [b'T' | b't' | b' ', rest @ ..] => rest,
        rest => rest,
    };
    let is_zone = |byte: &u8| matches!(byte, b'Z' | b'z' | b'+' | b'-' | b' ');
    let zone_at = rest.iter().position(is_zone).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let micros = clock_of(clock)? - zone_of(zone.trim_ascii())?;
    Some(days * DAY + micros)
}

/// A time as a number: seconds, milliseconds, microseconds or nanoseconds, told by its size.
/// All four are taken for a time between 1973 and 5138.
pub(super) fn of_number(number: f64) -> Option<i64> {
    let scale = match number.abs() {
        n if n < 1e8 => return None,
        n if n < 1e11 => 1e6,
        n if n < 1e14 => 1e3,
        n if n < 1e17 => 1.0,
        n if n < 1e20 => 1e-3,
        _ => return None,
    };
    // Below 2^53 a whole number of microseconds is exact.
    Some((number * scale).round() as i64)
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn digits(text: &[u8]) -> Option<i64> {
    let digit = |number: i64, byte: &u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    };
    (!text.is_empty()).then(|| text.iter().try_fold(0, digit))?
}

/// `HH`, `HH:MM`, `HH:MM:SS` or with a fraction; none is midnight.
fn clock_of(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let point = text.iter().position(|byte| matches!(byte, b'.' | b','));
    let (whole, fraction) = text.split_at(point.unwrap_or(text.len()));
    let (hours, minutes, seconds) = match whole {
        [h1, h2, b':', m1, m2, b':', s1, s2] => (
            digits(&[*h1, *h2])?,
            digits(&[*m1, *m2])?,
            digits(&[*s1, *s2])?,
        ),
        _ => {
            let mut parts = whole.splitn(3, |byte| *byte == b':');
            let mut next = || parts.next().map_or(Some(0), digits);
            (next()?, next()?, next()?)
        }
    };
    let valid = hours <= 24 && minutes < 60 && seconds <= 60;
    let mut micros = 0;
    if !fraction.is_empty() {
        for place in 1..=6 {
            micros = micros * 10 + fraction.get(place..=place).map_or(Some(0), digits)?;
        }
    }
    valid.then_some((hours * 3_600 + minutes * 60 + seconds) * SECOND + micros)
}

/// `Z`, `+02`, `+0200`, `+02:00`, `+02:00:30`, `UTC` or nothing.
fn zone_of(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        b"" | b"Z" | b"z" | b"UTC" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let plain: Vec<_> = rest.iter().copied().filter(|byte| *byte != b':').collect();
    let pair = |at: usize| plain.get(at..at + 2).map_or(Some(0), digits);
    Some(sign * (pair(0)? * 3_600 + pair(2)? * 60 + pair(4)?) * SECOND)
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{of_number, of_text};
    use crate::model::epoch;

    #[test]
    fn one_moment_in_every_form() {
        let moment = Some(1_700_000_000_123_456);
        for text in [
            "2023-11-14T22:13:20.123456Z",
            "2023-11-14 22:13:20.123456",
            "2023-11-14 22:13:20.123456+00",
            "2023-11-15T00:13:20.1234567+02:00",
            "2023-11-14 17:43:20.123456-0430",
            "2023-11-14T23:13:20.123456+01:00[Europe/Berlin]",
            "1700000000.123456",
        ] {
            assert_eq!(of_text(text), moment, "{text}");
        }
        assert_eq!(of_text("2023-11-14"), Some(1_699_920_000_000_000));
        assert_eq!(
            of_text("2023-11-14 22:13"),
            Some(1_700_000_000_000_000 - 20_000_000)
        );
    }

    #[test]
    fn a_numbers_size_shows_its_unit() {
        let moment = Some(1_700_000_000_000_000);
        for number in [
            1_700_000_000,
            1_700_000_000_000,
            1_700_000_000_000_000,
            1_700_000_000_000_000_000,
        ] {
            assert_eq!(epoch::micros(number), moment);
            assert_eq!(of_number(number as f64), moment);
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            "soon",
            "2023-13-01",
            "2023-02-29",
            "2023-04-31",
            "2023-11-14T25:00:00",
            "14.11.2023 10:00",
            "äöüäöüä",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
