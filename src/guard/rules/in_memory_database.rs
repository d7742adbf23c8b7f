//! The application's database lives in memory and dies with the process.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{application_code, regex, settings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "in-memory-database",
    severity: Severity::Error,
    files,
    why: "the application's database URL is in memory: every restart loses every row",
    check,
};

static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"sqlite(?:\+\w+)?:///?:memory:|sqlite::memory:|jdbc:(?:h2|hsqldb):mem:\w*|jdbc:sqlite::memory:|file::memory:|["']sqlite(?:\+\w+)?://["']"#,
    )
});
/// `storage: ':memory:'` of Sequelize, `database: ':memory:'` of TypeORM, Django's NAME.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:\b(?:storage|database|filename|dbName)\b|["']NAME["'])["']?\s*[:=]\s*["'](:memory:)["']"#,
    )
});
/// The line says that this is where the application's data goes.
static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:database|db|datasource|sqlalchemy|connection|conn)[\w.\-]*(?:url|uri|dsn|string)|\burl\b|create_(?:async_)?engine|new\s+Sequelize|connectionString|^\s*DATABASE\w*",
    )
});
static FALLBACK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"getenv|environ|\|\||\?\?|:-|unwrap_or|ENV\.fetch|ENV\[|def\s|default\s*=|[Gg]etEnv|\$\{",
    )
});

fn files(file: &SourceFile) -> bool {
    application_code(file) || settings(file)
}

fn check(file: &SourceFile, _: &Tree, violations: &mut Violations<'_>) {
    let code = file.code();
    let urls = URL
        .find_iter(code)
        .map(|found| (found.start(), found.as_str(), true));
    let keys = KEY.captures_iter(code).filter_map(|found| found.get(1));
    let keys = keys.map(|found| (found.start(), found.as_str(), false));
    for (at, url, needs_setting) in urls.chain(keys) {
        let start = code[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = code[at..].find('\n').map_or(code.len(), |len| at + len);
        let line = &code[start..end];
        // What is only compared or documented (`if url == "sqlite://"`) is not a setting.
        let compared = line.contains("==")
            || line.contains("startswith")
            || line.contains("includes(")
            || line.contains("startsWith")
            || line.contains("!=")
            || line.contains(" in ");
        if (needs_setting && !SETTING.is_match(line)) || compared {
            continue;
        }
        let asked = file.conditions(at);
        if asked
            .iter()
            .any(|condition| condition.to_lowercase().contains("test"))
        {
            continue;
        }
        let url = url.trim_matches(['"', '\'']);
        let fallback = FALLBACK.is_match(line) || !asked.is_empty();
        let harm = if fallback {
            format!(
                "if no database is configured, `{url}` is used, and every restart loses every row"
            )
        } else {
            format!("the database is `{url}`: every restart loses every row")
        };
        let mut violation = Violation::new(
            at,
            harm,
            "use a persistent database, and let a missing setting stop the start",
        );
        violation.severity = fallback.then_some(Severity::Warning);
        violations.add(file, violation);
    }
}
