//! `chatctl audit restart`: arguments and wiring.

use crate::audit::restart;
use crate::audit::restart::{Around, Options, WAYS, Way};
use crate::cli_error::CliError;
use crate::commands::{Done, Env};
use crate::report::{Replay, Report};
use crate::stream::profiles::Profile;
use crate::stream::run::Proof;
use crate::stream::session::Session;
use crate::stream::setup::Wanted;
use crate::stream::{run, setup};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use url::Url;

/// How long a server may take to be ready, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  chatctl audit restart hello.toml --stop term,kill \\
    --database-url sqlite:chat.db \\
    --start 'uvicorn app:app --port {port}'
  chatctl audit restart hello.toml \\
    --server http://127.0.0.1:8000 --ready /health \\
    -- docker compose restart backend

`chatctl --help` lists the exit codes.";

/// Start conversations, restart the server, and check that every message survived
///
/// chatctl plays the browser and the LLM provider, remembers every message whose final marker it
/// saw, restarts the server, and looks for all conversations over HTTP and in the store. The chats
/// are real rows: use a test database.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Session files or folders [default: `sessions` in chatctl.toml, else the shipped session]
    #[arg(value_name = "SESSION")]
    sessions: Vec<PathBuf>,

    /// The server under test, if your own command restarts it [env: CHATCTL_SERVER]
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    /// Start and stop the server: a command with {port}, {gateway_url}, {database_url}, {database_path}
    #[arg(long, value_name = "CMD")]
    start: Option<String>,

    /// How to stop the server; separate several methods per round by `,` [default: term,kill]
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(WAYS.iter().map(|way| way.name)))]
    stop: Vec<String>,

    /// How many rounds; conversations of earlier rounds are checked again
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    rounds: u16,

    /// The source file to touch for a reload [default: the file that --start names]
    #[arg(long, value_name = "FILE")]
    reload_file: Option<PathBuf>,

    /// When the server counts as ready: a path or URL that answers with a status below 500, or (with
    /// --start) a port that accepts connections, or line:TEXT for a line of its output [default with
    /// --start: its own port]
    #[arg(long, value_name = "PATH|URL|PORT|line:TEXT")]
    ready: Option<String>,

    /// How long the server may take to become ready [default: 30s]
    #[arg(long, value_name = "DURATION")]
    ready_timeout: Option<String>,

    /// Where chatctl listens as the provider [default: a free port with --start, else 127.0.0.1:9191]
    #[arg(long, value_name = "ADDR")]
    gateway: Option<String>,

    /// The wire format for sessions that do not name one: a name from docs/profiles.md, or the file of
    /// your own profile [default: detected from the first response]
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,

    /// How long to wait for a row after the answer [default: 2s]
    #[arg(long, value_name = "DURATION")]
    settle: Option<String>,

    /// How long a response may take; a server that was just started may take four times as long
    /// [default: 15s]
    #[arg(long, value_name = "DURATION")]
    response_timeout: Option<String>,

    /// The command that restarts the server at --server
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The command of its reports.
pub(super) const COMMAND: &str = "audit restart";

/// The arguments of a run, as the command line has them.
#[derive(Debug, Parser)]
struct Again {
    #[command(flatten)]
    args: Args,
}

/// Runs it.
pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    Ok(Done::Report(Box::new(report(args, &env).await?)))
}

/// Plays a run again from the arguments in its report: of the cases with these names, the ways to restart, as
/// many rounds as they need; all of it where none is named.
///
/// # Errors
/// When the arguments can't be read, and as a run does.
pub(super) async fn again(
    arguments: &[String],
    cases: &[String],
    env: &Env,
) -> anyhow::Result<Report> {
    let words = std::iter::once(COMMAND).chain(arguments.iter().map(String::as_str));
    let mut args = Again::try_parse_from(words)
        .map_err(|error| unreadable(&error))?
        .args;
    let named = cases.iter().filter_map(|case| {
        let (rest, way) = case.rsplit_once('/')?;
        let (_, round) = rest.rsplit_once("round-")?;
        Some((way, round.parse::<u16>().ok()?))
    });
    let named: Vec<_> = named.collect();
    if let Some(rounds) = named.iter().map(|(_, round)| *round).max() {
        args.rounds = rounds;
    }
    // The user's own command is the only way of its run.
    if args.command.is_empty() && !named.is_empty() {
        let is_named = |way: &&Way| named.iter().any(|(name, _)| *name == way.name);
        let ways = WAYS.iter().filter(is_named);
        args.stop = ways.map(|way| way.name.to_owned()).collect();
    }
    report(args, env).await
}

