//! Searches for the stored part of a turn, whether or not its answer is complete.

use super::exchange::ResponseProgress;
use super::live::Live;
use super::rows;
use super::stage::Stage;
use crate::model::{Role, State, StoredMessage};
use crate::store;
use crate::store::Shape;
use crate::stream::judge::Drafts;
use crate::stream::judge::ended_early::{ClientSaw, Spoilt, Stored};
use crate::stream::judge::provider_faults::same;
use crate::stream::kept::{AnswerFate, Ending, ExpectedAnswer};
use crate::stream::{kept, marks};
use std::collections::HashSet;

/// As many characters of an answer are searched for.
const BEGINNING: usize = 24;

/// A turn that was sent, as it is searched for in the store.
pub(super) struct Sought {
    /// What the user said.
    pub(super) question: String,
    pub(super) tag: String,
    pub(super) nonce: String,
    pub(super) conversation: Option<String>,
    /// Tag and nonce of each earlier turn of the chat.
    pub(super) earlier: Vec<[String; 2]>,
    /// What was stored of them, where somebody looked: it has to stay.
    pub(super) stays: Vec<Earlier>,
    /// Tag and nonce of the turn that was sent next, while this one was not over: one that failed was sent again.
    pub(super) next: Vec<[String; 2]>,
    /// Messages that began like the answer before it was asked for; absent where nobody looked.
    pub(super) before: Option<HashSet<String>>,
    pub(super) answer: ExpectedAnswer,
    /// Whether its answer is the only message of the assistant, as far as was seen of whole turns.
    pub(super) is_alone: bool,
}

/// A message of an earlier turn, as it was stored when that turn was over.
pub(super) struct Earlier {
    /// Which turn, from 1.
    pub(super) turn: usize,
    pub(super) mark: String,
    pub(super) row: StoredMessage,
}

/// What is stored of a turn.
pub(super) struct Found {
    pub(super) question: bool,
    pub(super) kept: AnswerFate,
    /// What the store says of the message with the answer's end.
    pub(super) ending: Option<Ending>,
    pub(super) place: Place,
    /// What was taken for the answer.
    pub(super) rows: Vec<StoredMessage>,
    /// The keys of its messages, where it is stored more than once in its conversation.
    pub(super) copies: Vec<String>,
    /// How it differs from what was said, where its end is stored.
    pub(super) altered: Option<String>,
    /// What is wrong around it.
    pub(super) spoilt: Vec<Spoilt>,
}

impl Found {
    pub(super) fn lacks_head(&self) -> bool {
        self.spoilt.contains(&Spoilt::Head)
    }

    /// The keys of the question's rows, where it is stored more than once.
    pub(super) fn asked_twice(&self) -> Vec<String> {
        let mut spoilt = self.spoilt.iter();
        let twice = spoilt.find_map(|spoilt| {
            if let Spoilt::QuestionTwice(keys) = spoilt {
                Some(keys.clone())
            } else {
                None
            }
        });
        twice.unwrap_or_default()
    }

    /// The other conversation that has the answer.
    pub(super) fn astray(&self) -> Option<String> {
        let mut spoilt = self.spoilt.iter();
        spoilt.find_map(|spoilt| {
            if let Spoilt::AnswerAstray { conversation, .. } = spoilt {
                conversation.clone()
            } else {
                None
            }
        })
    }
}

/// Where an answer without its end is searched for.
#[derive(PartialEq, Eq)]
pub(super) enum Place {
    /// After its question.
    Conversation,
    /// Among what is new in the table.
    Table,
}

impl Sought {
    /// The turn with its whole answer, alone in its chat.
    pub(super) fn of(live: &Live) -> Self {
        Self {
            question: live.user.clone(),
            tag: live.tag.clone(),
            nonce: live.nonce.clone(),
            conversation: live.conversation(),
            earlier: Vec::new(),
            stays: Vec::new(),
            next: Vec::new(),
            before: None,
            answer: live.whole_answer(),
            is_alone: false,
        }
    }

    /// The client leaves, and has so much of the answer.
    pub(super) fn left(&mut self, saw: &ResponseProgress) {
        self.answer.client = client_saw(self, saw, false).characters.unwrap_or(0);
    }

    pub(super) fn marks(&self) -> [String; 2] {
        [self.tag.clone(), self.nonce.clone()]
    }

    /// Whether a text holds the end of another turn's answer, and nothing by which this turn is
    /// known. In a store with coarse times it may be anywhere, and it may begin like the answer of
    /// this turn.
    pub(super) fn is_of_another(&self, text: &str) -> bool {
        let is_own = [&self.tag, &self.nonce]
            .iter()
            .any(|mark| text.contains(*mark));
        !is_own && marks::has_other_answer(text, &self.nonce)
    }

