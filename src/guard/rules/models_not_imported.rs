//! `create_all` runs while the modules of some table models were never imported.

use super::super::language::Language;
use super::super::registered::create_alls;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::application_code;
use crate::report::Severity;

pub(super) const PATTERN: Pattern = Pattern {
    code: "models-not-imported",
    severity: Severity::Error,
    files,
    why: "create_all never creates the tables of models that are not imported before it",
    check,
};

fn files(file: &SourceFile) -> bool {
    application_code(file) && file.language == Language::Python
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    if !file.bare().contains("create_all") {
        return;
    }
    let index = tree.index(file);
    for call in create_alls(tree)
        .into_iter()
        .filter(|call| call.file == index)
    {
        for model in &call.missing {
            let home = &tree.files[model.file];
            let place = home.place(model.at);
            let name = &model.name;
            let mut violation = Violation::new(
                call.at,
                format!("`create_all` never creates the table of `{name}` ({place}): nothing imports it before the call, and everything saved there is lost"),
                format!("import `{name}` before `create_all`, in the same function or module"),
            )
            .fact(format!("{place}: {}", home.line_at(model.at)));
            violation.subject = Some(format!("table model `{name}` ({place})"));
            // With migrations `create_all` is not what the tables rest on.
            violation.severity = call.has_migrations.then_some(Severity::Warning);
            violations.add(file, violation);
        }
        if !call.by_luck.is_empty() {
            let names: Vec<_> = call
                .by_luck
                .iter()
                .map(|model| format!("`{}`", model.name))
                .collect();
            let violation = Violation::new(
                call.at,
                format!(
                    "`create_all` creates the tables of {} only because another module happens to import them first",
                    names.join(", ")
                ),
                "import the models next to `create_all`, so that no change elsewhere leaves a table out",
            );
            violations.add(file, violation.only(Severity::Note));
        }
    }
}
