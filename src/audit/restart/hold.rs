//! Conversations that are held, and what is known of them.

use super::account::Shown;
use super::account::Told;
use super::experiment::with_hint;
use crate::model::StoredMessage;
use crate::stop::Stop;
use crate::stream::judge::TurnSeen;
use crate::stream::run::Access;
use crate::stream::run::Act;
use crate::stream::run::Acted;
use crate::stream::run::Chat;
use crate::stream::run::Said;
use crate::stream::run::Stage;
use crate::stream::run::Until;
use crate::stream::session::Remembered;

/// A conversation that was held.
pub(super) struct Held {
    pub(super) chat: Chat,
    pub(super) said: Vec<Said>,
    /// Its key in the store, once that is known.
    pub(super) key: Option<String>,
    /// Its rows before the restart.
    pub(super) before: Vec<StoredMessage>,
    /// What the server showed of it before the restart, and after how many turns.
    shown: (Vec<Remembered>, usize),
}

impl Held {
    /// Begins a conversation and holds every turn of the session.
    pub(super) async fn begin(
        stage: &mut Stage<'_>,
        elsewhere: &mut Option<String>,
    ) -> anyhow::Result<Self> {
        let chat = stage.set_up().await?;
        let mut held = Self {
            chat,
            said: Vec::new(),
            key: None,
            before: Vec::new(),
            shown: (Vec::new(), 0),
        };
        for _ in 0..stage.session().turns.len() {
            held.go_on(stage).await?;
            if held.said.len() == 1 {
                held.find(stage, elsewhere).await?;
            }
            held.hang_up();
        }
        Ok(held)
    }

    /// Finds its rows; in the first chat of all, also the table.
    async fn find(
        &mut self,
        stage: &mut Stage<'_>,
        elsewhere: &mut Option<String>,
    ) -> anyhow::Result<()> {
        let first = self.said.first().expect("a session has a turn");
        if stage.mapping().is_none()
            && elsewhere.is_none()
            && let Err(error) = stage.learn_mapping(first).await
        {
            *elsewhere = Some(with_hint(&error));
        }
        self.key = stage.key_of(&self.chat, first).await?;
        Ok(())
    }

    /// Holds one more turn.
    pub(super) async fn go_on(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        self.go_on_until(stage, Until::Over).await
    }

    /// Holds one more turn as far as this.
    pub(super) async fn go_on_until(
        &mut self,
        stage: &mut Stage<'_>,
        until: Until,
    ) -> anyhow::Result<()> {
        let said = stage.say(&self.chat, self.said.len(), until).await?;
        self.said.push(said);
        Ok(())
    }

    /// Holds one more turn, and acts the moment its final marker is seen.
    pub(super) async fn go_on_and_act(
        &mut self,
        stage: &mut Stage<'_>,
        act: Act,
    ) -> anyhow::Result<Acted> {
        let (said, acted) = stage.say_and_act(&self.chat, self.said.len(), act).await?;
        self.said.push(said);
        Ok(acted)
    }

    /// Lets the provider go on with the answer of its last turn.
    pub(super) fn let_go(&self) {
        if let Some(last) = self.said.last() {
            last.let_go();
        }
    }

    /// Takes in what its last turn brought since. Tells whether that was the final marker.
    pub(super) async fn catch_up(&mut self) -> bool {
        let Some(last) = self.said.last_mut() else {
            return false;
        };
        last.catch_up().await;
        last.acknowledged.is_some()
    }

    /// Ends the client's side of its last turn.
    pub(super) fn hang_up(&mut self) {
        if let Some(last) = self.said.last_mut() {
            last.hang_up();
        }
    }

    /// Remembers what the store holds of it and what the server shows of it now. What was there at
    /// an earlier look and is not now stays remembered: it went between two restarts, and is told
    /// after the next one.
    ///
    /// # Errors
    /// When the server has never shown it: then a restart is not what hides it.
    pub(super) async fn look(&mut self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let rows = self.rows(stage).await?;
        if !rows.is_empty() {
            self.before = rows;
        }
        let Some(recalled) = stage.recall(&mut self.chat).await? else {
            return Ok(());
        };
        let is_first = self.shown.1 == 0;
        match recalled.messages {
            Ok(records) if is_first || !records.is_empty() => {
                self.shown = (records, self.said.len());
            }
            Err(what) if is_first => {
                let (request, status) = (recalled.request, recalled.status);
                let why = match recalled.access {
                    Access::Refused(why) => format!("{what}; {why}"),
                    _ => what,
                };
                return Err(Stop::unreachable(format!(
                    "before the restart `{request}` was answered {status}: {why}"
                ))
                .hint("check [history] in the session file, and the server's log")
                .into());
            }
            _ => {}
        }
        Ok(())
    }

    /// What the server showed of it before the restart.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            records: &self.shown.0,
            turns: self.shown.1,
        }
    }

    /// Its rows in the store now.
    pub(super) async fn rows(&self, stage: &Stage<'_>) -> anyhow::Result<Vec<StoredMessage>> {
        match &self.key {
            Some(key) => stage.stored(key).await,
            None => Ok(Vec::new()),
        }
    }

    /// Its turns, as the client remembers them.
    pub(super) fn told(&self) -> Vec<Told> {
        let told = |said: &Said| Told {
            user: said.user.clone(),
            tag: said.tag.clone(),
            expected: said.expected.clone(),
            nonce: said.nonce.clone(),
            acknowledged: said.acknowledged.is_some(),
        };
        self.said.iter().map(told).collect()
    }

    /// The turns that were acknowledged, for the check of what the model still knows.
    pub(super) fn turns(&self) -> Vec<TurnSeen> {
        let numbered = self.said.iter().zip(1..);
        let acknowledged = numbered.filter(|(said, _)| said.acknowledged.is_some());
        acknowledged
            .map(|(said, number)| TurnSeen {
                tag: said.tag.clone(),
                nonce: said.nonce.clone(),
                calls: said.calls.clone(),
                ..TurnSeen::blank(number)
            })
            .collect()
    }
}
