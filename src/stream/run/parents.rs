//! Whether a regenerated or edited message is linked to the right one.

use super::asked_again::Rows;
use super::live::Live;
use super::stage::Stage;
use crate::model::{Role, State, StoredMessage};
use crate::store;
use crate::store::Mapping;
use crate::stream::judge::asked_again::Again;

/// The rows of a turn before it is asked again, and how the messages that they are linked to are read.
pub(super) struct Linked {
    mapping: Mapping,
    old: Rows,
}

impl Stage<'_> {
    /// Reads the links of a turn. A mapping that was found reads none: there, a column is it if each message of the
    /// conversation names the one before it. One in which only answers name their question may be anything, such as a
    /// reply that a user points at, and says nothing of a question or of a version.
    pub(super) async fn links_of(
        &self,
        first: &Live,
        old: &Rows,
    ) -> anyhow::Result<Option<Linked>> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let readings = mapping.with_parents();
        if readings.is_empty() {
            let (mapping, old) = (mapping.clone(), old.clone());
            return Ok(Some(Linked { mapping, old }));
        }
        for mapping in readings {
            let question = self.read_by(&mapping, &first.tag, Role::User).await?;
            let answer = self
                .read_by(&mapping, &first.nonce, Role::Assistant)
                .await?;
            if let (Some(question), Some(answer)) = (question.first(), answer.first())
                && answer.parent.as_ref() == Some(&question.key)
                && self.is_chained(&mapping, question).await?
            {
                let old = Rows {
                    question: Some(question.clone()),
                    answer: answer.clone(),
                };
                return Ok(Some(Linked { mapping, old }));
            }
        }
        Ok(None)
    }

    /// Whether the messages around a question prove that a column names the one before each.
    async fn is_chained(
        &self,
        mapping: &Mapping,
        question: &StoredMessage,
    ) -> anyhow::Result<bool> {
        let Some(key) = &question.conversation else {
            return Ok(false);
        };
        let messages = store::conversation(self.world.db(), mapping, key).await?;
        Ok(is_chain(&messages))
    }

    /// Which link of the new messages is wrong, where messages name the one before them.
    pub(super) async fn wrong_parent(
        &self,
        again: Again,
        linked: Option<&Linked>,
        live: &Live,
    ) -> anyhow::Result<Option<String>> {
        let Some(Linked { mapping, old }) = linked else {
            return Ok(None);
        };
        let answers = self.read_by(mapping, &live.nonce, Role::Assistant).await?;
        let questions = self.read_by(mapping, &live.tag, Role::User).await?;
        Ok(wrong_link(again, old, answers.first(), &questions))
    }

    /// The rows of one role that hold a mark.
    pub(super) async fn read_by(
        &self,
        mapping: &Mapping,
        mark: &str,
        role: Role,
    ) -> anyhow::Result<Vec<StoredMessage>> {
        let mut rows = store::holding(self.world.db(), mapping, mark).await?;
        rows.retain(|row| row.role == role && row.state != State::Deleted);
        Ok(rows)
    }
}

/// Whether each message names the one before it, and more than one question is among them. Results of several tools name
/// the same call.
fn is_chain(messages: &[StoredMessage]) -> bool {
    let mut pairs = messages.iter().zip(messages.iter().skip(1));
    let follows = |(before, after): (&StoredMessage, &StoredMessage)| {
        let is_beside = matches!(before.role, Role::Other(_)) && after.role == before.role;
        let parent = after.parent.as_ref();
        parent == Some(&before.key)
            || is_beside && parent.is_some() && parent == before.parent.as_ref()
    };
    let asked = messages.iter().filter(|row| row.role == Role::User);
    asked.count() > 1 && pairs.all(follows)
}

