//! What a check counts by cause, and the examples that it names.

use super::check_context::{Age, CheckContext, is_between};
use super::first_seen::FirstSeen;
use super::{Cause, Check};
use crate::model::{Mark, StoredMessage};
use crate::report::{Finding, FindingRow, Severity, Source};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// Counts by cause, with the first of each.
#[derive(Debug)]
pub struct CauseCounts {
    /// How many of each cause are kept.
    keep: usize,
    /// From when to when, in microseconds since 1970 UTC; what is older or younger is not counted.
    since: Option<i64>,
    until: Option<i64>,
    found: BTreeMap<&'static str, Found>,
    /// How many things were examined whose age matters, and how many were too young to be judged.
    judged: u64,
    young: u64,
    /// Whether any message was asked whether it is finished, and whether any says so.
    asks_marks: bool,
    is_marked: bool,
    /// What a check that compares conversations with each other remembers of them.
    pub(super) seen: FirstSeen,
}

#[derive(Debug, Default)]
struct Found {
    count: u64,
    rows: Vec<FindingRow>,
}

/// Something that was found, as far as it is known.
#[derive(Debug, Default)]
pub struct Thing {
    /// The conversation's key.
    pub conversation: Option<String>,
    /// The message's key.
    pub message: Option<String>,
    /// What else there is to say of it; empty when there is nothing.
    pub fact: String,
}

impl Thing {
    /// Something of which only this is known.
    pub fn fact(fact: impl Into<String>) -> Self {
        Self {
            fact: fact.into(),
            ..Self::default()
        }
    }
}

impl CauseCounts {
    /// Nothing yet.
    pub fn new(asked: &super::Asked) -> Self {
        Self {
            keep: asked.keep,
            since: asked.since,
            until: asked.until,
            found: BTreeMap::new(),
            judged: 0,
            young: 0,
            asks_marks: false,
            is_marked: false,
            seen: FirstSeen::default(),
        }
    }

    /// Counts a message; what has no time counts whatever was asked for, as nobody knows its age.
    pub fn message(&mut self, cause: &'static Cause, message: &StoredMessage, fact: &str) {
        self.row(cause, message.time, || Thing {
            conversation: message.conversation.clone(),
            message: Some(message.key.clone()),
            fact: fact.to_owned(),
        });
    }

    /// Counts anything else that has a time.
    pub fn row(&mut self, cause: &'static Cause, time: Option<i64>, told: impl FnOnce() -> Thing) {
        if !self.is_asked_for(time) {
            return;
        }
        let found = self.found.entry(cause.name).or_default();
        found.count += 1;
        if found.rows.len() < self.keep {
            let thing = told();
            found.rows.push(FindingRow {
                cause: cause.name,
                conversation: thing.conversation,
                message: thing.message,
                time: time.and_then(written),
                fact: (!thing.fact.is_empty()).then_some(thing.fact),
                ..FindingRow::default()
            });
        }
    }

    /// Says that something was examined whose age matters: whether it is old enough to be judged.
    pub fn judges(&mut self, context: &CheckContext<'_>, time: Option<i64>) -> bool {
        let is_old = context.age(time) != Age::Young;
        if self.is_asked_for(time) {
            self.judged += u64::from(is_old);
            self.young += u64::from(!is_old);
        }
        is_old
    }

    /// Says that something was examined that may be as it is for a while: whether it has been so
    /// for longer.
    pub fn expires(&mut self, context: &CheckContext<'_>, time: Option<i64>) -> bool {
        let is_old = context.is_over(time);
        if self.is_asked_for(time) {
            self.judged += 1;
            self.young += u64::from(!is_old);
        }
        is_old
    }

    /// Says that something was examined that needs no age.
    pub fn judged(&mut self, time: Option<i64>) {
        self.judged += u64::from(self.is_asked_for(time));
    }

    fn is_asked_for(&self, time: Option<i64>) -> bool {
        is_between(self.since, self.until, time)
    }

    /// Takes note of whether a message says whether it is finished.
    pub fn marks(&mut self, message: &StoredMessage) {
        self.asks_marks = true;
        self.is_marked |= message.mark != Mark::None;
    }

    /// Why nothing can be said of what was read, if so.
    pub fn blind(&self) -> Option<&'static str> {
        (self.asks_marks && !self.is_marked).then_some("no message says whether it is finished")
    }

    /// How many were counted in all.
    pub fn total(&self) -> u64 {
        self.found.values().map(|found| found.count).sum()
    }

    /// How many, by cause.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.found.iter().map(|(name, found)| (*name, found.count))
    }

    /// How many, by the level of the cause.
    pub fn levels(&self, check: &Check, context: &CheckContext<'_>) -> BTreeMap<Severity, u64> {
        let mut levels = BTreeMap::new();
        for cause in check.causes {
            if let Some(found) = self.found.get(cause.name) {
                *levels.entry(context.severity(check, cause)).or_default() += found.count;
            }
        }
        levels
    }

    /// How many were too young to be judged.
    pub fn young(&self) -> u64 {
        self.young
    }

    /// Whether there was something to judge, and all of it was too young.
    pub fn is_only_young(&self) -> bool {
        self.young > 0 && self.judged == 0 && self.found.is_empty()
    }

    /// Of so many conversations one was compared with the others.
    pub fn one_of(&self) -> u64 {
        self.seen.one_of()
    }

    /// The rows that are kept, to be completed.
    pub fn rows(&mut self) -> impl Iterator<Item = &mut FindingRow> {
        self.found.values_mut().flat_map(|found| &mut found.rows)
    }

    /// The findings, one for each cause, each naming so many examples.
    pub fn findings(&self, check: &Check, context: &CheckContext<'_>) -> Vec<Finding> {
        let told = check.causes.iter().filter_map(|cause| {
            let found = self.found.get(cause.name)?;
            let times = match found.count {
                1 => "once".to_owned(),
                count => format!("{count} times"),
            };
            let subject = format!("{}: {}", context.mapping.table(), cause.name);
            let finding = Finding::new(
                check.code,
                context.severity(check, cause),
                subject,
                format!("{} ({times})", cause.harm),
                check.help,
            );
            let examples = context.asked.examples;
            let mut finding = found.rows.iter().take(examples).fold(finding, |finding, row| {
                finding.with(Source::Store, row.line())
            });
            finding.rows.clone_from(&found.rows);
            let more = found.count - found.rows.len().min(examples) as u64;
            let (are, them) = if more == 1 { ("is", "it") } else { ("are", "them") };
            Some(match more {
                0 => finding,
                more => finding.with(
                    Source::Store,
                    format!(
                        "{more} more {are} not listed; --examples {} lists {them}, and --format csv or jsonl lists all",
                        found.count
                    ),
                ),
            })
        });
        told.collect()
    }
}

/// A time as RFC 3339 with milliseconds; none when it is out of what can be written so.
fn written(micros: i64) -> Option<String> {
    /// The end of the year 9999.
    const LAST: u64 = 253_402_300_799_000_000;
    let micros = u64::try_from(micros)
        .ok()
        .filter(|micros| *micros <= LAST)?;
    let time = UNIX_EPOCH + Duration::from_micros(micros);
    Some(humantime::format_rfc3339_millis(time).to_string())
}
