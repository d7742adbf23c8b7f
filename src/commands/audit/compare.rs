//! `chatctl audit compare`: what became of everything since a snapshot.

use super::look;
use super::look::Look;
use super::quick;
use crate::audit;
use crate::audit::Comparer;
use crate::audit::Comparison;
use crate::audit::Key;
use crate::audit::Late;
use crate::audit::Settings;
use crate::audit::compare::Resolver;
use crate::audit::compare::Rules;
use crate::audit::evidence::Evidence;
use crate::audit::evidence::judge;
use crate::audit::evidence::judge::Kept;
use crate::audit::evidence::judge::Rows;
use crate::audit::file;
use crate::audit::file::Snapshot;
use crate::audit::live::Audience;
use crate::audit::live::Live;
use crate::commands::Done;
use crate::commands::Env;
use crate::model::StoredMessage;
use crate::report::Report;
use crate::report::Verdict;
use crate::stop::Stop;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// Tell what was lost or altered since a snapshot: by a later one, or by the live store
///
/// What came after the snapshot is growth and fine. Every message that was there must be there and
/// be what it was.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The earlier snapshot
    before: PathBuf,

    /// The later one [default: the live store]
    after: Option<PathBuf>,

    /// Show at most so many examples of each finding
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    examples: usize,

    /// How long a transaction may have lasted: a message this young at the snapshot may have been
    /// committed after it
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Duration,

    #[command(flatten)]
    look: Look,
}

pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let key = Key::find(args.look.key.as_deref())?;
    let before = file::open(&args.before, &key)?;
    let mut report = Report::new("audit compare");
    let mut rules = Rules {
        examples: args.examples,
        ..Rules::default()
    };
    let mut ranges = None;
    let (found, evidence, after) = match &args.after {
        Some(path) => {
            let after = file::open(path, &key)?;
            let found = audit::compare_files(&before, &after)?;
            (found, evidence_of(&after), after.summary.messages)
        }
        None => {
            let live = args.look.open(&env).await?;
            live.has_come_to(&before.header)?;
            report.store = Some(look::line(&live));
            rules.allow = live.allowed();
            ranges = Some(live.ranges() as f64);
            let (found, messages) = match before.header.mapping.sums.is_some() {
                true => quick::compared(&args.look, &env, &before, &live, &key).await?,
                false => with_store(&args, &env, &before, &live).await?,
            };
            look::warn(&env, &live);
            (found, live.evidence, messages)
        }
    };
    env.progress.done();
    found
        .findings(&rules)
        .into_iter()
        .for_each(|finding| report.add(finding));
    let judged = judge::judge(
        &evidence_of(&before),
        &evidence,
        &rows(&before, &found, after),
    );
    judged
        .findings
        .into_iter()
        .for_each(|finding| report.add(finding));
    for note in &judged.notes {
        env.progress.note(note);
    }
    report.took = began.elapsed();
    report.checked = found.totals.messages;
    let mut case = case(&found, &report);
    if before.header.mapping.sums.is_some() {
        case.reason.push_str(quick::LIMITS);
    }
    case.metrics.extend(ranges.map(|ranges| ("ranges", ranges)));
    report.cases.push(case);
    Ok(Done::Report(Box::new(report)))
}

/// Reads the live store, and once more when there is something to name.
async fn with_store(
    args: &Args,
    env: &Env,
    before: &Snapshot,
    live: &Live,
) -> anyhow::Result<(Comparison, u64)> {
    let mut settings = Settings::at(live.taken);
    settings.memory = args.look.memory()?;
    let late = live
        .latecomers(&before.header, before.summary.taken, args.grace)
        .await?;
    let mut comparer = Comparing {
        comparer: Comparer::new(before, &live.fingerprinted(), settings)?,
        pace: look::Pace::new(env, live).await,
        messages: 0,
    };
    if !live.read(&late, &mut comparer).await? {
        return Err(Stop::interrupted().into());
    }
    let messages = comparer.messages;
    let resolver = match comparer.comparer.finish()?.resolver() {
        Err(found) => return Ok((*found, messages)),
        Ok(resolver) => resolver,
    };
    env.progress
        .note("something differs: the store is read once more, to name it");
    let mut naming = Naming {
        resolver,
        pace: look::Pace::new(env, live).await,
    };
    match live.read(&late, &mut naming).await? {
        true => Ok((naming.resolver.finish(), messages)),
        false => Err(Stop::interrupted().into()),
    }
}

