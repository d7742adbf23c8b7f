//! Chats without a gate: is the answer saved rightly at all, where, and how long does the
//! server take from the provider's end to its final marker?

use super::chat::{AS_RECORDED, Chat};
use super::exchange::ResponseProgress;
use super::find_store::sealed;
use super::first_turn::FirstTurn;
use super::learnt::Learnt;
use super::live::{AtMarker, Live};
use super::looks::Watched;
use super::rows;
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::model::{Role, SentMessage, State, StoredMessage};
use crate::report::{Finding, Report, Severity, Verdict};
use crate::store::Shape;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order::RowState;
use crate::stream::judge::tool_calls_differ::{Habit, Kept};
use crate::stream::judge::{Cors, Observed, TurnSeen, history_differs};
use crate::stream::session::HistoryError;
use crate::stream::{judge, kept};
use crate::{clock, store};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How many chats are held without a gate.
const CHATS: usize = 4;
/// Between two looks at a history that may be late.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What the chats without a gate showed.
pub(super) struct Calibrated {
    /// The longest time from the provider's end to the final marker.
    pub(super) lag: Duration,
    /// What was wrong already, so that there is no order to prove.
    pub(super) wrong: Option<String>,
    /// The rows, each looked at right after the final marker.
    pub(super) at_final: Vec<RowState>,
    /// What was so in every chat.
    learnt: Learnt,
    /// What was kept of the tools of each turn right after it, by its nonce.
    tools: HashMap<String, Kept>,
    /// The first chat, if its history was right when it was over.
    pub(super) first_chat: Option<Chat>,
}

impl Calibrated {
    /// Reports what was found in a chat, and remembers whether it is wrong about the answer's row.
    fn report(&mut self, number: usize, observed: &Observed, report: &mut Report) {
        report.checked += 1;
        let is_known = number > 0 && self.learnt.has_versions;
        // Only the first chat has a history, which may show what the rows do not spell out.
        let is_only_shown = self.learnt.whole_history
            && observed.history.is_none()
            && observed.turns.iter().all(|turn| !turn.with_tag.is_empty());
        for finding in judge::findings(observed) {
            let is_warning = number > 0 && finding.severity == Severity::Warning;
            let is_known = is_known && finding.code == rows::DOUBLED
                || is_warning && rows::is_explained(&observed.session, report, finding.code);
            if is_known || is_only_shown && finding.code == rows::QUESTION_LOST {
                continue;
            }
            let is_error = finding.severity == Severity::Error;
            if is_error && self.wrong.is_none() && about_the_row(finding.code) {
                self.wrong = Some(format!("{} ({})", finding.harm, finding.code));
            }
            report.add(finding);
        }
    }
}

