//! Labels of enums and names of fields. A row has the number of a value, and an application reads its label;
//! of a composite value it has the fields in their order, and an application reads them by name.

use super::Postgres;
use super::catalog::Seen;
use std::collections::BTreeMap;

impl Seen {
    /// Whether an earlier label now means another value. A new label in its place, which no other
    /// value had, is a rename by the migration.
    pub(super) fn has_other_words(&self, now: &Self) -> bool {
        self.words.iter().any(|(value, word)| {
            let other = |(other, text): (&u64, &String)| text == word && other != value;
            now.words.iter().any(other)
        })
    }

    /// Whether a value gets a label that another one had when the run began.
    fn takes_label(&self, now: &Self, first: &BTreeMap<u64, String>) -> bool {
        let is_new = |(value, label): &(&u64, &String)| self.words.get(value) != Some(label);
        now.words.iter().filter(is_new).any(|(value, label)| {
            let mut first = first.iter();
            first.any(|(other, was)| other != value && was == label)
        })
    }
}

impl Postgres {
    /// Remembers the labels and names that the run found, of each value and field the first one.
    pub(super) fn note_labels(&mut self) {
        for seen in self.before.values() {
            for (of, label) in seen.called() {
                self.labels.entry(of).or_insert_with(|| label.clone());
            }
        }
    }

    /// Whether the values of a table are read by labels or names that others had when the run began.
    pub(super) fn is_relabelled(&self, was: &Seen, now: &Seen) -> bool {
        was.takes_label(now, &self.labels) || !was.other_fields(now, &self.labels).is_empty()
    }

    /// The labels and names that the run found, where their values and fields have others now.
    pub(super) fn former_labels(&mut self) -> anyhow::Result<BTreeMap<u64, String>> {
        let mut now = BTreeMap::new();
        for seen in self.seen()?.values() {
            now.extend(seen.called().map(|(of, label)| (of, label.clone())));
        }
        let mut former = self.labels.clone();
        former.retain(|value, was| now.get(value).is_some_and(|it| it != was));
        Ok(former)
    }
}
