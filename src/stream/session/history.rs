//! Reading a stored conversation back over HTTP.

use super::request::Request;
use crate::stream::body::{Body, Framing};
use crate::stream::marks;
use crate::stream::sse::Item;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// How the stored conversation is read back over HTTP.
#[derive(Debug, Clone)]
pub struct History {
    pub request: Request,
    /// Selects the records in the answer.
    pub messages: JsonPath,
    /// In which order the answer has them.
    pub order: Order,
    pub record: Record,
    /// How the answer is cut into events, of which the last one with messages counts; absent when
    /// it is one JSON text.
    pub framing: Option<Framing>,
}

/// In which order a history has its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they were said.
    OldestFirst,
    /// The other way round, as pages have them that load older ones when the user scrolls up.
    NewestFirst,
}

impl Order {
    /// Each with its word.
    pub const NAMED: [(&'static str, Self); 2] = [
        ("oldest-first", Self::OldestFirst),
        ("newest-first", Self::NewestFirst),
    ];
}

/// What a record of the history is.
#[derive(Debug, Clone)]
pub enum Record {
    Message {
        /// Selects the role.
        role: JsonPath,
        /// Selects the text.
        content: JsonPath,
    },
    Turn {
        /// Selects what the user said.
        question: JsonPath,
        /// Selects what was answered; nothing where there is no answer.
        answer: JsonPath,
    },
}

/// One message as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The role, in the server's words.
    pub role: String,
    /// The text.
    pub content: String,
}

/// Why a history could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryError {
    /// The server's answer is not what a history is.
    Answer(String),
    /// The session reads it in the wrong way: a path selects nothing in an answer that has
    /// messages.
    Session {
        /// The key of `[history]` that is wrong.
        key: &'static str,
        /// What it selects, and what the answer has.
        why: String,
    },
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(why) => f.write_str(why),
            Self::Session { key, why } => write!(f, "{why}: correct `{key}` in [history]"),
        }
    }
}

impl History {
    /// The messages in an answer of the history request, in order.
    ///
    /// # Errors
    /// The first record that has no single role or content, or a path that fits no record at all.
    pub fn read(&self, answer: &[u8]) -> Result<Vec<Remembered>, HistoryError> {
        self.records(&self.json(answer).map_err(HistoryError::Answer)?)
    }

    /// The same as it came.
    ///
    /// # Errors
    /// A sentence where it is no JSON.
    pub fn json(&self, answer: &[u8]) -> Result<Value, String> {
        let no_json = || {
            let text = String::from_utf8_lossy(answer);
            format!(
                "no JSON: {}",
                text.trim().chars().take(160).collect::<String>()
            )
        };
        let Some(framing) = &self.framing else {
            return serde_json::from_slice(answer).map_err(|_| no_json());
        };
        let mut decoder = Body::new(framing);
        let items = decoder.push(Duration::ZERO, answer).and_then(|mut items| {
            items.extend(decoder.finish(Duration::ZERO)?);
            Ok(items)
        });
        let items = items.map_err(|error| error.to_string())?;
        let mut events = items.iter().filter_map(|item| match item {
            Item::Frame(frame) => serde_json::from_str::<Value>(&frame.data).ok(),
            Item::Line(_) => None,
        });
        let snapshot = events.rfind(|event| !self.messages.query(event).is_empty());
        let none = || format!("`{}` selects nothing in any event", self.messages);
        snapshot.ok_or_else(none)
    }

    /// Refuses paths that select nothing where there is something.
    fn check(&self, answer: &Value, records: &[&Value]) -> Result<(), HistoryError> {
        if records.is_empty() && self.has_messages_elsewhere(answer) {
            return Err(HistoryError::Session {
                key: "messages",
                why: format!(
                    "`{}` selects nothing in the answer of `{}`, which has messages; it is {}",
                    self.messages,
                    self.request.written,
                    keys_of(answer)
                ),
            });
        }
        let needed = match &self.record {
            Record::Message { role, content } => vec![("role", role), ("content", content)],
            Record::Turn { question, .. } => vec![("question", question)],
        };
        for (key, path) in needed {
            // Some records without a text are the server's; a path that none has is the session's.
            let has_none = records.iter().all(|it| path.query(it).is_empty());
            if let (true, Some(first)) = (has_none, records.first()) {
                return Err(HistoryError::Session {
                    key,
                    why: format!(
                        "`{path}` selects nothing in any record of `{}`; a record is {}",
                        self.request.written,
                        keys_of(first)
                    ),
                });
            }
        }
        Ok(())
    }

