//! What an answer's row says at the marker, and which of its columns may say whether it is shown.

use super::live::{AtMarker, Flag, Live, RowToRecheck};
use super::rows;
use super::stage::Stage;
use crate::model::{Cell, StoredMessage};
use crate::report::{Finding, Severity, Source};
use crate::store;
use crate::store::Shape;
use crate::stream::judge::order::RowState;

/// What is in the names of columns that say whether a message is shown, and names that do.
const WORDS: [&str; 6] = [
    "deleted", "hidden", "visible", "draft", "publish", "archived",
];
const NAMES: [&str; 4] = ["status", "state", "final", "is_final"];

impl Stage<'_> {
    /// The rows of a turn at its marker, while nothing is withheld.
    pub(super) async fn rows_at_marker(&self, live: &Live) -> (RowState, AtMarker) {
        let row = self.complete_row(&live.nonce).await;
        let state = rows::state(&row);
        let answer = row.ok().flatten();
        // A reload shows what is hidden; and a next turn may make another message the current one.
        let is_last = live.number == self.session.turns.len();
        let flags = match answer.as_ref().filter(|_| is_last) {
            Some(answer) if self.session.history.is_none() => {
                self.flags_of(answer, &live.nonce).await
            }
            Some(_) | None => Vec::new(),
        };
        let at_final = AtMarker {
            answer,
            question: self.question_of(live).await,
            away: None,
            flags,
        };
        (state, at_final)
    }

    /// The columns of the answer's row that may say whether it is shown, where one row holds it.
    async fn flags_of(&self, row: &StoredMessage, nonce: &str) -> Vec<Flag> {
        let (Some(mapping), Some(key)) = (&self.mapping, &row.conversation) else {
            return Vec::new();
        };
        let store = mapping.store();
        // The row of a conversation says how far that one is.
        if store.shape == Shape::Blob {
            return Vec::new();
        }
        let Ok((columns, rows)) = store::raw(self.world.db(), mapping, key).await else {
            return Vec::new();
        };
        let holds = |cell: &Cell| cell.text().is_some_and(|text| text.contains(nonce));
        let mut holding = rows.into_iter().filter(|row| row.iter().any(holds));
        let (Some(row), None) = (holding.next(), holding.next()) else {
            return Vec::new();
        };
        let all = columns.into_iter().zip(row);
        // What the mapping reads is judged by itself.
        let status = store.message.status.as_deref();
        let deleted = store.message.deleted.iter();
        let mut read: Vec<_> = deleted.flat_map(|it| it.columns()).collect();
        read.extend(status);
        all.filter(|(name, _)| is_flag(name) && !read.contains(&name.as_str()))
            .collect()
    }

    /// What such a column says of a kept answer now, and did not at its marker.
    pub(super) async fn flag_set_later(&self, kept: &RowToRecheck) -> Option<Finding> {
        if kept.at_final.flags.is_empty() {
            return None;
        }
        let now = self.flags_of(&kept.row, &kept.nonce).await;
        let (column, then, now) = changed(&kept.at_final.flags, &now)?;
        let finding = Finding::new(
            "saved-row-changed-later",
            Severity::Warning,
            self.observed().subject(),
            format!(
                "column `{column}` of the answer's row is set after the final marker: if it says whether a message \
                    is shown, a reload may miss the answer, and a crash in between hides it"
            ),
            "set it before the final marker; declare [history] in the session, and chatctl sees what a reload shows",
        );
        Some(finding.with(
            Source::Store,
            format!(
                "in turn {} it was {then} at the marker, and is now {now}",
                kept.number
            ),
        ))
    }
}

fn is_flag(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.contains(&&*name) || WORDS.iter().any(|word| name.contains(word))
}

/// The first of these columns that has another value now.
fn changed<'f>(then: &'f [Flag], now: &'f [Flag]) -> Option<(&'f str, &'f Cell, &'f Cell)> {
    then.iter().find_map(|(name, then)| {
        let (_, now) = now.iter().find(|(other, _)| other == name)?;
        (now != then).then_some((name.as_str(), then, now))
    })
}

#[cfg(test)]
mod tests {
    use super::{Cell, changed, is_flag};

    #[test]
    fn a_column_that_may_hide_a_message_is_known_by_its_name() {
        for name in ["deleted_at", "is_visible", "Status", "hidden", "is_draft"] {
            assert!(is_flag(name), "{name}");
        }
        for name in [
            "updated_at",
            "tokens",
            "embedding_status",
            "content",
            "finalized_at",
            "delete_after",
            "archive_key",
        ] {
            assert!(!is_flag(name), "{name}");
        }
    }

    #[test]
    fn only_another_value_of_the_same_column_is_a_change() {
        let flag = |name: &str, value: i64| (name.to_owned(), Cell::Int(value));
        let then = [flag("is_visible", 0), flag("hidden", 0)];
        assert_eq!(changed(&then, &then), None);
        assert_eq!(changed(&then, &[]), None);
        let now = [flag("hidden", 0), flag("is_visible", 1)];
        let (name, ..) = changed(&then, &now).unwrap();
        assert_eq!(name, "is_visible");
    }
}
