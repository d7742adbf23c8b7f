//! What the store holds around the answer of a turn that did not come to its end: its question, and the turns before.

use super::sought::{Earlier, Sought};
use super::stage::Stage;
use crate::model::{Role, State, StoredMessage};
use crate::store;
use crate::stream::judge::ended_early::Spoilt;
use crate::stream::judge::plain;
use crate::stream::judge::saved_row_changed_later::is_lost;
use crate::stream::kept;

impl Stage<'_> {
    /// What is stored of a turn that is over.
    pub(super) async fn earlier(&self, turn: usize, marks: &[String; 2]) -> Vec<Earlier> {
        let Some(mapping) = &self.mapping else {
            return Vec::new();
        };
        let mut stored = Vec::new();
        for (mark, role) in marks.iter().zip([Role::User, Role::Assistant]) {
            let rows = store::holding(self.world.db(), mapping, mark).await;
            // What only quotes it, such as a summary, may be written again.
            let is_it = |row: &StoredMessage| row.role == role && row.state != State::Deleted;
            let row = rows.ok().and_then(|rows| rows.into_iter().find(is_it));
            stored.extend(row.map(|row| Earlier {
                turn,
                mark: mark.clone(),
                row,
            }));
        }
        stored
    }

    /// What is wrong around the answer, with the rows that hold the turn's question, and those that hold the answer's end.
    pub(super) async fn spoilt(
        &self,
        sought: &Sought,
        with_tag: &[StoredMessage],
        with_nonce: &[StoredMessage],
    ) -> anyhow::Result<Vec<Spoilt>> {
        let mut spoilt = Vec::new();
        // The next turn may make the row.
        if sought.next.is_empty() && self.is_headless(with_tag).await {
            spoilt.push(Spoilt::Head);
        }
        spoilt.extend(self.cut_question(sought, with_tag));
        if self.learnt.asked_in_conversation {
            spoilt.extend(nowhere(with_tag));
        }
        if self.learnt.in_its_own {
            spoilt.extend(astray(sought.conversation.as_deref(), with_tag, with_nonce));
        }
        if self.learnt.one_question {
            spoilt.extend(doubled(with_tag).map(Spoilt::QuestionTwice));
        }
        spoilt.extend(self.lost_of(&sought.stays).await?);
        Ok(spoilt)
    }

    /// What is lost of turns that were over.
    pub(super) async fn lost_of(&self, stays: &[Earlier]) -> anyhow::Result<Vec<Spoilt>> {
        let mut lost = Vec::new();
        let Some(mapping) = self.mapping.as_ref().filter(|_| self.learnt.keeps_earlier) else {
            return Ok(lost);
        };
        for earlier in stays {
            let rows = store::holding(self.world.db(), mapping, &earlier.mark).await?;
            if is_lost(&earlier.row, &rows) {
                lost.push(Spoilt::Earlier {
                    turn: earlier.turn,
                    is_question: earlier.row.role == Role::User,
                });
            }
        }
        Ok(lost)
    }

    /// The question, where it is stored, and never whole as other questions are.
    fn cut_question(&self, sought: &Sought, with_tag: &[StoredMessage]) -> Option<Spoilt> {
        let is_whole = |row: &StoredMessage| kept::is_all_in(&sought.question, &row.content);
        let is_cut = self.learnt.whole_questions && !with_tag.iter().any(is_whole);
        let mut asked = with_tag.iter().filter(|row| row.role == Role::User);
        let row = asked.next().filter(|_| is_cut)?;
        Some(Spoilt::QuestionCut(row.content.clone()))
    }
}

/// A question that is in no conversation.
fn nowhere(with_tag: &[StoredMessage]) -> Option<Spoilt> {
    if with_tag.iter().any(|row| row.conversation.is_some()) {
        return None;
    }
    let row = with_tag.iter().find(|row| row.role == Role::User)?;
    Some(Spoilt::QuestionNowhere(row.key.clone()))
}