    fn records(&self, answer: &Value) -> Result<Vec<Remembered>, HistoryError> {
        let mut records = self.messages.query(answer).all();
        self.check(answer, &records)?;
        match self.order {
            Order::OldestFirst => {}
            Order::NewestFirst => records.reverse(),
        }
        // A separator, an event: what has neither an author nor a text, and something that no
        // message has. Without that it is a message that has lost both. What it leaves out of a
        // conversation is missed in it all the same.
        let says = |it: &Value| match &self.record {
            Record::Message { role, content } => {
                !role.query(it).is_empty() || !content.query(it).is_empty()
            }
            Record::Turn { .. } => true,
        };
        let messages: Vec<_> = records.iter().copied().filter(|it| says(it)).collect();
        let known: BTreeSet<_> = messages.iter().flat_map(|it| fields(it)).collect();
        let is_message = |it: &Value| {
            let is_like_one =
                || fields(it).all(|it| known.contains(it)) && !is_other(it, &messages);
            says(it) || it.is_null() || it.is_object() && is_like_one()
        };
        let aside = Aside::of(&messages);
        let numbered = (1..)
            .zip(&records)
            .filter(|numbered| is_message(numbered.1) && !aside.has(numbered.1));
        let field = |record: &Value, number: usize, path: &JsonPath| {
            let found = path.query(record).exactly_one().map_err(|_| {
                HistoryError::Answer(format!(
                    "`{path}` is not exactly one value in message {number} of the history"
                ))
            })?;
            Ok::<_, HistoryError>(match found {
                Value::String(text) => text.clone(),
                // As a message has it that only calls tools.
                Value::Null => String::new(),
                other => other.to_string(),
            })
        };
        let mut remembered = Vec::new();
        for (number, record) in numbered {
            match &self.record {
                Record::Message { role, content } => remembered.push(Remembered {
                    role: field(record, number, role)?,
                    content: field(record, number, content)?,
                }),
                Record::Turn { question, answer } => {
                    remembered.push(Remembered {
                        role: "user".to_owned(),
                        content: field(record, number, question)?,
                    });
                    let answered = answer.query(record).iter().any(|found| !found.is_null());
                    if answered {
                        remembered.push(Remembered {
                            role: "assistant".to_owned(),
                            content: field(record, number, answer)?,
                        });
                    }
                }
            }
        }
        Ok(remembered)
    }

    /// Whether an answer in which `messages` selects nothing has messages of a run all the same. An
    /// empty list at the path is an empty history, whatever a title or a preview says.
    fn has_messages_elsewhere(&self, answer: &Value) -> bool {
        let path = self.messages.to_string();
        let list = path.strip_suffix("[*]").unwrap_or(&path);
        let is_there = JsonPath::parse(list).is_ok_and(|list| !list.query(answer).is_empty());
        !is_there && !marks::of(&answer.to_string()).is_empty()
    }
}

/// Kinds of what a page shows between the messages. Any other may be a part of an answer.
const ASIDE: [&str; 12] = [
    "date",
    "divider",
    "event",
    "notice",
    "progress",
    "reasoning",
    "separator",
    "status",
    "step",
    "thinking",
    "thought",
    "typing",
];

/// What says something between the messages and is none: a status, a step.
struct Aside<'v> {
    /// The kinds of what a run said itself.
    said: Vec<Option<&'v Value>>,
}

