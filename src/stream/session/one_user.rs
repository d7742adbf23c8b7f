//! Whether a request is of the same user in each chat.

use super::request::{Body, Request};
use super::template::{JsonTemplate, Template};

/// Headers by which a server may know the user, whatever is in them.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "x-api-key"];
/// How the names of what tells users apart end, without `-` and `_`.
const USERS: [&str; 10] = [
    "user",
    "userid",
    "username",
    "userkey",
    "email",
    "login",
    "account",
    "accountid",
    "apikey",
    "token",
];
/// Names that tell users apart where they are not the end of a longer one.
const WHOLE: [&str; 5] = ["uid", "owner", "ownerid", "tenant", "tenantid"];
/// Names that tell them apart inside of an object that is a user.
const INSIDE: [&str; 3] = ["id", "name", "key"];
/// How names end that tell pages or people from robots apart.
const OTHERS: [&str; 3] = ["csrftoken", "xsrftoken", "captchatoken"];
/// Segments of a path before the one that names a user.
const BEFORE: [&str; 3] = ["users", "accounts", "tenants"];
/// Segments behind these, at the end of a setup's path, that make a user.
const MAKES: [&str; 5] = ["guest", "guests", "anonymous", "register", "signup"];
/// What is another one in each chat.
pub(super) const NEW: [&str; 3] = ["uuid", "nanoid", "run"];

/// Whom a value names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The same one in each chat, as far as it can be known: what the server gave may be.
    Same,
    /// Another one in each chat.
    New,
}

/// Whether a request names a user who is the same in each chat.
pub(super) fn names_one_user(request: &Request, is_setup: bool) -> bool {
    let is_known = |name: &str| CREDENTIALS.iter().any(|it| name.eq_ignore_ascii_case(it));
    if request.headers.iter().any(|(name, _)| is_known(name)) {
        return true;
    }
    let mut named = Vec::new();
    for (name, value) in request.headers.iter().chain(&request.query) {
        named.extend(by_text(is_of_user(name), value));
    }
    match &request.body {
        Body::None | Body::Text(_) => {}
        Body::Json(json) => by_json(json, false, &mut named),
        Body::Form(pairs) => {
            let pairs = pairs.iter();
            named.extend(pairs.filter_map(|(name, value)| by_text(is_of_user(name), value)));
        }
        Body::Multipart(parts) => {
            let parts = parts.iter();
            named.extend(parts.filter_map(|it| by_text(is_of_user(&it.name), &it.content)));
        }
    }
    if let Some(handshake) = &request.handshake {
        let hello = handshake.hello.iter().map(|message| &message.0);
        for json in handshake.auth.iter().chain(hello) {
            by_json(json, false, &mut named);
        }
    }
    !named.contains(&Named::New)
        && (named.contains(&Named::Same) || in_path(&request.path, is_setup))
}

/// A user's segment that the session writes out: `/users/demo/chat`. One that ends the path of a
/// setup may make a user: `/users/guest`.
fn in_path(path: &Template, is_setup: bool) -> bool {
    let text = path.own_text();
    let segments: Vec<_> = text.split('/').collect();
    let names_it = |(at, pair): (usize, &[&str])| {
        let is_before = BEFORE.iter().any(|it| pair[0].eq_ignore_ascii_case(it));
        let is_end = at + 2 == segments.len();
        let makes = MAKES.iter().any(|it| pair[1].eq_ignore_ascii_case(it));
        is_before && !pair[1].is_empty() && !(is_setup && is_end && makes)
    };
    segments.windows(2).enumerate().any(names_it)
}

fn by_json(json: &JsonTemplate, of_user: bool, named: &mut Vec<Named>) {
    match json {
        JsonTemplate::Scalar(_) | JsonTemplate::Text(_) => {}
        JsonTemplate::Array(items) => {
            for item in items {
                by_json(item, false, named);
            }
        }
        JsonTemplate::Object(entries) => {
            for (name, value) in entries {
                let is_user = is_of_user(name) || of_user && INSIDE.contains(&plain(name).as_str());
                match value {
                    JsonTemplate::Scalar(_) => named.extend(is_user.then_some(Named::Same)),
                    JsonTemplate::Text(text) => named.extend(by_text(is_user, text)),
                    JsonTemplate::Array(_) | JsonTemplate::Object(_) => {
                        by_json(value, is_user, named);
                    }
                }
            }
        }
    }
}

