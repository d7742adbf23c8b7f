//! The conversation's rows: whether each one has the same content.

use super::{Account, RememberedTurn, Stored, is_live};
use crate::model::{Role, State, StoredMessage, ToolCall, contradicts, known_role};
use crate::report::{Finding, Severity, Source};
use crate::store;
use crate::stream::judge::tool_calls_differ::Kept;
use crate::stream::{kept, marks};
use serde_json::Value;

/// In microseconds.
const SECOND: u64 = 1_000_000;

impl Account<'_> {
    /// A row of an acknowledged message is another one, or is elsewhere.
    pub(super) fn changed(&self) -> Option<Finding> {
        let rows = self.stored?;
        let (was, is) = self.marked().into_iter().find_map(|(mark, side, was)| {
            let holding = || rows.holding(mark);
            let is_same = |is: &&StoredMessage| {
                same_text(was, is)
                    && has_calls(was, rows.after)
                    && self.is_of_side(&side, was, is)
                    && is.conversation == was.conversation
                    && self.is_as_finished(&side, was, is)
            };
            // A table that was built again may number its rows otherwise.
            let of_key = || holding().find(|is| !is.key.is_empty() && is.key == was.key);
            let is = of_key().or_else(|| holding().next())?;
            let is_there = holding().any(|is| is_same(&is));
            (!is_there).then_some((was, is))
        })?;
        Some(self.row_changed(rows, was, is))
    }

    /// A message that is as it was, and of another time: when it was said is lost, and perhaps the order.
    pub(super) fn retimed(&self) -> Option<Finding> {
        let rows = self.stored?;
        let (was, is) = self.marked().into_iter().find_map(|(mark, _, was)| {
            let is_it = |is: &&StoredMessage| is.key == was.key && same_text(was, is);
            let is = rows.holding(mark).find(is_it)?;
            (!is_of_its_time(was, is)).then_some((was, is))
        })?;
        let harm = format!(
            "the time of a stored message changed after {}",
            self.way.words
        );
        let help = "start-up code must not change messages";
        let finding = self.finding("saved-row-changed-later", Severity::Warning, harm, help);
        let (table, key) = (rows.table, &was.key);
        let fact = match was.time.zip(is.time) {
            None => format!("row {key} of `{table}` had a time, and now has none"),
            Some((was, is)) => format!(
                "row {key} of `{table}` has a time that is {} s {}",
                was.abs_diff(is) / SECOND,
                if is > was { "later" } else { "earlier" }
            ),
        };
        Some(finding.with(Source::Store, fact))
    }

    /// Whether a row is not given up since. Of a question that never was finished it may be said that it failed, and not
    /// that nobody is to read it.
    fn is_as_finished(&self, side: &Role, was: &StoredMessage, is: &StoredMessage) -> bool {
        was.is_given_up() || !is.is_given_up() || is.has_failed() && !self.is_finished(side, was)
    }

    /// Whether the status of a row says that its message is finished. A question may keep one that
    /// says only that it came; it is finished if an answer says the same of itself.
    fn is_finished(&self, side: &Role, was: &StoredMessage) -> bool {
        let answers = || {
            let marked = self.marked().into_iter();
            marked.filter(|(_, side, _)| *side == Role::Assistant)
        };
        *side == Role::Assistant || answers().any(|(_, _, answer)| answer.status == was.status)
    }

    fn row_changed(&self, rows: Stored<'_>, was: &StoredMessage, is: &StoredMessage) -> Finding {
        let harm = format!("a stored message changed after {}", self.way.words);
        let help = "start-up code must not change messages";
        let finding = self.finding("saved-row-changed-later", Severity::Error, harm, help);
        let shown = |row: &StoredMessage| {
            let said = format!("`{}: {}`", row.role, row.content);
            let said = match row.tools.as_slice() {
                [] => said,
                tools => format!("{said} with {}", calls(tools)),
            };
            let said = match &row.status {
                Some(status) if was.status != is.status => format!("{said} with status `{status}`"),
                _ => said,
            };
            match &row.conversation {
                Some(conversation) if was.conversation != is.conversation => {
                    format!("{said} in conversation {conversation}")
                }
                _ => said,
            }
        };
        finding.with(
            Source::Store,
            format!(
                "row {} of `{}` was {} and is now {}",
                was.key,
                rows.table,
                shown(was),
                shown(is)
            ),
        )
    }

    /// Whether a row still is of its side. A word for a role that nobody knows is judged by what
    /// a reload shows.
    fn is_of_side(&self, side: &Role, was: &StoredMessage, is: &StoredMessage) -> bool {
        let word = is.role.word();
        is.role == was.role
            || is.role == *side
            || known_role(word) == Some(side.word())
            || !contradicts(word, side) && known_role(word).is_none() && self.shows_all()
    }

    /// A message is there more often than before.
    pub(super) fn doubled(&self) -> Option<Finding> {
        let rows = self.stored?;
        let (was, now) = self.marked().into_iter().find_map(|(_, _, was)| {
            let is_copy = |row: &&StoredMessage| {
                row.state != State::Deleted && row.role == was.role && same_text(was, row)
            };
            let now = rows.after.iter().filter(is_copy).count();
            (now > rows.before.iter().filter(is_copy).count()).then_some((was, now))
        })?;
        let harm = format!(
            "a stored message exists more than once after {}",
            self.way.words
        );
        let help = "start-up code must not store messages again";
        let finding = self.finding("answer-duplicated", Severity::Error, harm, help);
        Some(finding.with(
            Source::Store,
            format!(
                "{now} rows of `{}` hold `{}: {}`",
                rows.table, was.role, was.content
            ),
        ))
    }

    /// An answer that was not there before and that nobody gave, where no history tells whether a
    /// reload shows it.
    pub(in super::super) fn added(&self) -> Option<String> {
        let rows = self.stored.filter(|_| self.recalled.is_none())?;
        // Of what had no time to come, or was not promised, more may come now.
        if !self
            .told
            .iter()
            .all(|turn| turn.acknowledged && turn.awaited)
        {
            return None;
        }
        let is_part = |text: &str| {
            let mut told = self.told.iter();
            told.any(|turn| kept::is_beginning(&turn.expected, text))
        };
        let is_added = |row: &&StoredMessage| {
            let count = |rows: &[StoredMessage]| {
                let same = rows.iter().filter(|it| same_text(row, it));
                same.filter(|it| it.state != State::Deleted).count()
            };
            row.role == Role::Assistant
                && row.tools.is_empty()
                && !row.content.trim().is_empty()
                && marks::of(&row.content).is_empty()
                && !is_part(&row.content)
                && count(rows.after) > count(rows.before)
        };
        let row = rows.after.iter().find(is_added)?;
        Some(format!(
            "after {} row {} of `{}` is an answer that did not exist before, `{}`, and without [history] it is \
                not known whether a reload shows it",
            self.way.words, row.key, rows.table, row.content
        ))
    }

    /// That nobody knows what became of the messages: they are in documents that are not read, and no history tells.
    pub(in super::super) fn unread(&self) -> Option<String> {
        let rows = self.stored.filter(|_| self.recalled.is_none())?;
        let is_sealed = !rows.after.is_empty() && rows.after.iter().all(|row| !row.decoded);
        is_sealed.then(|| {
            format!(
                "the messages in `{}` are JSON in a form that chatctl does not know: declare the place of their text in \
                 [[store]] (docs/mapping.md)",
                rows.table
            )
        })
    }

    /// A row that belongs to an acknowledged turn and holds neither its question nor its answer
    /// is gone, or is another one: what tools were called, and what they gave.
    pub(super) fn steps(&self) -> Option<Finding> {
        let rows = self.stored?;
        for turn in self.told.iter().filter(|turn| turn.acknowledged) {
            for was in between(turn, rows.before) {
                let same = |is: &&StoredMessage| {
                    is.state != State::Deleted
                        && is.conversation == was.conversation
                        && known_or_word(&is.role) == known_or_word(&was.role)
                        && says_the_same(was, is)
                };
                // Two tools may have given the same.
                let count = |rows: &[StoredMessage]| rows.iter().filter(same).count();
                if count(rows.after) >= count(rows.before) || is_kept(was, rows.after) {
                    continue;
                }
                let of_key = |is: &&StoredMessage| {
                    is.state != State::Deleted
                        && !is.key.is_empty()
                        && is.key == was.key
                        && is.conversation == was.conversation
                };
                return Some(match rows.after.iter().find(of_key) {
                    Some(is) => self.row_changed(rows, was, is),
                    None => self.step_lost(rows, was),
                });
            }
        }
        None
    }

    /// Of a turn at whose end the server was stopped, nobody had seen the rows of its tools before. Where the same words
    /// were said before, as much has to be there.
    pub(super) fn fewer_steps(&self) -> Option<Finding> {
        let rows = self.stored?;
        let words = |turn: &RememberedTurn| turn.user.replace(&turn.tag, "");
        let promised = || self.told.iter().filter(|turn| turn.acknowledged);
        let what = promised().filter(|turn| !turn.awaited).find_map(|turn| {
            let mut marks = [&turn.tag, &turn.nonce].into_iter();
            let is_there = marks.all(|mark| rows.holding(mark).next().is_some());
            let mut others = promised().filter(|it| it.awaited && words(it) == words(turn));
            let usual = Kept::of(&others.next()?.tag, rows.after);
            let lacks = Kept::of(&turn.tag, rows.after).lacks(usual);
            lacks.filter(|_| is_there)
        })?;
        let harm = format!(
            "calls or results of tools in a turn whose final marker the client had seen are lost after {}",
            self.way.words
        );
        let help = "commit each call and its result before the answer, or together with it";
        let finding = self.finding(self.lost_code(), Severity::Error, harm, help);
        Some(finding.with(
            Source::Store,
            format!("{what}, and an earlier turn with the same words has all"),
        ))
    }

    /// The code of a message that a stop has lost.
    fn lost_code(&self) -> &'static str {
        if self.way.kills() {
            "message-lost-on-kill"
        } else {
            "message-lost-on-restart"
        }
    }

    fn step_lost(&self, rows: Stored<'_>, was: &StoredMessage) -> Finding {
        let what = if was.tools.is_empty() {
            "the result of a tool"
        } else {
            "the call of a tool"
        };
        let harm = format!(
            "{what} in a turn whose final marker the client had seen is lost after {}",
            self.way.words
        );
        let help = "delete no rows at start: the model needs the results of its tools to continue the conversation";
        let finding = self.finding(self.lost_code(), Severity::Error, harm, help);
        finding.with(
            Source::Store,
            format!(
                "row {} of `{}` held `{}: {}` before, but no row of the conversation holds it after",
                was.key, rows.table, was.role, was.content
            ),
        )
    }

    /// The rows before of what was acknowledged, each with its mark and its side. Where a row says
    /// what was said and no more, others with the same mark only quote it.
    pub(super) fn marked(&self) -> Vec<(&str, Role, &StoredMessage)> {
        let before = self.stored.map_or(&[][..], |rows| rows.before);
        let mut found = Vec::new();
        for turn in self.told.iter().filter(|turn| turn.acknowledged) {
            for (mark, said, side) in [
                (&turn.tag, &turn.user, Role::User),
                (&turn.nonce, &turn.expected, Role::Assistant),
            ] {
                // A document that is not read grows with each turn: that is no change of a message.
                let is_message = |row: &&StoredMessage| row.decoded && is_live(row, mark);
                let rows: Vec<_> = before.iter().filter(is_message).collect();
                let says = |row: &StoredMessage| meaning(row).0.trim() == said.trim();
                let has_message = rows.iter().any(|row| says(row));
                let rows = rows.into_iter().filter(|row| !has_message || says(row));
                found.extend(rows.map(|row| (mark.as_str(), side.clone(), row)));
            }
        }
        found
    }
}

