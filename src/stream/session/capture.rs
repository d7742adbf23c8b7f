//! Captures values from a response.

use super::template::Captures;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::fmt;

/// One value to take out of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The name that templates use.
    pub name: String,
    /// Where the value is.
    pub from: CaptureFrom,
}

/// Where in an answer a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureFrom {
    /// The one value that a JSONPath selects in the body.
    Json(JsonPath),
    /// The first header of the name.
    Header(String),
    /// A cookie that this answer sets.
    Cookie(String),
}

impl fmt::Display for CaptureFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(path) => write!(f, "{path}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

/// An answer as far as captures look at it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The request as the user wrote it: `POST /conversations`.
    pub request: &'a str,
    /// All headers in order, `set-cookie` once per cookie.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
}

/// A value that is not in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureError {
    /// What was searched for and what the answer says instead.
    pub message: String,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CaptureError {}

/// Takes every capture out of an answer and adds it to `known`.
///
/// # Errors
/// The first value that is missing, `null`, or there more than once. `known` is
/// then as it was.
pub fn capture(
    captures: &[Capture],
    answered: Answered<'_>,
    known: &mut Captures,
) -> Result<(), CaptureError> {
    let taken = captures
        .iter()
        .map(|capture| Ok((capture.name.clone(), capture.from.take(answered)?)))
        .collect::<Result<Vec<_>, _>>()?;
    known.extend(taken);
    Ok(())
}

impl CaptureFrom {
    /// Takes one value out of an answer.
    pub fn take(&self, answered: Answered<'_>) -> Result<Value, CaptureError> {
        match self {
            Self::Json(path) => answered.select(path),
            Self::Header(name) => {
                let value = answered.values(name).next();
                value.map(Value::from).ok_or_else(|| CaptureError {
                    message: format!(
                        "the answer of `{}` has no header `{name}`; it has {}",
                        answered.request,
                        answered.header_names()
                    ),
                })
            }
            Self::Cookie(name) => {
                let value = answered.values("set-cookie").find_map(|cookie| {
                    let pair = cookie.split(';').next()?;
                    let (key, value) = pair.split_once('=')?;
                    (key.trim() == name).then(|| Value::from(value.trim()))
                });
                value.ok_or_else(|| CaptureError {
                    message: format!(
                        "the answer of `{}` sets no cookie `{name}`",
                        answered.request
                    ),
                })
            }
        }
    }
}

impl<'a> Answered<'a> {
    fn values(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn header_names(self) -> String {
        if self.headers.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self
            .headers
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        names.join(", ")
    }

    fn select(self, path: &JsonPath) -> Result<Value, CaptureError> {
        let Self { request, .. } = self;
        let failed = |what: &str| CaptureError {
            message: format!(
                "`{path}` {what} the answer of `{request}`; it is {}",
                shape(self.body)
            ),
        };
        let Ok(body) = serde_json::from_slice::<Value>(self.body) else {
            return Err(CaptureError {
                message: format!(
                    "`{path}` needs JSON, but the answer of `{request}` is not JSON; it says: {}",
                    beginning(self.body)
                ),
            });
        };
        match path.query(&body).all().as_slice() {
            [] => Err(failed("matches nothing in")),
            [Value::Null] => Err(failed("is null in")),
            [value] => Ok((*value).clone()),
            several => Err(failed(&format!("matches {} values in", several.len()))),
        }
    }
}

/// What a JSON answer is, without its values: an answer to a log-in holds secrets.
fn shape(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) if object.is_empty() => "an empty object".to_owned(),
        Ok(Value::Object(object)) => {
            let keys: Vec<_> = object.keys().map(|key| format!("`{key}`")).collect();
            format!("an object with {}", keys.join(", "))
        }
        Ok(Value::Array(items)) => format!("a list of {}", items.len()),
        _ => "a single value".to_owned(),
    }
}

/// The first 200 characters of a body, on one line; a cut is shown.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let mut shown: String = text
        .chars()
        .take(200)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Answered, Capture, CaptureFrom, Captures, JsonPath, capture};
    use serde_json::json;

    fn json_path(path: &str) -> CaptureFrom {
        CaptureFrom::Json(JsonPath::parse(path).unwrap())
    }

    fn take(from: CaptureFrom, body: &str) -> Result<Captures, String> {
        let headers = [
            ("Location".to_owned(), "/c/7".to_owned()),
            ("set-cookie".to_owned(), "a=1; Path=/".to_owned()),
            ("set-cookie".to_owned(), "sid=x=y; HttpOnly".to_owned()),
        ];
        let answered = Answered {
            request: "POST /conversations",
            headers: &headers,
            body: body.as_bytes(),
        };
        let captures = [Capture {
            name: "x".to_owned(),
            from,
        }];
        let mut known = Captures::new();
        capture(&captures, answered, &mut known).map_err(|error| error.to_string())?;
        Ok(known)
    }

    #[test]
    fn values_keep_their_type() {
        let taken = take(json_path("$.id"), r#"{"id":7}"#).unwrap();
        assert_eq!(taken["x"], json!(7));
        let taken = take(CaptureFrom::Header("location".to_owned()), "").unwrap();
        assert_eq!(taken["x"], json!("/c/7"));
        let taken = take(CaptureFrom::Cookie("sid".to_owned()), "").unwrap();
        assert_eq!(taken["x"], json!("x=y"));
    }

    #[test]
    fn what_is_missing_is_reported_with_the_answer() {
        let cases = [
            (
                json_path("$.id"),
                r#"{"uuid":"a"}"#,
                "`$.id` matches nothing in the answer of `POST /conversations`; it is an object with `uuid`",
            ),
            (
                json_path("$.id"),
                r#"{"id":null}"#,
                "`$.id` is null in the answer of `POST /conversations`; it is an object with `id`",
            ),
            (
                json_path("$[*]"),
                "[1,\n2]",
                "`$[*]` matches 2 values in the answer of `POST /conversations`; it is a list of 2",
            ),
            (
                json_path("$.id"),
                "",
                "`$.id` needs JSON, but the answer of `POST /conversations` is not JSON; it says: nothing",
            ),
            (
                CaptureFrom::Header("x-id".to_owned()),
                "",
                "the answer of `POST /conversations` has no header `x-id`; it has `Location`, `set-cookie`, `set-cookie`",
            ),
            (
                CaptureFrom::Cookie("id".to_owned()),
                "",
                "the answer of `POST /conversations` sets no cookie `id`",
            ),
        ];
        for (from, body, message) in cases {
            assert_eq!(take(from, body).unwrap_err(), message);
        }
    }

    #[test]
    fn a_long_answer_is_cut_visibly() {
        let error = take(json_path("$.id"), &format!("oops{}", "ä".repeat(300))).unwrap_err();
        assert!(error.ends_with(&format!("{}…", "ä".repeat(196))), "{error}");
    }
}