fn unreadable(error: &clap::Error) -> CliError {
    CliError::usage(format!("the report's arguments can't be read: {error}"))
        .hint("replay it with the version of chatctl that wrote it")
}

/// Runs it, and leaves nothing running: neither after an error nor after a signal.
async fn report(args: Args, env: &Env) -> anyhow::Result<Report> {
    let (wanted, context) = (wanted(&args), env.setup());
    let sessions = setup::sessions(&wanted, &context)?;
    let target = env.target()?;
    let options = options(&args, env)?;
    check_tools(&options, &sessions)?;
    check_approval(&options, &sessions)?;
    let mut stage_options = setup::options(&wanted, &env.config, &target)?;
    // Every round begins with a server that was just started, and such a one is slow.
    stage_options.response_timeout *= run::FIRST_TURN;
    let began = Instant::now();
    let mut report = Report::new(COMMAND);
    report.replay = Some(Replay {
        seed: stage_options.seed,
        arguments: setup::without_secrets(words(&args), &env.mask),
        shard: None,
    });
    let wire = setup::wire(&wanted, &context, &stage_options, &target).await?;
    let world = setup::world(&wanted, &context, &target, wire);
    let mut world = env.unless_interrupted(world).await?;
    let experiment = async {
        world.open_if_there().await?;
        restart::run(
            &mut world,
            &sessions,
            (&options, &stage_options),
            &mut report,
        )
        .await
    };
    let outcome = env.unless_interrupted(experiment).await;
    world.close().await;
    outcome?;
    report.took = began.elapsed();
    Ok(report)
}

/// The arguments as words of a command line.
fn words(args: &Args) -> Vec<String> {
    let Args {
        sessions,
        server,
        start,
        stop,
        rounds,
        reload_file,
        ready,
        ready_timeout,
        gateway,
        profile,
        settle,
        response_timeout,
        command,
    } = args;
    let shown = |path: &PathBuf| path.display().to_string();
    let values = [
        ("--server", server.clone()),
        ("--start", start.clone()),
        ("--stop", (!stop.is_empty()).then(|| stop.join(","))),
        ("--rounds", Some(rounds.to_string())),
        ("--reload-file", reload_file.as_ref().map(shown)),
        ("--ready", ready.clone()),
        ("--ready-timeout", ready_timeout.clone()),
        ("--gateway", gateway.clone()),
        ("--profile", profile.clone()),
        ("--settle", settle.clone()),
        ("--response-timeout", response_timeout.clone()),
    ];
    let values = values.into_iter();
    let values = values.filter_map(|(flag, value)| Some(format!("{flag}={}", value?)));
    let mut words: Vec<_> = values.chain(sessions.iter().map(shown)).collect();
    if !command.is_empty() {
        words.push("--".to_owned());
        words.extend(command.iter().cloned());
    }
    words
}

/// What the experiment shares with a verification.
fn wanted(args: &Args) -> Wanted {
    let withholds = args.stop.iter().any(|name| way(name).withholds_commits());
    Wanted {
        sessions: args.sessions.clone(),
        server: args.server.clone(),
        start: args.start.clone(),
        // With a command, it shows that the server is back: see `around`.
        ready: args.ready.clone().filter(|_| args.command.is_empty()),
        ready_timeout: args.ready_timeout.clone(),
        gateway: args.gateway.clone(),
        profile: args.profile.clone(),
        settle: args.settle.clone(),
        response_timeout: args.response_timeout.clone(),
        proof: Some(if withholds {
            Proof::Gate
        } else {
            Proof::Observe
        }),
        ..Wanted::default()
    }
}