impl Stage<'_> {
    pub(super) async fn calibrate(
        &mut self,
        mut first: Option<FirstTurn>,
        report: &mut Report,
    ) -> anyhow::Result<Calibrated> {
        let mut suspected = None;
        let mut calibrated = Calibrated {
            lag: Duration::ZERO,
            wrong: None,
            at_final: Vec::new(),
            learnt: Learnt::ALL,
            tools: HashMap::new(),
            first_chat: None,
        };
        for number in 0..CHATS {
            self.doing(&format!("chat {} of {CHATS} without a gate", number + 1));
            let since = clock::now();
            let chat = self.set_up().await?;
            let first_sent = clock::now();
            let mut turns = Vec::new();
            for index in 0..self.session.turns.len() {
                turns.push(self.free_turn(&chat, index, &mut calibrated).await?);
            }
            self.world.gateway.rest();
            let observed = match number {
                // The first chat is examined from all sides; the others only at their rows.
                0 => {
                    let mut observed = self.account(&chat, turns, (since, first_sent)).await?;
                    calibrated.learnt.whole_history = shows_all(&observed);
                    calibrated.learnt.shows_answers = self.shows_answers(&observed);
                    calibrated.learnt.has_versions = judge::keeps_versions(&observed);
                    self.doubt_rows(&mut observed, report).await?;
                    suspected = self.look_at_first(first.take(), chat.marks()).await?;
                    observed
                }
                _ => Observed {
                    turns,
                    ..self.observed()
                },
            };
            self.check_preface(&observed);
            calibrated.learnt.keeps_earlier &= self.keeps_all(&chat.marks()).await?;
            if number == 0 && calibrated.learnt.whole_history {
                calibrated.first_chat = Some(chat);
            }
            calibrated.report(number, &observed, report);
            if calibrated.wrong.is_some() {
                break;
            }
        }
        if let Some(why) = self.misread.take() {
            let case = self.begin_case("history", &NONE, &READ_TO_END);
            self.end_case(case, Verdict::Inconclusive, why, report);
        }
        if let Some(unknown) = self.without_marker() {
            let finding = Finding::new(
                "stream-end-unknown",
                Severity::Note,
                &self.session.name,
                &unknown.what,
                &unknown.help,
            );
            report.add(finding);
            let why = "no declared or known final marker came (stream-end-unknown)".to_owned();
            calibrated.wrong.get_or_insert(why);
        } else if let Some(unread) = self.unread() {
            report.add(unread);
        }
        if calibrated.wrong.is_none() {
            self.learn_finished().await?;
            self.learn_links().await?;
            self.learnt = calibrated.learnt;
            self.learn_tools(&calibrated.tools).await?;
            self.report_first(suspected, report).await?;
            self.wrong_codes = rows::wrong_codes(&self.session.name, report);
        }
        Ok(calibrated)
    }

    /// One turn with nothing in its way.
    async fn free_turn(
        &mut self,
        chat: &Chat,
        index: usize,
        calibrated: &mut Calibrated,
    ) -> anyhow::Result<TurnSeen> {
        let live = self.begin(chat, index, AS_RECORDED).await?;
        let is_first = self.mapping.is_none();
        if is_first {
            self.look_for(&live).await?;
        }
        live.play.release();
        let marked = self.until_final(&live).await;
        let mut at_final = AtMarker::default();
        if marked.turn.promised_at().is_some() && self.mapping.is_some() {
            let (state, rows) = self.rows_at_marker(&live).await;
            calibrated.at_final.push(state);
            at_final = rows;
        }
        let mut watched = Watched::at_marker(&at_final, &live.nonce);
        let over = self.until_over(&live, self.options.response_timeout);
        let seen = self.look_during(&mut watched, over).await?;
        let ended = *live.play.ended().borrow();
        let Some(ended) = ended else {
            // Says why: the server never called, or was answered something else.
            self.until_withheld(&live).await?;
            return Err(CliError::unreachable(
                "the server did not read its provider's answer to the end",
            )
            .hint(self.log_hint())
            .into());
        };
        self.check_rounds(&live, &seen)?;
        self.learn_end(&live, &seen);
        self.learn_reading(&live, &seen);
        if index == 0 {
            self.learn_own_words(&live, &seen.turn.text);
        }
        self.slowest_turn = self.slowest_turn.max(clock::now() - live.sent);
        if let Some(heard) = live.play.heard() {
            self.provider = Some(heard.provider);
            self.asks_for_streams = heard.streams;
        }
        if let Some(at) = seen.turn.final_at {
            calibrated.lag = calibrated.lag.max(at.saturating_sub(ended));
        }
        self.times.turn(&seen.turn, live.sent);
        if self.mapping.is_none() {
            self.find_mapping(&live, &seen).await?;
        }
        let is_opaque = |mapping: &&store::Mapping| mapping.store().shape == Shape::Opaque;
        if let Some(mapping) = self.mapping.as_ref().filter(is_opaque) {
            return Err(sealed(mapping, "when an answer is stored").into());
        }
        let row = self.await_row_anywhere(&live, calibrated).await?;
        let found = row.as_ref().map(|(_, row)| row.clone());
        if let Some((_, row)) = row {
            at_final.away = self.gap_of(watched).await;
            self.keep(&live, row, at_final).await;
            if is_first {
                self.check_wired().await?;
            }
        }
        let calls = self.world.gateway.calls_since(live.sent);
        let seen = TurnSeen {
            calls,
            ..self.turn_seen(&live, seen).await?
        };
        if let Some(found) = &found {
            // It may have come to its place only now.
            let now = seen.with_nonce.iter().find(|row| row.key == found.key);
            let row = now.unwrap_or(found);
            calibrated.learnt.answer(&live, row);
            self.learn_head(row, &mut calibrated.learnt).await;
        }
        calibrated.learnt.turn(&seen);
        let tools = Kept::of(&live.tag, &seen.stored);
        calibrated.tools.insert(live.nonce.clone(), tools);
        if let Some(why) = self.unprovable(&seen, found.is_some()) {
            calibrated.wrong.get_or_insert_with(|| why.to_owned());
        }
        Ok(seen)
    }

    /// The answer's row, for which the store is opened again if it does not come.
    async fn await_row_anywhere(
        &mut self,
        live: &Live,
        calibrated: &mut Calibrated,
    ) -> anyhow::Result<Option<(Tick, StoredMessage)>> {
        let mut row = self.await_row(live, self.options.settle).await;
        if row.is_none() && self.world.target.is_file() {
            // What was opened may be another file by now, or one that its writer does not lock.
            self.open_again().await?;
            row = self.await_row(live, Duration::ZERO).await;
            if row.is_some() {
                let why = "the server rewrites the file of its store without SQLite: open connections do not \
                    see the new content, so no order can be shown";
                calibrated.wrong.get_or_insert_with(|| why.to_owned());
            }
        }
        Ok(row)
    }

    /// Why what is stored of a turn shows no order.
    fn unprovable(&self, seen: &TurnSeen, is_found: bool) -> Option<&'static str> {
        if seen.with_nonce.iter().any(|row| !row.decoded) {
            return Some(
                "the answer is stored as JSON in an unknown form; declare the place of its text in [[store]] (docs/mapping.md)",
            );
        }
        if self.session.history.is_none() && is_turned(seen) {
            return Some(
                "by time and key the answer comes before its question, so a reload may show them in that order: \
                    declare [history] in the session, or the order in [[store]]",
            );
        }
        let mut stored = seen.stored.iter();
        if !is_found && stored.any(|row| row.content.contains(&seen.nonce)) {
            return Some(
                "the answer is stored in pieces, and no single row holds the text that chatctl searches for",
            );
        }
        seen.is_in_pieces().then_some(
            "the answer is stored in several rows, and chatctl searches for the one that holds its end: it \
                cannot show that the others are committed, too",
        )
    }

    /// What the client had of a turn, and what the store holds of it.
    pub(super) async fn turn_seen(
        &mut self,
        live: &Live,
        seen: ResponseProgress,
    ) -> anyhow::Result<TurnSeen> {
        let body = seen.whole_body();
        let mut observed = TurnSeen {
            number: live.number,
            user: live.user.clone(),
            tag: live.tag.clone(),
            expected: live.expected.clone(),
            answer: live.answer.clone(),
            context: live.context.clone(),
            shows: self.session.turns[live.number - 1].shows.clone(),
            tool_calls: self.session.turns[live.number - 1].tool_calls(),
            nonce: live.nonce.clone(),
            content_type: seen.head.and_then(|head| head.content_type),
            turn: seen.turn,
            body,
            heard: heard(live),
            ..TurnSeen::default()
        };
        if let Some(mapping) = self.mapping.clone() {
            let db = self.world.db();
            observed.with_nonce = rows::holding(db, &mapping, &live.nonce).await?;
            observed.with_tag = rows::holding(db, &mapping, &live.tag).await?;
            observed.conversation = self.conversation_of(live, &observed).await?;
            if let Some(key) = &observed.conversation {
                observed.stored = store::conversation(self.world.db(), &mapping, key).await?;
            }
            for (rows, said) in [
                (&mut observed.with_nonce, &live.expected),
                (&mut observed.with_tag, &live.user),
            ] {
                // The text of an array that holds it in pieces is another form of it.
                for row in rows.iter_mut() {
                    row.decoded &= !kept::is_in_array(said, &row.content);
                }
            }
            if observed.with_tag.is_empty() {
                observed.altered = self.altered(&mapping, live, &observed).await?;
            }
        }
        Ok(observed)
    }

    /// The row of a question that is stored in capitals, or without its mark.
    async fn altered(
        &self,
        mapping: &store::Mapping,
        live: &Live,
        seen: &TurnSeen,
    ) -> anyhow::Result<Option<StoredMessage>> {
        let capitals = live.tag.to_uppercase();
        let loud = rows::holding(self.world.db(), mapping, &capitals).await?;
        if let Some(row) = loud.into_iter().next() {
            return Ok(Some(row));
        }
        let letters = |text: &str| {
            let letters = text.chars().filter(|c| c.is_alphanumeric());
            letters.flat_map(char::to_lowercase).collect::<String>()
        };
        let tag = letters(&live.tag);
        let bare = letters(&live.user).replace(&tag, "");
        // One that is deleted for the user is no other text of it.
        let mut stored = seen.stored.iter().filter(|row| row.state != State::Deleted);
        let is_it = |row: &&StoredMessage| {
            let text = letters(&row.content);
            text.contains(&tag) || row.role == Role::User && !bare.is_empty() && text == bare
        };
        Ok(stored.find(is_it).cloned())
    }

    /// The conversation's key as the store spells it. Servers give out another key than the one
    /// they store (a UUID for a row number): then the captured one is in no row, and the
    /// user's own message tells, unless an earlier chat has that key.
    async fn conversation_of(
        &mut self,
        live: &Live,
        seen: &TurnSeen,
    ) -> anyhow::Result<Option<String>> {
        let mapping = self
            .mapping
            .as_ref()
            .expect("a turn is looked at with a mapping");
        let stored = seen
            .with_tag
            .first()
            .and_then(|row| row.conversation.clone());
        let Some(captured) = &live.conversation() else {
            return Ok(stored);
        };
        let known = !store::conversation(self.world.db(), mapping, captured)
            .await?
            .is_empty();
        let answer = seen
            .with_nonce
            .first()
            .and_then(|row| row.conversation.clone());
        let own = stored.filter(|key| !known && answer.as_ref().is_none_or(|answer| answer == key));
        Ok(match own {
            Some(key) if self.keys.get(&key).is_none_or(|of| of == captured) => {
                self.keys.insert(key.clone(), captured.clone());
                Some(key)
            }
            _ => Some(captured.clone()),
        })
    }

    /// The whole account of a chat: rows, history, and what a page of another origin may do.
    async fn account(
        &mut self,
        chat: &Chat,
        turns: Vec<TurnSeen>,
        (since, first_sent): (Tick, Tick),
    ) -> anyhow::Result<Observed> {
        let mut observed = Observed {
            turns,
            ..self.observed()
        };
        if let Some(history) = &self.session.history {
            let answer = self.times.reload(chat.fetch(&history.request)).await?;
            let told = |why: &HistoryError| format!("`{}`: {why}", history.request.written);
            let read = match history.read(&answer.body) {
                Ok(records) => Some(Ok(records)),
                Err(why @ HistoryError::Answer(_)) => Some(Err(told(&why))),
                // What the session reads in the wrong way shows nothing of the server.
                Err(HistoryError::Session { key, why }) => {
                    self.misread = Some(format!(
                        "the history was not read: {why}; correct `{key}` in [history] of {}",
                        self.session.file
                    ));
                    self.reloads_at_final = false;
                    None
                }
            };
            if let Some(Ok(records)) = &read {
                self.shares_history = self.session.asks_for_one_history()
                    && history_differs::is_shared(&observed, records);
                observed.shares_history = self.shares_history;
                self.preface = history_differs::preface(&observed, records);
                observed.preface.clone_from(&self.preface);
            }
            let is_wrong = |read: &Result<Vec<_>, _>| match read {
                Ok(records) => !history_differs::is_right(&observed, records),
                Err(_) => true,
            };
            let is_late = read.as_ref().is_some_and(is_wrong) && is_stored(&observed);
            observed.loaded = self.load_files(chat, &answer.body).await;
            observed.history = read;
            observed.history_body = Some(answer.body);
            if is_late {
                observed.history_late = self.await_history(chat, &observed).await;
            }
        }
        if let Some(origin) = self.world.origin.clone() {
            observed.cors = Some(Cors {
                refused: self.refused_by_cors(chat, &origin).await?,
                origin,
            });
        }
        observed.stray_calls = self.world.gateway.calls_between(since, first_sent);
        Ok(observed)
    }

    /// After how long the history is the conversation that was held, if it is within the settling time: it may be
    /// read from a replica, or from a cache.
    async fn await_history(&self, chat: &Chat, observed: &Observed) -> Option<Duration> {
        let history = self.session.history.as_ref()?;
        let since = clock::now();
        while clock::now() - since < self.options.settle {
            tokio::time::sleep(ASK_AGAIN).await;
            let answer = chat.ask(&history.request).await.ok()?;
            let records = history.read(&answer.body);
            if records.is_ok_and(|records| history_differs::is_right(observed, &records)) {
                return Some(clock::now() - since);
            }
        }
        None
    }

    /// What these chats show of the tools that the model calls. The rows of the last one may be late.
    async fn learn_tools(&mut self, then: &HashMap<String, Kept>) -> anyhow::Result<()> {
        let Some(mapping) = self.mapping.clone() else {
            return Ok(());
        };
        let early = self.kept.len().saturating_sub(self.session.turns.len());
        let mut chats: BTreeMap<usize, Vec<[Kept; 2]>> = BTreeMap::new();
        for kept in &self.kept[..early] {
            let has_tools = !self.session.turns[kept.number - 1].steps.is_empty();
            if let Some(key) = kept.row.conversation.as_ref().filter(|_| has_tools) {
                let stored = store::conversation(self.world.db(), &mapping, key).await?;
                let now = Kept::of(&kept.tag, &stored);
                let then = then.get(&kept.nonce).copied().unwrap_or(now);
                chats.entry(kept.number).or_default().push([then, now]);
            }
        }
        let habits = chats.iter();
        let habits = habits.map(|(number, chats)| (*number, Habit::of(chats)));
        self.tools = habits.collect();
        Ok(())
    }

    /// What the status column says of a finished answer: the one value that every row had when
    /// it was first seen complete, and has still. A status that continues changing tells nothing.
    async fn learn_finished(&mut self) -> anyhow::Result<()> {
        let Some(mapping) = self
            .mapping
            .clone()
            .filter(|mapping| mapping.store().message.status.is_some())
        else {
            return Ok(());
        };
        let mut seen = Vec::new();
        for kept in &self.kept {
            let now = store::by_key(self.world.db(), &mapping, &kept.row.key).await?;
            seen.push(kept.row.status.clone());
            seen.extend(now.map(|row| row.status));
        }
        seen.dedup();
        self.finished = match seen.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        Ok(())
    }
}

