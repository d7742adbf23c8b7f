//! PostgreSQL's times and UUIDs, as the server prints them. It takes the server several times as
//! long: every row would be a text there before it is sent.

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// From 0000-03-01, where the leap day is a year's last, to 2000-01-01, where PostgreSQL counts from.
const DAYS_BEFORE: i64 = 730_425;

/// A `timestamp` of microseconds since 2000; `zone` is what is behind it.
pub(super) fn time(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let (year, month, day) = civil(micros.div_euclid(DAY));
    let within = micros.rem_euclid(DAY);
    let (seconds, fraction) = (within / SECOND, within % SECOND);
    // There is no year 0.
    let (year, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    let mut text = String::with_capacity(32);
    let clock = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    padded(&mut text, year, 4);
    for (mark, number) in [
        ('-', month),
        ('-', day),
        (' ', clock.0),
        (':', clock.1),
        (':', clock.2),
    ] {
        text.push(mark);
        padded(&mut text, number, 2);
    }
    if fraction > 0 {
        text.push('.');
        padded(&mut text, fraction, 6);
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push_str(zone);
    text.push_str(era);
    text
}

pub(super) fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

/// The digits of a number that is not negative, at least so many.
fn padded(text: &mut String, number: i64, width: usize) {
    if width > 1 || number > 9 {
        padded(text, number / 10, width.saturating_sub(1));
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": of days since 2000.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::{DAY, time, uuid};

    /// As PostgreSQL 15 prints `'…'::timestamp` and `extract(epoch from …)` counts them.
    #[test]
    fn times_are_printed_as_the_server_prints_them() {
        for (micros, printed) in [
            (0, "2000-01-01 00:00:00"),
            (1, "2000-01-01 00:00:00.000001"),
            (-1, "1999-12-31 23:59:59.999999"),
            (59 * DAY, "2000-02-29 00:00:00"),
            (500_000, "2000-01-01 00:00:00.5"),
            (820_454_400_120_000, "2025-12-31 00:00:00.12"),
            (252_455_616_000_000_000, "10000-01-01 00:00:00"),
            (-63_113_904_000_000_000, "0001-01-01 00:00:00 BC"),
            (i64::MAX, "infinity"),
            (i64::MIN, "-infinity"),
        ] {
            assert_eq!(time(micros, ""), printed);
        }
        assert_eq!(time(0, "+00"), "2000-01-01 00:00:00+00");
        assert_eq!(
            time(-63_113_904_000_000_000, "+00"),
            "0001-01-01 00:00:00+00 BC"
        );
    }

    #[test]
    fn a_uuid() {
        let bytes = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(uuid(bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
