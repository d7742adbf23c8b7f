//! The order proof: trials with the stepped gate until enough of them are decided.

use super::at_final::Missing;
use super::calibrate::Calibrated;
use super::case::Begun;
use super::holds::Holds;
use super::pieces::{Last, Pieces};
use super::reading::Reading;
use super::rows::has_questions;
use super::save_fails::swallowed;
use super::stage::Stage;
use super::trial::Judged;
use super::withheld::Way;
use crate::gate::{AnyGate, CommitGate, Elsewhere, Order};
use crate::report::{Finding, Report, Severity, Source, Timeline, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order::{ENOUGH, Ended, TrialOutcome};
use crate::stream::judge::reload::{Reload, Together};
use crate::stream::judge::{order, reload};
use std::time::Duration;

/// Below this a hold says nothing: 2 461 violating servers sent their marker within 137 ms.
pub const LEAST_HOLD: Duration = Duration::from_millis(300);
const MARGIN: Duration = Duration::from_millis(200);
/// So many undecided trials before the first decided one, and no further ones are tried.
const HOPELESS: usize = 3;

/// Nobody knows whether it is there.
const NOT_FOUND: &str =
    "the answer, whose last character came by itself, was not found in the store";

/// What a hold may be, before it is varied.
#[derive(Clone, Copy)]
struct Bounds {
    /// Shorter ones show nothing.
    least: Duration,
    hold: Duration,
    /// Longer ones are not allowed.
    longest: Duration,
}

impl Stage<'_> {
    pub(super) async fn prove_by_gate(
        &mut self,
        calibrated: &Calibrated,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut case = self.begin_case("order", &NONE, &READ_TO_END);
        let mut gate = self.take_gate().await?;
        let longest = longest(&gate, self.options.max_hold);
        let least = (calibrated.lag * 3 / 2).max(LEAST_HOLD);
        let Some(hold) = self.hold_for(calibrated.lag, least, longest) else {
            self.world.gate = Some(gate);
            let reason = format!(
                "the server takes {} ms from the provider's end to the final marker: a hold has to be 1.5 times \
                 as long, but --max-hold leaves room for {} ms only",
                calibrated.lag.as_millis(),
                longest.as_millis()
            );
            self.end_case(case, Verdict::Inconclusive, reason, report);
            return Ok(());
        };
        case.metric("lag_ms", calibrated.lag);
        case.metric("hold_ms", hold);
        self.provoke();
        let bounds = Bounds {
            least,
            hold,
            longest,
        };
        let judged = self.trials(&mut gate, bounds, &mut case).await;
        self.world.gate = Some(gate);
        let judged = judged?;
        self.calm().await;
        report.checked += judged.len() as u64;
        self.conclude(judged, case, report).await
    }

    /// Three times the longest time seen, and a margin, within the bounds; none when even one
    /// and a half times is out of bounds. A hold that the user gives is never shorter than that.
    fn hold_for(&self, lag: Duration, least: Duration, longest: Duration) -> Option<Duration> {
        if least > longest {
            return None;
        }
        let hold = match self.options.hold {
            None => lag * 3 + MARGIN,
            Some(hold) => {
                if hold < least {
                    self.world.progress.warning(&format!(
                        "--hold {} is too short for this server: using {} ms",
                        humantime::format_duration(hold),
                        least.as_millis()
                    ));
                }
                hold
            }
        };
        Some(hold.clamp(least, longest))
    }

    /// Trials until enough are decided. One that leaves it open is tried again: a writer that
    /// was late, or a marker that overtook the gate, says nothing of the server. A violation ends it.
    async fn trials(
        &mut self,
        gate: &mut AnyGate,
        bounds: Bounds,
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
                let holds = self.holds(bounds);
                let pieces = next_pieces(&judged, index);
                let mut trial = match gate {
                    AnyGate::Commits(gate) => {
                        let gate = gate.as_mut();
                        let way = next_way(&judged, gate);
                        self.withheld_turn(&chat, index, pieces, gate, holds, way)
                            .await?
                    }
                    AnyGate::Lock(gate) => {
                        self.gated_turn(&chat, index, pieces, gate.as_mut(), holds)
                            .await?
                    }
                };
                if pieces.last == Last::Short && trial.is_never_found() {
                    trial.shown = TrialOutcome::Inconclusive(NOT_FOUND.to_owned());
                }
                judged.push(trial);
            }
            let sum = sum(&judged, turns, wanted);
            // Overtaken trials are a busy machine's doing until they are all there is. Of writers that could
            // not be distinguished, another one may come first next time.
            let depends = |judged: &Judged| {
                matches!(
                    judged.shown,
                    TrialOutcome::Overtaken | TrialOutcome::Ambiguous(_)
                )
            };
            let patience = if judged.iter().any(depends) {
                2 * wanted
            } else {
                HOPELESS
            };
            let hopeless = number >= patience && decided(&judged, turns) == 0;
            if hopeless || matches!(sum, TrialOutcome::Violated(_) | TrialOutcome::Proven) {
                break;
            }
        }
        let held: Duration = judged.iter().map(|judged| judged.held).sum();
        case.metric("held_ms", held);
        case.metrics.insert("trials", judged.len() as f64);
        for (ended, count) in tally(&judged) {
            case.metrics.insert(ended.figure(), count as f64);
        }
        Ok(judged)
    }

    /// A hold varies, so that a server which just waits long enough is found out.
    fn holds(&mut self, bounds: Bounds) -> Holds {
        let Bounds {
            least,
            hold,
            longest,
        } = bounds;
        Holds {
            least,
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
        let trials = judged.len();
        // Where a question is never found, that is reported already.
        let has_questions = has_questions(&self.session.name, report);
        let counts = |missing: &Missing| match missing {
            Missing::Answer(_)
            | Missing::Earlier { .. }
            | Missing::Conversation
            | Missing::Tools(_) => true,
            Missing::Question => has_questions,
        };
        let missing = missing(&judged, counts);
        if let (TrialOutcome::Proven, Some((first, missing, times))) = (&sum, missing) {
            case.timeline = first.moments.timeline.clone();
            let finding = self.missed(missing, &case.name);
            let reason = format!("{times} of {trials} trials: {}", missing.what());
            self.end_case(case, Verdict::Violated, reason, report);
            report.add(finding);
            return Ok(());
        }
        if let Some(why) = self.unseen(&sum, &judged, report) {
            case.timeline = unseen_in(&judged).unwrap_or_default();
            self.end_case(case, Verdict::Inconclusive, why, report);
            return Ok(());
        }
        let reason = reason(&sum, &judged);
        let telling = judged.into_iter().find(|judged| judged.shown == sum);
        if let Some(telling) = &telling {
            case.timeline = telling.moments.timeline.clone();
        }
        match (sum, telling) {
            (TrialOutcome::Proven, _) => self.end_case(case, Verdict::Proven, reason, report),
            (TrialOutcome::Violated(how), Some(telling)) => {
                let is_dropped = telling.closed.is_some() && telling.late_row.is_none();
                let (verdict, reason, findings) = if is_dropped {
                    (
                    Verdict::Inconclusive,
                    "the server dropped a save that failed while the gate was closed, and sent the final \
                        marker: that says nothing about the order of saves that succeed"
                        .to_owned(),
                    match self.reading {
                        Reading::Text => self.dropped(&telling, &case.name).await,
                        // Nobody knows whether the response reported it.
                        Reading::Unknown | Reading::Nothing { .. } => Vec::new(),
                    },
                )
                } else {
                    (
                        Verdict::Violated,
                        reason,
                        vec![self.saved_late(&telling, &how, &case.name)],
                    )
                };
                self.end_case(case, verdict, reason, report);
                findings.into_iter().for_each(|finding| report.add(finding));
            }
            (
                TrialOutcome::SavedEarlier | TrialOutcome::Ambiguous(_) | TrialOutcome::Overtaken,
                _,
            ) => {
                report.add(self.ambiguous(&reason, &case.name));
                self.end_case(case, Verdict::Inconclusive, reason, report);
            }
            (TrialOutcome::Inconclusive(_) | TrialOutcome::Violated(_), _) => {
                self.end_case(case, Verdict::Inconclusive, reason, report);
            }
        }
        Ok(())
    }

    /// The marker came, and then the row, or no gate kept it from coming.
    fn saved_late(&self, judged: &Judged, how: &str, case: &str) -> Finding {
        let marker = &self.marker;
        let closed = match judged.closed {
            Some(closed) => format!("the gate was closed from {}", judged.moments.ms(closed)),
            None => "no gate was closed; the row was read after the marker arrived".to_owned(),
        };
        let came = match judged.late_row {
            Some(late) => format!("the row was complete at {}", judged.moments.ms(late)),
            None => "the row has not come since".to_owned(),
        };
        Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("the answer is saved after `{marker}`: a crash, or a reload that is faster than the save, loses it"),
            self.profile
                .help()
                .unwrap_or_else(|| format!("save and commit the assistant's message before `{marker}` is sent")),
        )
        .with(Source::Stream, self.arrived(judged))
        .with(Source::Store, format!("{how}; {closed}"))
        .with(Source::Store, came)
        .in_case(case)
    }

    /// Why a proof does not count: a reload at the marker lacked the answer, or no commit can be withheld as
    /// long as one takes. Notes where no reload got a reply.
    fn unseen(&self, sum: &TrialOutcome, judged: &[Judged], report: &mut Report) -> Option<String> {
        if *sum != TrialOutcome::Proven {
            return None;
        }
        let marker = &self.marker;
        let seen: Vec<_> = judged.iter().map(|it| (it.turn, it.reload)).collect();
        let needs = self.times.slowest_reload();
        match reload::together(&seen) {
            Together::Shown => None,
            Together::Missing(times) => Some(format!(
                "{times} of {} trials: a reload at `{marker}` did not show the answer, and no commit was seen to change \
                    that: a crash may hide the answer. Update what the history reads before `{marker}` is sent; if it \
                    takes long to read, use a longer --max-hold",
                judged.len()
            )),
            Together::TooSlow => {
                let why = format!(
                    "a reload takes {} ms, longer than a commit may be withheld",
                    needs.as_millis()
                );
                let help = format!("use --max-hold {}s", (needs * 4).as_secs() + 1);
                report.add(self.reload_untried(&why, &help));
                Some(format!(
                    "it is not known whether a reload shows the answer right at `{marker}`: {why}; {help}"
                ))
            }
            Together::Untried => {
                report.add(self.reload_untried(
                    "the server does not reply while its commits are withheld",
                    "run `chatctl audit restart --stop kill-at-final`: it kills the server at the marker, and then requests the history",
                ));
                None
            }
        }
    }

    /// The note that nobody saw what a reload shows at the marker.
    fn reload_untried(&self, why: &str, help: &str) -> Finding {
        let marker = &self.marker;
        Finding::new(
            "reload-untried",
            Severity::Note,
            &self.session.name,
            format!(
                "it was not tested whether a reload shows the answer right at `{marker}`: {why}"
            ),
            help,
        )
    }

    /// The marker came behind the closed gate, and the row never: the save failed, and nobody minds.
    async fn dropped(&self, judged: &Judged, case: &str) -> Vec<Finding> {
        let mut findings = vec![
            swallowed(&self.session.name, &self.marker, case)
                .with(Source::Stream, self.arrived(judged))
                .with(
                    Source::Store,
                    "the save failed while the gate was closed, and no row came afterwards; without a gate the row comes",
                ),
        ];
        findings.extend(self.silent_failure(judged.sent, case).await);
        findings
    }

    fn arrived(&self, judged: &Judged) -> String {
        let at = judged.final_at.map(|at| judged.moments.ms(at));
        format!(
            "`{}` arrived at {}",
            self.marker,
            at.as_deref().unwrap_or("-")
        )
    }

    pub(super) fn ambiguous(&self, why: &str, case: &str) -> Finding {
        Finding::new(
            "order-ambiguous",
            Severity::Warning,
            &self.session.name,
            "it is not known whether the answer is committed before the final marker",
            "write the answer and everything that belongs to it in one transaction: then the gate sees one write",
        )
        .with(Source::Store, why)
        .in_case(case)
    }
}

