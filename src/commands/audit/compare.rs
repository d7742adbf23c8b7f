//! `chatctl audit compare`: reports what was lost or altered since a snapshot.

use super::look::Look;
use super::{dropped, duration, look, quick};
use crate::audit;
use crate::audit::compare::{Allow, Code, Resolver, Rules};
use crate::audit::evidence::judge::{Rows, RowsFate};
use crate::audit::evidence::{Evidence, judge};
use crate::audit::file::Snapshot;
use crate::audit::live::{Live, Visitor, allowed, preset_of, stores_of, without_newer};
use crate::audit::snapshot::Pace as _;
use crate::audit::{Comparer, Comparison, Key, Late, Settings, file};
use crate::cli_error::CliError;
use crate::commands::moment::count;
use crate::commands::{Done, Env};
use crate::model::{DependentRow, Listed, State, StoredMessage};
use crate::report::{Report, StoreLine, Verdict};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Report what was lost or altered since a snapshot, in the live store or in a later snapshot
///
/// New messages are fine. Every message of the snapshot must still exist, unchanged.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The earlier snapshot
    before: PathBuf,

    /// The later one [default: the live store]
    after: Option<PathBuf>,

    /// Show at most this many examples of each finding
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = count::<usize>, allow_negative_numbers = true)]
    examples: usize,

    /// If the mapping's `allow` lets users delete or change messages: the share of the store, from 0 to 1,
    /// that they may; more is an error. Above 0, the limit is at least 10 conversations or 100 messages
    #[arg(long, default_value_t = 0.05, value_name = "SHARE", value_parser = super::share)]
    allow_share: f64,

    /// The time of the longest transaction: a message that was younger than this at the snapshot may have
    /// been committed after it
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    grace: Duration,

    #[command(flatten)]
    look: Look,
}

pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let key = Key::find(args.look.key.as_deref())?;
    let before = file::open(&args.before, &key)?;
    let later = match &args.after {
        Some(path) => Later::in_file(path, (&args, &env), &before, &key)?,
        None => match args.look.open_again(&env, &before.header).await {
            Ok(live) => Later::in_store(live, (&args, &env), &before).await?,
            Err(error) => {
                let target = args.look.target(&env)?;
                // Whatever keeps from looking there is less than the first error.
                return match dropped::report(&before, target).await {
                    Ok(Some(report)) => Ok(Done::Report(Box::new(Report {
                        took: began.elapsed(),
                        ..report
                    }))),
                    Ok(None) | Err(_) => Err(error),
                };
            }
        },
    };
    env.progress.done();
    let mut report = later.report(&args, &env, &before)?;
    report.took = began.elapsed();
    Ok(Done::Report(Box::new(report)))
}

/// What a snapshot is compared with, and what was found.
struct Later {
    found: Comparison,
    evidence: Evidence,
    messages: u64,
    url: String,
    /// Only of a live store.
    store: Option<StoreLine>,
    ranges: Option<f64>,
    allow: Vec<Allow>,
    unread: Vec<String>,
    /// What keeps it from showing that nothing was lost.
    doubt: Option<String>,
}

impl Later {
    fn in_file(
        path: &Path,
        (args, env): (&Args, &Env),
        before: &Snapshot,
        key: &Key,
    ) -> anyhow::Result<Self> {
        let after = file::open(path, key)?;
        if after.summary.taken < before.summary.taken {
            env.progress.warning(&format!(
                "`{}` is older than `{}`: name the earlier snapshot first",
                path.display(),
                args.before.display()
            ));
        }
        let mapping = &before.header.mapping;
        let (found, left_out) = of_files(before, &after)?;
        let stores = stores_of(mapping);
        let mut unread = look::unread_in(&stores, preset_of(mapping));
        unread.extend(left_out);
        let skipped = before.dependents_unlike(&after);
        if after.has_dependents() {
            unread.extend(not_read(before, &skipped));
        } else if before.has_dependents() {
            unread.push(look::NO_DEPENDENTS.to_owned());
        }
        Ok(Self {
            found,
            evidence: after.header.evidence,
            messages: after.summary.messages,
            url: after.header.store.url,
            store: None,
            ranges: None,
            allow: stores.first().map(allowed).unwrap_or_default(),
            unread,
            doubt: sealed(before),
        })
    }

