//! The parts of a mapping that affect digests of messages, in a form that a file may hold: pure.
//!
//! Names of tables and columns are left out: they may change without a message changing.

use crate::store::{Predicate, Shape, Store};
use crate::text::hex;
use sha2::{Digest as _, Sha256};

/// The digest of a mapping: 16 hexadecimal digits.
pub(super) fn digest(store: &Store) -> String {
    digest_of(&text(store))
}

/// The digest that the first version of the file kept.
pub(super) fn digest_of_first_version(store: &Store) -> String {
    digest_of(&format!(
        "{} {} extra {}",
        match store.shape {
            Shape::Row => "Row",
            Shape::Turn => "Turn",
            Shape::Blob => "Blob",
            // Events without a content were messages then, and are none now.
            Shape::Event => return String::new(),
            Shape::Opaque => "Opaque",
            Shape::Chain => "Chain",
        },
        there(store).join(" "),
        store.message.extra.join(",")
    ))
}

/// The mapping in words. They are in the digest: another word is another mapping.
pub(super) fn text(store: &Store) -> String {
    let shape = match store.shape {
        Shape::Row => "row",
        Shape::Turn => "turn",
        Shape::Blob => "blob",
        Shape::Event => "event",
        Shape::Opaque => "opaque",
        Shape::Chain => "chain",
    };
    let mut words = vec![format!("shape {shape}")];
    let there = there(store);
    if !there.is_empty() {
        words.push(format!("with {}", there.join(", ")));
    }
    let message = &store.message;
    if !message.extra.is_empty() {
        words.push(format!("extra {}", message.extra.join(", ")));
    }
    let conversation = store.conversation.as_ref();
    let predicates = [
        ("where", message.only.as_ref()),
        ("open", message.open.as_ref()),
        ("error", message.error.as_ref()),
        ("deleted", message.deleted.as_ref()),
        (
            "conversations where",
            conversation.and_then(|it| it.only.as_ref()),
        ),
        (
            "conversations deleted",
            conversation.and_then(|it| it.deleted.as_ref()),
        ),
        (
            "parts where",
            store.parts.as_ref().and_then(|it| it.only.as_ref()),
        ),
    ];
    for (name, predicate) in predicates {
        words.extend(predicate.map(|predicate| format!("{name} {}", nameless(predicate))));
    }
    if let Some(failed) = &message.failed {
        let paths = failed.places.iter().filter_map(|place| place.path.clone());
        let paths: Vec<_> = paths.map(String::from).collect();
        words.push(format!("failed {}", paths.join("|")));
    }
    if !message.role_map.is_empty() {
        let roles = message.role_map.iter();
        let roles: Vec<_> = roles.map(|(from, to)| format!("{from}={to}")).collect();
        words.push(format!("roles {}", roles.join(", ")));
    }
    words.join("; ")
}

/// What of a message it names.
fn there(store: &Store) -> Vec<&'static str> {
    let message = &store.message;
    let item = store.item.as_ref();
    let facts = [
        (
            "time",
            message.time.is_some() || item.is_some_and(|item| item.time.is_some()),
        ),
        ("append", message.append.is_some()),
        (
            "parent",
            message.parent.is_some() || item.is_some_and(|item| item.parent.is_some()),
        ),
        (
            "tools",
            message.tools.is_some() || item.is_some_and(|item| item.tools.is_some()),
        ),
    ];
    let there = facts.iter().filter(|(_, there)| *there);
    there.map(|(name, _)| *name).collect()
}

/// A condition without the names of its columns.
fn nameless(predicate: &Predicate) -> String {
    predicate.sql(|_| "{}".to_owned())
}

/// A text that is only compared, in a few characters.
fn digest_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::{Store, digest, digest_of_first_version, text};

    fn store(text: &str) -> Store {
        toml::from_str(text).unwrap()
    }

    const PLAIN: &str = "[message]\ntable = 'message'\nrole = 'role'\ncontent = 'content'\n";

    /// A snapshot of today must be readable by the program of tomorrow: these never change.
    #[test]
    fn mappings_are_written_as_they_were() {
        let full = format!(
            "shape = 'event'\n[conversation]\ntable = 'c'\nwhere = '{{kind}} = 1'\ndeleted = '{{gone}}'\n\
             {PLAIN}time = 'at'\nappend = 'id'\nparent = 'p'\ntools = 't'\nextra = ['a', 'b']\n\
             where = '{{x}} > 0'\nopen = '{{status}} = \"streaming\"'\nerror = '{{e}} IS NOT NULL'\ndeleted = '{{d}}'\n\
             role_map = {{ human = 'user', '*' = 'assistant' }}"
        );
        let blob = "shape = 'blob'\n[conversation]\ntable = 'c'\n[item]\nitems = 'x::$'\nrole = '$.r'\ncontent = '$.c'\ntime = '$.t'";
        let told = [PLAIN, &full, blob].map(|mapping| {
            let store = store(mapping);
            (
                text(&store),
                digest(&store),
                digest_of_first_version(&store),
            )
        });
        let expected = [
            ("shape row", "6ac317300c4cdfa9", "81753a21fa1725dd"),
            (
                "shape event; with time, append, parent, tools; extra a, b; where {} > 0; open {} = \"streaming\"; \
                 error {} IS NOT NULL; deleted {}; conversations where {} = 1; conversations deleted {}; \
                 roles *=assistant, human=user",
                "d42aaf555a103737",
                "",
            ),
            (
                "shape blob; with time",
                "539edf16f09b3547",
                "524a3e22b01129c9",
            ),
        ];
        assert_eq!(
            told,
            expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
        );
    }

    #[test]
    fn what_is_read_otherwise_is_another_mapping_and_another_name_is_not() {
        let of = |more: &str| digest(&store(&format!("{PLAIN}{more}")));
        assert_ne!(of("where = '{x} > 0'"), of(""));
        assert_ne!(of("where = '{x} > 0'"), of("where = '{x} > 1'"));
        assert_ne!(of("role_map = { human = 'user' }"), of(""));
        assert_ne!(of("error = '{x}'"), of("open = '{x}'"));
        assert_ne!(of("failed = 'x::$.a'"), of("failed = 'x::$.b'"));
        assert_eq!(of("where = '{x} > 0'"), of("where = '{y} > 0'"));
        assert_eq!(of("status = 'state'\nvolatile = ['x']"), of(""));
    }
}
