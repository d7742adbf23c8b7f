//! What a reload shows at the final marker, while each commit that follows it is withheld.
//!
//! The row of the answer may be there, and the history may find it only through another row: the
//! conversation's newest message, a list of its messages. If that is committed after the marker, a
//! crash in between loses the answer for the user.

use super::chat::Chat;
use super::live::Live;
use super::stage::Stage;
use crate::db::Db;
use crate::gate::CommitGate;
use crate::model::known_role;
use crate::report::Finding;
use crate::store::{ColumnMatch, Origin};
use crate::stream::judge::order::Elsewhere;
use crate::stream::judge::{Observed, TurnSeen, history_differs};
use crate::stream::kept;
use crate::stream::session::Remembered;
use crate::{clock, db, store};
use std::time::Duration;

/// How often the history is asked once nothing is withheld any more.
const ASK: Duration = Duration::from_millis(20);

/// How long a server may take to show a history that decides whether it is wrong: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why nobody knows what took a chat of which nothing is left, where a newer one is all there.
pub(super) const EMPTIED: &str = "an earlier chat is empty, and the newest one is complete: a new chat may \
    empty the previous one, or the server keeps only the newest chats; let [[setup]] begin a chat that leaves \
    others alone";

/// Why nobody knows what hides a chat whose rows are there, where it is not the newest one.
pub(super) const ARCHIVED: &str = "a reload shows nothing of an earlier chat, although its rows exist: a new \
    chat may archive the previous ones; let [[setup]] begin a chat that leaves others alone";

/// Why nobody knows what became of rows that are gone, where a reload shows all that they held.
pub fn moved(table: &str) -> String {
    format!(
        "messages are no longer in `{table}`, and a reload shows all of them: the server may have moved them; \
            declare where they are stored ([store] in chatctl.toml)"
    )
}

/// Whether all answers in a history have a role that is known for an assistant's.
pub(super) fn names_assistant(observed: &Observed) -> bool {
    let Some(Ok(records)) = &observed.history else {
        return false;
    };
    let is_answer = |it: &&Remembered| {
        let mut turns = observed.turns.iter();
        turns.any(|turn| it.content.contains(&turn.nonce))
    };
    let mut answers = records.iter().filter(is_answer).peekable();
    answers.peek().is_some() && answers.all(is_assistants)
}

fn is_assistants(record: &Remembered) -> bool {
    known_role(&record.role) == Some("assistant")
}

/// A history that was right, and is not any more.
pub(super) struct Worse {
    pub(super) finding: Finding,
    /// Whether it shows no message at all. A new chat may archive the ones before it.
    pub(super) is_empty: bool,
}

/// A history without the answer, at the final marker.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hidden {
    /// What was withheld at that time, if the gate knows it.
    pub(super) commit: Option<String>,
    /// How the history was asked.
    pub(super) request: String,
}

