//! `chatctl verify-stream`: arguments and wiring.

use super::moment::count;
use super::{Done, Env};
use crate::cli_error::CliError;
use crate::db::Target;
use crate::gate::CommitFault;
use crate::report::{Replay, Report};
use crate::stream::profiles::Profile;
use crate::stream::run::{Options, Proof, Require, World};
use crate::stream::session::Session;
use crate::stream::setup::Wanted;
use crate::stream::{run, setup};
use crate::{db, gate};
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use std::time::Instant;

/// What the options of the server under test are listed under.
const SERVER: &str = "Server";
/// What the options that select cases and verdicts are listed under.
const CASES: &str = "Cases and verdicts";
/// What the options of the gate and of the store are listed under.
const GATE: &str = "Gate and store";

const EXAMPLES: &str = "\
Examples:
  chatctl verify-stream sessions/hello.toml \\
    --database-url sqlite:chat.db --ready /health \\
    --start 'uvicorn app:app --port {port}'
  chatctl verify-stream --require proven \\
    --report junit=chatctl.xml    in CI, with a chatctl.toml

`chatctl --help` lists the exit codes.";

/// Prove that the answer is committed before the client can see the final marker
///
/// chatctl acts as the browser and the LLM provider, withholds the server's commits one by one, and
/// checks whether the final marker arrives anyway. A commit is withheld for at most --max-hold. However
/// chatctl ends, the commit is released or rolled back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Session files or folders [default: `sessions` in chatctl.toml, else the shipped session]
    #[arg(value_name = "SESSION")]
    sessions: Vec<PathBuf>,

    /// The server under test [env: CHATCTL_SERVER]
    #[arg(long, help_heading = SERVER, value_name = "URL")]
    server: Option<String>,

    /// Start and stop the server: a command with {port} and, if needed, {gateway_url},
    /// {database_url}, {database_path} or others (docs/starting.md). Its environment has
    /// OPENAI_BASE_URL, OPENAI_API_KEY and DATABASE_URL
    #[arg(long, help_heading = SERVER, value_name = "CMD")]
    pub start: Option<String>,

    /// When the server counts as ready: a path or URL that answers with a status below 500, a port that
    /// accepts connections, or line:TEXT for a line of its output [default: its own port]
    #[arg(long, help_heading = SERVER, value_name = "PATH|URL|PORT|line:TEXT")]
    pub ready: Option<String>,

    /// How long to wait until the server is ready [default: 30s]
    #[arg(long, help_heading = SERVER, value_name = "DURATION")]
    pub ready_timeout: Option<String>,

    /// Where chatctl listens as the provider [default: a free port with --start, else 127.0.0.1:9191]
    #[arg(long, help_heading = SERVER, value_name = "ADDR")]
    pub gateway: Option<String>,

    /// The wire format for sessions that do not name one: a name from docs/profiles.md, or the file of
    /// your own profile [default: detected from the first response]
    #[arg(long, help_heading = SERVER, value_name = "NAME|FILE")]
    pub profile: Option<String>,

    /// Act as a page of this origin, and check that a browser would allow it
    #[arg(long, help_heading = SERVER, value_name = "URL")]
    pub origin: Option<String>,

    /// Which cases to run: quick (the order, failing saves), full (also interruptions, resumed
    /// connections, duplicate requests and turns at the same time), or sweep (interruptions at
    /// every event, in every way) [default: quick]
    #[arg(long, help_heading = CASES, value_parser = PossibleValuesParser::new(run::SUITES))]
    pub suite: Option<String>,

    /// In the sweep, interrupt turns at every N-th event only [default: 1]
    #[arg(long, help_heading = CASES, value_name = "N", allow_negative_numbers = true)]
    pub sweep_every: Option<String>,

    /// With --suite full or sweep: of the added cases, run only those whose name contains this
    /// text; separate several texts by `,`
    #[arg(long, help_heading = CASES, value_name = "TEXT", value_delimiter = ',')]
    pub cases: Vec<String>,

    /// How many conversations send a turn at the same time, up to 10000; 1 disables the case [default: 4,
    /// and 1 in the suite quick]
    #[arg(long, help_heading = CASES, value_name = "N", allow_negative_numbers = true)]
    pub concurrency: Option<String>,

    /// How long to watch the first rows after their turns: they must not change [default: 1s]
    #[arg(long, help_heading = CASES, value_name = "DURATION")]
    pub watch: Option<String>,

    /// Run only this case, by its name in a report; may be repeated
    #[arg(long, help_heading = CASES, value_name = "NAME")]
    pub case: Vec<String>,

    /// Run only one share of the cases, such as 2/4 on the second of four machines; `chatctl
    /// report merge` joins the reports
    #[arg(long, help_heading = CASES, value_name = "I/N")]
    pub shard: Option<String>,

    /// Which checks to run [default: auto]
    #[arg(long, help_heading = CASES, value_enum)]
    pub proof: Option<Proof>,

    /// Which verdicts pass; others exit with 3 or 1 [default: held]
    #[arg(long, help_heading = CASES, value_enum)]
    pub require: Option<Require>,

    /// Faults to inject into the commit that carries the answer, one case each; separate several by `,`
    #[arg(long, help_heading = CASES, value_enum, value_name = "FAULT", value_delimiter = ',')]
    pub fault: Vec<CommitFault>,

    /// Simulate a provider that misbehaves, one case per name in docs/provider-faults.md: separate
    /// names by `,`, combine faults by `+`, or use all
    #[arg(long, help_heading = CASES, value_name = "NAME,...|all")]
    pub provider_fault: Option<String>,

    /// The gate to use [default: the strongest that works]
    #[arg(long, help_heading = GATE, value_parser = PossibleValuesParser::new(gate::ALL.iter().map(|kind| kind.name)))]
    pub gate: Option<String>,

    /// How many trials must be decided for each turn, from 3 to 10000 [default: 5]
    #[arg(long, help_heading = GATE, value_name = "N", allow_negative_numbers = true)]
    pub trials: Option<String>,

    /// How long the gate stays closed: a duration up to 10m, or auto to calibrate [default: auto]
    #[arg(long, help_heading = GATE, value_name = "DURATION")]
    pub hold: Option<String>,

    /// Where the server connects instead of its database, so that its commits can be withheld
    /// (PostgreSQL and MySQL): an address with a port, or unix:PATH [default: a free port with --start]
    #[arg(long, help_heading = GATE, value_name = "ADDR")]
    pub database_listen: Option<String>,

    /// Where to control the `chatctl gate` that the server connects through: the path of a socket, or an
    /// address with a port
    #[arg(long, help_heading = GATE, value_name = "PATH|ADDR", conflicts_with = "database_listen")]
    pub gate_control: Option<String>,

    /// Where chatctl reads the store, if --database-url is a pooler; or another node of a Galera cluster
    /// [default: --database-url]
    #[arg(long, help_heading = GATE, value_name = "URL")]
    pub read_from: Option<String>,

    /// The longest hold, from 300ms to 10m [default: 2500ms on SQLite, 10s elsewhere]
    #[arg(long, help_heading = GATE, value_name = "DURATION")]
    pub max_hold: Option<String>,

    /// How long to wait for a row after the end of the response [default: 2s]
    #[arg(long, help_heading = GATE, value_name = "DURATION")]
    pub settle: Option<String>,

    /// How long a response may take if nothing is withheld; the first turn, which is not judged,
    /// may take four times as long [default: 15s]
    #[arg(long, help_heading = SERVER, value_name = "DURATION")]
    pub response_timeout: Option<String>,

    /// Let a gate lock the table of answers in a database of another machine: nobody can write there
    /// while it is closed, up to --max-hold at a time
    #[arg(long, help_heading = GATE)]
    pub allow_gate: bool,

    /// Remove the triggers that a killed run left in the store, and exit
    #[arg(long, help_heading = GATE)]
    pub clean: bool,

    /// Repeat the random choices of an earlier run; a note of each run shows its seed
    #[arg(long, help_heading = CASES, value_name = "N", value_parser = count::<u64>, allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// Stop after the first session with an error
    #[arg(long, help_heading = CASES)]
    pub fail_fast: bool,
}

