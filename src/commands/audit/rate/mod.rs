//! `chatctl audit rate`.

mod args;
mod probe;

use super::moment;
use crate::audit::rate;
use crate::audit::rate::{Counts, Figures, Rate, Span};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::chats::Chats;
use crate::commands::moment::span;
use crate::db::Started;
use crate::report::{Case, Finding, Lane, Report, Severity, Source, Timeline, Verdict};
use crate::sink::Sink;
use crate::store::{Shape, time_of_text};
use crate::text::plural;
use crate::{clock, store};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) use args::Args;

/// The mode of a new file of figures: the node exporter, which reads it, is another user.
const FIGURES: u32 = 0o644;

/// More windows than this are no line that anybody reads.
const MOST_WINDOWS: u128 = 10_000;
/// So many windows are named where too little was answered.
const WORST: usize = 5;

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<Report> {
    let began = Instant::now();
    let figures_of = |path| Sink::besides_stdout(path, FIGURES).with_context(|| unwritable(path));
    let sink = args.prometheus.as_deref().map(figures_of).transpose()?;
    let mut report = Report::new("audit rate");
    let figures = match args.probe {
        Some(_) => probe::run(args, env, &mut report).await?,
        None => answered(args, env, &mut report).await?,
    };
    if let (Some(mut sink), Some(path)) = (sink, &args.prometheus) {
        sink.write_all(rate::prometheus(&figures).as_bytes())
            .with_context(|| unwritable(path))?;
        sink.finish(&mut std::io::sink(), env.until_interrupted())
            .await
            .with_context(|| unwritable(path))?;
    }
    report.took = began.elapsed();
    Ok(report)
}

fn unwritable(path: &Path) -> String {
    format!("writing the figures to `{}`", path.display())
}

async fn answered(args: &Args, env: &Env, report: &mut Report) -> anyhow::Result<Figures> {
    let (since, until) = span(args.since.as_deref(), args.until.as_deref())?;
    let now = clock::calendar();
    let is_chosen = until.is_some();
    let until = until.unwrap_or(now);
    let from = since.unwrap_or_else(|| until.saturating_sub(clock::micros(args.last)));
    let length = until.saturating_sub(from).max(0).unsigned_abs();
    if args.window.is_zero() {
        let told = "--window must be longer than 0s".to_owned();
        return Err(CliError::usage(told).hint("--window 1h").into());
    }
    if u128::from(length) / args.window.as_micros().max(1) > MOST_WINDOWS {
        return Err(CliError::usage(format!(
            "the span has more than {MOST_WINDOWS} windows of --window"
        ))
        .hint("--last 24h --window 1h")
        .into());
    }
    let chats = env.chats().await?;
    if chats.mapping.store().shape == Shape::Opaque {
        return Err(CliError::unreachable(
            "only the application can read the contents of this store, so chatctl cannot know which questions were answered",
        )
        .hint("chatctl audit rate --probe SESSION --server URL")
        .into());
    }
    report.store = Some(chats.line());
    let restart = match args.since_restart.as_deref() {
        None => None,
        Some("auto") => Some(database_start(&chats, env, now).await?),
        Some(text) => Some(moment("--since-restart", text)?),
    };
    let mut rate = Rate::new(Span {
        from,
        until,
        now,
        window: clock::micros(args.window),
        grace: clock::micros(args.grace),
        restart,
        is_chosen,
    });
    env.progress.doing("reading every conversation".to_owned());
    let mut take = |thread: store::Thread| rate.add(&thread.messages, clock::calendar());
    let read = tokio::select! {
        read = async {
            store::intact(chats.db.as_ref(), &chats.mapping).await?;
            store::threads(chats.db.as_ref(), &chats.mapping, &mut take).await
        } => read,
        () = env.until_interrupted() => Err(CliError::interrupted().into()),
    };
    env.progress.done();
    read?;
    for uncounted in uncounted(&rate) {
        env.progress.warning(&uncounted);
    }
    tell(&rate, args, report);
    Ok(Figures {
        total: Some(rate.total),
        since_restart: restart.map(|_| rate.since_restart),
        saved: Vec::new(),
        at: now / 1_000_000,
    })
}

/// The questions that count nowhere, and why.
fn uncounted(rate: &Rate) -> Vec<String> {
    let mut told = Vec::new();
    let not_counted = |questions: u64, what: &str| {
        let (has, is) = match questions {
            1 => ("has", "is"),
            _ => ("have", "are"),
        };
        format!(
            "{} {has} {what} and {is} not counted",
            plural(questions, "question")
        )
    };
    if rate.undated > 0 {
        told.push(not_counted(rate.undated, "no time"));
    }
    if rate.ahead.questions > 0 {
        let missing = rate.ahead.questions - rate.ahead.answered;
        told.push(format!(
            "{}, {missing} of them without an answer: does the server store local times without a zone?",
            not_counted(rate.ahead.questions, "a time in the future")
        ));
    }
    told
}

