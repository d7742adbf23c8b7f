//! `{messages}`: all turns so far, for an API where the client sends the history.

use super::parse_request::{Requests, Secrets};
use super::reader::{Fields, Item, Place};
use super::request::{Body, Request};
use super::template::{Captures, ExpandError, JsonTemplate, Template};
use super::validate::Scope;
use crate::source_error::SourceError;
use serde_json::Value;

/// What a form knows: the text, and the message's place, from 1.
const NAMES: [&str; 2] = ["text", "number"];
/// The name in braces that stands for all turns so far.
pub(super) const MESSAGES: &str = "messages";

const PLACE: Place = Place {
    name: "[messages]",
    request: &[],
    keys: &["user", "assistant"],
};

/// How a client writes what was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Forms {
    user: JsonTemplate,
    assistant: JsonTemplate,
}

impl Default for Forms {
    fn default() -> Self {
        Self {
            user: role_and_content("user"),
            assistant: role_and_content("assistant"),
        }
    }
}

/// As most APIs have it.
fn role_and_content(role: &str) -> JsonTemplate {
    JsonTemplate::Object(vec![
        (
            "role".to_owned(),
            JsonTemplate::Text(Template::literal(role)),
        ),
        (
            "content".to_owned(),
            JsonTemplate::Text(Template::name("text")),
        ),
    ])
}

/// What was said before, as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// What the user said.
    pub user: String,
    /// What was answered, as far as it came.
    pub answer: String,
}

impl Forms {
    /// All turns so far and the user's new message, in their forms.
    ///
    /// # Errors
    /// When a form names what was not captured.
    pub fn write(
        &self,
        before: &[Spoken],
        user: &str,
        captures: &Captures,
    ) -> Result<Value, ExpandError> {
        let mut captures = captures.clone();
        let mut messages = Vec::new();
        let earlier = before
            .iter()
            .flat_map(|turn| [(&self.user, &turn.user), (&self.assistant, &turn.answer)]);
        let now = user.to_owned();
        // An answer of which nothing came is on no screen.
        let said = earlier.filter(|(_, text)| !text.is_empty());
        for (form, text) in said.chain([(&self.user, &now)]) {
            captures.insert("text".to_owned(), text.as_str().into());
            captures.insert("number".to_owned(), (messages.len() + 1).into());
            messages.push(form.expand(&captures)?);
        }
        Ok(Value::Array(messages))
    }
}

/// Reads `[messages]`.
pub(super) fn forms(
    item: &Item<'_>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Forms, SourceError> {
    let fields = item.table(&PLACE)?;
    let scope = scope.with(&NAMES);
    let mut form = |key: &str, default: JsonTemplate| {
        let Some(item) = fields.get(key) else {
            return Ok(default);
        };
        let form = requests.json(&item, &scope, Secrets::InHeaders)?;
        if form.uses("text") {
            Ok(form)
        } else {
            Err(item
                .error(format!("`{key}` of [messages] never uses `{{text}}`"))
                .help(format!(
                    "for example: {key} = {{ role = \"{key}\", content = \"{{text}}\" }}"
                )))
        }
    };
    let default = Forms::default();
    Ok(Forms {
        user: form("user", default.user)?,
        assistant: form("assistant", default.assistant)?,
    })
}

/// Checks that `{messages}` is where a list can.
pub(super) fn check(request: &Request, fields: &Fields<'_>) -> Result<(), SourceError> {
    let stands_well = match &request.body {
        Body::Json(json) => json.has_only_whole(MESSAGES) && !request.uses_outside_body(MESSAGES),
        Body::None | Body::Form(_) | Body::Multipart(_) | Body::Text(_) => !request.uses(MESSAGES),
    };
    if stands_well {
        Ok(())
    } else {
        Err(fields
            .error("`{messages}` is a list: it can only be a whole value of `json`")
            .help("for example: json = { messages = \"{messages}\" }"))
    }
}
