//! The client hangs up at the final marker, as EventSource code and the OpenAI SDKs do.

use super::case::Moments;
use super::chat::{Chat, Marks, Vary};
use super::live::{AtMarker, RowToRecheck};
use super::pieces::Pieces;
use super::reload_at_final;
use super::rows::{self, DOUBLED, QUESTION_DOUBLED, QUESTION_LOST, has, has_questions};
use super::stage::Stage;
use crate::model::{State, StoredMessage};
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::store::Mapping;
use crate::stream::faults::{CLOSE_AT_FINAL, NONE};
use crate::stream::judge::saved_row_changed_later::is_lost;
use crate::stream::{judge, kept};
use crate::{clock, store};
use std::fmt;
use std::time::Duration;

/// How often; a save that takes no time may survive now and then.
const TIMES: usize = 3;

/// What a turn stores.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Question,
    Answer,
    /// The answer is there, and is marked as failed, or as not finished: its status now.
    Ending(Option<String>),
    /// The messages are there, and the row of their conversation is not.
    Head,
    /// The answer is there, and was not for so long.
    Away(Duration),
}

impl Part {
    /// Whether a row went, which may be at another place now.
    fn is_gone(&self) -> bool {
        match self {
            Self::Question | Self::Answer => true,
            Self::Ending(_) | Self::Head | Self::Away(_) => false,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Question => "the question",
            Self::Answer => "the answer",
            Self::Ending(_) => "the status of a whole answer",
            Self::Head => "the conversation's own row",
            Self::Away(_) => "for a time, the answer",
        })
    }
}

/// The chats in which the client hung up, in their order.
struct HungUp<'c> {
    /// The first chat of all, in which it did not, where its history was right.
    first: Option<&'c Chat>,
    chats: Vec<Chat>,
    stored: Vec<RowToRecheck>,
}

/// What the hang-ups have done.
enum Harm {
    Done {
        reason: String,
        finding: Box<Finding>,
    },
    /// Nobody knows: why.
    Unknown(String),
    None,
}

/// How much of a chat is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Part,
    All,
}

