//! The history that the server shows over HTTP.

use super::{Account, RememberedTurn, answer};
use crate::model::{Role, contradicts, known_role};
use crate::report::{Finding, Severity, Source};
use crate::stream::run::Access;
use crate::stream::session::Remembered;

/// Who speaks in a history besides the user and the model.
const ASIDE: [&str; 4] = ["system", "tool", "function", "developer"];

/// What a reload shows of a conversation that continued after a restart.
pub(in super::super) enum Since {
    /// All of it, or the end of it; or it was wrong before.
    Shown,
    /// What it showed before, and no more: by a page that ends there, or by what was read at the
    /// start. The next start tells which.
    Hidden(String),
    /// Something else.
    Wrong(Box<Finding>),
}

impl Account<'_> {
    /// The history over HTTP is not the conversation.
    pub(super) fn differs(&self) -> Option<Finding> {
        let told = self.recalled?;
        let records = match &told.messages {
            Ok(records) => records,
            // That the user is not let in is reported elsewhere.
            Err(_) if matches!(told.access, Access::Refused(_)) => return None,
            Err(_) => {
                let harm = format!("a reload shows no history after {}", self.way.words);
                return Some(self.differing(harm, answer(told)));
            }
        };
        let fact = difference(self.told, records)?;
        if self.is_page(records) {
            return Some(self.page(records, fact));
        }
        if let Some(tied) = self.tied(records) {
            let harm = "a reload shows messages in an undefined order: they have the same stored time, and no \
                growing key breaks the tie";
            return Some(
                self.differing(harm.to_owned(), fact)
                    .with(Source::Store, tied),
            );
        }
        let way = self.way.words;
        let harm = if records.is_empty() {
            format!("a reload shows an empty history after {way}")
        } else if !self.was_right() {
            format!("a reload shows a different conversation, before and after {way}")
        } else if self.differs_in_new(records) {
            format!(
                "a reload shows a conversation that differs from the one that took place; it is not known \
                    whether {way} changed it, because the difference is in messages that came after the last check"
            )
        } else {
            format!("a reload shows a different conversation after {way}")
        };
        Some(self.differing(harm, fact))
    }

    /// Whether what had been shown before is shown as it was said.
    fn differs_in_new(&self, records: &[Remembered]) -> bool {
        let (old, new) = self.told.split_at(self.shown.turns.min(self.told.len()));
        let is_new = |record: &&Remembered| {
            new.iter().any(|turn| {
                [&turn.tag, &turn.nonce]
                    .iter()
                    .any(|mark| record.content.contains(*mark))
            })
        };
        let shown = talk(records).filter(|record| !is_new(record));
        !old.is_empty() && difference_of(old, shown).is_none()
    }

    /// That what is shown is in the order of the stored times, and that only messages with the
    /// same time have changed places.
    fn tied(&self, records: &[Remembered]) -> Option<String> {
        let rows = self.stored?;
        let time = |record: &Remembered| {
            let mut rows = rows.after.iter();
            rows.find(|row| row.content.trim() == record.content.trim())?
                .time
        };
        let shown: Vec<_> = talk(records)
            .map(|record| Some((time(record)?, self.place(record)?)))
            .collect::<Option<_>>()?;
        let is_as_said = |shown: &[(i64, usize)]| shown.is_sorted_by_key(|(_, place)| *place);
        let mut untied = shown.clone();
        untied.sort_unstable();
        let wrong = shown.windows(2).find(|two| two[0].1 > two[1].1)?;
        let by_time = shown.is_sorted_by_key(|(time, _)| *time);
        let ties = shown.iter().filter(|(time, _)| *time == wrong[0].0).count();
        (by_time && is_as_said(&untied)).then(|| {
            format!(
                "{ties} messages of it in `{}` have the same time",
                rows.table
            )
        })
    }

    /// When what a record holds was said: the questions and answers are counted.
    fn place(&self, record: &Remembered) -> Option<usize> {
        let mut turns = self.told.iter().enumerate();
        turns.find_map(|(number, turn)| {
            let asked = record.content.contains(&turn.tag);
            let answered = record.content.contains(&turn.nonce);
            (asked || answered).then_some(2 * number + usize::from(answered))
        })
    }

    /// Whether the history before was the conversation, as far as it was shown.
    fn was_right(&self) -> bool {
        let turns = &self.told[..self.shown.turns.min(self.told.len())];
        difference(turns, self.shown.records).is_none()
    }

    /// What a history that was right before the restart shows of what was said since.
    pub(in super::super) fn since(&self) -> Since {
        let Some(told) = self.recalled.filter(|_| self.was_right()) else {
            return Since::Shown;
        };
        let fact = match &told.messages {
            Ok(records) if self.is_last_page(records) => return Since::Shown,
            // Messages of one time may change places at any reload, and the next start is asked.
            Ok(records) if self.holds_all(records) => return Since::Shown,
            Ok(records) => match difference(self.told, records) {
                None => return Since::Shown,
                Some(_) if self.is_page(records) => return Since::Hidden(answer(told)),
                Some(fact) => fact,
            },
            Err(_) if matches!(told.access, Access::Refused(_)) => return Since::Shown,
            Err(_) => answer(told),
        };
        Since::Wrong(Box::new(self.not_shown(fact)))
    }

    /// Whether each message that was acknowledged is among the records, wherever it is.
    fn holds_all(&self, records: &[Remembered]) -> bool {
        let is_there = |mark: &String| records.iter().any(|it| it.content.contains(mark.as_str()));
        let told = self.told.iter().filter(|turn| turn.acknowledged);
        told.flat_map(|turn| [&turn.tag, &turn.nonce]).all(is_there)
    }

    /// A reload shows the conversation less what was said after the restart.
    pub(in super::super) fn not_shown(&self, fact: String) -> Finding {
        let harm = format!(
            "the conversation continued after {}, and a reload did not show all of it",
            self.way.words
        );
        let help = "read each history from the store when it is requested: a copy from start-up lacks all later messages";
        let finding = self.finding("history-differs", Severity::Error, harm, help);
        finding.with(Source::Stream, fact)
    }

    /// Whether a reload shows what was said, all of it and no more.
    pub(in super::super) fn shows_all(&self) -> bool {
        let records = self.recalled.and_then(|told| told.messages.as_ref().ok());
        records.is_some_and(|records| difference(self.told, records).is_none())
    }

    /// Whether the history before was there, and all of the conversation.
    pub(super) fn was_whole(&self) -> bool {
        self.shown.turns == 0 || self.was_right()
    }

    /// Whether the records are the beginning or the end of the conversation, and no fewer than
    /// before: the server shows a page at a time.
    fn is_page(&self, records: &[Remembered]) -> bool {
        let is_beginning = || {
            let mut records = talk(records).peekable();
            follow(self.told, &mut records).is_some() && records.peek().is_none()
        };
        self.is_last_page(records) || self.is_no_less(records) && is_beginning()
    }

    /// Whether they are its end: then what is missing is the oldest.
    pub(super) fn is_last_page(&self, records: &[Remembered]) -> bool {
        let is_end = |first: usize| {
            let rest = &self.told[first..];
            let from_answer = || {
                let answer = talk(records).next();
                let is_answer = answer.is_some_and(|it| same(it, &rest[0].expected));
                is_answer && difference_of(&rest[1..], talk(records).skip(1)).is_none()
            };
            difference_of(rest, talk(records)).is_none() || from_answer()
        };
        self.is_no_less(records) && (0..self.told.len()).any(is_end)
    }

    fn is_no_less(&self, records: &[Remembered]) -> bool {
        self.shown.turns > 0 && talk(records).count() >= talk(self.shown.records).count()
    }

    fn page(&self, records: &[Remembered], fact: String) -> Finding {
        let (shown, all) = (talk(records).count(), self.told.len() * 2);
        if shown >= all {
            // Nothing is left out, so it is no page: other messages have the place of what was said.
            let harm = format!(
                "the history shows {shown} messages for {all} that were sent, and not all of them match: it is \
                    not known whether {} changed it",
                self.way.words
            );
            let help = "leave the empty row of an interrupted answer out of the history, or show it as interrupted";
            let finding = self.finding("history-differs", Severity::Warning, harm, help);
            return finding.with(Source::Stream, fact);
        }
        let harm = format!(
            "the history shows {shown} of {all} messages, and did so before {}: the others were not compared",
            self.way.words
        );
        let help =
            "request all of them in [history] of the session, for example with `?limit=1000`";
        let finding = self.finding("history-differs", Severity::Warning, harm, help);
        match self.recalled {
            Some(told) => finding.with(Source::Stream, answer(told)),
            None => finding,
        }
    }

    fn differing(&self, harm: String, fact: String) -> Finding {
        let help = "return the stored messages one by one, in the order in which they were said, and read them \
            from the store: the memory of the process is gone";
        let finding = self.finding("history-differs", Severity::Error, harm, help);
        let finding = finding.with(Source::Stream, fact);
        match self.stored {
            Some(rows) => finding.with(
                Source::Store,
                format!("`{}` has {} messages of it", rows.table, rows.after.len()),
            ),
            None => finding,
        }
    }
}