impl<'v> Aside<'v> {
    fn of(messages: &[&'v Value]) -> Self {
        let said = messages.iter().copied().filter(|it| is_said(it));
        Self {
            said: said.map(kind_of).collect(),
        }
    }

    /// Whether a record is of such a kind, and nothing is that the run said.
    fn has(&self, record: &Value) -> bool {
        let is_aside = |kind: &Value| {
            let word = kind.as_str().is_some_and(|word| ASIDE.contains(&word));
            word && self.said.iter().all(|it| *it != Some(kind))
        };
        !self.said.is_empty() && !is_said(record) && kind_of(record).is_some_and(is_aside)
    }
}

fn is_said(record: &Value) -> bool {
    !marks::of(&record.to_string()).is_empty()
}

/// Whether something in a record says that it is another thing than those messages: its kind, or
/// `null` in the place of an object, as the root of a tree has it.
fn is_other(record: &Value, messages: &[&Value]) -> bool {
    let is_new = |kind| messages.iter().all(|it| kind_of(it) != Some(kind));
    let is_emptied = |name: &String| {
        let has_object = |it: &&Value| it.get(name).is_some_and(Value::is_object);
        record[name].is_null() && messages.iter().any(has_object)
    };
    kind_of(record).is_some_and(is_new) || fields(record).any(is_emptied)
}

/// What a record says of its kind.
fn kind_of(record: &Value) -> Option<&Value> {
    let names = ["type", "kind", "event", "object"];
    names.into_iter().find_map(|name| record.get(name))
}

/// The names of what an object has.
fn fields(record: &Value) -> impl Iterator<Item = &String> {
    record.as_object().into_iter().flat_map(|it| it.keys())
}

/// What a JSON value is, without its values.
fn keys_of(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Value::Object(fields) => {
            let keys: Vec<_> = fields.keys().map(|key| format!("`{key}`")).collect();
            format!("an object with {}", keys.join(", "))
        }
        Value::Array(items) => match items.first() {
            Some(first @ Value::Object(_)) => {
                format!(
                    "a list of {}, of which the first is {}",
                    items.len(),
                    keys_of(first)
                )
            }
            _ => format!("a list of {}", items.len()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            "a single value".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{History, HistoryError, Remembered};
    use crate::stream::session::parse;
    use crate::stream::session::reader::Outside;

    fn history(more: &str) -> History {
        let text = format!(
            "[request]\nrequest = \"POST /chat\"\njson = {{ m = \"{{user}}\" }}\n\
             [[turn]]\nuser = \"a\"\nanswer = \"b\"\n[history]\nrequest = \"GET /c\"\n{more}"
        );
        let outside = Outside {
            profiles: &[],
            read: &|_| Err("there is none".to_owned()),
            env: &|_| None,
        };
        parse("s.toml", &text, &outside).unwrap().history.unwrap()
    }

    fn read(more: &str, answer: &str) -> Result<Vec<String>, HistoryError> {
        let told = |it: Remembered| format!("{}: {}", it.role, it.content);
        let read = history(more).read(answer.as_bytes())?;
        Ok(read.into_iter().map(told).collect())
    }

    const SAID: &str = r#"[{"role":"user","content":"hi chatctl-u0123456789abcdef"},{"role":"assistant","content":"ho"}]"#;

    #[test]
    fn a_record_without_an_author_and_a_text_is_no_message() {
        let day = r#"[{"day":"Monday"},{"role":"user","content":"a"},{"day":"Tuesday"}]"#;
        assert_eq!(read("", day).unwrap(), ["user: a"]);
        // What has nothing of its own is a message without its text: a page shows a blank one.
        for blank in [r#"{"role":"assistant"}"#, "{}", r#"{"id":2}"#, "null"] {
            let half = format!(r#"[{{"id":1,"role":"user","content":"a"}},{blank}]"#);
            let found = read("", &half);
            assert!(matches!(found, Err(HistoryError::Answer(_))), "{blank}");
        }
    }

    /// Another kind of thing may have no field of its own.
    #[test]
    fn a_record_of_another_kind_is_no_message() {
        let of =
            |more: &str, record: &str, message: &str| read(more, &format!("[{record},{message}]"));
        let message =
            r#"{"type":"message","id":1,"status":"completed","role":"user","content":"a"}"#;
        for other in [
            r#"{"type":"web_search_call","id":2,"status":"completed"}"#,
            r#"{"type":"date","id":2}"#,
        ] {
            assert_eq!(of("", other, message).unwrap(), ["user: a"], "{other}");
        }
        // Of the same kind, or of none, it is a message that has lost its text.
        for blank in [r#"{"type":"message","id":2}"#, r#"{"id":2}"#] {
            let found = of("", blank, message);
            assert!(matches!(found, Err(HistoryError::Answer(_))), "{blank}");
        }
        let paths = "role = \"$.message.role\"\ncontent = \"$.message.content\"";
        let node = r#"{"id":1,"message":{"role":"user","content":"a"},"parent":0}"#;
        let root = r#"{"id":0,"message":null,"parent":null}"#;
        assert_eq!(of(paths, root, node).unwrap(), ["user: a"]);
        let blank = of(paths, r#"{"id":2,"message":{},"parent":1}"#, node);
        assert!(matches!(blank, Err(HistoryError::Answer(_))));
    }

    /// A status says something in the assistant's name, and is no answer.
    #[test]
    fn a_status_between_the_messages_is_no_message() {
        let asked = r#"{"type":"message","role":"user","content":"a chatctl-u0123456789abcdef"}"#;
        let of = |other: &str| read("", &format!("[{asked},{other}]")).unwrap().len();
        let other =
            |kind: &str| format!(r#"{{"type":"{kind}","role":"assistant","content":"Searching"}}"#);
        assert_eq!(of(&other("status")), 1);
        // A part of an answer may have a kind of its own, and an answer that lost its mark is one.
        assert_eq!(of(&other("interrupted")), 2);
        assert_eq!(of(&other("message")), 2);
    }

    #[test]
    fn a_path_that_fits_no_record_is_a_mistake_of_the_session() {
        let wrong = |more: &str, answer: &str| match read(more, answer).unwrap_err() {
            HistoryError::Session { key, why } => (key, why),
            HistoryError::Answer(why) => panic!("{why}"),
        };
        let (key, why) = wrong("content = \"$.text\"", SAID);
        assert_eq!(key, "content");
        assert_eq!(
            why,
            "`$.text` selects nothing in any record of `GET /c`; a record is an object with `role`, `content`"
        );
        assert_eq!(wrong("role = \"$.author\"", SAID).0, "role");
        let turns = "question = \"$.q\"\nanswer = \"$.content\"";
        assert_eq!(wrong(turns, SAID).0, "question");
        let (key, why) = wrong("messages = \"$.items[*]\"", SAID);
        assert_eq!(key, "messages");
        assert!(
            why.contains("a list of 2, of which the first is an object with `role`"),
            "{why}"
        );
        let nested = format!("{{\"data\":{SAID}}}");
        assert_eq!(wrong("messages = \"$.items[*]\"", &nested).0, "messages");
    }

    /// What the server does not have is not the session's mistake.
    #[test]
    fn an_empty_history_is_the_servers() {
        for (more, answer) in [
            ("", "[]"),
            ("messages = \"$.items[*]\"", r#"{"items":[]}"#),
            ("messages = \"$.items[*]\"", "{}"),
            // The title of a conversation whose messages are gone.
            (
                "messages = \"$.items[*]\"",
                r#"{"title":"hi chatctl-u0123456789abcdef","items":[]}"#,
            ),
            (
                "messages = \"$.items[*]\"",
                r#"{"hint":[{"text":"ask me"}]}"#,
            ),
        ] {
            assert_eq!(read(more, answer), Ok(Vec::new()), "{more} {answer}");
        }
        let some = r#"[{"role":"user","content":"a"},{"role":"assistant"}]"#;
        let error = read("", some).unwrap_err();
        assert!(matches!(error, HistoryError::Answer(_)), "{error}");
    }

    #[test]
    fn a_history_may_be_newest_first() {
        let newest = read("order = \"newest-first\"", SAID).unwrap();
        assert_eq!(
            newest,
            ["assistant: ho", "user: hi chatctl-u0123456789abcdef"]
        );
        let turns = "order = \"newest-first\"\nquestion = \"$.q\"\nanswer = \"$.a\"";
        let answer = r#"[{"q":"2","a":"two"},{"q":"1","a":"one"}]"#;
        let expected = ["user: 1", "assistant: one", "user: 2", "assistant: two"];
        assert_eq!(read(turns, answer).unwrap(), expected);
    }
}
