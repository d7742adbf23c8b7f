//! Checks of single values; every error points into the file.

use super::reader::{Fields, Item};
use super::request::Method;
use super::template::{Template, TemplateError, is_name};
use crate::source_error::{SourceError, nearest};
use crate::stream::path::Path;
use regex::Regex;
use serde_json_path::{JsonPath, ParseError};
use std::time::Duration;

/// The name in braces for how far the client of a `[resume]` has come.
pub(super) const CURSOR: &str = "cursor";

/// The name in braces for the key of a stored question whose answer is asked for again.
pub const QUESTION_KEY: &str = "question_key";
/// The same for its answer.
pub const ANSWER_KEY: &str = "answer_key";

/// Names that no capture may take.
const BUILT_IN: [&str; 11] = [
    QUESTION_KEY,
    ANSWER_KEY,
    "run",
    "uuid",
    "nanoid",
    "turn",
    "user",
    "messages",
    "answer",
    "nonce",
    CURSOR,
];

/// The names that a template may use at one point of the session.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    names: Vec<String>,
}

impl Scope {
    /// What is known before anything was captured.
    pub(super) fn new() -> Self {
        let names = ["run", "uuid", "nanoid"].map(str::to_owned).to_vec();
        Self { names }
    }

    /// The same scope with further built-in names.
    pub(super) fn with(&self, more: &[&str]) -> Self {
        let mut names: Vec<_> = more.iter().map(|&name| name.to_owned()).collect();
        names.extend_from_slice(&self.names);
        Self { names }
    }

    /// Adds the name of a capture.
    pub(super) fn capture(&mut self, item: &Item<'_>) -> Result<(), SourceError> {
        let name = item.name;
        if BUILT_IN.contains(&name) {
            return Err(item.key_error(format!("`{name}` is built in and cannot be captured")));
        }
        if !is_name(name) {
            return Err(item
                .key_error(format!("`{name}` is not a valid name for a capture"))
                .help("use letters, digits and `_`"));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(item
                .key_error(format!("`{name}` is captured twice"))
                .help("give one of the two another name"));
        }
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Reads a template that is in `item`, as a whole or as a part.
    pub(super) fn template(&self, item: &Item<'_>, part: &str) -> Result<Template, SourceError> {
        let error = |text: &str, offset, message| {
            let at = item.origin.inside(item.span(), text, offset);
            item.origin.error(at, message)
        };
        let template = Template::parse(part).map_err(|TemplateError { offset, message }| {
            error(part, offset, message).help("write `{{` and `}}` for literal braces")
        })?;
        let unknown = template
            .names()
            .find(|name| !self.names.iter().any(|known| known == name));
        if let Some(name) = unknown {
            let braced = format!("{{{name}}}");
            let message = format!("unknown name `{braced}`");
            return Err(error(&braced, 0, message).help(self.help(name)));
        }
        Ok(template)
    }

    fn help(&self, name: &str) -> String {
        let known: Vec<_> = self
            .names
            .iter()
            .map(|name| format!("`{{{name}}}`"))
            .collect();
        let known = known.join(", ");
        match nearest(name, self.names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{{{near}}}`? known here: {known}"),
            None => format!(
                "known here: {known}; `capture` in [login] or an earlier [[setup]] makes more"
            ),
        }
    }
}

/// A method and a path: `POST /chat`.
pub(super) fn method_and_path<'a>(item: &Item<'a>) -> Result<(Method, &'a str), SourceError> {
    let text = item.text()?;
    let example = "write a method and a path: `POST /chat`";
    let Some((word, path)) = text.trim().split_once(char::is_whitespace) else {
        return Err(item
            .error(format!("`{text}` is not a method and a path"))
            .help(example));
    };
    let path = path.trim_start();
    let Some(method) = Method::ALL.into_iter().find(|method| method.word() == word) else {
        let help = match nearest(word, Method::ALL.map(Method::word)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use GET, POST, PUT, PATCH or DELETE, or WS for a WebSocket".to_owned(),
        };
        let at = item.origin.inside(item.span(), word, 0);
        return Err(item
            .origin
            .error(at, format!("`{word}` is not a known method"))
            .help(help));
    };
    if !path.starts_with('/') {
        let at = item.origin.inside(item.span(), path, 0);
        let help = if path.contains("://") {
            "leave the host out: --server names it"
        } else {
            "a path starts at the root of the server"
        };
        return Err(item
            .origin
            .error(at, format!("the path `{path}` does not start with `/`"))
            .help(help));
    }
    Ok((method, path))
}

/// A JSONPath as in RFC 9535.
pub(super) fn json_path(item: &Item<'_>) -> Result<JsonPath, SourceError> {
    read_path(item, JsonPath::parse)
}

/// A JSONPath that is followed in each event.
pub(super) fn event_path(item: &Item<'_>) -> Result<Path, SourceError> {
    read_path(item, Path::parse)
}

fn read_path<T>(
    item: &Item<'_>,
    parse: fn(&str) -> Result<T, ParseError>,
) -> Result<T, SourceError> {
    let text = item.text()?;
    parse(text).map_err(|error| {
        let at = item.origin.inside(item.span(), text, error.position());
        let help = if text.starts_with('$') {
            "a path looks like `$.id`, `$.data.id` or `$[0].id` (RFC 9535)"
        } else {
            "a path starts with `$`, which is the whole answer: `$.id` (RFC 9535)"
        };
        item.origin
            .error(
                at,
                format!("`{text}` is not a JSONPath: {}", error.message()),
            )
            .help(help)
    })
}

/// A regular expression.
pub(super) fn regex(item: &Item<'_>) -> Result<Regex, SourceError> {
    let text = item.text()?;
    if text.is_empty() {
        return Err(item.error(format!(
            "an empty expression in `{}` matches every line",
            item.name
        )));
    }
    Regex::new(text).map_err(|error| {
        // The last line of the parser's picture is its reason.
        let picture = error.to_string();
        let reason = picture.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        item.error(format!("`{text}` is not a regular expression: {reason}"))
            .help("write `\\\\` before a character that is meant literally, or use '…' quotes")
    })
}

/// The name of a header, a token of RFC 9110.
pub(super) fn header_name(item: &Item<'_>, name: &str) -> Result<(), SourceError> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(item.error(format!("`{name}` is not a header name")));
    }
    Ok(())
}

/// A duration, such as `200ms`.
pub(super) fn duration(item: &Item<'_>) -> Result<Duration, SourceError> {
    let text = item.text()?;
    humantime::parse_duration(text).map_err(|error| {
        item.error(format!("`{text}` is not a duration: {error}"))
            .help("write a number and a unit: `200ms`, `2s`, `1m`")
    })
}

/// A text that says something.
pub(super) fn not_empty<'a>(item: &Item<'a>) -> Result<&'a str, SourceError> {
    let text = item.text()?;
    if text.trim().is_empty() {
        return Err(item.error(format!("`{}` is empty", item.name)));
    }
    Ok(text)
}

/// The one of several keys that is there, or none; two are a mistake.
pub(super) fn at_most_one<'a>(
    fields: &Fields<'a>,
    keys: &[&str],
) -> Result<Option<Item<'a>>, SourceError> {
    match fields.present(keys).as_slice() {
        [] => Ok(None),
        [item] => Ok(Some(*item)),
        [first, second, ..] => Err(second
            .key_error(format!(
                "{} has both `{}` and `{}`",
                fields.place, first.name, second.name
            ))
            .help("keep one of the two")),
    }
}