impl Stage<'_> {
    /// Hangs up at the final marker. `first` is the first chat of all, where its history was right.
    pub(super) async fn close_at_final(
        &mut self,
        first: Option<&Chat>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if !self.is_chosen("close-at-final") {
            return Ok(());
        }
        let mut case = self.begin_case("close-at-final", &NONE, &CLOSE_AT_FINAL);
        let mut hung_up = HungUp {
            first,
            chats: Vec::new(),
            stored: Vec::new(),
        };
        for number in 0..TIMES {
            report.checked += 1;
            let mut moments = Moments::default();
            let chat = self.set_up().await?;
            let stored = self
                .hang_up_in(&chat, Pieces::of(number), &mut moments)
                .await?;
            case.timeline = moments.timeline;
            let Some(stored) = stored else {
                let finding = self.lost_at_final(&case.name);
                let reason = "the answer was lost when the client hung up at the final marker";
                self.end_case(case, Verdict::Violated, reason, report);
                report.add(finding);
                return Ok(());
            };
            hung_up.stored.extend(stored);
            hung_up.chats.push(chat);
        }
        self.world.gateway.rest();
        let watched = self.watch_rows(&mut hung_up.stored).await;
        case.metric("watched_ms", watched);
        match self.harm_at_final(&hung_up, &case.name, report).await? {
            Harm::Done { reason, finding } => {
                self.end_case(case, Verdict::Violated, reason, report);
                report.add(*finding);
            }
            Harm::Unknown(why) => self.end_case(case, Verdict::Inconclusive, why, report),
            Harm::None => {
                let reason = format!(
                    "{TIMES} of {TIMES} answers were stored although the client hung up at the final marker"
                );
                self.end_case(case, Verdict::Held, reason, report);
            }
        }
        Ok(())
    }

    /// Holds the turns of a chat, and hangs up at the final marker of each. Gives their rows,
    /// unless the one of an answer does not come.
    async fn hang_up_in(
        &mut self,
        chat: &Chat,
        pieces: Pieces,
        moments: &mut Moments,
    ) -> anyhow::Result<Option<Vec<RowToRecheck>>> {
        let vary = Vary {
            pieces: Some(pieces),
            fault: &NONE,
            client: &CLOSE_AT_FINAL,
        };
        let mut stored = Vec::new();
        for index in 0..self.session.turns.len() {
            let live = self.begin(chat, index, vary).await?;
            live.play.release();
            let sent = format!("turn {} sent", live.number);
            moments.at(live.sent, Lane::Client, sent);
            let over = self.until_over(&live, self.options.response_timeout);
            if let Some(at) = over.await?.turn.final_at {
                let marker = &self.marker;
                let received = format!("final marker `{marker}` received; the client hangs up");
                moments.at(at, Lane::Client, received);
            }
            let settle = self.options.settle;
            let Some((at, row)) = self.await_row(&live, settle).await else {
                let settle = humantime::format_duration(settle);
                let missing = format!("after {settle} the answer's row is not complete");
                moments.now(Lane::Store, missing);
                return Ok(None);
            };
            moments.at(at, Lane::Store, "the answer's row is complete");
            stored.push(self.to_recheck(&live, row, AtMarker::default()).await);
        }
        Ok(Some(stored))
    }

    /// What the hang-ups have done to the rows that were stored, and to what a reload shows.
    async fn harm_at_final(
        &mut self,
        hung_up: &HungUp<'_>,
        case: &str,
        report: &Report,
    ) -> anyhow::Result<Harm> {
        let hung_up_and = |finding: &Finding| {
            format!(
                "when the client hung up at the final marker, {}",
                finding.harm
            )
        };
        let mut looked_at: Vec<&RowToRecheck> = hung_up.stored.iter().collect();
        let mut open = None;
        while let Some((lost, part)) = self.first_lost(&looked_at, report).await? {
            let Some((marks, why)) = self.excused(lost, &part, hung_up).await? else {
                return Ok(Harm::Done {
                    reason: format!("{part} was lost when the client hung up at the final marker"),
                    finding: Box::new(self.deleted_at_final(lost, &part, case)),
                });
            };
            looked_at.retain(|it| !marks.iter().any(|marks| marks.nonce == it.nonce));
            open = Some(why);
        }
        let mut finding = self.first_doubled(&looked_at, report).await?;
        if finding.is_none() {
            let hidden = self.first_hidden(hung_up, &mut open, report).await;
            finding = hidden.map(|finding| finding.in_case(case));
        }
        Ok(match (finding, open) {
            (Some(finding), _) => Harm::Done {
                reason: hung_up_and(&finding),
                finding: Box::new(finding),
            },
            (None, Some(why)) => Harm::Unknown(why),
            (None, None) => Harm::None,
        })
    }

    /// Why what is lost of a chat shows nothing against the server, with the marks of that chat.
    async fn excused(
        &mut self,
        lost: &RowToRecheck,
        part: &Part,
        hung_up: &HungUp<'_>,
    ) -> anyhow::Result<Option<(Vec<Marks>, String)>> {
        let is_of = |chat: &Chat| chat.marks().iter().any(|marks| marks.nonce == lost.nonce);
        let chats = &hung_up.chats;
        let Some(at) = chats.iter().position(is_of) else {
            return Ok(None);
        };
        if self.is_emptied(chats, at).await? {
            self.empties_chats = true;
            return Ok(Some((
                chats[at].marks(),
                reload_at_final::EMPTIED.to_owned(),
            )));
        }
        if !part.is_gone() || !self.reload_shows_all(&chats[at]).await {
            return Ok(None);
        }
        let table = self.mapping.as_ref().map(Mapping::table);
        Ok(table.map(|table| (chats[at].marks(), reload_at_final::moved(table))))
    }

    /// Whether a newer chat may have taken the one at this place. The chats in which nobody hung up
    /// are older.
    async fn is_emptied(&self, chats: &[Chat], at: usize) -> anyhow::Result<bool> {
        let mut left = Vec::new();
        for older in &self.kept {
            left.push(self.left_of([&older.tag, &older.nonce]).await?);
        }
        let place = left.len() + at;
        for chat in chats {
            let marks = chat.marks();
            let marks = marks.iter().flat_map(|it| [&it.tag, &it.nonce]);
            left.push(self.left_of(marks).await?);
        }
        Ok(may_be_taken(&left, place))
    }

    /// How much is stored of the messages with these marks.
    async fn left_of(&self, marks: impl IntoIterator<Item = &String>) -> anyhow::Result<Left> {
        let mut is_there = Vec::new();
        for mark in marks {
            is_there.push(self.is_stored(mark).await?);
        }
        Ok(
            match (is_there.contains(&true), is_there.contains(&false)) {
                (true, true) => Left::Part,
                (true, false) => Left::All,
                (false, _) => Left::Nothing,
            },
        )
    }

    /// Whether a row that is not deleted holds a mark.
    pub(super) async fn is_stored(&self, mark: &str) -> anyhow::Result<bool> {
        let Some(mapping) = &self.mapping else {
            return Ok(false);
        };
        let rows = store::holding(self.world.db(), mapping, mark).await?;
        Ok(rows.iter().any(|row| row.state != State::Deleted))
    }

    /// A chat whose reload does not show what was said, where it showed it while the client stayed.
    /// `open` gets why nobody knows what hides one.
    async fn first_hidden(
        &self,
        hung_up: &HungUp<'_>,
        open: &mut Option<String>,
        report: &Report,
    ) -> Option<Finding> {
        if !self.learnt.whole_history || has(&self.session.name, report, "history-differs") {
            return None;
        }
        // The newest one first: no new chat has archived it.
        for (newer, chat) in hung_up.chats.iter().rev().enumerate() {
            match self.reload_again(chat).await {
                Some(worse)
                    if worse.is_empty && newer > 0 && !self.shows_first(hung_up.first).await =>
                {
                    open.get_or_insert_with(|| reload_at_final::ARCHIVED.to_owned());
                }
                Some(worse) => {
                    let what = format!("the client hung up at `{}`", self.marker);
                    return Some(worse.finding.with(Source::Stream, what));
                }
                None => {}
            }
        }
        None
    }

    /// Whether a reload still shows the first chat of all. What archives chats would have hidden
    /// that one, too.
    async fn shows_first(&self, first: Option<&Chat>) -> bool {
        match first {
            Some(first) => self.reload_shows_all(first).await,
            None => false,
        }
    }

    /// What the end of a stream and the cleaning up behind it have both stored.
    async fn first_doubled(
        &self,
        stored: &[&RowToRecheck],
        report: &Report,
    ) -> anyhow::Result<Option<Finding>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let mut observed = self.observed();
        for kept in stored {
            observed.turns.push(self.turn_now(mapping, kept).await?);
        }
        let is_known = |code: &str| match code {
            DOUBLED => self.learnt.has_versions,
            QUESTION_DOUBLED => has(&self.session.name, report, QUESTION_DOUBLED),
            _ => true,
        };
        let is_new =
            |finding: &Finding| finding.severity == Severity::Error && !is_known(finding.code);
        Ok(judge::findings(&observed).into_iter().find(is_new))
    }

    /// Watches these rows until the last of them was for long enough. That nothing happens to it
    /// shows only then.
    async fn watch_rows(&self, stored: &mut [RowToRecheck]) -> Duration {
        let watched = stored.last().map(|last| last.at + self.options.watch);
        let left = watched.map_or(Duration::ZERO, |until| until.saturating_sub(clock::now()));
        self.watch_kept(stored, left).await;
        left
    }

    /// What the server does once it notices that the client is gone must leave the answers as they are.
    async fn first_lost<'r>(
        &self,
        stored: &[&'r RowToRecheck],
        report: &Report,
    ) -> anyhow::Result<Option<(&'r RowToRecheck, Part)>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        for &kept in stored {
            let rows = store::holding(self.world.db(), mapping, &kept.nonce).await?;
            if is_lost(&kept.row, &rows) {
                return Ok(Some((kept, Part::Answer)));
            }
            if let Some(row) = spoilt(&kept.row, &rows) {
                return Ok(Some((kept, Part::Ending(row.status.clone()))));
            }
            // One that is deleted for the user is gone.
            let questions = rows::holding(self.world.db(), mapping, &kept.tag).await?;
            if kept.is_question_lost(&questions) && has_questions(&self.session.name, report) {
                return Ok(Some((kept, Part::Question)));
            }
            if self.lacks_head(&kept.row).await? && !self.loses_heads().await? {
                return Ok(Some((kept, Part::Head)));
            }
            if let Some(gap) = kept.at_final.away {
                return Ok(Some((kept, Part::Away(gap))));
            }
        }
        Ok(None)
    }

    /// Whether conversations whose client stayed have lost their rows as well: then no hang-up did it.
    async fn loses_heads(&self) -> anyhow::Result<bool> {
        for kept in &self.kept {
            if self.lacks_head(&kept.row).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// There is no server to hang up on any more.
    pub(super) fn skip_close_at_final(&self, report: &mut Report) {
        let case = self.begin_case("close-at-final", &NONE, &CLOSE_AT_FINAL);
        let reason = "not tested: the server answers no chat since its save failed";
        self.end_case(case, Verdict::Inconclusive, reason, report);
    }

    fn deleted_at_final(&self, lost: &RowToRecheck, part: &Part, case: &str) -> Finding {
        let marker = &self.marker;
        let RowToRecheck { row, number, .. } = lost;
        let status = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        let (code, is, was, now) = match part {
            Part::Answer => (
                "saved-row-changed-later",
                format!("the answer of turn {number} is lost"),
                format!("row {} was `{}`", row.key, row.content),
                "no row holds that text".to_owned(),
            ),
            Part::Ending(now) => (
                "saved-row-changed-later",
                format!("the answer of turn {number} is marked as failed or unfinished"),
                format!("row {} had the status `{}`", row.key, status(&row.status)),
                format!("its status is `{}`, or a column says so", status(now)),
            ),
            Part::Question => (
                QUESTION_LOST,
                format!("the question of turn {number} is lost"),
                "questions were stored while the client stayed".to_owned(),
                format!("no row holds {}", lost.tag),
            ),
            Part::Head => (
                "saved-row-changed-later",
                format!("the row of turn {number}'s conversation is lost"),
                "each conversation had a row of its own".to_owned(),
                "its messages are there, but it has no row: no list shows them".to_owned(),
            ),
            Part::Away(gap) => (
                "saved-row-changed-later",
                format!("the answer of turn {number} is lost for a time"),
                format!("row {} was `{}`", row.key, row.content),
                format!(
                    "it is there again: for {} ms no row held it",
                    gap.as_millis()
                ),
            ),
        };
        let watch = humantime::format_duration(self.options.watch);
        Finding::new(
            code,
            Severity::Error,
            &self.session.name,
            format!("{is} when the browser hangs up at `{marker}`"),
            "leave a stored turn unchanged when the client hangs up: no clean-up, and no transaction that is still open",
        )
        .with(Source::Stream, format!("the client hung up at `{marker}`"))
        .with(Source::Store, was)
        .with(Source::Store, format!("{watch} later {now}"))
        .in_case(case)
    }

    fn lost_at_final(&self, case: &str) -> Finding {
        let marker = &self.marker;
        let settle = humantime::format_duration(self.options.settle);
        Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("the answer is lost when the browser hangs up at `{marker}`: the save that follows is \
                cancelled, or a stored answer is removed again"),
            format!("save and commit the assistant's message before `{marker}` is sent, and keep it when the client hangs up"),
        )
        .with(Source::Stream, format!("the client hung up at `{marker}`"))
        .with(Source::Store, format!("no complete row within {settle}"))
        .in_case(case)
    }
}