/// The rows of tools between the question of a turn and its answer, in the order in which they
/// are shown.
fn between<'r>(
    turn: &RememberedTurn,
    rows: &'r [StoredMessage],
) -> impl Iterator<Item = &'r StoredMessage> {
    let of = |mark: &str| rows.iter().position(|row| is_live(row, mark));
    let ends = of(&turn.tag).zip(of(&turn.nonce));
    let inner = match ends {
        Some((question, answer)) if question < answer => &rows[question + 1..answer],
        Some(_) | None => &[],
    };
    let conversation = ends.map(|(question, _)| &rows[question].conversation);
    let is_of_tools = move |row: &&StoredMessage| {
        let is_tool = known_role(row.role.word()) == Some("tool");
        row.state != State::Deleted
            && Some(&row.conversation) == conversation
            && (is_tool || !row.tools.is_empty())
    };
    inner.iter().filter(is_of_tools)
}

/// Whether start-up code keeps what a row of a tool held in other rows now.
fn is_kept(was: &StoredMessage, after: &[StoredMessage]) -> bool {
    let others = || {
        let others = after.iter().filter(|is| is.key != was.key);
        others.filter(|is| is.conversation == was.conversation)
    };
    let (text, tools) = meaning(was);
    let text = text.trim();
    if tools.is_empty() {
        let gave = |is: &ToolCall| same_value(Some(text), is.output.as_deref());
        !text.is_empty() && others().any(|is| meaning(is).1.iter().any(gave))
    } else {
        let is_said = text.is_empty() || others().any(|is| meaning(is).0.contains(text));
        is_said && has_calls(was, after)
    }
}

