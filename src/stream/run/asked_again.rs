//! Regenerated answers, as `[regenerate]` and `[edit]` of the session declare.

use super::case::Moments;
use super::chat::{AS_RECORDED, Chat, Instead, Sent};
use super::client::Watching;
use super::live::Live;
use super::next_turn;
use super::reading::Reading;
use super::stage::Stage;
use super::suite::Suite;
use crate::model::{Role, StoredMessage};
use crate::report::{Lane, Report};
use crate::store;
use crate::store::{Mapping, Shape};
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::asked_again::{self, Again, AskedAgain, Old, Parts};
use crate::stream::judge::order::RowState;
use crate::stream::judge::whole_turn::Wrong;
use crate::stream::kept;
use crate::stream::kept::Ending;
use crate::stream::session::{ANSWER_KEY, AskAgain, Captures, OldAnswer, QUESTION_KEY};

/// The rows of a turn.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) question: Option<StoredMessage>,
    pub(super) answer: StoredMessage,
}

impl Stage<'_> {
    /// Asks for an answer again, in each way that the session has.
    pub(super) async fn ask_again(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.options.suite {
            Suite::Quick => return Ok(()),
            Suite::Full | Suite::Sweep { .. } => {}
        }
        let session = self.session;
        let ways = [
            (Again::Regenerated, &session.regenerate),
            (Again::Edited, &session.edit),
        ];
        for (again, ask) in ways {
            let Some(ask) = ask.as_ref() else {
                continue;
            };
            if !self.plays(&again.to_string()) {
                self.ask_in_vain(again, ask, report).await?;
                continue;
            }
            report.checked += 1;
            let case = self.begin_case(&again.to_string(), &NONE, &READ_TO_END);
            let mut moments = Moments::default();
            let seen = self.play_again(again, ask, &case.name, &mut moments).await;
            self.end_judged(case, moments, seen, asked_again::judge, report);
            self.ask_in_vain(again, ask, report).await?;
        }
        self.world.gateway.rest();
        Ok(())
    }

    async fn play_again(
        &mut self,
        again: Again,
        ask: &AskAgain,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<AskedAgain> {
        let mut chat = self.set_up().await?;
        // The second one, so that there is one before it.
        let index = usize::from(self.session.turns.len() > 1);
        let mut stays = Vec::new();
        if index > 0 {
            let marks = self.whole_turn(&chat, 0).await?;
            stays = self.earlier(1, &marks).await;
        }
        let (first, old) = self.answered_turn(&chat, index).await?;
        let sent = format!("turn {} sent", first.number);
        moments.at(first.sent, Lane::Client, sent);
        let linked = self.links_of(&first, &old).await?;
        chat.take_back();
        let live = self.send_again(&chat, again, ask, (&first, &old)).await?;
        moments.at(
            live.sent,
            Lane::Client,
            format!("`{}` sent", ask.request.written),
        );
        live.play.release();
        let promised = self.until_final(&live).await.turn.promised_at();
        let at_marker = match promised {
            Some(_) => Some(self.new_answer_row(&live).await),
            None => None,
        };
        let answered = self.answered(&live.watching).await;
        self.until_idle(&live).await;
        let _ = self.await_row(&live, self.options.settle).await;
        // What is right may be only for now.
        tokio::time::sleep(self.options.watch).await;
        let mut stored = self.stored_parts(&first, &live).await?;
        let mut wrong = self.wrong_again(ask, (&first, &live)).await?;
        if !is_right(ask, stored) || !wrong.is_empty() {
            // What is wrong may be only late.
            tokio::time::sleep(self.options.settle).await;
            stored = self.stored_parts(&first, &live).await?;
            wrong = self.wrong_again(ask, (&first, &live)).await?;
        }
        let at_marker = match at_marker {
            Some(then) => {
                let now = self.new_answer_row(&live).await?;
                self.at_marker_state(then, now.as_ref())
            }
            None => None,
        };
        stored.old = self.sought_elsewhere(stored.old, &first).await?;
        let wrong_parent = self.wrong_parent(again, linked.as_ref(), &live).await?;
        let asked = live.play.heard().is_some();
        let shown = self.shown_texts(&mut chat).await?;
        let lost = self.lost_of(&stays).await?;
        let following = self.send_next(&chat, index, moments).await?;
        let following = self.finish_or_again((&chat, index), following, moments);
        let (outcome, _) = following.await?;
        let parts = |texts: &[String]| parts_in(texts, &first, &live);
        Ok(AskedAgain {
            subject: self.observed().subject(),
            case: case.to_owned(),
            again,
            old_answer: ask.old_answer,
            asked,
            answered,
            at_marker,
            stored,
            wrong,
            lost,
            wrong_parent,
            history: shown.as_deref().map(parts),
            next: outcome.context().as_deref().map(parts),
            following: next_turn::as_it_is(outcome),
        })
    }

    /// The row of the new answer, whatever its status: an answer that was asked for again may have one of its own.
    async fn new_answer_row(&self, live: &Live) -> anyhow::Result<Option<StoredMessage>> {
        let rows = self.rows_with(&live.nonce, Role::Assistant).await?;
        Ok(rows.into_iter().find(|row| self.learnt.accepts(live, row)))
    }

    /// Whether the new answer's row was finished at the final marker. Nothing where there is none now: what never came
    /// is not late.
    fn at_marker_state(
        &self,
        then: anyhow::Result<Option<StoredMessage>>,
        now: Option<&StoredMessage>,
    ) -> Option<RowState> {
        let whole = Whole {
            endings: &self.endings,
            finished: self.finished.as_ref(),
        };
        now.map(|now| whole.at_marker(then, now))
    }

    /// What is wrong with the rows of the new answer, where the client could read what it promises.
    async fn wrong_again(
        &mut self,
        ask: &AskAgain,
        (first, live): (&Live, &Live),
    ) -> anyhow::Result<Vec<Wrong>> {
        let is_promised = live.watching.seen().turn.promised_at().is_some();
        if !is_promised || self.reading != Reading::Text {
            return Ok(Vec::new());
        }
        let mut wrong = self.wrong_with(live).await?;
        if ask.old_answer == Some(OldAnswer::Keep) {
            let rows = self.rows_with(&live.nonce, Role::Assistant).await?;
            let texts = [&first.expected, &live.expected];
            let has_both = rows.iter().any(|row| is_in_all(&texts, &row.content));
            wrong.retain(|it| it.code != "answer-differs" || !has_both);
        }
        Ok(wrong)
    }

    async fn send_again(
        &self,
        chat: &Chat,
        again: Again,
        ask: &AskAgain,
        (first, old): (&Live, &Rows),
    ) -> anyhow::Result<Live> {
        let what = Sent {
            instead: Some(instead(again, ask, (first, old))),
            ..Sent::turn(first.number - 1)
        };
        let start = |task| Ok(Watching::start(task));
        self.begin_among(chat, what, AS_RECORDED, start).await
    }

    pub(super) async fn rows_with(
        &self,
        mark: &str,
        role: Role,
    ) -> anyhow::Result<Vec<StoredMessage>> {
        let Some(mapping) = &self.mapping else {
            anyhow::bail!("no table of messages is known");
        };
        self.read_by(mapping, mark, role).await
    }

    /// The messages of a row's conversation that hold a mark: there it shows which branch they are on.
    async fn on_branch(&self, row: &StoredMessage) -> anyhow::Result<Option<bool>> {
        let (Some(mapping), Some(key)) = (&self.mapping, &row.conversation) else {
            return Ok(None);
        };
        let messages = store::conversation(self.world.db(), mapping, key).await?;
        let has_parents = names_parents(mapping) && messages.iter().any(|it| it.parent.is_some());
        let same = messages.iter().find(|it| it.key == row.key);
        Ok(same.filter(|_| has_parents).map(|it| it.on_branch))
    }

    async fn stored_parts(&self, first: &Live, live: &Live) -> anyhow::Result<Parts> {
        let answer = self.rows_with(&live.nonce, Role::Assistant).await?;
        Ok(Parts {
            questions: self.questions_shown(first, live).await?,
            answer: !answer.is_empty(),
            old: self.old_answer(first).await?,
        })
    }

    /// How many rows that are shown hold the question of a turn that was asked again.
    pub(super) async fn questions_shown(
        &self,
        first: &Live,
        again: &Live,
    ) -> anyhow::Result<usize> {
        let mut shown = Vec::new();
        for row in self.rows_with(&again.tag, Role::User).await? {
            if self.on_branch(&row).await? != Some(false) {
                shown.push(row);
            }
        }
        let is_of_pairs = |it: &Mapping| it.store().shape == Shape::Turn;
        if self.mapping.as_ref().is_some_and(is_of_pairs) {
            let old = self.rows_with(&first.nonce, Role::Assistant).await?;
            let new = self.rows_with(&again.nonce, Role::Assistant).await?;
            leave_former(&mut shown, &old, &new);
        }
        Ok(self.learnt.questions(&shown))
    }

    /// Where the answer of a turn is by now.
    pub(super) async fn old_answer(&self, first: &Live) -> anyhow::Result<Old> {
        Ok(
            match self.rows_with(&first.nonce, Role::Assistant).await?.first() {
                None => Old::Gone,
                Some(row) => match self.on_branch(row).await? {
                    None => Old::Kept,
                    Some(true) => Old::Shown,
                    Some(false) => Old::Aside,
                },
            },
        )
    }

    /// An old answer that is gone from the messages may be in a table of versions.
    pub(super) async fn sought_elsewhere(&self, old: Old, first: &Live) -> anyhow::Result<Old> {
        Ok(match old {
            Old::Gone if self.stands_anywhere(&first.nonce).await? => Old::Elsewhere,
            Old::Gone | Old::Aside | Old::Shown | Old::Kept | Old::Elsewhere => old,
        })
    }
}

