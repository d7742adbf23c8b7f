//! What a crash at the final marker loses, although the answer's row exists.

use super::chat::Chat;
use super::learnt::Learnt;
use super::live::{AtMarker, Live};
use super::reload_at_final::Hidden;
use super::rows::{self, QUESTION_LOST};
use super::stage::Stage;
use crate::model::{Conversation, StoredMessage};
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;
use crate::stream::judge::tool_calls_differ::Kept;
use crate::stream::kept;
use crate::{clock, store};
use std::time::Duration;

/// How long the row of a conversation may come after its first answer, without a gate.
const LATE_HEAD: Duration = Duration::from_millis(500);
/// Between two looks for it.
const ASK: Duration = Duration::from_millis(20);

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
    /// The conversation has no row of its own, or it is nobody's: no list shows it.
    Conversation,
    /// The calls of tools, or what they gave: what is missing.
    Tools(String),
}

/// What the store holds at the final marker, while everything is withheld that came after it.
#[derive(Default)]
pub(super) struct AtFinal {
    pub(super) rows: AtMarker,
    pub(super) missing: Option<Missing>,
}

impl Missing {
    /// What to report of all that is missing: what a user meets first.
    pub(super) fn first(of_rows: Option<Self>, hidden: Option<Hidden>) -> Option<Self> {
        of_rows.into_iter().chain(hidden.map(Self::Answer)).min()
    }

    /// In words, as a fact.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Question => "the question is committed only after the final marker".to_owned(),
            Self::Earlier { turn, whose } => {
                format!("the {whose} of turn {turn} is in no row at the final marker")
            }
            Self::Tools(what) => format!("{what} at the final marker"),
            Self::Conversation => {
                "the conversation's own row is committed only after the final marker".to_owned()
            }
            Self::Answer(_) => {
                "a reload shows the conversation correctly only after a commit that follows the final marker"
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
        let missing = self.missing_at_final(chat, live, row.as_ref()).await;
        AtFinal {
            rows: AtMarker {
                answer: row,
                question: self.question_of(live).await,
                ..AtMarker::default()
            },
            missing: missing.ok().flatten(),
        }
    }