    async fn in_store(
        mut live: Live,
        (args, env): (&Args, &Env),
        before: &Snapshot,
    ) -> anyhow::Result<Self> {
        live.has_come_to(&before.header)?;
        let left_out = live.read_as(&before.header.mapping);
        live.count_as(before).await?;
        let skipped = live.depends_as(&before.header).await?;
        let store = look::line(&live);
        let mut unread = look::unread(&live);
        // Where the preset's mapping is only remembered, it no longer says so itself.
        if live.mapping.detected().is_some() {
            unread.extend(look::unread_in(&[], preset_of(&before.header.mapping)));
        }
        unread.extend(left_out);
        unread.extend(not_read(before, &skipped));
        let mut doubt = sealed(before);
        let (then, now) = (&before.header.store.messages, live.mapping.table());
        if !then.is_empty() && then != now {
            if live.is_view(then).await? {
                doubt = Some(format!(
                    "the snapshot was taken of `{then}`, which is a view now, so `{now}` was read: it is not known \
                     which rows the view leaves out"
                ));
            } else {
                unread.push(format!(
                    "`{now}` was read instead of `{then}`, of which the snapshot was taken"
                ));
            }
        }
        let (allow, ranges) = (live.allowed(), live.ranges() as f64);
        let (found, messages) = if before.header.mapping.sums.is_some() {
            quick::reads_as(&mut live, before);
            let late = live.latecomers(before, args.grace).await?;
            quick::compared(env, before, &live, settings(args, &live)?, &late).await?
        } else {
            let (found, counted) = with_store((args, env), before, &live, skipped).await?;
            unread.extend(counted.told());
            (found, counted.messages)
        };
        look::warn(env, &live);
        Ok(Self {
            found,
            evidence: live.evidence,
            messages,
            url: store.url.clone(),
            store: Some(store),
            ranges: Some(ranges),
            allow,
            unread,
            doubt,
        })
    }

    fn report(self, args: &Args, env: &Env, before: &Snapshot) -> anyhow::Result<Report> {
        let is_quick = before.header.mapping.sums.is_some();
        // A loss is one in any character set.
        let mut codes = self.found.groups.keys();
        if is_quick && codes.all(|code| *code == Code::MessageAltered) {
            quick::has_same_texts(before, &self.evidence)?;
        }
        let (then, url) = (&before.header.store.url, &self.url);
        let is_elsewhere = self.found.has_nothing_intact() && then != url;
        if is_elsewhere {
            env.progress.warning(&format!(
                "no conversation of the snapshot is unchanged in `{url}`, and the snapshot was taken of `{then}`: is \
                 this another database? Then correct --database-url, and restore nothing"
            ));
        }
        let rules = Rules {
            examples: args.examples,
            share: args.allow_share,
            allow: self.allow,
        };
        let rows = rows(before, &self.found, self.messages);
        let judged = judge::judge(&before.header.evidence, &self.evidence, &rows);
        for note in &judged.notes {
            env.progress.note(note);
        }
        let mut report = Report::new("audit compare");
        report.store = self.store;
        report.checked = self.found.totals.messages;
        for finding in self
            .found
            .findings(&rules)
            .into_iter()
            .chain(judged.findings)
        {
            report.add(finding);
        }
        let mut case = case(&self.found, &rules, &report);
        if let Some(doubt) = self.doubt {
            if case.verdict == Verdict::Held {
                case.verdict = Verdict::Inconclusive;
            }
            case.reason.push_str(&format!("; {doubt}"));
        }
        if is_elsewhere {
            case.reason.push_str(
                "; the snapshot was taken of another address: this may be another database",
            );
        }
        for what in self.unread {
            case.reason.push_str(&format!("; {what}"));
        }
        if is_quick {
            case.reason.push_str(quick::LIMITS);
        }
        case.metrics
            .extend(self.ranges.map(|ranges| ("ranges", ranges)));
        report.cases.push(case);
        Ok(report)
    }
}

