//! Turns that are under way at the same time: two in one conversation, one in each of several, and one of a page
//! that does not know what another page did.

use super::case::Moments;
use super::chat::{Among, Chat, Sent, Vary};
use super::client::Watching;
use super::live::Live;
use super::stage::Stage;
use super::suite::Suite;
use crate::model::{Role, State, StoredMessage};
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, Point, READ_TO_END, STEP_BY_STEP};
use crate::stream::judge::side_by_side::{self, Beside, Overlap, SideBySide};
use crate::stream::judge::{Observed, sent_twice::Answered};
use crate::{clock, store};
use std::time::Duration;

/// A server that takes two turns at once has begun the second one by then.
pub(super) const BEGUN_BY_THEN: Duration = Duration::from_millis(500);
/// Between two looks whether it has.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// The case of a page that does not know the last turn.
const STALE: &str = "stale-page";

/// A turn under way, and its chat.
struct Running {
    live: Live,
    chat: usize,
}

/// Whether the server has asked its provider for the turn.
fn is_begun(running: &&Running) -> bool {
    running.live.play.heard().is_some()
}

impl Stage<'_> {
    /// Plays turns at the same time.
    pub(super) async fn side_by_side(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.options.suite {
            Suite::Quick => {}
            Suite::Full | Suite::Sweep { .. } => {
                self.play_together("two-turns-at-once", Together::OneChat, report)
                    .await;
                if self.session.messages.is_some() && self.plays(STALE) {
                    self.stale_page(report).await;
                }
                self.side_job(report).await;
            }
        }
        let chats = match (self.options.concurrency, self.options.suite) {
            (Some(chats), _) => chats,
            (None, Suite::Quick) => 0,
            (None, Suite::Full | Suite::Sweep { .. }) => Suite::CHATS,
        };
        if chats > 1 {
            self.play_together("side-by-side", Together::Chats(chats), report)
                .await;
        }
        self.world.gateway.rest();
        Ok(())
    }

    async fn play_together(&mut self, name: &str, together: Together, report: &mut Report) {
        if !self.plays(name) {
            return;
        }
        report.checked += 1;
        let case = self.begin_case(name, &NONE, &READ_TO_END);
        let mut moments = Moments::default();
        let since = clock::now();
        let running = match together {
            Together::OneChat => {
                let running = self.two_turns(&mut moments).await;
                running.map(|running| (running, Overlap::Together))
            }
            Together::Chats(chats) => self.many_chats(chats, &mut moments).await,
        };
        let seen = match running {
            Ok((running, overlap)) => {
                let seen = self.seen_together(&case.name, running, since).await;
                seen.map(|seen| SideBySide { overlap, ..seen })
            }
            Err(error) => Err(error),
        };
        self.end_judged(case, moments, seen, side_by_side::judge, report);
    }

    /// A second turn is sent while the first one is answered.
    async fn two_turns(&mut self, moments: &mut Moments) -> anyhow::Result<Vec<Running>> {
        let chat = self.set_up().await?;
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: &READ_TO_END,
        };
        let first = self.begin(&chat, 0, vary).await?;
        moments.at(first.sent, Lane::Client, "turn 1 sent");
        let reached = self.reach(&first, self.middle()?, moments).await;
        reached.map_err(anyhow::Error::msg)?;
        let vary = Vary {
            fault: &NONE,
            ..vary
        };
        let index = 1 % self.session.turns.len();
        let start = |task| Ok(Watching::start(task));
        let what = Sent {
            among: Among::Others,
            ..Sent::turn(index)
        };
        let second = self.begin_among(&chat, what, vary, start).await?;
        moments.at(second.sent, Lane::Client, "another turn sent");
        second.play.release();
        let over = second.watching.until(|seen| seen.over.is_some());
        let _ = tokio::time::timeout(BEGUN_BY_THEN, over).await;
        moments.now(Lane::Gateway, "the provider sends the rest of turn 1");
        first.play.release();
        Ok([first, second].map(|live| Running { live, chat: 0 }).into())
    }

    /// Where a part of the first turn's answer was sent.
    pub(super) fn middle(&self) -> anyhow::Result<Point> {
        let Some(provider) = self.provider else {
            return Ok(Point::BeforeFirstByte);
        };
        let points = self.cut_of(0, provider)?.main_points();
        let mut events = points.into_iter();
        let middle = events.find(|point| matches!(point, Point::Event(_)));
        Ok(middle.unwrap_or(Point::BeforeFirstByte))
    }

    /// A turn in each of several conversations.
    async fn many_chats(
        &mut self,
        chats: usize,
        moments: &mut Moments,
    ) -> anyhow::Result<(Vec<Running>, Overlap)> {
        let mut pages = Vec::new();
        for _ in 0..chats {
            pages.push(self.set_up().await?);
        }
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: &READ_TO_END,
        };
        let mut running = Vec::new();
        let mut among = Among::Nobody;
        for (chat, page) in pages.iter().enumerate() {
            let start = |task| Ok(Watching::start(task));
            let what = Sent {
                among,
                ..Sent::turn(0)
            };
            let live = self.begin_among(page, what, vary, start).await?;
            among = Among::Others;
            moments.at(
                live.sent,
                Lane::Client,
                format!("turn 1 of chat {} sent", chat + 1),
            );
            running.push(Running { live, chat });
        }
        let all_begun = async {
            for Running { live, .. } in &running {
                live.play.until_sent(0).await;
            }
        };
        // A server may take fewer at once; two are enough to see whether they are mixed.
        let _ = tokio::time::timeout(BEGUN_BY_THEN, all_begun).await;
        // One that takes one at a time begins none as long as the first one waits.
        let patience = self.options.settle.max(self.slowest_turn * 2);
        let deadline = clock::now() + patience;
        let count = || running.iter().filter(is_begun).count();
        while count() < 2 && clock::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        moments.now(Lane::Gateway, format!("{} turns are under way", count()));
        let overlap = match count() {
            0 => anyhow::bail!("the server did not ask its provider for any turn in time"),
            1 if self.session.has_one_user() => anyhow::bail!(
                "the server answers one turn of this user at a time, so no turns overlapped"
            ),
            1 => Overlap::OneAtATime,
            _ => {
                self.release_alternately(&running).await?;
                Overlap::Together
            }
        };
        for Running { live, .. } in &running {
            live.play.release();
        }
        Ok((running, overlap))
    }

    /// One chunk of each turn that was begun, then the next one of each.
    async fn release_alternately(&self, running: &[Running]) -> anyhow::Result<()> {
        let begun: Vec<_> = running.iter().filter(is_begun).collect();
        let pieces = match self.provider {
            Some(provider) => self.cut_of(0, provider)?.before,
            None => 0,
        };
        for chunks in 1..=pieces {
            for Running { live, .. } in &begun {
                live.play.release_up_to(chunks);
            }
            // A thousand of them take no longer than their server.
            for Running { live, .. } in &begun {
                let sent = live.play.until_sent(chunks);
                let _ = tokio::time::timeout(BEGUN_BY_THEN, sent).await;
            }
        }
        Ok(())
    }

    /// What is seen of turns when all of them are over. What is wrong may be only late, so it is
    /// examined twice.
    async fn seen_together(
        &mut self,
        case: &str,
        running: Vec<Running>,
        since: clock::Tick,
    ) -> anyhow::Result<SideBySide> {
        let mut answers = Vec::new();
        for Running { live, .. } in &running {
            let answered = self.answered(&live.watching).await;
            let idle = live.play.until_idle();
            let _ = tokio::time::timeout(self.options.response_timeout, idle).await;
            if answered == Answered::ToTheEnd {
                let _ = self.await_row(live, self.options.settle).await;
            }
            answers.push(answered);
        }
        let calls = self.world.gateway.calls_since(since);
        // What is right may be only for now.
        tokio::time::sleep(self.options.watch).await;
        let mut is_first_look = true;
        loop {
            let mut turns = Vec::new();
            for (Running { live, chat }, answered) in running.iter().zip(&answers) {
                let seen = live.watching.seen();
                turns.push(Beside {
                    observed: Observed {
                        turns: vec![self.turn_seen(live, seen).await?],
                        ..self.observed()
                    },
                    chat: *chat,
                    asked: live.play.heard().is_some(),
                    answered: answered.clone(),
                    provider: live.play.provider_end(),
                });
            }
            let seen = SideBySide {
                case: case.to_owned(),
                turns,
                overlap: Overlap::Together,
                calls: calls.clone(),
                usual: self.usual(),
            };
            let is_wrong = side_by_side::judge(&seen).verdict == Verdict::Violated;
            if !(is_wrong && std::mem::take(&mut is_first_look)) {
                return Ok(seen);
            }
            tokio::time::sleep(self.options.settle).await;
        }
    }

    /// A page that was opened before a turn of another page sends the next one.
    async fn stale_page(&mut self, report: &mut Report) {
        report.checked += 1;
        let mut case = self.begin_case(STALE, &NONE, &READ_TO_END);
        let mut moments = Moments::default();
        let played = self.play_stale_page(&mut moments).await;
        case.timeline = moments.timeline;
        match played {
            Ok(gone) if gone.is_empty() => {
                let reason = "both turns are stored";
                self.end_case(case, Verdict::Held, reason, report);
            }
            Ok(gone) => {
                let gone = gone.join(" and ");
                let finding = Finding::new(
                    "turn-overwritten",
                    Severity::Error,
                    self.observed().subject(),
                    "a turn is gone when a stale page sends the next one",
                    "append the new messages, and never replace a conversation by the list that a page sends",
                );
                let fact = format!(
                    "{gone} of turn 1 was stored, and is gone after the turn of the other page"
                );
                report.add(finding.with(Source::Store, fact).in_case(&case.name));
                let reason = format!("{gone} of turn 1 is gone");
                self.end_case(case, Verdict::Violated, reason, report);
            }
            Err(error) => {
                self.end_failed(case, &error, report);
            }
        }
    }

    /// What of the first page's turn is gone after the other page's.
    async fn play_stale_page(
        &mut self,
        moments: &mut Moments,
    ) -> anyhow::Result<Vec<&'static str>> {
        let page = self.set_up().await?;
        let other = page.other_page();
        let first = self.turn_to_the_end(&page, 0).await?;
        moments.at(first.sent, Lane::Client, "turn 1 sent");
        if self.await_row(&first, self.options.settle).await.is_none() {
            anyhow::bail!(
                "the first page's turn was not stored, so there was nothing to overwrite"
            );
        }
        let before = self.parts_of(&first).await?;
        let index = 1 % self.session.turns.len();
        let second = self.turn_to_the_end(&other, index).await?;
        moments.at(second.sent, Lane::Client, "a stale page sends a turn");
        if self.await_row(&second, self.options.settle).await.is_none() {
            anyhow::bail!("the other page's turn was not stored");
        }
        tokio::time::sleep(self.options.watch).await;
        let after = self.parts_of(&first).await?;
        let gone = before.into_iter().filter(|part| !after.contains(part));
        Ok(gone.collect())
    }

    pub(super) async fn turn_to_the_end(&self, chat: &Chat, index: usize) -> anyhow::Result<Live> {
        let vary = Vary {
            pieces: None,
            fault: &NONE,
            client: &READ_TO_END,
        };
        let live = self.begin(chat, index, vary).await?;
        live.play.release();
        self.until_over(&live, self.options.response_timeout)
            .await?;
        Ok(live)
    }

    /// Which parts of a turn are stored.
    pub(super) async fn parts_of(&self, live: &Live) -> anyhow::Result<Vec<&'static str>> {
        let Some(mapping) = &self.mapping else {
            anyhow::bail!("no table of messages is known");
        };
        let mut parts = Vec::new();
        for (mark, role, part) in [
            (&live.tag, Role::User, "the question"),
            (&live.nonce, Role::Assistant, "the answer"),
        ] {
            let rows = store::holding(self.world.db(), mapping, mark).await?;
            let is_there = |row: &StoredMessage| row.role == role && row.state != State::Deleted;
            if rows.iter().any(is_there) {
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

/// Which turns are under way together.
#[derive(Clone, Copy)]
enum Together {
    /// Two of one conversation.
    OneChat,
    /// One in each of so many conversations.
    Chats(usize),
}
