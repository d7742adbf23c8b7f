//! Many streams that are aborted, and then one turn more: a server that keeps something of each aborted one has
//! nothing left for it.

use super::case::Moments;
use super::chat::{AS_RECORDED, Among, Chat, Vary};
use super::live::Live;
use super::side_by_side::BEGUN_BY_THEN;
use super::sought::{Sought, client_saw};
use super::stage::Stage;
use super::suite::Suite;
use crate::clock;
use crate::clock::Tick;
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, Point, STEP_BY_STEP, Way};
use crate::stream::judge::Judged;
use crate::stream::judge::ended_early::{self, Cause, EndedEarly};
use crate::stream::policy::Keep;
use std::time::Duration;

/// The case.
const NAME: &str = "aborted-streams";
/// More than the connections of a usual pool: 5 and 10 more in SQLAlchemy, 10 elsewhere.
const STREAMS: usize = 24;
/// Where each is aborted.
const POINT: Point = Point::Event(1);
/// So many at the same time.
const TOGETHER: usize = 4;
/// So many turns may fail for another reason.
const PROBES: usize = 2;
/// How a turn fails that the server refuses to this client: it answers others.
const REFUSED: [&str; 3] = ["answered 401", "answered 403", "answered 429"];

/// What the turns after the aborted streams showed.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// One was answered.
    Answered,
    /// None was.
    Exhausted,
    /// That says nothing, and why.
    Unknown(String),
}

/// Judges how each turn failed, after so many aborted streams.
fn outcome(aborted: usize, failed: &[String]) -> Outcome {
    let is_refused = |how: &&String| REFUSED.iter().any(|status| how.contains(status));
    if failed.len() < PROBES {
        return Outcome::Answered;
    }
    if let Some(how) = failed.iter().find(is_refused) {
        return Outcome::Unknown(how.clone());
    }
    if aborted == 0 {
        return Outcome::Unknown("no stream could be aborted".to_owned());
    }
    Outcome::Exhausted
}