/// An answer that is not in the conversation with that key; where none is known, in none of those that hold its question.
fn astray(
    home: Option<&str>,
    with_tag: &[StoredMessage],
    with_nonce: &[StoredMessage],
) -> Option<Spoilt> {
    let of_question = with_tag
        .iter()
        .filter_map(|row| row.conversation.as_deref());
    let homes: Vec<_> = match home {
        Some(home) => vec![plain(home)],
        None => of_question.map(plain).collect(),
    };
    let is_answer =
        |row: &&StoredMessage| row.role == Role::Assistant && row.state != State::Deleted;
    let is_home = |row: &StoredMessage| {
        let key = row.conversation.as_deref();
        key.is_some_and(|key| homes.contains(&plain(key)))
    };
    let mut answers = with_nonce.iter().filter(is_answer);
    if homes.is_empty() || answers.clone().any(is_home) {
        return None;
    }
    answers.next().map(|row| Spoilt::AnswerAstray {
        row: row.key.clone(),
        conversation: row.conversation.clone(),
    })
}

/// The keys of rows that are the user's and say the same in one conversation, where there are several.
fn doubled(with_tag: &[StoredMessage]) -> Option<Vec<String>> {
    let is_asked = |row: &&StoredMessage| row.role == Role::User && row.state != State::Deleted;
    let first = with_tag.iter().find(is_asked)?;
    let same = with_tag.iter().filter(is_asked).filter(|row| {
        row.content.trim() == first.content.trim()
            && row.conversation == first.conversation
            && row.on_branch == first.on_branch
            && row.status == first.status
    });
    let keys: Vec<_> = same.map(|row| row.key.clone()).collect();
    (keys.len() > 1).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::{Spoilt, astray, doubled, nowhere};
    use crate::model::{Role, State, StoredMessage};

    fn placed(role: Role, conversation: Option<&str>) -> StoredMessage {
        StoredMessage {
            conversation: conversation.map(str::to_owned),
            ..StoredMessage::new("7", role, "Hello [u1] n1")
        }
    }

    #[test]
    fn a_question_in_no_conversation_is_found_unless_another_row_has_it() {
        let [placed, lost] = [Some("c"), None].map(|key| placed(Role::User, key));
        let found = Some(Spoilt::QuestionNowhere("7".to_owned()));
        assert_eq!(nowhere(std::slice::from_ref(&lost)), found);
        assert_eq!(nowhere(std::slice::from_ref(&placed)), None);
        assert_eq!(nowhere(&[lost, placed]), None);
        assert_eq!(nowhere(&[]), None);
    }

    #[test]
    fn an_answer_belongs_to_the_conversation_of_its_question() {
        let asked = [placed(Role::User, Some("A1-b2"))];
        let answer = |key: Option<&str>| placed(Role::Assistant, key);
        let astray_to = |key: Option<&str>| {
            Some(Spoilt::AnswerAstray {
                row: "7".to_owned(),
                conversation: key.map(str::to_owned),
            })
        };
        for home in [None, Some("a1b2")] {
            let found = |answers: &[StoredMessage]| astray(home, &asked, answers);
            assert_eq!(found(&[answer(Some("c2"))]), astray_to(Some("c2")));
            assert_eq!(found(&[answer(None)]), astray_to(None));
            assert_eq!(found(&[answer(Some("a1b2"))]), None);
            // A copy in another conversation is no loss, and a summary is no answer.
            assert_eq!(found(&[answer(Some("c2")), answer(Some("a1b2"))]), None);
            assert_eq!(
                found(&[placed(Role::Other("summary".to_owned()), None)]),
                None
            );
            assert_eq!(found(&[]), None);
        }
        // A store that names no conversations.
        let nowhere = [placed(Role::User, None)];
        assert_eq!(astray(None, &nowhere, &[answer(Some("c2"))]), None);
    }

    #[test]
    fn a_question_is_doubled_by_the_same_words_in_its_conversation() {
        let row = |key: &str| StoredMessage::new(key, Role::User, "Hello [u1]");
        let keys = Some(vec!["1".to_owned(), "2".to_owned()]);
        assert_eq!(doubled(&[row("1"), row("2")]), keys);
        assert_eq!(doubled(&[row("1")]), None);
        let mut other = [row("2"), row("2"), row("2")];
        other[0].state = State::Deleted;
        other[1].conversation = Some("8".to_owned());
        other[2].role = Role::Other("system".to_owned());
        for other in other {
            assert_eq!(doubled(&[row("1"), other.clone()]), None, "{other:?}");
        }
    }
}