/// The longest hold. A gate that withholds commits counts from when one comes, and lets it through at
/// its deadline: the hold, which may begin later, has to end before.
fn longest(gate: &AnyGate, max_hold: Duration) -> Duration {
    match gate {
        AnyGate::Commits(_) => max_hold.mul_f64(0.8),
        AnyGate::Lock(_) => max_hold,
    }
}

/// In how many trials something has to be missing. A history may be late, and what tells a row of a conversation or a
/// tool may change meanwhile; a question that no row holds while each later commit is withheld was not saved in time.
const fn enough_of(missing: &Missing) -> usize {
    match missing {
        Missing::Question => 1,
        Missing::Earlier { .. }
        | Missing::Answer(_)
        | Missing::Conversation
        | Missing::Tools(_) => 2,
    }
}

/// The timeline of a trial in which no reload showed the answer.
fn unseen_in(judged: &[Judged]) -> Option<Timeline> {
    let is_unseen = |it: &&Judged| !matches!(it.reload, Reload::Shown | Reload::Untold);
    let telling = judged.iter().find(is_unseen);
    telling.map(|judged| judged.moments.timeline.clone())
}

/// Why the trials end with this outcome, and how many ended in which way.
fn reason(sum: &TrialOutcome, judged: &[Judged]) -> String {
    let trials = judged.len();
    let proven = of(judged, &TrialOutcome::Proven);
    let counted: Vec<_> = tally(judged)
        .into_iter()
        .map(|(ended, count)| format!("{count} {}", ended.word()))
        .collect();
    let (why, counted) = (sum.reason(), counted.join(", "));
    match sum {
        TrialOutcome::Proven if proven == trials => format!("{proven} of {trials} trials: {why}"),
        TrialOutcome::Proven => format!("{proven} of {trials} trials: {why} ({counted})"),
        _ if trials == 1 => why,
        _ => format!("{why} ({trials} trials: {counted})"),
    }
}