    /// What follows the question in its conversation, up to the next one. Where the question is not
    /// stored, what follows the earlier turns. What was stored at the same time as the question may
    /// be before it.
    fn answers<'m>(&self, messages: &'m [StoredMessage]) -> Vec<&'m StoredMessage> {
        let holds = |message: &StoredMessage, mark: &String| message.content.contains(mark);
        let asked = messages.iter().position(|it| holds(it, &self.tag));
        let earlier =
            |it: &StoredMessage| self.earlier.iter().flatten().any(|mark| holds(it, mark));
        let from = asked.or_else(|| messages.iter().rposition(earlier));
        let rest = &messages[from.map_or(0, |at| at + 1)..];
        let mut in_place: Vec<_> = rest.iter().take_while(|it| it.role != Role::User).collect();
        in_place.retain(|row| !self.is_of_another(&row.content));
        if in_place.iter().any(is_answer) {
            return in_place;
        }
        let late = self.late_answers(asked.map(|at| &messages[at]), rest);
        if !late.is_empty() {
            return late;
        }
        if let Some(at) = asked {
            let time = messages[at].time;
            let tied = messages[..at].iter().rev();
            let tied = tied.take_while(|it| time.is_some() && it.time == time);
            in_place.extend(tied.filter(|row| is_answer(row) && !self.is_of_another(&row.content)));
        }
        in_place
    }

    /// A server may store a part only after the next question came: then it is what follows the question by
    /// its parent, or else the answer behind it that is not the next one's.
    fn late_answers<'m>(
        &self,
        asked: Option<&StoredMessage>,
        rest: &'m [StoredMessage],
    ) -> Vec<&'m StoredMessage> {
        if self.next.is_empty() {
            return Vec::new();
        }
        let is_next = |it: &StoredMessage| {
            let mut marks = self.next.iter().flatten();
            marks.any(|mark| it.content.contains(mark))
        };
        let own =
            |it: &&StoredMessage| is_answer(it) && !is_next(it) && !self.is_of_another(&it.content);
        let is_child =
            |it: &&StoredMessage| asked.is_some_and(|asked| it.parent.as_ref() == Some(&asked.key));
        let children: Vec<_> = rest.iter().filter(is_answer).filter(is_child).collect();
        if children.is_empty() {
            rest.iter().filter(own).collect()
        } else {
            children
        }
    }

    /// What follows the question in its conversation, up to the next one.
    fn in_place<'m>(
        &self,
        messages: &'m [StoredMessage],
    ) -> impl Iterator<Item = &'m StoredMessage> {
        let asked = messages
            .iter()
            .position(|it| it.content.contains(&self.tag));
        let rest = asked.map_or(&[][..], |at| &messages[at + 1..]);
        rest.iter().take_while(|it| it.role != Role::User)
    }

    /// The keys of messages that hold the same part of the answer, one after the other, if there are several of them.
    /// Drafts that are known look like whole answers, so of parts that do nobody knows what they are.
    fn same_parts(
        &self,
        messages: &[StoredMessage],
        drafts: &Drafts,
        finished: &[Ending],
    ) -> Vec<String> {
        let may_be_draft = |row: &StoredMessage| match drafts {
            Drafts::Untold => false,
            Drafts::Hidden | Drafts::Column(_) => {
                finished.is_empty() || finished.iter().any(|whole| whole.is_like(row))
            }
        };
        let is_part = |row: &&StoredMessage| {
            is_answer(row)
                && kept::is_beginning(&self.answer.text, &row.content)
                && !may_be_draft(row)
        };
        let Some(first) = self.in_place(messages).find(is_part) else {
            return Vec::new();
        };
        let is_same = |row: &&StoredMessage| {
            row.content.trim() == first.content.trim()
                && row.on_branch == first.on_branch
                && row.status == first.status
        };
        let parts = self.in_place(messages).filter(is_part).filter(is_same);
        let keys: Vec<_> = parts.map(|row| row.key.clone()).collect();
        if keys.len() > 1 { keys } else { Vec::new() }
    }

    /// A text that is nothing of the answer, in a message of its own, and looks like a whole one.
    fn note(&self, messages: &[StoredMessage], finished: &[Ending]) -> Option<Spoilt> {
        if !self.is_alone {
            return None;
        }
        let is_note = |row: &&StoredMessage| {
            is_answer(row)
                && !row.content.trim().is_empty()
                && row.tools.is_empty()
                && marks::of(&row.content).is_empty()
                && finished
                    .iter()
                    .any(|whole| whole.tells() && whole.is_like(row))
                && kept::kept(&[*row], &self.answer, finished) == AnswerFate::Nothing
        };
        let note = self.in_place(messages).find(is_note)?;
        Some(Spoilt::Note(note.content.clone()))
    }

    /// The keys of the messages that say the answer, if there are several of them: whole ones, and those that
    /// are its beginning and look like a whole one, unless something tells such beginnings from it.
    /// `by_end`: what holds the answer's end is all of it, in whatever form its text is stored.
    fn copies(&self, messages: &[StoredMessage], drafts: &Drafts, by_end: bool) -> Vec<String> {
        let answers = self.answers(messages);
        let answers: Vec<_> = answers.into_iter().filter(is_answer).collect();
        let is_whole = |row: &StoredMessage| {
            kept::is_all_in(&self.answer.text, &row.content)
                || by_end && row.content.contains(&self.nonce)
        };
        let Some(whole) = answers.iter().find(|row| is_whole(row)) else {
            return Vec::new();
        };
        let is_copy = |row: &&&StoredMessage| {
            row.on_branch == whole.on_branch && is_whole(row)
                || *drafts == Drafts::Untold
                    && kept::is_beginning(&self.answer.text, &row.content)
                    && row.on_branch == whole.on_branch
                    && row.status == whole.status
                    && row.mark == whole.mark
                    && row.state == whole.state
        };
        let copies: Vec<_> = answers
            .iter()
            .filter(is_copy)
            .map(|row| row.key.clone())
            .collect();
        if self.answer.is_all && copies.len() > 1 {
            copies
        } else {
            Vec::new()
        }
    }

    /// How the texts that hold the answer's end differ from the answer, where none of them holds all of it.
    fn altered(&self, texts: &[String]) -> Option<String> {
        let ExpectedAnswer { text, expected, .. } = &self.answer;
        let is_said = |stored: &String| {
            [text, expected]
                .iter()
                .any(|all| same(all, stored).is_none())
        };
        if !self.answer.is_all || texts.iter().any(is_said) {
            return None;
        }
        let stored = texts.iter().find(|it| it.contains(&self.answer.nonce))?;
        same(expected, stored)
    }

    fn judged<'m>(
        &self,
        rows: impl IntoIterator<Item = &'m StoredMessage>,
        finished: &[Ending],
    ) -> AnswerFate {
        let is_own = |row: &&StoredMessage| is_answer(row) && !self.is_of_another(&row.content);
        let rows: Vec<_> = rows.into_iter().filter(is_own).collect();
        kept::kept(&rows, &self.answer, finished)
    }
}

