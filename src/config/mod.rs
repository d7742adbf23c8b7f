//! Settings: flag > environment > chatctl.toml > default.

mod owner;
mod settings;
mod variables;

use crate::cli_error::CliError;
use crate::source_error::SourceError;
use crate::store::Declared;
use crate::{input, mask};
use serde::Deserialize;
use settings::Takes;
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

pub use settings::{SETTINGS, Setting};
pub use variables::unknown_variables;

/// The file's name, looked for upwards from the working directory.
pub const FILE: &str = "chatctl.toml";

/// The settings that may hold a secret, and may be in the environment or a file of their own.
const SECRET: &[&str] = &["database-url", "server", "start"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment(&'static str),
    /// `chatctl.toml`.
    File(PathBuf),
    /// Nobody gave one.
    Default,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings of a run. The default one knows no file and no environment: the demo's.
#[derive(Debug, Default)]
pub struct Config {
    path: Option<PathBuf>,
    /// Whether the environment counts.
    environment: bool,
    values: toml::Table,
    /// Where the chats are, as far as the user says.
    pub store: Declared,
    /// Patterns that a server's output must not match.
    pub forbid: Vec<String>,
    /// The file as it is written: whoever reads a part of it can name the line.
    text: String,
}

#[derive(Deserialize, Default)]
struct Parts {
    #[serde(default)]
    store: Declared,
    #[serde(default)]
    logs: Logs,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Logs {
    #[serde(default)]
    forbid: Vec<String>,
}

impl Config {
    /// What the environment says, without a file.
    pub fn of_environment() -> Self {
        Self {
            environment: true,
            ..Self::default()
        }
    }

    /// Reads the named file, or the next `chatctl.toml` upwards; an empty one when there is none.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => Some(path.to_owned()),
            None => find(&std::env::current_dir()?),
        };
        let Some(path) = path else {
            return Ok(Self::of_environment());
        };
        let (text, about) = input::text_of(&path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::InvalidData => {
                    "save it as UTF-8: `iconv -f latin1 -t utf-8` converts the usual other encoding"
                }
                _ => "give a file that exists and that you may read; --config /dev/null reads none",
            };
            CliError::usage(format!("`{}` can't be read: {error}", path.display())).hint(hint)
        })?;
        if named.is_none() {
            let link = std::fs::symlink_metadata(&path)?;
            owner::trusted(&path, [about.uid(), link.uid()])?;
        }
        let mut config = Self::parse(&path.display().to_string(), &text).map_err(CliError::from)?;
        config.path = Some(path);
        config.environment = true;
        Ok(config)
    }

    fn parse(file: &str, text: &str) -> Result<Self, SourceError> {
        let wrong = |error: &toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().trim().replace('\n', " ");
            let near = near_miss(&message).map(|near| format!("did you mean `{near}`?"));
            let wrong = SourceError::at(file, text, offset, message);
            match near {
                Some(near) => wrong.help(near),
                None => wrong,
            }
        };
        let document = toml::de::DeTable::parse(text).map_err(|error| wrong(&error))?;
        for (key, value) in document.get_ref() {
            let name = key.get_ref();
            let known =
                SETTINGS
                    .iter()
                    .map(|setting| setting.key)
                    .chain(["store", "logs", "allow-loss"]);
            if !known.clone().any(|known| known == name.as_ref()) {
                let offset = key.span().start;
                let wrong = SourceError::at(file, text, offset, format!("unknown key `{name}`"));
                return Err(match crate::text::nearest(name, known) {
                    Some(near) => wrong.help(format!("did you mean `{near}`?")),
                    None => wrong.help("`chatctl config` lists the keys"),
                });
            }
            if let Some((what, help)) = of_another_type(name, value.get_ref()) {
                let offset = value.span().start;
                return Err(SourceError::at(file, text, offset, what).help(help));
            }
        }
        let declared = document
            .get_ref()
            .keys()
            .find(|key| key.get_ref().as_ref() == "store");
        let place = declared.map(|key| {
            let line = text[..key.span().start].matches('\n').count() + 1;
            format!("{file}:{line}")
        });
        let parts: Parts = toml::from_str(text).map_err(|error| wrong(&error))?;
        let values: toml::Table = toml::from_str(text).map_err(|error| wrong(&error))?;
        Ok(Self {
            path: None,
            environment: false,
            values,
            store: match place {
                Some(place) => parts.store.at(place),
                None => parts.store,
            },
            forbid: parts.logs.forbid,
            text: text.to_owned(),
        })
    }

    /// A setting's value and where it came from; a secret is not looked up yet.
    pub fn get(&self, key: &str, flag: Option<&str>) -> (Option<String>, From) {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.key == key)
            .expect("every requested key is in the table");
        if let Some(flag) = flag {
            return (Some(flag.to_owned()), From::Flag);
        }
        let from_environment = || {
            std::env::var(setting.env)
                .ok()
                .filter(|value| !value.is_empty())
        };
        if let Some(value) = self.environment.then(from_environment).flatten() {
            return (Some(value), From::Environment(setting.env));
        }
        let is_entries = key == "start" && self.start_entries().is_some();
        if let (Some(value), Some(path), false) = (self.values.get(key), &self.path, is_entries) {
            return (Some(text(value)), From::File(path.clone()));
        }
        (setting.default.map(str::to_owned), From::Default)
    }

    /// A setting's value, a secret looked up.
    pub fn value(&self, key: &str, flag: Option<&str>) -> Result<Option<String>, CliError> {
        let (value, from) = self.get(key, flag);
        match value {
            // The others are no secrets, and an error may quote them.
            Some(value) if SECRET.contains(&key) => secret(&value, key, &from).map(Some),
            value => Ok(value),
        }
    }

    /// A setting's value in another type; the error names where it came from.
    pub fn parsed<T>(
        &self,
        key: &str,
        flag: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, CliError> {
        let (_, from) = self.get(key, flag);
        let Some(value) = self.value(key, flag)? else {
            return Ok(None);
        };
        match parse(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(CliError::usage(format!(
                "`{}` is not a valid value for `{key}` (from: {from})",
                shown(key, &value)
            ))
            .hint(wanted(key, &value, parse))),
        }
    }

    /// The file, and what is written in it.
    pub fn written(&self) -> Option<(&Path, &str)> {
        Some((self.path.as_deref()?, &self.text))
    }

    /// The file that has `[[start]]` entries in the place of one command, and what is written in it.
    pub fn start_entries(&self) -> Option<(&Path, &str)> {
        match self.values.get("start")? {
            toml::Value::Array(_) | toml::Value::Table(_) => self.written(),
            _ => None,
        }
    }

    /// Whether chatctl is to start the server under test.
    pub fn starts(&self, flag: Option<&str>) -> Result<bool, CliError> {
        Ok(self.value("start", flag)?.is_some() || self.start_entries().is_some())
    }

    /// The folder of the file, which paths in it are relative to.
    pub fn folder(&self) -> Option<&Path> {
        self.path.as_deref()?.parent()
    }
}