/// Whether a column of the store names the message before each one: that an answer follows the question in its own row
/// says nothing of branches.
fn names_parents(mapping: &Mapping) -> bool {
    let store = mapping.store();
    store.shape != Shape::Turn || store.message.parent.is_some()
}

/// Leaves out the questions in the rows of old answers, where the new one has a row with its question, too: such a row
/// is a version of the turn.
fn leave_former(questions: &mut Vec<StoredMessage>, old: &[StoredMessage], new: &[StoredMessage]) {
    let is_of = |question: &StoredMessage, answers: &[StoredMessage]| {
        let mut parents = answers.iter().filter_map(|row| row.parent.as_ref());
        parents.any(|key| *key == question.key)
    };
    let is_former = |question: &StoredMessage| is_of(question, old) && !is_of(question, new);
    if questions.iter().any(|question| is_of(question, new)) {
        questions.retain(|question| !is_former(question));
    }
}

/// The request that asks for the answer of a turn again.
pub(super) fn instead<'r>(
    again: Again,
    ask: &'r AskAgain,
    (first, old): (&Live, &Rows),
) -> Instead<'r> {
    let mut known = Captures::from([(ANSWER_KEY.to_owned(), old.answer.key.as_str().into())]);
    let question = old.question.as_ref();
    known.extend(question.map(|row| (QUESTION_KEY.to_owned(), row.key.as_str().into())));
    Instead {
        request: &ask.request,
        question: match again {
            Again::Regenerated => Some((first.user.clone(), first.tag.clone())),
            Again::Edited => None,
        },
        known,
    }
}