/// What is missing at the marker in enough trials: the first of them, and how many there are.
fn missing(
    judged: &[Judged],
    counts: impl Fn(&Missing) -> bool,
) -> Option<(&Judged, &Missing, usize)> {
    let mut found: Vec<_> = judged
        .iter()
        .filter_map(|judged| Some((judged, judged.missing.as_ref().filter(|it| counts(it))?)))
        .collect();
    found.sort_by_key(|(_, missing)| *missing);
    let same = |a: &(&Judged, &Missing), b: &(&Judged, &Missing)| {
        std::mem::discriminant(a.1) == std::mem::discriminant(b.1)
    };
    let mut kinds = found.chunk_by(same);
    let is_enough = |kind: &&[(&Judged, &Missing)]| kind.len() >= enough_of(kind[0].1);
    let [(first, missing), others @ ..] = kinds.find(is_enough)? else {
        return None;
    };
    Some((first, missing, others.len() + 1))
}

/// Where several writers could not be distinguished, the next trial lets them go in the other order. Where
/// the server knew of its commit before it was answered, the next ones withhold whatever may have told it.
fn next_way(judged: &[Judged], gate: &dyn CommitGate) -> Way {
    let ambiguous = |judged: &&Judged| matches!(judged.shown, TrialOutcome::Ambiguous(_));
    let knew = |judged: &Judged| gate.can_quiet() && judged.early && ambiguous(&judged);
    let of_order = judged.iter().filter(ambiguous).filter(|it| !knew(it));
    Way {
        order: match of_order.count() % 2 {
            0 => Order::Arrival,
            _ => Order::SecondFirst,
        },
        elsewhere: if judged.iter().any(knew) {
            Elsewhere::Waits
        } else {
            Elsewhere::Flows
        },
    }
}

