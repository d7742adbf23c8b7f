//! Turns that pause until the user approves a tool call, as `[approval]` of the session declares.

use super::case::Moments;
use super::chat::{AS_RECORDED, Chat, Sent};
use super::client::Watching;
use super::ended_early::HEARD_BY_THEN;
use super::exchange::ResponseProgress;
use super::learnt::copies_of;
use super::live::Live;
use super::next_turn;
use super::stage::Stage;
use super::suite::Suite;
use crate::http::Again;
use crate::model::{Role, ToolCall};
use crate::report::{Lane, Report, Verdict};
use crate::stream::faults::{NONE, READ_TO_END, Way};
use crate::stream::judge::approval::{
    self, Approved, CASES, Call, Copies, Decided, Decision, Seen, Stored, Waiting,
};
use crate::stream::judge::sent_twice::Answered;
use crate::stream::judge::tool_calls_differ::is_same;
use crate::stream::session::{Approval, Captures, Request, Turn};
use crate::{clock, store};
use std::time::Duration;

/// So long a response that stays open while the turn waits has nothing to say.
const WAITS: Duration = Duration::from_millis(500);

impl Stage<'_> {
    /// Decides on a call in every way.
    pub(super) async fn ask_for_approval(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let session = self.session;
        let (Some(asked), Suite::Full | Suite::Sweep { .. }) =
            (&session.approval, self.options.suite)
        else {
            return Ok(());
        };
        for approved in CASES {
            let sends = match approved.decision {
                Decision::Granted => Some(&asked.approve),
                Decision::Refused => asked.refuse.as_ref(),
            };
            let name = approved.to_string();
            let can_restart = self.world.server.is_some();
            let is_there = approved.decided != Decided::AfterARestart || can_restart;
            let Some(sends) = sends.filter(|_| is_there && self.plays(&name)) else {
                continue;
            };
            if approved.decided == Decided::AfterARestart {
                // What the old process wrote ends with it.
                self.look_at_log(report);
            }
            report.checked += 1;
            let case = self.begin_case(&name, &NONE, &READ_TO_END);
            let mut moments = Moments::default();
            let seen = self
                .play_approval((asked, approved), sends, &case.name, &mut moments)
                .await;
            self.end_judged(case, moments, seen, approval::judge, report);
        }
        self.world.gateway.rest();
        Ok(())
    }

    async fn play_approval(
        &mut self,
        (asked, approved): (&Approval, Approved),
        sends: &Request,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<Seen> {
        let mut chat = self.set_up().await?;
        let what = Sent {
            turn: Some(&asked.turn),
            ..Sent::turn(0)
        };
        let start = |task| Ok(Watching::start(task));
        let mut live = self.begin_among(&chat, what, AS_RECORDED, start).await?;
        moments.at(live.sent, Lane::Client, "the turn is sent");
        let met = self.until_it_waits(&live, &asked.turn).await;
        let waiting = self.shown_while_it_waits(&mut chat, &live).await?;
        let mut known = chat.known();
        known.insert("user".to_owned(), live.user.as_str().into());
        let (answered, went_on) = self
            .decide(
                (&chat, &known),
                &mut live,
                (asked, approved),
                sends,
                moments,
            )
            .await?;
        let calls = asked.turn.tool_calls();
        let is_right = |stored: &Stored| {
            let answers = usize::from(went_on);
            let copies = stored.copies;
            copies.questions == 1 && copies.answers == answers && !stored.lacks_head
        };
        let deadline = clock::now() + self.options.settle;
        let look = async || self.stored_calls(&live, &calls).await;
        let found = self.stored_when(deadline, look, is_right).await;
        if found.is_ok_and(|stored| stored.lacks_head) {
            // The next turn may make it: nobody can look again after that.
            let deadline = clock::now() + self.late_by(self.slowest_turn);
            let _ = self.stored_when(deadline, look, is_right).await;
        }
        // A second copy may come late.
        tokio::time::sleep(self.options.watch).await;
        let stored = self.stored_calls(&live, &calls).await;
        let history = self.copies_shown(&mut chat, &live).await?;
        let following = self
            .send_next(&chat, self.session.turns.len() - 1, moments)
            .await?;
        let turn = (&chat, self.session.turns.len() - 1);
        let (outcome, _) = self.finish_or_again(turn, following, moments).await?;
        let mut seen = Seen {
            subject: self.observed().subject(),
            case: case.to_owned(),
            approved,
            met,
            waiting,
            answered,
            went_on,
            came_late: false,
            stored: stored.map_err(|error| format!("{error:#}")),
            history,
            context: outcome
                .context()
                .as_deref()
                .map(|texts| copies_in(texts, &live)),
            next: next_turn::as_it_is(outcome),
        };
        if approval::judge(&seen).verdict == Verdict::Violated {
            let lacked_head = seen.stored.as_ref().is_ok_and(|stored| stored.lacks_head);
            let look = async {
                let stored = self.stored_calls(&live, &calls).await?;
                let lacks_head = stored.lacks_head || lacked_head;
                anyhow::Ok(Stored {
                    lacks_head,
                    ..stored
                })
            };
            let patience = self.options.settle;
            seen.came_late = self.came_late(&mut seen.stored, patience, look).await;
        }
        Ok(seen)
    }

    /// Sends the decision on a turn that waits; says what it was answered, and whether the server asked its
    /// provider once more.
    async fn decide(
        &mut self,
        (chat, known): (&Chat, &Captures),
        live: &mut Live,
        (asked, approved): (&Approval, Approved),
        sends: &Request,
        moments: &mut Moments,
    ) -> anyhow::Result<(Answered, bool)> {
        let page = match approved.decided {
            Decided::Here | Decided::Twice => None,
            Decided::AfterAReload => {
                live.watching.leave(Way::Fin).await?;
                tokio::time::sleep(HEARD_BY_THEN).await;
                Some(chat.other_page())
            }
            Decided::AfterARestart => {
                self.kill_and_start_again(moments).await?;
                Some(chat.other_page())
            }
        };
        let client = page.as_ref().unwrap_or(chat).client().clone();
        let task = || {
            let sends = sends.expand(known)?;
            anyhow::Ok(self.lone_task(&client, sends, &READ_TO_END))
        };
        moments.now(Lane::Client, approved.decided.what());
        let decision = Watching::start(task()?);
        let again = match approved.decided {
            Decided::Twice => Some(Watching::start(task()?)),
            Decided::Here | Decided::AfterAReload | Decided::AfterARestart => None,
        };
        live.play.release();
        let mut answered = self.answered(&decision).await;
        let mut taken = is_taken(&decision.seen());
        if let Some(again) = &again {
            let other = self.answered(again).await;
            taken |= is_taken(&again.seen());
            // Which of two at once a server takes is its choice.
            if answered != Answered::ToTheEnd {
                answered = other;
            }
        }
        self.until_idle(live).await;
        if answered != Answered::ToTheEnd && taken {
            answered = self.answered_there(live, answered).await;
        }
        let went_on = live.play.asked() > asked.turn.steps.len();
        moments.now(
            Lane::Gateway,
            format!("the provider was asked {} times", live.play.asked()),
        );
        Ok((answered, went_on))
    }

    /// Kills the server, which chatctl started, and starts it again.
    async fn kill_and_start_again(&mut self, moments: &mut Moments) -> anyhow::Result<()> {
        const THERE: &str = "the case needs a server that chatctl started";
        let server = self.server().expect(THERE);
        let old = server.holders();
        server.killer().kill();
        moments.now(Lane::Server, "SIGKILL");
        server.end().await;
        self.drop_withheld().await?;
        self.forget_its_gate();
        let again = self.server().expect(THERE).start_again(&old).await?;
        if let Again::Broken(why) = again {
            anyhow::bail!("the server did not start again: {why}");
        }
        moments.now(Lane::Server, "ready again");
        self.open_again().await
    }

    /// Waits until the turn pauses; says why it does not.
    pub(super) async fn until_it_waits(&self, live: &Live, turn: &Turn) -> Result<(), String> {
        let patience = self.options.response_timeout;
        let steps = turn.steps.iter();
        let chunks = steps.map(|step| step.cassette.chunks.len()).sum();
        let called = live.play.until_sent(chunks);
        if tokio::time::timeout(patience, called).await.is_err() {
            let seen = live.watching.seen();
            let why = self.unanswered(live, &seen, "the turn did not reach its call");
            return Err(format!("{why:#}"));
        }
        let ends = |seen: &ResponseProgress| seen.over.is_some() || seen.turn.final_at.is_some();
        // Where the response stays open, nothing comes.
        let _ =
            tokio::time::timeout(WAITS.max(self.options.settle), live.watching.until(ends)).await;
        self.until_quiet(live, clock::now(), 0).await;
        match live.play.asked() {
            0 => Err("the server did not ask its provider".to_owned()),
            1 => Ok(()),
            _ => Err("the server asked its provider again without the user's approval: in this session it runs the tool at once".to_owned()),
        }
    }

    /// What a reload shows of the turn that waits.
    async fn shown_while_it_waits(
        &self,
        chat: &mut Chat,
        live: &Live,
    ) -> anyhow::Result<Option<Waiting>> {
        let rows = self.rows_with(&live.tag, Role::User).await?;
        let shown = self.copies_shown(chat, live).await?;
        Ok(shown.map(|shown| Waiting {
            stored: !rows.is_empty(),
            shown: shown.questions > 0,
        }))
    }

    async fn copies_shown(&self, chat: &mut Chat, live: &Live) -> anyhow::Result<Option<Copies>> {
        let texts = self.shown_texts(chat).await?;
        Ok(texts.map(|texts| copies_in(&texts, live)))
    }

    /// The answer may continue in the response that was open all the time.
    async fn answered_there(&self, live: &Live, otherwise: Answered) -> Answered {
        match self.answered(&live.watching).await {
            Answered::ToTheEnd => Answered::ToTheEnd,
            Answered::Cut | Answered::Refused(_) | Answered::Otherwise(_) => otherwise,
        }
    }

    async fn stored_calls(&self, live: &Live, calls: &[ToolCall]) -> anyhow::Result<Stored> {
        let questions = self.rows_with(&live.tag, Role::User).await?;
        let answers = self.rows_with(&live.nonce, Role::Assistant).await?;
        let copies = Copies {
            questions: self.learnt.questions(&questions),
            answers: copies_of(&answers, &Role::Assistant, self.learnt.has_versions),
        };
        let lacks_head = self.is_headless(&questions).await;
        let key = questions.first().and_then(|row| row.conversation.as_ref());
        let (Some(mapping), Some(key)) = (&self.mapping, key) else {
            return Ok(Stored {
                copies,
                lacks_head,
                calls: Vec::new(),
            });
        };
        let rows = store::conversation(self.world.db(), mapping, key).await?;
        let tools: Vec<_> = rows.iter().flat_map(|row| &row.tools).collect();
        let times = |call: &ToolCall| tools.iter().filter(|tool| is_same(tool, call)).count();
        let called = calls.iter().map(|call| Call {
            name: call.name.clone(),
            times: times(call),
        });
        Ok(Stored {
            copies,
            lacks_head,
            calls: if tools.is_empty() {
                Vec::new()
            } else {
                called.collect()
            },
        })
    }
}

/// Whether the server took a request.
pub(super) fn is_taken(seen: &ResponseProgress) -> bool {
    seen.head
        .as_ref()
        .is_some_and(super::exchange::Head::is_success)
}

fn copies_in(texts: &[String], live: &Live) -> Copies {
    let count = |mark: &str| texts.iter().filter(|text| text.contains(mark)).count();
    Copies {
        questions: count(&live.tag),
        answers: count(&live.nonce),
    }
}
