//! Reads the answer's row.

use super::chat::Chat;
use super::live::{AtMarker, Live, RowToRecheck};
use super::reload_at_final;
use super::stage::Stage;
use crate::clock::Tick;
use crate::db::Db;
use crate::gate::{Gate, Waiting};
use crate::model::{Role, State, StoredMessage};
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::store::Mapping;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order::{ENOUGH, RowState};
use crate::stream::judge::tool_calls_differ::{Kept, Shrinks};
use crate::stream::judge::{Observed, TurnSeen};
use crate::stream::kept::Ending;
use crate::stream::{judge, kept};
use crate::{clock, db, store};
use std::collections::HashSet;
use std::time::Duration;

/// How often the store is asked for a row that must come.
const ASK: Duration = Duration::from_millis(3);

/// Why nobody knows whether rows of tools that are gone are lost.
const TOOLS_DROPPED: &str = "calls and results of tools were stored right after a turn, and every chat had \
    fewer of them later: the server may drop or merge them on purpose";

pub(super) const DOUBLED: &str = "answer-duplicated";
pub(super) const QUESTION_DOUBLED: &str = "question-duplicated";
pub(super) const QUESTION_LOST: &str = "user-message-lost";
const FILE_LOST: &str = "attachment-lost";

/// Whether the questions of the first chats were found in the store.
pub(super) fn has_questions(session: &str, report: &Report) -> bool {
    let mut findings = of_session(session, report);
    // A question that is only spelled in another way is there.
    !findings.any(|found| found.code == QUESTION_LOST && found.severity == Severity::Error)
}

/// Whether the first chat, which alone has a history, has explained a warning of this code.
pub(super) fn is_explained(session: &str, report: &Report, code: &str) -> bool {
    code == DOUBLED || code == "answer-differs" && has(session, report, code)
}

/// Whether something is reported of this session already.
pub(super) fn has(session: &str, report: &Report, code: &str) -> bool {
    of_session(session, report).any(|found| found.code == code)
}

pub(super) fn wrong_codes(session: &str, report: &Report) -> Vec<&'static str> {
    let wrong = of_session(session, report).filter(|found| found.severity == Severity::Error);
    wrong.map(|found| found.code).collect()
}

fn of_session<'r>(session: &'r str, report: &'r Report) -> impl Iterator<Item = &'r Finding> {
    let findings = report.findings.iter();
    findings.filter(move |found| {
        let rest = found.subject.strip_prefix(session);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" in table "))
    })
}

/// The messages with this text that are not deleted for the user: nobody else is shown one that is.
pub(super) async fn holding(
    db: &dyn Db,
    mapping: &Mapping,
    text: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let mut rows = store::holding(db, mapping, text).await?;
    rows.retain(|row| row.state != State::Deleted);
    Ok(rows)
}

