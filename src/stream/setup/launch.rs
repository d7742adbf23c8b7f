//! How the server under test is started: the names in `--start`, and what it finds in its environment.

use crate::cli_error::CliError;
use crate::db::Target;
use crate::http::{Listens, Ready, Start, words};
use crate::mask;
use crate::mask::Mask;
use crate::model::Engine;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// What a server that knows nothing of chatctl may take for its provider's key.
const KEY: &str = "chatctl";
/// Requests to these addresses go to no proxy.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Names in braces that belong to chatctl; others are the command's own.
const OWN: [&str; 3] = ["database_", "gateway_", "port"];

/// How programs spell a database's URL: what they add to `{database_url:…}`, for which engine, and
/// the scheme that it gets.
const SPELLINGS: [(&str, Engine, &str); 15] = [
    ("sqlalchemy", Engine::Sqlite, "sqlite"),
    ("aiosqlite", Engine::Sqlite, "sqlite+aiosqlite"),
    ("pysqlite", Engine::Sqlite, "sqlite+pysqlite"),
    ("file", Engine::Sqlite, "file"),
    ("sqlalchemy", Engine::Postgres, "postgresql"),
    ("asyncpg", Engine::Postgres, "postgresql+asyncpg"),
    ("psycopg", Engine::Postgres, "postgresql+psycopg"),
    ("psycopg2", Engine::Postgres, "postgresql+psycopg2"),
    ("pg8000", Engine::Postgres, "postgresql+pg8000"),
    ("sqlalchemy", Engine::Mysql, "mysql"),
    ("aiomysql", Engine::Mysql, "mysql+aiomysql"),
    ("asyncmy", Engine::Mysql, "mysql+asyncmy"),
    ("pymysql", Engine::Mysql, "mysql+pymysql"),
    ("mysqldb", Engine::Mysql, "mysql+mysqldb"),
    ("mysqlconnector", Engine::Mysql, "mysql+mysqlconnector"),
];

/// What decides how a server is started.
pub(super) struct Launch<'a> {
    /// The gateway's base URL.
    pub(super) gateway: String,
    /// Where the server finds the store.
    pub(super) target: &'a Target,
    /// The store itself, which is another address where the server's way to it leads through chatctl.
    pub(super) store: &'a Target,
    /// Where the server must listen, when that was said.
    pub(super) server: Option<&'a Url>,
    pub(super) ready: Option<Ready>,
    pub(super) ready_timeout: Duration,
    /// The secrets of the run.
    pub(super) mask: Mask,
}

/// Refuses a command that nobody could run, or whose server would not know its port.
pub(super) fn check(command: &str, server: Option<&Url>) -> Result<(), CliError> {
    words(command)?;
    if server.is_some() || command.contains("{port}") {
        return Ok(());
    }
    Err(CliError::usage(
        "`--start` has no {port}: the server would not know where to listen",
    )
    .hint(
        "use {port} where the command takes its port (--port {port}), or name its address: --server http://127.0.0.1:8000",
    ))
}

/// The command with all that it is given, and a note that says what that is.
pub(super) fn start(command: String, wanted: Launch<'_>) -> Result<(Start, String), CliError> {
    let values = names(&wanted);
    if let Some(unknown) = unknown(&command, &values) {
        return Err(wrong_name(&unknown, wanted.target, &values));
    }
    let environment = environment_of(&wanted, &command);
    let note = format!("the server gets {}", listed(&environment));
    let start = Start {
        name: None,
        environment: with_small_names(environment),
        values,
        port: wanted.server.and_then(Url::port_or_known_default),
        listens: Listens::Yes,
        command,
        ready: wanted.ready,
        ready_timeout: wanted.ready_timeout,
        mask: wanted.mask,
    };
    Ok((start, note))
}

