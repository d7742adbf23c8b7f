//! Prisma and Drizzle push a schema and drop what is in the way.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{commands, regex, with_commands};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "accept-data-loss",
    severity: Severity::Error,
    files: with_commands,
    why: "a start command lets Prisma or Drizzle drop tables and columns to fit a schema",
    check,
};

static COMMANDS: LazyLock<[(Regex, &str, &str); 3]> = LazyLock::new(|| {
    [
        (
            regex(r"prisma\s+db\s+push\b[^;&|]*--(?:accept-data-loss|force-reset)"),
            "`prisma db push` drops columns and tables that differ from the schema",
            "write migrations, and run `prisma migrate deploy` at start",
        ),
        (
            regex(r"prisma\s+migrate\s+reset\b"),
            "`prisma migrate reset` drops the whole database",
            "run `prisma migrate deploy` instead; keep `reset` for a person at a keyboard",
        ),
        (
            regex(r"drizzle-kit\s+push(?::\w+)?\b[^;&|]*--force\b"),
            "`drizzle-kit push --force` drops everything that the schema does not name, without asking",
            "write migrations with `drizzle-kit generate`, and run `drizzle-kit migrate` at start",
        ),
    ]
});

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for (command, start) in commands(file, tree) {
        for (pattern, harm, help) in COMMANDS.iter() {
            if let Some(found) = pattern.find(&command.text) {
                let mut violation = Violation::new(
                    command.at + found.start(),
                    format!("{harm}, {}", start.words),
                    *help,
                );
                violation.severity = start.softer;
                violations.add(file, violation);
            }
        }
    }
}
