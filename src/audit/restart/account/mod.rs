//! Judges one conversation after a restart. Pure: no I/O, no clock.

mod access;
mod head;
mod history;
mod order;
mod own;
mod rows;

pub(super) use head::{head, if_shown};
pub(super) use history::Since;
pub(super) use own::{Own, Shows, is_of_another};

use super::ways::Way;
use crate::model::{State, StoredMessage};
use crate::report::{Finding, Severity, Source};
use crate::stream::kept;
use crate::stream::run::Recalled;
use crate::stream::session::Remembered;

/// A turn as the client remembers it.
#[derive(Debug, Clone)]
pub(super) struct RememberedTurn {
    pub(super) user: String,
    /// Is in the user's message and nowhere else.
    pub(super) tag: String,
    pub(super) expected: String,
    /// Is in the answer and nowhere else.
    pub(super) nonce: String,
    /// Whether the client saw the final marker. Without it nothing was promised of the answer.
    pub(super) acknowledged: bool,
    /// Whether its rows had their time to come before the stop.
    pub(super) awaited: bool,
}

/// What is known of a conversation after a restart.
pub(super) struct Account<'a> {
    pub(super) session: &'a str,
    pub(super) way: &'a Way,
    pub(super) told: &'a [RememberedTurn],
    /// What the server said of it before.
    pub(super) shown: HistoryBefore<'a>,
    /// What the server says of it, where the session knows how to ask: its own records alone.
    pub(super) recalled: Option<&'a Recalled>,
    /// The table of messages, and the conversation's rows in it before and after; nothing where no
    /// message ever came to it.
    pub(super) stored: Option<Stored<'a>>,
}

/// A history over HTTP before the restart. One that was wrong then accuses no restart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HistoryBefore<'a> {
    pub(super) records: &'a [Remembered],
    /// How many turns had been held when it was asked for.
    pub(super) turns: usize,
}

/// A conversation's rows.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) table: &'a str,
    pub(super) before: &'a [StoredMessage],
    pub(super) after: &'a [StoredMessage],
    /// Whether the mapping has an order, in which they are then.
    pub(super) is_ordered: bool,
}

impl<'a> Stored<'a> {
    /// The rows after that hold a text.
    fn holding(self, mark: &str) -> impl Iterator<Item = &'a StoredMessage> {
        self.after.iter().filter(move |row| is_live(row, mark))
    }

    /// Whether one of them, or the rows of their conversation together, have all of what was said.
    fn is_whole(self, mark: &str, text: &str) -> bool {
        self.holding(mark).any(|row| {
            let of_it = self
                .after
                .iter()
                .filter(|it| it.state != State::Deleted && it.conversation == row.conversation);
            let all: String = of_it.map(|it| it.content.as_str()).collect();
            kept::is_all_in(text, &all)
        })
    }

    /// A row that has less than what was said, where none has all of it.
    fn part(self, mark: &str, text: &str) -> Option<&'a StoredMessage> {
        let is_part = |row: &&StoredMessage| row.decoded && kept::is_all_in(&row.content, text);
        let part = self.holding(mark).find(is_part)?;
        (!self.is_whole(mark, text)).then_some(part)
    }
}

fn is_live(row: &StoredMessage, mark: &str) -> bool {
    row.state != State::Deleted && row.content.contains(mark)
}