/// What a process finds in its environment unless its command sets it.
pub(super) fn environment_of(wanted: &Launch<'_>, command: &str) -> Vec<(String, String)> {
    let environment = environment(wanted, command, &|name| std::env::var(name).ok());
    environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The same for a person.
pub(super) fn listed(environment: &[(String, String)]) -> String {
    let all: Vec<_> = environment
        .iter()
        .map(|(name, value)| match name.as_str() {
            "DATABASE_URL" => format!("{name}={}", shown(value)),
            _ => format!("{name}={value}"),
        })
        .collect();
    all.join(", ")
}

/// The same, with the spelling of a name that programs look for first.
pub(super) fn with_small_names(mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
    let small = environment
        .iter()
        .find(|(name, _)| name == "NO_PROXY")
        .map(|(_, value)| ("no_proxy".to_owned(), value.clone()));
    environment.extend(small);
    environment
}

/// What the names in a command stand for; the port is not known yet.
pub(super) fn names(wanted: &Launch<'_>) -> Vec<(String, String)> {
    let gateway = ("gateway_url".to_owned(), wanted.gateway.clone());
    std::iter::once(gateway)
        .chain(database_names(wanted.target))
        .collect()
}

/// Those of the database.
pub(super) fn database_names(target: &Target) -> Vec<(String, String)> {
    let mut values = vec![("database_url".to_owned(), target.secret_url().to_owned())];
    let spelled = SPELLINGS
        .iter()
        .filter(|(_, engine, _)| *engine == target.engine());
    values.extend(
        spelled
            .map(|(name, _, scheme)| (format!("database_url:{name}"), spelled_as(scheme, target))),
    );
    match target.login() {
        None => values.push(("database_path".to_owned(), absolute(target.path()))),
        Some(login) => values.extend(
            [
                ("database_host", login.host),
                ("database_port", login.port.to_string()),
                ("database_user", login.user),
                ("database_password", login.password.unwrap_or_default()),
                ("database_name", login.database),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        ),
    }
    values
}

/// The URL with another scheme. SQLAlchemy begins an absolute path with four slashes; that is one
/// too many for nobody.
fn spelled_as(scheme: &str, target: &Target) -> String {
    match (target.is_file(), target.secret_url().split_once(':')) {
        (true, _) if scheme == "file" => format!("file:{}", absolute(target.path())),
        (true, _) => format!("{scheme}:///{}", absolute(target.path())),
        (false, Some((_, rest))) => format!("{scheme}:{}", options_of(scheme, rest)),
        (false, None) => target.secret_url().to_owned(),
    }
}

/// What follows the scheme, with the options that the driver calls otherwise: SQLAlchemy hands them on as
/// they are, and asyncpg takes no `sslmode`.
fn options_of(scheme: &str, rest: &str) -> String {
    match (scheme, rest.split_once('?')) {
        ("postgresql+asyncpg", Some((place, options))) => {
            let options: Vec<_> = options
                .split('&')
                .map(|option| match option.split_once('=') {
                    Some(("sslmode" | "ssl-mode", value)) => format!("ssl={value}"),
                    _ => option.to_owned(),
                })
                .collect();
            format!("{place}?{}", options.join("&"))
        }
        _ => rest.to_owned(),
    }
}

/// The server may run in another folder.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

/// The names in braces that are chatctl's, or would be.
pub(super) fn own_names(text: &str) -> impl Iterator<Item = &str> {
    let braced = text.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        Some(name)
    });
    braced.filter(|name| {
        let plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        plain && OWN.iter().any(|own| name.starts_with(own))
    })
}

/// A name in braces that would be chatctl's and is not.
fn unknown(command: &str, values: &[(String, String)]) -> Option<String> {
    own_names(command)
        .find(|name| *name != "port" && !values.iter().any(|(known, _)| known == name))
        .map(str::to_owned)
}

fn wrong_name(name: &str, target: &Target, values: &[(String, String)]) -> CliError {
    let known: Vec<_> = values
        .iter()
        .map(|(name, _)| format!("{{{name}}}"))
        .collect();
    let known = format!("known here: {{port}}, {}", known.join(", "));
    if name == "database_path" {
        return CliError::usage(format!(
            "`--start` has {{database_path}}, but `{target}` is not a file"
        ))
        .hint(format!("use {{database_url}} or its parts; {known}"));
    }
    CliError::usage(format!("`--start` has an unknown name {{{name}}}")).hint(known)
}

