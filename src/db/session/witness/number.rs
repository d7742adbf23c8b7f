//! Equal numbers of different types.

use crate::model::CellRef;

/// A number, or the text of one, with no digit more or less than it has. None for what is none.
pub(super) fn canonical(cell: CellRef<'_>) -> Option<String> {
    match cell {
        CellRef::Int(number) => Some(number.to_string()),
        CellRef::Real(number) => number.is_finite().then(|| plain(&format!("{number:e}")))?,
        CellRef::Text(text) => plain(text),
        CellRef::Null | CellRef::Blob(_) | CellRef::Garbled(_) => None,
    }
}

/// The text that SQLite makes of a number, where no digit of the number is lost by it. None for a
/// text, which is what it is.
pub(super) fn written(cell: CellRef<'_>) -> Option<String> {
    match cell {
        CellRef::Int(number) => Some(number.to_string()),
        CellRef::Real(number) if number.is_finite() => {
            // It has no zero below zero.
            let text = of_real(number + 0.0)?;
            (text.parse() == Ok(number)).then_some(text)
        }
        CellRef::Real(_)
        | CellRef::Text(_)
        | CellRef::Null
        | CellRef::Blob(_)
        | CellRef::Garbled(_) => None,
    }
}

/// As `%!.15g` writes it (sqlite.org/printf.html): fifteen digits, without the zeros at their end
/// but for one.
fn of_real(number: f64) -> Option<String> {
    let rounded = format!("{number:.14e}");
    let (mantissa, exponent) = rounded.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let trimmed = |digits: &str| {
        let digits = digits.trim_end_matches('0');
        let zero = if digits.ends_with('.') { "0" } else { "" };
        format!("{digits}{zero}")
    };
    if (-4..15).contains(&exponent) {
        let behind = usize::try_from(14 - exponent).ok()?;
        let plain = format!("{number:.behind$}");
        let point = if behind == 0 { "." } else { "" };
        return Some(trimmed(&format!("{plain}{point}")));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let size = exponent.abs();
    Some(format!("{}e{sign}{size:02}", trimmed(mantissa)))
}

/// `-12.50e1` as `-125`: a decimal number without its scale.
pub(super) fn plain(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Zeros before a number are part of a text, such as a code.
    let padded = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || padded || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let shift = exponent - i64::try_from(fraction.len()).ok()?;
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let short = significant.trim_end_matches('0');
    let shift = shift + i64::try_from(significant.len() - short.len()).ok()?;
    Some(match shift {
        0 => format!("{sign}{short}"),
        1..=400 => format!("{sign}{short}{}", "0".repeat(usize::try_from(shift).ok()?)),
        _ => format!("{sign}{short}e{shift}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{CellRef, canonical, written};

    #[test]
    fn a_number_is_itself_in_each_type_and_no_other() {
        let same = [
            (CellRef::Int(5), CellRef::Text("5")),
            (CellRef::Real(100.0), CellRef::Text("100.0")),
            (CellRef::Real(100.0), CellRef::Int(100)),
            (CellRef::Real(1.5), CellRef::Text("1.50")),
            (CellRef::Real(0.1), CellRef::Text("0.1")),
            (CellRef::Real(1e300), CellRef::Text("1.0e+300")),
            (CellRef::Real(-0.0), CellRef::Int(0)),
        ];
        for (a, b) in same {
            assert_eq!(canonical(a), canonical(b), "{a:?} {b:?}");
        }
        let other = [
            (
                CellRef::Real(1_767_225_600.123_451),
                CellRef::Text("1767225600.12345"),
            ),
            (
                CellRef::Int(9_007_199_254_740_993),
                CellRef::Real(9_007_199_254_740_992.0),
            ),
            (CellRef::Text("007"), CellRef::Int(7)),
            (CellRef::Text("+7"), CellRef::Int(7)),
            (CellRef::Text("7 "), CellRef::Int(7)),
            (CellRef::Text(""), CellRef::Int(0)),
        ];
        for (a, b) in other {
            assert_ne!(canonical(a), canonical(b), "{a:?} {b:?}");
        }
    }

    /// The texts are those of `CAST(… AS TEXT)` in SQLite.
    #[test]
    fn a_number_is_written_as_the_engine_writes_it() {
        for (number, text) in [
            (100.0, "100.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e300, "1.0e+300"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e15, "1.0e+15"),
        ] {
            assert_eq!(written(CellRef::Real(number)).as_deref(), Some(text));
        }
        assert_eq!(written(CellRef::Int(-7)).as_deref(), Some("-7"));
        // It has more digits than its text.
        assert_eq!(written(CellRef::Real(1_767_225_600.123_451)), None);
        assert_eq!(written(CellRef::Text("1.10")), None);
    }
}