/// The cases and the findings.
fn tell(rate: &Rate, args: &Args, report: &mut Report) {
    report.checked = rate.total.questions;
    let window = humantime::format_duration(args.window);
    let mut spans = vec![(
        "answered",
        &rate.total,
        format!(
            "; the share by {window} from {} (· where nothing was asked): {}",
            border(rate.span.border(0)),
            rate::sparkline(&rate.windows)
        ),
    )];
    if rate.span.restart.is_some() {
        spans.push(("answered-since-restart", &rate.since_restart, String::new()));
    }
    for (name, counts, more) in spans {
        let low = args
            .min
            .zip(counts.share())
            .filter(|(min, share)| share < min);
        // What is lost now is among them, if the clock of the server is ahead.
        let is_hidden = rate.ahead.questions > rate.ahead.answered;
        let verdict = match (counts.share(), low) {
            (_, Some(_)) => Verdict::Violated,
            (None, None) => Verdict::Inconclusive,
            (Some(_), None) if is_hidden => Verdict::Inconclusive,
            (Some(_), None) => Verdict::Held,
        };
        let mut reason = match counts.share() {
            None => "no question is old enough to count, so the rate is unknown".to_owned(),
            Some(share) => format!(
                "{} of {} questions were answered ({:.2} %){more}",
                counts.answered,
                counts.questions,
                share * 100.0
            ),
        };
        for uncounted in uncounted(rate) {
            reason.push_str(&format!("; {uncounted}"));
        }
        let mut case = case(name, "none", verdict, reason);
        case.metrics = metrics(counts);
        case.metrics.insert("undated", rate.undated as f64);
        case.metrics.insert("ahead", rate.ahead.questions as f64);
        if name == "answered" {
            case.timeline = timeline(rate);
        }
        report.cases.push(case);
        if let Some((min, share)) = low {
            report.add(finding(name, min, share, counts, rate));
        }
    }
}

fn metrics(counts: &Counts) -> BTreeMap<&'static str, f64> {
    let mut metrics: BTreeMap<_, _> = counts
        .causes()
        .map(|(name, count)| (name, count as f64))
        .collect();
    metrics.insert("questions", counts.questions as f64);
    metrics.insert("answered", counts.answered as f64);
    metrics.extend(counts.share().map(|share| ("answered_share", share)));
    metrics
}

/// A moment for each window in which something was asked.
fn timeline(rate: &Rate) -> Timeline {
    let first = rate.span.border(0);
    let mut timeline = Timeline::by_the_clock(time(first));
    for (at, window) in rate.windows.iter().enumerate() {
        if window.questions > 0 {
            let after = rate.span.border(at).saturating_sub(first);
            let what = format!("{} of {} answered", window.answered, window.questions);
            timeline.add(
                Duration::from_micros(after.unsigned_abs()),
                Lane::Store,
                what,
            );
        }
    }
    timeline
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A border of windows by the clock.
fn border(micros: i64) -> String {
    humantime::format_rfc3339_seconds(time(micros)).to_string()
}

/// The windows in which most is missing, in their order.
fn worst(rate: &Rate) -> Vec<String> {
    let missing = |window: &Counts| window.questions - window.answered;
    let mut windows: Vec<_> = rate.windows.iter().enumerate().collect();
    windows.retain(|(_, window)| missing(window) > 0);
    windows.sort_by_key(|(_, window)| std::cmp::Reverse(missing(window)));
    windows.truncate(WORST);
    windows.sort_by_key(|(at, _)| *at);
    let tell = |(at, window): &(usize, &Counts)| {
        format!(
            "from {} to {}: {} of {} answered",
            border(rate.span.border(*at)),
            border(rate.span.border(at + 1)),
            window.answered,
            window.questions
        )
    };
    windows.iter().map(tell).collect()
}

fn finding(name: &str, min: f64, share: f64, counts: &Counts, rate: &Rate) -> Finding {
    let missing = counts.questions - counts.answered;
    let finding = Finding::new(
        rate::ANSWERED_LOW,
        Severity::Error,
        name,
        format!(
            "{missing} of {} questions have no stored answer: {:.2} % are answered; --min requires {:.2} %",
            counts.questions,
            share * 100.0,
            min * 100.0
        ),
        "see which and why with `chatctl audit check --check unanswered-turn`, and prove the order of the save \
         with `chatctl verify-stream`",
    );
    let causes = counts.causes().filter(|(_, count)| *count > 0);
    let finding = causes.fold(finding, |finding, (cause, count)| {
        finding.with(Source::Store, format!("{count} {cause}"))
    });
    let windows = worst(rate).into_iter();
    let finding = windows.fold(finding, |finding, window| {
        finding.with(Source::Store, window)
    });
    let examples = rate.examples.iter();
    examples
        .fold(finding, |finding, example| {
            finding.with(Source::Store, example)
        })
        .in_case(name)
}

/// When the database was started. The server is another process, so a note says it.
async fn database_start(chats: &Chats, env: &Env, now: i64) -> anyhow::Result<i64> {
    let ask = async |sql: &str| -> anyhow::Result<String> {
        let rows = chats.db.rows(sql, &[]).await?;
        let cell = rows.first().and_then(|row| row.last());
        Ok(cell.map(ToString::to_string).unwrap_or_default())
    };
    let start = match chats.db.catalog().started {
        Started::At(sql) => time_of_text(&ask(sql).await?),
        Started::SecondsAgo(sql) => {
            let uptime: Option<i64> = ask(sql).await?.parse().ok();
            uptime.map(|seconds| now.saturating_sub(seconds.saturating_mul(1_000_000)))
        }
        Started::Unknown => {
            return Err(
                CliError::usage("a file does not know when its server was started")
                    .hint("--since-restart 2026-11-21T08:00:00Z, as the service manager reports it")
                    .into(),
            );
        }
    };
    env.progress.note(
        "--since-restart auto uses the start of the database; the server may have been started at another time",
    );
    start.ok_or_else(|| {
        CliError::unreachable("the database does not report when it was started")
            .hint("--since-restart 2026-11-21T08:00:00Z")
            .into()
    })
}

/// A case of the report.
pub(super) fn case(name: &str, client: &str, verdict: Verdict, reason: String) -> Case {
    Case {
        name: name.to_owned(),
        session: name.to_owned(),
        fault: "none".to_owned(),
        client: client.to_owned(),
        verdict,
        reason,
        took: Duration::ZERO,
        timeline: Timeline::default(),
        metrics: BTreeMap::new(),
    }
}
