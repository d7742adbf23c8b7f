//! Turns that do not come to their end: the client leaves, or the user presses stop, at every point of an
//! answer. Then the page is reloaded, and the conversation continues.

use super::case::{Begun, Moments, told};
use super::chat::{AS_RECORDED, Among, Chat, Vary};
use super::live::Live;
use super::next_turn;
use super::sought::{Found, Sought, client_saw, in_store};
use super::stage::Stage;
use super::suite::Suite;
use crate::clock;
use crate::clock::Tick;
use crate::gateway::providers::Provider;
use crate::model::ProviderEnd;
use crate::report::{ClientMoment, Lane, Report, Verdict};
use crate::stream::faults::{ClientBehaviour, Cut, NONE, Point, STEP_BY_STEP, STOP, Way};
use crate::stream::judge::ended_early::{self, Cause, EndedEarly, Spoilt};
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::{Keep, Policy};
use crate::stream::session::StopBy;
use crate::text::plural;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between the end of a turn and the provider's next words: a server that looks whether somebody listens has
/// seen by then that nobody does. One that has closed its connection to the provider is not waited for.
pub(super) const HEARD_BY_THEN: Duration = Duration::from_millis(250);
/// The same for a server that continued as if nothing had happened: it may only have been slow.
const HEARD_AT_LAST: Duration = Duration::from_secs(2);

/// How a turn does not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Left(Way),
    Stopped,
}

impl Ends {
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Left(way) => Cause::Left(way),
            Self::Stopped => Cause::Stopped,
        }
    }

    pub(super) fn client(self) -> &'static ClientBehaviour {
        match self {
            Self::Left(way) => way.client(),
            Self::Stopped => &STOP,
        }
    }
}

/// What became of the try to end a turn.
pub(super) enum TurnEnd {
    Ended,
    /// The server failed to stop it, and said this.
    StopFailed(String),
    /// The turn was not ended where it was meant to be, and why.
    Unmet(String),
}

/// When the next turn is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Following {
    /// The user who pressed stop types on.
    AtOnce,
    /// When nothing more can come of the turn.
    Later,
}

/// One case to play.
#[derive(Debug, Clone, Copy)]
pub(super) struct Play {
    ends: Ends,
    point: Point,
    /// The turn that does not come to its end, from 0.
    turn: usize,
    /// How long the server has to notice.
    heard_by: Duration,
    following: Following,
}

/// What became of playing it.
pub(super) struct Ran {
    pub(super) seen: EndedEarly,
    sought: Sought,
    /// Whether the conversation had no row of its own when the next turn was sent at once.
    lacked_head: bool,
}

impl Play {
    /// The same, with the next turn after it.
    pub(super) const fn later(self) -> Self {
        Self {
            following: Following::Later,
            ..self
        }
    }

    /// The case's name in the report.
    fn name(self) -> String {
        match self.ends {
            Ends::Left(way) => format!("left-at-{}-by-{}", self.point, way.name()),
            Ends::Stopped => format!("stopped-at-{}", self.point),
        }
    }
}

/// A case that was played.
struct Played {
    case: Begun,
    seen: EndedEarly,
    sought: Sought,
    looked_at: Tick,
}

