//! Rounds of one session, and the verdict on each.

use super::round::Round;
use super::round_findings::RoundFindings;
use super::state::State;
use super::ways::Way;
use super::{Options, preflight};
use crate::report::{Case, Finding, Report, Severity, Verdict};
use crate::stream::run::Stage;
use crate::text::on_one_line;
use crate::{cli_error, clock};

/// How many conversations are asked for after each restart.
const KEPT: usize = 50;
/// How often a round is tried in which the server was killed too late.
const TRIES: usize = 10;

/// One session's experiment.
pub(super) struct Experiment<'s, 'w> {
    state: State<'s, 'w>,
    tally: RoundFindings,
}

impl<'s, 'w> Experiment<'s, 'w> {
    pub(super) fn new(stage: &'s mut Stage<'w>, options: &'s Options) -> Self {
        Self {
            state: State::new(stage, options),
            tally: RoundFindings::default(),
        }
    }

    /// Goes through every round. Returns whether there still is a server.
    pub(super) async fn run(mut self, report: &mut Report) -> anyhow::Result<bool> {
        let goes_on = self.rounds(report).await?;
        for finding in self.tally.findings() {
            report.add(finding);
        }
        Ok(goes_on)
    }

    async fn rounds(&mut self, report: &mut Report) -> anyhow::Result<bool> {
        for number in 1..=self.state.options.rounds {
            for way in &self.state.options.ways {
                let first = report.cases.is_empty();
                let goes_on = self.round(number, way, report).await;
                if first {
                    self.preflight().await?;
                }
                match goes_on {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    // Before anything was shown there is only the error to tell.
                    Err(error) if first => return Err(error),
                    Err(error) => {
                        self.broke_off(number, way, &error, report);
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }

    async fn round(
        &mut self,
        number: usize,
        way: &'static Way,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let name = format!(
            "{}/round-{number}/{}",
            self.state.stage.session().name,
            way.name
        );
        self.state
            .stage
            .doing(&format!("round {number}, {}", way.name));
        let began = clock::now();
        let mut round = Round::new(way);
        let mut ran = round.run(&mut self.state).await;
        for _ in 1..TRIES {
            if ran.is_err() || round.down || !round.is_late() {
                break;
            }
            round = round.again();
            ran = round.run(&mut self.state).await;
        }
        let worst = round.findings.iter().map(|finding| finding.severity).max();
        let broken = worst == Some(Severity::Error);
        let (verdict, reason) = match (ran, broken) {
            (Err(error), false) if round.findings.is_empty() && !round.stopped => {
                return Err(error);
            }
            (_, true) => (Verdict::Violated, self.worst(&round.findings)),
            (Err(error), false) => (Verdict::Inconclusive, cli_error::with_hint(&error)),
            (Ok(reason), false) => match &self.state.elsewhere {
                Some(why) => (Verdict::Inconclusive, why.clone()),
                None => match round.shows_nothing() {
                    Some(why) => (Verdict::Inconclusive, why),
                    None => (Verdict::Held, reason),
                },
            },
        };
        report.checked += round.checked;
        report.cases.push(Case {
            name: name.clone(),
            session: self.state.stage.session().name.clone(),
            fault: "none".into(),
            client: "read-to-end".into(),
            verdict,
            reason,
            took: clock::now() - began,
            timeline: std::mem::take(&mut round.moments.timeline),
            metrics: round.metrics(),
        });
        let findings = round.findings.into_iter();
        let findings = findings.map(|finding| finding.in_case(&name)).collect();
        self.tally.round(way.name, findings);
        self.state.stage.look_at_log(report);
        // The oldest have seen the most restarts, and the newest were just written.
        while self.state.held.len() > KEPT {
            self.state.held.remove(KEPT / 2);
        }
        Ok(!round.down)
    }

    fn worst(&self, findings: &[Finding]) -> String {
        let worst = findings
            .iter()
            .find(|finding| finding.severity == Severity::Error);
        worst
            .map(|finding| format!("{} ({})", finding.harm, finding.code))
            .unwrap_or_default()
    }

    fn broke_off(&self, number: usize, way: &Way, error: &anyhow::Error, report: &mut Report) {
        let session = self.state.stage.session().name.clone();
        report.cases.push(Case {
            name: format!("{session}/round-{number}/{}", way.name),
            session,
            fault: "none".into(),
            client: "read-to-end".into(),
            verdict: Verdict::Inconclusive,
            reason: on_one_line(&cli_error::with_hint(error)),
            took: std::time::Duration::ZERO,
            timeline: Default::default(),
            metrics: Default::default(),
        });
    }

    /// What the store's settings and its login's rights would allow.
    async fn preflight(&mut self) -> anyhow::Result<()> {
        let findings = match (self.state.stage.store(), self.state.stage.mapping()) {
            (Some(db), Some(mapping)) => preflight::findings(db, mapping).await?,
            _ => Vec::new(),
        };
        for finding in findings {
            self.tally.add_overall(finding);
        }
        Ok(())
    }
}
