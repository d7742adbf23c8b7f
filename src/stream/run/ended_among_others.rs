//! One turn whose client leaves, or whose user presses stop, while the server answers other conversations.

use super::case::Moments;
use super::chat::{Among, Chat, Vary};
use super::ended_early::{Ends, HEARD_BY_THEN, TurnEnd};
use super::exchange::ResponseProgress;
use super::live::Live;
use super::side_by_side::{BEGUN_BY_THEN, LOOK};
use super::sought::{Sought, client_saw};
use super::stage::Stage;
use super::suite::Suite;
use crate::clock;
use crate::report::{Lane, Report, Verdict};
use crate::stream::faults::{NONE, STEP_BY_STEP, Way};
use crate::stream::judge::ended_among_others::{self, EndedAmongOthers, Held, Other};
use crate::stream::kept::AnswerFate;
use crate::stream::session::StopBy;

/// One in the middle ends: a server that ends the oldest or the newest turn ends another one.
const CHATS: usize = 3;

/// What became of the turns.
enum Played {
    Seen(EndedAmongOthers),
    /// The server answers one turn at a time.
    OneAtATime,
}

fn is_answering(seen: &ResponseProgress) -> bool {
    seen.over.is_none() && seen.turn.final_at.is_none()
}

impl Stage<'_> {
    /// Ends one of several turns, in each way that users have.
    pub(super) async fn end_among_others(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.options.suite {
            Suite::Quick => return Ok(()),
            Suite::Full | Suite::Sweep { .. } => {}
        }
        if self.provider.is_none() {
            return Ok(());
        }
        self.play_among_others("left-among-others", Ends::Left(Way::Fin), report)
            .await;
        if self.session.stop.is_some() && self.plays("stopped-among-others") {
            if self.stops_all_of_a_user() {
                self.note(&format!(
                    "{}: the case stopped-among-others is not played: the request of [stop] is the same in every \
                     conversation of the user, so it may be meant to end all of that user's answers",
                    self.session.name
                ));
            } else {
                self.play_among_others("stopped-among-others", Ends::Stopped, report)
                    .await;
            }
        }
        self.world.gateway.rest();
        Ok(())
    }

    /// Whether the stop button says nothing of the conversation, and all chats are of one user.
    fn stops_all_of_a_user(&self) -> bool {
        let by = self.session.stop.as_ref().map(|stop| &stop.by);
        let names_none = matches!(by, Some(StopBy::Request(request)) if !request.names_a_chat());
        names_none && self.session.has_one_user()
    }

    async fn play_among_others(&mut self, name: &str, ends: Ends, report: &mut Report) {
        if !self.plays(name) {
            return;
        }
        report.checked += 1;
        let case = self.begin_case(name, &NONE, ends.client());
        let mut moments = Moments::default();
        let played = self
            .end_the_middle_one(ends, &case.name, &mut moments)
            .await;
        match played {
            Ok(Played::OneAtATime) => {
                self.end_case(
                    case,
                    Verdict::Held,
                    "the server answers one turn at a time, so no other turn was being answered",
                    report,
                );
            }
            Ok(Played::Seen(seen)) => {
                self.end_judged(case, moments, Ok(seen), ended_among_others::judge, report);
            }
            Err(error) => self.end_failed(case, &error, report),
        }
    }

    async fn end_the_middle_one(
        &mut self,
        ends: Ends,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<Played> {
        let mut running = self.begin_some(ends, moments).await?;
        let begun = |running: &[(Chat, Live)]| {
            let is_begun = |at: &usize| running[*at].1.play.heard().is_some();
            (0..running.len()).filter(is_begun).collect::<Vec<_>>()
        };
        let deadline = clock::now() + self.options.settle.max(self.slowest_turn * 2);
        while begun(&running).len() < 2 && clock::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        let begun = begun(&running);
        if begun.len() < 2 {
            self.let_all_end(&running, None).await;
            return match begun.len() {
                0 => anyhow::bail!("the server did not ask its provider for any turn in time"),
                _ if self.session.has_one_user() => anyhow::bail!(
                    "the server answers one turn of this user at a time, so no turns overlapped"
                ),
                _ => Ok(Played::OneAtATime),
            };
        }
        let middle = self.middle()?;
        let mut reached = Vec::new();
        for at in begun {
            // A server may end a turn when another one comes.
            if self.reach(&running[at].1, middle, moments).await.is_ok() {
                reached.push(at);
            }
        }
        if reached.len() < 2 {
            self.let_all_end(&running, None).await;
            anyhow::bail!("the server did not continue two turns at the same time");
        }
        let ended = reached.remove(reached.len() / 2);
        let mut others = reached;
        others.retain(|at| is_answering(&running[*at].1.watching.seen()));
        let (chat, live) = &mut running[ended];
        match self.end_turn((ends, middle), chat, live, moments).await? {
            TurnEnd::Ended => {}
            TurnEnd::StopFailed(why) | TurnEnd::Unmet(why) => {
                self.let_all_end(&running, None).await;
                anyhow::bail!(why);
            }
        }
        tokio::time::sleep(HEARD_BY_THEN).await;
        // A flag that everybody reads is read first by those whom it does not concern.
        for at in &others {
            running[*at].1.play.release();
        }
        moments.now(
            Lane::Gateway,
            "the provider sends the rest of the other answers",
        );
        for at in &others {
            let _ = self.answered(&running[*at].1.watching).await;
        }
        self.let_all_end(&running, Some(ended)).await;
        let mut seen = EndedAmongOthers {
            subject: self.observed().subject(),
            case: case.to_owned(),
            cause: ends.cause(),
            others: Vec::new(),
        };
        for at in others {
            seen.others.push(self.other(at + 1, &running[at].1).await);
        }
        Ok(Played::Seen(seen))
    }

    /// The provider sends the rest of every answer. The client of one may have left.
    async fn let_all_end(&self, running: &[(Chat, Live)], ended: Option<usize>) {
        for (_, live) in running {
            live.play.release();
        }
        for (at, (_, live)) in running.iter().enumerate() {
            if ended != Some(at) {
                let _ = self.answered(&live.watching).await;
            }
            self.until_idle(live).await;
        }
    }

    /// A turn in each of some chats.
    async fn begin_some(
        &mut self,
        ends: Ends,
        moments: &mut Moments,
    ) -> anyhow::Result<Vec<(Chat, Live)>> {
        let mut pages = Vec::new();
        for _ in 0..CHATS {
            pages.push(self.set_up().await?);
        }
        let (mut running, mut among) = (Vec::new(), Among::Nobody);
        for (page, number) in pages.into_iter().zip(1..) {
            let vary = Vary {
                pieces: None,
                fault: &STEP_BY_STEP,
                client: ends.client(),
            };
            let live = self.begin_on_line(&page, 0, vary, among).await?;
            among = Among::Others;
            moments.at(
                live.sent,
                Lane::Client,
                format!("turn 1 of chat {number} sent"),
            );
            running.push((page, live));
        }
        let all_begun = async {
            for (_, live) in &running {
                live.play.until_sent(0).await;
            }
        };
        let _ = tokio::time::timeout(BEGUN_BY_THEN, all_begun).await;
        Ok(running)
    }

    /// What became of a turn that continued. What is missing may be only late.
    async fn other(&self, chat: usize, live: &Live) -> Other {
        let sought = Sought::of(live);
        let saw = live.watching.seen();
        let promised = saw.turn.promised_at().is_some();
        let look = async || {
            let found = self.look(&sought, &self.endings).await?;
            // What is stored in another form has all of it, if it has the end.
            let has_end = found.ending.is_some() && !self.is_verbatim;
            anyhow::Ok(Held {
                question: found.question,
                answer: if has_end {
                    AnswerFate::Whole
                } else {
                    found.kept
                },
            })
        };
        let is_all = |held: &Held| held.question && held.answer == AnswerFate::Whole;
        let patience = self.late_by(self.slowest_turn);
        let first = self
            .stored_when(clock::now() + patience, &look, is_all)
            .await;
        let is_wrong = !first.as_ref().is_ok_and(is_all);
        let (stored, came_late) = if is_wrong {
            let later = self
                .stored_when(clock::now() + patience, &look, is_all)
                .await;
            let came_late = later.as_ref().is_ok_and(is_all);
            (later, came_late)
        } else {
            (first, false)
        };
        Other {
            chat,
            client: client_saw(&sought, &saw, promised),
            stored: stored.map_err(|error| format!("{error:#}")),
            came_late,
        }
    }
}