impl Stage<'_> {
    /// Plays the cases of the suite.
    pub(super) async fn end_early(
        &mut self,
        lag: Duration,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if self.options.suite == Suite::Quick {
            return Ok(());
        }
        let ways = self.ways_to_leave().await;
        let plays = self.early_plays(&ways)?;
        if plays.is_empty() {
            return Ok(());
        }
        let patience = self.late_by(lag);
        self.announce(&plays, patience);
        let mut played: Vec<Played> = Vec::new();
        for play in plays {
            report.checked += 1;
            let mut case = self.begin_case(&play.name(), &NONE, play.ends.client());
            let mut moments = Moments::default();
            let mut ran = self
                .play_early(play, &case.name, &mut moments, patience)
                .await;
            if ran.as_ref().is_ok_and(|ran| goes_on(&ran.seen)) {
                let slower = Play {
                    heard_by: HEARD_AT_LAST,
                    ..play
                };
                moments = Moments::default();
                ran = self
                    .play_early(slower, &case.name, &mut moments, patience)
                    .await;
            }
            if let Ok(Ran {
                seen,
                lacked_head: true,
                ..
            }) = &mut ran
                && let Err(error) = self.stop_and_wait(play, seen, patience).await
                // What the first play showed is known all the same.
                && ended_early::judge(seen).verdict != Verdict::Violated
            {
                ran = Err(error);
            }
            match ran {
                Ok(Ran { seen, sought, .. }) => {
                    case.over();
                    case.timeline = moments.timeline;
                    played.push(Played {
                        case,
                        seen,
                        sought,
                        looked_at: clock::now(),
                    });
                }
                Err(error) => {
                    // A server that answers no chat any more answers none of the cases that follow.
                    case.timeline = moments.timeline;
                    self.end_failed(case, &error, report);
                    break;
                }
            }
        }
        self.world.gateway.rest();
        self.look_late(&mut played, patience).await;
        let judged = played
            .into_iter()
            .map(|played| (played.case, ended_early::judge(&played.seen)));
        self.end_all(judged, report);
        Ok(())
    }

    /// What the suite plays.
    fn early_plays(&self, ways: &[Way]) -> anyhow::Result<Vec<Play>> {
        let Some(provider) = self.provider else {
            return Ok(Vec::new());
        };
        // A turn with tools has all the points.
        let tools = self.turn_with_tools();
        let cut = self.cut_of(tools.unwrap_or(0), provider)?;
        let mut cases: Vec<(Ends, Point)> = self
            .leaving(cut)
            .into_iter()
            .filter(|(_, way)| ways.contains(way))
            .map(|(point, way)| (Ends::Left(way), point))
            .collect();
        if self.session.stop.is_some() {
            let points = match self.options.suite {
                Suite::Sweep { every } => cut.points(every),
                Suite::Quick | Suite::Full => cut.main_points(),
            };
            // What is over can't be stopped.
            let points = points
                .into_iter()
                .filter(|point| *point != Point::FinalMarker);
            cases.extend(points.map(|point| (Ends::Stopped, point)));
        }
        let turns = self.session.turns.len();
        let plays = cases.into_iter().enumerate();
        Ok(plays
            .map(|(number, (ends, point))| Play {
                ends,
                point,
                turn: match (point, tools) {
                    (Point::InTool | Point::BetweenSteps, Some(turn)) => turn,
                    // A first turn and a later one may differ.
                    _ => number % turns,
                },
                heard_by: HEARD_BY_THEN,
                following: match ends {
                    Ends::Left(_) => Following::Later,
                    Ends::Stopped => Following::AtOnce,
                },
            })
            .filter(|play| self.is_in(play, provider) && self.plays(&play.name()))
            .collect())
    }

    /// The first turn in which the model calls tools.
    pub(super) fn turn_with_tools(&self) -> Option<usize> {
        let mut turns = self.session.turns.iter();
        turns.position(|turn| !turn.steps.is_empty())
    }

    /// Whether the turn has that point: turns may be cut into different numbers of events.
    fn is_in(&self, play: &Play, provider: &'static Provider) -> bool {
        let cut = self.cut_of(play.turn, provider);
        match (play.point, cut) {
            (Point::Event(number), Ok(cut)) => number <= cut.before,
            (_, cut) => cut.is_ok(),
        }
    }

    fn leaving(&self, cut: Cut) -> Vec<(Point, Way)> {
        match self.options.suite {
            Suite::Quick => Vec::new(),
            Suite::Full => cut.main_cases(),
            Suite::Sweep { every } => cut.all_cases(every),
        }
    }

    /// Says beforehand what it takes.
    fn announce(&self, plays: &[Play], patience: Duration) {
        let turns: usize = plays.iter().map(|play| play.turn + 2).sum();
        let slowest = self.slowest_turn.max(HEARD_BY_THEN);
        let at_least = slowest * u32::try_from(turns).unwrap_or(u32::MAX);
        let waits = patience * u32::try_from(plays.len()).unwrap_or(u32::MAX);
        let seconds = |time: Duration| Duration::from_secs(time.as_secs() + 1);
        self.note(&format!(
            "{}: {} with an interrupted turn, about {} to {}",
            self.session.name,
            plural(plays.len() as u64, "case"),
            humantime::format_duration(seconds(at_least)),
            humantime::format_duration(seconds(at_least + waits)),
        ));
        let undeclared = plays.iter().filter(|play| self.policy(play.ends).is_none());
        let undeclared: BTreeSet<_> = undeclared
            .map(|play| match play.ends {
                Ends::Left(_) => "on_disconnect",
                Ends::Stopped => "on_stop",
            })
            .collect();
        for key in undeclared {
            self.note(&format!(
                "{}: the session declares no `{key}`, so chatctl does not judge how much of such an answer must be stored \
                 (docs/verify-stream.md#interrupted-turns)",
                self.session.name
            ));
        }
    }

    fn policy(&self, ends: Ends) -> Option<&'static Policy> {
        match ends {
            Ends::Left(_) => self.session.on_disconnect,
            Ends::Stopped => self.session.stop.as_ref()?.on_stop,
        }
    }

    /// Plays one case to where everything about it is known.
    pub(super) async fn play_early(
        &mut self,
        play: Play,
        case: &str,
        moments: &mut Moments,
        patience: Duration,
    ) -> anyhow::Result<Ran> {
        let mut chat = self.set_up().await?;
        let (mut earlier, mut stays) = (Vec::new(), Vec::new());
        for index in 0..play.turn {
            let marks = self.whole_turn(&chat, index).await?;
            stays.extend(self.earlier(index + 1, &marks).await);
            earlier.push(marks);
        }
        let before = self.alike(self.session.turns[play.turn].answer()).await?;
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: play.ends.client(),
        };
        let mut live = self
            .begin_on_line(&chat, play.turn, vary, Among::Nobody)
            .await?;
        moments.at(
            live.sent,
            Lane::Client,
            format!("turn {} sent", live.number),
        );
        let mut sought = Sought {
            earlier,
            stays,
            before,
            is_alone: self.is_verbatim && self.learnt.one_answer,
            ..Sought::of(&live)
        };
        let met = self.reach(&live, play.point, moments).await;
        let promised = live.watching.seen().turn.promised_at().is_some();
        let ended = match met {
            Ok(()) => {
                self.end_turn((play.ends, play.point), &chat, &mut live, moments)
                    .await?
            }
            Err(why) => TurnEnd::Unmet(why),
        };
        let (met, stop_failed) = match ended {
            TurnEnd::Ended => (Ok(()), None),
            TurnEnd::StopFailed(how) => (Ok(()), Some(how)),
            TurnEnd::Unmet(why) => (Err(why), None),
        };
        sought.left(&live.watching.seen());
        let mut next = None;
        let mut lacked_head = false;
        let immediate = match play.following {
            Following::AtOnce if met.is_ok() && stop_failed.is_none() => {
                let found = self.look(&sought, &self.endings).await;
                lacked_head = found.as_ref().is_ok_and(Found::lacks_head);
                let shown = found.map(|found| found.rows).unwrap_or_default();
                let next = self.send_next(&chat, play.turn, moments).await?;
                sought.next = vec![[next.tag.clone(), next.nonce.clone()]];
                Some((next, shown))
            }
            Following::AtOnce | Following::Later => None,
        };
        let _ = tokio::time::timeout(play.heard_by, live.play.until_idle()).await;
        live.play.release();
        let idle = tokio::time::timeout(self.options.response_timeout, live.play.until_idle());
        let _ = idle.await;
        let provider = live.play.provider_end();
        moments.now(Lane::Gateway, told(provider));
        if let Some((live, shown)) = immediate {
            let following = self.finish_or_again((&chat, play.turn), live, moments);
            let (outcome, again) = following.await?;
            sought.next.extend(again);
            next = Some((outcome, shown));
        }
        let mut found = self
            .await_fate(&sought, play, provider, clock::now() + patience)
            .await;
        if found.as_ref().is_ok_and(Found::lacks_head) {
            // The next turn may make it: nobody can look again after that.
            found = self
                .await_fate(&sought, play, provider, clock::now() + patience)
                .await;
        }
        let saw = live.watching.seen();
        let stored = match &found {
            Ok(found) => Ok(self.stored_of(found)),
            Err(error) => Err(format!("{error:#}")),
        };
        moments.now(Lane::Store, in_store(&stored));
        let rows = found.map(|found| found.rows).unwrap_or_default();
        // Whoever got the marker may reload at once.
        let patience = if promised {
            Duration::ZERO
        } else {
            self.options.settle
        };
        let reload = self.reload(&mut chat, (&sought, &rows), patience).await?;
        if next.is_none() && met.is_ok() {
            let shown = rows.clone();
            let following = self.send_next(&chat, play.turn, moments).await?;
            sought.next = vec![[following.tag.clone(), following.nonce.clone()]];
            let following = self.finish_or_again((&chat, play.turn), following, moments);
            let (outcome, again) = following.await?;
            sought.next.extend(again);
            next = Some((outcome, shown));
        }
        let seen = EndedEarly {
            subject: self.observed().subject(),
            case: case.to_owned(),
            turn: live.number,
            cause: play.ends.cause(),
            point: play.point,
            to_come: self.to_come(&live, play.point),
            policy: self.policy(play.ends),
            marker: self.marker.to_string(),
            met,
            stop_failed,
            provider,
            client: client_saw(&sought, &saw, promised),
            came_late: false,
            reload,
            next: next
                .map(|(outcome, shown)| next_turn::next_turn(outcome, &sought, &shown, &rows)),
            stored,
        };
        Ok(Ran {
            seen,
            sought,
            lacked_head,
        })
    }

    /// Ends the turn there, in this way.
    pub(super) async fn end_turn(
        &self,
        (ends, point): (Ends, Point),
        chat: &Chat,
        live: &mut Live,
        moments: &mut Moments,
    ) -> anyhow::Result<TurnEnd> {
        let stop = match (ends, &self.session.stop) {
            (Ends::Left(way), _) => {
                moments.ends(way.what(), client_moment(live, point, way.name()));
                live.watching.leave(way).await?;
                return Ok(TurnEnd::Ended);
            }
            (Ends::Stopped, None) => return Ok(TurnEnd::Ended),
            (Ends::Stopped, Some(stop)) => stop,
        };
        let moment = client_moment(live, point, STOP.name);
        match &stop.by {
            StopBy::Abort => {
                moments.ends("stop: the client closes the connection", moment);
                live.watching.leave(Way::Fin).await?;
            }
            StopBy::Message(message) => {
                moments.ends("stop: a message is sent over the WebSocket", moment);
                let said = live.watching.say(message.expand(&chat.known())?).await;
                return Ok(match said {
                    Ok(()) => TurnEnd::Ended,
                    Err(error) => TurnEnd::Unmet(format!("stop was not sent: {error:#}")),
                });
            }
            StopBy::Request(request) => {
                moments.ends(&format!("stop: `{}` sent", request.written), moment);
                let answer = chat.ask(request).await?;
                moments.now(Lane::Client, format!("stop was answered {}", answer.status));
                if !request.accepts(answer.status) {
                    let (written, status) = (&request.written, answer.status);
                    let how = format!("`{written}` was answered {status}: {}", answer.excerpt());
                    return Ok(if status >= 500 {
                        TurnEnd::StopFailed(how)
                    } else {
                        TurnEnd::Unmet(how)
                    });
                }
            }
        }
        Ok(TurnEnd::Ended)
    }

    /// A turn before the one that matters.
    pub(super) async fn whole_turn(
        &mut self,
        chat: &Chat,
        index: usize,
    ) -> anyhow::Result<[String; 2]> {
        let live = self.begin(chat, index, AS_RECORDED).await?;
        live.play.release();
        self.until_over(&live, self.options.response_timeout)
            .await?;
        // Whether it was stored is judged elsewhere; here it has to be there, if it ever is.
        let _ = self.await_row(&live, self.options.settle).await;
        Ok([live.tag.clone(), live.nonce.clone()])
    }

    /// How many pieces of the text the provider had still to send there; none where it was not asked.
    fn to_come(&self, live: &Live, point: Point) -> usize {
        let heard = live.play.heard();
        let cut = heard.and_then(|heard| self.cut_of(live.number - 1, heard.provider).ok());
        cut.map_or(0, |cut| cut.to_come_at(point))
    }

    /// What is stored, as soon as nothing better can come, or when the time is over.
    async fn await_fate(
        &self,
        sought: &Sought,
        play: Play,
        provider: ProviderEnd,
        deadline: Tick,
    ) -> anyhow::Result<Found> {
        let look = async || self.look(sought, &self.endings).await;
        let is_enough = |found: &Found| self.is_final(found, play, provider);
        self.stored_when(deadline, look, is_enough).await
    }

    /// Whether what is stored stays so, as far as anybody can tell, and is what was declared.
    fn is_final(&self, found: &Found, play: Play, provider: ProviderEnd) -> bool {
        let is_wrong = found.altered.is_some() || !found.spoilt.is_empty();
        if !found.question || self.open_row(found).is_some() || is_wrong {
            return false;
        }
        let keep = self.policy(play.ends).map(|policy| policy.keep);
        match &found.kept {
            // A server that was told may take it back.
            AnswerFate::Whole => keep != Some(Keep::Nothing) || play.point == Point::FinalMarker,
            AnswerFate::Cut { marked, .. } => {
                keep == Some(Keep::Part)
                    && *marked != Marked::No
                    && matches!(provider, ProviderEnd::HungUp { .. })
            }
            AnswerFate::Nothing | AnswerFate::Unknown(_) => false,
        }
    }

    /// What is wrong may be only late: it is checked again, after as much time again. And what is
    /// right may be only for now, where a server takes back the answer of a client that has left.
    async fn look_late(&self, played: &mut [Played], patience: Duration) {
        let is_wrong = |seen: &EndedEarly| ended_early::judge(seen).verdict == Verdict::Violated;
        for played in played {
            let was_wrong = is_wrong(&played.seen);
            let after = if was_wrong {
                patience
            } else {
                self.options.watch
            };
            let since = clock::now().saturating_sub(played.looked_at);
            tokio::time::sleep(after.saturating_sub(since)).await;
            let Ok(found) = self.look(&played.sought, &self.endings).await else {
                continue;
            };
            let mut stored = self.stored_of(&found);
            let before = played.seen.stored.iter().flat_map(|stored| &stored.spoilt);
            let lacked = before.filter(|spoilt| **spoilt == Spoilt::Head);
            stored.spoilt.splice(0..0, lacked.cloned());
            let now = EndedEarly {
                stored: Ok(stored),
                came_late: was_wrong,
                ..played.seen.clone()
            };
            if now.stored != played.seen.stored && (was_wrong || is_wrong(&now)) {
                played.seen = now;
            }
        }
    }
}

/// Whether the server stored more than it was to store, as one does that has not noticed.
fn goes_on(seen: &EndedEarly) -> bool {
    let stored = seen.stored.as_ref();
    seen.met.is_ok() && stored.is_ok_and(|stored| ended_early::is_more_than_declared(seen, stored))
}

fn client_moment(live: &Live, point: Point, by: &str) -> ClientMoment {
    ClientMoment {
        by: by.to_owned(),
        point: point.to_string(),
        received_bytes: live.watching.seen().received,
    }
}