impl From<Args> for Wanted {
    fn from(args: Args) -> Self {
        Self {
            sessions: args.sessions,
            server: args.server,
            start: args.start,
            ready: args.ready,
            ready_timeout: args.ready_timeout,
            gateway: args.gateway,
            profile: args.profile,
            origin: args.origin,
            suite: args.suite,
            sweep_every: args.sweep_every,
            cases: args.cases,
            concurrency: args.concurrency,
            watch: args.watch,
            named: args.case,
            shard: args.shard,
            proof: args.proof,
            require: args.require,
            faults: args.fault,
            provider_fault: args.provider_fault,
            allow_gate: args.allow_gate,
            gate: args.gate,
            trials: args.trials,
            hold: args.hold,
            database_listen: args.database_listen,
            gate_control: args.gate_control,
            read_from: args.read_from,
            max_hold: args.max_hold,
            settle: args.settle,
            response_timeout: args.response_timeout,
            seed: args.seed,
            fail_fast: args.fail_fast,
        }
    }
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    if args.clean {
        return Ok(Done::Text(clean(&env).await?));
    }
    Ok(Done::Report(Box::new(report(&args.into(), &env).await?)))
}

/// Removes what a run left.
async fn clean(env: &Env) -> anyhow::Result<String> {
    let db = db::open(env.parsed(&database_url(env)?)?).await?;
    let swept = gate::sweep(db.as_ref()).await?;
    Ok(if swept.is_empty() {
        "the store holds nothing that chatctl left behind\n".to_owned()
    } else {
        format!("removed: {}\n", swept.join(", "))
    })
}

