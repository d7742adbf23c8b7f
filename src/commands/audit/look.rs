//! Shared by the commands that read the whole store: options, progress and reporting.

use super::duration;
use crate::audit::file::Header;
use crate::audit::live::Live;
use crate::audit::snapshot;
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::db::{Db, Target};
use crate::report::{Case, StoreLine, Verdict};
use crate::store::{Choice, Preset, Store};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How the store is read.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// The key of the digests: env:NAME or file:PATH [default: ~/.config/chatctl/audit.key, created on first use]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// Read a replica instead of the store
    #[arg(long, value_name = "URL")]
    read_from: Option<String>,

    /// How long one consistent read may last
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = duration)]
    max_time: Duration,

    /// Read the messages in this many ranges at once, over separate connections that share one
    /// consistent view (PostgreSQL; MariaDB, where commits wait some milliseconds at the start)
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), allow_negative_numbers = true)]
    ranges: u16,

    /// Memory for conversations and messages; the rest is spilled to temporary files
    #[arg(long, default_value = "160M", value_name = "BYTES")]
    mem: String,
}

impl Look {
    /// Opens the store, or its replica, at one moment.
    pub(super) async fn open(&self, env: &Env) -> anyhow::Result<Live> {
        let choice = Choice::from(&env.config.store);
        self.open_by(env, choice).await
    }

    /// The same, read as this snapshot was, if its mapping still fits.
    pub(super) async fn open_again(&self, env: &Env, before: &Header) -> anyhow::Result<Live> {
        let choice = Choice {
            declared: &env.config.store,
            table: Some(&before.store.messages),
            mapping: before.mapping.declared.as_deref(),
        };
        self.open_by(env, choice).await
    }

    /// The store, or its replica.
    pub(super) fn target(&self, env: &Env) -> anyhow::Result<Target> {
        Ok(match &self.read_from {
            Some(url) => env.target_of(url)?,
            None => env.target()?,
        })
    }

    async fn open_by(&self, env: &Env, choice: Choice<'_>) -> anyhow::Result<Live> {
        let target = self.target(env)?;
        env.progress.doing("looking at the tables".to_owned());
        let live = Live::open(target, choice, self.max_time, self.ranges.into()).await?;
        if env.mask.redact().is_some() {
            env.mask.know(&live.db.schema().await?);
        }
        env.note_mapping(&live.mapping);
        if let Some(what) = live.mapping.unreadable() {
            env.progress.note(&format!("not readable: {what}"));
        }
        for table in &live.unread.tables {
            let told = format!("not read: `{table}`, which looks like the chats too");
            env.progress.note(&told);
        }
        if let Some(texts) = texts(&live) {
            env.progress
                .note(&format!("not read: the texts in {texts}"));
        }
        if let Some(why) = &live.whole {
            env.progress.note(&format!("read in one range: {why}"));
        }
        Ok(live)
    }

    /// Bytes: a number, with K, M or G behind it for powers of 1024.
    pub(super) fn memory(&self) -> Result<usize, CliError> {
        let (digits, scale) = match self.mem.to_ascii_uppercase().chars().last() {
            Some('K') => (&self.mem[..self.mem.len() - 1], 10),
            Some('M') => (&self.mem[..self.mem.len() - 1], 20),
            Some('G') => (&self.mem[..self.mem.len() - 1], 30),
            _ => (self.mem.as_str(), 0),
        };
        let bytes = digits
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(1 << scale));
        bytes.filter(|bytes| *bytes >= 1 << 20).ok_or_else(|| {
            CliError::usage(format!("`--mem {}` is not a size of at least 1M", self.mem))
                .hint("--mem 160M")
        })
    }
}

/// Tells how far a read is, and breaks it off when a signal asks to stop.
pub(super) struct Pace<'e> {
    env: &'e Env,
    began: Instant,
    messages: u64,
    conversations: u64,
    /// How many messages there may be.
    of: Option<u64>,
}

/// Progress interval, in messages.
const OFTEN: u64 = 20_000;

impl<'e> Pace<'e> {
    pub(super) async fn new(env: &'e Env, live: &Live) -> Self {
        Self {
            env,
            began: Instant::now(),
            messages: 0,
            conversations: 0,
            of: estimate(live).await,
        }
    }

