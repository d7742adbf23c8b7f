//! The order proof: trials behind the stepped gate until enough of them are decided.

use super::calibrate::Calibrated;
use super::case::Begun;
use super::stage::Stage;
use super::trial::Holds;
use super::trial::Judged;
use crate::clock;
use crate::gate;
use crate::gate::Gate;
use crate::gate::Limits;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::stream::faults::NONE;
use crate::stream::faults::READ_TO_END;
use crate::stream::judge::order;
use crate::stream::judge::order::ENOUGH;
use crate::stream::judge::order::Shown;
use std::time::Duration;

/// Below this a hold says nothing: 2 461 violating servers sent their marker within 137 ms.
pub const LEAST_HOLD: Duration = Duration::from_millis(300);
const MARGIN: Duration = Duration::from_millis(200);
/// So many undecided trials before the first decided one, and no further ones are tried.
const HOPELESS: usize = 3;

impl Stage<'_> {
    pub(super) async fn prove_by_gate(
        &mut self,
        calibrated: &Calibrated,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut case = self.begin_case("order", &NONE, &READ_TO_END);
        let Some(hold) = self.hold_for(calibrated.lag) else {
            let reason = format!(
                "the server takes {} ms from the provider's end to the final marker; a hold of 1.5 times \
                 that is longer than --max-hold ({} ms)",
                calibrated.lag.as_millis(),
                self.options.max_hold.as_millis()
            );
            self.end_case(case, Verdict::Inconclusive, reason, report);
            return Ok(());
        };
        case.metric("lag_ms", calibrated.lag);
        case.metric("hold_ms", hold);
        let mut gate = self.take_gate().await?;
        let judged = self.trials(gate.as_mut(), hold, &mut case).await;
        self.world.gate = Some(gate);
        let judged = judged?;
        report.checked += judged.len() as u64;
        self.conclude(judged, case, report).await
    }

    /// Three times the longest time seen, and a margin, within the bounds; none when even one
    /// and a half times is out of bounds. A hold that the user gives is never shorter than that.
    fn hold_for(&self, lag: Duration) -> Option<Duration> {
        let longest = self.options.max_hold;
        let least = (lag * 3 / 2).max(LEAST_HOLD);
        if least > longest {
            return None;
        }
        let hold = match self.options.hold {
            None => lag * 3 + MARGIN,
            Some(hold) => {
                if hold < least {
                    self.world.progress.warning(&format!(
                        "--hold {} is too short to show anything of this server: taking {} ms",
                        humantime::format_duration(hold),
                        least.as_millis()
                    ));
                }
                hold
            }
        };
        Some(hold.clamp(least, longest))
    }

    async fn take_gate(&mut self) -> anyhow::Result<Box<dyn Gate>> {
        if let Some(gate) = self.world.gate.take() {
            return Ok(gate);
        }
        let limits = Limits {
            max_hold: self.options.max_hold,
        };
        let (gate, passed_over) =
            gate::open(self.options.gate.as_deref(), self.world.db(), limits).await?;
        for why in passed_over {
            self.world
                .progress
                .warning(&format!("a stronger gate can't be used: {why}"));
        }
        let kind = gate::ALL.iter().find(|kind| kind.name == gate.name());
        self.world.progress.note(&format!(
            "gate {}: locks {}, at most {} ms at a time",
            gate.name(),
            kind.map_or("the store", |kind| kind.what),
            self.options.max_hold.as_millis()
        ));
        Ok(gate)
    }

    /// Trials until enough are decided. One that leaves it open is tried again: a writer that
    /// was late, or a marker that overtook the gate, says nothing of the server. A violation ends it.
    async fn trials(
        &mut self,
        gate: &mut dyn Gate,
        hold: Duration,
        case: &mut Begun,
    ) -> anyhow::Result<Vec<Judged>> {
        let wanted = self.options.trials.max(ENOUGH);
        let mut judged: Vec<Judged> = Vec::new();
        let turns = self.session.turns.len();
        for number in 1..=4 * wanted {
            self.doing(&format!(
                "order: trial {number}, {} of {wanted} decided",
                decided(&judged, turns)
            ));
            let chat = self.set_up().await?;
            for index in 0..turns {
                let holds = self.holds(hold);
                let trial = self.gated_turn(&chat, index, gate, holds).await?;
                judged.push(trial);
            }
            let sum = sum(&judged, turns, wanted);
            // Overtaken trials are a busy machine's doing until they are all there is.
            let patience = if of(&judged, &Shown::Overtaken) > 0 {
                2 * wanted
            } else {
                HOPELESS
            };
            let hopeless = number >= patience && decided(&judged, turns) == 0;
            if hopeless || matches!(sum, Shown::Violated(_) | Shown::Proven) {
                break;
            }
        }
        let held: Duration = judged.iter().map(|judged| judged.held).sum();
        case.metric("held_ms", held);
        case.metrics.insert("trials", judged.len() as f64);
        Ok(judged)
    }

    /// A hold varies, so that a server which just waits long enough is found out.
    fn holds(&mut self, hold: Duration) -> Holds {
        let longest = self.options.max_hold;
        Holds {
            hold: hold.mul_f64(1.0 + self.rng.f64() / 2.0).min(longest),
            longest,
            // SQLite's usual patience is 5 s; servers must not run into it.
            budget: longest.mul_f64(1.6),
        }
    }

    async fn conclude(
        &mut self,
        judged: Vec<Judged>,
        mut case: Begun,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let sum = sum(
            &judged,
            self.session.turns.len(),
            self.options.trials.max(ENOUGH),
        );
        let (trials, proven) = (judged.len(), of(&judged, &Shown::Proven));
        let telling = judged.into_iter().find(|judged| judged.shown == sum);
        if let Some(telling) = &telling {
            case.timeline = telling.moments.timeline.clone();
        }
        let reason = match sum {
            Shown::Proven => format!("{proven} of {trials} trials: {}", sum.reason()),
            _ => sum.reason(),
        };
        match (sum, telling) {
            (Shown::Proven, _) => self.end_case(case, Verdict::Proven, reason, report),
            (Shown::Violated(how), Some(telling)) => {
                let findings = self.violation(&telling, &how, &case.name).await;
                self.end_case(case, Verdict::Violated, reason, report);
                findings.into_iter().for_each(|finding| report.add(finding));
            }
            // Only this one: a trigger fails the statement and not the commit, so where it is
            // open which of the commit and the marker was first, it settles nothing.
            (Shown::SavedEarlier, _) if self.may_break_saves() => {
                self.settle_by_fault(&reason, case, report).await?;
            }
            (Shown::SavedEarlier | Shown::Ambiguous(_) | Shown::Overtaken, _) => {
                report.add(self.ambiguous(&reason, &case.name));
                self.end_case(case, Verdict::Inconclusive, reason, report);
            }
            (Shown::Inconclusive(_) | Shown::Violated(_), _) => {
                self.end_case(case, Verdict::Inconclusive, reason, report);
            }
        }
        Ok(())
    }

    /// What a proven violation is: saved late, or not saved at all though it is without a gate.
    async fn violation(&self, judged: &Judged, how: &str, case: &str) -> Vec<Finding> {
        let name = &self.session.name;
        let marker = &self.marker;
        let at =
            |at: Option<clock::Tick>| at.map_or_else(|| "-".to_owned(), |at| judged.moments.ms(at));
        let closed = match judged.trial.closed {
            Some(closed) => format!("the gate was closed from {}", judged.moments.ms(closed)),
            None => "no gate was closed; the row was read after the marker had come".to_owned(),
        };
        if let Some(late) = judged.late_row {
            return vec![
                Finding::new(
                    "saved-after-done",
                    Severity::Error,
                    name,
                    format!(
                        "the answer is saved after `{marker}`: a browser that hangs up there cancels the save, \
                         and the answer is gone after a reload"
                    ),
                    format!("save and commit the assistant's message before `{marker}` is yielded"),
                )
                .with(Source::Stream, format!("`{marker}` arrived at {}", at(judged.trial.final_at)))
                .with(Source::Store, format!("{how}; {closed}"))
                .with(Source::Store, format!("the row was complete at {}", judged.moments.ms(late)))
                .in_case(case),
            ];
        }
        let mut findings = vec![
            Finding::new(
                "swallows-save-errors",
                Severity::Error,
                name,
                format!("`{marker}` is sent although the save failed: the user sees an answer that is stored nowhere"),
                format!("let a failed save end the stream with an error event and without `{marker}`"),
            )
            .with(Source::Stream, format!("`{marker}` arrived at {}", at(judged.trial.final_at)))
            .with(
                Source::Store,
                "while the gate was closed the save could not be done, and no row came afterwards; without a gate it comes",
            )
            .in_case(case),
        ];
        findings.extend(self.silent_failure(judged.sent, case).await);
        findings
    }

    pub(super) fn ambiguous(&self, why: &str, case: &str) -> Finding {
        Finding::new(
            "order-ambiguous",
            Severity::Warning,
            &self.session.name,
            "it was not shown whether the answer is committed before the final marker",
            "run with --proof fault on a test database: it makes exactly this save fail and sees whether the final marker still comes",
        )
        .with(Source::Store, why)
        .in_case(case)
    }
}

/// The trials of each turn summed by themselves, and the worst of them: that one turn is saved in
/// time says nothing of another.
fn sum(judged: &[Judged], turns: usize, wanted: usize) -> Shown {
    let of_turn = |turn| {
        let trials = judged.iter().filter(|judged| judged.turn == turn);
        let shown: Vec<_> = trials.map(|judged| judged.shown.clone()).collect();
        order::sum(&shown, wanted)
    };
    (0..turns).map(of_turn).max().unwrap_or(Shown::Proven)
}

/// How many trials the turn with the fewest has decided.
fn decided(judged: &[Judged], turns: usize) -> usize {
    let of_turn = |turn| {
        let proven = |judged: &&Judged| judged.turn == turn && judged.shown == Shown::Proven;
        judged.iter().filter(proven).count()
    };
    (0..turns).map(of_turn).min().unwrap_or(0)
}

fn of(judged: &[Judged], wanted: &Shown) -> usize {
    judged
        .iter()
        .filter(|judged| judged.shown == *wanted)
        .count()
}
