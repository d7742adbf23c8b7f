//! URLs of unsupported databases, and what to use instead.

use crate::cli_error::CliError;
use crate::mask;
use crate::model::Engine;

/// Schemes of other programs, and what to give in their place.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &[
            "mongodb",
            "mongodb+srv",
            "redis",
            "rediss",
            "dynamodb",
            "cassandra",
            "couchdb",
            "couchbase",
            "firestore",
            "neo4j",
            "elasticsearch",
            "mssql",
            "sqlserver",
            "oracle",
            "clickhouse",
            "snowflake",
            "duckdb",
            "libsql",
            "http",
            "https",
        ],
        "chatctl reads only SQLite, PostgreSQL, MySQL and MariaDB",
    ),
    (
        &["jdbc"],
        "leave `jdbc:` out: postgres://USER:PASSWORD@HOST:5432/NAME",
    ),
    (
        &["cockroachdb", "cockroach", "pgsql", "psql", "timescaledb"],
        "give it as postgres://USER:PASSWORD@HOST:PORT/NAME",
    ),
    (
        &["file"],
        "give the file of a SQLite database as sqlite:PATH",
    ),
];

/// The error of a text that names no database that is known. It may be anything, such as the
/// content of a file, so only what is the beginning of a URL is shown.
pub(super) fn unknown(text: &str) -> CliError {
    let schemes = Engine::ALL.iter().flat_map(|it| it.schemes());
    let schemes: Vec<_> = schemes.copied().collect();
    let is_scheme = |scheme: &str| {
        scheme.len() <= 20
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    };
    let what = match text.split_once("://") {
        _ if text.is_empty() => "the database URL is empty".to_owned(),
        Some((scheme, _)) if is_scheme(scheme) => {
            format!("unsupported database scheme `{scheme}`")
        }
        _ => "the database URL has no known scheme".to_owned(),
    };
    let libpq = ["dbname=", "host=", "user="]
        .iter()
        .any(|key| text.contains(key));
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if let Some((_, hint)) = ELSEWHERE
        .iter()
        .find(|(schemes, _)| schemes.contains(&scheme))
    {
        return CliError::usage(what).hint(*hint);
    }
    if is_file(text) {
        return CliError::usage(what).hint(format!("did you mean sqlite:{text}?"));
    }
    CliError::usage(what).hint(if libpq { "write host=… user=… dbname=… as a URL: postgres://USER:PASSWORD@HOST:5432/NAME".to_owned() } else { format!(
        "give a URL that begins with one of {}, such as sqlite:chat.db for SQLAlchemy's sqlite:///chat.db",
        schemes.join(", ")
    ) })
}

/// Whether a text can only be the name of a SQLite file.
fn is_file(text: &str) -> bool {
    let is_plain = !text.contains([':', '=', '@', '?', ' ', '\n']);
    let ends = [".db", ".sqlite", ".sqlite3"];
    is_plain && ends.iter().any(|end| text.ends_with(end))
}

/// `postgresql+asyncpg://`: SQLAlchemy names the driver too.
pub(super) fn with_driver(engine: Engine, named: &str, url: &str) -> CliError {
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let plain = match engine.port() {
        // Three slashes begin a relative path there, and four an absolute one.
        None => format!("{named}:{}", rest.strip_prefix("///").unwrap_or(rest)),
        Some(_) => format!("{named}:{rest}"),
    };
    let plain = mask::url_text(&plain);
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.ends_with("cipher") {
        return CliError::usage(format!(
            "`{scheme}` names an encrypted file, and chatctl can't read those"
        ))
        .hint("give the URL of a plain copy: sqlite:PATH");
    }
    CliError::usage(format!("`{scheme}` names a driver of another program"))
        .hint(format!("leave the driver out: {plain}"))
}