fn known_or_word(role: &Role) -> &str {
    known_role(role.word()).unwrap_or(role.word())
}

/// Whether a row means what another one meant, and calls its tools.
fn says_the_same(was: &StoredMessage, is: &StoredMessage) -> bool {
    let calls = meaning(is).1;
    let has_all = || {
        let was = meaning(was).1;
        was.iter().all(|was| has_call(was, &calls))
    };
    same_text(was, is) && has_all()
}

/// Whether a message has the time that it had: to a second, and in whatever zone.
fn is_of_its_time(was: &StoredMessage, is: &StoredMessage) -> bool {
    const ZONES: u64 = 15 * 60 * SECOND;
    match (was.time, is.time) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(was), Some(is)) => {
            let apart = was.abs_diff(is);
            apart < SECOND || apart.is_multiple_of(ZONES)
        }
    }
}

/// Whether a row says what another one said. Start-up code may write it in another form: text as
/// parts of JSON, JSON in another spelling, without the blanks at its ends.
pub(super) fn same_text(was: &StoredMessage, is: &StoredMessage) -> bool {
    if was.content.trim() == is.content.trim() {
        return true;
    }
    let (then, now) = (meaning(was).0, meaning(is).0);
    let is_json = was.content.trim_start().starts_with(['[', '{']);
    then.trim() == now.trim()
        || then.trim() == is.content.trim()
        || now.trim() == was.content.trim()
        || is_json && same_value(Some(&was.content), Some(&is.content))
}

