//! SQLAlchemy's `drop_all` and its like, where the application starts.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, code_that_may_start, regex};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "drop-all-at-startup",
    severity: Severity::Error,
    files,
    why: "start-up code drops every table that the models name",
    check,
};

/// SQLAlchemy and Flask-SQLAlchemy, Pony, Peewee, sqlalchemy-utils.
static DROP: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:([A-Za-z_][\w.]*)\.)?\b(drop_all|drop_all_tables|drop_tables|drop_database)\b")
});

/// One table's `drop`, and `getattr(metadata, "drop_all")(engine)`.
static OTHER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\b([A-Z]\w*\.__table__\.drop)\s*[(,)]|\bgetattr\s*\(\s*([\w.]+)\s*,\s*["']drop_all["']\s*\)\s*\("#,
    )
});

const HELP: &str = "remove the call; change tables by migrations, and drop them in tests only";

fn files(file: &SourceFile) -> bool {
    code_that_may_start(file) && file.language == Language::Python
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    let bare = file.bare();
    for found in DROP.captures_iter(bare) {
        let whole = found.get(0).expect("group 0 is the match");
        let rest = bare[whole.end()..].trim_start();
        // `run_sync(Base.metadata.drop_all)` hands the method over instead of calling it.
        let called =
            rest.starts_with('(') || (found.get(1).is_some() && rest.starts_with([')', ',']));
        // A function of the project's own is followed by its name.
        let own = found.get(1).is_none() && file.functions().iter().any(|f| f.name == found[2]);
        let imported = found.get(1).is_none() && &found[2] != "drop_database";
        let line = file.line_at(whole.start());
        let head =
            line.starts_with("def ") || line.starts_with("async def ") || line.contains("import ");
        if !called || own || imported || head {
            continue;
        }
        if let Some(start) = at_start(file, tree, whole.start()) {
            let name = whole.as_str();
            let tables = match found.get(1).map(|receiver| receiver.as_str()) {
                Some(receiver) if receiver.ends_with("metadata") => {
                    format!("every table of `{receiver}`")
                }
                _ => "every table".to_owned(),
            };
            let mut violation = Violation::new(
                whole.start(),
                format!("`{name}` drops {tables} {}", start.words),
                HELP,
            );
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
    for found in OTHER.captures_iter(file.code()) {
        let at = found.get(0).map_or(0, |whole| whole.start());
        let is_text = bare[at..].starts_with(' ');
        if let Some(start) = at_start(file, tree, at).filter(|_| !is_text) {
            let harm = match (found.get(1), found.get(2)) {
                (Some(one), _) => {
                    let does = "drops the table of the model";
                    format!("`{}` {does} {}", one.as_str(), start.words)
                }
                (None, of) => {
                    let of = of.map_or("metadata", |of| of.as_str());
                    format!("`drop_all` drops every table of `{of}` {}", start.words)
                }
            };
            let mut violation = Violation::new(at, harm, HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
}
