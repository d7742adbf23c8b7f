//! A turn that its server does not survive: it is brought to a point of its answer, or to the answer's commit. When the
//! server is back, the next turn is sent, and what the store has of the interrupted one is judged.

use super::approval::is_taken;
use super::case::Moments;
use super::chat::{AS_RECORDED, Chat, Sent, Vary};
use super::client::Watching;
use super::exchange::ResponseProgress;
use super::gated::LEAST_HOLD;
use super::live::Live;
use super::next_turn;
use super::next_turn::{NextOutcome, Refusal};
use super::sought::{Found, Sought, client_saw, in_store};
use super::stage::Stage;
use super::talk::{Said, Until};
use super::withheld::withheld_for;
use crate::gate::{AnyGate, Carries, CommitGate, CommitOutcome, Order, Withheld};
use crate::gateway::Play;
use crate::model::{Role, StoredMessage};
use crate::report::Lane;
use crate::stream::faults::{NONE, Point, READ_TO_END, STEP_BY_STEP};
use crate::stream::judge::Judged;
use crate::stream::judge::ended_early::{self, Cause, EndedEarly, NextTurn, Stored};
use crate::stream::kept;
use crate::stream::kept::{AnswerFate, Ending};
use crate::stream::session::Approval;
use crate::{clock, gate, store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A server that has its provider's whole answer commits it by then.
const COMMITS_BY_THEN: Duration = Duration::from_secs(5);
/// Between two looks at the store, or two tries of the next turn.
const AGAIN: Duration = Duration::from_millis(50);

/// What becomes of a turn that is refused because a call still waits: the decision continues the
/// conversation.
const STILL_WAITS: NextTurn = NextTurn::Answered {
    question: true,
    answer: true,
    answer_later: true,
    doubt: None,
};

/// Where a turn is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// When the provider has a piece of its answer left to say.
    InStream,
    /// At a point of the provider's answer.
    At(Point),
    /// When a call waits for the user's approval.
    AtApproval,
    /// When the commit that carries the answer is withheld, so that it is never done.
    BeforeCommit,
    /// When that commit is done, and the server does not know it yet.
    AfterCommit,
}

impl Interruption {
    /// In a sentence: "the server stopped …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::InStream => "in the middle of the answer",
            Self::At(Point::BeforeFirstByte) => "before the answer's first byte",
            Self::At(Point::Event(_)) => "in the middle of the answer",
            Self::At(Point::InTool) => "within a tool call",
            Self::At(Point::BetweenSteps) => "between two steps of the turn",
            Self::At(Point::LastDelta) => "at the last piece of the answer",
            Self::At(Point::TextComplete) => "at the end of the answer's text",
            Self::At(Point::FinalMarker) => "at the final marker",
            Self::AtApproval => "while a call waited for the user's approval",
            Self::BeforeCommit => "before the answer's commit",
            Self::AfterCommit => "after the answer's commit",
        }
    }

    /// Whether a commit has to be withheld for it.
    pub const fn is_at_commit(self) -> bool {
        match self {
            Self::InStream | Self::At(_) | Self::AtApproval => false,
            Self::BeforeCommit | Self::AfterCommit => true,
        }
    }

    /// Whether the model has to call tools for it.
    pub const fn is_at_tools(self) -> bool {
        matches!(self, Self::At(Point::InTool | Point::BetweenSteps))
    }

    /// Where the provider is by then.
    const fn point(self, live: &Live) -> Point {
        match self {
            Self::InStream => Point::Event(live.chunks_before),
            Self::At(point) => point,
            Self::AtApproval => Point::InTool,
            Self::BeforeCommit | Self::AfterCommit => Point::TextComplete,
        }
    }
}

/// A turn under way that is about to be interrupted.
pub struct Interrupted {
    place: Interruption,
    point: Point,
    /// Its number, from 1.
    number: usize,
    sought: Sought,
    play: Arc<Play>,
    seen: watch::Receiver<ResponseProgress>,
}

impl Interrupted {
    /// Whether this is the turn with that mark in its question.
    pub fn is(&self, tag: &str) -> bool {
        self.sought.tag == tag
    }
}