/// Whom a value names, unless it is what the user says.
fn by_text(is_user: bool, value: &Template) -> Option<Named> {
    let uses = |known: &[&str]| value.names().any(|name| known.contains(&name));
    match is_user && !uses(&["user", "messages"]) {
        true if uses(&NEW) => Some(Named::New),
        true => Some(Named::Same),
        false => None,
    }
}

fn is_of_user(name: &str) -> bool {
    let name = plain(name);
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    WHOLE.contains(&name.as_str()) || ends(&USERS) && !ends(&OTHERS)
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use crate::stream::session::parse;
    use crate::stream::session::reader::Outside;

    fn has_one_user(request: &str) -> bool {
        let text = format!("{request}\n[[turn]]\nuser = \"a\"\nanswer = \"b\"\n");
        let outside = Outside {
            profiles: &[],
            read: &|_| Err("there is none".to_owned()),
            env: &|_| None,
        };
        let session = parse("a.toml", &text, &outside);
        session.expect(request).has_one_user()
    }

    fn chat(path: &str, more: &str) -> String {
        format!("[request]\nrequest = \"POST {path}\"\n{more}")
    }

    #[test]
    fn a_user_that_each_chat_names_is_one() {
        let text = "body = \"{user}\"";
        for same in [
            chat("/users/demo/chat", text),
            chat("/chat?user_id=demo", text),
            chat(
                "/chat",
                "body = \"{user}\"\nheaders = { X-User-Id = \"demo\" }",
            ),
            chat(
                "/chat",
                "body = \"{user}\"\nheaders = { x-forwarded-email = \"a@b.de\" }",
            ),
            chat(
                "/chat",
                "body = \"{user}\"\nheaders = { Cookie = \"session=1\" }",
            ),
            chat("/chat", "json = { m = \"{user}\", userId = 7 }"),
            chat(
                "/chat",
                "json = { m = \"{user}\", user = { id = \"demo\" } }",
            ),
            chat("/chat", "form = { m = \"{user}\", username = \"demo\" }"),
            format!(
                "[[setup]]\nrequest = \"POST /chats\"\njson = {{ owner_id = 1 }}\n{}",
                chat("/chat", text)
            ),
            format!(
                "[[setup]]\nrequest = \"POST /users/demo/chats\"\n{}",
                chat("/chat", text)
            ),
            format!(
                "[[setup]]\nrequest = \"PUT /users/demo\"\n{}",
                chat("/chat", text)
            ),
        ] {
            assert!(has_one_user(&same), "{same}");
        }
    }

    #[test]
    fn what_is_new_in_each_chat_or_said_by_the_user_names_none() {
        let text = "body = \"{user}\"";
        for other in [
            chat("/chat", text),
            chat("/api/users", text),
            chat("/chat?user_id={uuid}", text),
            chat("/users/{uuid}/chat", text),
            chat("/chat", "json = { m = \"{user}\", csrf_token = \"a\" }"),
            format!(
                "[[setup]]\nrequest = \"POST /users/guest\"\n{}",
                chat("/chat", text)
            ),
            chat(
                "/chat",
                "json = { user = \"{user}\", id = \"{uuid}\", max_tokens = 7 }",
            ),
            chat(
                "/chat",
                "json = { userMessage = { role = \"user\", content = \"{user}\" } }",
            ),
            chat(
                "/chat",
                "json = { m = \"{user}\", user = { id = \"{uuid}\" } }",
            ),
            format!(
                "[[setup]]\nrequest = \"POST /users/register\"\njson = {{ email = \"{{uuid}}@b.de\" }}\n{}",
                chat("/chat", text)
            ),
        ] {
            assert!(!has_one_user(&other), "{other}");
        }
    }
}
