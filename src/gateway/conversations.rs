//! Conversations that OpenAI keeps for a server, with their items
//! (platform.openai.com/docs/api-reference/conversations).

use super::matching::{self, Known};
use super::providers::{self, is_base};
use axum::http::Method;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// How many are kept.
const KEPT: usize = 1_000;
/// How many items a list has, where the request does not say.
const A_PAGE: usize = 20;

/// What a request does to the conversations.
pub(super) struct Wanted<'p> {
    method: Method,
    /// The conversation's id, and that of an item or nothing behind `items`.
    id: Option<&'p str>,
    items: Option<Option<&'p str>>,
    query: &'p str,
}

/// What is answered, and what is known of a conversation then.
pub(super) struct Answered {
    pub(super) body: Value,
    pub(super) known: Option<(String, Known)>,
}

/// The newest ones.
#[derive(Default)]
pub(super) struct Conversations {
    kept: VecDeque<Conversation>,
    numbers: u64,
}

struct Conversation {
    id: String,
    created: u64,
    metadata: Map<String, Value>,
    items: Vec<Value>,
}

/// The request that a path is, if it is one of these.
pub(super) fn at<'p>(method: &Method, path: &'p str, query: &'p str) -> Option<Wanted<'p>> {
    let (base, rest) = path.split_once("/conversations")?;
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
    let id = segments.next();
    let items = match segments.next() {
        None => None,
        Some("items") => Some(segments.next()),
        Some(_) => return None,
    };
    let is_known = matches!(
        (method.as_str(), id, items),
        ("POST", _, None | Some(None)) | ("GET" | "DELETE", Some(_), _)
    );
    let is_one = is_base(base) && (rest.is_empty() || rest.starts_with('/'));
    (is_one && is_known && segments.next().is_none()).then(|| Wanted {
        method: method.clone(),
        id,
        items,
        query,
    })
}

impl Conversations {
    /// Does what a request wants; nothing where it names what is not there.
    pub(super) fn answer(
        &mut self,
        wanted: &Wanted<'_>,
        body: &Value,
        now: u64,
    ) -> Option<Answered> {
        let Some(id) = wanted.id else {
            return Some(self.make(body, now));
        };
        let at = self.kept.iter().position(|it| it.id == id)?;
        let is_delete = wanted.method == Method::DELETE;
        let only = |body: Value| Answered { body, known: None };
        let conversation = &mut self.kept[at];
        Some(match (wanted.items, wanted.method == Method::POST) {
            (None, _) if is_delete => {
                self.kept.remove(at);
                only(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
            }
            (None, is_update) => {
                if let (true, Some(metadata)) = (is_update, body["metadata"].as_object()) {
                    conversation.metadata.clone_from(metadata);
                }
                only(conversation.shown())
            }
            (Some(None), true) => {
                let added = self.add(id, &body["items"]);
                Answered {
                    body: list(&added, false),
                    known: Some((id.to_owned(), known(&body["items"]))),
                }
            }
            (Some(None), false) => only(conversation.page(wanted.query)),
            (Some(Some(item)), _) => {
                let place = conversation.items.iter().position(|it| it["id"] == item)?;
                if is_delete {
                    conversation.items.remove(place);
                    only(conversation.shown())
                } else {
                    only(conversation.items[place].clone())
                }
            }
        })
    }

    fn make(&mut self, body: &Value, now: u64) -> Answered {
        let id = format!("conv_{}", super::stamp("").id);
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Conversation {
            id: id.clone(),
            created: now,
            metadata: body["metadata"].as_object().cloned().unwrap_or_default(),
            items: Vec::new(),
        });
        self.add(&id, &body["items"]);
        let made = self.kept.back().expect("it was just added");
        Answered {
            body: made.shown(),
            known: Some((id, known(&body["items"]))),
        }
    }

    /// Adds what a request says to a conversation, a text or items, each with an id.
    pub(super) fn add(&mut self, id: &str, said: &Value) -> Vec<Value> {
        let texts = said
            .as_str()
            .map(|text| json!({"role": "user", "content": text}));
        let items = said.as_array().into_iter().flatten().cloned();
        let items: Vec<_> = texts.into_iter().chain(items).collect();
        let Some(conversation) = self.kept.iter_mut().find(|it| it.id == id) else {
            return Vec::new();
        };
        let mut added = Vec::new();
        for item in items
            .into_iter()
            .filter(|item| item["type"] != "item_reference")
        {
            self.numbers += 1;
            added.push(stored(item, self.numbers));
        }
        conversation.items.extend(added.iter().cloned());
        added
    }
}

