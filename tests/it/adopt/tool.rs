//! The histories of other tools, as they make them, and the files that belong to them.

use crate::common::backend::Backend;
use crate::common::sites::Site;
use sha2::{Digest as _, Sha256};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What the first two files do; the third is pending.
const FIRST: &str = "CREATE TABLE conversation (id BIGINT PRIMARY KEY, title VARCHAR(200));\n";
const SECOND: &str = "CREATE INDEX conversation_title ON conversation (title);\n";
const THIRD: &str = "ALTER TABLE conversation ADD COLUMN archived BOOLEAN;\n";
/// What undoes the third: run with it, its column would not be there.
const UNDOES: &str = "ALTER TABLE conversation DROP COLUMN archived;\n";

/// A tool whose history is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Dbmate,
    Goose,
    GolangMigrate,
    Flyway,
    Refinery,
    Prisma,
    Drizzle,
    Diesel,
    SqlMigrate,
    Mybatis,
    Rambler,
    NodePgMigrate,
    Tern,
    Supabase,
}

/// Those that every database has, and then those of PostgreSQL alone.
const EVERYWHERE: usize = 11;
const TOOLS: [Tool; 14] = [
    Tool::Dbmate,
    Tool::Goose,
    Tool::GolangMigrate,
    Tool::Flyway,
    Tool::Refinery,
    Tool::Prisma,
    Tool::Drizzle,
    Tool::Diesel,
    Tool::SqlMigrate,
    Tool::Mybatis,
    Tool::Rambler,
    Tool::NodePgMigrate,
    Tool::Tern,
    Tool::Supabase,
];

