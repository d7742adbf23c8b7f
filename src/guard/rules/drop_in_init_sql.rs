//! SQL that is read at start drops tables.

use super::super::commands::names;
use super::super::language::Language;
use super::super::roles::Role;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{regex, strings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "drop-in-init-sql",
    severity: Severity::Error,
    files,
    why: "an SQL file that is read at start drops or empties tables",
    check,
};

static DROP: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)(?:^|;|\n)\s*(?:/\*!\d*\s*)?((?:drop\s+(?:table|schema|database)\b|truncate\b(?:\s+table\b)?)(?:\s+if\s+exists\b)?(?:\s+only\b)?\s*([\w."`\[\]]+))"#,
    )
});
static INIT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)^(?:\d+[-_.])*(?:init|schema|setup|create|tables?|database|db|bootstrap|structure|ddl)[\w.\-]*\.sql$",
    )
});
/// PostgreSQL's and MySQL's images read this folder once, when the data folder is empty.
static ONCE: LazyLock<Regex> = LazyLock::new(|| regex(r"initdb|init-scripts|init\.d"));
static SCRATCH: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)^["`\[]?(?:_|tmp|temp|staging)|(?:_tmp|_temp|_old|_new|_backup|_bak|_staging)["`\]]?$"#,
    )
});

fn files(file: &SourceFile) -> bool {
    file.language == Language::Sql && !matches!(file.role, Role::Test | Role::Migration)
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    let reader = reader(file, tree);
    let once = ONCE.is_match(&file.relative) || mounted(file, tree);
    let named = INIT.is_match(file.name()) && file.role != Role::Seed;
    if reader.is_none() && !once && !named {
        return;
    }
    for found in DROP.captures_iter(file.bare()) {
        let (Some(statement), Some(table)) = (found.get(1), found.get(2)) else {
            continue;
        };
        if SCRATCH.is_match(table.as_str()) {
            continue;
        }
        let table = table.as_str().trim_matches(['"', '`', '[', ']']);
        let when = match (&reader, once) {
            (Some(_), _) => "each time the application starts",
            (None, true) => {
                "when the database's container starts on an empty folder, or whenever somebody runs the file again"
            }
            (None, false) => "whenever the file is read",
        };
        let mut violation = Violation::new(
            statement.start(),
            format!(
                "`{}` deletes `{table}` {when}",
                first_words(statement.as_str())
            ),
            "write `CREATE TABLE IF NOT EXISTS` without the drop, and change tables by migrations",
        );
        match &reader {
            Some(reader) => violation = violation.fact(format!("it is read by {reader}")),
            None => violation = violation.only(Severity::Warning),
        }
        violations.add(file, violation);
    }
}

fn first_words(statement: &str) -> String {
    let words: Vec<_> = statement.split_whitespace().collect();
    words[..words.len().saturating_sub(1)]
        .join(" ")
        .to_uppercase()
}

/// What reads the file at start: code that names it, or a start command.
fn reader(file: &SourceFile, tree: &Tree) -> Option<String> {
    for command in &tree.commands {
        let runs = ["psql", "mysql", "mariadb", "sqlite3", "execute"]
            .iter()
            .any(|tool| command.text.contains(tool));
        if runs && names(&command.text, file) {
            return Some(tree.files[command.file].place(command.at));
        }
    }
    for other in &tree.files {
        if other.is_application() && other.language.is_code() {
            let named = strings(other).find(|(_, text)| {
                text.ends_with(file.name())
                    && text
                        .trim_end_matches(file.name())
                        .chars()
                        .next_back()
                        .is_none_or(|c| !c.is_alphanumeric())
            });
            if let Some((at, _)) = named {
                return Some(other.place(at));
            }
        }
        // Spring reads schema.sql at each start when it is told to.
        let spring = file.name() == "schema.sql" || file.name() == "data.sql";
        if spring && other.role == Role::Config {
            let code = other.code();
            let always = code.find("spring.sql.init.mode=always").or_else(|| {
                let mode = code.find("mode: always")?;
                code.contains("sql:").then_some(mode)
            });
            if let Some(at) = always {
                return Some(other.place(at));
            }
        }
    }
    None
}

/// A compose file or a Dockerfile puts the file where the database's image looks.
fn mounted(file: &SourceFile, tree: &Tree) -> bool {
    tree.files.iter().any(|other| {
        other.role == Role::Startup
            && other
                .code()
                .lines()
                .any(|line| line.contains("initdb.d") && line.contains(file.name()))
    })
}