    fn go_on(&self, told: String) -> ControlFlow<()> {
        self.env.progress.doing(told);
        if *self.env.interrupted.borrow() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl snapshot::Pace for Pace<'_> {
    fn conversation(&mut self) -> ControlFlow<()> {
        self.conversations += 1;
        if self.conversations.is_multiple_of(OFTEN) {
            self.go_on(format!("{} conversations", self.conversations))
        } else {
            ControlFlow::Continue(())
        }
    }

    fn message(&mut self) -> ControlFlow<()> {
        self.messages += 1;
        if !self.messages.is_multiple_of(OFTEN) {
            return ControlFlow::Continue(());
        }
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = self.messages as f64 / seconds;
        let left = self
            .of
            .map(|of| of.saturating_sub(self.messages) as f64 / rate);
        let left = left.map(|left| {
            let left = Duration::from_secs(left.ceil() as u64);
            format!(", about {} left", humantime::format_duration(left))
        });
        let told = format!(
            "{} messages, {rate:.0}/s{}",
            self.messages,
            left.unwrap_or_default()
        );
        self.go_on(told)
    }
}

/// How many messages there may be, without counting them.
async fn estimate(live: &Live) -> Option<u64> {
    let store = live.mapping.store();
    let db: &dyn Db = live.db.as_ref();
    let append = store
        .message
        .append
        .as_ref()
        .filter(|append| store.message.key == [(*append).clone()])?;
    // Not all engines have the largest of other keys, and an error would end the view.
    if !live.mapping.is_whole(append) {
        return None;
    }
    let sql = format!(
        "SELECT max({}) FROM {}",
        db.quote(append),
        db.quote(store.table())
    );
    let rows = db.rows(&sql, &[]).await.ok()?;
    u64::try_from(rows.first()?.first()?.int()?).ok()
}

/// The line of a report that names the store.
pub(super) fn line(live: &Live) -> StoreLine {
    let target = live.db.target();
    StoreLine {
        backend: target.engine().to_string(),
        url: target.to_string(),
        mapping: live.mapping.short(),
    }
}

/// What whoever reads the result should know of how it was read.
pub(super) fn warn(env: &Env, live: &Live) {
    for warning in &live.db.moment().warnings {
        env.progress.warning(warning);
    }
    if let [first, more @ ..] = live.shadowed.as_slice() {
        let more = match more.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        env.progress.warning(&format!(
            "`{first}`{more} on the search path looks like the chats too, and is not read: name one schema in \
             ?search_path= of --database-url, and take a snapshot of each"
        ));
    }
}

/// Why what belongs to messages was not compared.
pub(super) const NO_DEPENDENTS: &str = "tool calls and attachments in tables of their own, owners and titles were not compared: the snapshot does not \
     have them";

/// What of the store is not read, in words that continue a sentence.
pub(super) fn unread(live: &Live) -> Vec<String> {
    let mut told = unread_in(&live.mapping.stores, None);
    let unreadable = live.mapping.unreadable();
    told.extend(unreadable.map(|what| format!("not readable: {what}")));
    let parent = live.mapping.unread_parent();
    told.extend(parent.map(|name| format!("the parents in `{name}` were not compared")));
    let alike = &live.unread.tables;
    let is_read = |name: &String| live.dependents.iter().any(|(_, it)| it.table == *name);
    let neighbours = live.neighbours.iter();
    let neighbours = neighbours.filter(|it| !alike.contains(it) && !is_read(it));
    let neighbours: Vec<_> = neighbours.map(|table| format!("`{table}`")).collect();
    if !neighbours.is_empty() {
        let names = neighbours.join(", ");
        told.push(format!(
            "tables that refer to the same chats and may hold texts were not compared: {names}"
        ));
    }
    let alike = alike.iter().chain(&live.shadowed);
    told.extend(
        alike.map(|table| format!("`{table}` looks like the chats too, and was not compared")),
    );
    let texts = texts(live);
    told.extend(texts.map(|texts| format!("the texts in {texts} were not compared")));
    told
}

/// The columns of the messages that hold other texts.
fn texts(live: &Live) -> Option<String> {
    let columns = &live.unread.columns;
    (!columns.is_empty()).then(|| format!("`{}`", columns.join("`, `")))
}

/// The same of stores that a snapshot was taken of.
pub(super) fn unread_in(stores: &[Store], preset: Option<&Preset>) -> Vec<String> {
    let others = stores.iter().skip(1);
    let others =
        others.map(|other| format!("the same chats in `{}` were not compared", other.table()));
    let order = stores.first().map(Store::order_besides_parents);
    let order = order.filter(|order| !order.is_empty());
    let order = order.map(|order| {
        format!(
            "the order by `{}` was not compared: each message names the one before it",
            order.join("`, `")
        )
    });
    let items = stores.first().and_then(|store| store.item.as_ref());
    let items = items.map(|item| {
        format!(
            "fields of the messages in `{}` that the mapping does not name were not compared: their texts and calls \
             are read from `{}`",
            item.items,
            item.contents().join("`, `")
        )
    });
    let unreadable = preset.and_then(|preset| preset.unreadable.as_ref());
    let unreadable = unreadable.map(|what| format!("not readable: {what}"));
    others.chain(order).chain(items).chain(unreadable).collect()
}

pub(super) fn case(name: &str, verdict: Verdict, reason: String) -> Case {
    Case {
        name: name.to_owned(),
        session: "store".to_owned(),
        fault: "none".to_owned(),
        client: "none".to_owned(),
        took: Duration::ZERO,
        timeline: Default::default(),
        metrics: Default::default(),
        verdict,
        reason,
    }
}
