//! Other tools' commands that empty or drop a database, in start scripts.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{commands, regex, start_files, start_of};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "reset-command-at-start",
    severity: Severity::Error,
    files: start_files,
    why: "a start command drops the database, its tables, or its volume",
    check,
};

static COMMANDS: LazyLock<[(Regex, &str); 9]> = LazyLock::new(|| {
    [
        (
            regex(r"\balembic\b[^;&|]*\sdowngrade\s+base\b"),
            "`alembic downgrade base` drops every table",
        ),
        (
            regex(r"\btypeorm\b[^;&|]*\s(?:schema:drop)\b"),
            "`typeorm schema:drop` drops every table",
        ),
        (
            regex(r"\bsequelize(?:-cli)?\b[^;&|]*\s(?:db:drop|db:migrate:undo:all)\b"),
            "the Sequelize command drops every table",
        ),
        (
            regex(r"\bknex\b[^;&|]*\smigrate:rollback\b[^;&|]*\s--all\b"),
            "`knex migrate:rollback --all` undoes every migration",
        ),
        (
            regex(r"\bmikro-orm\b[^;&|]*\s(?:schema:(?:fresh|drop)|migration:fresh)\b"),
            "the MikroORM command drops every table",
        ),
        (
            regex(r"\bartisan\s+(?:migrate:(?:fresh|refresh|reset)|db:wipe)\b"),
            "the artisan command drops every table",
        ),
        (
            regex(r"\bsupabase\s+db\s+reset\b"),
            "`supabase db reset` drops the whole database",
        ),
        (
            regex(
                r"(?:^|[;&|\s])dropdb\s|\bpsql\b.*\bDROP\s+(?:DATABASE|SCHEMA|TABLE)\b|\bmysql\b.*\bDROP\s+(?:DATABASE|TABLE)\b",
            ),
            "the command drops the database or its tables",
        ),
        (
            regex(r"\bdocker(?:-|\s+)compose\b[^;&|]*\sdown\b[^;&|]*\s(?:-v|--volumes)\b"),
            "`docker compose down --volumes` deletes the database's volume",
        ),
    ]
});

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for command in commands(file, tree) {
        for (pattern, harm) in COMMANDS.iter() {
            if let Some(found) = pattern.find(&command.text) {
                let start = start_of(command);
                let mut violation = Violation::new(
                    command.at + found.start(),
                    format!("{harm}, {}", start.words),
                    "remove the command, and apply migrations forward only",
                );
                violation.severity = start.softer;
                violations.add(file, violation);
            }
        }
    }
}
