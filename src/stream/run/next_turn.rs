//! The turn that follows one that did not come to its end: what the server makes of it, and what its provider
//! is asked.

use super::case::Moments;
use super::chat::{AS_RECORDED, Chat};
use super::exchange::ResponseProgress;
use super::live::Live;
use super::reading::Reading;
use super::sought::Sought;
use super::stage::Stage;
use crate::gateway::Heard;
use crate::model::{Role, State, StoredMessage};
use crate::report::Lane;
use crate::stream::judge::ended_early::{NextTurn, OF_THE_CLIENT, Unsaved};
use crate::stream::kept;
use crate::text::plural;
use crate::{clock, store};

/// What became of the next turn, before it is compared with the store.
pub(super) enum NextOutcome {
    Refused {
        status: u16,
        said: String,
    },
    Failed(String),
    Answered {
        heard: Heard,
        sent: Option<String>,
        unsaved: Option<Unsaved>,
    },
}

/// A response without a chat.
pub(super) struct Refusal {
    status: u16,
    said: String,
}

impl Refusal {
    /// Where a response is one.
    pub(super) fn of(seen: &ResponseProgress) -> Option<Self> {
        let head = seen.head.as_ref().filter(|head| !head.is_success())?;
        Some(Self {
            status: head.status,
            said: head.excerpt.trim().to_owned(),
        })
    }

    /// Whether it says something of the client, and not of the conversation.
    pub(super) fn is_of_the_client(&self) -> bool {
        OF_THE_CLIENT.contains(&self.status)
    }
}

impl From<Refusal> for NextOutcome {
    fn from(Refusal { status, said }: Refusal) -> Self {
        Self::Refused { status, said }
    }
}

impl NextOutcome {
    /// The texts that the provider got with it, the newest first; absent where they do not show
    /// what the server knows: what the provider keeps is not in the request, and where the client
    /// sends the history, that is all that the server has to pass on.
    pub(super) fn context(&self) -> Option<Vec<String>> {
        match self {
            Self::Answered {
                heard, sent: None, ..
            } if !heard.continues => Some(heard.texts().into_iter().map(str::to_owned).collect()),
            Self::Answered { .. } | Self::Refused { .. } | Self::Failed(_) => None,
        }
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Refused { status, .. } => format!("the next turn is answered {status}"),
            Self::Failed(why) => format!("the next turn fails: {why}"),
            Self::Answered {
                unsaved: Some(part),
                ..
            } => format!(
                "the next turn is answered, and its {} is in no row",
                part.word()
            ),
            Self::Answered { heard, .. } => format!(
                "the next turn is answered; its request had {}",
                plural(heard.messages.len() as u64, "message")
            ),
        }
    }
}

