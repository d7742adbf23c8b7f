//! Drives sessions against a server under test and its store: the I/O around the pure cores.

mod aborted_streams;
mod approval;
mod around;
mod asked_again;
mod asked_in_vain;
mod at_final;
mod awaited;
mod calibrate;
mod case;
mod chat;
mod choice;
mod client;
mod close_at_final;
mod commit_faults;
mod cors;
mod drafts;
mod ended_among_others;
mod ended_early;
mod exchange;
mod failing_tool;
mod find_store;
mod finish_without_done;
mod first_turn;
mod flags;
mod gated;
mod gates;
mod headless;
mod holds;
mod interrupted;
mod learnt;
mod leaving;
mod limits;
mod linked;
mod live;
mod loaded;
mod looks;
mod next_turn;
mod observe;
mod parents;
mod pieces;
mod probe;
mod provider_faults;
mod provoked;
mod reading;
mod reload_at_final;
mod resume;
mod rows;
mod save_fails;
mod script;
mod sent_twice;
mod side_by_side;
mod side_job;
mod sought;
mod spot;
mod stage;
mod suite;
mod talk;
mod times;
mod trial;
mod warm_up;
mod watcher;
mod wired;
mod withheld;
mod world;

use super::faults;
use super::profiles::Profile;
use super::session::Session;
use crate::clock;
use crate::gate::CommitFault;
use crate::gateway::faults::Mix;
use crate::report::{Asked, NO_CASE, ORDER, Report, StoreLine, Verdict, demand_proof};
use crate::store::Mapping;
use save_fails::Server;
use std::time::Duration;

pub use case::Moments;
pub use chat::Chat;
pub use choice::{ADDED, Choice, Shard, all_known};
pub use gated::LEAST_HOLD;
pub use interrupted::{Interrupted, Interruption};
pub use probe::{Probed, Probes, probe};
pub use provoked::Provoked;
pub use reload_at_final::moved;
pub use spot::{Act, Acted};
pub use stage::Stage;
pub use suite::{SUITES, Suite};
pub use talk::{Access, Recalled, Said};
pub use warm_up::FIRST_TURN;
pub use world::{OtherProcesses, Way, World};

/// What is checked, and by which means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Proof {
    /// Check the order with the gate. If chatctl starts the server, also make a save fail, to see
    /// whether the server hides the error.
    Auto,
    /// Only check the order, with the gate.
    Gate,
    /// Only make saves fail, and check that the final marker does not come. Proves no order, and needs
    /// the right to create a trigger.
    Fault,
    /// Only observe: writes and locks nothing, and proves no order.
    Observe,
}

/// Which verdicts pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Require {
    /// `proven`, and `held` (nothing wrong was seen).
    Held,
    /// Only `proven`: the gate must show the order of every session.
    Proven,
}

/// The options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which cases there are.
    pub suite: Suite,
    /// Texts in the names of the cases that the suites `full` and `sweep` run; empty for all.
    pub cases: Vec<String>,
    /// In how many conversations turns overlap; the suite's default if absent.
    pub concurrency: Option<usize>,
    /// How long the first rows are watched after their turns.
    pub watch: Duration,
    /// Which of them are run.
    pub choice: Choice,
    /// How the order is shown.
    pub proof: Proof,
    /// Which verdicts pass.
    pub require: Require,
    /// Faults of the commit that carries the answer, one case each.
    pub faults: Vec<CommitFault>,
    /// Faults of the provider, one case each.
    pub provider_faults: Vec<Mix>,
    /// Whether each fault of a provider is tested alone, if it can reach the server.
    pub every_provider_fault: bool,
    /// Whether a lock may be taken on a database of another machine.
    pub allow_gate: bool,
    /// The gate's name; the strongest when absent.
    pub gate: Option<String>,
    /// How many trials must be decided.
    pub trials: usize,
    /// The hold; calibrated if absent.
    pub hold: Option<Duration>,
    /// The longest hold.
    pub max_hold: Duration,
    /// How long after the end a row may still come.
    pub settle: Duration,
    /// The longest time for a response if nothing is withheld.
    pub response_timeout: Duration,
    /// The seed of all random choices.
    pub seed: u64,
    /// Patterns that the server's output must not match, besides those of the session.
    pub forbid: Vec<regex::Regex>,
    /// Stop at the first violated case.
    pub fail_fast: bool,
}

