//! Connections that are lost in mid-answer and resumed, as `[resume]` of the session declares.

use super::case::{Begun, Moments};
use super::chat::{Among, Chat, Vary};
use super::client::Watching;
use super::exchange::{Beginning, ClientTask, Head, ResponseProgress};
use super::live::Live;
use super::stage::Stage;
use super::suite::Suite;
use crate::gateway::providers::Provider;
use crate::model::{ProviderEnd, Role};
use crate::report::{Lane, Report, Verdict};
use crate::stream::body::Framing;
use crate::stream::faults::{Cut, Moment, NONE, RESUME, Resuming, STEP_BY_STEP, Way};
use crate::stream::judge::resumed::{self, Reply, Resumed, Run};
use crate::stream::session::{Resume, ResumesFrom};
use crate::stream::{kept, resumed as reading};
use std::time::Duration;

/// Between the loss of a connection and the next one: the server has heard of it, and a server that ends its turn
/// then has done so.
const HEARD_BY_THEN: Duration = Duration::from_millis(250);
/// A server that has nothing to send may wait with the head of its response, too. It has so long.
const HEAD: Duration = Duration::from_secs(2);

/// A response of which only the beginning was kept.
const TOO_LONG: &str = "the response is longer than chatctl keeps";

/// A case that was played.
struct Played {
    case: Begun,
    seen: Resumed,
    live: Live,
    chat: Chat,
}

/// What becomes of playing one.
enum Outcome {
    Seen(Box<(Resumed, Live, Chat)>),
    /// It did not happen where it was meant to.
    NotMet(String),
    /// The client does not know yet what it has to send.
    Unknown(String),
}

