//! Django's commands that empty a database, in start scripts and in code that runs at start.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, code_that_may_start, commands, regex, start_files};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "django-flush",
    severity: Severity::Error,
    files,
    why: "Django's flush, reset_db or `migrate … zero` runs at start",
    check,
};

static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:manage\.py|django-admin)\s+(?:(flush|reset_db|reset_schema)\b|migrate\s[^;&|]*\b(zero)\b)",
    )
});
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\bcall_command\(\s*["'](?:(flush|reset_db|reset_schema)["']|migrate["'][^)]*["'](zero)["'])"#,
    )
});

fn files(file: &SourceFile) -> bool {
    start_files(file) || (code_that_may_start(file) && file.language == Language::Python)
}

fn harm(what: &str, when: &str) -> String {
    match what {
        "flush" => format!("`flush` deletes every row of every table {when}"),
        "zero" => format!("`migrate … zero` drops every table of the app {when}"),
        _ => format!("`{what}` drops the whole database {when}"),
    }
}

const HELP: &str = "remove the command; run `python manage.py migrate` alone at start";

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for (command, start) in commands(file, tree) {
        for found in COMMAND.captures_iter(&command.text) {
            let what = found
                .get(1)
                .or_else(|| found.get(2))
                .map_or("", |what| what.as_str());
            let at = found.get(0).map_or(0, |whole| whole.start());
            let mut violation = Violation::new(command.at + at, harm(what, &start.words), HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
    if file.language != Language::Python {
        return;
    }
    for found in CALL.captures_iter(file.code()) {
        let at = found.get(0).map_or(0, |whole| whole.start());
        let what = found
            .get(1)
            .or_else(|| found.get(2))
            .map_or("", |what| what.as_str());
        if let Some(start) = at_start(file, tree, at) {
            let mut violation = Violation::new(at, harm(what, &start.words), HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
}
