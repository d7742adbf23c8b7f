//! TypeORM changes the schema by itself, and drops what the entities no longer name.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{application_code, regex, settings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "synchronize-true",
    severity: Severity::Error,
    files,
    why: "TypeORM drops columns and tables at start to fit the entities",
    check,
};

static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\b(synchronize|dropSchema)\b["']?\s*:\s*true\b|\b(TYPEORM_SYNCHRONIZE|TYPEORM_DROP_SCHEMA)\b["']?\s*[:=]\s*["']?(?:true|1)\b|\.(synchronize)\s*\(\s*true\s*\)"#,
    )
});
static TYPEORM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)typeorm|ormconfig|\bDataSource\b|entities\b"));

fn files(file: &SourceFile) -> bool {
    (application_code(file) && file.language == Language::JavaScript) || settings(file)
}

fn check(file: &SourceFile, _: &Tree, violations: &mut Violations<'_>) {
    let text = if file.language.is_code() {
        file.bare()
    } else {
        file.code()
    };
    let orm = TYPEORM.is_match(&file.text) || TYPEORM.is_match(&file.path);
    for found in OPTION.captures_iter(text) {
        let Some(name) = found
            .get(1)
            .or_else(|| found.get(2))
            .or_else(|| found.get(3))
        else {
            continue;
        };
        if !orm {
            continue;
        }
        let lower = name.as_str().to_lowercase();
        let (harm, help) = if lower.contains("drop") {
            let harm = format!("`{}` drops the whole schema at each start", name.as_str());
            (harm, "remove the option; drop schemas in tests only")
        } else if found.get(3).is_some() {
            let harm =
                "`synchronize(true)` drops every table before it creates them again".to_owned();
            (harm, "remove the argument, and run migrations instead")
        } else {
            let harm = format!(
                "`{}` lets TypeORM drop columns and tables that the entities no longer name, at each start",
                name.as_str()
            );
            (
                harm,
                "set it to false, and run migrations with `migrationsRun: true`",
            )
        };
        let around = file.conditions(name.start());
        if around
            .iter()
            .any(|condition| condition.to_lowercase().contains("test"))
        {
            continue;
        }
        let mut violation = Violation::new(name.start(), harm, help);
        violation.severity = (!around.is_empty()).then_some(Severity::Warning);
        violations.add(file, violation);
    }
}
