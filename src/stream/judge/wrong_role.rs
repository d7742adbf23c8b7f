//! A message is stored with another author's role.

use super::{Check, Observed, TurnSeen};
use crate::model::{Role, StoredMessage, known_role};
use crate::report::{Finding, Severity, Source};
use crate::stream::session::Remembered;

pub(super) const CHECK: Check = Check {
    code: "wrong-role",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let answer = as_other(turn, &turn.with_nonce, &Role::Assistant, &Role::User);
        let question = as_other(turn, &turn.with_tag, &Role::User, &Role::Assistant);
        if let Some(row) = answer {
            return Some((turn, row, "answer", "the user's"));
        }
        if let Some(row) = question {
            return Some((turn, row, "question", "the assistant's"));
        }
        let neither = "neither side's: pages leave such messages out";
        let question = as_nobodys(observed, &turn.with_tag, Role::User, &turn.tag);
        let answer = || as_nobodys(observed, &turn.with_nonce, Role::Assistant, &turn.nonce);
        match question {
            Some(row) => Some((turn, row, "question", neither)),
            None => answer().map(|row| (turn, row, "answer", neither)),
        }
    });
    let Some((turn, row, whose, stored_as)) = bad else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the {whose} of turn {} is stored as {stored_as}",
                turn.number
            ),
            "store each message with the role of its author",
        )
        .with(
            Source::Store,
            format!("row {} has the role `{}`", row.key, row.role.word()),
        ),
    ]
}

/// A message that is stored as the system's or a tool's, and nowhere as that of a side.
fn as_nobodys<'t>(
    observed: &Observed,
    rows: &'t [StoredMessage],
    side: Role,
    mark: &str,
) -> Option<&'t StoredMessage> {
    let is_its = |record: &Remembered| {
        known_role(&record.role) == Some(side.word()) && record.content.contains(mark)
    };
    let is_side = |row: &StoredMessage| match &row.role {
        Role::User | Role::Assistant => true,
        Role::Other(word) => known_role(word).is_none(),
    };
    let is_shown = matches!(&observed.history, Some(Ok(records)) if records.iter().any(is_its));
    if is_shown || rows.iter().any(is_side) {
        return None;
    }
    rows.first()
}

/// A row that is the other one's, where none is of whom it has to be. Roles that are neither say nothing.
fn as_other<'t>(
    turn: &TurnSeen,
    rows: &'t [StoredMessage],
    right: &Role,
    wrong: &Role,
) -> Option<&'t StoredMessage> {
    let here = || rows.iter().filter(|row| !turn.elsewhere(row));
    if here().any(|row| row.role == *right) {
        return None;
    }
    here().find(|row| row.role == *wrong)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, StoredMessage};
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    #[test]
    fn a_question_of_neither_side_is_found_where_the_word_is_known() {
        let of = |roles: &[&str], shown: Option<&str>| {
            let row = |role: &&str| {
                let role = match *role {
                    "user" => Role::User,
                    other => Role::Other(other.to_owned()),
                };
                StoredMessage::new("1", role, "Hello [u1]")
            };
            let observed = Observed {
                turns: vec![TurnSeen {
                    tag: "u1".to_owned(),
                    with_tag: roles.iter().map(row).collect(),
                    ..TurnSeen::blank(1)
                }],
                history: shown.map(|role| {
                    Ok(vec![Remembered {
                        role: role.to_owned(),
                        content: "Hello [u1]".to_owned(),
                    }])
                }),
                ..Observed::default()
            };
            check(&observed).len()
        };
        assert_eq!(of(&["system"], None), 1);
        assert_eq!(of(&["system"], Some("system")), 1);
        assert_eq!(of(&["tool"], None), 1);
        let mut answer = TurnSeen::blank(1);
        answer.nonce = "a1".to_owned();
        answer.with_nonce = vec![StoredMessage::new(
            "2",
            Role::Other("tool".to_owned()),
            "Hi a1",
        )];
        let answered = Observed {
            turns: vec![answer],
            ..Observed::default()
        };
        assert_eq!(check(&answered).len(), 1);
        // A prompt that quotes it, a word that nobody knows, and what a page shows as the user's.
        assert_eq!(of(&["system", "user"], None), 0);
        assert_eq!(of(&["member"], None), 0);
        assert_eq!(of(&["system"], Some("user")), 0);
    }
}