/// Whether one text holds all of these: a store may keep both versions of an answer in one row.
fn is_in_all(texts: &[&String], stored: &str) -> bool {
    texts.iter().all(|text| kept::is_all_in(text, stored))
}

/// What the store says of whole answers.
struct Whole<'s> {
    endings: &'s [Ending],
    /// The one status that they have, where they have one.
    finished: Option<&'s Option<String>>,
}

impl Whole<'_> {
    /// Whether an answer that was asked for again was finished at the final marker. It may have a status of its own, and
    /// the status of a finished one may continue.
    fn at_marker(
        &self,
        then: anyhow::Result<Option<StoredMessage>>,
        now: &StoredMessage,
    ) -> RowState {
        let is_usual = |row: &StoredMessage| self.finished.is_none_or(|it| row.status == *it);
        let is_over = |row: &StoredMessage| {
            row.mark == now.mark && (row.status == now.status || is_usual(row))
        };
        match then {
            _ if self.is_given_up(now) => RowState::Incomplete,
            Err(_) => RowState::Unreadable,
            Ok(Some(row)) if is_over(&row) && !self.is_given_up(&row) => RowState::Complete,
            Ok(_) => RowState::Incomplete,
        }
    }

    /// Whether a row says that its answer is not finished, or failed, and whole answers do not say the same.
    fn is_given_up(&self, row: &StoredMessage) -> bool {
        row.is_given_up() && !self.endings.iter().any(|whole| whole.is_like(row))
    }
}

/// Whether nothing is wrong with what is stored.
fn is_right(ask: &AskAgain, stored: Parts) -> bool {
    let is_old_right = match (ask.old_answer, stored.old) {
        (None, _)
        | (Some(OldAnswer::Keep), Old::Aside | Old::Kept | Old::Elsewhere)
        | (Some(OldAnswer::Replace), Old::Gone | Old::Aside | Old::Elsewhere) => true,
        (Some(OldAnswer::Keep), Old::Gone | Old::Shown)
        | (Some(OldAnswer::Replace), Old::Shown | Old::Kept) => false,
    };
    is_old_right && stored.answer && stored.questions == 1
}