/// The address of the store.
fn database_url(env: &Env) -> anyhow::Result<String> {
    let url = env.config.value("database-url", env.database_url.as_deref())?.ok_or_else(|| {
        CliError::usage("no store: the proof reads the database of the server under test")
            .hint("use --database-url, such as sqlite:PATH, or set DATABASE_URL or `database-url` in chatctl.toml")
    })?;
    env.mask.keep_of(&url);
    Ok(url)
}

/// Verifies, and leaves nothing behind: neither after an error nor after a signal.
pub async fn report(wanted: &Wanted, env: &Env) -> anyhow::Result<Report> {
    let (config, context) = (&env.config, env.setup());
    let sessions = setup::sessions(wanted, &context)?;
    let target = env.parsed(&database_url(env)?)?;
    let reads = reads(wanted, env, &target)?;
    let mut options = setup::options(wanted, config, &target)?;
    let names: Vec<_> = sessions.iter().map(|(it, _)| it.name.as_str()).collect();
    run::all_known(&options.choice.named, &names)?;
    env.progress.note(&format!(
        "--seed {} replays this run's choices",
        options.seed
    ));
    let wire = setup::wire(wanted, &context, &options, &target);
    let wire = env.unless_interrupted(wire).await?;
    if let Some(wire) = &wire {
        options.max_hold = wire.max_hold;
    }
    let began = Instant::now();
    let mut report = Report::new("verify-stream");
    report.replay = Some(Replay {
        seed: options.seed,
        arguments: setup::without_secrets(wanted.words(options.seed, config), &env.mask),
        shard: options.choice.shard.map(|shard| shard.to_string()),
    });
    let world = setup::world(wanted, &context, &target, wire);
    let mut world = env.unless_interrupted(world).await?;
    // What the server writes to is never behind; another server of the database may be.
    let is_elsewhere = reads.is_some();
    world.target = reads.unwrap_or(target);
    let verified = verify(&mut world, &sessions, &options, is_elsewhere, &mut report);
    let outcome = env.unless_interrupted(verified).await;
    world.close().await;
    outcome?;
    report.took = began.elapsed();
    Ok(report)
}

async fn verify(
    world: &mut World,
    sessions: &[(Session, &'static Profile)],
    options: &Options,
    is_elsewhere: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let target = &world.target;
    world
        .progress
        .note(&format!("store: {target} ({})", target.engine()));
    world.open_if_there().await?;
    if is_elsewhere
        && let Some(db) = &world.db
        && let Some(why) = db.lags().await?
    {
        return Err(CliError::refused(format!(
            "the store cannot be read at `{}`: {why}, so commits may appear there later",
            world.target
        ))
        .hint("give the primary server with --read-from")
        .into());
    }
    // Looking only must not write, not even to tidy up.
    let swept = match (&world.db, gate::triggers(world.target.engine())) {
        (Some(db), Some(triggers)) if options.proof != Proof::Observe => {
            triggers.sweep(db.as_ref()).await
        }
        _ => Ok(false),
    };
    if swept.unwrap_or(false) {
        world
            .progress
            .note("removed the triggers chatctl_fault_* of a killed run");
    }
    run::run(world, sessions, options, report).await
}

/// Where the store is read, if not at the server's own address.
fn reads(wanted: &Wanted, env: &Env, target: &Target) -> anyhow::Result<Option<Target>> {
    let Some(url) = env.config.value("read-from", wanted.read_from.as_deref())? else {
        return Ok(None);
    };
    env.mask.keep_of(&url);
    let reads = Target::parse(&url)?;
    if reads.is_file() || reads.engine() != target.engine() {
        return Err(CliError::usage(format!(
            "--read-from `{reads}` is not another server of the database `{target}`"
        ))
        .hint("--read-from is for the database behind a pooler, and for a node of a cluster; otherwise leave it out")
        .into());
    }
    Ok(Some(reads))
}
