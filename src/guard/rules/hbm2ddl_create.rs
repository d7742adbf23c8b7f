//! Hibernate recreates the schema at each start.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{application_code, regex, settings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "hbm2ddl-create",
    severity: Severity::Error,
    files,
    why: "Hibernate drops the tables of all entities at each start",
    check,
};

static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?x)((?:[\w.\-]*hbm2ddl[._]auto | [\w.\-]*ddl-auto | SPRING_JPA_HIBERNATE_DDL_?AUTO
        | (?:javax|jakarta)\.persistence\.schema-generation\.database\.action
        | quarkus\.hibernate-orm\.(?:database\.generation|schema-management\.strategy)))
        ["']?\s*(?:[:=,]|\bvalue\s*=|>)\s*["']?\s*(create-drop|drop-and-create|create|drop)\b(?:[^\-]|$)"#,
    )
});
static TEST_PROFILE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?m)^\s*(?:spring\.config\.activate\.)?(?:on-profile|profiles)\s*[:=].*\btest|^%test\.|<profile>.*test",
    )
});
static DEVELOPMENT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?:^|[-_./%])(?:dev|development|local)(?:[-_.]|$)"));

fn files(file: &SourceFile) -> bool {
    settings(file) || (application_code(file) && file.language == Language::Jvm)
}

fn check(file: &SourceFile, _: &Tree, violations: &mut Violations<'_>) {
    let code = file.code();
    for found in SETTING.captures_iter(code) {
        let (Some(key), Some(value)) = (found.get(1), found.get(2)) else {
            continue;
        };
        // One YAML file holds several profiles, set apart by `---`.
        let part = code[..key.start()].rfind("\n---").map_or(0, |at| at + 4);
        let end = code[key.start()..]
            .find("\n---")
            .map_or(code.len(), |len| key.start() + len);
        let yaml = file.language == Language::Yaml;
        let line = file.line_at(key.start());
        let scope = if yaml { &code[part..end] } else { line };
        if TEST_PROFILE.is_match(scope) {
            continue;
        }
        // `javax…action = create` makes what is missing and drops nothing.
        let keeps = value.as_str() == "create" && !key.as_str().to_lowercase().contains("auto");
        if keeps {
            continue;
        }
        let harm = match value.as_str() {
            "create-drop" => "drops the tables of all entities at each start and at each stop",
            _ => "drops the tables of all entities at each start",
        };
        let name = file.name();
        let softer = DEVELOPMENT.is_match(name) || line.starts_with("%dev.");
        let mut violation = Violation::new(
            key.start(),
            format!("`{} = {}` {harm}", key.as_str(), value.as_str()),
            "set it to `validate`, and change the schema with Flyway or Liquibase",
        );
        violation.severity = softer.then_some(Severity::Warning);
        violations.add(file, violation);
    }
}