/// Why a comparison with this snapshot shows nothing of the texts.
fn sealed(before: &Snapshot) -> Option<String> {
    let preset = preset_of(&before.header.mapping)?;
    let mut engines = preset.sealed_on.iter();
    let is_sealed = engines.any(|engine| engine.name() == before.header.store.backend);
    is_sealed.then(|| {
        format!(
            "the texts are in tables that the preset {} does not read",
            preset.name
        )
    })
}

/// The tables of parts that were not compared, in words that continue a sentence.
fn not_read(before: &Snapshot, skipped: &[u8]) -> Option<String> {
    let tables = skipped
        .iter()
        .filter_map(|at| before.header.dependents.get(usize::from(*at)));
    let tables: Vec<_> = tables.map(|it| format!("`{}`", it.table)).collect();
    (!tables.is_empty()).then(|| {
        format!(
            "the rows of {} were not compared, which have other columns now",
            tables.join(", ")
        )
    })
}

/// Compares two files, and says what is left out for that.
fn of_files(before: &Snapshot, after: &Snapshot) -> anyhow::Result<(Comparison, Option<String>)> {
    let then = &before.header.mapping;
    let now = &after.header.mapping;
    let Some((mapping, left_out)) = without_newer(then, now) else {
        let found = audit::compare_files(before, after)?;
        if !found.groups.is_empty() {
            reads_no_more(before, after)?;
        }
        return Ok((found, None));
    };
    let found = audit::compare_files_as(before, after, &mapping)?;
    // The later file has more in its digests: what looks altered may only have got some.
    if found.groups.contains_key(&Code::MessageAltered) {
        before.fits(now)?;
    }
    Ok((found, Some(left_out)))
}

/// Refuses a later file for which more of a row was read: what looks altered or new may have been there.
fn reads_no_more(before: &Snapshot, after: &Snapshot) -> Result<(), CliError> {
    let [then, now] = [before, after].map(|it| stores_of(&it.header.mapping));
    let (Some(then), Some(now)) = (then.first(), now.first()) else {
        return Ok(());
    };
    if now.reads() <= then.reads() {
        return Ok(());
    }
    Err(CliError::refused(format!(
        "the snapshots differ, but the later one was read in more columns or fields: {}, and {} before",
        now.reads(),
        then.reads()
    ))
    .hint("compare the live store with the earlier snapshot: it is read as it was then"))
}

fn settings(args: &Args, live: &Live) -> anyhow::Result<Settings> {
    Ok(Settings {
        memory: args.look.memory()?,
        ..Settings::at(live.taken)
    })
}

/// Reads the live store, and once more when there is something to name.
async fn with_store(
    (args, env): (&Args, &Env),
    before: &Snapshot,
    live: &Live,
    skipped: Vec<u8>,
) -> anyhow::Result<(Comparison, Counted)> {
    let late = live.latecomers(before, args.grace).await?;
    let mut comparer = Comparing {
        comparer: Comparer::new(before, &live.fingerprinted(), settings(args, live)?)?
            .without(skipped),
        pace: look::Pace::new(env, live).await,
        counted: Counted::default(),
    };
    if !live.read(&late, &mut comparer).await? {
        return Err(CliError::interrupted().into());
    }
    let counted = comparer.counted;
    let resolver = match comparer.comparer.finish()?.resolver() {
        Err(found) => return Ok((*found, counted)),
        Ok(resolver) => resolver,
    };
    env.progress
        .note("something differs: reading the store again to name it");
    let mut naming = Naming {
        resolver,
        pace: look::Pace::new(env, live).await,
    };
    if live.read(&late, &mut naming).await? {
        Ok((naming.resolver.finish(), counted))
    } else {
        Err(CliError::interrupted().into())
    }
}