/// Whether an answer is older than its question, and its key does not say otherwise.
fn is_turned(turn: &TurnSeen) -> bool {
    let (Some(question), Some(answer)) = (turn.with_tag.first(), turn.with_nonce.first()) else {
        return false;
    };
    let number = |row: &StoredMessage| row.key.parse::<i64>().ok();
    let keys = number(question).zip(number(answer));
    let is_older = question
        .time
        .zip(answer.time)
        .is_some_and(|(asked, said)| said < asked);
    is_older
        && question.conversation == answer.conversation
        && answer.parent.is_none()
        && keys.is_none_or(|(asked, said)| said < asked)
}

/// What the provider was asked, where the server itself makes the request of what was said.
fn heard(live: &Live) -> Option<Vec<SentMessage>> {
    let heard = live.play.heard();
    let heard = heard.filter(|heard| !heard.continues && live.context.is_none())?;
    let messages = heard.messages.into_iter().rev();
    let messages = messages.map(|message| SentMessage {
        is_user: message.is_user,
        text: message.text,
        calls: message.calls,
        result_of: message.result_of,
    });
    Some(messages.collect())
}

/// Whether the history was read, and is the conversation that was held.
fn shows_all(observed: &Observed) -> bool {
    let records = observed
        .history
        .as_ref()
        .and_then(|read| read.as_ref().ok());
    records.is_some_and(|records| history_differs::is_right(observed, records))
}

