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
const LEAST_HOLD: Duration = Duration::from_millis(300);
const MARGIN: Duration = Duration::from_millis(200);
const OVERTAKEN: &str = "the final marker came before the gate was closed again behind the write that completed the row: \
    it may have been sent before the commit";
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
    /// and a half times is out of bounds.
    fn hold_for(&self, lag: Duration) -> Option<Duration> {
        if let Some(hold) = self.options.hold {
            return Some(hold.min(self.options.max_hold));
        }
        let longest = self.options.max_hold;
        (lag * 3 / 2 <= longest).then(|| (lag * 3 + MARGIN).max(LEAST_HOLD).min(longest))
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
            let violated = judged
                .iter()
                .any(|judged| matches!(judged.shown, Shown::Violated(_)));
            let so_far = decided(&judged, turns);
            let hopeless = so_far == 0 && number == HOPELESS;
            if violated || hopeless || so_far >= wanted {
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
        let shown: Vec<_> = judged.iter().map(|judged| judged.shown.clone()).collect();
        let wanted = self.options.trials.max(ENOUGH) * self.session.turns.len();
        let sum = order::sum(&shown, wanted);
        let proven = shown
            .iter()
            .filter(|shown| **shown == Shown::Proven)
            .count();
        let telling = judged.into_iter().find(|judged| judged.shown == sum);
        let (verdict, reason) = match &sum {
            Shown::Proven => (
                Verdict::Proven,
                format!(
                    "{proven} of {} trials: the row was complete before the final marker",
                    shown.len()
                ),
            ),
            Shown::Violated(how) => (Verdict::Violated, how.clone()),
            Shown::Ambiguous(why) => (Verdict::Inconclusive, format!("ambiguous: {why}")),
            Shown::Overtaken => (Verdict::Inconclusive, format!("ambiguous: {OVERTAKEN}")),
            Shown::Inconclusive(why) => (Verdict::Inconclusive, why.clone()),
        };
        if let Some(telling) = &telling {
            case.timeline = telling.moments.timeline.clone();
        }
        let open = match &sum {
            Shown::Ambiguous(why) => Some(why.as_str()),
            Shown::Overtaken => Some(OVERTAKEN),
            _ => None,
        };
        match (&sum, telling) {
            (Shown::Violated(how), Some(telling)) => {
                let findings = self.violation(&telling, how, &case.name).await;
                self.end_case(case, verdict, reason, report);
                findings.into_iter().for_each(|finding| report.add(finding));
            }
            _ => match open {
                // A trigger fails the statement and not the commit, so it can't settle which of
                // the commit and the marker was first.
                Some(why) if self.may_break_saves() && sum != Shown::Overtaken => {
                    self.settle_by_fault(why, case, report).await?;
                }
                Some(why) => {
                    report.add(self.ambiguous(why, &case.name));
                    self.end_case(case, verdict, reason, report);
                }
                None => self.end_case(case, verdict, reason, report),
            },
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

/// How many rounds over all turns were decided.
fn decided(judged: &[Judged], turns: usize) -> usize {
    judged
        .iter()
        .filter(|judged| judged.shown == Shown::Proven)
        .count()
        / turns
}
