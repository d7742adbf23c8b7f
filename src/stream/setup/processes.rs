//! `[[start]]` in chatctl.toml: several processes that make up the server under test.
//!
//! They share the gateway and the database's address. Each is ready before the next one is started,
//! and they are ended in the opposite order.

use super::launch;
use super::launch::Launch;
use crate::db::Target;
use crate::http::{Listens, Ready, Reserved, Server, Start};
use crate::source_error::SourceError;
use crate::stream::run::OtherProcesses;
use crate::stream::session::reader::{Fields, Item, Origin, Place};
use crate::text::nearest;
use anyhow::Context as _;
use std::sync::Arc;
use std::time::Duration;
use toml::de::{DeTable, DeValue};
use url::Url;

const START: Place = Place {
    name: "[[start]]",
    request: &[],
    keys: &[
        "name",
        "command",
        "ready",
        "ready-timeout",
        "environment",
        "tested",
        "replica",
    ],
};

/// A process of the server under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// What its lines of output begin with.
    pub(super) name: String,
    /// Its command, with names in braces.
    pub(super) command: String,
    /// What tells that it is ready.
    pub(super) ready: Option<Ready>,
    /// How long that may take.
    pub(super) ready_timeout: Option<Duration>,
    /// What it finds in its environment besides, with names in braces.
    pub(super) environment: Vec<(String, String)>,
    /// Whether it is the one that clients speak to.
    pub(super) role: Role,
}

/// What a process is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Clients speak to it.
    Tested,
    /// Clients may speak to it as well as to that one.
    Replica,
    /// It works for the one that clients speak to, and others may connect to it.
    Listens,
    /// Nobody connects to it.
    Works,
}

/// Reads the `[[start]]` entries of a file.
///
/// # Errors
/// The first mistake, with its place.
pub(super) fn parse(file: &str, text: &str, target: &Target) -> Result<Vec<Process>, SourceError> {
    let origin = Origin { file, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        origin.error(at, error.message())
    })?;
    let Some(entries) = Item::of(origin, root.get_ref(), "start") else {
        return Ok(Vec::new());
    };
    let entries = entries.tables(&START)?;
    let mut names: Vec<String> = Vec::new();
    for entry in &entries {
        let item = entry.require("name", "name = \"web\"")?;
        let name = item.text()?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(item
                .error(format!("`{name}` can't be the name of a process"))
                .help("use lower-case letters, digits and `_`: name = \"web\""));
        }
        if names.iter().any(|other| other == name) {
            return Err(item.error(format!("two processes are called `{name}`")));
        }
        names.push(name.to_owned());
    }
    // The values are not known yet, and only their names count here.
    let known = known(target, &names);
    let mut processes: Vec<Process> = Vec::new();
    let mut marked = None;
    for (entry, name) in entries.iter().zip(&names) {
        let (process, mark) = process(entry, name, &known)?;
        if let Some(mark) = mark
            && let Some(first) = marked.replace(name)
        {
            return Err(mark
                .error(format!("`{first}` and `{name}` are both `tested`"))
                .help("clients connect to one process: mark that one"));
        }
        processes.push(process);
    }
    let mut listening = processes
        .iter()
        .filter(|it| !matches!(it.role, Role::Works | Role::Replica));
    match (marked, listening.next(), listening.next()) {
        (Some(_), _, _) => {}
        (None, Some(only), None) => {
            let only = only.name.clone();
            for process in &mut processes {
                if process.name == only {
                    process.role = Role::Tested;
                }
            }
        }
        (None, Some(first), Some(second)) => {
            let message = format!(
                "`{}` and `{}` both listen on a {{port}}: which one do clients connect to?",
                first.name, second.name
            );
            return Err(entries[0]
                .error(message)
                .help("add tested = true to that one"));
        }
        (None, None, _) => {
            return Err(entries[0]
                .error("no process has {port} in its command: clients can't find the server under test")
                .help("use {port} where the command takes its port, or mark it with tested = true and name its \
                    address: --server http://127.0.0.1:8000"));
        }
    }
    Ok(processes)
}