impl Stage<'_> {
    /// Asks the history while everything is withheld that came after the marker. Says something only
    /// if the server answers without this text, and a commit waits all the time.
    pub(super) async fn reload_at_final(
        &mut self,
        chat: &Chat,
        live: &Live,
        gate: &mut dyn CommitGate,
        hold: Duration,
    ) -> anyhow::Result<Option<Hidden>> {
        if !self.reloads_at_final {
            return Ok(None);
        }
        match self.is_all_shown(chat, live, hold).await {
            Some(false) => {}
            Some(true) => return Ok(None),
            None => return self.no_reload(gate).await,
        }
        let mut changes = gate.changes();
        let until = clock::now() + hold;
        let commit = loop {
            changes.borrow_and_update();
            if let Some(commit) = gate.withheld().await?.into_iter().next() {
                break commit;
            }
            let left = until.saturating_sub(clock::now());
            if !matches!(
                tokio::time::timeout(left, changes.changed()).await,
                Ok(Ok(()))
            ) {
                return Ok(None);
            }
        };
        tokio::time::sleep(until.saturating_sub(clock::now())).await;
        // A history that is only late, as one that is read from a cache, shows it by now.
        let Some(is_shown) = self.is_all_shown(chat, live, hold).await else {
            return self.no_reload(gate).await;
        };
        let is_withheld = gate.withheld().await?.iter().any(|it| it.id == commit.id);
        let history = self.session.history.as_ref();
        Ok(history
            .filter(|_| !is_shown && is_withheld)
            .map(|history| Hidden {
                commit: Some(format!("{}: {}", commit.by, commit.statements.join("; "))),
                request: history.request.written.clone(),
            }))
    }

    /// The same behind a gate that keeps all writes back, and is closed until this returns.
    pub(super) async fn reload_behind_lock(
        &mut self,
        chat: &Chat,
        live: &Live,
        hold: Duration,
    ) -> Option<Hidden> {
        let history = self.session.history.as_ref()?;
        if !self.reloads_at_final {
            return None;
        }
        let until = clock::now() + hold;
        let is_shown = self.is_all_shown(chat, live, hold).await;
        // A server that can't answer while it can't write is not asked again.
        self.reloads_at_final = is_shown.is_some();
        if is_shown? {
            return None;
        }
        tokio::time::sleep(until.saturating_sub(clock::now())).await;
        let is_shown = self.is_all_shown(chat, live, hold).await?;
        (!is_shown).then(|| Hidden {
            commit: None,
            request: history.request.written.clone(),
        })
    }

    /// The server can't answer while its commits are withheld, or has no history.
    async fn no_reload(&mut self, gate: &mut dyn CommitGate) -> anyhow::Result<Option<Hidden>> {
        self.reloads_at_final = false;
        self.reload_untried |= !gate.withheld().await?.is_empty();
        Ok(None)
    }

    /// Where the answer is, though its row is not complete, and only the text of a first chat says
    /// that answers are kept in that table. What was declared is not doubted. `carried`: a commit
    /// with the answer was done, so that another place may hold it for a worker that moves it.
    pub(super) async fn shown_without_row(
        &mut self,
        chat: &Chat,
        live: &Live,
        limit: Duration,
        carried: bool,
    ) -> Option<Elsewhere> {
        let mapping = self.mapping.as_ref()?;
        match mapping.origin {
            Origin::Declared | Origin::Preset { .. } => return None,
            Origin::Detected(_) => {}
        }
        let table = mapping.table().to_owned();
        let (is_there, seen) = match self.session.history {
            Some(_) => {
                let is_shown = self.is_shown(chat, live, limit.max(PATIENCE)).await?;
                (is_shown, "a reload shows it".to_owned())
            }
            None => {
                let (place, why) = self.copy_of(live, &table, carried).await?;
                (true, format!("`{place}` holds it, {why}"))
            }
        };
        self.is_elsewhere |= is_there;
        is_there.then_some(Elsewhere { table, seen })
    }

    /// A column of another table which has this answer, and had the first chat's answer too or got
    /// it by a commit of the server's own.
    async fn copy_of(
        &self,
        live: &Live,
        table: &str,
        carried: bool,
    ) -> Option<(String, &'static str)> {
        if self.copied_to.is_empty() && !carried {
            return None;
        }
        let hits = self.places_of(live.mark()).await.ok()?;
        let is_known = |hit: &&ColumnMatch| {
            let mut known = self.copied_to.iter();
            known.any(|known| (&known.table, &known.column) == (&hit.table, &hit.column))
        };
        let place = |hit: &ColumnMatch| format!("{}.{}", hit.table, hit.column);
        if let Some(hit) = hits.iter().find(is_known) {
            return Some((place(hit), "where the first answer was too"));
        }
        let other = hits.iter().find(|hit| hit.table != table);
        let other = other.filter(|_| carried)?;
        Some((place(other), "by a write that was let through before"))
    }

    /// The places of a text. A commit that is withheld keeps readers out of a file without a write-ahead log:
    /// then a copy is read.
    async fn places_of(&self, text: &str) -> anyhow::Result<Vec<ColumnMatch>> {
        match places_in(self.world.db(), text).await {
            Err(_) if self.world.target.is_file() => {
                let copy = db::Undone::copy(self.world.target.path())?;
                let db = db::open(copy.target().clone()).await?;
                places_in(db.as_ref(), text).await
            }
            places => places,
        }
    }

    /// Whether the history shows the answer soon after nothing is withheld any more.
    pub(super) async fn is_shown_after(&self, chat: &Chat, live: &Live, hold: Duration) -> bool {
        let until = clock::now() + hold;
        while clock::now() < until {
            if self.is_all_shown(chat, live, hold).await == Some(true) {
                return true;
            }
            tokio::time::sleep(ASK).await;
        }
        false
    }

    /// Whether a reload shows a text; none where the server gives no answer.
    pub(super) async fn reload_shows(&self, chat: &Chat, text: &str) -> Option<bool> {
        let records = self.history_now(chat, PATIENCE).await?;
        Some(records.iter().any(|it| kept::is_all_in(text, &it.content)))
    }

    /// Whether a reload shows all that was said in a chat so far.
    pub(super) async fn reload_shows_all(&self, chat: &Chat) -> bool {
        let Some(records) = self.history_now(chat, PATIENCE).await else {
            return false;
        };
        let mut so_far = self.observed();
        so_far.turns = chat.said_so_far();
        history_differs::is_right(&so_far, &records)
    }

    /// Whether a reload shows the answer; none where the server gives no answer.
    async fn is_shown(&self, chat: &Chat, live: &Live, limit: Duration) -> Option<bool> {
        let records = self.history_now(chat, limit).await?;
        let is_it = |content: &str| {
            if self.learnt.whole_history {
                kept::is_all_in(&live.expected, content)
            } else {
                content.contains(&live.nonce)
            }
        };
        // What reads a history takes a text with another role for none of the answers.
        let has_role = |it: &Remembered| !self.names_assistant || is_assistants(it);
        Some(records.iter().any(|it| is_it(&it.content) && has_role(it)))
    }

    /// The same of the whole conversation so far, where the history showed that without a gate.
    async fn is_all_shown(&self, chat: &Chat, live: &Live, limit: Duration) -> Option<bool> {
        if !self.learnt.whole_history {
            return self.is_shown(chat, live, limit).await;
        }
        let records = self.history_now(chat, limit).await?;
        let mut so_far = self.observed();
        so_far.turns = chat.said_so_far();
        Some(history_differs::is_right(&so_far, &records))
    }

    /// The records of the history now. One that can't be read, or is refused, has none.
    async fn history_now(&self, chat: &Chat, limit: Duration) -> Option<Vec<Remembered>> {
        let history = self.session.history.as_ref()?;
        let asked = tokio::time::timeout(limit, chat.ask(&history.request)).await;
        let answer = asked.ok()?.ok()?;
        let is_accepted = history.request.accepts(answer.status);
        let records = history.read(&answer.body).ok().filter(|_| is_accepted);
        Some(records.unwrap_or_default())
    }

    /// Whether each message of these turns is in a row.
    async fn has_rows(&self, turns: &[TurnSeen]) -> bool {
        for mark in turns.iter().flat_map(|turn| [&turn.tag, &turn.nonce]) {
            if !self.is_stored(mark).await.unwrap_or(false) {
                return false;
            }
        }
        true
    }

    /// A chat's history after the time that rows are watched: it may not have got worse. One that is refused by now,
    /// or is another chat's, says nothing.
    pub(super) async fn reload_again(&self, chat: &Chat) -> Option<Worse> {
        let history = self.session.history.as_ref()?;
        let turns = chat.said_so_far();
        let is_of_chat = |text: &str| {
            let mut turns = turns.iter();
            turns.any(|turn| text.contains(&turn.tag) || text.contains(&turn.nonce))
        };
        let mut observed = self.observed();
        observed.turns = chat.said_so_far();
        let until = clock::now() + self.options.settle;
        loop {
            let asked = tokio::time::timeout(PATIENCE, chat.ask(&history.request)).await;
            let answer = asked.ok()?.ok()?;
            let is_accepted = history.request.accepts(answer.status);
            let records = history.read(&answer.body).ok().filter(|_| is_accepted)?;
            // A chat that is shown without any message, while its rows are there, is hidden from its user.
            let is_hidden =
                records.is_empty() && !self.shares_history && self.has_rows(&turns).await;
            if !is_hidden && !records.iter().any(|it| is_of_chat(&it.content)) {
                return None;
            }
            // Of one chat for all a page may show the newest messages only.
            let has_begun = |it: &Remembered| {
                turns
                    .iter()
                    .take(1)
                    .any(|turn| it.content.contains(&turn.tag))
            };
            if self.shares_history && !records.iter().any(has_begun) {
                return None;
            }
            observed.history = Some(Ok(records));
            let finding = history_differs::later(&observed)?;
            // It may be read from a replica, or from a cache.
            if clock::now() >= until {
                return Some(Worse {
                    finding,
                    is_empty: is_hidden,
                });
            }
            tokio::time::sleep(ASK).await;
        }
    }
}

async fn places_in(db: &dyn Db, text: &str) -> anyhow::Result<Vec<ColumnMatch>> {
    let schema = db.schema().await?;
    store::find_text(db, &schema, text).await
}
