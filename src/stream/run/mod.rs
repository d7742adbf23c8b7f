//! Drives sessions against a server under test and its store: the I/O around the pure cores.

mod calibrate;
mod case;
mod chat;
mod client;
mod close_at_final;
mod cors;
mod finish_without_done;
mod gated;
mod observe;
mod probe;
mod rows;
mod save_fails;
mod spot;
mod stage;
mod talk;
mod trial;
mod warm_up;
mod world;

use super::faults;
use super::profiles::Profile;
use super::session::Session;
use crate::clock;
use crate::report::Report;
use crate::report::StoreLine;
use crate::report::Verdict;
use crate::store::Mapping;
use std::time::Duration;

pub use case::Moments;
pub use chat::Chat;
pub use gated::LEAST_HOLD;
pub use probe::Probed;
pub use probe::Probes;
pub use probe::probe;
pub use spot::Act;
pub use spot::Acted;
pub use stage::Stage;
pub use talk::Access;
pub use talk::Recalled;
pub use talk::Said;
pub use talk::Until;
pub use world::World;

/// How the order is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Proof {
    /// By the gate; with a server that chatctl starts also by fault injection where the
    /// gate leaves it open, and to see whether save errors are swallowed.
    Auto,
    /// By the gate alone.
    Gate,
    /// By fault injection alone: needs the right to make a trigger.
    Fault,
    /// By looking only: writes and locks nothing, and proves no order.
    Observe,
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the order is shown.
    pub proof: Proof,
    /// The gate's name; the strongest when absent.
    pub gate: Option<String>,
    /// How many trials must be decided.
    pub trials: usize,
    /// The hold; by calibration when absent.
    pub hold: Option<Duration>,
    /// The longest hold.
    pub max_hold: Duration,
    /// How long after the end a row may still come.
    pub settle: Duration,
    /// The longest that a response may take when nothing holds it back.
    pub response_timeout: Duration,
    /// The seed of everything that is varied.
    pub seed: u64,
    /// Patterns that the server's output must not match, beside those of the session.
    pub forbid: Vec<regex::Regex>,
    /// Stop at the first violated case.
    pub fail_fast: bool,
}

/// Runs every session and adds what was found to the report.
pub async fn run(
    world: &mut World,
    sessions: &[(Session, &'static Profile)],
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (session, profile) in sessions {
        let mut stage = Stage::new(world, session, profile, options);
        let ran = stage.run(report).await;
        if let Some(store) = stage.store_line() {
            report.store = Some(store);
        }
        if let Err(error) = ran {
            // What was shown before stays shown: a loss must not be hidden by what broke later.
            if report.cases.is_empty() && report.findings.is_empty() {
                return Err(error);
            }
            stage.broke_off(&error, report);
        }
        if options.fail_fast && report.errors() > 0 {
            break;
        }
    }
    Ok(())
}

impl Stage<'_> {
    /// The whole session: what it leaves behind without a gate, the proof, and the cases
    /// that hang up or change how the provider ends.
    async fn run(&mut self, report: &mut Report) -> anyhow::Result<()> {
        self.warm_up().await?;
        let calibrated = self.calibrate(report).await?;
        match &calibrated.wrong {
            Some(why) => self.skip_proof(why, report),
            None => {
                match self.options.proof {
                    Proof::Auto | Proof::Gate => self.prove_by_gate(&calibrated, report).await?,
                    Proof::Fault => self.prove_by_fault(report).await?,
                    Proof::Observe => self.observe_order(&calibrated, report),
                }
                self.finish_without_done(report).await?;
                if self.may_break_saves() {
                    self.save_fails(report).await?;
                }
                // After all others: a server that is hung up on may be damaged by it.
                self.close_at_final(report).await?;
                self.look_again(report).await?;
            }
        }
        self.look_at_log(report);
        let order = format!("{}/order", self.session.name);
        if let Some(case) = report.cases.iter_mut().find(|case| case.name == order) {
            let took = clock::now() - self.began;
            case.metrics
                .insert("session_ms", took.as_secs_f64() * 1000.0);
        }
        Ok(())
    }

    /// The case that could not be finished.
    fn broke_off(&self, error: &anyhow::Error, report: &mut Report) {
        let case = self.begin_case("broke-off", &faults::NONE, &faults::READ_TO_END);
        self.end_case(case, Verdict::Inconclusive, format!("{error:#}"), report);
    }

    /// The line of a report that names the store.
    pub fn store_line(&self) -> Option<StoreLine> {
        let db = self.world.db.as_ref()?;
        let mapping = self.mapping.as_ref();
        Some(StoreLine {
            backend: db.target().backend().to_owned(),
            url: db.target().to_string(),
            mapping: mapping.map_or_else(|| "none found".to_owned(), Mapping::short),
        })
    }
}