/// One entry, and its `tested` where that is true.
fn process<'a>(
    entry: &Fields<'a>,
    name: &str,
    known: &[String],
) -> Result<(Process, Option<Item<'a>>), SourceError> {
    let item = entry.require("command", "command = \"uvicorn app:app --port {port}\"")?;
    let command = item.text()?;
    if shlex::split(command).is_none_or(|words| words.is_empty()) {
        return Err(item.error("this is not a command: a quote is not closed, or it is empty"));
    }
    check_names(&item, command, known)?;
    let mut environment = Vec::new();
    if let Some(table) = entry.get("environment") {
        for item in table.entries()? {
            let value = item.text()?;
            check_names(&item, value, known)?;
            environment.push((item.name.to_owned(), value.to_owned()));
        }
    }
    let has_port = |text: &str| text.contains("{port}");
    let listens = has_port(command) || environment.iter().any(|(_, value)| has_port(value));
    let mark = is_true(entry, "tested")?;
    let role = match (mark, is_true(entry, "replica")?, listens) {
        (Some(_), Some(item), _) => {
            return Err(item
                .key_error(format!("`{name}` is both `tested` and a `replica`"))
                .help("`replica` marks another process like the one that is tested"));
        }
        (None, Some(item), false) => {
            return Err(item
                .key_error(format!(
                    "`{name}` is a replica, but has no {{port}} in its command"
                ))
                .help("use {port} where the command takes its port"));
        }
        (Some(_), None, _) => Role::Tested,
        (None, Some(_), true) => Role::Replica,
        (None, None, true) => Role::Listens,
        (None, None, false) => Role::Works,
    };
    let ready = entry.get("ready").map(|item| ready(&item, role));
    let ready_timeout = entry.get("ready-timeout").map(|item| {
        humantime::parse_duration(item.text()?).map_err(|_| {
            item.error("this is not a duration")
                .help("ready-timeout = \"30s\"")
        })
    });
    let process = Process {
        name: name.to_owned(),
        command: command.to_owned(),
        ready: ready.transpose()?,
        ready_timeout: ready_timeout.transpose()?,
        environment,
        role,
    };
    Ok((process, mark))
}

/// The entry's key of this name, where it is true.
fn is_true<'a>(entry: &Fields<'a>, key: &str) -> Result<Option<Item<'a>>, SourceError> {
    let Some(item) = entry.get(key) else {
        return Ok(None);
    };
    match item.value() {
        DeValue::Boolean(true) => Ok(Some(item)),
        DeValue::Boolean(false) => Ok(None),
        _ => Err(item.wrong_type("a boolean")),
    }
}

fn ready(item: &Item<'_>, role: Role) -> Result<Ready, SourceError> {
    let ready = Ready::parse(item.text()?).ok_or_else(|| {
        item.error("this is neither a path, a port, a URL nor line:TEXT")
            .help("ready = \"/health\"")
    })?;
    match (&ready, role) {
        (Ready::Path(path), Role::Works) => Err(item
            .error(format!(
                "`{path}` is asked at the process's own port, but its command has no {{port}}"
            ))
            .help("use a URL, a port, or a line of its output: ready = \"line:worker is ready\"")),
        _ => Ok(ready),
    }
}

/// The names that a command may have in braces.
fn known(target: &Target, processes: &[String]) -> Vec<String> {
    let ports = processes.iter().map(|name| format!("port:{name}"));
    let own = ["port".to_owned(), "gateway_url".to_owned()];
    let database = launch::database_names(target);
    own.into_iter()
        .chain(ports)
        .chain(database.into_iter().map(|(name, _)| name))
        .collect()
}

fn check_names(item: &Item<'_>, text: &str, known: &[String]) -> Result<(), SourceError> {
    let is_known = |name: &str| known.iter().any(|known| known == name);
    let Some(name) = launch::own_names(text).find(|name| !is_known(name)) else {
        return Ok(());
    };
    let braced = format!("{{{name}}}");
    let offset = text.find(&braced).unwrap_or(0);
    let at = item.origin.inside(item.span(), text, offset);
    let error = item
        .origin
        .error(at, format!("unknown name {braced} in `{}`", item.name));
    Err(match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean {{{near}}}?")),
        None => {
            let known: Vec<_> = known.iter().map(|name| format!("{{{name}}}")).collect();
            error.help(format!("known here: {}", known.join(", ")))
        }
    })
}

/// A process that is about to be started.
pub(super) struct Prepared {
    role: Role,
    start: Start,
    reserved: Option<Reserved>,
    /// What it gets, for the person who waits.
    pub(super) note: String,
}