    async fn missing_at_final(
        &self,
        chat: &Chat,
        live: &Live,
        answer: Option<&StoredMessage>,
    ) -> anyhow::Result<Option<Missing>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let db = self.world.db();
        let rows = rows::holding(db, mapping, &live.tag).await?;
        let is_whole = |row: &StoredMessage| {
            !self.learnt.whole_questions || kept::is_all_in(&live.user, &row.content)
        };
        if !rows.iter().any(is_whole) {
            return Ok(Some(Missing::Question));
        }
        // What can't be read says nothing, and hides nothing of what can be.
        if let Some(answer) = answer
            && self.lacks_head(answer).await.unwrap_or(false)
        {
            return Ok(Some(Missing::Conversation));
        }
        if let Some(what) = self.lacks_tools(live, answer).await.unwrap_or_default() {
            return Ok(Some(Missing::Tools(what)));
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
                if was_there && rows::holding(db, mapping, &mark).await?.is_empty() {
                    return Ok(Some(Missing::Earlier { turn, whose }));
                }
            }
        }
        Ok(None)
    }

    /// The row that a message's conversation has of its own, where the mapping knows a table of conversations.
    async fn head_of(&self, message: &StoredMessage) -> anyhow::Result<Option<Conversation>> {
        let with_table = |mapping: &&Mapping| mapping.store().conversation.is_some();
        let mapping = self.mapping.as_ref().filter(with_table);
        let (Some(mapping), Some(key)) = (mapping, &message.conversation) else {
            return Ok(None);
        };
        let mut rows = store::own_rows(self.world.db(), mapping, std::slice::from_ref(key)).await?;
        Ok(rows.remove(key))
    }

    /// What one more answer shows of the rows of conversations. They may be late, which is to be found.
    pub(super) async fn learn_head(&self, answer: &StoredMessage, learnt: &mut Learnt) {
        let mapping = self.mapping.as_ref();
        let Some(table) = mapping.and_then(|mapping| mapping.store().conversation.as_ref()) else {
            learnt.has_heads = false;
            return;
        };
        learnt.names_users &= table.user.is_some();
        let deadline = clock::now() + LATE_HEAD;
        while learnt.has_heads {
            // A table that may not be read shows nothing, and a busy store is asked again.
            let head = self.head_of(answer).await.ok().flatten();
            let has_user = head.as_ref().is_some_and(|head| head.user.is_some());
            let is_whole = head.is_some() && (has_user || !learnt.names_users);
            if is_whole || clock::now() >= deadline {
                learnt.has_heads = head.is_some();
                learnt.names_users &= has_user;
                return;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// What of the turn's tools is not there, as it was in other chats.
    async fn lacks_tools(
        &self,
        live: &Live,
        answer: Option<&StoredMessage>,
    ) -> anyhow::Result<Option<String>> {
        let usual = self.tools.get(&live.number).and_then(|it| it.stays);
        let key = answer.and_then(|answer| answer.conversation.as_ref());
        let (Some(usual), Some(mapping), Some(key)) = (usual, &self.mapping, key) else {
            return Ok(None);
        };
        let stored = store::conversation(self.world.db(), mapping, key).await?;
        Ok(Kept::of(&live.tag, &stored).lacks(usual))
    }

    /// Whether the row of the conversation is not there, or not yet a user's, as it was in other chats.
    pub(super) async fn lacks_head(&self, answer: &StoredMessage) -> anyhow::Result<bool> {
        if !self.learnt.has_heads {
            return Ok(false);
        }
        let head = self.head_of(answer).await?;
        let is_whole = |head: Conversation| !self.learnt.names_users || head.user.is_some();
        Ok(!head.is_some_and(is_whole))
    }

    /// The finding on what was missing.
    pub(super) fn missed(&self, missing: &Missing, case: &str) -> Finding {
        match missing {
            Missing::Question => self.question_after_final(case),
            Missing::Earlier { turn, whose } => self.earlier_at_final(*turn, whose, case),
            Missing::Conversation => self.head_after_final(case),
            Missing::Tools(what) => self.tools_after_final(what, case),
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
            format!("a reload shows the conversation correctly only after a commit that follows \
                `{marker}`: a fast reload misses a message, and a crash in between may hide it forever"),
            format!("commit all that the history reads together with the answer, before `{marker}` is sent"),
        )
        .with(Source::Stream, format!("at `{marker}`, `{}` did not show the conversation correctly", hidden.request))
        .with(Source::Store, match &hidden.commit {
            Some(commit) => format!("the answer's row was there, but a commit was withheld: {commit}"),
            None => "the answer's row was there, but the closed gate withheld every later write".to_owned(),
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
            format!("at `{marker}` the answer's row was there, but no row held the question"),
        )
        .in_case(case)
    }

    /// The answer is there at the marker, and what it rests on is not.
    fn tools_after_final(&self, what: &str, case: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            "tool-calls-differ",
            Severity::Error,
            &self.session.name,
            format!("calls or results of tools are committed only after `{marker}`: a crash in between loses them"),
            format!("commit each call and its result before the answer, or together with it, before `{marker}` is sent"),
        )
        .with(Source::Store, format!("at `{marker}` the answer's row was there: {what}, although other chats have all"))
        .in_case(case)
    }

    /// The messages are there at the marker, and their conversation is not.
    fn head_after_final(&self, case: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("the conversation's own row is committed only after `{marker}`: a crash in between leaves \
                its messages in a conversation that no list shows"),
            format!("create the conversation with its user before its first message, or commit it before `{marker}` is sent"),
        )
        .with(
            Source::Store,
            format!("at `{marker}` the answer's row was there, but its conversation had no row, or a row \
                without the user that others have"),
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
            format!("at `{marker}` the new answer's row was there, but no row held the {whose} of turn {turn}, which was stored before"),
        )
        .in_case(case)
    }
}
