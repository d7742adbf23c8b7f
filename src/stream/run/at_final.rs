//! What a crash at the final marker loses, though the answer's row is there.

use super::chat::Chat;
use super::live::Live;
use super::reload_at_final::Hidden;
use super::rows::QUESTION_LOST;
use super::stage::Stage;
use crate::model::StoredMessage;
use crate::report::{Finding, Severity, Source};
use crate::store;
use crate::stream::kept;

/// What is missing at the final marker. In the order in which it is reported.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// The question is in no row.
    Question,
    /// A message of an earlier turn, which was stored before, is in no row.
    Earlier {
        /// Which turn, from 1.
        turn: usize,
        /// Whose message it is.
        whose: &'static str,
    },
    /// The history does not show the answer.
    Answer(Hidden),
}

/// What the store holds at the final marker, while everything is withheld that came after it.
#[derive(Default)]
pub(super) struct AtFinal {
    /// The answer's row.
    pub(super) row: Option<StoredMessage>,
    pub(super) missing: Option<Missing>,
}

impl Missing {
    /// In words, as a fact.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Question => "the question is committed only after the final marker".to_owned(),
            Self::Earlier { turn, whose } => {
                format!("the {whose} of turn {turn} is in no row at the final marker")
            }
            Self::Answer(_) => {
                "a reload shows the conversation as it was said only after a commit that follows the final marker"
                    .to_owned()
            }
        }
    }
}

impl Stage<'_> {
    /// Reads the store at the final marker. A store that can't be read then says nothing.
    pub(super) async fn store_at_final(&self, chat: &Chat, live: &Live) -> AtFinal {
        let Ok(row) = self.whole_row(live).await else {
            return AtFinal::default();
        };
        let missing = self.missing_at_final(chat, live).await;
        AtFinal {
            row,
            missing: missing.ok().flatten(),
        }
    }

    async fn missing_at_final(&self, chat: &Chat, live: &Live) -> anyhow::Result<Option<Missing>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let db = self.world.db();
        let rows = store::holding(db, mapping, &live.tag).await?;
        let is_whole = |row: &StoredMessage| {
            !self.learnt.whole_questions || kept::is_all_in(&live.user, &row.content)
        };
        if !rows.iter().any(is_whole) {
            return Ok(Some(Missing::Question));
        }
        if !self.learnt.keeps_earlier {
            return Ok(None);
        }
        for (turn, earlier) in (1..live.number).zip(chat.marks()) {
            // A turn that was not stored, for whatever reason, is not gone.
            let Some(kept) = self.kept.iter().find(|it| it.nonce == earlier.nonce) else {
                continue;
            };
            let both = [
                ("question", earlier.tag, kept.question.is_some()),
                ("answer", earlier.nonce, true),
            ];
            for (whose, mark, was_there) in both {
                if was_there && store::holding(db, mapping, &mark).await?.is_empty() {
                    return Ok(Some(Missing::Earlier { turn, whose }));
                }
            }
        }
        Ok(None)
    }

    /// The finding on what was missing.
    pub(super) fn missed(&self, missing: &Missing, case: &str) -> Finding {
        match missing {
            Missing::Question => self.question_after_final(case),
            Missing::Earlier { turn, whose } => self.earlier_at_final(*turn, whose, case),
            Missing::Answer(hidden) => self.hidden_at_final(hidden, case),
        }
    }

    /// The row is there at the marker, and the history finds it only later.
    fn hidden_at_final(&self, hidden: &Hidden, case: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("a reload shows the conversation as it was said only after a commit that follows `{marker}`: a reload that is faster misses a message, and a crash in between may hide it for good"),
            format!("commit all that the history reads together with the answer, before `{marker}` is sent"),
        )
        .with(Source::Stream, format!("at `{marker}`, `{}` did not show the conversation as it was said", hidden.request))
        .with(Source::Store, match &hidden.commit {
            Some(commit) => format!("the answer's row was there, and a commit was withheld: {commit}"),
            None => "the answer's row was there, and the closed gate kept every later write back".to_owned(),
        })
        .with(Source::Stream, "once the commit was let through, the history showed it".to_owned())
        .in_case(case)
    }

    /// The answer is there at the marker, and its question is not.
    fn question_after_final(&self, case: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            QUESTION_LOST,
            Severity::Error,
            &self.session.name,
            format!(
                "the user's message is committed only after `{marker}`: a crash in between loses it"
            ),
            "commit the user's message before the provider is called",
        )
        .with(
            Source::Store,
            format!("at `{marker}` the answer's row was there, and no row held the question"),
        )
        .in_case(case)
    }

    /// The answer is there at the marker, and what was said before is not.
    fn earlier_at_final(&self, turn: usize, whose: &str, case: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("at `{marker}` the {whose} of turn {turn} is gone from the store: a crash at this moment loses it"),
            format!("rewrite a conversation in one transaction, and commit it before `{marker}` is sent"),
        )
        .with(
            Source::Store,
            format!("at `{marker}` the new answer's row was there, and no row held the {whose} of turn {turn}, which was stored before"),
        )
        .in_case(case)
    }
}
