//! A request as a template, and what it becomes.

use super::capture::Capture;
use super::handshake::{ExpandedHandshake, Handshake, Message};
use super::multipart::{self, Part};
use super::template::{Captures, ExpandError, JsonTemplate, Template};
use std::fmt;
use std::fmt::Write as _;
use url::form_urlencoded;

/// The methods a request can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Has no body here.
    Get,
    /// The usual way to send a turn.
    Post,
    /// For set-up requests.
    Put,
    /// For set-up requests.
    Patch,
    /// For set-up requests.
    Delete,
    /// A GET that opens a WebSocket, over which the body is then sent.
    Socket,
}

impl Method {
    pub(super) const ALL: [Self; 6] = [
        Self::Get,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Socket,
    ];

    /// As a session writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Socket => "WS",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    None,
    /// `application/json`.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Template)>),
    /// `multipart/form-data`.
    Multipart(Vec<Part>),
    /// `text/plain`, unless a header says otherwise; sent as it is.
    Text(Template),
}

/// A request with `{name}` in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: Method,
    /// The path without its query, beginning with `/`.
    pub path: Template,
    /// The query, from the path and from `query`, in order.
    pub query: Vec<(String, Template)>,
    /// Own headers, and those of the session that it has not itself.
    pub headers: Vec<(String, Template)>,
    pub body: Body,
    /// What comes before the body over a WebSocket; there only where it is one.
    pub handshake: Option<Handshake>,
    /// The status that the answer must have; any 2xx when absent.
    pub status: Option<u16>,
    /// What to take out of the answer.
    pub captures: Vec<Capture>,
    /// As the user wrote it, `POST /chat`: for messages.
    pub written: String,
}

/// A request ready to be sent. Its headers and body may hold secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Expanded {
    pub method: Method,
    /// Percent-encoded, beginning with `/`.
    pub path_and_query: String,
    /// In order; `content-type` is among them when there is a body.
    pub headers: Vec<(String, String)>,
    /// The body; empty without one.
    pub body: Vec<u8>,
    /// What comes before it over a WebSocket; there only where it is one.
    pub handshake: Option<ExpandedHandshake>,
}

impl Request {
    /// Fills in every name. Values are encoded for the place they are in.
    pub fn expand(&self, captures: &Captures) -> Result<Expanded, ExpandError> {
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            let value = template.expand(captures)?;
            if value.contains(['\r', '\n']) {
                let header = name.clone();
                return Err(ExpandError::LineBreak { header });
            }
            headers.push((name.clone(), value));
        }
        let (content_type, body) = self.expand_body(captures)?;
        let has_type = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(content_type) = content_type
            && !has_type
            && self.handshake.is_none()
        {
            headers.push(("content-type".to_owned(), content_type));
        }
        Ok(Expanded {
            method: self.method,
            path_and_query: self.expand_path(captures)?,
            headers,
            body,
            handshake: match &self.handshake {
                Some(handshake) => Some(handshake.expand(captures)?),
                None => None,
            },
        })
    }

    /// Whether an answer with this status is the one that was wanted.
    pub fn accepts(&self, status: u16) -> bool {
        match self.status {
            Some(wanted) => wanted == status,
            None => (200..300).contains(&status),
        }
    }

    /// Whether each message that it sends over a WebSocket is a list.
    pub fn says_events(&self) -> bool {
        let turn = match &self.body {
            Body::None => true,
            Body::Json(json) => matches!(json, JsonTemplate::Array(_)),
            Body::Form(_) | Body::Multipart(_) | Body::Text(_) => false,
        };
        let handshake = self.handshake.as_ref();
        turn && handshake.is_none_or(|handshake| handshake.hello.iter().all(Message::is_list))
    }

    /// Whether `{name}` is anywhere in it.
    pub fn uses(&self, name: &str) -> bool {
        let in_body = match &self.body {
            Body::None => false,
            Body::Json(json) => json.uses(name),
            Body::Form(pairs) => in_pairs(pairs, name),
            Body::Multipart(parts) => parts.iter().any(|part| part.uses(name)),
            Body::Text(template) => template.names().any(|used| used == name),
        };
        let in_handshake = self.handshake.as_ref();
        in_body
            || in_handshake.is_some_and(|handshake| handshake.uses(name))
            || self.uses_outside_body(name)
    }

    /// Whether something that was captured or made is in its path, its query or its body: what is in a header
    /// only says who asks.
    pub fn names_a_chat(&self) -> bool {
        let query = self
            .query
            .iter()
            .any(|(_, value)| value.names().next().is_some());
        let body = !matches!(self.body, Body::None);
        self.path.names().next().is_some() || query || body
    }

    /// The same without the headers and the parts of the query that use `{name}`.
    pub(super) fn without(&self, name: &str) -> Self {
        let mut request = self.clone();
        let uses = |(_, template): &(String, Template)| template.names().any(|used| used == name);
        request.query.retain(|pair| !uses(pair));
        request.headers.retain(|pair| !uses(pair));
        request
    }

    /// Whether `{name}` is in the path, the query or a header.
    pub(super) fn uses_outside_body(&self, name: &str) -> bool {
        self.path.names().any(|used| used == name)
            || in_pairs(&self.query, name)
            || in_pairs(&self.headers, name)
    }

    fn expand_path(&self, captures: &Captures) -> Result<String, ExpandError> {
        // The user's own text keeps its slashes; a captured value is one segment.
        let own = |text: &str| percent_encode(text, b"/:@!$&'()*+,;=%");
        let segment = |text: &str| match text {
            // A server would resolve these two, and the request would go elsewhere.
            "." => "%2E".to_owned(),
            ".." => "%2E%2E".to_owned(),
            _ => percent_encode(text, b":@!$&'()*+,;="),
        };
        let mut path = self.path.expand_encoded(captures, own, segment)?;
        if !self.query.is_empty() {
            path.push('?');
            path.push_str(&expand_pairs(&self.query, captures)?);
        }
        Ok(path)
    }

    fn expand_body(&self, captures: &Captures) -> Result<(Option<String>, Vec<u8>), ExpandError> {
        let of = |content_type: &str| Some(content_type.to_owned());
        Ok(match &self.body {
            Body::None => (None, Vec::new()),
            Body::Multipart(parts) => {
                let (content_type, body) = multipart::write(parts, captures)?;
                (Some(content_type), body)
            }
            Body::Json(json) => {
                let text = json.expand(captures)?.to_string();
                (of("application/json"), text.into_bytes())
            }
            Body::Form(pairs) => {
                let text = expand_pairs(pairs, captures)?;
                (of("application/x-www-form-urlencoded"), text.into_bytes())
            }
            Body::Text(template) => {
                let text = template.expand(captures)?;
                (of("text/plain; charset=utf-8"), text.into_bytes())
            }
        })
    }
}