impl Stage<'_> {
    /// Sends the turn after those, and brings it to a place. The inner error says why it did not get there.
    ///
    /// # Errors
    /// When the server can't be asked, or its commits can't be withheld.
    pub async fn say_up_to(
        &mut self,
        chat: &Chat,
        before: &[Said],
        place: Interruption,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<(Said, Interrupted), String>> {
        let tools = self.turn_with_tools().filter(|_| place.is_at_tools());
        let index = tools.unwrap_or(before.len() % self.session.turns.len());
        let session = self.session;
        let is_it = |_: &&Approval| place == Interruption::AtApproval;
        let asked = session.approval.as_ref().filter(is_it);
        let turn = asked.map(|asked| &asked.turn);
        let answer = turn.unwrap_or(&session.turns[index]).answer();
        let alike = self.alike(answer).await?;
        let vary = Vary {
            pieces: None,
            fault: match place {
                Interruption::At(_) => &STEP_BY_STEP,
                Interruption::InStream
                | Interruption::AtApproval
                | Interruption::BeforeCommit
                | Interruption::AfterCommit => &NONE,
            },
            client: &READ_TO_END,
        };
        let what = Sent {
            turn,
            ..Sent::turn(index)
        };
        let start = |task| Ok(Watching::start(task));
        let live = self.begin_among(chat, what, vary, start).await?;
        moments.at(live.sent, Lane::Client, "the next turn is sent");
        let met = match place {
            Interruption::InStream => {
                let at = self.until_withheld(&live).await?;
                moments.at(at, Lane::Gateway, "all but the end of the answer is sent");
                Ok(())
            }
            Interruption::At(point) => self.reach(&live, point, moments).await,
            Interruption::AtApproval => match turn {
                Some(turn) => self.until_it_waits(&live, turn).await,
                None => Err("the session has no [approval]".to_owned()),
            },
            Interruption::BeforeCommit | Interruption::AfterCommit => {
                self.reach_commit(&live, place, moments).await?
            }
        };
        if let Err(why) = met {
            self.let_commits_through().await?;
            live.play.release();
            return Ok(Err(why));
        }
        let pair = |said: &Said| [said.tag.clone(), said.nonce.clone()];
        let interrupted = Interrupted {
            place,
            point: place.point(&live),
            number: before.len() + 1,
            sought: Sought {
                earlier: before.iter().map(pair).collect(),
                before: alike,
                ..Sought::of(&live)
            },
            play: Arc::clone(&live.play),
            seen: live.watching.follow(),
        };
        let seen = live.watching.seen();
        let mut said = self.said(live, &seen);
        if place == Interruption::AtApproval {
            (said.waits, said.acknowledged) = (true, None);
        }
        Ok(Ok((said, interrupted)))
    }

    /// Withholds the commit that carries the answer, or its answer.
    async fn reach_commit(
        &mut self,
        live: &Live,
        place: Interruption,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<(), String>> {
        if !self.world.others.is_empty() {
            let why = "chatctl started several processes, but a stop ends only one of them";
            return Ok(Err(why.to_owned()));
        }
        self.until_withheld(live).await?;
        let mut gate = self.take_commit_gate().await?;
        let hold = gate::Hold {
            nonce: &live.nonce,
            order: Order::Arrival,
            patience: Duration::ZERO,
            elsewhere: gate::Elsewhere::Flows,
        };
        let closed = gate.close(hold).await;
        let met = match closed {
            Ok(closed) => {
                let what = format!("gate closed ({}): commits are withheld", gate.name());
                moments.at(closed, Lane::Store, what);
                live.play.release();
                self.at_commit(live, gate.as_mut(), place, moments).await
            }
            Err(error) => Err(error),
        };
        self.world.gate = Some(AnyGate::Commits(gate));
        met
    }

    async fn at_commit(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        place: Interruption,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<(), String>> {
        let Some(commit) = commit_of_answer(gate).await? else {
            return Ok(Err(format!(
                "no commit that carries the answer came to the gate within {}: {}",
                humantime::format_duration(COMMITS_BY_THEN),
                self.world.how_to_connect()
            )));
        };
        withheld_for(&commit, moments);
        if place == Interruption::AfterCommit {
            let passed = gate.pass(commit.id).await?;
            moments.at(
                passed.answered,
                Lane::Store,
                "the commit is done, and chatctl withholds the reply to it",
            );
            return Ok(match passed.outcome {
                CommitOutcome::Done => Ok(()),
                CommitOutcome::Failed(why) => Err(format!("the commit failed: {why}")),
                CommitOutcome::Lost => {
                    Err("the connection broke before the commit was answered".to_owned())
                }
            });
        }
        // A final marker that does not wait for the commit comes meanwhile.
        let is_over = |seen: &ResponseProgress| seen.turn.final_at.is_some() || seen.over.is_some();
        let over = live.watching.until(is_over);
        let _ = tokio::time::timeout(LEAST_HOLD, over).await;
        if let Some(at) = live.watching.seen().turn.final_at {
            let what = format!("final marker `{}` received", self.marker);
            moments.at(at, Lane::Client, what);
        }
        let withheld = gate.withheld().await?;
        let is_still = withheld.iter().any(|it| it.id == commit.id);
        Ok(if is_still {
            Ok(())
        } else {
            Err("the commit was let through before the server could be stopped".to_owned())
        })
    }

    /// Sends the next turn to the server that was started again. One that is refused is tried again for as long
    /// as a row may still come: a server may settle its turns right after its start. The turn is given if it was the only
    /// try: of others nobody knows what the server has kept.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub async fn say_after(
        &mut self,
        chat: &Chat,
        number: usize,
        cut: &mut Interrupted,
        moments: &mut Moments,
    ) -> anyhow::Result<(Option<Said>, NextTurn)> {
        let deadline = clock::now() + self.options.settle;
        let mut tries = 0;
        loop {
            tries += 1;
            let shown = self.rows_now(cut).await;
            let live = self
                .begin(chat, number % self.session.turns.len(), AS_RECORDED)
                .await?;
            cut.sought.next = vec![[live.tag.clone(), live.nonce.clone()]];
            live.play.release();
            let over = live.watching.until(|seen| seen.over.is_some());
            let _ = tokio::time::timeout(self.options.response_timeout, over).await;
            let may_change = tries == 1 || clock::now() < deadline;
            if let Some(refusal) = Refusal::of(&live.watching.seen()) {
                chat.take_back();
                if !refusal.is_of_the_client() && may_change {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                let refused = NextOutcome::from(refusal);
                moments.now(Lane::Client, refused.what());
                return Ok((None, self.not_answered(chat, cut, refused, moments).await));
            }
            let (play, sent) = (Arc::clone(&live.play), live.context.clone());
            let (said, outcome) = match (self.follow(live, number, Until::Over).await, play.heard())
            {
                (Err(error), _) => (None, NextOutcome::Failed(format!("{error:#}"))),
                (Ok(said), None) => {
                    let why = "the provider was not asked for it".to_owned();
                    (Some(said), NextOutcome::Failed(why))
                }
                (Ok(said), Some(heard)) => (
                    Some(said),
                    NextOutcome::Answered {
                        heard,
                        sent,
                        wrong: None,
                        doubt: None,
                    },
                ),
            };
            moments.now(Lane::Client, outcome.what());
            if matches!(outcome, NextOutcome::Failed(_)) {
                chat.take_back();
                if may_change {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                return Ok((None, self.not_answered(chat, cut, outcome, moments).await));
            }
            let later = self.rows_now(cut).await;
            let next = next_turn::next_turn(outcome, &cut.sought, &shown, &later);
            return Ok((said.filter(|_| tries == 1), next));
        }
    }

    /// What a next turn that is not answered says: the conversation may continue with the decision
    /// on a call that waits.
    async fn not_answered(
        &self,
        chat: &Chat,
        cut: &Interrupted,
        outcome: NextOutcome,
        moments: &mut Moments,
    ) -> NextTurn {
        if cut.place == Interruption::AtApproval && self.still_waits(chat, cut).await {
            moments.now(Lane::Client, "the decision is taken: the call still waits");
            return STILL_WAITS;
        }
        next_turn::as_it_is(outcome)
    }

    /// Whether the server resumes a call that waited when it was stopped: it takes the decision, and asks its
    /// provider again. A response that begins well is not enough: a stream has its status before it is known what follows.
    async fn still_waits(&self, chat: &Chat, cut: &Interrupted) -> bool {
        let mut known = chat.known();
        known.insert("user".to_owned(), cut.sought.question.as_str().into());
        let approval = self.session.approval.as_ref();
        let Some(Ok(sends)) = approval.map(|asked| asked.approve.expand(&known)) else {
            return false;
        };
        // In place of the next turn, which was not answered.
        self.world.gateway.play(&cut.play);
        let before = cut.play.asked();
        cut.play.release();
        let decision = Watching::start(self.lone_task(chat.client(), sends, &READ_TO_END));
        let _ = self.answered(&decision).await;
        let seen = decision.seen();
        if !is_taken(&seen) || seen.turn.failed.is_some() {
            return false;
        }
        // A server may only put the decision into a queue.
        let asked = cut.play.until_asked(before + 1);
        if tokio::time::timeout(self.options.settle, asked)
            .await
            .is_err()
        {
            return false;
        }
        let idle = cut.play.until_idle();
        let _ = tokio::time::timeout(self.options.response_timeout, idle).await;
        true
    }

    /// What the store has of the interrupted turn, after the next one: a server may settle it when the conversation
    /// continues. `whole` are turns that came to their end.
    pub async fn judge_interrupted(
        &mut self,
        cut: &Interrupted,
        next: NextTurn,
        whole: &[Said],
        moments: &mut Moments,
    ) -> Judged {
        let deadline = clock::now() + self.options.settle;
        let stored = loop {
            let stored = self.stored_now(cut, whole).await;
            let is_settled = |stored: &Stored| {
                let is_whole = stored.altered.is_none() && stored.spoilt.is_empty();
                stored.question && stored.open.is_none() && is_whole
            };
            if stored.as_ref().is_ok_and(is_settled) || clock::now() >= deadline {
                break stored.map_err(|error| format!("{error:#}"));
            }
            tokio::time::sleep(AGAIN).await;
        };
        moments.now(Lane::Store, in_store(&stored));
        let seen = EndedEarly {
            subject: self.observed().subject(),
            case: String::new(),
            turn: cut.number,
            cause: Cause::Restarted(cut.place.words()),
            point: cut.point,
            // Nothing is declared of it.
            to_come: 0,
            policy: None,
            marker: self.marker.to_string(),
            met: Ok(()),
            stop_failed: None,
            provider: cut.play.provider_end(),
            client: client_saw(&cut.sought, &cut.seen.borrow(), false),
            stored,
            came_late: false,
            reload: None,
            next: Some(next),
        };
        ended_early::judge(&seen)
    }

    async fn stored_now(&mut self, cut: &Interrupted, whole: &[Said]) -> anyhow::Result<Stored> {
        if self.mapping.is_none() {
            return Ok(Stored {
                question: true,
                answer: AnswerFate::Unknown("no table is known that holds the messages"),
                is_verbatim: self.is_verbatim,
                tells_whole: false,
                open: None,
                copies: Vec::new(),
                altered: None,
                spoilt: Vec::new(),
            });
        }
        self.learn_endings(whole).await?;
        let found = self.look(&cut.sought, &self.endings).await?;
        let mut stored = self.stored_of(&found);
        if cut.place == Interruption::AtApproval {
            // A call that waits may wait on.
            stored.open = None;
        }
        Ok(stored)
    }

    /// What the store says of answers that came to their end.
    async fn learn_endings(&mut self, whole: &[Said]) -> anyhow::Result<()> {
        let Some(mapping) = self.mapping.clone() else {
            return Ok(());
        };
        let mut endings = Vec::new();
        for said in whole.iter().filter(|said| said.acknowledged.is_some()) {
            let rows = store::holding(self.world.db(), &mapping, &said.nonce).await?;
            for row in rows.iter().filter(|row| row.role == Role::Assistant) {
                endings.push(Ending::of(row, &said.nonce));
                self.is_verbatim &= kept::is_all_in(&said.expected, &row.content);
            }
        }
        self.endings = endings;
        Ok(())
    }

    async fn rows_now(&self, cut: &Interrupted) -> Vec<StoredMessage> {
        if self.mapping.is_none() {
            return Vec::new();
        }
        let found: anyhow::Result<Found> = self.look(&cut.sought, &self.endings).await;
        found.map(|found| found.rows).unwrap_or_default()
    }
}

/// The commit that carries the answer, once it is withheld. What else is committed goes first.
async fn commit_of_answer(gate: &mut dyn CommitGate) -> anyhow::Result<Option<Withheld>> {
    let deadline = clock::now() + COMMITS_BY_THEN;
    let mut changes = gate.changes();
    loop {
        changes.borrow_and_update();
        let withheld = gate.withheld().await?;
        let is_it =
            |it: &&Withheld| it.carries == Carries::Answer && it.stage == gate::Stage::Commit;
        if let Some(commit) = withheld.iter().find(is_it) {
            return Ok(Some(commit.clone()));
        }
        let is_late = clock::now() >= deadline;
        // A server that also writes a heartbeat always has another one.
        if let Some(other) = withheld.first().filter(|_| !is_late) {
            gate.pass(other.id).await?;
            gate.answer(other.id).await?;
            continue;
        }
        let patience = deadline.saturating_sub(clock::now());
        let changed = tokio::time::timeout(patience, changes.changed()).await;
        // No time is left, or the gate is gone.
        if !matches!(changed, Ok(Ok(()))) {
            return Ok(None);
        }
    }
}