/// How many messages were read.
#[derive(Debug, Default)]
struct Counted {
    messages: u64,
    /// Those in which the mapping finds nothing that was said.
    blank: u64,
}

impl Counted {
    /// A smaller share than one of so many is usual: an answer that was stopped, a call in another table.
    const USUAL: u64 = 10;
    const FEW: u64 = 3;

    fn add(&mut self, message: &StoredMessage) {
        self.messages += 1;
        let is_blank = message.content.trim().is_empty()
            && message.tools.is_empty()
            && !message.reasoning
            && message.attachments == 0
            && message.others == 0
            && message.extra.trim_matches('\u{1f}').is_empty()
            && message.state == State::Whole
            && message.decoded;
        self.blank += u64::from(is_blank);
    }

    /// That texts may be where nothing reads them.
    fn told(&self) -> Option<String> {
        let (blank, all) = (self.blank, self.messages);
        (blank >= Self::FEW && blank > all / Self::USUAL).then(|| {
            format!(
                "{blank} of {all} messages have no text where the mapping reads it: if their texts are elsewhere, \
                 they were not compared"
            )
        })
    }
}

struct Comparing<'e> {
    comparer: Comparer<'e>,
    pace: look::Pace<'e>,
    counted: Counted,
}

impl Visitor for Comparing<'_> {
    fn conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.comparer.add_conversation(key, listed)?;
        Ok(self.pace.conversation())
    }

    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.counted.add(message);
        self.comparer.add(message, late)?;
        Ok(self.pace.message())
    }

    fn dependent(&mut self, row: DependentRow) -> anyhow::Result<ControlFlow<()>> {
        self.comparer.add_dependent(row)?;
        Ok(self.pace.conversation())
    }
}

struct Naming<'e> {
    resolver: Resolver,
    pace: look::Pace<'e>,
}

impl Visitor for Naming<'_> {
    fn conversation(&mut self, key: &str, _: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.resolver.add_conversation(key);
        Ok(self.pace.conversation())
    }

    fn message(&mut self, message: &mut StoredMessage, _: Late) -> anyhow::Result<ControlFlow<()>> {
        self.resolver.add(message);
        Ok(self.pace.message())
    }
}

/// What became of the rows of the messages' table. Those of the others were not counted, but when
/// nothing is missing of what was read from them, nothing is missing in them.
fn rows(before: &Snapshot, found: &Comparison, after: u64) -> BTreeMap<String, Rows> {
    let store = &before.header.store;
    let kept = if found.intact() {
        RowsFate::Intact
    } else if found.misses_rows() {
        RowsFate::Lost
    } else {
        RowsFate::Unknown
    };
    let row = |name: &String| {
        let rows = if *name == store.messages {
            Rows {
                before: before.summary.messages,
                after,
                kept,
            }
        } else {
            Rows {
                before: found.totals.conversations,
                after: found.totals.conversations,
                kept: if found.intact() && store.read.contains(name) {
                    RowsFate::Intact
                } else {
                    RowsFate::Unknown
                },
            }
        };
        (name.clone(), rows)
    };
    before.header.evidence.tables.keys().map(row).collect()
}

fn case(found: &Comparison, rules: &Rules, report: &Report) -> crate::report::Case {
    let totals = &found.totals;
    let (verdict, reason) = found.verdict(rules, report.errors());
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
        ("unjudged_messages", totals.unjudged),
        ("doubtful_messages", totals.doubtful),
        ("late_messages", totals.late),
        ("purged_messages", totals.purged),
        ("gone_empty_conversations", totals.gone_empty),
        ("rounded_times", totals.rounded),
        ("unordered_conversations", totals.unordered),
    ];
    case.metrics
        .extend(figures.map(|(name, number)| (name, number as f64)));
    case
}