/// What is wrong with a value in the file that is of another type than its key takes, and what to write.
fn of_another_type(key: &str, value: &DeValue<'_>) -> Option<(String, String)> {
    let setting = SETTINGS.iter().find(|setting| setting.key == key)?;
    let is_text = |value: &DeValue<'_>| matches!(value, DeValue::String(_));
    let number = match value {
        DeValue::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let (fits, wanted) = match (setting.takes, value) {
        (Takes::Text, _) => (is_text(value), "a text in quotes"),
        (Takes::Number, DeValue::String(text)) => {
            let is_number = text.parse::<u64>().is_ok();
            (is_number, "a whole number")
        }
        (Takes::Number, _) => (number.is_some(), "a whole number"),
        (Takes::List, DeValue::Array(items)) => {
            let mut items = items.iter();
            (items.all(|it| is_text(it.get_ref())), "a list of texts")
        }
        (Takes::List, _) => (is_text(value), "a text or a list of texts"),
        (Takes::Command, DeValue::Array(items)) => {
            let mut items = items.iter();
            let are_tables = items.all(|it| matches!(it.get_ref(), DeValue::Table(_)));
            (
                are_tables,
                "one text with the whole command, or a [[start]] table per process",
            )
        }
        (Takes::Command, DeValue::Table(_)) => (true, "a command"),
        (Takes::Command, _) => (is_text(value), "a text with a command"),
    };
    if fits {
        return None;
    }
    let is = match value {
        DeValue::String(text) => format!("`{text}`"),
        DeValue::Integer(_) => format!("the number {}", number.unwrap_or_default()),
        DeValue::Float(_) => "a decimal number".to_owned(),
        DeValue::Boolean(is) => format!("`{is}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    let help = match (setting.takes, value, setting.default) {
        (Takes::Command, ..) => "write start = \"uvicorn app:app --port {port}\"".to_owned(),
        // Most settings that a number is given for are durations.
        (Takes::Text, DeValue::Integer(number), Some(default))
            if humantime::parse_duration(default).is_ok() =>
        {
            format!("write it with a unit: {key} = \"{number}s\"")
        }
        (.., Some(default)) if setting.takes == Takes::Number => format!("write {key} = {default}"),
        (Takes::Number, ..) => format!("write {key} = 4"),
        (.., Some(default)) => format!("write {key} = \"{default}\""),
        (.., None) => format!("write {key} = \"…\": {}", setting.what),
    };
    Some((format!("`{key}` is {is}, and takes {wanted}"), help))
}

/// What to give in place of a value that can't be read.
fn wanted<T>(key: &str, value: &str, parse: impl Fn(&str) -> Option<T>) -> String {
    let with_unit = format!("{value}s");
    let is_duration = humantime::parse_duration(value).is_ok();
    match key {
        "trials" => "at least 3, at most 10000: --trials 5".to_owned(),
        "concurrency" => "at least 1, at most 10000: --concurrency 20".to_owned(),
        "sweep-every" => "a whole number from 1 on: --sweep-every 5".to_owned(),
        "max-hold" if is_duration => "at least 300ms, at most 10m: --max-hold 10s".to_owned(),
        "hold" if is_duration => {
            "at most 10m, which is a long time for users: --hold 2s".to_owned()
        }
        "ready" => format!("--ready takes a path such as /{value}, a URL, a port, or line:TEXT"),
        // The value is a number, and becomes a duration with a unit.
        _ if value.parse::<f64>().is_ok() && parse(&with_unit).is_some() => {
            format!("a duration needs a unit: --{key} {with_unit}")
        }
        _ => format!("see `chatctl verify-stream --help` for --{key}"),
    }
}

/// A setting's value as it may be shown: a URL without its secrets, a command without its arguments.
pub fn shown(key: &str, value: &str) -> String {
    match key {
        "start" => mask::command(value),
        // These name where the value is, and that is not a secret.
        _ if value.starts_with("env:") || value.starts_with("file:") => value.to_owned(),
        "database-url" => mask::database(value),
        "server" | "origin" | "gateway" => mask::url_text(value),
        _ => value.to_owned(),
    }
}

/// `env:NAME` and `file:PATH` keep a secret out of process lists and repositories.
fn secret(value: &str, key: &str, from: &From) -> Result<String, CliError> {
    if let Some(name) = value.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            CliError::usage(format!(
                "`{key}` (from: {from}) names the environment variable `{name}`, which is not set"
            ))
            .hint(format!("set it: export {name}=…"))
        });
    }
    if let Some(path) = value.strip_prefix("file:") {
        return input::text(Path::new(path))
            .map(|text| text.trim_end().to_owned())
            .map_err(|error| {
                CliError::usage(format!(
                    "`{key}` (from: {from}) names the file `{path}`: {error}"
                ))
                .hint("give a file that exists and that this user may read; the path is relative to the current folder")
            });
    }
    Ok(value.to_owned())
}

fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .map(|folder| folder.join(FILE))
        .find(|path| path.is_file())
}

/// The word that was meant, where the parser tells an unknown one and those that it knows.
fn near_miss(message: &str) -> Option<&str> {
    let unknown = ["unknown field `", "unknown variant `"];
    if !unknown.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let wrong = words.next()?;
    crate::text::nearest(wrong, words)
}

#[cfg(test)]
mod tests;