/// Gives each its port, and fills in the names in its command and environment.
///
/// # Errors
/// When no port is free, or nobody says where the one that is tested listens.
pub(super) fn prepare(processes: &[Process], launch: &Launch<'_>) -> anyhow::Result<Vec<Prepared>> {
    let mut ports = Vec::new();
    let mut reserved = Vec::new();
    for process in processes {
        let given = launch.server.and_then(Url::port_or_known_default);
        let (port, kept) = match (process.role, given) {
            (Role::Works, _) => (None, None),
            (Role::Tested, Some(port)) => (Some(port), None),
            (Role::Tested | Role::Replica | Role::Listens, _) => {
                let kept = Reserved::new().context("looking for a free port")?;
                (Some(kept.port()), Some(kept))
            }
        };
        ports.push((process.name.as_str(), port));
        reserved.push(kept);
    }
    let prepared = processes.iter().zip(reserved);
    Ok(prepared
        .map(|(process, reserved)| {
            let (start, note) = prepared_one(process, launch, &ports);
            Prepared {
                role: process.role,
                start,
                reserved,
                note,
            }
        })
        .collect())
}

/// Starts them, one when the one before is ready: the one under test, and those next to it.
///
/// # Errors
/// When one does not start; those that run are ended.
pub(super) async fn start(
    all: Vec<Prepared>,
    doing: impl Fn(String),
) -> anyhow::Result<(Server, OtherProcesses)> {
    let mut tested = None;
    let mut others = OtherProcesses::default();
    for process in all {
        let name = process.start.name.as_deref().unwrap_or_default();
        doing(format!("starting `{name}`"));
        let started = match process.reserved {
            Some(reserved) => Server::start_on(&process.start, reserved).await,
            None => Server::start(&process.start).await,
        };
        let server = match started {
            Ok(server) => server,
            Err(error) => {
                others.end_with(tested).await;
                return Err(error);
            }
        };
        if process.role == Role::Replica {
            others.replicas.push(server.url().clone());
        }
        match (process.role, &tested) {
            (Role::Tested, _) => tested = Some(server),
            (Role::Replica | Role::Listens | Role::Works, None) => others.before.push(server),
            (Role::Replica | Role::Listens | Role::Works, Some(_)) => others.after.push(server),
        }
    }
    let tested = tested.context("one process of [[start]] is tested")?;
    Ok((tested, others))
}

/// How one is started, and what it gets.
fn prepared_one(
    process: &Process,
    launch: &Launch<'_>,
    ports: &[(&str, Option<u16>)],
) -> (Start, String) {
    let mut values = launch::names(launch);
    let known = ports
        .iter()
        .filter_map(|(name, port)| Some((format!("port:{name}"), (*port)?.to_string())));
    values.extend(known);
    let port = ports
        .iter()
        .find(|(name, _)| *name == process.name)
        .and_then(|(_, port)| *port);
    let filled = |text: &str| {
        let own = port.map(|port| ("port".to_owned(), port.to_string()));
        let values = values.iter().chain(&own);
        values.fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    };
    let own = process.environment.iter();
    let own: Vec<_> = own
        .map(|(name, value)| (name.clone(), filled(value)))
        .collect();
    let mut environment = launch::environment_of(launch, &process.command);
    environment.retain(|(name, _)| !own.iter().any(|(own, _)| own == name));
    let given: Vec<_> = own.iter().map(|(name, _)| name.as_str()).collect();
    let mut note = format!(
        "the process `{}` gets {}",
        process.name,
        launch::listed(&environment)
    );
    if !given.is_empty() {
        // Its own variables may hold secrets.
        note = format!("{note}, {}", given.join(", "));
    }
    let start = Start {
        name: Some(Arc::from(process.name.as_str())),
        command: process.command.clone(),
        environment: launch::with_small_names(environment)
            .into_iter()
            .chain(own)
            .collect(),
        port,
        listens: match process.role {
            Role::Tested | Role::Replica | Role::Listens => Listens::Yes,
            Role::Works => Listens::No,
        },
        ready: match process.role {
            Role::Tested => process.ready.clone().or_else(|| launch.ready.clone()),
            Role::Replica | Role::Listens | Role::Works => process.ready.clone(),
        },
        ready_timeout: process.ready_timeout.unwrap_or(launch.ready_timeout),
        mask: launch.mask.clone(),
        values,
    };
    (start, note)
}

#[cfg(test)]
mod tests {
    use super::{Process, Role, parse};
    use crate::db::Target;
    use crate::http::Ready;

