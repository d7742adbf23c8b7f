//! The result of a comparison, in one line that counts everything that was not judged.

use super::findings::Rules;
use super::kinds::Allow;
use super::{Code, Comparison, Group};
use crate::audit::message_hasher::Asides;
use crate::report::{Severity, Verdict};
use crate::text::plural;

impl Comparison {
    /// The verdict and why. `errors` is how many findings of that level there are, with those that
    /// the catalogue led to.
    pub fn verdict(&self, rules: &Rules, errors: usize) -> (Verdict, String) {
        let totals = &self.totals;
        let doubt = self.doubt();
        let verdict = match (errors, &doubt) {
            (1.., _) => Verdict::Violated,
            (0, Some(_)) => Verdict::Inconclusive,
            (0, None) => Verdict::Held,
        };
        let mut told = match (verdict, totals.messages.saturating_sub(self.other(rules))) {
            (Verdict::Violated, _) => format!(
                "{} of {} are unchanged; {} of loss or change {} found",
                totals.intact,
                plural(totals.conversations, "conversation"),
                plural(errors as u64, "kind"),
                if errors == 1 { "was" } else { "were" }
            ),
            (_, same) if same == totals.messages => format!(
                "all of {} in {} are unchanged",
                plural(totals.messages, "message"),
                plural(totals.conversations, "conversation")
            ),
            (_, same) => format!(
                "{same} of {} in {} are unchanged",
                plural(totals.messages, "message"),
                plural(totals.conversations, "conversation")
            ),
        };
        for more in self.left_out(rules).into_iter().chain(doubt) {
            told.push_str("; ");
            told.push_str(&more);
        }
        (verdict, told)
    }

    /// Whether something was found, and no conversation of the snapshot is what it was, as in another
    /// database.
    pub fn has_nothing_intact(&self) -> bool {
        !self.groups.is_empty() && self.totals.conversations > 0 && self.totals.intact == 0
    }

    /// How many messages of the snapshot are not known to be what they were.
    fn other(&self, rules: &Rules) -> u64 {
        let (totals, allowed) = (&self.totals, self.allowed(rules));
        allowed + totals.unjudged + totals.doubtful + totals.purged + totals.rounded
    }

    /// How many messages are gone or changed as users may do.
    fn allowed(&self, rules: &Rules) -> u64 {
        let notes = self.groups.iter().filter(|(code, group)| {
            code.kind().allowed_by.is_some()
                && self.severity(**code, group, rules) == Severity::Note
        });
        notes.map(|(_, group)| group.messages - group.unsure).sum()
    }

