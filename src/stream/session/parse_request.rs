//! Reads one request of a session file.

use super::capture::{Capture, CaptureFrom};
use super::multipart::Part;
use super::reader::{Fields, Item, Outside, Place};
use super::request::{Body, Method, Request};
use super::template::{JsonTemplate, Secret, Template};
use super::validate::{Scope, at_most_one, header_name, json_path, method_and_path, not_empty};
use crate::source_error::{SourceError, nearest};
use serde_json::Value;
use toml::de::DeValue;
use url::form_urlencoded;

const FILE: Place = Place {
    name: "a file of `multipart`",
    request: &[],
    keys: &["file", "content", "type"],
};

/// Whether a body may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    InHeaders,
    InHeadersAndBody,
}

/// Reads requests, and keeps the secrets that they hold.
#[derive(Debug)]
pub(super) struct Requests<'a> {
    pub(super) outside: &'a Outside<'a>,
    /// The headers of the whole session.
    pub(super) headers: Vec<(String, Template)>,
    pub(super) secrets: Vec<Secret>,
}

impl Requests<'_> {
    /// Reads a request; its captures are added to `scope` afterwards.
    pub(super) fn read(
        &mut self,
        fields: &Fields<'_>,
        scope: &mut Scope,
        secrets: Secrets,
    ) -> Result<Request, SourceError> {
        let written = fields.require("request", "`request = \"POST /…\"`")?;
        let (method, target) = method_and_path(&written)?;
        let (path, own_query) = target.split_once('?').unwrap_or((target, ""));
        let path = scope.template(&written, path)?;
        let mut query = Vec::new();
        for (name, value) in form_urlencoded::parse(own_query.as_bytes()) {
            query.push((name.into_owned(), scope.template(&written, &value)?));
        }
        if let Some(item) = fields.get("query") {
            query.extend(pairs(&item, scope)?);
        }
        let mut headers = match fields.get("headers") {
            Some(item) => self.headers(&item, scope)?,
            None => Vec::new(),
        };
        let inherited = self.headers.iter().filter(|(name, _)| {
            let own = headers
                .iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(name));
            own.is_none()
        });
        let inherited: Vec<_> = inherited.cloned().collect();
        headers.extend(inherited);
        let body = self.body(fields, method, scope, secrets)?;
        let handshake = self.handshake(fields, (&written, method), &body, scope)?;
        Ok(Request {
            method,
            path,
            query,
            headers,
            body,
            handshake,
            status: status(fields)?,
            captures: captures(fields, scope)?,
            written: format!("{method} {target}"),
        })
    }

    pub(super) fn headers(
        &mut self,
        item: &Item<'_>,
        scope: &Scope,
    ) -> Result<Vec<(String, Template)>, SourceError> {
        let mut headers = Vec::new();
        for entry in item.entries()? {
            header_name(&entry, entry.name)?;
            let text = entry.text()?;
            // The scheme is before a secret: `Bearer env:TOKEN`.
            let split = text.rfind(' ').map_or(0, |space| space + 1);
            let (scheme, last) = text.split_at(split);
            let value = match self.secret(&entry, last)? {
                Some(secret) => Template::secret(scheme, secret),
                None => scope.template(&entry, text)?,
            };
            headers.push((entry.name.to_owned(), value));
        }
        Ok(headers)
    }

    fn body(
        &mut self,
        fields: &Fields<'_>,
        method: Method,
        scope: &Scope,
        secrets: Secrets,
    ) -> Result<Body, SourceError> {
        let Some(item) = at_most_one(fields, &["json", "form", "multipart", "body"])? else {
            return Ok(Body::None);
        };
        if method == Method::Get {
            return Err(item
                .key_error(format!(
                    "a GET request has no body, but `{}` is given",
                    item.name
                ))
                .help("use `query`, or another method"));
        }
        Ok(match item.name {
            "json" => Body::Json(self.json(&item, scope, secrets)?),
            "form" => {
                let mut form = Vec::new();
                for entry in item.entries()? {
                    let value = match self.body_secret(&entry, secrets)? {
                        Some(template) => template,
                        None => scope.template(&entry, &scalar_text(&entry)?)?,
                    };
                    form.push((entry.name.to_owned(), value));
                }
                Body::Form(form)
            }
            "multipart" => Body::Multipart(self.parts(&item, scope, secrets)?),
            _ => Body::Text(scope.template(&item, item.text()?)?),
        })
    }

    fn parts(
        &mut self,
        item: &Item<'_>,
        scope: &Scope,
        secrets: Secrets,
    ) -> Result<Vec<Part>, SourceError> {
        let mut parts = Vec::new();
        for entry in item.entries()? {
            let name = entry.name.to_owned();
            let DeValue::Table(_) = entry.value() else {
                let content = match self.body_secret(&entry, secrets)? {
                    Some(template) => template,
                    None => scope.template(&entry, &scalar_text(&entry)?)?,
                };
                parts.push(Part {
                    name,
                    content,
                    file: None,
                    media_type: None,
                });
                continue;
            };
            let fields = entry.table(&FILE)?;
            let file = fields.require("file", "`file = \"notes.txt\"`: the file's name")?;
            let content = fields.require("content", "`content = \"…\"`: what is in the file")?;
            let media_type = fields.get("type");
            let media_type = media_type.map(|item| not_empty(&item).map(str::to_owned));
            parts.push(Part {
                name,
                content: scope.template(&content, content.text()?)?,
                file: Some(not_empty(&file)?.to_owned()),
                media_type: Some(
                    media_type
                        .transpose()?
                        .unwrap_or_else(|| "text/plain".to_owned()),
                ),
            });
        }
        Ok(parts)
    }

    pub(super) fn json(
        &mut self,
        item: &Item<'_>,
        scope: &Scope,
        secrets: Secrets,
    ) -> Result<JsonTemplate, SourceError> {
        Ok(match item.value() {
            DeValue::String(text) => match self.body_secret(item, secrets)? {
                Some(template) => JsonTemplate::Text(template),
                None => JsonTemplate::Text(scope.template(item, text)?),
            },
            DeValue::Array(_) => {
                let items = item.items()?;
                let items = items.iter().map(|item| self.json(item, scope, secrets));
                JsonTemplate::Array(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(_) => {
                let mut object = Vec::new();
                for entry in item.entries()? {
                    let value = self.json(&entry, scope, secrets)?;
                    object.push((entry.name.to_owned(), value));
                }
                JsonTemplate::Object(object)
            }
            _ => JsonTemplate::Scalar(scalar(item)?),
        })
    }

    fn body_secret(
        &mut self,
        item: &Item<'_>,
        secrets: Secrets,
    ) -> Result<Option<Template>, SourceError> {
        let DeValue::String(text) = item.value() else {
            return Ok(None);
        };
        if secrets == Secrets::InHeaders {
            return Ok(None);
        }
        let secret = self.secret(item, text)?;
        Ok(secret.map(|secret| Template::secret("", secret)))
    }

    /// The secret that `env:NAME` or `file:PATH` names; none for any other text.
    fn secret(&mut self, item: &Item<'_>, text: &str) -> Result<Option<Secret>, SourceError> {
        let value = if let Some(name) = text.strip_prefix("env:") {
            (self.outside.env)(name).ok_or_else(|| {
                item.error(format!("the environment has no `{name}`"))
                    .help(format!("set it: export {name}=…"))
            })?
        } else if let Some(path) = text.strip_prefix("file:") {
            let bytes = (self.outside.read)(path).map_err(|reason| {
                item.error(format!("the secret `{path}` cannot be read: {reason}"))
                    .help("the path is relative to the session file")
            })?;
            String::from_utf8(bytes)
                .map_err(|_| item.error(format!("the secret `{path}` is not UTF-8")))?
                .trim_end_matches(['\r', '\n'])
                .to_owned()
        } else {
            return Ok(None);
        };
        if value.is_empty() {
            return Err(item.error(format!("the secret `{text}` is empty")));
        }
        let secret = Secret::new(value);
        self.secrets.push(secret.clone());
        Ok(Some(secret))
    }
}

/// Where an answer has a value: a JSONPath, `header:NAME` or `cookie:NAME`.
pub(super) fn capture_from(item: &Item<'_>) -> Result<CaptureFrom, SourceError> {
    let text = item.text()?;
    let word = text.split(':').next().unwrap_or_default();
    match text.split_once(':') {
        Some(("header", name)) => {
            header_name(item, name)?;
            Ok(CaptureFrom::Header(name.to_owned()))
        }
        Some(("cookie", "")) => Err(item.error("`cookie:` names no cookie")),
        Some(("cookie", name)) => Ok(CaptureFrom::Cookie(name.to_owned())),
        Some(_) if nearest(word, ["header", "cookie"]).is_some() => Err(item
            .error(format!("unknown source `{word}:`"))
            .help("use a JSONPath such as `$.id`, `header:NAME` or `cookie:NAME`")),
        _ => Ok(CaptureFrom::Json(json_path(item)?)),
    }
}

fn captures(fields: &Fields<'_>, scope: &mut Scope) -> Result<Vec<Capture>, SourceError> {
    let Some(item) = fields.get("capture") else {
        return Ok(Vec::new());
    };
    let mut captures = Vec::new();
    for entry in item.entries()? {
        let from = capture_from(&entry)?;
        scope.capture(&entry)?;
        let name = entry.name.to_owned();
        captures.push(Capture { name, from });
    }
    Ok(captures)
}

fn status(fields: &Fields<'_>) -> Result<Option<u16>, SourceError> {
    let Some(item) = fields.get("status") else {
        return Ok(None);
    };
    let number = item.integer()?;
    match u16::try_from(number) {
        Ok(status) if (100..600).contains(&status) => Ok(Some(status)),
        _ => Err(item.error(format!("`{number}` is not an HTTP status"))),
    }
}

fn pairs(item: &Item<'_>, scope: &Scope) -> Result<Vec<(String, Template)>, SourceError> {
    let entries = item.entries()?;
    let pairs = entries.iter().map(|entry| {
        let value = scope.template(entry, &scalar_text(entry)?)?;
        Ok((entry.name.to_owned(), value))
    });
    pairs.collect()
}

fn scalar_text(item: &Item<'_>) -> Result<String, SourceError> {
    Ok(match item.value() {
        DeValue::String(text) => text.clone().into_owned(),
        DeValue::Array(_) | DeValue::Table(_) => {
            return Err(item.wrong_type("a string, a number or a boolean"));
        }
        _ => match scalar(item)? {
            Value::String(text) => text,
            other => other.to_string(),
        },
    })
}

/// A string, number or boolean as JSON; a date is its text.
pub(super) fn scalar(item: &Item<'_>) -> Result<Value, SourceError> {
    Ok(match item.value() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Integer(_) => Value::from(item.integer()?),
        DeValue::Float(float) => {
            let number = float.as_str().parse::<f64>().ok();
            let number = number.and_then(serde_json::Number::from_f64);
            Value::from(
                number.ok_or_else(|| {
                    item.error(format!("JSON has no number `{}`", float.as_str()))
                })?,
            )
        }
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => {
            return Err(item.wrong_type("a string, a number or a boolean"));
        }
    })
}
