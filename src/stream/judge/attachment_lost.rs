//! The attachment of a question is gone after a reload.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "attachment-lost",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let named = not_named(observed);
    let loaded = observed.loaded.iter();
    let mut broken = loaded.filter_map(|it| Some((it.turn, it.fate.as_ref().err()?.clone())));
    let Some((number, fact)) = named.or_else(|| broken.next()) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            &observed.session,
            format!("an attachment of the question of turn {number} is gone after a reload"),
            "store the attachment with the message, and return it, or a URL that stays valid, with the history",
        )
        .with(Source::Stream, fact),
    ]
}

/// A text that the history has to hold, and does not.
fn not_named(observed: &Observed) -> Option<(usize, String)> {
    let Some(body) = &observed.history_body else {
        return None;
    };
    let holds = |text: &str| {
        // JSON escapes what is not plain.
        let escaped = serde_json::Value::from(text).to_string();
        let escaped = escaped.trim_matches('"');
        [text, escaped]
            .iter()
            .any(|text| memchr::memmem::find(body, text.as_bytes()).is_some())
    };
    let mut wanted = observed.turns.iter().flat_map(|turn| {
        let texts = turn.shows.iter();
        texts.map(|text| (turn.number, text))
    });
    let (number, text) = wanted.find(|(_, text)| !holds(text))?;
    Some((number, format!("the history does not hold `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::{Observed, check};
    use crate::stream::judge::{Loaded, TurnSeen};

    fn found(body: &str, shows: &str) -> usize {
        let turn = TurnSeen {
            shows: vec![shows.to_owned()],
            ..TurnSeen::blank(1)
        };
        let observed = Observed {
            history_body: Some(body.as_bytes().to_vec()),
            turns: vec![turn],
            ..Observed::default()
        };
        check(&observed).len()
    }

    #[test]
    fn the_history_holds_it_as_it_is_or_escaped() {
        assert_eq!(found(r#"[{"files":["notes.txt"]}]"#, "notes.txt"), 0);
        assert_eq!(found(r#"["a \"b\".txt"]"#, "a \"b\".txt"), 0);
        assert_eq!(found(r#"[{"files":[]}]"#, "notes.txt"), 1);
        assert_eq!(check(&Observed::default()).len(), 0);
    }

    #[test]
    fn what_a_url_loads_is_what_was_sent() {
        let found = |fate| {
            let loaded = vec![Loaded { turn: 1, fate }];
            check(&Observed {
                loaded,
                ..Observed::default()
            })
        };
        assert!(found(Ok(())).is_empty());
        let gone = found(Err("`/files/1` is answered 404".to_owned()));
        assert_eq!(gone[0].evidence[0].fact, "`/files/1` is answered 404");
    }
}
