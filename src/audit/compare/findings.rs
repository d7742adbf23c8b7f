//! The findings of a comparison, in words.

use super::kinds::{Allow, Code};
use super::{Comparison, Group, Item};
use crate::audit::entry::Id;
use crate::report::{Finding, Source};
use crate::text::plural;
use std::time::{Duration, UNIX_EPOCH};

/// What makes a finding a note, and how many examples it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// What the mapping allows users to do.
    pub allow: Vec<Allow>,
    /// The share of the store, from 0 to 1, that users may have deleted or changed.
    pub share: f64,
    /// Examples of a finding.
    pub examples: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            share: 0.05,
            examples: 20,
        }
    }
}

impl Comparison {
    /// The findings, one a code; what late messages there are is a number of [`super::Totals`].
    pub fn findings(&self, rules: &Rules) -> Vec<Finding> {
        let all = self.groups.iter();
        all.map(|(code, group)| self.finding(*code, group, rules))
            .collect()
    }

    fn finding(&self, code: Code, group: &Group, rules: &Rules) -> Finding {
        let kind = code.kind();
        let severity = self.severity(code, group, rules);
        let subject = match group.items.as_slice() {
            [one] if group.count == 1 => format!("conversation {}", self.label(one.conversation)),
            _ => plural(group.conversations, "conversation"),
        };
        let mut finding = Finding::new(kind.name, severity, subject, (kind.harm)(group), kind.help);
        if !group.note.is_empty() {
            finding = finding.with(Source::Store, group.note.clone());
        }
        for item in group.items.iter().take(rules.examples) {
            finding = finding.with(Source::Store, self.line(code, item));
        }
        let shown = group.items.len().min(rules.examples) as u64;
        if shown < group.count {
            let rest = group.count - shown;
            finding = finding.with(
                Source::Store,
                format!("{rest} more of {} are not shown", group.count),
            );
        }
        finding
    }

    fn line(&self, code: Code, item: &Item) -> String {
        let conversation = self.label(item.conversation);
        let mut line = match item.message {
            None if item.messages == 0 => {
                return format!("conversation {conversation}: {}", item.note);
            }
            Some(message) => format!("message {}", self.label(message)),
            None => plural(item.messages, "message"),
        };
        let about: Vec<_> = item
            .role
            .map(str::to_owned)
            .into_iter()
            .chain(item.time.map(when))
            .collect();
        if !about.is_empty() {
            line.push_str(&format!(" ({})", about.join(", ")));
        }
        line.push_str(&format!(" of conversation {conversation}"));
        match item.other {
            Some(other) if code == Code::MessageAltered => {
                line.push_str(&format!(": now message {}", self.label(other)));
            }
            Some(other) => {
                line.push_str(&format!(": now in conversation {}", self.label(other)));
            }
            None => {}
        }
        if !item.note.is_empty() {
            line.push_str(&format!(": {}", item.note));
        }
        line
    }

    /// The identifier, if it is known; else its hash.
    pub fn label(&self, id: Id) -> String {
        match self.names.get(&id) {
            Some(name) => format!("`{name}`"),
            None => id.to_string(),
        }
    }
}

/// A time in RFC 3339 with milliseconds; a number when it is out of what can be written so.
fn when(micros: i64) -> String {
    /// The end of the year 9999.
    const LAST: u64 = 253_402_300_799_000_000;
    match u64::try_from(micros) {
        Ok(micros) if micros <= LAST => {
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            humantime::format_rfc3339_millis(time).to_string()
        }
        _ => format!("{micros} µs since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::when;

    #[test]
    fn any_time_can_be_written() {
        assert_eq!(when(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
        assert_eq!(when(-1), "-1 µs since 1970");
        assert_eq!(when(i64::MAX), "9223372036854775807 µs since 1970");
    }
}