impl Conversation {
    fn shown(&self) -> Value {
        json!({
            "id": self.id, "object": "conversation", "created_at": self.created, "metadata": self.metadata,
        })
    }

    /// The newest items come first, unless the request says otherwise.
    fn page(&self, query: &str) -> Value {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let mut items = self.items.clone();
        if value("order") != Some("asc") {
            items.reverse();
        }
        let after = value("after").and_then(|id| items.iter().position(|item| item["id"] == id));
        items.drain(..after.map_or(0, |at| at + 1));
        let limit = value("limit").and_then(|limit| limit.parse().ok());
        let limit = limit.unwrap_or(A_PAGE);
        let has_more = items.len() > limit;
        items.truncate(limit);
        list(&items, has_more)
    }
}

fn list(items: &[Value], has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({
        "object": "list", "data": items, "has_more": has_more,
        "first_id": id(items.first()), "last_id": id(items.last()),
    })
}

/// An item as it is kept: a message has its text in parts.
fn stored(mut item: Value, number: u64) -> Value {
    if item["role"].is_string() {
        let is_users = item["role"] == "user";
        let kind = if is_users {
            "input_text"
        } else {
            "output_text"
        };
        item["type"] = "message".into();
        if let Some(text) = item["content"].as_str() {
            item["content"] = json!([{"type": kind, "text": text}]);
        }
        for part in item["content"].as_array_mut().into_iter().flatten() {
            if part["type"] == "output_text" {
                part["annotations"] = json!([]);
            }
        }
    }
    if !item["id"].is_string() {
        item["id"] = format!("msg_{number:032x}").into();
    }
    item["status"] = "completed".into();
    item
}

/// What is said in items.
fn known(items: &Value) -> Known {
    let responses = providers::named("openai-responses");
    let said = responses.and_then(|it| (it.ask)("", &json!({ "input": items })).ok());
    said.map_or_else(Known::default, |said| {
        matching::asked(&said, Known::default()).known
    })
}

#[cfg(test)]
mod tests {
    use super::{Conversations, Method, at};
    use serde_json::{Value, json};

    fn send(all: &mut Conversations, method: &Method, path: &str, body: &Value) -> Option<Value> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let wanted = at(method, path, query)?;
        all.answer(&wanted, body, 7).map(|answered| answered.body)
    }

    #[test]
    fn items_are_listed_as_they_were_added() {
        let mut all = Conversations::default();
        let begun =
            json!({"items": [{"role": "user", "content": "I am Ada"}], "metadata": {"a": "b"}});
        let made = send(&mut all, &Method::POST, "/v1/conversations", &begun).unwrap();
        let path = format!("/v1/conversations/{}", made["id"].as_str().unwrap());
        let items = format!("{path}/items");
        let more = json!({"items": [{"role": "assistant", "content": "Hello"}]});
        let added = send(&mut all, &Method::POST, &items, &more).unwrap();
        assert_eq!(added["data"][0]["content"][0]["text"], "Hello");
        let texts = |list: &Value| -> Vec<_> {
            let data = list["data"].as_array().unwrap().iter();
            data.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned())
                .collect()
        };
        let newest = send(&mut all, &Method::GET, &items, &Value::Null).unwrap();
        assert_eq!(texts(&newest), ["Hello", "I am Ada"]);
        let first = format!("{items}?order=asc&limit=1");
        let first = send(&mut all, &Method::GET, &first, &Value::Null).unwrap();
        assert_eq!(
            (texts(&first), &first["has_more"]),
            (vec!["I am Ada".to_owned()], &true.into())
        );
        let rest = format!(
            "{items}?order=asc&after={}",
            first["last_id"].as_str().unwrap()
        );
        let rest = send(&mut all, &Method::GET, &rest, &Value::Null).unwrap();
        assert_eq!(texts(&rest), ["Hello"]);
        let shown = send(&mut all, &Method::GET, &path, &Value::Null).unwrap();
        assert_eq!(shown["metadata"]["a"], "b");
        assert!(send(&mut all, &Method::DELETE, &path, &Value::Null).is_some());
        assert!(send(&mut all, &Method::GET, &items, &Value::Null).is_none());
    }

    #[test]
    fn other_paths_are_none_of_them() {
        for (method, path) in [
            (Method::GET, "/v1/conversations"),
            (Method::POST, "/x/conversations"),
            (Method::POST, "/v1/conversationsx"),
            (Method::GET, "/v1/conversations/a/other"),
            (Method::GET, "/v1/conversations/a/items/b/c"),
        ] {
            assert!(at(&method, path, "").is_none(), "{path}");
        }
    }
}