impl Stage<'_> {
    /// The keys of messages that begin like the answer, before it is asked for.
    pub(super) async fn alike(
        &self,
        answer: Option<&str>,
    ) -> anyhow::Result<Option<HashSet<String>>> {
        let (Some(mapping), Some(text)) = (&self.mapping, answer.and_then(head)) else {
            return Ok(None);
        };
        let rows = store::holding(self.world.db(), mapping, &text).await?;
        Ok(Some(rows.into_iter().map(|row| row.key).collect()))
    }

    /// What the store holds of a turn now.
    pub(super) async fn look(&self, sought: &Sought, finished: &[Ending]) -> anyhow::Result<Found> {
        let mapping = self
            .mapping
            .as_ref()
            .expect("the first turn found the mapping");
        let db = self.world.db();
        let with_nonce = store::holding(db, mapping, &sought.nonce).await?;
        let with_tag = rows::holding(db, mapping, &sought.tag).await?;
        let question = with_tag.iter().find(|message| message.role == Role::User);
        let mut found = Found {
            question: question.is_some(),
            kept: sought.judged(&with_nonce, finished),
            ending: with_nonce
                .iter()
                .find(is_answer)
                .map(|row| Ending::of(row, &sought.nonce)),
            place: Place::Conversation,
            rows: Vec::new(),
            copies: Vec::new(),
            altered: None,
            spoilt: self.spoilt(sought, &with_tag, &with_nonce).await?,
        };
        let of_question = question.and_then(|question| question.conversation.as_deref());
        let keys: Vec<_> = of_question
            .into_iter()
            .chain(sought.conversation.as_deref())
            .collect();
        // Only a store that keeps whole answers as they are said shows what was changed.
        let is_exact = self.is_verbatim && !self.endings.is_empty();
        if found.kept == AnswerFate::Whole {
            let mut answers: Vec<_> = with_nonce.iter().filter(is_answer).collect();
            let mut texts: Vec<_> = answers.iter().map(|row| row.content.clone()).collect();
            let answer = with_nonce.iter().find(is_answer);
            let own = answer.and_then(|answer| answer.conversation.as_deref());
            let key = own.or(keys.first().copied());
            if let Some(key) = key {
                let messages = store::conversation(db, mapping, key).await?;
                answers = sought.answers(&messages);
                texts.push(joined(&answers));
                if !self.learnt.has_versions {
                    let by_end = !self.is_verbatim && self.learnt.one_answer;
                    found.copies = sought.copies(&messages, &self.drafts, by_end);
                }
                found.spoilt.extend(sought.note(&messages, finished));
            }
            found.altered = sought.altered(&texts).filter(|_| is_exact);
            found.rows = with_nonce;
            return Ok(found);
        }
        for key in &keys {
            let messages = store::conversation(db, mapping, key).await?;
            if !messages.is_empty() {
                let answers = sought.answers(&messages);
                if !self.learnt.has_versions {
                    found.copies = sought.same_parts(&messages, &self.drafts, finished);
                }
                found.spoilt.extend(sought.note(&messages, finished));
                found.kept = sought.judged(answers.iter().copied(), finished);
                found.altered = sought.altered(&[joined(&answers)]).filter(|_| is_exact);
                found.rows = answers.into_iter().cloned().collect();
                return Ok(found);
            }
        }
        // Without a conversation to look into, what is new and begins like the answer is it.
        let of = mapping.store();
        let is_named =
            matches!(of.shape, Shape::Blob | Shape::Chain) || !of.message.conversation.is_empty();
        match (&sought.before, head(&sought.answer.text)) {
            (Some(before), Some(text)) => {
                let mut rows = store::holding(db, mapping, &text).await?;
                rows.retain(|row| {
                    !before.contains(&row.key) && !sought.is_of_another(&row.content)
                });
                found.kept = sought.judged(&rows, finished);
                found.rows = rows;
                found.place = Place::Table;
            }
            _ if found.kept == AnswerFate::Nothing && (keys.is_empty() || !is_named) => {
                found.kept = AnswerFate::Unknown(
                    "no conversation is known in which to search for a part of the answer",
                );
            }
            _ => {}
        }
        Ok(found)
    }

    pub(super) fn open_row(&self, found: &Found) -> Option<String> {
        let is_open = |row: &&StoredMessage| {
            let is_open = row.state == State::Open || row.mark.is_unfinished();
            // Whole answers that say the same are no better.
            is_open && !self.endings.iter().any(|whole| whole.is_like(row))
        };
        let mut answers = found.rows.iter().filter(|row| row.role == Role::Assistant);
        answers.find(is_open).map(|row| row.key.clone())
    }

    pub(super) fn stored_of(&self, found: &Found) -> Stored {
        Stored {
            question: found.question,
            answer: found.kept.clone(),
            is_verbatim: self.is_verbatim,
            tells_whole: self.endings.iter().any(kept::Ending::tells),
            open: self.open_row(found),
            copies: found.copies.clone(),
            altered: found.altered.clone(),
            spoilt: found.spoilt.clone(),
        }
    }
}