impl Stage<'_> {
    /// Sends the turn that follows.
    pub(super) async fn send_next(
        &self,
        chat: &Chat,
        turn: usize,
        moments: &mut Moments,
    ) -> anyhow::Result<Live> {
        let next = (turn + 1) % self.session.turns.len();
        let live = self.begin(chat, next, AS_RECORDED).await?;
        live.play.release();
        moments.at(live.sent, Lane::Client, "the next turn is sent");
        Ok(live)
    }

    /// Follows it to its end. One that the server fails is sent once more: a store that is busy for a moment says
    /// nothing of the conversation.
    pub(super) async fn finish_or_again(
        &self,
        (chat, turn): (&Chat, usize),
        live: Live,
        moments: &mut Moments,
    ) -> anyhow::Result<NextOutcome> {
        let outcome = self.finish_next(live, moments).await;
        if !outcome.is_trouble() {
            return Ok(outcome);
        }
        chat.take_back();
        tokio::time::sleep(self.options.settle).await;
        let again = self.send_next(chat, turn, moments).await?;
        Ok(self.finish_next(again, moments).await)
    }

    /// What of a turn that was answered is in no row, when it had time to be stored.
    async fn unsaved(&self, live: &Live) -> Option<Unsaved> {
        let deadline = clock::now() + self.options.settle;
        let look = async || self.unsaved_now(live).await;
        let found = self.stored_when(deadline, look, Option::is_none).await;
        // What can't be read says nothing.
        found.ok().flatten()
    }

    async fn unsaved_now(&self, live: &Live) -> anyhow::Result<Option<Unsaved>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let is_there = async |mark: &str| {
            let rows = store::holding(self.world.db(), mapping, mark).await?;
            anyhow::Ok(rows.iter().any(|row| row.state != State::Deleted))
        };
        if !is_there(&live.nonce).await? {
            return Ok(Some(Unsaved::Answer));
        }
        let is_lost = self.learnt.whole_questions && !is_there(&live.tag).await?;
        Ok(is_lost.then_some(Unsaved::Question))
    }

    /// Follows it to its end.
    pub(super) async fn finish_next(&self, live: Live, moments: &mut Moments) -> NextOutcome {
        let over = live.watching.until(|seen| seen.over.is_some());
        let seen = tokio::time::timeout(self.options.response_timeout, over).await;
        let mut outcome = match seen {
            Err(_) => NextOutcome::Failed("its response did not end".to_owned()),
            Ok(seen) => match (Refusal::of(&seen), &seen.over, live.play.heard()) {
                (Some(refusal), ..) => refusal.into(),
                (_, Some(Err(why)), _) => NextOutcome::Failed(why.clone()),
                _ if seen.turn.failed.is_some() => {
                    NextOutcome::Failed(seen.turn.failed.unwrap_or_default())
                }
                (_, _, None) => NextOutcome::Failed("the provider was not asked for it".to_owned()),
                (_, _, Some(heard)) => NextOutcome::Answered {
                    heard,
                    sent: live.context.clone(),
                    unsaved: None,
                },
            },
        };
        if let NextOutcome::Answered { unsaved, .. } = &mut outcome
            && live.watching.seen().turn.promised_at().is_some()
            // Else it may have been told that the save failed.
            && self.reading == Reading::Text
        {
            *unsaved = self.unsaved(&live).await;
        }
        moments.now(Lane::Client, outcome.what());
        outcome
    }
}

impl NextOutcome {
    /// Whether the server failed, which it may do for a moment.
    fn is_trouble(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Failed(_) => true,
            Self::Answered { .. } => false,
        }
    }
}

/// The same as it is judged: against what the store showed when it was sent, and later.
pub(super) fn next_turn(
    outcome: NextOutcome,
    sought: &Sought,
    shown: &[StoredMessage],
    later: &[StoredMessage],
) -> NextTurn {
    if let NextOutcome::Answered {
        unsaved: Some(part),
        ..
    } = outcome
    {
        return NextTurn::Unsaved(part);
    }
    let Some(texts) = outcome.context() else {
        return as_it_is(outcome);
    };
    let text = texts.join("\n");
    NextTurn::Answered {
        question: text.contains(&sought.tag),
        answer: is_known(shown, sought, &text),
        answer_later: is_known(later, sought, &text),
    }
}

/// The same where the context is not compared: only whether it was answered.
pub(super) fn as_it_is(outcome: NextOutcome) -> NextTurn {
    match outcome {
        NextOutcome::Refused { status, said } => NextTurn::Refused { status, said },
        NextOutcome::Failed(why) => NextTurn::Failed(why),
        NextOutcome::Answered {
            unsaved: Some(part),
            ..
        } => NextTurn::Unsaved(part),
        NextOutcome::Answered { unsaved: None, .. } => NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: true,
        },
    }
}

/// Whether what is stored of an answer is in a text; also where nothing is stored.
pub(super) fn is_known(rows: &[StoredMessage], sought: &Sought, text: &str) -> bool {
    rows.iter()
        .filter(|row| row.role == Role::Assistant && row.state != State::Deleted)
        .filter(|row| !row.content.trim().is_empty())
        .all(|row| {
            let is_whole = row.content.contains(&sought.nonce);
            is_whole && text.contains(&sought.nonce) || kept::is_all_in(&row.content, text)
        })
}
