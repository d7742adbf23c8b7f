//! Statements and calls that drop or empty a table, where the application starts.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, code_that_may_start, regex, strings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "drop-table-in-code",
    severity: Severity::Error,
    files: code_that_may_start,
    why: "start-up code runs DROP TABLE or TRUNCATE",
    check,
};

/// Prose ("Truncate the title") does not shout.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:^|;|\n)\s*((?:DROP|drop)\s+(?:TABLE|table|SCHEMA|schema|DATABASE|database|KEYSPACE)\b|TRUNCATE\s+(?:TABLE\b)?|truncate\s+table\b)\s*(?i:IF\s+EXISTS\s+)?(?:ONLY\s+)?([\w."`{}$%\[\]:-]*)"#,
    )
});
/// GORM, Knex, Mongo, Laravel, MikroORM, TypeORM's query runner, Entity Framework, Rails.
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\.(DropTable|dropTable|dropTableIfExists|dropIfExists|dropAllTables|dropDatabase|drop_database|refreshDatabase|clearDatabase|EnsureDeleted|EnsureDeletedAsync)\s*\(|\b(connection\.drop_table|flyway\.clean|SchemaUtils\.drop|Migrator::(?:fresh|reset|refresh))\b",
    )
});
/// A table of a rebuild is dropped after its rows were copied.
static SCRATCH: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)^["`\[]?(?:_|tmp|temp|pg_temp|staging|scratch|bak)|(?:_|\b)(?:tmp|temp|old|new|backup|bak|staging|scratch|legacy|fts|idx)["`\]]?$"#,
    )
});

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    // A rebuild renames; it moves rows and loses none.
    let mut report = |at: usize, what: &str, object: &str| {
        let rebuild = file
            .functions()
            .iter()
            .rfind(|function| function.body.contains(&at))
            .is_some_and(|function| {
                let body = file.code()[function.body.clone()].to_uppercase();
                body.contains("RENAME TO") || body.contains("BEGIN_MIGRATION")
            });
        let migration = file.functions().iter().any(|function| {
            let name = function.name.to_lowercase();
            function.body.contains(&at)
                && ["migrat", "upgrade", "downgrade", "rebuild", "down"]
                    .iter()
                    .any(|word| name.contains(word))
        });
        if rebuild || migration {
            return;
        }
        let Some(start) = at_start(file, tree, at) else {
            return;
        };
        let mut violation = Violation::new(
            at,
            format!("`{what}` deletes {object} {}", start.words),
            "remove the statement; change tables by migrations that keep their rows",
        );
        violation.severity = start.softer;
        violations.add(file, violation);
    };
    for (at, text) in strings(file) {
        for found in STATEMENT.captures_iter(text) {
            let name = &found[2];
            if SCRATCH.is_match(name) {
                continue;
            }
            let words: Vec<_> = found[1].split_whitespace().collect();
            let what = words.join(" ").to_uppercase();
            let clean = name.trim_matches(['"', '`', '[', ']', ';']);
            let named = clean
                .chars()
                .all(|c| c.is_alphanumeric() || "_.".contains(c));
            let kind = match words.last().map(|word| word.to_lowercase()).as_deref() {
                Some("schema") => "the schema",
                Some("database" | "keyspace") => "the database",
                _ => "the table",
            };
            let object = if clean.is_empty() || !named {
                "a table whose name the code computes".to_owned()
            } else {
                format!("{kind} `{clean}`")
            };
            let place = found.get(1).map_or(0, |word| word.start());
            report(at + place, &what, &object);
        }
    }
    for found in CALL.captures_iter(file.bare()) {
        let Some(name) = found.get(1).or_else(|| found.get(2)) else {
            continue;
        };
        let (place, what) = (name.start(), name.as_str());
        let whole = ["database", "deleted", "clean", "migrator"];
        let object = if whole.iter().any(|word| what.to_lowercase().contains(word)) {
            "the whole database"
        } else {
            "a table and its rows"
        };
        report(place, what, object);
    }
}

#[cfg(test)]
mod tests {
    use super::CALL;

    #[test]
    fn calls_that_drop_are_known_and_their_like_are_not() {
        for call in [
            "context.Database.EnsureDeleted();",
            "await db.Database.EnsureDeletedAsync();",
            "flyway.clean();",
            "SchemaUtils.drop(Messages)",
            "Migrator::fresh(&db).await?;",
            "ActiveRecord::Base.connection.drop_table(:messages)",
        ] {
            assert!(CALL.is_match(call), "{call}");
        }
        for call in [
            "context.Database.EnsureCreated();",
            "flyway.cleanDisabled(true).load();",
            "SchemaUtils.createMissingTablesAndColumns(Messages)",
            "Migrator::up(&db, None).await?;",
            "connection.drop_tables_list",
        ] {
            assert!(!CALL.is_match(call), "{call}");
        }
    }
}