fn in_pairs(pairs: &[(String, Template)], name: &str) -> bool {
    pairs
        .iter()
        .flat_map(|(_, template)| template.names())
        .any(|used| used == name)
}

fn expand_pairs(pairs: &[(String, Template)], captures: &Captures) -> Result<String, ExpandError> {
    let mut encoder = form_urlencoded::Serializer::new(String::new());
    for (name, template) in pairs {
        encoder.append_pair(name, &template.expand(captures)?);
    }
    Ok(encoder.finish())
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and `also`.
fn percent_encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Body, Captures, ExpandError, Method, Request, Template};
    use serde_json::json;

    fn request() -> Request {
        Request {
            method: Method::Get,
            path: Template::parse("/ä b/{id}").unwrap(),
            query: vec![("message".to_owned(), Template::parse("{user}!").unwrap())],
            headers: vec![("x-user".to_owned(), Template::parse("{user}").unwrap())],
            body: Body::None,
            handshake: None,
            status: None,
            captures: Vec::new(),
            written: "GET /".to_owned(),
        }
    }

    fn captures(id: &str, user: &str) -> Captures {
        Captures::from([
            ("id".to_owned(), json!(id)),
            ("user".to_owned(), json!(user)),
        ])
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        let expanded = request().expand(&captures("a/b?", "ü & {x}")).unwrap();
        assert_eq!(
            expanded.path_and_query,
            "/%C3%A4%20b/a%2Fb%3F?message=%C3%BC+%26+%7Bx%7D%21"
        );
        let climbing = request().expand(&captures("..", "")).unwrap();
        assert_eq!(climbing.path_and_query, "/%C3%A4%20b/%2E%2E?message=%21");
    }

    #[test]
    fn a_line_break_does_not_make_a_header() {
        let error = request().expand(&captures("1", "a\r\nx: y")).unwrap_err();
        let header = "x-user".to_owned();
        assert_eq!(error, ExpandError::LineBreak { header });
    }

    #[test]
    fn the_content_type_follows_the_body() {
        let mut form = request();
        form.headers.clear();
        form.body = Body::Form(vec![("m".to_owned(), Template::parse("{user}").unwrap())]);
        let expanded = form.expand(&captures("1", "a b")).unwrap();
        assert_eq!(expanded.body, b"m=a+b");
        assert_eq!(
            expanded.headers,
            [(
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned()
            )]
        );
        form.headers
            .push(("Content-Type".to_owned(), Template::literal("a/b")));
        assert_eq!(form.expand(&captures("1", "")).unwrap().headers.len(), 1);
    }
}
