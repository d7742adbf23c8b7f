//! Other tools' commands that empty or drop a database, in start scripts.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, commands, regex, with_commands};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "reset-command-at-start",
    severity: Severity::Error,
    files: with_commands,
    why: "a start command, or code that runs at start, drops the database, its tables, or its volume",
    check,
};

static COMMANDS: LazyLock<[(Regex, &str); 18]> = LazyLock::new(|| {
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
            regex(
                r"\b(?:artisan\s+|Artisan::(?:call|queue)\(\s*)(?:migrate:(?:fresh|refresh|reset)|db:wipe)\b",
            ),
            "the artisan command drops every table",
        ),
        (
            regex(r"\bsupabase\s+db\s+reset\b"),
            "`supabase db reset` drops the whole database",
        ),
        (
            regex(
                // The command itself: a module of a Maven build may have the name.
                r"(?:^|[;&|(])[-\s]*(?:\w+:\s*)?(?:\w+=\S*\s+)*(?:(?:run|exec|RUN|CMD|ENTRYPOINT|sudo|docker|then|do)\s[^;&|]*?)?(?:\S*/)?flyway\s(?:[^;&|]*\s)?clean\b|\bflyway:clean\b|\bflywayClean\b",
            ),
            "`flyway clean` drops every object of the schemas",
        ),
        (
            regex(r"\bsqlx\s+(?:database|db)\s+(?:reset|drop)\b"),
            "the sqlx command drops the whole database",
        ),
        (
            regex(r"\bdiesel\s+database\s+reset\b"),
            "`diesel database reset` drops the whole database",
        ),
        (
            regex(r"\bmix\b[^;&|]*\secto\.(?:reset|drop)\b"),
            "the Ecto command drops the whole database",
        ),
        (
            regex(r"(?:^|[;&|\s/])migrate\s[^;&|]*\s-(?:path|database|source)\b[^;&|]*\sdrop\b"),
            "`migrate drop` drops every table",
        ),
        (
            regex(r"\bdbmate\b[^;&|]*\sdrop\b"),
            "`dbmate drop` drops the whole database",
        ),
        (
            regex(r"\bgoose\b[^;&|]*\s(?:reset|down-to\s+0)(?:\s|$|[;&|])"),
            "the goose command undoes every migration",
        ),
        (
            regex(r"\bliquibase\b[^;&|]*\s(?:drop-all|dropAll)\b"),
            "`liquibase drop-all` drops every object of the schema",
        ),
        (
            regex(r"\bpg_restore\b[^;&|]*\s(?:--clean\b|-[aCelOsvwWx1]*c)"),
            "`pg_restore --clean` drops what the database has and loads the dump in its place",
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

/// Alembic's own function, with a configuration before the revision.
static DOWNGRADE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"\bcommand\.downgrade\(\s*[^;\n]*,\s*(?:revision\s*=\s*)?["']base["']"#)
});

const HELP: &str = "remove the command, and apply migrations forward only";

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for found in DOWNGRADE.find_iter(file.code()) {
        let at = found.start();
        let is_text = file.bare()[at..].starts_with(' ');
        if file.language.is_code()
            && !is_text
            && let Some(start) = at_start(file, tree, at)
        {
            let harm = format!(
                "`command.downgrade` to `base` drops every table, {}",
                start.words
            );
            let mut violation = Violation::new(at, harm, HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
    for (command, start) in commands(file, tree) {
        for (pattern, harm) in COMMANDS.iter() {
            if let Some(found) = pattern.find(&command.text) {
                let mut violation = Violation::new(
                    command.at + found.start(),
                    format!("{harm}, {}", start.words),
                    HELP,
                );
                violation.severity = start.softer;
                violations.add(file, violation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::COMMANDS;

    #[test]
    fn commands_that_reset_are_known_and_those_that_migrate_are_not() {
        let is_known = |command: &str| COMMANDS.iter().any(|(it, _)| it.is_match(command));
        for command in [
            "flyway -url=jdbc:x clean",
            "flyway clean migrate",
            "  - run: flyway clean",
            "CMD  flyway   clean ",
            "docker run --rm flyway/flyway -url=jdbc:x clean",
            "FLYWAY_URL=jdbc:x flyway clean",
            "subprocess.run(  flyway   clean  )",
            "sqlx database reset -y",
            "diesel database reset",
            "mix ecto.reset",
            "migrate -path db -database $URL drop -f",
            "dbmate --url $URL drop",
            "goose -dir db postgres $URL reset",
            "goose down-to 0",
            "liquibase --changelog-file=x drop-all",
            "pg_restore --clean -d chat seed.dump",
            "pg_restore -d chat -c seed.dump",
            "pg_restore -vc -d chat seed.dump",
            "mvn flyway:clean flyway:migrate",
            "Artisan::call( migrate:fresh )",
        ] {
            assert!(is_known(command), "{command}");
        }
        for command in [
            "flyway migrate",
            "flyway -cleanDisabled=true migrate",
            "mvn flyway:migrate && npm run clean",
            "mvn -Dflyway.url=jdbc:x clean package",
            "mvn -pl flyway clean package",
            "mvn flyway:migrate clean install",
            "pg_restore -Fc -dchat -Uchat seed.dump",
            "sqlx migrate run && sqlx database create",
            "diesel migration run",
            "mix ecto.migrate",
            "migrate -path db -database $URL up",
            "dbmate up",
            "goose up && ./reset-cache",
            "liquibase update",
            "pg_restore -d chat --no-owner seed.dump",
            "pg_restore --dbname=chat --if-exists seed.dump",
        ] {
            assert!(!is_known(command), "{command}");
        }
    }
}