/// Runs every session and adds the results to the report.
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
        // A share that does not have the case of the order leaves the demand to the whole.
        let decides = options.choice.shard.is_none() || stage.is_chosen(ORDER);
        if options.require == Require::Proven && decides {
            demand_proof(report, &session.name);
        }
        stage.without_cases(report);
        if options.fail_fast && report.errors() > 0 {
            break;
        }
    }
    // What is missing in a share may be in another one.
    if options.choice.shard.is_none() {
        let asked = Asked {
            named: options.choice.named.clone(),
            texts: options.cases.clone(),
            proof: false,
        };
        asked.add_missing(report);
    }
    Ok(())
}

impl Stage<'_> {
    /// The whole session: its record without a gate, the proof, and the cases that hang up or
    /// change how the provider ends.
    async fn run(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let first = self.warm_up(report).await?;
        let calibrated = self.calibrate(first, report).await?;
        match &calibrated.wrong {
            Some(why) => self.skip_proof(why, report),
            None => {
                let first_chat = calibrated.first_chat.as_ref();
                match self.options.proof {
                    _ if !self.is_chosen(ORDER) => {}
                    Proof::Auto | Proof::Gate => self.prove_by_gate(&calibrated, report).await?,
                    Proof::Fault => {}
                    Proof::Observe => self.observe_order(&calibrated, report),
                }
                self.finish_without_done(report).await?;
                let server = self.save_fails(report).await?;
                match self.commit_faults(server, report).await? {
                    // After all others: a server that is hung up on may be damaged by it.
                    Server::Works => {
                        self.close_at_final(first_chat, report).await?;
                        self.look_again(first_chat, report).await?;
                        self.end_early(calibrated.lag, report).await?;
                        self.resume(calibrated.lag, report).await?;
                        self.send_twice(report).await?;
                        self.ask_again(report).await?;
                        self.ask_for_approval(report).await?;
                        self.let_a_tool_fail(report).await?;
                        self.side_by_side(report).await?;
                        self.end_among_others(report).await?;
                        self.abort_streams(report).await?;
                        self.provider_faults(calibrated.lag, report).await?;
                    }
                    Server::Hangs => {
                        self.skip_close_at_final(report);
                        self.look_again(first_chat, report).await?;
                    }
                }
                self.judge_buffering(report);
                self.judge_limits(report);
            }
        }
        self.look_at_log(report);
        let mut cases = report.cases.iter_mut();
        if let Some(case) = cases.find(|case| case.session == self.session.name) {
            let took = clock::now() - self.began;
            case.metrics
                .insert("session_ms", took.as_secs_f64() * 1000.0);
            case.metrics.extend(self.times.figures());
        }
        Ok(())
    }

    /// A share without a case of the session is fine: other shares run them.
    fn without_cases(&self, report: &mut Report) {
        let mut cases = report.cases.iter();
        let has_one = cases.any(|case| case.session == self.session.name);
        if self.options.choice.shard.is_some() && !has_one {
            let case = self.begin_case(NO_CASE, &faults::NONE, &faults::READ_TO_END);
            let reason = "no case of this session falls into this share";
            self.end_case(case, Verdict::Held, reason, report);
        }
    }

    /// The case that could not be finished.
    fn broke_off(&self, error: &anyhow::Error, report: &mut Report) {
        let case = self.begin_case("broke-off", &faults::NONE, &faults::READ_TO_END);
        self.end_failed(case, error, report);
    }

    /// The line of a report that names the store.
    pub fn store_line(&self) -> Option<StoreLine> {
        let db = self.world.db.as_ref()?;
        let mapping = self.mapping.as_ref();
        Some(StoreLine {
            backend: db.target().engine().to_string(),
            url: db.target().to_string(),
            mapping: mapping.map_or_else(|| "none found".to_owned(), Mapping::short),
        })
    }
}
