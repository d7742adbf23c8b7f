//! What a reload shows at the final marker, while each commit that follows it is withheld.
//!
//! The row of the answer may be there, and the history may find it only through another row: the
//! conversation's newest message, a list of its messages. If that is committed after the marker, a
//! crash in between loses the answer for the user.

use super::case::Moments;
use super::chat::Chat;
use super::holds::Holds;
use super::live::Live;
use super::stage::Stage;
use crate::db::Db;
use crate::gate::CommitGate;
use crate::model::known_role;
use crate::report::{Finding, Lane};
use crate::store::{ColumnMatch, Origin};
use crate::stream::judge::order::Elsewhere;
use crate::stream::judge::reload::{LOCK, Look, Next, Reload, Seen, Watch};
use crate::stream::judge::{Observed, TurnSeen, history_differs};
use crate::stream::kept;
use crate::stream::session::Remembered;
use crate::{clock, db, store};
use std::pin::pin;
use std::time::Duration;

/// How often the history is asked once nothing is withheld any more.
const ASK: Duration = Duration::from_millis(20);

/// How long a server may take to show a history that decides whether it is wrong: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(2);

/// As many reloads as the slowest one without a gate are waited for.
const TIMES_THE_USUAL: u32 = 3;

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
fn names_assistant(observed: &Observed, records: &[Remembered]) -> bool {
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

/// What reloads show at the final marker.
pub(super) struct Reloaded {
    pub(super) seen: Reload,
    /// What is said of it if the history shows the answer once nothing is withheld any more.
    pub(super) hidden: Option<Hidden>,
    /// What they show if it does not.
    unexplained: Reload,
}

impl Reloaded {
    /// Nobody asked.
    pub(super) const UNTOLD: Self = Self {
        seen: Reload::Untold,
        hidden: None,
        unexplained: Reload::Untold,
    };

    /// The same, where the gate let so many commits through by itself: one of them may be what is shown.
    pub(super) const fn unless_expired(&self, expired: u32) -> Reload {
        match self.seen {
            Reload::Shown if expired > 0 => Reload::Silence { had_time: false },
            seen => seen,
        }
    }

    /// Says in a timeline what is missing.
    pub(super) fn tell(&self, moments: &mut Moments) {
        let what = match (&self.hidden, self.seen) {
            (Some(Hidden { request, .. }), _) => {
                format!("`{request}` does not show the conversation correctly")
            }
            (None, Reload::Lacked) => "a reload does not show the answer".to_owned(),
            (None, Reload::Silence { .. }) => "a reload gets no reply".to_owned(),
            (None, Reload::Untold | Reload::Shown | Reload::Hidden(_)) => return,
        };
        moments.now(Lane::Client, what);
    }
}

impl Stage<'_> {
    /// Asks the history while everything is withheld that comes after the marker.
    pub(super) async fn reload_at_final(
        &self,
        chat: &Chat,
        live: &Live,
        gate: &mut dyn CommitGate,
        holds: Holds,
    ) -> anyhow::Result<Reloaded> {
        if !self.reloads_at_final {
            return Ok(Reloaded::UNTOLD);
        }
        let mut watch = Watch::new(holds.hold, self.settles_after(holds.hold));
        loop {
            let (asked, is_over) = (clock::now(), live.watching.seen().over.is_some());
            let seen = self.reload_in_time(chat, live, gate, holds).await?;
            let withheld = gate.withheld().await?;
            let ids: Vec<_> = withheld.iter().map(|it| (it.id, it.since)).collect();
            let look = Look {
                asked,
                answered: clock::now(),
                seen,
                withheld: &ids,
                is_over,
            };
            match watch.saw(&look) {
                Next::Again(at) => tokio::time::sleep(at.saturating_sub(clock::now())).await,
                Next::Done(Reload::Hidden(id)) => {
                    let commit = withheld.iter().find(|it| it.id == id);
                    let commit =
                        commit.map(|it| format!("{}: {}", it.by, it.statements.join("; ")));
                    return Ok(self.reloaded(Reload::Hidden(id), &watch, commit));
                }
                Next::Done(seen) => return Ok(self.reloaded(seen, &watch, None)),
            }
        }
    }

    /// The same behind a gate that keeps all writes back, and is closed until this returns.
    pub(super) async fn reload_behind_lock(
        &self,
        chat: &Chat,
        live: &Live,
        holds: Holds,
    ) -> Reloaded {
        if !self.reloads_at_final {
            return Reloaded::UNTOLD;
        }
        let began = clock::now();
        let end = began + holds.longest.max(2 * holds.hold);
        let needs = self.reload_needs(holds.hold);
        let mut watch = Watch::new(holds.hold, holds.hold);
        loop {
            let asked = clock::now();
            let limit = needs.min(end.saturating_sub(asked));
            let had_time = limit >= needs;
            let asking = self.reload_once(chat, live, holds.hold);
            let seen = tokio::time::timeout(limit, asking).await;
            let look = Look {
                asked,
                answered: clock::now(),
                seen: seen.unwrap_or(Seen::Silence { had_time }),
                withheld: &[(LOCK, began)],
                is_over: true,
            };
            match watch.saw(&look) {
                Next::Again(at) => tokio::time::sleep(at.saturating_sub(clock::now())).await,
                Next::Done(seen) => return self.reloaded(seen, &watch, None),
            }
        }
    }

    /// Whether the history of a chat has each answer. Learns whose they are there.
    pub(super) fn shows_answers(&mut self, observed: &Observed) -> bool {
        let Some(Ok(records)) = &observed.history else {
            return false;
        };
        self.names_assistant = names_assistant(observed, records);
        let is_shown = |turn: &TurnSeen| {
            let mut records = records.iter();
            records.any(|it| it.content.contains(&turn.nonce))
        };
        observed.turns.iter().all(is_shown)
    }

    /// What a watch showed. A history that did not show the answers of a first chat either tells nothing
    /// without a commit.
    fn reloaded(&self, seen: Reload, watch: &Watch, commit: Option<String>) -> Reloaded {
        let if_usual = |seen| {
            if self.learnt.shows_answers {
                seen
            } else {
                Reload::Untold
            }
        };
        let history = self.session.history.as_ref();
        let hidden = history.filter(|_| matches!(seen, Reload::Hidden(_)));
        Reloaded {
            seen: match seen {
                Reload::Hidden(_) => seen,
                seen => if_usual(seen),
            },
            hidden: hidden.map(|history| Hidden {
                commit,
                request: history.request.written.clone(),
            }),
            unexplained: if_usual(watch.unexplained()),
        }
    }

    /// How long a reload that lacks something is repeated while nothing is withheld.
    fn settles_after(&self, hold: Duration) -> Duration {
        if self.learnt.shows_answers {
            self.options.settle
        } else {
            hold
        }
    }

    /// The time that a reload needs.
    fn reload_needs(&self, hold: Duration) -> Duration {
        hold.max(self.times.slowest_reload() * TIMES_THE_USUAL)
    }

    /// One reload, which is given up before a commit that waits would have to be let through.
    async fn reload_in_time(
        &self,
        chat: &Chat,
        live: &Live,
        gate: &mut dyn CommitGate,
        holds: Holds,
    ) -> anyhow::Result<Seen> {
        let began = clock::now();
        let needs = self.reload_needs(holds.hold);
        let longest = self.options.max_hold.mul_f64(0.9);
        let mut changes = gate.changes();
        let mut asking = pin!(self.reload_once(chat, live, holds.hold));
        loop {
            changes.borrow_and_update();
            let withheld = gate.withheld().await?;
            let first = withheld.iter().map(|commit| commit.since).min();
            let limit = began + needs.max(PATIENCE);
            let until = first.map_or(limit, |first| limit.min(first + longest));
            tokio::select! {
                biased;
                seen = &mut asking => return Ok(seen),
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(until.saturating_sub(clock::now())) => {
                    let had_time = clock::now() >= began + needs;
                    return Ok(Seen::Silence { had_time });
                }
            }
        }
    }

    /// One reload. A refusal that takes longer than any answer so far comes of what is withheld: the
    /// server gives up waiting for its store.
    async fn reload_once(&self, chat: &Chat, live: &Live, hold: Duration) -> Seen {
        const NONE: Seen = Seen::Silence { had_time: true };
        let Some(history) = &self.session.history else {
            return NONE;
        };
        let asked = clock::now();
        let Ok(answer) = chat.ask(&history.request).await else {
            return NONE;
        };
        let is_accepted = history.request.accepts(answer.status);
        let took = clock::now() - asked;
        if !is_accepted && took > hold + self.times.slowest_reload() {
            return NONE;
        }
        let records = history.read(&answer.body).ok().filter(|_| is_accepted);
        let records = records.unwrap_or_default();
        let has_answer = self.has_answer(live, &records);
        if self.has_all(chat, live, &records) {
            Seen::All
        } else if has_answer {
            Seen::Part
        } else {
            Seen::Nothing
        }
    }

    /// Whether what was hidden is shown soon after nothing is withheld any more. Otherwise no commit
    /// explains it.
    pub(super) async fn confirm(
        &self,
        chat: &Chat,
        live: &Live,
        hold: Duration,
        (reloaded, moments): (&mut Reloaded, &mut Moments),
    ) {
        if reloaded.hidden.is_none() {
            return;
        }
        if self.is_shown_after(chat, live, hold).await {
            moments.now(Lane::Client, "now it does");
        } else {
            reloaded.hidden = None;
            reloaded.seen = reloaded.unexplained;
        }
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
    async fn is_shown_after(&self, chat: &Chat, live: &Live, hold: Duration) -> bool {
        let limit = self.reload_needs(hold);
        let until = clock::now() + hold + self.times.slowest_reload();
        while clock::now() < until {
            let records = self.history_now(chat, limit).await;
            if records.is_some_and(|records| self.has_all(chat, live, &records)) {
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
        Some(self.has_answer(live, &records))
    }

    /// Whether these records have the answer.
    fn has_answer(&self, live: &Live, records: &[Remembered]) -> bool {
        let is_it = |content: &str| {
            if self.learnt.whole_history {
                kept::is_all_in(&live.expected, content)
            } else {
                content.contains(&live.nonce)
            }
        };
        // What reads a history takes a text with another role for none of the answers.
        let has_role = |it: &Remembered| !self.names_assistant || is_assistants(it);
        records.iter().any(|it| is_it(&it.content) && has_role(it))
    }

    /// The same of the whole conversation so far, where the history showed that without a gate.
    fn has_all(&self, chat: &Chat, live: &Live, records: &[Remembered]) -> bool {
        if !self.learnt.whole_history {
            return self.has_answer(live, records);
        }
        let mut so_far = self.observed();
        so_far.turns = chat.said_so_far();
        history_differs::is_right(&so_far, records)
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