fn options(args: &Args, env: &Env) -> anyhow::Result<Options> {
    let start = env.config.value("start", args.start.as_deref())?;
    let starts = env.config.starts(args.start.as_deref())?;
    let around = match (starts, args.command.is_empty()) {
        (true, true) => None,
        (false, false) => Some(around(args, env)?),
        (true, false) => {
            return Err(
                CliError::usage("`--start` and a restart command exclude each other")
                    .hint("leave one of them out")
                    .into(),
            );
        }
        (false, true) => {
            return Err(CliError::usage("nothing to restart")
                .hint("use --start 'uvicorn app:app --port {port}', or --server URL -- docker compose restart backend")
                .into());
        }
    };
    let ways = match &around {
        Some(_) if !args.stop.is_empty() => {
            return Err(
                CliError::usage("`--stop` needs a server that chatctl starts")
                    .hint("let the command after `--` stop the server, or use --start")
                    .into(),
            );
        }
        Some(_) => vec![&restart::COMMAND],
        None if args.stop.is_empty() => WAYS
            .iter()
            .filter(|way| ["term", "kill"].contains(&way.name))
            .collect(),
        None => args.stop.iter().map(|name| way(name)).collect(),
    };
    let reload_file = args
        .reload_file
        .clone()
        .or_else(|| restart::source_of(&start.unwrap_or_default()));
    if ways.contains(&way("reload")) && reload_file.is_none() {
        return Err(CliError::usage(
            "`--stop reload` needs a source file that the server watches, and --start names none",
        )
        .hint("use --reload-file app/main.py")
        .into());
    }
    Ok(Options {
        ways,
        rounds: usize::from(args.rounds),
        reload_file,
        around,
    })
}

/// A turn waits for approval only where the session has one that does.
fn check_approval(options: &Options, sessions: &[(Session, &Profile)]) -> anyhow::Result<()> {
    let way = options.ways.iter().find(|way| way.needs_approval());
    let mut without = sessions
        .iter()
        .filter(|(session, _)| session.approval.is_none());
    match way.zip(without.next()) {
        None => Ok(()),
        Some((way, (session, _))) => Err(CliError::usage(format!(
            "`--stop {}` needs a turn that waits for the user's approval, and session `{}` has none",
            way.name, session.name
        ))
        .hint("add [approval] to the session: see docs/sessions.md")
        .into()),
    }
}

/// A point within tool calls is there only where the model calls tools.
fn check_tools(options: &Options, sessions: &[(Session, &Profile)]) -> anyhow::Result<()> {
    let Some(way) = options.ways.iter().find(|way| way.needs_tools()) else {
        return Ok(());
    };
    let without = |(session, _): &&(Session, &Profile)| {
        let mut turns = session.turns.iter();
        turns.all(|turn| turn.steps.is_empty())
    };
    match sessions.iter().find(without) {
        None => Ok(()),
        Some((session, _)) => Err(CliError::usage(format!(
            "`--stop {}` needs a turn in which the model calls tools, and session `{}` has none",
            way.name, session.name
        ))
        .hint("give a [[turn]] of the session its `steps`: see docs/sessions.md")
        .into()),
    }
}

fn way(name: &str) -> &'static Way {
    let mut all = WAYS.iter();
    all.find(|way| way.name == name)
        .expect("the command line allows the names of the table only")
}

fn around(args: &Args, env: &Env) -> anyhow::Result<Around> {
    let parse = |url: &str| Url::parse(url).ok().filter(Url::has_host);
    let server = setup::server(&env.config, args.server.as_deref())?;
    let server = server.ok_or_else(|| {
        CliError::usage("no server to test")
            .hint("use --server http://127.0.0.1:8000, the one that the command restarts")
    })?;
    let ready = args.ready.as_deref().unwrap_or("/");
    let ready = if ready.starts_with('/') {
        server.join(ready).ok()
    } else {
        parse(ready)
    };
    let ready = ready.ok_or_else(|| {
        CliError::usage("`--ready` is neither a path nor a URL")
            .hint("--ready http://127.0.0.1:8000/health")
    })?;
    let patience = env
        .config
        .parsed("ready-timeout", args.ready_timeout.as_deref(), |text| {
            humantime::parse_duration(text).ok()
        })?;
    Ok(Around {
        command: args.command.clone(),
        ready,
        patience: patience.unwrap_or(PATIENCE),
    })
}