/// Which link is wrong of a new answer, and of the rows that hold its question.
fn wrong_link(
    again: Again,
    old: &Rows,
    answer: Option<&StoredMessage>,
    questions: &[StoredMessage],
) -> Option<String> {
    let (was, answer) = (old.answer.parent.as_ref()?, answer?);
    let told = |what: &str, is: &str, wanted: &str| {
        Some(format!(
            "{what} is linked to `{is}`, and belongs to `{wanted}`"
        ))
    };
    let Some(is) = &answer.parent else {
        return Some(format!(
            "the new answer is linked to no message, and the old one was linked to `{was}`"
        ));
    };
    // Question and answer may both have been stored again.
    let follows_question = questions.iter().any(|question| question.key == *is);
    let before = old.question.as_ref().and_then(|row| row.parent.as_ref());
    match (again, questions.first()) {
        (Again::Regenerated, _) if is != was && !follows_question => {
            told("the new answer", is, was)
        }
        (Again::Edited, Some(question)) if *is != question.key => {
            told("the new answer", is, &question.key)
        }
        (Again::Edited, Some(question)) if question.parent.as_ref() != before => {
            let key = |key: Option<&String>| key.map_or("-", String::as_str).to_owned();
            let is = key(question.parent.as_ref());
            told("the new question", &is, &key(before))
        }
        (Again::Regenerated | Again::Edited, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Again, Rows, is_chain, wrong_link};
    use crate::model::{Role, StoredMessage};

    fn linked(key: &str, role: Role, parent: &str) -> StoredMessage {
        StoredMessage {
            parent: Some(parent.to_owned()),
            ..StoredMessage::new(key, role, "so")
        }
    }

    /// The question and the answer of a row that holds both.
    fn pair(key: &str) -> [StoredMessage; 2] {
        let question = format!("{key}#prompt");
        let answer = linked(&format!("{key}#response"), Role::Assistant, &question);
        [StoredMessage::new(question, Role::User, "so"), answer]
    }

    #[test]
    fn a_new_answer_follows_its_question_or_the_same_one_again() {
        let [question, answer] = pair("7");
        let old = Rows {
            question: Some(question.clone()),
            answer: answer.clone(),
        };
        let is_right = |answer: &StoredMessage, question: &StoredMessage| {
            let questions = [question.clone()];
            wrong_link(Again::Regenerated, &old, Some(answer), &questions).is_none()
        };
        // Updated in its place, or deleted and inserted.
        assert!(is_right(&answer, &question));
        let [asked_again, answered_again] = pair("8");
        assert!(is_right(&answered_again, &asked_again));
        let strayed = linked("9", Role::Assistant, "3#prompt");
        assert!(!is_right(&strayed, &question));
        assert!(!is_right(
            &linked("9", Role::Assistant, "7#response"),
            &question
        ));
        let alone = StoredMessage::new("9", Role::Assistant, "so");
        assert!(!is_right(&alone, &question));
    }

    /// A column that was guessed by its name.
    #[test]
    fn a_guessed_column_is_proven_by_a_whole_chain_only() {
        let of = |links: [(Role, Option<&str>); 4]| {
            let rows = links.into_iter().zip(["1", "2", "3", "4"]);
            let row = |((role, parent), key): ((Role, Option<&str>), &str)| StoredMessage {
                parent: parent.map(str::to_owned),
                ..StoredMessage::new(key, role, "so")
            };
            rows.map(row).collect::<Vec<_>>()
        };
        let (asked, said) = (Role::User, Role::Assistant);
        let chain = |second: Option<&str>, last: Option<&str>| {
            is_chain(&of([
                (asked.clone(), None),
                (said.clone(), Some("1")),
                (asked.clone(), second),
                (said.clone(), last),
            ]))
        };
        assert!(chain(Some("2"), Some("3")));
        // Only answers name their question, all name the first message, or one names none.
        assert!(!chain(None, Some("3")));
        assert!(!chain(Some("1"), Some("1")));
        assert!(!chain(Some("2"), None));
        let [question, answer] = pair("7");
        assert!(!is_chain(&[question, answer]));
        let tool = || Role::Other("tool".to_owned());
        let mut with_tools = of([
            (asked.clone(), None),
            (said.clone(), Some("1")),
            (tool(), Some("2")),
            (tool(), Some("2")),
        ]);
        let next = linked("5", Role::User, "4");
        with_tools.push(next);
        assert!(is_chain(&with_tools));
    }
}