    /// What is not judged, or is not held against the store.
    fn left_out(&self, rules: &Rules) -> Vec<String> {
        let totals = &self.totals;
        let texts = |count| match count {
            1 => "the text of 1 message".to_owned(),
            count => format!("the texts of {count} messages"),
        };
        let told = [
            (
                totals.unjudged,
                format!(
                    "not judged: {}, which had not settled at the snapshot",
                    texts(totals.unjudged)
                ),
            ),
            (
                self.allowed(rules),
                format!(
                    "{} gone or changed, which `allow` lets users do",
                    are(self.allowed(rules))
                ),
            ),
            (
                totals.purged,
                format!(
                    "{} gone that were already deleted for the user",
                    are(totals.purged)
                ),
            ),
            (
                totals.gone_empty,
                match totals.gone_empty {
                    1 => "1 conversation without messages is gone, or deleted for the user"
                        .to_owned(),
                    many => {
                        format!(
                            "{many} conversations without messages are gone, or deleted for the user"
                        )
                    }
                },
            ),
            (
                totals.rounded,
                format!(
                    "the times of {} have another unit or precision",
                    plural(totals.rounded, "message")
                ),
            ),
            (
                totals.late,
                format!(
                    "{} placed before the snapshot's last one may have been committed after it",
                    plural(totals.late, "message")
                ),
            ),
            (
                totals.unordered,
                format!(
                    "the order of messages in {} was not compared, because messages were added or removed and \
                        the snapshot keeps no ranks; take it with --detail messages",
                    plural(totals.unordered, "conversation")
                ),
            ),
            (
                self.facts.more_suspects,
                format!(
                    "{} new ones with old times were not checked for copies",
                    self.facts.more_suspects
                ),
            ),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        let told = told.map(|(_, told)| told);
        told.chain(self.not_compared()).collect()
    }

    /// What the digests do not tell.
    fn not_compared(&self) -> Vec<String> {
        let order = self.not_compared.order;
        let order = order.map(|why| format!("the order of messages was not compared: {why}"));
        let asides = self.not_compared.asides.filter(|(_, count)| *count > 0);
        let asides = asides.map(|(compared, count)| {
            let of = plural(count, "message");
            match compared {
                Asides::Counted => format!(
                    "the attachments, the reasoning and the parts of other kinds of {of} were only counted, not compared"
                ),
                Asides::WithoutOthers => format!(
                    "the attachments and the reasoning of {of} were only counted, not compared; parts of other \
                        kinds were not counted either: the snapshot was taken by an older version of chatctl"
                ),
                Asides::LeftOut => format!(
                    "the attachments, the reasoning and the parts of other kinds of {of} were not compared: the \
                        snapshot was taken by an older version of chatctl, which did not count them"
                ),
            }
        });
        order.into_iter().chain(asides).collect()
    }

    /// Why it can't be decided, if so.
    fn doubt(&self) -> Option<String> {
        let totals = &self.totals;
        if totals.doubtful > 0 {
            return Some(format!(
                "{} changed, and {}: it is not known whether they were finished",
                plural(totals.doubtful, "text"),
                self.clock()
            ));
        }
        if totals.late > 0 && self.has_wrong_clock() {
            return Some(format!(
                "{}: it is not known whether messages were committed late or inserted afterwards",
                self.clock()
            ));
        }
        if totals.purged > 0 && self.facts.all_deleted {
            return Some(
                "the snapshot's mapping reads every message as deleted for the user: if that is wrong, these are lost; \
                 take a new snapshot, with `deleted` declared in [[store]]"
                    .to_owned(),
            );
        }
        (totals.undecided > 0).then(|| {
            format!(
                "{} grew or changed, and the snapshot's detail can't tell which; take it with --detail messages",
                plural(totals.undecided, "conversation")
            )
        })
    }

    fn has_wrong_clock(&self) -> bool {
        self.facts.from_future || self.facts.is_behind
    }

    /// What is wrong with the clock, in words that continue a sentence.
    fn clock(&self) -> &'static str {
        if self.facts.from_future {
            "the snapshot claims to have been taken in the future"
        } else {
            "the snapshot holds times that are later than its own"
        }
    }
}

impl Comparison {
    /// How bad a finding is.
    pub(super) fn severity(&self, code: Code, group: &Group, rules: &Rules) -> Severity {
        let by = code.kind().allowed_by.filter(|_| group.beyond_edit == 0);
        let is_whole = matches!(code, Code::ConversationLost | Code::ConversationEmptied);
        let may_clear = is_whole && rules.allow.contains(&Allow::Clear);
        let may = |by| may_clear || rules.allow.contains(&by);
        match () {
            () if by.is_some_and(|by| may(by) && self.is_few(by, rules)) => Severity::Note,
            () if code == Code::TitleLost => Severity::Warning,
            () if group.unsure > 0 && group.unsure == group.messages => Severity::Warning,
            () => Severity::Error,
        }
    }

    /// Whether so little is gone or changed that users may have done it.
    fn is_few(&self, by: Allow, rules: &Rules) -> bool {
        let of = self
            .groups
            .iter()
            .filter(|(code, _)| code.kind().allowed_by == Some(by));
        let (mut conversations, mut messages, mut of_conversations) = (0, 0, 0);
        for (code, group) in of {
            match code {
                Code::PartLost | Code::PartAltered | Code::TitleLost => messages += group.count,
                Code::OwnerChanged => conversations += group.count,
                Code::ConversationLost | Code::ConversationEmptied => {
                    conversations += group.count;
                    of_conversations += group.messages;
                }
                _ => messages += group.messages,
            }
        }
        // A few conversations may be most of a small store.
        let all = messages + of_conversations;
        let within = |count: u64, of: u64, at_least: u64| {
            let share = (of as f64 * rules.share) as u64;
            // Who asks for none of the store means none.
            let at_least = if rules.share > 0.0 { at_least } else { 0 };
            count <= share.max(at_least) && count * 2 <= of
        };
        within(conversations, self.totals.conversations, 10)
            && within(messages, self.totals.messages, 100)
            && all * 2 <= self.totals.messages
    }
}

fn are(count: u64) -> String {
    match count {
        1 => "1 is".to_owned(),
        count => format!("{count} are"),
    }
}