impl Account<'_> {
    /// Everything that is wrong with it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        if let Some(finding) = self.not_found() {
            return vec![finding];
        }
        let mut findings: Vec<_> = [
            self.lost(),
            self.cut(),
            self.user_lost(),
            self.changed()
                .or_else(|| self.reordered())
                .or_else(|| self.retimed()),
            self.doubled(),
            self.steps().or_else(|| self.fewer_steps()),
            self.logged_out(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let lost = findings
            .iter()
            .any(|found| found.severity == Severity::Error);
        findings.extend(self.differs().filter(|_| !lost));
        findings
    }

    /// Whether a question or an answer is missing, and not only what tools were called with and gave.
    pub(super) fn lacks_messages(&self) -> bool {
        self.not_found().is_some() || self.lost().is_some() || self.cut().is_some()
    }

    /// Whether what tools were called with and gave never came to the store. Then nothing can have moved it.
    pub(super) fn never_had_steps(&self) -> bool {
        self.steps().is_none() && self.fewer_steps().is_some()
    }

    fn not_found(&self) -> Option<Finding> {
        let refused = self
            .recalled
            .filter(|told| [404, 410].contains(&told.status));
        let empty = self
            .recalled
            .is_some_and(|told| told.messages == Ok(Vec::new()));
        let gone = self
            .stored
            .filter(|rows| !rows.before.is_empty() && rows.after.is_empty());
        let rows_are_there = self.stored.is_some_and(|rows| !rows.after.is_empty());
        let was_empty = self.shown.turns > 0 && self.shown.records.is_empty();
        let nothing = empty && !was_empty && !rows_are_there;
        if refused.is_none() && gone.is_none() && !nothing {
            return None;
        }
        let harm = match refused {
            Some(told) => format!(
                "after {} a conversation is gone: the server answers {}",
                self.way.words, told.status
            ),
            None => format!("after {} a conversation is gone", self.way.words),
        };
        let help = "keep the chats in a store that outlives the process, and let start-up code create only missing tables";
        let mut finding = self.finding("conversation-not-found", Severity::Error, harm, help);
        if let Some(told) = self.recalled {
            finding = finding.with(Source::Stream, answer(told));
        }
        Some(match self.stored {
            Some(rows) => finding.with(
                Source::Store,
                format!(
                    "`{}` had {} messages of it before, and has {} after",
                    rows.table,
                    rows.before.len(),
                    rows.after.len()
                ),
            ),
            None => finding,
        })
    }

    /// A message that was acknowledged is nowhere, or not in the store.
    fn lost(&self) -> Option<Finding> {
        let promised = self
            .told
            .iter()
            .zip(1..)
            .filter(|(turn, _)| turn.acknowledged);
        let missing: Vec<_> = promised
            .flat_map(|(turn, number)| {
                [
                    ("user's message", &turn.tag, turn, number),
                    ("answer", &turn.nonce, turn, number),
                ]
            })
            .filter(|(_, mark, ..)| !self.has(mark))
            .collect();
        let (who, mark, turn, number) = *missing.first()?;
        let was_stored = |rows: Stored<'_>| {
            let mut rows = rows.before.iter();
            rows.any(|row| row.content.contains(mark.as_str()))
        };
        let never = self
            .stored
            .is_some_and(|rows| turn.awaited && !was_stored(rows));
        let (code, help) = if self.way.kills() {
            (
                "message-lost-on-kill",
                "commit the message before the final marker is sent: a message that waits in memory dies with the process",
            )
        } else {
            (
                "message-lost-on-restart",
                "commit the message before the final marker is sent, and delete no rows at start",
            )
        };
        let way = self.way.words;
        let harm = if never {
            format!(
                "the {who} of turn {number} was in no row before {way} and is in none after it, although the \
                    client had seen the final marker"
            )
        } else {
            format!(
                "the {who} of turn {number} is lost after {way}, although the client had seen the final marker"
            )
        };
        let mut finding = self.finding(code, Severity::Error, harm, help).with(
            Source::Stream,
            format!("the client received the final marker of turn {number}"),
        );
        if let Some(rows) = self.stored {
            finding = finding.with(
                Source::Store,
                if was_stored(rows) {
                    format!(
                        "`{}` held `{mark}` before, but no row holds it after",
                        rows.table
                    )
                } else {
                    format!(
                        "no row of `{}` holds `{mark}`, neither before nor after",
                        rows.table
                    )
                },
            );
        }
        Some(match missing.len() {
            1 => finding,
            more => finding.with(
                Source::Store,
                format!("{more} messages of this conversation are lost"),
            ),
        })
    }

    /// Of a message that was acknowledged, and that nobody had seen before the stop, a part is stored. Others tell that
    /// the store keeps them whole.
    fn cut(&self) -> Option<Finding> {
        let rows = self.stored?;
        let said = |turn: &'_ RememberedTurn| {
            [
                ("user's message", turn.tag.clone(), turn.user.clone()),
                ("answer", turn.nonce.clone(), turn.expected.clone()),
            ]
        };
        let promised = || {
            let told = self.told.iter().zip(1..);
            told.filter(|(turn, _)| turn.acknowledged)
        };
        let (who, part, text, number) = promised().find_map(|(turn, number)| {
            said(turn).into_iter().find_map(|(who, mark, text)| {
                let was_seen = rows.before.iter().any(|row| row.content.contains(&mark));
                let part = rows.part(&mark, &text).filter(|_| !was_seen)?;
                Some((who, part, text, number))
            })
        })?;
        let others = promised().filter(|(_, other)| *other != number);
        let mut others = others
            .flat_map(|(turn, _)| said(turn))
            .filter(|it| it.0 == who);
        if !others.any(|(_, mark, text)| rows.is_whole(&mark, &text)) {
            return None;
        }
        let code = if self.way.kills() {
            "message-lost-on-kill"
        } else {
            "message-lost-on-restart"
        };
        let harm = format!(
            "of the {who} of turn {number} only a part is stored after {}, although the client had seen the final \
             marker",
            self.way.words
        );
        let help = "commit the whole message in one transaction, before the final marker is sent";
        let finding = self.finding(code, Severity::Error, harm, help);
        Some(finding.with(
            Source::Store,
            format!(
                "row {} of `{}` holds `{}` of `{text}`",
                part.key, rows.table, part.content
            ),
        ))
    }

    /// The user's own message of an answer that was cut off.
    fn user_lost(&self) -> Option<Finding> {
        let mut cut = self
            .told
            .iter()
            .zip(1..)
            .filter(|(turn, _)| !turn.acknowledged);
        let (turn, number) = cut.find(|(turn, _)| !self.has(&turn.tag))?;
        let harm = format!(
            "the user's message of turn {number}, whose answer was cut off, is gone after {}",
            self.way.words
        );
        let help = "commit the user's message before the provider is called";
        let finding = self.finding("user-message-lost", Severity::Warning, harm, help);
        Some(finding.with(Source::Store, format!("nothing holds `{}`", turn.tag)))
    }

    /// Whether a text is where messages must be: in the store if it is there, else in the history.
    fn has(&self, mark: &str) -> bool {
        let holds = |records: &[Remembered]| {
            let mut records = records.iter();
            records.any(|record| record.content.contains(mark))
        };
        let recalled = || {
            let records = self.recalled.and_then(|told| told.messages.as_ref().ok());
            // A history that shows a page at a time promises nothing of what it never showed.
            let is_promised = self.was_whole() || holds(self.shown.records);
            records
                .is_none_or(|records| !is_promised || holds(records) || self.is_last_page(records))
        };
        match self.stored {
            Some(rows) => rows.holding(mark).next().is_some(),
            None => recalled(),
        }
    }

    fn finding(&self, code: &'static str, severity: Severity, harm: String, help: &str) -> Finding {
        Finding::new(code, severity, self.session, harm, help)
    }
}

fn answer(told: &Recalled) -> String {
    let what = match &told.messages {
        Ok(messages) => format!("{} messages", messages.len()),
        Err(excerpt) => excerpt.clone(),
    };
    format!("`{}` was answered {}: {what}", told.request, told.status)
}

#[cfg(test)]
mod tests;