/// What the server finds in its environment, unless the command sets it.
fn environment(
    wanted: &Launch<'_>,
    command: &str,
    now: &dyn Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let target = wanted.target;
    let scheme = match target.engine() {
        Engine::Postgres => "postgresql",
        engine @ (Engine::Sqlite | Engine::Mysql) => engine.name(),
    };
    // The server's own spelling of the same place is right for it as no other is.
    let url = match now("DATABASE_URL").filter(|url| is_of(url, wanted.store)) {
        Some(url) if wanted.store == target => url,
        Some(url) => spelled_as(url.split_once(':').map_or(scheme, |(own, _)| own), target),
        None => spelled_as(scheme, target),
    };
    let all = [
        ("OPENAI_BASE_URL", wanted.gateway.clone()),
        ("OPENAI_API_KEY", KEY.to_owned()),
        ("DATABASE_URL", url),
        (
            "NO_PROXY",
            no_proxy(now("NO_PROXY").or_else(|| now("no_proxy"))),
        ),
    ];
    all.into_iter()
        .filter(|(name, _)| !sets(command, name))
        .collect()
}

/// Whether a command sets a variable of the environment.
fn sets(command: &str, name: &str) -> bool {
    let set = format!("{name}=");
    command.match_indices(&set).any(|(at, _)| {
        let before = command[..at].chars().next_back();
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
    })
}

/// Whether a URL, which may name a driver, is that of the store.
fn is_of(url: &str, target: &Target) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else {
        return false;
    };
    let engine = scheme.split('+').next().unwrap_or(scheme);
    if target.is_file() {
        // As SQLAlchemy reads it: three slashes begin a relative path.
        let path = rest.split('?').next().unwrap_or(rest);
        let path = path.strip_prefix("///").unwrap_or(path);
        return engine == target.engine().name()
            && absolute(Path::new(path)) == absolute(target.path());
    }
    Target::parse(&format!("{engine}:{rest}")).is_ok_and(|other| {
        (other.engine(), other.address(), other.database())
            == (target.engine(), target.address(), target.database())
    })
}

