//! Whether a file says itself in which time zone it reads times. Pure.

use crate::migrate::intent::Intent;

pub(super) fn is_named(intent: &Intent<'_>) -> bool {
    intent.pieces.iter().any(|piece| names_zone(piece.text))
}

/// By `AT TIME ZONE`, `timezone()`, or a setting.
fn names_zone(statement: &str) -> bool {
    let lower = statement.to_lowercase();
    let words: Vec<_> = lower
        .split(|it: char| !it.is_alphanumeric() && it != '_')
        .filter(|it| !it.is_empty())
        .collect();
    let has_two = || words.windows(2).any(|it| it == ["time", "zone"]);
    let is_set = words.first() == Some(&"set") && (words.contains(&"timezone") || has_two());
    let calls = lower.contains("timezone(") || lower.contains("'timezone'");
    is_set || calls || words.windows(3).any(|it| it == ["at", "time", "zone"])
}

#[cfg(test)]
mod tests {
    use super::names_zone;

    #[test]
    fn a_type_names_no_zone() {
        for (statement, is) in [
            ("ALTER TABLE users ADD COLUMN timezone text", false),
            ("SELECT set_config('timezone', 'UTC', true)", true),
            ("ALTER TABLE t ALTER c TYPE timestamp with time zone", false),
            (
                "ALTER TABLE t ALTER c TYPE timestamptz USING c AT TIME ZONE 'UTC'",
                true,
            ),
            ("UPDATE t SET c = timezone('Europe/Berlin', d)", true),
            ("SET LOCAL TIME ZONE 'Europe/Berlin'", true),
            ("set timezone = 'UTC'", true),
        ] {
            assert_eq!(names_zone(statement), is, "{statement}");
        }
    }
}
