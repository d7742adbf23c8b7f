//! Runs conversations, and records what is known about them.

use super::account;
use super::account::{HistoryBefore, RememberedTurn};
use super::ways::Way;
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::model::{Conversation, Role, StoredMessage, known_role};
use crate::report::Finding;
use crate::store::Mapping;
use crate::stream::judge::{Judged, TurnSeen};
use crate::stream::run::{
    Access, Act, Acted, Chat, Interrupted, Interruption, Moments, Said, Stage,
};
use crate::stream::session::Remembered;
use crate::{cli_error, clock, store};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Between two looks for a row that may still come.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Which rows are waited for. Of what the user was never promised only the last question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Those of every turn.
    All,
    /// All but that of the last answer.
    ButLastAnswer,
    /// All but those of the last turn: what is not there when the server is stopped may be lost
    /// with it, which is to be seen.
    ButLastTurn,
}

/// A conversation that was held.
pub(super) struct Held {
    pub(super) chat: Chat,
    pub(super) said: Vec<Said>,
    /// Its keys in the store, as far as its questions tell them: a table may name no conversation.
    keys: BTreeSet<String>,
    /// Its rows before the restart.
    pub(super) before: Vec<StoredMessage>,
    /// The rows of its own before the restart, by their keys.
    heads: HashMap<String, Conversation>,
    /// For how many turns all rows were waited for then.
    awaited_before: usize,
    /// What the server showed of it before the restart, and after how many turns.
    shown: (Vec<Remembered>, usize),
    /// What a reload answered that did not show what was said after a restart.
    pub(super) hidden: Option<String>,
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
            keys: BTreeSet::new(),
            before: Vec::new(),
            heads: HashMap::new(),
            awaited_before: 0,
            shown: (Vec::new(), 0),
            hidden: None,
        };
        for _ in 0..stage.session().turns.len() {
            held.go_on(stage).await?;
            if held.said.len() == 1 {
                held.find_table(stage, elsewhere).await?;
            }
            held.hang_up();
        }
        Ok(held)
    }

    /// Finds the table of messages, in the first chat of all.
    async fn find_table(
        &self,
        stage: &mut Stage<'_>,
        elsewhere: &mut Option<String>,
    ) -> anyhow::Result<()> {
        let first = self.said.first().expect("a session has a turn");
        if stage.mapping().is_none()
            && elsewhere.is_none()
            && let Err(error) = stage.learn_mapping(first).await
        {
            *elsewhere = Some(cli_error::with_hint(&error));
        }
        Ok(())
    }

    /// Holds one more turn.
    pub(super) async fn go_on(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let said = stage.say(&self.chat, self.said.len()).await?;
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

    /// Brings one more turn to a place where it is to be interrupted. The inner error says why it did not
    /// get there.
    pub(super) async fn interrupt(
        &mut self,
        stage: &mut Stage<'_>,
        place: Interruption,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<Interrupted, String>> {
        let met = stage.say_up_to(&self.chat, &self.said, place, moments);
        Ok(met.await?.map(|(said, interrupted)| {
            self.said.push(said);
            interrupted
        }))
    }

    /// Holds the turn after an interrupted one, and judges what became of that. The turn is remembered if all that was
    /// said in it is known.
    pub(super) async fn go_on_after(
        &mut self,
        stage: &mut Stage<'_>,
        cut: &mut Interrupted,
        moments: &mut Moments,
    ) -> anyhow::Result<Judged> {
        let next = stage.say_after(&self.chat, self.said.len(), cut, moments);
        let (said, next) = next.await?;
        self.said.extend(said);
        let judged = stage.judge_interrupted(cut, next, &self.said, moments);
        Ok(judged.await)
    }

    /// Lets the provider continue with the answer of its last turn.
    pub(super) fn let_go(&self) {
        if let Some(last) = self.said.last() {
            last.let_go();
        }
    }

    /// Takes in what its last turn brought since. Returns whether that was the final marker.
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
    /// an earlier look and is not now stays remembered: it went between two restarts, and is reported
    /// after the next one. Rows that are `awaited` may still come, for a time.
    ///
    /// # Errors
    /// When the server has never shown it: then a restart is not what hides it.
    pub(super) async fn look(
        &mut self,
        stage: &Stage<'_>,
        awaited: Awaited,
        deadline: Tick,
    ) -> anyhow::Result<()> {
        let rows = self.rows(stage, awaited, deadline).await?;
        if !rows.is_empty() {
            self.before = rows;
        }
        self.heads = self.heads_now(stage).await.unwrap_or_default();
        let turns = self.said.len();
        self.awaited_before = match awaited {
            Awaited::All => turns,
            Awaited::ButLastAnswer | Awaited::ButLastTurn => turns.saturating_sub(1),
        };
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
                return Err(CliError::unreachable(format!(
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
    pub(super) fn shown(&self) -> HistoryBefore<'_> {
        HistoryBefore {
            records: &self.shown.0,
            turns: self.shown.1,
        }
    }

    /// That it has messages of other conversations, in the store or in what the server showed of it, in words.
    pub(super) fn has_others(&self) -> Option<String> {
        let told = self.remembered_turns();
        let mut texts = self.talk();
        let text = texts.find(|text| account::is_of_another(&told, text))?;
        Some(format!("it has `{text}`, which was said in another one"))
    }

    /// Whether it has messages of that other conversation.
    pub(super) fn has_what_is_of(&self, other: &Self) -> bool {
        let said = |text: &str| {
            let mut said = other.said.iter();
            said.any(|said| text.contains(&said.tag) || text.contains(&said.nonce))
        };
        self.talk().any(said)
    }

    /// What both sides said, in the store and in what the server showed of it. A summary or a
    /// memory may quote other conversations.
    fn talk(&self) -> impl Iterator<Item = &str> {
        let is_said = |row: &&StoredMessage| matches!(row.role, Role::User | Role::Assistant);
        let stored = self.before.iter().filter(is_said);
        let is_talk = |record: &&Remembered| {
            known_role(&record.role).is_none_or(|role| role == "user" || role == "assistant")
        };
        let shown = self.shown.0.iter().filter(is_talk);
        let stored = stored.map(|row| row.content.as_str());
        stored.chain(shown.map(|record| record.content.as_str()))
    }

    /// Its rows in the store now, or as soon as those that are awaited are there.
    pub(super) async fn rows(
        &mut self,
        stage: &Stage<'_>,
        awaited: Awaited,
        deadline: Tick,
    ) -> anyhow::Result<Vec<StoredMessage>> {
        if stage.mapping().is_none() {
            return Ok(Vec::new());
        }
        loop {
            let rows = self.rows_now(stage).await?;
            let is_there = |mark: &&str| holds(&rows, mark);
            if self.awaited(awaited).iter().all(is_there) || clock::now() >= deadline {
                return Ok(rows);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The rows that the conversations have of their own, where there is a table of them.
    async fn heads_now(&self, stage: &Stage<'_>) -> anyhow::Result<HashMap<String, Conversation>> {
        let with_table = |mapping: &&Mapping| mapping.store().conversation.is_some();
        match (stage.store(), stage.mapping().filter(with_table)) {
            (Some(db), Some(mapping)) => {
                let keys: Vec<_> = self.keys.iter().cloned().collect();
                store::own_rows(db, mapping, &keys).await
            }
            _ => Ok(HashMap::new()),
        }
    }

    /// What became of them.
    pub(super) async fn lost_head(&self, stage: &Stage<'_>, way: &Way) -> Option<Finding> {
        // A table that can't be read is reported as a table.
        let now = self.heads_now(stage).await.ok()?;
        let session = &stage.session().name;
        let mut heads = self.heads.iter();
        heads.find_map(|(key, before)| account::head(session, way, before, now.get(key)))
    }

    /// The rows of its conversation, and those with one of its texts wherever they stand.
    async fn rows_now(&mut self, stage: &Stage<'_>) -> anyhow::Result<Vec<StoredMessage>> {
        let mut rows = Vec::new();
        for key in &self.keys {
            rows.extend(stage.stored(key).await?);
        }
        for said in &self.said {
            for (mark, is_question) in [(&said.tag, true), (&said.nonce, false)] {
                if holds(&rows, mark) {
                    continue;
                }
                for row in stage.holding(mark).await? {
                    let key = row.conversation.clone().filter(|_| is_question);
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                    // Of the conversation there may be more than is known by its texts.
                    if let Some(key) = key
                        && self.keys.insert(key.clone())
                    {
                        let of_it = stage.stored(&key).await?;
                        rows.retain(|known| !of_it.iter().any(|row| row.key == known.key));
                        rows.extend(of_it);
                    }
                }
            }
        }
        Ok(rows)
    }

    /// The texts of rows that may still come.
    fn awaited(&self, awaited: Awaited) -> Vec<&str> {
        let last = self.said.len().saturating_sub(1);
        let texts = self.said.iter().enumerate().flat_map(|(index, said)| {
            let (is_last, is_promised) = (index == last, said.acknowledged.is_some());
            let question = match awaited {
                Awaited::All | Awaited::ButLastAnswer => is_promised || is_last,
                Awaited::ButLastTurn => is_promised && !is_last,
            };
            let answer = is_promised && (awaited == Awaited::All || !is_last);
            let question = question.then_some(said.tag.as_str());
            question
                .into_iter()
                .chain(answer.then_some(said.nonce.as_str()))
        });
        texts.collect()
    }

    /// Its turns, as the client remembers them.
    pub(super) fn remembered_turns(&self) -> Vec<RememberedTurn> {
        let told = |(said, turn): (&Said, usize)| RememberedTurn {
            user: said.user.clone(),
            tag: said.tag.clone(),
            expected: said.expected.clone(),
            nonce: said.nonce.clone(),
            acknowledged: said.acknowledged.is_some(),
            awaited: turn < self.awaited_before,
        };
        self.said.iter().zip(0..).map(told).collect()
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

fn holds(rows: &[StoredMessage], mark: &str) -> bool {
    rows.iter().any(|row| row.content.contains(mark))
}
