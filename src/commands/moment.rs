//! Moments, durations and counts on the command line.

use crate::cli_error::CliError;
use crate::clock::{calendar, micros};
use crate::store::time_of_text;
use std::str::FromStr;
use std::time::Duration;

/// How long ago, or a time: `24h`, `2026-11-21`, `2026-11-21T08:00:00Z`; in microseconds since 1970
/// UTC.
pub(super) fn moment(flag: &str, text: &str) -> Result<i64, CliError> {
    let ago = humantime::parse_duration(text).ok();
    ago.map(|ago| calendar().saturating_sub(micros(ago)))
        .or_else(|| time_of_text(text))
        .ok_or_else(|| {
            CliError::usage(format!("`{flag} {text}` is neither a time nor a duration")).hint(format!(
                "{flag} 24h for a day ago, or {flag} 2026-11-21T08:00:00Z (UTC unless it has a zone)"
            ))
        })
}

/// `3s`, `500ms`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| match text.parse::<f64>() {
        Ok(_) => format!("a duration needs a unit: {text}s"),
        Err(_) if !text.starts_with(|first: char| first.is_ascii_digit()) => {
            "a duration is a number with a unit, such as 30s".to_owned()
        }
        Err(_) => error.to_string(),
    })
}

/// A number of things.
pub(super) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    let number = text.parse();
    number.map_err(|_| "it takes a whole number from 0 on, such as 50".to_owned())
}

/// The span between two moments of the command line; each may be left out.
pub(super) fn span(
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(Option<i64>, Option<i64>), CliError> {
    let since_at = since.map(|text| moment("--since", text)).transpose()?;
    let until_at = until.map(|text| moment("--until", text)).transpose()?;
    if let (Some(from), Some(to)) = (since_at, until_at)
        && from > to
    {
        return Err(CliError::usage(format!(
            "--since {} is after --until {}",
            since.unwrap_or_default(),
            until.unwrap_or_default()
        ))
        .hint("--since is the earlier one: --since 24h --until 1h"));
    }
    Ok((since_at, until_at))
}

#[cfg(test)]
mod tests {
    use super::{Duration, calendar, duration, moment, span};

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let day = 86_400_000_000;
        for (text, ago) in [("24h", day), ("1day", day), ("90s", 90_000_000)] {
            let apart = (calendar() - ago).abs_diff(moment("--since", text).unwrap());
            assert!(apart < 60_000_000, "{text}: {apart}");
        }
        let eight = 1_795_248_000_000_000;
        for text in [
            "2026-11-21T08:00:00Z",
            "2026-11-21 08:00:00",
            "2026-11-21T09:00:00+01:00",
            "1795248000",
        ] {
            assert_eq!(moment("--since", text).unwrap(), eight, "{text}");
        }
        assert_eq!(moment("--since", "2026-11-21").unwrap(), eight - day / 3);
        for text in ["", "24", "yesterday", "2026-13-01", "-1h"] {
            let stop = moment("--until", text).unwrap_err();
            assert!(stop.message.contains("--until"), "{text}");
        }
    }

    #[test]
    fn a_number_without_its_unit_is_refused_with_one() {
        assert!(duration("foo").unwrap_err().contains("30s"));
        for (text, seconds) in [("60s", 60), ("24h", 86_400), ("1h 5m", 3_900)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("60").unwrap_err(), "a duration needs a unit: 60s");
        for text in ["-1s", "", "3x"] {
            let error = duration(text).unwrap_err();
            assert!(!error.contains("needs a unit"), "{text}: {error}");
        }
    }

    #[test]
    fn a_span_ends_after_it_begins() {
        let (from, to) = span(Some("24h"), Some("1h")).unwrap();
        assert!(from < to);
        assert_eq!(span(None, None).unwrap(), (None, None));
        let stop = span(Some("1h"), Some("24h")).unwrap_err();
        assert!(stop.message.contains("is after"), "{}", stop.message);
    }
}