/// Whether a newer chat may have taken the one at this place, or the server keeps the newest ones
/// only. Then the older ones are gone as well, and the newest is all there.
fn may_be_taken(oldest_first: &[Left], place: usize) -> bool {
    let mut gone = oldest_first[..=place].iter();
    oldest_first.last() == Some(&Left::All) && gone.all(|it| *it == Left::Nothing)
}

/// The row of an answer that was whole, where it is given up in every row that holds it.
fn spoilt<'r>(first: &StoredMessage, rows: &'r [StoredMessage]) -> Option<&'r StoredMessage> {
    let text = first.content.trim();
    let is_it = |row: &&StoredMessage| !text.is_empty() && kept::is_all_in(text, &row.content);
    let mut same = rows.iter().filter(is_it);
    let is_spoilt = !first.is_given_up() && same.clone().all(StoredMessage::is_given_up);
    same.next().filter(|_| is_spoilt)
}

#[cfg(test)]
mod tests {
    use super::{Left, Part, State, StoredMessage, may_be_taken, spoilt};
    use crate::model::Role;

    #[test]
    fn a_chat_that_is_gone_while_an_older_one_stays_was_not_taken_by_a_newer_one() {
        let [nothing, part, all] = [Left::Nothing, Left::Part, Left::All];
        assert!(may_be_taken(&[nothing, nothing, all], 1));
        assert!(may_be_taken(&[nothing, all, all], 0));
        // The hang-up took one of three, in a race.
        assert!(!may_be_taken(&[all, nothing, all], 1));
        assert!(!may_be_taken(&[part, nothing, all], 1));
        assert!(!may_be_taken(&[nothing, part, all], 1));
        // The newest one as well, or a part of it.
        assert!(!may_be_taken(&[nothing, nothing], 1));
        assert!(!may_be_taken(&[nothing, part], 0));
    }

    #[test]
    fn an_answer_that_was_promised_stays_whole() {
        let row = |status: &str| StoredMessage {
            status: Some(status.to_owned()),
            ..StoredMessage::new("1", Role::Assistant, "so n1")
        };
        let is_spoilt = |then: &StoredMessage, now: &[StoredMessage]| spoilt(then, now).is_some();
        let is = |then: &str, now: &str| is_spoilt(&row(then), &[row(now)]);
        assert!(is("done", "CANCELLED"));
        assert!(!is("done", "delivered") && !is("done", "done"));
        // A server that says so of every answer means something else.
        assert!(!is("stopped", "stopped"));
        // Another row still has it, as it was.
        assert!(!is_spoilt(&row("done"), &[row("cancelled"), row("done")]));
        let failed = StoredMessage {
            state: State::Failed,
            ..row("done")
        };
        assert!(is_spoilt(&row("done"), &[failed]));
        assert!(!is_spoilt(&row("done"), &[]));
    }

    /// A reload that shows the text says nothing of its status.
    #[test]
    fn only_what_is_gone_may_have_moved() {
        assert!(Part::Question.is_gone() && Part::Answer.is_gone());
        assert!(!Part::Ending(Some("cancelled".to_owned())).is_gone());
    }
}
