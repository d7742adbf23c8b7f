//! The role of a message, in its many spellings.

use crate::model::{Role, known_role as known};
use std::collections::BTreeMap;

/// What a value of the role column means; nothing when it marks what is not a message.
pub(super) fn role_of(map: &BTreeMap<String, String>, value: &str) -> Option<Role> {
    // A column of a fixed length fills a word up with blanks.
    let word = value.trim_end_matches(' ');
    let declared = || map.get(value).or_else(|| map.get(word));
    let any = || map.get("*").map(String::as_str);
    match declared()
        .map(String::as_str)
        .or_else(|| known(word))
        .or_else(any)
    {
        Some("") => None,
        Some("user") => Some(Role::User),
        Some("assistant") => Some(Role::Assistant),
        Some(other) => Some(Role::Other(other.to_owned())),
        None => Some(Role::Other(word.to_owned())),
    }
}

/// Whether the spelling is one of those that are known.
pub(super) fn is_known(value: &str) -> bool {
    known(value).is_some()
}

/// Spellings that mean a side of a chat only where it is plain that a machine speaks.
const LIKELY: &[(&str, &str)] = &[
    ("usr", "user"),
    ("person", "user"),
    ("me", "user"),
    ("customer", "user"),
    ("client", "user"),
    ("visitor", "user"),
    ("guest", "user"),
    ("question", "user"),
    ("prompt", "user"),
    ("query", "user"),
    ("answer", "assistant"),
    ("response", "assistant"),
    ("completion", "assistant"),
    ("chatbot", "assistant"),
    ("robot", "assistant"),
    ("machine", "assistant"),
    ("llm", "assistant"),
    ("bot_message", "assistant"),
    ("botmessage", "assistant"),
    ("ai_message", "assistant"),
    ("ai_response", "assistant"),
];
/// How the names of models begin.
const MODELS: &[&str] = &[
    "gpt",
    "chatgpt",
    "claude",
    "gemini",
    "llama",
    "mistral",
    "mixtral",
    "deepseek",
    "qwen",
    "grok",
    "command-r",
    "palm",
    "gemma",
];
/// Letters that stand for the two sides: the user's first.
const LETTERS: &[[&str; 2]] = &[["u", "a"], ["u", "b"], ["h", "a"], ["h", "b"], ["q", "a"]];
/// Spellings of the assistant's side that a person at a desk may have too.
const PEOPLE: &[&str] = &["agent", "answer", "response"];

/// Which sides of a chat must speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Both,
    /// Either: something else shows that it is a chat.
    Any,
}

/// What the values of a column mean, if they say whose message it is: `role_map` for the spellings
/// that are not known.
pub(super) fn sides(values: &[&str], wanted: Sides) -> Option<BTreeMap<String, String>> {
    let lower: Vec<_> = values.iter().map(|value| value.to_lowercase()).collect();
    let roles: Vec<_> = lower
        .iter()
        .map(|value| side(value, &lower))
        .collect::<Option<_>>()?;
    let speaks = |role: &str| roles.contains(&role);
    let both = speaks("user") && speaks("assistant");
    let enough = match wanted {
        Sides::Both => both,
        Sides::Any => speaks("user") || speaks("assistant"),
    };
    let pairs = values.iter().zip(&roles);
    let map: BTreeMap<_, _> = pairs
        .filter(|(value, _)| !is_known(value))
        .map(|(value, role)| ((*value).to_owned(), (*role).to_owned()))
        .collect();
    let is_machine =
        |(value, role): (&String, &&str)| *role == "assistant" && !PEOPLE.contains(&value.as_str());
    let vouched =
        map.is_empty() || wanted == Sides::Any || lower.iter().zip(&roles).any(is_machine);
    (enough && vouched).then_some(map)
}

/// Whether spellings of the assistant's side are names of models, of which more may come.
pub(super) fn names_models(map: &BTreeMap<String, String>) -> bool {
    map.keys().any(|value| is_model(&value.to_lowercase()))
}

fn is_model(value: &str) -> bool {
    MODELS.iter().any(|model| value.starts_with(model))
}

/// The side that a value means among the others.
fn side(value: &str, all: &[String]) -> Option<&'static str> {
    let likely = || LIKELY.iter().find(|(spelling, _)| *spelling == value);
    let pair = |pair: &&[&str; 2]| {
        all.len() == 2 && pair.iter().all(|letter| all.iter().any(|it| it == letter))
    };
    known(value)
        .or_else(|| likely().map(|(_, role)| *role))
        .or_else(|| is_model(value).then_some("assistant"))
        .or_else(|| {
            let [user, _] = LETTERS.iter().find(pair)?;
            Some(if value == *user { "user" } else { "assistant" })
        })
}

#[cfg(test)]
mod tests {
    use super::{Sides, role_of, sides};
    use crate::model::Role;
    use std::collections::BTreeMap;

    #[test]
    fn the_map_beats_what_is_known_and_the_star_is_last() {
        let map: BTreeMap<_, _> = [
            ("ai", "tool"),
            ("cust", "user"),
            ("run", ""),
            ("*", "assistant"),
        ]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into();
        assert_eq!(role_of(&map, "ai"), Some(Role::Other("tool".into())));
        assert_eq!(role_of(&map, "cust"), Some(Role::User));
        assert_eq!(role_of(&map, "Human"), Some(Role::User));
        assert_eq!(role_of(&map, "run"), None);
        assert_eq!(role_of(&map, "cust      "), Some(Role::User));
        assert_eq!(role_of(&map, "human     "), Some(Role::User));
        assert_eq!(role_of(&map, "weather_agent"), Some(Role::Assistant));
        let none = BTreeMap::new();
        assert_eq!(
            role_of(&none, "narrator"),
            Some(Role::Other("narrator".into()))
        );
    }

    #[test]
    fn the_two_sides_are_known_by_their_spellings() {
        let map = |values: &[&str]| {
            let map = sides(values, Sides::Both)?;
            Some(
                map.iter()
                    .map(|(value, role)| format!("{value}={role}"))
                    .collect::<Vec<_>>(),
            )
        };
        for (values, mapped) in [
            (&["human", "bot"][..], &[][..]),
            (&["User", "Assistant", "system", "tool"], &[]),
            (&["user", "agent"], &[]),
            (
                &["user", "gpt-4o", "claude-3"],
                &["claude-3=assistant", "gpt-4o=assistant"],
            ),
            (&["visitor", "bot"], &["visitor=user"]),
            (&["u", "a"], &["a=assistant", "u=user"]),
            (&["me", "Chatbot"], &["Chatbot=assistant", "me=user"]),
        ] {
            let mapped: Vec<_> = mapped.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(map(values), Some(mapped), "{values:?}");
        }
        // People on both sides, one side only, and what is not a side at all.
        for values in [
            &["customer", "agent"][..],
            &["question", "answer"],
            &["user", "system"],
            &["bot"],
            &["user", "bot", "admin"],
            &["u", "a", "x"],
            &["alice", "bob"],
        ] {
            assert_eq!(map(values), None, "{values:?}");
        }
        assert!(sides(&["bot"], Sides::Any).is_some());
        assert!(sides(&["open"], Sides::Any).is_none());
    }
}