/// Whether rows of the conversation hold every call of a row.
fn has_calls(was: &StoredMessage, after: &[StoredMessage]) -> bool {
    let is_there = |call: &ToolCall| {
        let mut rows = after
            .iter()
            .filter(|is| is.state != State::Deleted && is.conversation == was.conversation);
        rows.any(|is| has_call(call, &meaning(is).1))
    };
    meaning(was).1.iter().all(is_there)
}

/// Whether calls hold this one, with all that was known of it.
fn has_call(was: &ToolCall, calls: &[ToolCall]) -> bool {
    let same = |was: &Option<String>, is: &Option<String>| {
        was.is_none() || same_value(was.as_deref(), is.as_deref())
    };
    calls.iter().any(|is| {
        was.name == is.name && same(&was.input, &is.input) && same(&was.output, &is.output)
    })
}

/// The text and the tools of a row, also where the mapping takes JSON for a text.
fn meaning(row: &StoredMessage) -> (String, Vec<ToolCall>) {
    match store::parts_of(&row.content) {
        Some((text, tools)) => (text, [row.tools.clone(), tools].concat()),
        None => (row.content.clone(), row.tools.clone()),
    }
}

/// Whether two texts are the same, or the same JSON in two spellings.
fn same_value(was: Option<&str>, is: Option<&str>) -> bool {
    let json = |text: Option<&str>| serde_json::from_str::<Value>(text?).ok();
    was == is || json(was).is_some_and(|was| json(is) == Some(was))
}

fn calls(tools: &[ToolCall]) -> String {
    let one = |tool: &ToolCall| {
        let given = tool.input.as_ref().or(tool.output.as_ref());
        format!("`{}({})`", tool.name, given.map_or("", String::as_str))
    };
    let all: Vec<_> = tools.iter().map(one).collect();
    all.join(", ")
}