    fn read(text: &str) -> Result<Vec<Process>, String> {
        let target = Target::parse("postgres://bob@db/chat").unwrap();
        parse("chatctl.toml", text, &target).map_err(|error| {
            let help = error.help.clone().unwrap_or_default();
            format!("{error}; {help}")
        })
    }

    #[test]
    fn entries_are_read() {
        let text = r#"
            [[start]]
            name = "worker"
            command = "python worker.py"
            ready = "line:is ready"
            environment = { QUEUE = "redis://127.0.0.1:{port:web}" }
            [[start]]
            name = "web"
            command = "uvicorn app:app --port {port}"
            ready = "/health"
            ready-timeout = "5s"
        "#;
        let [worker, web] = read(text).unwrap().try_into().unwrap();
        assert_eq!((worker.role, web.role), (Role::Works, Role::Tested));
        assert_eq!(worker.ready, Some(Ready::Line("is ready".into())));
        assert_eq!(web.ready_timeout, Some(std::time::Duration::from_secs(5)));
        assert_eq!(worker.environment[0].1, "redis://127.0.0.1:{port:web}");
        // Two listen: it is said which one is tested.
        let two =
            format!("{text}\ntested = true\n[[start]]\nname = 'queue'\ncommand = 'q {{port}}'");
        let roles: Vec<_> = read(&two).unwrap().iter().map(|it| it.role).collect();
        assert_eq!(roles, [Role::Works, Role::Tested, Role::Listens]);
        // A replica is not the one that is tested.
        let replica =
            format!("{text}\n[[start]]\nname = 'twin'\ncommand = 'x {{port}}'\nreplica = true");
        let roles: Vec<_> = read(&replica).unwrap().iter().map(|it| it.role).collect();
        assert_eq!(roles, [Role::Works, Role::Tested, Role::Replica]);
        assert_eq!(read("settle = '1s'").unwrap(), []);
    }

    #[test]
    fn a_wrong_entry_is_refused_with_its_place() {
        let web = "[[start]]\nname = 'web'\ncommand = 'x {port}'\n";
        for (text, says) in [
            ("[start]\nname = 'a'", "with double brackets"),
            (
                "[[start]]\ncommand = 'x'",
                "chatctl.toml:1:1: [[start]] has no `name`",
            ),
            (
                "[[start]]\nname = 'Web App'",
                "2:8: `Web App` can't be the name",
            ),
            ("[[start]]\nname = 'a'", "[[start]] has no `command`"),
            (
                "[[start]]\nname = 'a'\ncomand = 'x'",
                "3:1: unknown key `comand`",
            ),
            (
                "[[start]]\nname = 'a'\ncomand = 'x'",
                "did you mean `command`?",
            ),
            (
                "[[start]]\nname = 'a'\ncommand = \"x '\"",
                "a quote is not closed",
            ),
            (
                "[[start]]\nname = 'a'\ncommand = 'x {port:wep}'\n[[start]]\nname = 'web'\ncommand = 'x {port}'",
                "3:14: unknown name {port:wep} in `command`; did you mean {port:web}?",
            ),
            (
                &format!("{web}ready = 'health'"),
                "4:9: this is neither a path",
            ),
            (&format!("{web}ready-timeout = 'soon'"), "not a duration"),
            (&format!("{web}tested = 1"), "`tested` must be a boolean"),
            (
                &format!("{web}tested = true\nreplica = true"),
                "`web` is both `tested` and a `replica`",
            ),
            (
                &format!("{web}[[start]]\nname = 'b'\ncommand = 'y'\nreplica = true"),
                "`b` is a replica, but has no {port}",
            ),
            (
                &format!("{web}{web}"),
                "5:8: two processes are called `web`",
            ),
            (
                &format!("{web}[[start]]\nname = 'b'\ncommand = 'y {{port}}'"),
                "`web` and `b` both listen on a {port}",
            ),
            (
                &format!("{web}tested = true\n[[start]]\nname = 'b'\ncommand = 'y'\ntested = true"),
                "`web` and `b` are both `tested`",
            ),
            (
                "[[start]]\nname = 'a'\ncommand = 'x'",
                "no process has {port}",
            ),
            (
                "[[start]]\nname = 'a'\ncommand = 'x'\nready = '/health'",
                "its command has no {port}",
            ),
            (
                &format!("{web}environment = {{ A = '{{database_pasword}}' }}"),
                "did you mean {database_password}?",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