impl Stage<'_> {
    /// The answer's row when it is complete: it holds the nonce, is marked as finished, and is in a
    /// conversation where rows of another table say so.
    pub(super) async fn complete_row(&self, nonce: &str) -> anyhow::Result<Option<StoredMessage>> {
        let rows = self.finished_rows(self.world.db(), nonce).await?;
        Ok(rows.into_iter().next())
    }

    /// The same, if it also is what the server stores of an answer in other chats.
    pub(super) async fn whole_row(&self, live: &Live) -> anyhow::Result<Option<StoredMessage>> {
        self.whole_row_in(self.world.db(), live).await
    }

    async fn whole_row_in(
        &self,
        db: &dyn Db,
        live: &Live,
    ) -> anyhow::Result<Option<StoredMessage>> {
        let rows = self.finished_rows(db, &live.nonce).await?;
        Ok(rows.into_iter().find(|row| self.learnt.accepts(live, row)))
    }

    async fn finished_rows(&self, db: &dyn Db, nonce: &str) -> anyhow::Result<Vec<StoredMessage>> {
        let Some(mapping) = &self.mapping else {
            return Ok(Vec::new());
        };
        let mut rows = holding(db, mapping, nonce).await?;
        rows.retain(|row| {
            let finished = self.finished.as_ref();
            finished.is_none_or(|status| row.status == *status)
        });
        let mut linked = Vec::new();
        for row in rows {
            if self.has_links(db, &row.key).await? {
                linked.push(row);
            }
        }
        Ok(linked)
    }

    /// The row's state now, for a trial.
    pub(super) async fn row(&self, live: &Live) -> RowState {
        state(&self.whole_row(live).await)
    }

    /// The row's state while a commit is withheld that keeps readers out: in a copy of the store without that
    /// commit. It has to be withheld until this returns.
    pub(super) async fn row_without_commit(&self, live: &Live) -> RowState {
        let row = async {
            let copy = db::Undone::copy(self.world.target.path())?;
            let db = db::open(copy.target().clone()).await?;
            self.whole_row_in(db.as_ref(), live).await
        };
        state(&row.await)
    }

    /// The row's state while the gate is closed. A reader would wait for a commit that waits.
    pub(super) async fn row_at_gate(
        &self,
        live: &Live,
        gate: &mut dyn Gate,
    ) -> anyhow::Result<RowState> {
        if gate.waiting().await? == Waiting::Commit {
            return Ok(RowState::CommitWaits);
        }
        let row = self.row(live).await;
        // A commit that came to the gate just then keeps the reader out too.
        let kept_out = row == RowState::Unreadable && gate.waiting().await? == Waiting::Commit;
        Ok(if kept_out { RowState::CommitWaits } else { row })
    }

    /// Waits for the complete row. A store that can't be read at the moment is asked again.
    pub(super) async fn await_row(
        &self,
        live: &Live,
        patience: Duration,
    ) -> Option<(Tick, StoredMessage)> {
        let deadline = clock::now() + patience;
        loop {
            if let Ok(Some(row)) = self.whole_row(live).await {
                return Some((clock::now(), row));
            }
            if clock::now() >= deadline {
                return None;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// Remembers a complete row.
    pub(super) async fn keep(&mut self, live: &Live, row: StoredMessage, at_final: AtMarker) {
        self.endings.push(Ending::of(&row, &live.nonce));
        if let Some(answer) = &live.answer {
            self.is_verbatim &= kept::is_all_in(answer, &row.content);
        }
        let remembered = self.to_recheck(live, row, at_final).await;
        self.kept.push(remembered);
    }

    /// A complete row with what was said in its turn.
    pub(super) async fn to_recheck(
        &self,
        live: &Live,
        row: StoredMessage,
        at_final: AtMarker,
    ) -> RowToRecheck {
        RowToRecheck {
            row,
            at_final,
            question: self.question_of(live).await,
            user: live.user.clone(),
            answer: live.answer.clone(),
            expected: live.expected.clone(),
            nonce: live.nonce.clone(),
            tag: live.tag.clone(),
            at: clock::now(),
            number: live.number,
        }
    }

    /// What the store has of a remembered turn now.
    pub(super) async fn turn_now(
        &self,
        mapping: &Mapping,
        kept: &RowToRecheck,
    ) -> anyhow::Result<TurnSeen> {
        let db = self.world.db();
        let mut turn = TurnSeen {
            user: kept.user.clone(),
            tag: kept.tag.clone(),
            answer: kept.answer.clone(),
            expected: kept.expected.clone(),
            nonce: kept.nonce.clone(),
            tool_calls: self.session.turns[kept.number - 1].tool_calls(),
            conversation: kept.row.conversation.clone(),
            with_nonce: holding(db, mapping, &kept.nonce).await?,
            with_tag: holding(db, mapping, &kept.tag).await?,
            at_final: kept.at_final.answer.clone(),
            away: kept.at_final.away,
            asked_at_final: kept.at_final.question.clone(),
            ..TurnSeen::blank(kept.number)
        };
        if let Some(key) = &kept.row.conversation {
            turn.stored = store::conversation(db, mapping, key).await?;
        }
        Ok(turn)
    }

    /// The row of a turn's question, if there is one.
    pub(super) async fn question_of(&self, live: &Live) -> Option<StoredMessage> {
        let mapping = self.mapping.as_ref()?;
        let rows = holding(self.world.db(), mapping, &live.tag).await.ok()?;
        let is_it = |row: &&StoredMessage| {
            row.role == Role::User && kept::is_all_in(&live.user, &row.content)
        };
        rows.iter().find(is_it).or(rows.first()).cloned()
    }

    /// A conversation that had a row of its own, and has none any more, while its messages are there.
    fn head_gone(&self, turn: &TurnSeen, is_shown: bool) -> Finding {
        let (severity, harm) = if is_shown {
            let harm = "the conversation's own row is gone some time after the final marker: lists may not show it";
            (Severity::Warning, harm)
        } else {
            let harm = "the conversation's own row is gone some time after the final marker: no list shows its messages";
            (Severity::Error, harm)
        };
        let help = "delete a conversation only together with its messages";
        let subject = self.observed().subject();
        let finding = Finding::new("saved-row-changed-later", severity, subject, harm, help);
        let key = turn.conversation.as_deref().unwrap_or("-");
        let fact = format!(
            "the messages of turn {} are in conversation {key}",
            turn.number
        );
        finding.with(Source::Store, fact)
    }

    /// Looks at remembered rows once more: nothing may have changed after the final marker, and their
    /// questions are still there.
    pub(super) async fn look_again(
        &mut self,
        first_chat: Option<&Chat>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let Some(mapping) = self.mapping.clone() else {
            return Ok(());
        };
        let mut kept = std::mem::take(&mut self.kept);
        let watch = self.options.watch;
        // In the order in which they came, so the first are the oldest. A few that are old
        // enough do; only a run without trials has to wait for them.
        let first = kept.len().min(ENOUGH);
        if let Some(last) = kept[..first].last() {
            self.doing("looking again");
            let left = (last.at + watch).saturating_sub(clock::now());
            self.watch_kept(&mut kept[..first], left).await;
        }
        kept.retain(|kept| kept.at + watch <= clock::now());
        let worse = match first_chat {
            Some(chat) => self.reload_again(chat).await,
            None => None,
        };
        let is_archived = worse.as_ref().is_some_and(|worse| worse.is_empty);
        let is_shown = first_chat.is_some() && worse.is_none();
        if let Some(worse) = worse.filter(|worse| !worse.is_empty) {
            let then = "right after the turns the history was correct";
            report.add(worse.finding.with(Source::Stream, then.to_owned()));
        }
        for kept in &kept {
            if let Some(finding) = self.flag_set_later(kept).await {
                report.add(finding);
                break;
            }
        }
        let mut observed = self.observed();
        if let Some(chat) = first_chat.filter(|_| !self.shares_history) {
            observed.loaded = self.overwritten_files(chat).await;
        }
        let mut without_head = HashSet::new();
        for kept in kept {
            if self.lacks_head(&kept.row).await.unwrap_or(false) {
                without_head.insert(kept.nonce.clone());
            }
            let now = store::by_key(self.world.db(), &mapping, &kept.row.key).await?;
            let gone = StoredMessage {
                content: "(the row is gone)".to_owned(),
                ..kept.row.clone()
            };
            // A table without a key can't tell a row that changed from another one.
            let same = mapping.store().message.key.is_empty() && mapping.store().item.is_none();
            let last = if same {
                kept.row.clone()
            } else {
                now.unwrap_or(gone)
            };
            let mut turn = self.turn_now(&mapping, &kept).await?;
            if kept.is_question_lost(&turn.with_tag) {
                // What is left of it is not what the user wrote.
                turn.altered = std::mem::take(&mut turn.with_tag).into_iter().next();
            }
            turn.first_and_last = Some((kept.row, last));
            observed.turns.push(turn);
        }
        let moved = self.moved(first_chat, &observed).await;
        let emptied = emptied(&observed.turns, self.empties_chats);
        let is_open =
            |turn: &TurnSeen| [&moved, &emptied].iter().any(|it| it.contains(&turn.nonce));
        observed.turns.retain(|turn| !is_open(turn));
        let session = &self.session.name;
        let mut left = observed.turns.iter();
        if let Some(turn) = left.find(|turn| without_head.contains(&turn.nonce)) {
            report.add(self.head_gone(turn, is_shown));
        }
        let was_there = has_questions(session, report);
        let is_gone = observed.turns.iter().any(|turn| turn.with_tag.is_empty());
        if let Some(finding) = self.tools_gone(&observed) {
            report.add(finding);
        }
        for finding in judge::findings(&observed) {
            // A second row may come later than the first, and a question may go later. Everything else was
            // looked at before.
            let is_new = match finding.code {
                "saved-row-changed-later" => true,
                DOUBLED => !self.learnt.has_versions && finding.severity == Severity::Error,
                QUESTION_DOUBLED => !has(session, report, QUESTION_DOUBLED),
                FILE_LOST => !has(session, report, FILE_LOST),
                // How it is spelled was judged before.
                QUESTION_LOST => was_there && is_gone,
                _ => false,
            };
            if is_new {
                report.add(finding);
            }
        }
        let elsewhere = reload_at_final::moved(mapping.table());
        let doubts = [
            (!moved.is_empty(), elsewhere.as_str()),
            (!emptied.is_empty(), reload_at_final::EMPTIED),
            (is_archived, reload_at_final::ARCHIVED),
            (self.drops_tools(&observed), TOOLS_DROPPED),
        ];
        if let Some((_, why)) = doubts.into_iter().find(|(is_so, _)| *is_so) {
            let case = self.begin_case("look-again", &NONE, &READ_TO_END);
            self.end_case(case, Verdict::Inconclusive, why, report);
        }
        Ok(())
    }

    /// Whether there is less of the tools of a turn in every chat, in a way that may be meant so.
    fn drops_tools(&self, now: &Observed) -> bool {
        let mut habits = self.tools.iter();
        habits.any(|(number, habit)| {
            habit.shrinks == Shrinks::InAll || habit.is_dropped(&tools_of(*number, now))
        })
    }

    /// Calls or results of tools that are there no more, where the answer still is.
    fn tools_gone(&self, now: &Observed) -> Option<Finding> {
        let lacks = |turn: &TurnSeen| {
            let habit = self.tools.get(&turn.number)?;
            let lacks = Kept::of(&turn.tag, &turn.stored).lacks(habit.stays?);
            lacks.filter(|_| is_there(turn) && !habit.is_dropped(&tools_of(turn.number, now)))
        };
        let what = now.turns.iter().find_map(lacks)?;
        let finding = Finding::new(
            "tool-calls-differ",
            Severity::Error,
            now.subject(),
            "calls or results of tools are gone some time after the final marker",
            "keep the calls and their results: the model needs both to continue the conversation",
        );
        let watch = humantime::format_duration(self.options.watch);
        Some(finding.with(Source::Store, format!("{watch} after the turn: {what}")))
    }

    /// The turns whose messages are gone from their table, where a reload shows the first chat as before. Of other
    /// chats, which no reload was asked for, only turns of which nothing is left.
    async fn moved(&self, first_chat: Option<&Chat>, now: &Observed) -> Vec<String> {
        let Some(chat) = first_chat else {
            return Vec::new();
        };
        let marks = chat.marks();
        let is_gone = |turn: &&TurnSeen| {
            let is_of_chat = marks.iter().any(|marks| marks.nonce == turn.nonce);
            is_of_chat && (turn.with_nonce.is_empty() || turn.with_tag.is_empty())
        };
        if !now.turns.iter().any(|turn| is_gone(&turn)) || !self.reload_shows_all(chat).await {
            return Vec::new();
        }
        let has_nothing = |turn: &&TurnSeen| {
            turn.with_nonce.is_empty() && turn.with_tag.is_empty() && turn.altered.is_none()
        };
        let gone = now.turns.iter();
        let gone = gone.filter(|turn| is_gone(turn) || has_nothing(turn));
        gone.map(|turn| turn.nonce.clone()).collect()
    }
}

fn is_there(turn: &TurnSeen) -> bool {
    !turn.with_nonce.is_empty() && !turn.with_tag.is_empty()
}

/// What there is now of the tools of a turn, in each chat that has it.
fn tools_of(number: usize, now: &Observed) -> Vec<Kept> {
    let turns = now.turns.iter();
    let turns = turns.filter(|turn| turn.number == number && is_there(turn));
    turns
        .map(|turn| Kept::of(&turn.tag, &turn.stored))
        .collect()
}

/// The oldest turns, of which nothing is left, where all of the newest one is: who took them is not known. Where a chat
/// was seen to go while a newer one stayed, each of which nothing is left may have gone so.
fn emptied(turns: &[TurnSeen], was_seen: bool) -> Vec<String> {
    let has_nothing = |turn: &TurnSeen| {
        turn.with_nonce.is_empty() && turn.with_tag.is_empty() && turn.altered.is_none()
    };
    if was_seen {
        let gone = turns.iter().filter(|turn| has_nothing(turn));
        return gone.map(|turn| turn.nonce.clone()).collect();
    }
    let gone = turns.iter().take_while(|turn| has_nothing(turn)).count();
    // Turns of one chat that go one by one are lost.
    let begins = |at: usize| {
        at > 0
            && turns
                .get(at)
                .is_some_and(|it| it.number <= turns[at - 1].number)
    };
    let are_others_there = begins(gone) && turns[gone..].iter().all(is_there);
    let gone = turns[..if are_others_there { gone } else { 0 }].iter();
    gone.map(|turn| turn.nonce.clone()).collect()
}

/// What a look for the answer's row says of it.
pub(super) fn state(row: &anyhow::Result<Option<StoredMessage>>) -> RowState {
    match row {
        Ok(Some(_)) => RowState::Complete,
        Ok(None) => RowState::Incomplete,
        Err(_) => RowState::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::emptied;
    use crate::model::{Role, StoredMessage};
    use crate::stream::judge::TurnSeen;

    #[test]
    fn chats_that_newer_ones_may_have_emptied_are_not_called_lost() {
        let turn = |nonce: &str, question: bool, answer: bool| {
            let row = |there: bool, role: Role| {
                let row = there.then(|| StoredMessage::new("1", role, "so"));
                row.into_iter().collect()
            };
            TurnSeen {
                nonce: nonce.to_owned(),
                with_tag: row(question, Role::User),
                with_nonce: row(answer, Role::Assistant),
                ..TurnSeen::blank(1)
            }
        };
        let gone = |name: &str| turn(name, false, false);
        let there = |name: &str| turn(name, true, true);
        assert_eq!(
            emptied(&[gone("a"), gone("b"), there("c")], false),
            ["a", "b"]
        );
        assert_eq!(emptied(&[gone("a"), gone("b")], true), ["a", "b"]);
        assert!(emptied(&[turn("a", true, false)], true).is_empty());
        // All are gone, an answer alone is, or one in the middle: that no new chat does.
        for lost in [
            vec![gone("a"), gone("b")],
            vec![turn("a", true, false), there("b")],
            vec![gone("a"), turn("b", true, false), there("c")],
            vec![there("a"), gone("b"), there("c")],
            vec![there("a"), there("b")],
            vec![
                gone("a"),
                TurnSeen {
                    number: 2,
                    ..there("a2")
                },
            ],
        ] {
            assert!(emptied(&lost, false).is_empty());
        }
    }
}