/// How the next answer of a turn is cut. Those that count are in other pieces each, and every second
/// trial ends with a short one: otherwise a server that saves in batches may always be right by accident.
fn next_pieces(judged: &[Judged], turn: usize) -> Pieces {
    let pieces = Pieces::of(proven_of(judged, turn));
    let tried = judged.iter().filter(|judged| judged.turn == turn).count();
    if tried % 2 == 1 {
        pieces.ending_short()
    } else {
        pieces
    }
}

/// The trials of each turn summed by themselves, and the worst of them: that one turn is saved in
/// time says nothing of another.
fn sum(judged: &[Judged], turns: usize, wanted: usize) -> TrialOutcome {
    let of_turn = |turn| {
        let trials = judged.iter().filter(|judged| judged.turn == turn);
        let shown: Vec<_> = trials.map(|judged| judged.shown.clone()).collect();
        order::sum(&shown, wanted)
    };
    (0..turns)
        .map(of_turn)
        .max()
        .unwrap_or(TrialOutcome::Proven)
}

/// How many trials the turn with the fewest has decided.
fn decided(judged: &[Judged], turns: usize) -> usize {
    let of_turn = |turn| proven_of(judged, turn);
    (0..turns).map(of_turn).min().unwrap_or(0)
}

fn proven_of(judged: &[Judged], turn: usize) -> usize {
    let is_proven = |judged: &&Judged| judged.turn == turn && judged.shown == TrialOutcome::Proven;
    judged.iter().filter(is_proven).count()
}

fn tally(judged: &[Judged]) -> Vec<(Ended, usize)> {
    let shown: Vec<_> = judged.iter().map(|judged| &judged.shown).collect();
    order::tally(&shown)
}

fn of(judged: &[Judged], wanted: &TrialOutcome) -> usize {
    judged
        .iter()
        .filter(|judged| judged.shown == *wanted)
        .count()
}