/// The list of hosts without a proxy, with this machine in it.
fn no_proxy(now: Option<String>) -> String {
    let now = now.unwrap_or_default();
    let mut hosts: Vec<_> = now
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .collect();
    for host in LOOPBACK {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.join(",")
}

/// A database's URL as it may be shown.
fn shown(url: &str) -> String {
    mask::url_text(url)
}

#[cfg(test)]
mod tests {
    use super::{Launch, Mask, Target, Url, check, environment, names, start};
    use std::time::Duration;

    fn wanted(target: &Target) -> Launch<'_> {
        Launch {
            gateway: "http://127.0.0.1:9/v1".to_owned(),
            target,
            store: target,
            server: None,
            ready: None,
            ready_timeout: Duration::ZERO,
            mask: Mask::default(),
        }
    }

    fn value(url: &str, name: &str) -> Option<String> {
        let target = Target::parse(url).unwrap();
        let values = names(&wanted(&target));
        values
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    #[test]
    fn a_database_is_spelled_as_the_server_needs_it() {
        let here = std::env::current_dir().unwrap();
        let path = here.join("chat.db").display().to_string();
        for (url, name, expected) in [
            ("sqlite:chat.db", "database_path", path.clone()),
            (
                "sqlite:chat.db",
                "database_url:aiosqlite",
                format!("sqlite+aiosqlite:///{path}"),
            ),
            ("sqlite:/a/b.db", "database_url:file", "file:/a/b.db".into()),
            (
                "postgres://bob:p%40w@db/chat?sslmode=require",
                "database_url:asyncpg",
                "postgresql+asyncpg://bob:p%40w@db/chat?ssl=require".into(),
            ),
            (
                "postgres://bob@db/chat?sslmode=require&connect_timeout=3",
                "database_url:psycopg",
                "postgresql+psycopg://bob@db/chat?sslmode=require&connect_timeout=3".into(),
            ),
            (
                "postgres://bob:p%40w@db/chat",
                "database_password",
                "p@w".into(),
            ),
            ("postgres://bob@db/chat", "database_port", "5432".into()),
            ("mysql://bob@db:1/chat", "database_name", "chat".into()),
            (
                "mysql://bob@db:1/chat",
                "database_url:aiomysql",
                "mysql+aiomysql://bob@db:1/chat".into(),
            ),
        ] {
            assert_eq!(value(url, name), Some(expected), "{url} {name}");
        }
    }

    #[test]
    fn a_server_keeps_its_driver_where_its_way_leads_through_chatctl() {
        let store = Target::parse("postgres://bob@db/chat?sslmode=require").unwrap();
        let proxied = store.through("127.0.0.1:4000".parse().unwrap());
        let wanted = Launch {
            store: &store,
            ..wanted(&proxied)
        };
        let url = |given: &'static str| {
            let environment = environment(&wanted, "x", &|name| {
                (name == "DATABASE_URL").then(|| given.to_owned())
            });
            let mut all = environment.into_iter();
            all.find(|(name, _)| *name == "DATABASE_URL").unwrap().1
        };
        assert_eq!(
            url("postgresql+asyncpg://bob@db:5432/chat"),
            "postgresql+asyncpg://bob@127.0.0.1:4000/chat"
        );
        assert_eq!(
            url("postgres://bob@prod/chat"),
            "postgresql://bob@127.0.0.1:4000/chat"
        );
    }

    #[test]
    fn a_command_that_cannot_run_is_refused_before_anything_is_started() {
        let at = Url::parse("http://127.0.0.1:8000").unwrap();
        for (command, server, says) in [
            ("uvicorn app:app", None, Some("has no {port}")),
            ("uvicorn app:app", Some(&at), None),
            ("uvicorn app:app --port {port}", None, None),
            (" ", Some(&at), Some("is not a command")),
            ("echo 'a {port}", None, Some("is not a command")),
        ] {
            let stop = check(command, server).err().map(|stop| stop.message);
            let has = |says| stop.as_ref().is_some_and(|stop| stop.contains(says));
            assert!(says.map_or(stop.is_none(), has), "{command}: {stop:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_refused_before_anything_is_started() {
        let file = Target::parse("sqlite:chat.db").unwrap();
        let server = Target::parse("mysql://bob@db/chat").unwrap();
        for (command, target, says) in [
            (
                "x {port} {database_host}",
                &file,
                "unknown name {database_host}",
            ),
            (
                "x {port} {database_url:asyncpg}",
                &file,
                "{database_url:asyncpg}",
            ),
            ("x {port} {database_path}", &server, "is not a file"),
            (
                "x {port} {gateway_uri}",
                &file,
                "unknown name {gateway_uri}",
            ),
        ] {
            let stop = start(command.to_owned(), wanted(target)).err().unwrap();
            assert!(stop.message.contains(says), "{command}: {}", stop.message);
            assert!(stop.hint.unwrap().contains("{port}"));
        }
        // Braces that are the command's own.
        let own = "sh -c 'x {port} ${HOME} {database-url} {}; awk {print}'";
        assert!(start(own.to_owned(), wanted(&file)).is_ok());
    }

    #[test]
    fn the_environment_has_what_the_command_does_not_set() {
        let target = Target::parse("postgres://bob@db/chat").unwrap();
        let of = |command: &str, now: &dyn Fn(&str) -> Option<String>| {
            environment(&wanted(&target), command, now)
        };
        let none = |_: &str| None;
        assert_eq!(
            of("x {port}", &none),
            [
                ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1".to_owned()),
                ("OPENAI_API_KEY", "chatctl".to_owned()),
                ("DATABASE_URL", "postgresql://bob@db/chat".to_owned()),
                ("NO_PROXY", "localhost,127.0.0.1,::1".to_owned()),
            ]
        );
        let set = "env OPENAI_BASE_URL={gateway_url} OPENAI_API_KEY=k DATABASE_URL=x NO_PROXY=* x";
        assert_eq!(of(set, &none), []);
        assert_eq!(of("env MY_DATABASE_URL=x y", &none).len(), 4);
        let now = |name: &str| match name {
            "DATABASE_URL" => Some("postgresql+asyncpg://bob@db:5432/chat".to_owned()),
            "no_proxy" => Some("intern.example, 127.0.0.1".to_owned()),
            _ => None,
        };
        let environment = of("x", &now);
        // The same place in the server's own spelling is left.
        assert_eq!(environment[2].1, "postgresql+asyncpg://bob@db:5432/chat");
        assert_eq!(environment[3].1, "intern.example,127.0.0.1,localhost,::1");
        // Another place is not: chats would go there.
        let other =
            |name: &str| (name == "DATABASE_URL").then(|| "postgres://bob@prod/chat".into());
        assert_eq!(of("x", &other)[2].1, "postgresql://bob@db/chat");
    }
}
