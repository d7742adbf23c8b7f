//! Rails loads its schema, which drops every table first, or a table is made with force.

use super::super::language::Language;
use super::super::roles::Role;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{commands, regex, start_files};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "rails-schema-load",
    severity: Severity::Error,
    files,
    why: "Rails drops every table to load its schema, at start",
    check,
};

static TASK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(db:(?:schema:load|structure:load|reset|drop|migrate:reset|setup|truncate_all|seed:replant)(?::\w+)?)\b",
    )
});
static UNPROTECTED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(DISABLE_DATABASE_ENVIRONMENT_CHECK)\s*[=:]?\s*(?:1|true)"));
static FORCE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\bcreate_table\b[^\n]*?(?:\bforce:\s*(?:true|:cascade)|:force\s*=>\s*(?:true|:cascade))"#,
    )
});
static TABLE: LazyLock<Regex> = LazyLock::new(|| regex(r#"create_table\s*\(?\s*[:"']?(\w+)"#));

fn files(file: &SourceFile) -> bool {
    let ruby = file.language == Language::Ruby
        && !matches!(file.role, Role::Test | Role::Seed)
        && !file.relative.ends_with("schema.rb");
    start_files(file) || ruby
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for (command, start) in commands(file, tree) {
        if let Some(found) = UNPROTECTED.captures(&command.text) {
            let name = found.get(1).expect("the pattern has the group");
            let mut violation = Violation::new(
                command.at + name.start(),
                "`DISABLE_DATABASE_ENVIRONMENT_CHECK` disables the guard that keeps Rails from dropping a production database",
                "remove the variable from what starts or deploys the application",
            );
            violation.severity = start.softer;
            violations.add(file, violation);
        }
        // Sequelize's commands bear the same names.
        let foreign = command.text.contains("sequelize") || command.text.contains("knex");
        for found in TASK.captures_iter(&command.text).filter(|_| !foreign) {
            let task = found.get(1).expect("the pattern has the group");
            let name = task.as_str();
            let harm = match name {
                "db:drop" | "db:reset" | "db:migrate:reset" => "drops the whole database",
                "db:truncate_all" | "db:seed:replant" => "empties every table",
                _ => "drops every table that the schema names, and creates it again, empty",
            };
            let mut violation = Violation::new(
                command.at + task.start(),
                format!("`{name}` {harm} {}", start.words),
                "run `bin/rails db:prepare` instead: it creates missing tables and migrates the rest",
            );
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
    if file.language != Language::Ruby {
        return;
    }
    for found in FORCE.find_iter(file.code()) {
        let table = TABLE.captures(found.as_str());
        let table = table.map_or_else(|| "a table".to_owned(), |name| format!("`{}`", &name[1]));
        let mut violation = Violation::new(
            found.start(),
            format!("`create_table` with `force` drops {table} with its rows if it exists"),
            "remove `force`; use `if_not_exists: true` if the table may exist",
        );
        // A migration runs once.
        violation.severity = (file.role == Role::Migration).then_some(Severity::Warning);
        violations.add(file, violation);
    }
}
