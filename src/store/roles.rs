//! Whose message it is, in the many spellings of it.

use crate::model::Role;
use std::collections::BTreeMap;

/// Spellings that are known without being told.
const KNOWN: &[(&str, &str)] = &[
    ("user", "user"),
    ("human", "user"),
    ("user_message", "user"),
    ("usermessage", "user"),
    ("humanmessage", "user"),
    ("assistant", "assistant"),
    ("ai", "assistant"),
    ("bot", "assistant"),
    ("model", "assistant"),
    ("agent", "assistant"),
    ("assistant_message", "assistant"),
    ("apimessage", "assistant"),
    ("aimessage", "assistant"),
    ("system", "system"),
    ("developer", "system"),
    ("systemmessage", "system"),
    ("tool", "tool"),
    ("function", "tool"),
    ("toolmessage", "tool"),
];

/// What a value of the role column means; nothing when it marks what is no message.
pub(super) fn role_of(map: &BTreeMap<String, String>, value: &str) -> Option<Role> {
    let known = || {
        let lower = value.to_lowercase();
        let row = KNOWN.iter().find(|(spelling, _)| *spelling == lower);
        row.map(|(_, role)| *role)
    };
    let any = || map.get("*").map(String::as_str);
    match map
        .get(value)
        .map(String::as_str)
        .or_else(known)
        .or_else(any)
    {
        Some("") => None,
        Some("user") => Some(Role::User),
        Some("assistant") => Some(Role::Assistant),
        Some(other) => Some(Role::Other(other.to_owned())),
        None => Some(Role::Other(value.to_owned())),
    }
}

/// Whether the spelling is one of those that are known.
pub(super) fn is_known(value: &str) -> bool {
    let lower = value.to_lowercase();
    KNOWN.iter().any(|(spelling, _)| *spelling == lower)
}

#[cfg(test)]
mod tests {
    use super::role_of;
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
        assert_eq!(role_of(&map, "weather_agent"), Some(Role::Assistant));
        let none = BTreeMap::new();
        assert_eq!(
            role_of(&none, "narrator"),
            Some(Role::Other("narrator".into()))
        );
    }
}
