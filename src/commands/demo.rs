//! `chatctl demo`: a proven pass and a proven violation, without network or Python.

use super::{Done, Env, Tour, verify_stream};
use crate::demo::Save;
use crate::report::{Case, Report, Severity, Verdict};
use crate::stream::run::Proof;
use crate::stream::setup::Wanted;
use crate::temporary::Folder;
use crate::{current_exe, demo};
use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Verify two built-in chat servers, a correct one and a broken one
///
/// Everything happens on loopback and in a temporary folder, which is removed at the end.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Verify only the server with this bug; the exit code is that of the verdict
    #[arg(long, value_parser = PossibleValuesParser::new(demo::ALL.iter().map(|bug| bug.name)))]
    bug: Option<String>,
}

/// The arguments of the demo's server process.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    #[arg(long)]
    db: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    gateway: String,
    #[arg(long)]
    bug: Option<String>,
}

const GOOD: &str =
    "1. A correct chat server: it commits the assistant's message, and then sends `[DONE]`.";
const BAD: &str = "2. The same server with the bug of a real incident: it sends `[DONE]` first and saves afterwards.\n   \
    A browser that hangs up at `[DONE]` cancels the save, and the answer is gone after a reload.";
const END: &str = "Both verdicts are as expected. Now your own server:\n\n  \
    chatctl verify-stream --database-url sqlite:chat.db --start 'uvicorn app:app --port {port}'\n\n\
    `chatctl explain saved-after-done` explains what causes the bug and how to fix it.";

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    if let Some(bug) = &args.bug {
        return Ok(Done::Report(Box::new(verify(Some(bug), &env).await?)));
    }
    let good = verify(None, &env).await?;
    let bad = verify(Some("saved-after-done"), &env).await?;
    let as_it_must = good.verdict() == Verdict::Proven && bad.verdict() == Verdict::Violated;
    let whole = sum(&good, &bad);
    let end = if as_it_must {
        END
    } else {
        "The verdicts are not as expected: something on this machine disturbs the proof."
    };
    let stops = vec![
        (GOOD.to_owned(), Some(good)),
        (BAD.to_owned(), Some(bad)),
        (end.to_owned(), None),
    ];
    Ok(Done::Tour(Box::new(Tour { stops, whole })))
}

/// Both verifications as one report: what is asked is whether each verdict is as it must be.
fn sum(good: &Report, bad: &Report) -> Report {
    let mut whole = Report::new("demo");
    whole.started_at = good.started_at;
    whole.took = good.took + bad.took;
    whole.store.clone_from(&good.store);
    whole.checked = good.checked + bad.checked;
    for (name, report, wanted) in [
        ("right", good, Verdict::Proven),
        ("saved-after-done", bad, Verdict::Violated),
    ] {
        let verdict = report.verdict();
        let order = report
            .cases
            .iter()
            .find(|case| case.name.ends_with("/order"));
        whole.cases.push(Case {
            name: name.to_owned(),
            session: name.to_owned(),
            fault: "none".to_owned(),
            client: "read-to-end".to_owned(),
            verdict: if verdict == wanted {
                Verdict::Proven
            } else {
                Verdict::Inconclusive
            },
            reason: format!("the verdict is {verdict}, but must be {wanted}"),
            took: report.took,
            timeline: order.map(|case| case.timeline.clone()).unwrap_or_default(),
            metrics: order.map(|case| case.metrics.clone()).unwrap_or_default(),
        });
        // What is wanted here is not a failure of this run.
        whole
            .findings
            .extend(report.findings.iter().cloned().map(|mut finding| {
                finding.severity = finding.severity.min(Severity::Note);
                finding
            }));
    }
    whole
}

/// Verifies the demo server through the way that any server goes.
async fn verify(bug: Option<&str>, env: &Env) -> anyhow::Result<Report> {
    let folder = Folder::new().context("making a temporary folder")?;
    let exe = current_exe::program()?;
    let exe = exe
        .to_str()
        .context("the path of this program is not UTF-8")?;
    let exe = shlex::try_quote(exe)?;
    let bug = bug.map(|bug| format!(" --bug {bug}")).unwrap_or_default();
    let wanted = Wanted {
        start: Some(format!(
            "{exe} demo-server --db {{database_path}} --port {{port}} --gateway {{gateway_url}}{bug}"
        )),
        ready: Some("/health".to_owned()),
        profile: Some("plain".to_owned()),
        proof: Some(Proof::Auto),
        ..Wanted::default()
    };
    let env = Env {
        config: crate::config::Config::default(),
        database_url: Some(format!(
            "sqlite:{}",
            folder.path().join("chat.db").display()
        )),
        progress: env.progress.clone(),
        mask: env.mask.clone(),
        interrupted: env.interrupted.clone(),
        verbose: env.verbose,
        rows: env.rows,
        human: env.human,
        width: env.width,
        pieces: env.pieces.clone(),
    };
    verify_stream::report(&wanted, &env).await
}

/// Runs the demo's server.
pub async fn serve(args: ServerArgs, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let save = args
        .bug
        .as_deref()
        .and_then(demo::named)
        .map_or(Save::Before, |bug| bug.save);
    tokio::select! {
        served = demo::serve(&args.db, args.port, &args.gateway, save) => served,
        () = stop => Ok(()),
    }
}
