//! Whole numbers that are times since 1970 UTC: their size shows their unit.

/// The units of a time as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// The unit of a time between 1973 and 5138; nothing for a smaller number.
pub fn unit(number: i64) -> Option<Unit> {
    match number.unsigned_abs() {
        n if n < 100_000_000 => None,
        n if n < 100_000_000_000 => Some(Unit::Seconds),
        n if n < 100_000_000_000_000 => Some(Unit::Milliseconds),
        n if n < 100_000_000_000_000_000 => Some(Unit::Microseconds),
        _ => Some(Unit::Nanoseconds),
    }
}

/// A time in microseconds.
pub fn micros(number: i64) -> Option<i64> {
    match unit(number)? {
        Unit::Seconds => number.checked_mul(1_000_000),
        Unit::Milliseconds => number.checked_mul(1_000),
        Unit::Microseconds => Some(number),
        Unit::Nanoseconds => Some(number / 1_000),
    }
}

/// Whether a number is that time, which is in microseconds, in any unit.
pub fn is(number: i64, time: i64) -> bool {
    number == time || micros(number) == Some(time)
}

/// A time in another unit. A part of a unit counts as a whole one: what is later than a whole one
/// stays so.
pub fn to(unit: Unit, number: i64) -> i64 {
    let time = match micros(number) {
        Some(time) if self::unit(number) != Some(unit) => time,
        Some(_) | None => return number,
    };
    let up = |scale: i64| time.div_euclid(scale) + i64::from(time.rem_euclid(scale) > 0);
    match unit {
        Unit::Seconds => up(1_000_000),
        Unit::Milliseconds => up(1_000),
        Unit::Microseconds => time,
        Unit::Nanoseconds => time.saturating_mul(1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{Unit, is, micros, to};

    const TIMES: [(Unit, i64); 4] = [
        (Unit::Seconds, 1_700_000_000),
        (Unit::Milliseconds, 1_700_000_000_000),
        (Unit::Microseconds, 1_700_000_000_000_000),
        (Unit::Nanoseconds, 1_700_000_000_000_000_000),
    ];

    #[test]
    fn a_moment_is_the_same_in_every_unit() {
        for (_, number) in TIMES {
            assert_eq!(micros(number), Some(1_700_000_000_000_000));
            assert!(is(number, 1_700_000_000_000_000) && !is(number, 1_700_000_000_000_001));
            for (unit, expected) in TIMES {
                assert_eq!(to(unit, number), expected);
            }
        }
        assert_eq!(micros(12), None);
        assert_eq!(to(Unit::Seconds, 12), 12);
        assert_eq!(to(Unit::Seconds, 1_700_000_000_001), 1_700_000_001);
    }
}