/// Whether the store had every question and answer before the history was asked for.
fn is_stored(observed: &Observed) -> bool {
    let mut turns = observed.turns.iter();
    turns.all(|turn| !turn.with_tag.is_empty() && !turn.with_nonce.is_empty())
}

/// Whether a finding says that there is no right row whose order could be proven.
fn about_the_row(code: &str) -> bool {
    [
        "never-saved",
        "answer-empty",
        "answer-differs",
        "answer-duplicated",
        "wrong-conversation",
        "done-missing",
        "not-an-event-stream",
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::{TurnSeen, is_turned};
    use crate::model::{Role, StoredMessage};

    #[test]
    fn an_answer_that_is_older_than_its_question_may_be_shown_before_it() {
        let turn = |keys: [&str; 2], times: [Option<i64>; 2]| {
            let row = |at: usize, role: Role| StoredMessage {
                time: times[at],
                ..StoredMessage::new(keys[at], role, "")
            };
            TurnSeen {
                with_tag: vec![row(0, Role::User)],
                with_nonce: vec![row(1, Role::Assistant)],
                ..TurnSeen::blank(1)
            }
        };
        assert!(is_turned(&turn(["f0", "a1"], [Some(20), Some(10)])));
        assert!(!is_turned(&turn(["f0", "a1"], [Some(20), Some(20)])));
        assert!(!is_turned(&turn(["f0", "a1"], [Some(20), None])));
        // Keys that grow tell the order, too.
        assert!(!is_turned(&turn(["7", "8"], [Some(20), Some(10)])));
        let mut child = turn(["f0", "a1"], [Some(20), Some(10)]);
        child.with_nonce[0].parent = Some("f0".to_owned());
        assert!(!is_turned(&child));
    }
}
