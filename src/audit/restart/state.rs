//! The state that one round of an experiment passes to the next.

use super::Options;
use super::account::{Own, RememberedTurn, Shows};
use super::hold::{Awaited, Held};
use crate::report::{Finding, Severity, Source};
use crate::stream::run::Stage;
use crate::{clock, store};

/// The server under test, the conversations that were held with it, and what is known of them.
pub(super) struct State<'s, 'w> {
    pub(super) stage: &'s mut Stage<'w>,
    pub(super) options: &'s Options,
    /// Conversations of the rounds before.
    pub(super) held: Vec<Held>,
    /// Why no table is known that holds the messages.
    pub(super) elsewhere: Option<String>,
    /// Whether a message was seen in the store.
    pub(super) stored: bool,
    /// Whether a text was seen there, be it in a table that nobody can read messages from.
    pub(super) in_store: bool,
    /// What histories show besides the conversation that is asked for.
    pub(super) shows: Shows,
}

impl<'s, 'w> State<'s, 'w> {
    pub(super) fn new(stage: &'s mut Stage<'w>, options: &'s Options) -> Self {
        Self {
            stage,
            options,
            held: Vec::new(),
            elsewhere: None,
            stored: false,
            in_store: false,
            shows: Shows::One,
        }
    }

    /// What tells the records of a conversation, without its rows.
    pub(super) fn own<'t>(&self, told: &'t [RememberedTurn]) -> Own<'t> {
        let mut turns = self.stage.session().turns.iter();
        Own {
            told,
            shows: self.shows,
            has_calls: turns.any(|turn| !turn.steps.is_empty()),
            stored: &[],
        }
    }

    /// Looks for the chat in all of the store, where no table is known that holds it.
    pub(super) async fn look_anywhere(&mut self, chat: &Held) {
        if self.elsewhere.is_none() {
            return;
        }
        for said in &chat.said {
            // It may be where nobody may look.
            self.in_store |= self.stage.stands_anywhere(&said.tag).await.unwrap_or(true);
        }
    }

    /// A new conversation that has messages of others is wrong, unless all conversations are one chat. Then one that
    /// is begun after it, with no restart in between, has its messages in turn.
    pub(super) async fn look_for_others(&mut self, new: &Held) -> anyhow::Result<Option<Finding>> {
        let Some(fact) = new.has_others().filter(|_| self.shows == Shows::One) else {
            return Ok(None);
        };
        let mut next = Held::begin(self.stage, &mut self.elsewhere).await?;
        let deadline = clock::now() + self.stage.settle();
        next.look(self.stage, Awaited::ButLastTurn, deadline)
            .await?;
        if next.has_what_is_of(new) {
            self.shows = Shows::Others;
            self.stage.note(
                "the history of a conversation shows messages of other conversations too, before a restart as after \
                 it: only its own messages are compared",
            );
            return Ok(None);
        }
        let finding = Finding::new(
            "wrong-conversation",
            Severity::Error,
            &self.stage.session().name,
            "a new conversation has the messages of another one: a user reads somebody else's chat",
            "let the store create the keys of conversations, or use UUIDs, so that no process assigns a key twice",
        );
        Ok(Some(finding.with(Source::Store, fact).with(
            Source::Stream,
            "a conversation that began after it has none of its messages",
        )))
    }

    /// The finding on a store that has no tables for chats although the server runs.
    pub(super) async fn no_tables(&self, error: &anyhow::Error) -> anyhow::Result<Option<Finding>> {
        let Some(db) = self.stage.store() else {
            return Ok(None);
        };
        let schema = db.schema().await?;
        if self.stage.mapping().is_some() || store::by_names(&schema).is_some() {
            return Ok(None);
        }
        let names: Vec<_> = schema.iter().map(|table| table.name.as_str()).collect();
        let finding = Finding::new(
            "models-not-imported",
            Severity::Error,
            &self.stage.session().name,
            "the server runs without tables for its chats: no message can be stored",
            "import every model before `create_all`, or create the tables by a migration",
        )
        .with(
            Source::Catalog,
            format!("the store has the tables {}", names.join(", ")),
        )
        .with(Source::Stream, format!("{error:#}"));
        Ok(Some(finding))
    }
}
