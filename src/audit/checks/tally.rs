//! What a check counts, and the few that it names.

use super::Cause;
use super::Check;
use super::ground::Ground;
use super::seen::Seen;
use crate::model::StoredMessage;
use crate::report::Finding;
use crate::report::Source;
use std::collections::BTreeMap;

/// Counts by cause, with the first examples of each.
#[derive(Debug)]
pub struct Tally {
    keep: usize,
    /// From here on, in microseconds since 1970 UTC; what is older is not counted.
    since: Option<i64>,
    found: BTreeMap<&'static str, Found>,
    /// What a check that compares conversations with each other remembers of them.
    pub(super) seen: Seen,
}

#[derive(Debug, Default)]
struct Found {
    count: u64,
    examples: Vec<String>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(keep: usize, since: Option<i64>) -> Self {
        Self {
            keep,
            since,
            found: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Counts a message; what has no time counts whatever was asked for, as nobody knows its age.
    pub fn message(&mut self, cause: &'static Cause, message: &StoredMessage, fact: &str) {
        self.row(cause, message.time, || {
            let conversation = message
                .conversation
                .as_ref()
                .map(|key| format!("conversation `{key}`, "))
                .unwrap_or_default();
            let fact = match fact {
                "" => String::new(),
                fact => format!(": {fact}"),
            };
            format!("{conversation}message `{}`{fact}", message.key)
        });
    }

    /// Counts anything else that has a time.
    pub fn row(&mut self, cause: &'static Cause, time: Option<i64>, told: impl FnOnce() -> String) {
        let old = self
            .since
            .is_some_and(|since| time.is_some_and(|time| time < since));
        if old {
            return;
        }
        let found = self.found.entry(cause.name).or_default();
        found.count += 1;
        if found.examples.len() < self.keep {
            found.examples.push(told());
        }
    }

    /// How many were counted in all.
    pub fn total(&self) -> u64 {
        self.found.values().map(|found| found.count).sum()
    }

    /// How many, by cause.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.found.iter().map(|(name, found)| (*name, found.count))
    }

    /// The findings, one for each cause.
    pub fn findings(&self, check: &Check, ground: &Ground<'_>) -> Vec<Finding> {
        let told = check.causes.iter().filter_map(|cause| {
            let found = self.found.get(cause.name)?;
            let times = match found.count {
                1 => "once".to_owned(),
                count => format!("{count} times"),
            };
            let subject = format!("{}: {}", ground.mapping.table(), cause.name);
            let finding = Finding::new(
                check.code,
                ground.severity(check, cause),
                subject,
                format!("{} ({times})", cause.harm),
                check.help,
            );
            let finding = found.examples.iter().fold(finding, |finding, example| {
                finding.with(Source::Store, example)
            });
            let finding = match self.seen.one_of() {
                1 => finding,
                some => finding.with(
                    Source::Store,
                    format!(
                        "only one of {some} conversations was compared: there is no room for more"
                    ),
                ),
            };
            let more = found.count - found.examples.len() as u64;
            Some(match more {
                0 => finding,
                more => finding.with(
                    Source::Store,
                    format!(
                        "{more} more are not named; --examples {} would",
                        found.count
                    ),
                ),
            })
        });
        told.collect()
    }
}
