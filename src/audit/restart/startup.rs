//! What a server logs at its start about tables that it destroys or creates. Pure.

use super::ways::Way;
use crate::report::{Finding, Severity, Source};
use regex::RegexSet;
use std::sync::LazyLock;

/// What is written when tables are destroyed: by SQLAlchemy's echo, by ORMs, and by people.
const DESTROYS: &[&str] = &[
    r"(?i)\bdrop\s+(table|database|schema)\b",
    r"(?i)\btruncate\s+(table\b|\x22|`|\w+\s*(,|;|$|restart|cascade))",
    r"\bdrop_all\b",
    r"(?i)\bdropping\s+(all|existing|every)\b",
    r"\bRunning downgrade\b",
];
/// What is written when a table is made, which a store that is full has no need of.
const MAKES: &[&str] = &[r"(?i)\bcreate\s+table\b"];
/// What harms nothing: a statement that does nothing where the table is, or one about a table of
/// the migration's own.
const HARMLESS: &[&str] = &[
    r"(?i)\bcreate\s+table\s+if\s+not\s+exists\b",
    r"(?i)\b_alembic_tmp_",
    r"(?i)\bcreate\s+(temp|temporary)\s+table\b",
];

static LOOK: LazyLock<[RegexSet; 3]> = LazyLock::new(|| {
    [DESTROYS, MAKES, HARMLESS].map(|set| RegexSet::new(set).expect("the patterns are valid"))
});

/// The lines of a start-up log that speak of destroying or making tables.
pub(super) fn suspicious<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let [destroys, makes, harmless] = &*LOOK;
    lines
        .filter(|line| !harmless.is_match(line))
        .filter(|line| destroys.is_match(line) || makes.is_match(line))
        .collect()
}

/// The finding on such lines: an error where a restart lost something too.
pub(super) fn finding(session: &str, way: &Way, lines: &[&str], lost: bool) -> Option<Finding> {
    /// How many lines are shown; a schema may have hundreds of tables.
    const SHOWN: usize = 3;
    if lines.is_empty() {
        return None;
    }
    let (severity, harm) = if lost {
        (
            Severity::Error,
            format!(
                "at its start after {} the server drops or creates tables, and messages are gone",
                way.words
            ),
        )
    } else {
        (
            Severity::Warning,
            format!(
                "at its start after {} the server's output mentions dropping or creating tables of a store that is in use",
                way.words
            ),
        )
    };
    let help =
        "remove it from the start-up code, and change the tables by a migration that runs once";
    let finding = Finding::new("startup-ddl", severity, session, harm, help);
    let shown = lines.iter().take(SHOWN);
    Some(shown.fold(finding, |finding, line| finding.with(Source::Log, *line)))
}

#[cfg(test)]
mod tests {
    use super::{finding, suspicious};
    use crate::audit::restart::WAYS;
    use crate::report::Severity;

    #[test]
    fn what_destroys_or_makes_is_seen() {
        for line in [
            "INFO sqlalchemy.engine.Engine DROP TABLE message",
            "[HARD RESET] Dropping all existing tables...",
            "INFO  [alembic.runtime.migration] Running downgrade 2 -> 1, drop",
            "Executing (default): DROP TABLE IF EXISTS \"message\";",
            "Prisma: TRUNCATE TABLE message",
            "CREATE TABLE message (",
            "calling metadata.drop_all(engine)",
            "TRUNCATE message RESTART IDENTITY",
        ] {
            assert_eq!(suspicious([line].into_iter()), [line]);
        }
    }

    #[test]
    fn what_harms_nothing_is_passed_over() {
        for line in [
            "INFO: Application startup complete.",
            "CREATE TABLE IF NOT EXISTS message (",
            "DROP TABLE _alembic_tmp_message",
            "Running upgrade 1 -> 2, add a column",
            "the answer was truncated to 20 tokens",
            "CREATE INDEX ix ON message (id)",
        ] {
            assert!(suspicious([line].into_iter()).is_empty(), "{line}");
        }
    }

    #[test]
    fn it_is_an_error_where_something_is_lost() {
        let of = |lost| finding("s", &WAYS[0], &["DROP TABLE message"], lost).unwrap();
        assert_eq!(of(true).severity, Severity::Error);
        assert_eq!(of(false).severity, Severity::Warning);
        assert!(finding("s", &WAYS[0], &[], true).is_none());
    }
}