impl Tool {
    /// The tools that migrate such a database.
    pub fn of(backend: Backend) -> &'static [Self] {
        match backend {
            Backend::Postgres => &TOOLS,
            Backend::Sqlite | Backend::Mysql => &TOOLS[..EVERYWHERE],
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Dbmate => "dbmate",
            Self::Goose => "goose",
            Self::GolangMigrate => "golang-migrate",
            Self::Flyway => "flyway",
            Self::Refinery => "refinery",
            Self::Prisma => "prisma",
            Self::Drizzle => "drizzle",
            Self::Diesel => "diesel",
            Self::SqlMigrate => "sql-migrate",
            Self::Mybatis => "mybatis",
            Self::Rambler => "rambler",
            Self::NodePgMigrate => "node-pg-migrate",
            Self::Tern => "tern",
            Self::Supabase => "supabase",
        }
    }

    fn table(self, backend: Backend) -> &'static str {
        match self {
            Self::Dbmate | Self::GolangMigrate => "schema_migrations",
            Self::Goose => "goose_db_version",
            Self::Flyway => "flyway_schema_history",
            Self::Refinery => "refinery_schema_history",
            Self::Prisma => "_prisma_migrations",
            Self::Drizzle if backend == Backend::Postgres => "drizzle.__drizzle_migrations",
            Self::Drizzle => "__drizzle_migrations",
            Self::Diesel => "__diesel_schema_migrations",
            Self::SqlMigrate => "gorp_migrations",
            Self::Mybatis => "changelog",
            Self::Rambler => "migrations",
            Self::NodePgMigrate => "pgmigrations",
            Self::Tern => "schema_version",
            Self::Supabase => "supabase_migrations.schema_migrations",
        }
    }

    /// Every row of its own table, by the columns that say what is applied.
    pub fn rows(self, site: &Site) -> Vec<String> {
        let column = match self {
            Self::Goose => "version_id",
            Self::Prisma => "migration_name",
            Self::Drizzle => "hash",
            Self::SqlMigrate | Self::Mybatis => "id",
            Self::Rambler => "migration",
            Self::NodePgMigrate => "name",
            _ => "version",
        };
        let text = match site.backend {
            Backend::Mysql => "char",
            _ => "text",
        };
        let table = self.table(site.backend);
        site.texts(&format!(
            "SELECT CAST({column} AS {text}) FROM {table} ORDER BY 1"
        ))
    }

    /// The numbers of the three files in the history that chatctl writes.
    pub const fn versions(self) -> [&'static str; 3] {
        match self {
            Self::Dbmate
            | Self::Diesel
            | Self::SqlMigrate
            | Self::Mybatis
            | Self::Rambler
            | Self::Supabase => ["20240101000000", "20240102000000", "20240103000000"],
            // Five digits are made of the name: the first two have one time.
            Self::Prisma => [
                "2024010100000080879",
                "2024010100000089002",
                "2024010300000014185",
            ],
            Self::Drizzle => ["0", "1", "2"],
            Self::NodePgMigrate => ["1704067200000", "1704153600000", "1704240000000"],
            _ => ["1", "2", "3"],
        }
    }

    /// The same as the files write them.
    pub fn written(self) -> [String; 3] {
        self.names().map(|name| match self {
            Self::Prisma => name.replace("/migration.sql", ""),
            _ => {
                let (version, _) = name.split_once(['_']).unwrap();
                version.trim_start_matches('V').to_owned()
            }
        })
    }

    /// The names of the three files.
    pub fn names(self) -> [String; 3] {
        [(0, "first"), (1, "second"), (2, "third")].map(|(at, word)| {
            let version = self.versions()[at];
            match self {
                Self::Dbmate => format!("{version}_{word}.sql"),
                Self::Goose => format!("0000{version}_{word}.sql"),
                Self::GolangMigrate => format!("00000{version}_{word}.up.sql"),
                Self::Flyway | Self::Refinery => format!("V{version}__{word}.sql"),
                Self::Prisma => {
                    let time = ["20240101000000", "20240101000000", "20240103000000"][at];
                    format!("{time}_{word}/migration.sql")
                }
                Self::Drizzle => format!("000{version}_{word}.sql"),
                Self::Diesel => format!("2024-01-0{}-000000_{word}/up.sql", at + 1),
                Self::Tern => format!("00{version}_{word}.sql"),
                Self::NodePgMigrate
                | Self::SqlMigrate
                | Self::Mybatis
                | Self::Rambler
                | Self::Supabase => {
                    format!("{version}_{word}.sql")
                }
            }
        })
    }

    /// A text as this tool's files have it.
    pub fn text(self, sql: &str) -> String {
        let down = if sql == THIRD { UNDOES } else { "SELECT 1;\n" };
        match self {
            Self::Dbmate => format!("-- migrate:up\n{sql}\n-- migrate:down\n{down}"),
            Self::Goose => format!("-- +goose Up\n{sql}\n-- +goose Down\n{down}"),
            Self::SqlMigrate => format!("-- +migrate Up\n{sql}\n-- +migrate Down\n{down}"),
            Self::Mybatis => format!("-- // a step\n{sql}\n-- //@UNDO\n{down}"),
            Self::Rambler => format!("-- rambler up\n{sql}\n-- rambler down\n{down}"),
            Self::NodePgMigrate => format!("-- Up Migration\n{sql}\n-- Down Migration\n{down}"),
            Self::Tern => format!("{sql}\n---- create above / drop below ----\n\n{down}"),
            Self::Drizzle => format!(
                "{}\n--> statement-breakpoint\nSELECT 1",
                sql.replace(";\n", "")
            ),
            _ => sql.to_owned(),
        }
    }

    /// Further files of the tool.
    fn others(self) -> Vec<(&'static str, String)> {
        let tags = [(0, "0000_first"), (1, "0001_second"), (2, "0002_third")];
        let entry = |(idx, tag): (u64, &str)| {
            format!(
                r#"{{"idx":{idx},"version":"7","when":{},"tag":"{tag}","breakpoints":true}}"#,
                1_704_067_200_000 + idx
            )
        };
        match self {
            Self::Prisma => vec![("migration_lock.toml", "provider = \"sqlite\"\n".to_owned())],
            Self::Drizzle => {
                let entries = tags.map(entry).join(",");
                vec![(
                    "meta/_journal.json",
                    format!(r#"{{"version":"7","dialect":"x","entries":[{entries}]}}"#),
                )]
            }
            _ => Vec::new(),
        }
    }

    /// A database that the tool brought to the second of three files.
    pub fn ran(self, site: &Site) {
        for (name, sql) in self.names().iter().zip([FIRST, SECOND, THIRD]) {
            site.file(name, &self.text(sql));
            if self == Self::GolangMigrate {
                site.file(&name.replace(".up.", ".down."), "SELECT 1;\n");
            }
            if self == Self::Diesel {
                site.file(&name.replace("/up.", "/down."), UNDOES);
            }
        }
        for (name, text) in self.others() {
            site.file(name, &text);
        }
        for sql in [FIRST, SECOND] {
            site.texts(sql);
        }
        for sql in self.history(site.backend) {
            site.texts(&sql);
        }
    }

    /// How the tool makes its table, and the rows of the first two files.
    fn history(self, backend: Backend) -> Vec<String> {
        let pick = |sqlite: &str, postgres: &str, mysql: &str| match backend {
            Backend::Sqlite => sqlite.to_owned(),
            Backend::Postgres => postgres.to_owned(),
            Backend::Mysql => mysql.to_owned(),
        };
        let [first, second, _] = self.versions();
        match self {
            // dbmate 2.36, read from databases that it made.
            Self::Dbmate => vec![
                pick(
                    r#"CREATE TABLE "schema_migrations" (version varchar(128) primary key)"#,
                    r#"CREATE TABLE "public"."schema_migrations" (version varchar primary key)"#,
                    "CREATE TABLE `schema_migrations` (version varchar(128) primary key)",
                ),
                format!("INSERT INTO schema_migrations (version) VALUES ('{first}'), ('{second}')"),
            ],
            // goose 3, internal/dialects.
            Self::Goose => vec![
                pick(
                    "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
                        is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))",
                    "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL,
                        is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())",
                    "CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL, is_applied boolean NOT NULL,
                        tstamp timestamp NULL default now(), PRIMARY KEY(id))",
                ),
                // The second was taken back and applied again.
                "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, TRUE), (1, TRUE), (2, TRUE), (2, FALSE), (2, TRUE)".to_owned(),
            ],
            // golang-migrate 4, database/*.
            Self::GolangMigrate => vec![
                pick(
                    "CREATE TABLE IF NOT EXISTS schema_migrations (version uint64,dirty bool);
                     CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON schema_migrations (version);",
                    r#"CREATE TABLE IF NOT EXISTS "public"."schema_migrations" (version bigint not null primary key, dirty boolean not null)"#,
                    "CREATE TABLE `schema_migrations` (version bigint not null primary key, dirty boolean not null)",
                ),
                "INSERT INTO schema_migrations (version, dirty) VALUES (2, FALSE)".to_owned(),
            ],
            Self::Flyway => vec![
                format!(
                    "CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL PRIMARY KEY, version VARCHAR(50), description VARCHAR(200) NOT NULL,
                        type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum {}, installed_by VARCHAR(100) NOT NULL,
                        installed_on {}, execution_time INT NOT NULL, success BOOLEAN NOT NULL)",
                    pick("INT", "INTEGER", "INT"),
                    pick(
                        "TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f','now'))",
                        "TIMESTAMP NOT NULL DEFAULT now()",
                        "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
                    ),
                ),
                format!(
                    "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success)
                     VALUES (1, '1', 'first', 'SQL', 'V1__first.sql', {}, 'me', 4, TRUE), (2, '2', 'second', 'SQL', 'V2__second.sql', {}, 'me', 5, TRUE)",
                    crc(FIRST),
                    crc(SECOND)
                ),
            ],
            // refinery 0.9, refinery_core/src/traits.
            Self::Refinery => vec![
                "CREATE TABLE IF NOT EXISTS refinery_schema_history(version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));".to_owned(),
                format!(
                    "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES
                     (1, 'first', '2024-01-01T00:00:00Z', '{}'), (2, 'second', '2024-01-02T00:00:00Z', '{}')",
                    sip("first", 1, FIRST),
                    sip("second", 2, SECOND)
                ),
            ],
            _ => self.newer(backend),
        }
    }

    fn newer(self, backend: Backend) -> Vec<String> {
        let pick = |sqlite: &str, postgres: &str, mysql: &str| match backend {
            Backend::Sqlite => sqlite.to_owned(),
            Backend::Postgres => postgres.to_owned(),
            Backend::Mysql => mysql.to_owned(),
        };
        let [first, second, _] = self.versions();
        let table = self.table(backend);
        let time = pick("DATETIME", "TIMESTAMPTZ", "DATETIME(3)");
        let now = "CURRENT_TIMESTAMP";
        let text = |sql| self.text(sql);
        match self {
            // prisma-engines 6, the schema engine's `imperative_migration_persistence`.
            Self::Prisma => vec![
                format!(
                    "CREATE TABLE {table} (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at {time}, migration_name VARCHAR(255) NOT NULL,
                        logs TEXT, rolled_back_at {time}, started_at {time} NOT NULL DEFAULT {}, applied_steps_count INTEGER NOT NULL DEFAULT 0)",
                    pick(now, "now()", "CURRENT_TIMESTAMP(3)")
                ),
                // The second failed, was resolved as rolled back, and was applied then.
                format!(
                    "INSERT INTO {table} (id, checksum, finished_at, migration_name, rolled_back_at) VALUES
                     ('a', '{one}', {now}, '20240101000000_first', NULL), ('b', '{two}', NULL, '20240101000000_second', {now}),
                     ('c', '{two}', {now}, '20240101000000_second', NULL)",
                    one = sha(FIRST),
                    two = sha(SECOND)
                ),
            ],
            // drizzle-orm 0.44, `migrate` of each dialect.
            Self::Drizzle => vec![
                pick("SELECT title FROM conversation", "CREATE SCHEMA IF NOT EXISTS drizzle", "SELECT title FROM conversation"),
                pick(
                    "CREATE TABLE IF NOT EXISTS __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)",
                    "CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)",
                    "create table if not exists __drizzle_migrations (id serial primary key, hash text not null, created_at bigint)",
                ),
                format!(
                    "INSERT INTO {table} (hash, created_at) VALUES ('{}', 1704067200000), ('{}', 1704067200001)",
                    sha(&text(FIRST)),
                    sha(&text(SECOND))
                ),
            ],
            // diesel 2, `setup_database_statements`.
            Self::Diesel => vec![
                format!("CREATE TABLE IF NOT EXISTS {table} (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT {now})"),
                format!("INSERT INTO {table} (version) VALUES ('{first}'), ('{second}')"),
            ],
            // sql-migrate 1.7, by gorp.
            Self::SqlMigrate => vec![
                format!("CREATE TABLE IF NOT EXISTS {table} (id varchar(255) NOT NULL PRIMARY KEY, applied_at {time})"),
                format!("INSERT INTO {table} (id) VALUES ('{first}_first.sql'), ('{second}_second.sql')"),
            ],
            // MyBatis Migrations 3.4, its own first script.
            Self::Mybatis => vec![
                "CREATE TABLE CHANGELOG (ID NUMERIC(20,0) NOT NULL PRIMARY KEY, APPLIED_AT VARCHAR(25) NOT NULL, DESCRIPTION VARCHAR(255) NOT NULL)".to_owned()
                    .replace("CHANGELOG", &pick("CHANGELOG", "CHANGELOG", "changelog")),
                format!("INSERT INTO {table} VALUES ({first}, '2024-01-01 00:00:00', 'first'), ({second}, '2024-01-02 00:00:00', 'second')"),
            ],
            // rambler 5, driver/*.
            Self::Rambler => vec![
                format!("CREATE TABLE {table} ( migration VARCHAR(255) NOT NULL )"),
                format!("INSERT INTO {table} (migration) VALUES ('{first}_first.sql'), ('{second}_second.sql')"),
            ],
            // node-pg-migrate 8, `src/runner.ts`.
            Self::NodePgMigrate => vec![
                format!("CREATE TABLE public.{table} (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)"),
                format!("INSERT INTO {table} (name, run_on) VALUES ('{first}_first', now()), ('{second}_second', now())"),
            ],
            // tern 2, `ensureSchemaVersionTableExists`.
            Self::Tern => vec![
                format!("create table if not exists public.{table}(version int4 not null)"),
                format!("insert into {table}(version) values (2)"),
            ],
            // Supabase CLI 2, `pkg/migration/history.go`.
            Self::Supabase => vec![
                "CREATE SCHEMA IF NOT EXISTS supabase_migrations".to_owned(),
                format!("CREATE TABLE IF NOT EXISTS {table} (version text NOT NULL PRIMARY KEY, statements text[], name text)"),
                format!("INSERT INTO {table} VALUES ('{first}', '{{}}', 'first'), ('{second}', '{{}}', 'second')"),
            ],
            _ => unreachable!("{self:?} is in the first half"),
        }
    }
}

/// Prisma's and Drizzle's: SHA-256 of the text, in hexadecimal.
fn sha(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Flyway's: CRC-32 over the lines without their ends.
fn crc(text: &str) -> i32 {
    crc32fast::hash(text.replace(['\r', '\n'], "").as_bytes()).cast_signed()
}

/// refinery's: SipHash-1-3 over name, version and text.
fn sip(name: &str, version: i32, sql: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    version.hash(&mut hasher);
    sql.hash(&mut hasher);
    hasher.finish()
}