struct Comparing<'e> {
    comparer: Comparer<'e>,
    pace: look::Pace<'e>,
    messages: u64,
}

impl Audience for Comparing<'_> {
    fn conversation(&mut self, key: &str) -> anyhow::Result<ControlFlow<()>> {
        self.comparer.take_conversation(key)?;
        Ok(self.pace.conversation())
    }

    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.messages += 1;
        self.comparer.take(message, late)?;
        Ok(self.pace.message())
    }
}

struct Naming<'e> {
    resolver: Resolver,
    pace: look::Pace<'e>,
}

impl Audience for Naming<'_> {
    fn conversation(&mut self, key: &str) -> anyhow::Result<ControlFlow<()>> {
        self.resolver.take_conversation(key);
        Ok(self.pace.conversation())
    }

    fn message(&mut self, message: &mut StoredMessage, _: Late) -> anyhow::Result<ControlFlow<()>> {
        self.resolver.take(message);
        Ok(self.pace.message())
    }
}

fn evidence_of(snapshot: &Snapshot) -> Evidence {
    serde_json::from_value(snapshot.header.evidence.clone()).unwrap_or_default()
}

/// What became of the rows of the messages' table. Those of the others were not counted, but when
/// nothing is missing of what was read from them, nothing is missing in them.
fn rows(before: &Snapshot, found: &Comparison, after: u64) -> BTreeMap<String, Rows> {
    let evidence = evidence_of(before);
    let table = before.header.store["messages"].as_str().unwrap_or_default();
    let read = before.header.store["read"].as_array();
    let is_read = |name: &String| read.is_some_and(|read| read.iter().any(|it| it == name));
    let kept = match found.intact() {
        true => Kept::Intact,
        false => Kept::Lost,
    };
    let row = |name: &String| {
        let rows = match name == table {
            true => Rows {
                before: before.summary.messages,
                after,
                kept,
            },
            false => Rows {
                before: found.totals.conversations,
                after: found.totals.conversations,
                kept: match found.intact() && is_read(name) {
                    true => Kept::Intact,
                    false => Kept::Unknown,
                },
            },
        };
        (name.clone(), rows)
    };
    evidence.tables.keys().map(row).collect()
}

fn case(found: &Comparison, report: &Report) -> crate::report::Case {
    let totals = &found.totals;
    let (verdict, reason) = match (report.errors(), totals.undecided) {
        (0, 0) => (
            Verdict::Held,
            format!(
                "every one of {} messages in {} conversations is what it was",
                totals.messages, totals.conversations
            ),
        ),
        (0, undecided) => (
            Verdict::Inconclusive,
            format!(
                "{undecided} conversations grew or changed, and the snapshot's detail can't tell which; \
                 take it with --detail messages"
            ),
        ),
        (errors, _) => (
            Verdict::Violated,
            format!(
                "{} of {} conversations are what they were; {errors} kinds of loss or change were found",
                totals.intact, totals.conversations
            ),
        ),
    };
    let mut case = look::case("compare", verdict, reason);
    let figures = [
        ("messages", totals.messages),
        ("conversations", totals.conversations),
        ("intact_conversations", totals.intact),
        ("appended_messages", totals.appended),
        ("grown_conversations", totals.grown),
        ("new_conversations", totals.new),
        ("completed_messages", totals.completed),
        ("open_messages", totals.still_open),
        ("late_messages", totals.late),
        ("purged_messages", totals.purged),
        ("rounded_times", totals.rounded),
    ];
    case.metrics
        .extend(figures.map(|(name, number)| (name, number as f64)));
    case
}
