//! Turns in which a tool fails, as `[tool_error]` of the session declares.

use super::case::Moments;
use super::chat::{AS_RECORDED, Sent};
use super::client::Watching;
use super::exchange::ResponseProgress;
use super::learnt::copies_of;
use super::live::Live;
use super::next_turn;
use super::stage::Stage;
use super::suite::Suite;
use crate::model::{Role, State, StoredMessage, ToolCall};
use crate::report::{Lane, Report, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::approval::Call;
use crate::stream::judge::failing_tool::{self, Results, Stored, ToolFailed};
use crate::stream::judge::tool_calls_differ::is_same;
use crate::stream::kept;
use crate::stream::session::Turn;
use crate::{clock, store};

const CASE: &str = "tool-fails";
/// A shorter text of an error may be in an answer by chance.
const TELLING: usize = 12;

/// What is searched for in the store.
struct Sought<'t> {
    live: &'t Live,
    /// What the model said before the call.
    before: String,
    calls: Vec<ToolCall>,
    /// What the response said of the error.
    error: Option<String>,
}

impl Stage<'_> {
    /// Sends the turn in which a tool fails.
    pub(super) async fn let_a_tool_fail(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let session = self.session;
        let (Some(turn), Suite::Full | Suite::Sweep { .. }) =
            (&session.tool_error, self.options.suite)
        else {
            return Ok(());
        };
        if !self.plays(CASE) {
            return Ok(());
        }
        report.checked += 1;
        let case = self.begin_case(CASE, &NONE, &READ_TO_END);
        let mut moments = Moments::default();
        let seen = self.play_failing(turn, &case.name, &mut moments).await;
        self.end_judged(case, moments, seen, failing_tool::judge, report);
        self.world.gateway.rest();
        Ok(())
    }

    async fn play_failing(
        &mut self,
        turn: &Turn,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<ToolFailed> {
        let chat = self.set_up().await?;
        // A turn whose tools work shows whether this store keeps results.
        let other = self.turn_with_tools();
        if let Some(index) = other {
            self.whole_turn(&chat, index).await?;
        }
        let what = Sent {
            turn: Some(turn),
            ..Sent::turn(0)
        };
        let start = |task| Ok(Watching::start(task));
        let live = self.begin_among(&chat, what, AS_RECORDED, start).await?;
        moments.at(live.sent, Lane::Client, "the turn is sent");
        live.play.release();
        let patience = self.options.response_timeout;
        let ends = |seen: &ResponseProgress| seen.over.is_some();
        let over = tokio::time::timeout(patience, live.watching.until(ends)).await;
        self.until_idle(&live).await;
        let saw = live.watching.seen();
        let asked = live.play.asked();
        moments.now(
            Lane::Gateway,
            format!("the provider was asked {asked} times"),
        );
        let met = match (asked, over) {
            (0, _) => Err("the server did not ask its provider".to_owned()),
            (_, Err(_)) => Err("the response did not end in time".to_owned()),
            (_, Ok(_)) => Ok(()),
        };
        let before = turn.said_before();
        let is_read = !before.trim().is_empty() && !kept::is_json_frames(&saw.turn.text);
        let sought = Sought {
            live: &live,
            calls: turn.tool_calls(),
            error: saw.turn.failed.clone(),
            before,
        };
        let went_on = asked > turn.steps.len();
        let right = |stored: &Stored| {
            stored.question && stored.before && stored.answers == usize::from(went_on)
        };
        let deadline = clock::now() + self.options.settle;
        let look = async || self.stored_of_failing(&sought).await;
        let _ = self.stored_when(deadline, look, right).await;
        // A second copy may come late.
        tokio::time::sleep(self.options.watch).await;
        let stored = self.stored_of_failing(&sought).await;
        let index = self.session.turns.len() - 1;
        let following = self.send_next(&chat, index, moments).await?;
        let (outcome, _) = self
            .finish_or_again((&chat, index), following, moments)
            .await?;
        let mut seen = ToolFailed {
            subject: self.observed().subject(),
            case: case.to_owned(),
            met,
            saw_before: is_read.then(|| kept::is_all_in(&sought.before, &saw.turn.text)),
            went_on,
            stored: stored.map_err(|error| format!("{error:#}")),
            came_late: false,
            next: next_turn::as_it_is(outcome),
        };
        if failing_tool::judge(&seen).verdict == Verdict::Violated {
            let look = self.stored_of_failing(&sought);
            let patience = self.options.settle;
            seen.came_late = self.came_late(&mut seen.stored, patience, look).await;
        }
        Ok(seen)
    }

    async fn stored_of_failing(&self, sought: &Sought<'_>) -> anyhow::Result<Stored> {
        let live = sought.live;
        let questions = self.rows_with(&live.tag, Role::User).await?;
        let answers = self.rows_with(&live.nonce, Role::Assistant).await?;
        let key = questions.first().and_then(|row| row.conversation.as_ref());
        let rows = match (&self.mapping, key) {
            (Some(mapping), Some(key)) => {
                store::conversation(self.world.db(), mapping, key).await?
            }
            (_, _) => Vec::new(),
        };
        let at = rows.iter().position(|row| row.content.contains(&live.tag));
        let (earlier, own) = rows.split_at(at.unwrap_or(0));
        // Up to the next question.
        let next = own.iter().skip(1).position(|row| row.role == Role::User);
        let own = &own[..next.map_or(own.len(), |next| next + 1)];
        let is_answer =
            |row: &&StoredMessage| row.role == Role::Assistant && row.state != State::Deleted;
        let texts: Vec<_> = own
            .iter()
            .filter(is_answer)
            .map(|row| row.content.as_str())
            .collect();
        let tools = || own.iter().flat_map(|row| &row.tools);
        let has_tools = rows.iter().any(|row| !row.tools.is_empty());
        let called = sought.calls.iter().map(|call| Call {
            name: call.name.clone(),
            times: tools().filter(|tool| is_same(tool, call)).count(),
        });
        let error = sought
            .error
            .as_deref()
            .filter(|text| text.trim().len() >= TELLING && !kept::is_all_in(text, &sought.before));
        let has_error = |row: &&StoredMessage| {
            error.is_some_and(|error| {
                self.looks_whole(row) && !row.has_failed() && kept::is_all_in(error, &row.content)
            })
        };
        let is_open = |row: &&StoredMessage| {
            let is_open = row.state == State::Open || row.mark.is_unfinished();
            is_open && !self.endings.iter().any(|whole| whole.is_like(row))
        };
        let mut of_model = own.iter().filter(is_answer);
        Ok(Stored {
            question: !questions.is_empty(),
            before: at.is_none() || kept::is_all_in(&sought.before, &texts.join("\n")),
            answers: copies_of(&answers, &Role::Assistant, self.learnt.has_versions),
            calls: if has_tools {
                called.collect()
            } else {
                Vec::new()
            },
            results: results(earlier, own, sought.calls.len()),
            error: of_model.clone().find(has_error).map(|row| row.key.clone()),
            open: of_model.find(is_open).map(|row| row.key.clone()),
        })
    }
}

/// Whether the calls have results, as far as earlier turns show that the store keeps them.
fn results(earlier: &[StoredMessage], own: &[StoredMessage], calls: usize) -> Results {
    let count = |rows: &[StoredMessage]| {
        let tools = rows.iter().flat_map(|row| &row.tools);
        tools.filter(|tool| tool.output.is_some()).count()
    };
    match (count(earlier), count(own)) {
        (_, own) if own >= calls => Results::There,
        (0, 0) => Results::Unknown,
        (_, _) => Results::Missing,
    }
}