fn talk(records: &[Remembered]) -> impl Iterator<Item = &Remembered> {
    let mut records = records.iter();
    std::iter::from_fn(move || {
        records.find(|record| !ASIDE.contains(&record.role.to_lowercase().as_str()))
    })
}

fn same(record: &Remembered, text: &str) -> bool {
    record.content.trim() == text.trim()
}

/// Where records part from what was said.
fn difference(told: &[RememberedTurn], records: &[Remembered]) -> Option<String> {
    difference_of(told, talk(records))
}

fn difference_of<'r>(
    told: &[RememberedTurn],
    records: impl Iterator<Item = &'r Remembered>,
) -> Option<String> {
    let mut records = records.peekable();
    if let Some(expected) = follow(told, &mut records) {
        return Some(match records.peek() {
            Some(record) => format!(
                "the history has `{}: {}`, expected `{expected}`",
                record.role, record.content
            ),
            None => format!("the history ends, expected `{expected}`"),
        });
    }
    let more = records.next()?;
    Some(format!(
        "the history continues with `{}: {}`, which nobody said",
        more.role, more.content
    ))
}

/// Takes the records that are what was said; gives the first text that is not there. The answer of
/// a turn that was cut off may be whole, a part of it, several records or none; its question may be
/// missing, which is reported elsewhere.
fn follow<'t, 'r>(
    told: &'t [RememberedTurn],
    records: &mut std::iter::Peekable<impl Iterator<Item = &'r Remembered>>,
) -> Option<&'t str> {
    for (turn, later) in told.iter().zip(1..) {
        if !turn.acknowledged {
            records.next_if(|record| same(record, &turn.user));
            // Not every word for the user is known: what has the mark of a later question is one too.
            let is_asked = |record: &Remembered| {
                let mut next = told[later..].iter();
                known_role(&record.role) == Some("user")
                    || next.any(|turn| record.content.contains(&turn.tag))
            };
            while records.next_if(|record| !is_asked(record)).is_some() {}
            continue;
        }
        for (who, text) in [(Role::User, &turn.user), (Role::Assistant, &turn.expected)] {
            let is_it =
                |record: &&Remembered| same(record, text) && !contradicts(&record.role, &who);
            if records.next_if(is_it).is_none() {
                return Some(text);
            }
        }
    }
    None
}
