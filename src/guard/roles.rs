//! The role of a file, by its path.

use regex::Regex;
use std::sync::LazyLock;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Code of the application.
    Application,
    /// Says what runs when the application starts or is deployed: a Dockerfile, an entry script.
    Startup,
    /// Settings.
    Config,
    /// A migration; it destroys on purpose and is judged by `migrate lint`.
    Migration,
    /// Fills or resets a store when somebody asks for it by hand.
    Seed,
    /// Tests, their helpers and settings.
    Test,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

static TEST: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)
        (^|/)(tests?|__tests__|__mocks__|spec|specs|e2e|testing|testdata|cypress|playwright|fixtures?|mocks?|benchmarks?|benches|storybook)/
        | (^|/)(conftest|tests?|testing)([_.-][^/]*)?\.[a-z]+$
        | _(test|tests|spec)\.[a-z]+$
        | [.-](test|spec|e2e|stories|mock)\.[a-z]+$
        | (^|/)[a-z0-9_-]*(jest|vitest|playwright|cypress)[a-z0-9_.-]*\.[a-z]+$
        | (^|/)\.env\.(test|testing|ci)\b
        | (^|/)(docker-)?compose[._-](test|testing|ci|e2e)[^/]*$
        | (^|/)dockerfile[._-](test|ci|e2e)[^/]*$
        | (^|/)application-[a-z-]*(test|testing|it|ci)\.(ya?ml|properties)$
        | (^|/)environments/test\.rb$
        | (^|/)(settings|config|configs)/(test|testing|ci)\.[a-z]+$
        ",
    )
});
static TEST_CLASS: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(Test|Tests|TestCase|IT)\.(java|kt|scala|groovy|cs|php)$"));
static MIGRATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)(^|/)(migrations?|db/migrate|alembic|drizzle|changelogs?|changesets?|flyway|liquibase|upgrades)/
        | (^|/)[^/]*migrations?\.(py|js|ts|rb|java|kt|go|rs|php|cs|sql)$
        | (^|/)v\d+(_\d+)*__[^/]+\.sql$
        | [.](up|down)\.sql$",
    )
});
static SEED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)(^|/)(seed|seeds|seeders?|management/commands|scripts/(db|database|dev)|demo|examples?|samples?)/
        | (^|/)[^/]*(seed|reset|wipe|truncate|teardown|clean_?up|drop_(db|tables|all)|recreate)[^/]*\.(py|js|ts|mjs|cjs|rb|java|kt|go|rs|php|cs|sql|sh|rake)$
        | (^|/)lib/tasks/|(^|/)rakefile$",
    )
});
static STARTUP: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)(^|/)((dockerfile|containerfile)[^/]*|[^/]+\.dockerfile|(docker-)?compose[^/]*\.ya?ml|procfile[^/]*)$
        | (^|/)[^/]*(entry-?_?point|start|boot|run|deploy|release|launch|serve|migrate|init|prod)[^/]*\.(sh|bash)$
        | (^|/)bin/([^/.]*(entry|start|boot|run|deploy|release|launch|serve|web)[^/.]*|[^/]*build[^/.]*)$
        | (^|/)(fly|railway|render|nixpacks|heroku|app|captain-definition|apprunner|cloudbuild|buildspec|netlify|vercel)\.(toml|ya?ml|json)$
        | (^|/)package\.json$
        | (^|/)\.github/workflows/[^/]*(deploy|release|prod|publish|cd)[^/]*\.ya?ml$
        | (^|/)\.gitlab-ci[^/]*deploy[^/]*\.ya?ml$
        | (^|/)(k8s|kubernetes|helm|charts?|manifests|deploy(ment)?s?)/[^/]*(/[^/]*)*\.ya?ml$",
    )
});
static CONFIG: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(^|/)\.env[^/]*$|\.(properties|toml|ini|cfg|conf|ya?ml|json5?|jsonc|xml|env)$")
});

/// What the file at that path is for; the path is relative to where the reading started.
pub fn role(path: &str) -> Role {
    let lower = path.to_lowercase();
    // `env.py` of Alembic and `schema.rb` of Rails stand next to migrations; the latter is a
    // picture of the schema that is loaded by command only.
    let migration = MIGRATION.is_match(&lower) || lower.ends_with("db/schema.rb");
    if TEST.is_match(&lower) || TEST_CLASS.is_match(path) {
        Role::Test
    } else if STARTUP.is_match(&lower) {
        Role::Startup
    } else if migration {
        Role::Migration
    } else if SEED.is_match(&lower) && !lower.contains("initializers/") {
        Role::Seed
    } else if CONFIG.is_match(&lower) {
        Role::Config
    } else {
        Role::Application
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, role};

    #[test]
    fn paths_tell_roles() {
        for (path, wanted) in [
            ("backend/database.py", Role::Application),
            ("backend/tests/conftest.py", Role::Test),
            ("conftest.py", Role::Test),
            ("src/test/resources/application.yml", Role::Test),
            ("src/main/resources/application.yml", Role::Config),
            ("src/main/resources/application-test.yml", Role::Test),
            ("src/main/java/ChatTest.java", Role::Test),
            ("src/contest.java", Role::Application),
            ("chat.spec.ts", Role::Test),
            ("Dockerfile", Role::Startup),
            ("bin/docker-entrypoint", Role::Startup),
            ("docker-compose.yml", Role::Startup),
            ("docker-compose.test.yml", Role::Test),
            (".github/workflows/deploy.yml", Role::Startup),
            (".github/workflows/ci.yml", Role::Config),
            ("db/migrate/2026_x.rb", Role::Migration),
            ("db/schema.rb", Role::Migration),
            ("db/seeds.rb", Role::Seed),
            ("scripts/reset_db.py", Role::Seed),
            ("bin/setup", Role::Application),
        ] {
            assert_eq!(role(path), wanted, "{path}");
        }
    }
}
