//! Sequelize's `sync` with `force` drops tables, with `alter` it changes them by guess; models are emptied.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::startup::When;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{application_code, at_start, regex};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "sync-force",
    severity: Severity::Error,
    files,
    why: "Sequelize's sync drops the tables of all models and creates them again",
    check,
};

static SYNC: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:\.sync\s*\(\s*|\bsync\s*:\s*)\{[^{}]*?\b(force|alter)\s*:\s*true\b")
});
static DROP: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(?:sequelize|db\.sequelize)\.(drop)\s*\("));

/// One model's rows: capitalized, or below `models` or `db`.
static MODEL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(?:[A-Z]\w*|(?:models|db)\.\w+)\.(?:(drop)\s*\(\s*[){]|(truncate)\s*\(\s*[){]|(destroy)\s*\(\s*\{(?:[^{}]|\{\s*\})*?(?:\btruncate\s*:\s*true|\bwhere\s*:\s*\{\s*\}))",
    )
});

fn files(file: &SourceFile) -> bool {
    application_code(file) && file.language == Language::JavaScript
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    let sync = SYNC.captures_iter(file.bare());
    let drop = DROP.captures_iter(file.bare());
    for found in sync.chain(drop) {
        let name = found.get(1).expect("every branch has the group");
        let model = found.get(0).map_or(0, |whole| whole.start());
        // Modules run when they are loaded; a function that only an operator calls would be
        // rare for `sync`, so an unknown caller softens and does not silence.
        let softer = match tree.startup.when(tree.index(file), file, model) {
            When::Always => None,
            When::If(_) | When::Never => Some(Severity::Warning),
        };
        let (harm, help, softer) = match name.as_str() {
            "alter" => (
                "`sync({ alter: true })` drops columns that the models no longer name, and may lose rows of those whose type changes",
                "remove `alter`, and write migrations with sequelize-cli",
                Some(Severity::Warning),
            ),
            "force" => (
                "`sync({ force: true })` drops the tables of the models and creates them again, empty",
                "remove `force`, and write migrations with sequelize-cli",
                softer,
            ),
            _ => (
                "`drop()` drops the tables of all models",
                "remove the call; drop tables in tests only",
                softer,
            ),
        };
        let mut violation = Violation::new(name.start(), harm, help);
        violation.severity = softer;
        violations.add(file, violation);
    }
    if !uses_sequelize(tree) {
        return;
    }
    for found in MODEL.captures_iter(file.bare()) {
        // `sequelize.models.drop()` and `db.sequelize.drop()` are of all models.
        let names = (1..4).filter_map(|group| found.get(group));
        let of_all = found[0].starts_with("db.sequelize.");
        for name in names.filter(|_| !of_all) {
            // In a request such a call is what somebody asked for.
            let Some(start) = at_start(file, tree, name.start()) else {
                continue;
            };
            let does = match name.as_str() {
                "drop" => "drops the table of the model",
                _ => "deletes every row of the model",
            };
            let harm = format!("`{}` {does} {}", name.as_str(), start.words);
            let help = "remove the call; empty tables in tests only";
            let mut violation = Violation::new(name.start(), harm, help);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
}

fn uses_sequelize(tree: &Tree) -> bool {
    let is_js =
        |file: &&SourceFile| file.language == Language::JavaScript || file.name() == "package.json";
    let mut files = tree.files.iter().filter(is_js);
    files.any(|file| file.text.contains("sequelize"))
}