impl Stage<'_> {
    /// Loses and resumes the connection at the points of the suite.
    pub(super) async fn resume(
        &mut self,
        lag: Duration,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let session = self.session;
        let (Some(resume), Some(provider)) = (&session.resume, self.provider) else {
            return Ok(());
        };
        let cut = self.cut_of(0, provider)?;
        let cases = match self.options.suite {
            Suite::Quick => return Ok(()),
            Suite::Full => cut.main_resumes(),
            Suite::Sweep { every } => cut.all_resumes(every),
        };
        let is_played = |case: &Resuming| self.plays(&case.to_string());
        // The first one shows what a response is like that nothing broke off.
        let first = cases.iter().take(usize::from(cases.iter().any(is_played)));
        let others = cases.iter().skip(1).filter(|case| is_played(case));
        let cases: Vec<_> = first.chain(others).copied().collect();
        let patience = self.late_by(lag);
        let mut played: Vec<Played> = Vec::new();
        for (number, resuming) in cases.into_iter().enumerate() {
            let turn = number % session.turns.len();
            let cut = self.cut_of(turn, provider)?;
            if !cut.points(1).contains(&resuming.point) {
                continue;
            }
            let mut case = self.begin_case(&resuming.to_string(), &NONE, &RESUME);
            let mut moments = Moments::default();
            let play = Play {
                resume,
                resuming,
                turn,
                provider,
            };
            let outcome = self.play_resume(&play, &case.name, &mut moments, patience);
            let outcome = outcome.await;
            case.timeline = moments.timeline;
            report.checked += 1;
            match outcome {
                Ok(Outcome::Seen(seen)) => {
                    case.over();
                    let (seen, live, chat) = *seen;
                    played.push(Played {
                        case,
                        seen,
                        live,
                        chat,
                    });
                }
                Ok(Outcome::NotMet(why)) => {
                    self.end_case(case, Verdict::Inconclusive, why, report);
                }
                Ok(Outcome::Unknown(why)) => {
                    let name = &case.name;
                    self.note(&format!("{name} is not played: {why}"));
                }
                Err(error) => {
                    // A server that answers no chat any more answers none of the cases that follow.
                    self.end_failed(case, &error, report);
                    break;
                }
            }
        }
        self.world.gateway.rest();
        self.count_copies(&mut played, patience).await;
        let judged = played
            .into_iter()
            .map(|played| (played.case, resumed::judge(&played.seen)));
        self.end_all(judged, report);
        Ok(())
    }

    async fn play_resume(
        &mut self,
        play: &Play<'_>,
        case: &str,
        moments: &mut Moments,
        patience: Duration,
    ) -> anyhow::Result<Outcome> {
        let Resuming { point, moment } = play.resuming;
        let chat = self.set_up().await?;
        for index in 0..play.turn {
            self.whole_turn(&chat, index).await?;
        }
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: &RESUME,
        };
        let mut live = self
            .begin_on_line(&chat, play.turn, vary, Among::Nobody)
            .await?;
        moments.at(
            live.sent,
            Lane::Client,
            format!("turn {} sent", live.number),
        );
        let cut = self.cut_of(play.turn, play.provider)?;
        if let Err(why) = self.reach(&live, point, moments).await {
            return Ok(Outcome::NotMet(why));
        }
        if let Err(why) = self.lose(&mut live, play, cut, patience, moments).await? {
            return Ok(Outcome::NotMet(why));
        }
        let first = live.watching.seen();
        let Some(before) = first.body_so_far() else {
            return Ok(Outcome::NotMet(TOO_LONG.to_owned()));
        };
        let framing = match play.resume.request.handshake {
            Some(_) => self.profile.framing().over_a_socket(),
            None => self.profile.framing(),
        };
        let cursor = reading::cursor(&before.pieces(), &framing, &play.resume.cursor);
        let request = match play.resume.expand(&chat.known(), cursor) {
            Ok(request) => request,
            Err(why) => return Ok(Outcome::Unknown(why.to_string())),
        };
        moments.now(
            Lane::Client,
            format!("`{}` sent", play.resume.request.written),
        );
        let watching = Watching::start(ClientTask {
            framing: framing.clone(),
            ..self.lone_task(chat.client(), request, &RESUME)
        });
        let run = self.run_by_then(&live, &watching, cut).await;
        live.play.release();
        self.until_idle(&live).await;
        let reply = self.resumed(&watching, play, (&before, &framing)).await;
        moments.now(Lane::Client, what(&reply));
        let is_promised = first.turn.promised_at().is_some()
            || matches!(reply, Reply::Stream { has_marker, .. } if has_marker);
        let answer = live.answer.clone();
        let answer = answer.unwrap_or_else(|| live.expected.clone());
        if moment == Moment::AfterTheEnd && kept::differs_after(&first.turn.text, &answer).is_some()
        {
            anyhow::bail!(
                "the text of the stream is not what the provider sent, so it is not known whether a part is missing"
            );
        }
        let seen = Resumed {
            subject: self.observed().subject(),
            case: case.to_owned(),
            turn: live.number,
            resuming: play.resuming,
            marker: self.marker.to_string(),
            run,
            provider: live.play.provider_end(),
            answer,
            is_promised,
            reply,
            stored: Err("nobody looked".to_owned()),
            lacks_head: false,
            is_shown: None,
            wrong: Vec::new(),
        };
        Ok(Outcome::Seen(Box::new((seen, live, chat))))
    }

    /// Loses the connection, and lets happen what the client misses while it is away. Says why it
    /// could not.
    async fn lose(
        &self,
        live: &mut Live,
        play: &Play<'_>,
        cut: Cut,
        patience: Duration,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<(), String>> {
        match play.resuming.moment {
            Moment::AfterTheEnd => {
                self.until_over(live, self.options.response_timeout).await?;
            }
            Moment::During | Moment::Later => {
                moments.now(Lane::Client, "the connection is lost");
                live.watching.leave(Way::Fin).await?;
                let _ = tokio::time::timeout(HEARD_BY_THEN, live.play.until_idle()).await;
            }
        }
        match play.resuming.moment {
            Moment::During => Ok(self.say_meanwhile(live, play, cut, moments).await),
            Moment::Later | Moment::AfterTheEnd => {
                live.play.release();
                self.until_idle(live).await;
                if live.play.provider_end() == ProviderEnd::Whole {
                    // It is over when it is stored, if it ever is.
                    let _ = self.await_row(live, patience).await;
                }
                Ok(Ok(()))
            }
        }
    }

    /// Where the turn is when the server has begun to answer the request that resumes it. Over Socket.IO that is
    /// when it has let the page in: of what it sends before, the page gets nothing.
    async fn run_by_then(&self, live: &Live, watching: &Watching, cut: Cut) -> Run {
        let has_begun = |seen: &ResponseProgress| {
            let head = seen.head.as_ref();
            let is_begun = |head: &Head| !head.is_socket() || seen.is_let_in;
            seen.over.is_some() || head.is_some_and(is_begun)
        };
        let begun = tokio::time::timeout(HEAD, watching.until(has_begun)).await;
        match live.play.provider_end() {
            ProviderEnd::Open if begun.is_ok() => Run::Running,
            ProviderEnd::HungUp { chunks } if chunks <= cut.before => Run::GivenUp,
            ProviderEnd::Open
            | ProviderEnd::HungUp { .. }
            | ProviderEnd::Whole
            | ProviderEnd::NotAsked => Run::Over,
        }
    }

    /// Lets the provider say one more chunk of text that the client misses, where there is one before the last.
    async fn say_meanwhile(
        &self,
        live: &Live,
        play: &Play<'_>,
        cut: Cut,
        moments: &mut Moments,
    ) -> Result<(), String> {
        let said = cut.chunks_at(play.resuming.point);
        let Some(chunks) = said.filter(|said| *said < cut.before) else {
            return Ok(());
        };
        live.play.release_up_to(chunks + 1);
        let sent = live.play.until_sent(chunks + 1);
        tokio::select! {
            () = sent => {
                moments.now(Lane::Gateway, "one more chunk was sent");
                Ok(())
            }
            // The server has hung up on its provider.
            () = live.play.until_idle() => Ok(()),
            () = tokio::time::sleep(self.options.response_timeout) => {
                Err("the server stopped reading its provider's answer".to_owned())
            }
        }
    }

    pub(super) async fn until_idle(&self, live: &Live) {
        let idle = live.play.until_idle();
        let _ = tokio::time::timeout(self.options.response_timeout, idle).await;
    }

    /// What a resume came to.
    async fn resumed(
        &self,
        watching: &Watching,
        play: &Play<'_>,
        (before, framing): (&Beginning, &Framing),
    ) -> Reply {
        let over = |seen: &ResponseProgress| seen.over.is_some();
        let patience = match play.resuming.moment {
            Moment::During => self.options.response_timeout,
            // A stream of all that happens in a conversation stays open, and has nothing to say.
            Moment::Later | Moment::AfterTheEnd => self.options.settle,
        };
        let end = watching.until(|seen| over(seen) || seen.turn.final_at.is_some());
        let _ = tokio::time::timeout(patience, end).await;
        // What comes after the marker comes soon.
        let _ = tokio::time::timeout(HEARD_BY_THEN, watching.until(over)).await;
        let seen = watching.seen();
        // What a WebSocket is answered is its messages.
        let refused = |head: &&Head| head.status == 204 || !head.is_success();
        if let Some(head) = seen.head.as_ref().filter(refused) {
            return Reply::Status(head.status, head.excerpt.trim().to_owned());
        }
        if let Some(Err(why)) = &seen.over {
            let is_socket = seen.head.as_ref().is_some_and(Head::is_socket);
            return if is_socket && !seen.is_let_in {
                Reply::NotLetIn(why.clone())
            } else {
                Reply::BrokenOff(why.clone())
            };
        }
        let Some(body) = seen.body_so_far() else {
            return Reply::Unreadable(TOO_LONG.to_owned());
        };
        let bodies = match play.resume.from {
            ResumesFrom::Beginning => vec![body.pieces()],
            ResumesFrom::Cut => vec![before.pieces(), body.pieces()],
        };
        let mut reader = self.profile.start(self.marker.clone());
        let read = reading::read_on(&bodies, framing, reader.as_mut());
        match read {
            Err(why) => Reply::Unreadable(why.to_string()),
            Ok(turn) => Reply::Stream {
                text: turn.text,
                adds_text: !seen.turn.pieces.is_empty(),
                has_marker: seen.turn.final_at.is_some(),
                is_over: seen.over.is_some(),
            },
        }
    }

    /// Counts what is stored of each turn, after the time that a late copy has.
    async fn count_copies(&mut self, played: &mut [Played], patience: Duration) {
        if played.is_empty() {
            return;
        }
        tokio::time::sleep(self.options.settle).await;
        let mut may_be_late = true;
        for played in played {
            self.count(played).await;
            let is_wrong = resumed::judge(&played.seen).verdict == Verdict::Violated;
            if (is_wrong || played.seen.lacks_head) && std::mem::take(&mut may_be_late) {
                tokio::time::sleep(patience).await;
                self.count(played).await;
            }
        }
    }

    async fn count(
        &mut self,
        Played {
            seen, live, chat, ..
        }: &mut Played,
    ) {
        (seen.stored, seen.wrong) = self.stored_copies(live).await;
        let asked = self.rows_with(&live.tag, Role::User).await;
        seen.lacks_head = self.is_headless(&asked.unwrap_or_default()).await;
        seen.is_shown = if seen.lacks_head {
            self.shows(chat, &live.tag).await.ok().flatten()
        } else {
            None
        };
    }
}

/// One case to play.
struct Play<'a> {
    resume: &'a Resume,
    resuming: Resuming,
    /// The turn whose connection is lost, from 0.
    turn: usize,
    provider: &'static Provider,
}

fn what(reply: &Reply) -> String {
    match reply {
        Reply::Status(status, _) => format!("the resume is answered {status}"),
        Reply::NotLetIn(why) | Reply::BrokenOff(why) => {
            format!("the resumed response broke off: {why}")
        }
        Reply::Unreadable(why) => format!("the resumed response can't be read: {why}"),
        Reply::Stream { text, .. } => {
            let characters = text.trim().chars().count();
            format!("the client has {characters} characters of the answer")
        }
    }
}