impl Stage<'_> {
    /// Aborts many streams, and looks whether the server still answers.
    pub(super) async fn abort_streams(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.options.suite {
            Suite::Full | Suite::Sweep { .. } if self.plays(NAME) => {}
            Suite::Quick | Suite::Full | Suite::Sweep { .. } => return Ok(()),
        }
        report.checked += 1;
        let mut case = self.begin_case(NAME, &NONE, Way::Reset.client());
        let mut moments = Moments::default();
        let since = clock::now();
        let (mut turns, mut together) = (Vec::new(), TOGETHER);
        while turns.len() < STREAMS {
            match self.abort_some(together).await {
                // The turn after it shows whether the server answers still.
                Err(_) => break,
                Ok(some) if some.is_empty() => break,
                Ok(some) => {
                    // It may answer no more at the same time.
                    together = if some.len() < together { 1 } else { together };
                    turns.extend(some);
                }
            }
        }
        let aborted = turns.len();
        moments.now(Lane::Client, format!("{aborted} streams were aborted"));
        let mut failed = Vec::new();
        for _ in 0..PROBES {
            tokio::time::sleep(self.options.settle).await;
            match self.probe_turn().await {
                Ok(()) => break,
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
        let lost = self.lost_of_aborted(turns, &case.name).await;
        case.timeline = moments.timeline;
        let (verdict, reason) = match outcome(aborted, &failed) {
            Outcome::Answered | Outcome::Unknown(_) if !lost.is_empty() => {
                let told = format!(
                    "of {aborted} aborted streams {} are not stored as they must be: {}",
                    lost.len(),
                    lost[0].reason
                );
                let findings = lost.into_iter().flat_map(|judged| judged.findings);
                report.add_by_code(findings.collect());
                (Verdict::Violated, told)
            }
            Outcome::Answered => {
                let told = format!("after {aborted} aborted streams a turn is answered");
                let is_met = aborted >= STREAMS;
                let verdict = if is_met {
                    Verdict::Held
                } else {
                    Verdict::Inconclusive
                };
                (verdict, told)
            }
            Outcome::Unknown(why) => (Verdict::Inconclusive, why),
            Outcome::Exhausted => {
                let finding = self.exhausted(aborted, &failed, since);
                report.add(finding.in_case(&case.name));
                let told = format!("after {aborted} aborted streams no turn is answered");
                (Verdict::Violated, told)
            }
        };
        self.end_case(case, verdict, reason, report);
        self.world.gateway.rest();
        Ok(())
    }

    /// What is wrong with the turns that were aborted: a server may lose only some of them. What is
    /// wrong may be only late.
    async fn lost_of_aborted(&self, turns: Vec<(Chat, Live)>, case: &str) -> Vec<Judged> {
        let is_wrong = |judged: &Judged| judged.verdict == Verdict::Violated;
        let mut wrong = Vec::new();
        for (chat, live) in turns {
            if is_wrong(&self.aborted((None, &live), case).await) {
                wrong.push((chat, live));
            }
        }
        // A server may store them one after the other.
        loop {
            let before = wrong.len();
            if before > 0 {
                tokio::time::sleep(self.late_by(self.slowest_turn)).await;
            }
            let mut still = Vec::new();
            for (chat, live) in wrong {
                if is_wrong(&self.aborted((None, &live), case).await) {
                    still.push((chat, live));
                }
            }
            wrong = still;
            if wrong.is_empty() || wrong.len() == before {
                break;
            }
        }
        let mut lost = Vec::new();
        for (mut chat, live) in wrong {
            let judged = self.aborted((Some(&mut chat), &live), case).await;
            lost.extend(Some(judged).filter(is_wrong));
        }
        lost
    }

    /// One of these turns, as if it had been the only one. With its chat also by what a reload shows.
    async fn aborted(&self, (chat, live): (Option<&mut Chat>, &Live), case: &str) -> Judged {
        let mut sought = Sought::of(live);
        let saw = live.watching.seen();
        sought.left(&saw);
        let stored = self.look(&sought, &self.endings).await;
        let reload = match (chat, &stored) {
            // The settling time is over.
            (Some(chat), Ok(found)) => {
                let shown = self.reload(chat, (&sought, &found.rows), Duration::ZERO);
                shown.await.unwrap_or(None)
            }
            (None, _) | (_, Err(_)) => None,
        };
        // Nobody waited until the server had noticed that it is to store nothing.
        let policy = self.session.on_disconnect;
        let policy = policy.filter(|policy| policy.keep != Keep::Nothing);
        ended_early::judge(&EndedEarly {
            subject: self.observed().subject(),
            case: case.to_owned(),
            turn: live.number,
            cause: Cause::Left(Way::Reset),
            point: POINT,
            to_come: 0,
            policy,
            marker: self.marker.to_string(),
            met: Ok(()),
            stop_failed: None,
            provider: live.play.provider_end(),
            client: client_saw(&sought, &saw, saw.turn.promised_at().is_some()),
            stored: match stored {
                Ok(found) => Ok(self.stored_of(&found)),
                Err(error) => Err(format!("{error:#}")),
            },
            came_late: false,
            reload,
            next: None,
        })
    }

    /// Aborts so many streams at the same time, or as many of them as the server begins. Gives those.
    async fn abort_some(&mut self, together: usize) -> anyhow::Result<Vec<(Chat, Live)>> {
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: Way::Reset.client(),
        };
        let mut running = Vec::new();
        // A turn that was aborted before it was begun may be begun yet.
        let mut among = if together == 1 {
            Among::Others
        } else {
            Among::Nobody
        };
        for _ in 0..together {
            let chat = self.set_up().await?;
            let live = self.begin_on_line(&chat, 0, vary, among).await?;
            running.push((chat, live));
            among = Among::Others;
        }
        let all_begun = async {
            for (_, live) in &running {
                live.play.until_sent(0).await;
            }
        };
        let _ = tokio::time::timeout(BEGUN_BY_THEN, all_begun).await;
        let mut reached = Vec::new();
        for (_, live) in &running {
            let is_begun = reached.is_empty() || live.play.heard().is_some();
            let moments = &mut Moments::default();
            let is_reached = is_begun && self.reach(live, POINT, moments).await.is_ok();
            reached.push(is_reached);
        }
        let mut is_aborted = Vec::new();
        for ((_, live), is_reached) in running.iter_mut().zip(reached) {
            let has_left = live.watching.leave(Way::Reset).await.is_ok();
            is_aborted.push(is_reached && has_left);
        }
        for (_, live) in &running {
            live.play.release();
        }
        for (_, live) in &running {
            self.until_idle(live).await;
        }
        let aborted = running.into_iter().zip(is_aborted);
        let aborted = aborted.filter_map(|(turn, is_aborted)| is_aborted.then_some(turn));
        Ok(aborted.collect())
    }

    /// One turn with nothing in its way.
    async fn probe_turn(&mut self) -> anyhow::Result<()> {
        let chat = self.set_up().await?;
        let live = self.begin(&chat, 0, AS_RECORDED).await?;
        live.play.release();
        let seen = self
            .until_over(&live, self.options.response_timeout)
            .await?;
        match (seen.turn.final_at, seen.turn.failed) {
            (Some(_), None) => Ok(()),
            (_, Some(said)) => anyhow::bail!("the server answered with an error: {said}"),
            (None, None) => anyhow::bail!("the final marker `{}` did not come", self.marker),
        }
    }

    fn exhausted(&self, aborted: usize, failed: &[String], since: Tick) -> Finding {
        let harm = "after aborted streams the server no longer answers any turn";
        let help = "release what a turn holds in a `finally` or a context manager: the database session, the lock, \
                    the place in a queue";
        let subject = self.observed().subject();
        let mut finding = Finding::new("pool-exhausted", Severity::Error, subject, harm, help);
        for how in failed {
            let first = how.lines().next().unwrap_or_default();
            finding = finding.with(
                Source::Stream,
                format!("a turn after {aborted} aborted streams: {first}"),
            );
        }
        let lines = self.world.output_since(since);
        let tells = lines
            .iter()
            .find(|line| line.text.to_lowercase().contains("pool"));
        match tells {
            Some(line) => finding.with(Source::Log, line.to_string()),
            None => finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, outcome};

    #[test]
    fn a_client_that_is_refused_says_nothing_of_others() {
        let failed = |how: &str| vec![how.to_owned(), how.to_owned()];
        let timed_out = failed("the response of turn 1 did not end within 15s");
        assert_eq!(outcome(24, &timed_out), Outcome::Exhausted);
        assert_eq!(outcome(24, &timed_out[..1]), Outcome::Answered);
        assert_eq!(outcome(24, &[]), Outcome::Answered);
        for unknown in [
            outcome(24, &failed("`POST /chat` was answered 429: slow down")),
            outcome(0, &timed_out),
        ] {
            assert!(matches!(unknown, Outcome::Unknown(_)), "{unknown:?}");
        }
    }
}