/// The parts of a turn in some texts.
fn parts_in(texts: &[String], first: &Live, live: &Live) -> Parts {
    let count = |mark: &str| texts.iter().filter(|text| text.contains(mark)).count();
    Parts {
        questions: count(&live.tag),
        answer: count(&live.nonce) > 0,
        old: if count(&first.nonce) > 0 {
            Old::Shown
        } else {
            Old::Gone
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, RowState, Whole, is_in_all, leave_former};
    use crate::model::{Role, State, StoredMessage};

    #[test]
    fn both_versions_of_an_answer_may_be_in_one_row() {
        let [old, new] = ["The old one. a1", "The new one. a2"].map(str::to_owned);
        let both = format!("{old}\n---\n{new}");
        assert!(is_in_all(&[&old, &new], &both));
        assert!(!is_in_all(&[&old, &new], "one. a1\n---\nThe new one. a2"));
    }

    fn linked(key: &str, role: Role, parent: &str) -> StoredMessage {
        StoredMessage {
            parent: Some(parent.to_owned()),
            ..StoredMessage::new(key, role, "so")
        }
    }

    /// The question and the answer of a row that holds both.
    fn pair(key: &str) -> [StoredMessage; 2] {
        let question = format!("{key}#prompt");
        let answer = linked(&format!("{key}#response"), Role::Assistant, &question);
        [StoredMessage::new(question, Role::User, "so"), answer]
    }

    #[test]
    fn a_row_of_both_next_to_the_new_one_is_a_version() {
        let count = |shown: &[&[StoredMessage; 2]], new: &[StoredMessage; 2]| {
            let mut questions: Vec<_> = shown.iter().map(|[it, _]| it.clone()).collect();
            leave_former(&mut questions, &pair("7")[1..], &new[1..]);
            questions.len()
        };
        let [old, new, copy] = [pair("7"), pair("8"), pair("9")];
        assert_eq!(count(&[&old, &new], &new), 1);
        assert_eq!(count(&[&old, &new, &copy], &new), 2);
        assert_eq!(count(&[&old], &old), 1);
        // As long as no row has the new answer and its question, each counts.
        let elsewhere = pair("1");
        assert_eq!(count(&[&old, &new], &elsewhere), 2);
    }

    fn row(status: &str) -> StoredMessage {
        StoredMessage {
            status: Some(status.to_owned()),
            state: if status == "streaming" {
                State::Open
            } else {
                State::Whole
            },
            ..StoredMessage::new("1", Role::Assistant, "so n1")
        }
    }

    /// Where whole answers have this status, and one is asked for again.
    fn state(whole: &str, then: Option<&str>, now: &str) -> RowState {
        let usual = Some(whole.to_owned());
        let whole = Whole {
            endings: &[Ending::of(&row(whole), "n1")],
            finished: Some(&usual),
        };
        whole.at_marker(Ok(then.map(row)), &row(now))
    }

    #[test]
    fn a_new_answer_may_have_a_status_of_its_own() {
        let again = |then: Option<&str>| state("done", then, "again");
        assert_eq!(again(Some("again")), RowState::Complete);
        assert_eq!(again(Some("streaming")), RowState::Incomplete);
        assert_eq!(again(None), RowState::Incomplete);
    }

    #[test]
    fn a_new_answer_that_is_never_finished_is_not_saved_at_the_marker() {
        for status in ["streaming", "failed"] {
            let given_up = state("done", Some(status), status);
            assert_eq!(given_up, RowState::Incomplete, "{status}");
            // A store that says the same of whole answers means something else.
            assert_eq!(state(status, Some(status), status), RowState::Complete);
        }
        assert_eq!(
            state("done", Some("streaming"), "failed"),
            RowState::Incomplete
        );
    }

    #[test]
    fn the_status_of_a_finished_answer_may_go_on() {
        let indexed = state("completed", Some("completed"), "indexed");
        assert_eq!(indexed, RowState::Complete);
        // Where the status of whole answers continues in every turn, there is not one that they
        // have.
        let changing = Whole {
            endings: &[Ending::of(&row("sent"), "n1")],
            finished: None,
        };
        let at_marker = |then: &str| changing.at_marker(Ok(Some(row(then))), &row("synced"));
        assert_eq!(at_marker("sent"), RowState::Complete);
        assert_eq!(at_marker("streaming"), RowState::Incomplete);
    }
}