/// What the client had of the answer.
pub(super) fn client_saw(sought: &Sought, saw: &ResponseProgress, promised: bool) -> ClientSaw {
    let text = &saw.turn.text;
    ClientSaw {
        characters: (!kept::is_json_frames(text)).then(|| kept::seen(&sought.answer.text, text)),
        of: sought.answer.text.trim().chars().count(),
        marker: promised,
    }
}

/// What is stored, in words.
pub(super) fn in_store(stored: &Result<Stored, String>) -> String {
    match stored {
        Err(why) => format!("the store can't be read: {why}"),
        Ok(stored) => {
            let question = if stored.question {
                "stored"
            } else {
                "not stored"
            };
            let answer = match &stored.answer {
                AnswerFate::Whole => "all of the answer is stored".to_owned(),
                AnswerFate::Cut { characters, marked } => {
                    format!("{characters} characters of the answer are stored, {marked}")
                }
                AnswerFate::Nothing => "nothing of the answer is stored".to_owned(),
                AnswerFate::Unknown(why) => (*why).to_owned(),
            };
            format!("the question is {question}; {answer}")
        }
    }
}

/// The beginning of an answer's first line, where it is long enough to be looked for.
fn head(answer: &str) -> Option<String> {
    let line = answer.trim().lines().next()?;
    let head: String = line.chars().take(BEGINNING).collect();
    (head.chars().count() > BEGINNING / 3).then_some(head)
}

fn joined(answers: &[&StoredMessage]) -> String {
    let answers = answers.iter().copied().filter(is_answer);
    answers.map(|row| row.content.as_str()).collect()
}

fn is_answer(message: &&StoredMessage) -> bool {
    message.role == Role::Assistant && message.state != State::Deleted
}

#[cfg(test)]
mod tests;
