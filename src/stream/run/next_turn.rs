//! What follows a turn that did not come to its end: what a reload shows of it, what the server makes of the next
//! turn, and what its provider is asked.

use super::case::Moments;
use super::chat::{AS_RECORDED, Chat};
use super::exchange::ResponseProgress;
use super::live::Live;
use super::reading::Reading;
use super::sought::Sought;
use super::stage::Stage;
use super::talk::{Access, Recalled};
use crate::clock;
use crate::clock::Tick;
use crate::gateway::Heard;
use crate::model::{Role, State, StoredMessage};
use crate::report::Lane;
use crate::stream::judge::Observed;
use crate::stream::judge::ended_early::{NextDoubt, NextTurn, OF_THE_CLIENT, Reload};
use crate::stream::judge::whole_turn::{self, Usual, Wrong};
use crate::stream::kept::{self, ExpectedAnswer};
use crate::text::plural;
use std::time::Duration;

/// Between two looks at what is stored.
const ASK: Duration = Duration::from_millis(20);
/// Between two reloads of the page.
const RELOAD: Duration = Duration::from_millis(100);
/// How a server answers while another turn holds its lock. It may hold it a moment longer than the commit takes.
const BUSY: [u16; 3] = [409, 423, 425];

/// What became of the next turn, before it is compared with the store.
pub(super) enum NextOutcome {
    Refused {
        status: u16,
        said: String,
    },
    Failed(String),
    Answered {
        heard: Heard,
        sent: Option<String>,
        /// What is wrong with what is stored of it.
        wrong: Option<Wrong>,
        /// Why nobody knows whether it was right in time.
        doubt: Option<NextDoubt>,
    },
}

/// A response without a chat.
pub(super) struct Refusal {
    status: u16,
    said: String,
}

impl Refusal {
    /// Where a response is one.
    pub(super) fn of(seen: &ResponseProgress) -> Option<Self> {
        let head = seen.head.as_ref().filter(|head| !head.is_success())?;
        Some(Self {
            status: head.status,
            said: head.excerpt.trim().to_owned(),
        })
    }

    /// Whether it says something of the client, and not of the conversation.
    pub(super) fn is_of_the_client(&self) -> bool {
        OF_THE_CLIENT.contains(&self.status)
    }
}

impl From<Refusal> for NextOutcome {
    fn from(Refusal { status, said }: Refusal) -> Self {
        Self::Refused { status, said }
    }
}

impl NextOutcome {
    /// The texts that the provider got with it, the newest first; absent where they do not show
    /// what the server knows: what the provider keeps is not in the request, and where the client
    /// sends the history, that is all that the server has to pass on.
    pub(super) fn context(&self) -> Option<Vec<String>> {
        match self {
            Self::Answered {
                heard, sent: None, ..
            } if !heard.continues => Some(heard.texts().into_iter().map(str::to_owned).collect()),
            Self::Answered { .. } | Self::Refused { .. } | Self::Failed(_) => None,
        }
    }

    fn doubt(&self) -> Option<NextDoubt> {
        match self {
            Self::Answered { doubt, .. } => *doubt,
            Self::Refused { .. } | Self::Failed(_) => None,
        }
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Refused { status, .. } => format!("the next turn is answered {status}"),
            Self::Failed(why) => format!("the next turn fails: {why}"),
            Self::Answered {
                wrong: Some(wrong), ..
            } => format!(
                "the next turn is answered, and stored wrongly: {}",
                wrong.code
            ),
            Self::Answered { heard, .. } => format!(
                "the next turn is answered; its request had {}",
                plural(heard.messages.len() as u64, "message")
            ),
        }
    }
}

impl Stage<'_> {
    /// What a reload of the page shows of a turn and its rows. What it lacks may be only late, in a
    /// cache: then the page is reloaded until the time is over.
    pub(super) async fn reload(
        &self,
        chat: &mut Chat,
        (sought, rows): (&Sought, &[StoredMessage]),
        patience: Duration,
    ) -> anyhow::Result<Option<Reload>> {
        const ALL: Reload = Reload::Shows {
            question: true,
            answer: true,
        };
        let deadline = clock::now() + patience;
        loop {
            let Some(recalled) = self.recall(chat).await? else {
                return Ok(None);
            };
            let is_let_in = !matches!(recalled.access, Access::Refused(_));
            let shown = shown_by(recalled, sought, rows);
            if shown == ALL || !is_let_in || clock::now() >= deadline {
                return Ok(Some(shown));
            }
            tokio::time::sleep(RELOAD).await;
        }
    }

    /// Sends the turn that follows.
    pub(super) async fn send_next(
        &self,
        chat: &Chat,
        turn: usize,
        moments: &mut Moments,
    ) -> anyhow::Result<Live> {
        let next = (turn + 1) % self.session.turns.len();
        let live = self.begin(chat, next, AS_RECORDED).await?;
        live.play.release();
        moments.at(live.sent, Lane::Client, "the next turn is sent");
        Ok(live)
    }

    /// Follows it to its end. One that the server fails is sent again, up to two times: a store or a lock
    /// that is busy for a moment says nothing of the conversation, and on a busy machine the turn before
    /// may only have come to its end at the second try. Also gives tags and nonces of these tries.
    pub(super) async fn finish_or_again(
        &mut self,
        (chat, turn): (&Chat, usize),
        live: Live,
        moments: &mut Moments,
    ) -> anyhow::Result<(NextOutcome, Vec<[String; 2]>)> {
        let mut outcome = self.finish_next(live, moments).await;
        let mut marks = Vec::new();
        for _ in 0..2 {
            if !outcome.is_trouble() {
                break;
            }
            chat.take_back();
            tokio::time::sleep(self.options.settle).await;
            let again = self.send_next(chat, turn, moments).await?;
            marks.push([again.tag.clone(), again.nonce.clone()]);
            outcome = self.finish_next(again, moments).await;
        }
        Ok((outcome, marks))
    }

    /// What is wrong with what is stored of a turn that was answered, when it had time to be stored, or why nobody
    /// knows.
    async fn wrong_by_then(&mut self, live: &Live) -> Result<Option<Wrong>, NextDoubt> {
        let settle = self.options.settle;
        let first = match self.wrong_until(live, clock::now() + settle).await {
            // What no longer time has cured in an earlier case is not waited for again. Here it may be only late.
            Ok(Some(wrong)) if self.stays_wrong.contains(&wrong.code) => {
                return Err(NextDoubt::NotAwaited);
            }
            Ok(None) => return Ok(None),
            Ok(Some(wrong)) => Some(wrong),
            Err(_) => None,
        };
        // It may be only late.
        let patience = self.late_by(self.slowest_turn);
        let later = self.wrong_until(live, clock::now() + patience).await;
        let found = by_then(first, later.ok())?;
        self.stays_wrong
            .extend(found.as_ref().map(|wrong| wrong.code));
        Ok(found)
    }

    async fn wrong_until(&mut self, live: &Live, deadline: Tick) -> anyhow::Result<Option<Wrong>> {
        loop {
            match self.wrong_with(live).await {
                Ok(wrong) if wrong.is_empty() => return Ok(None),
                found if clock::now() >= deadline => {
                    return found.map(|wrong| wrong.into_iter().next());
                }
                // What is wrong may be only late, and a store that is busy at the moment is asked again.
                Ok(_) | Err(_) => tokio::time::sleep(ASK).await,
            }
        }
    }

    /// What is wrong with what is stored of a turn that is over. A store that can't be read is asked for the settling
    /// time.
    pub(super) async fn wrong_of(&mut self, live: &Live) -> anyhow::Result<Vec<Wrong>> {
        let deadline = clock::now() + self.options.settle;
        loop {
            match self.wrong_with(live).await {
                Err(_) if clock::now() < deadline => tokio::time::sleep(ASK).await,
                found => return found,
            }
        }
    }

    /// What is wrong with what is stored of a turn that is over, and was right in the chats without a gate.
    pub(super) async fn wrong_with(&mut self, live: &Live) -> anyhow::Result<Vec<Wrong>> {
        if self.mapping.is_none() {
            return Ok(Vec::new());
        }
        let turn = self.turn_seen(live, live.watching.seen()).await?;
        // A page that loads such a conversation by its address may show it.
        let is_lost = self.session.history.is_none() && self.is_headless(&turn.with_tag).await;
        let observed = Observed {
            turns: vec![turn],
            ..self.observed()
        };
        let mut wrong = whole_turn::wrong(observed, &self.usual());
        wrong.extend(is_lost.then(Wrong::headless));
        Ok(wrong)
    }

    /// What the chats without a gate showed of every turn.
    pub(super) fn usual(&self) -> Usual {
        Usual {
            wrong: self.wrong_codes.clone(),
            whole_answers: self.learnt.whole_answers,
            whole_questions: self.learnt.whole_questions,
            one_question: self.learnt.one_question,
            has_versions: self.learnt.has_versions,
        }
    }

    /// Follows it to its end.
    async fn finish_next(&mut self, live: Live, moments: &mut Moments) -> NextOutcome {
        let over = live.watching.until(|seen| seen.over.is_some());
        let seen = tokio::time::timeout(self.options.response_timeout, over).await;
        let mut outcome = match seen {
            Err(_) => NextOutcome::Failed("its response did not end".to_owned()),
            Ok(seen) => match (Refusal::of(&seen), &seen.over, live.play.heard()) {
                (Some(refusal), ..) => refusal.into(),
                (_, Some(Err(why)), _) => NextOutcome::Failed(why.clone()),
                _ if seen.turn.failed.is_some() => {
                    NextOutcome::Failed(seen.turn.failed.unwrap_or_default())
                }
                (_, _, None) => NextOutcome::Failed("the provider was not asked for it".to_owned()),
                (_, _, Some(heard)) => NextOutcome::Answered {
                    heard,
                    sent: live.context.clone(),
                    wrong: None,
                    doubt: None,
                },
            },
        };
        if let NextOutcome::Answered { wrong, doubt, .. } = &mut outcome
            && live.watching.seen().turn.promised_at().is_some()
            // Else it may have been told that the save failed.
            && self.reading == Reading::Text
        {
            match self.wrong_by_then(&live).await {
                Ok(found) => *wrong = found,
                Err(why) => *doubt = Some(why),
            }
        }
        moments.now(Lane::Client, outcome.what());
        outcome
    }
}

impl NextOutcome {
    /// Whether the server failed, or was busy, which it may be for a moment.
    fn is_trouble(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || BUSY.contains(status),
            Self::Failed(_) => true,
            Self::Answered { .. } => false,
        }
    }
}

/// What two looks at the next turn show: at the end of the settling time, and later. The second one is absent where the
/// store could not be read.
fn by_then(first: Option<Wrong>, later: Option<Option<Wrong>>) -> Result<Option<Wrong>, NextDoubt> {
    match (first, later) {
        (_, Some(Some(wrong))) => Ok(Some(wrong)),
        (Some(_), Some(None)) => Err(NextDoubt::Late),
        // The first look could not read it.
        (None, Some(None)) => Ok(None),
        (_, None) => Err(NextDoubt::Unread),
    }
}

/// The same as it is judged: against what the store showed when it was sent, and later.
pub(super) fn next_turn(
    outcome: NextOutcome,
    sought: &Sought,
    shown: &[StoredMessage],
    later: &[StoredMessage],
) -> NextTurn {
    if let NextOutcome::Answered {
        wrong: Some(wrong), ..
    } = outcome
    {
        return NextTurn::Wrong(wrong);
    }
    let Some(texts) = outcome.context() else {
        return as_it_is(outcome);
    };
    NextTurn::Answered {
        question: texts.iter().any(|text| text.contains(&sought.tag)),
        answer: is_known(shown, sought, &texts),
        answer_later: is_known(later, sought, &texts),
        doubt: outcome.doubt(),
    }
}

/// The same where the context is not compared: only whether it was answered.
pub(super) fn as_it_is(outcome: NextOutcome) -> NextTurn {
    match outcome {
        NextOutcome::Refused { status, said } => NextTurn::Refused { status, said },
        NextOutcome::Failed(why) => NextTurn::Failed(why),
        NextOutcome::Answered {
            wrong: Some(wrong), ..
        } => NextTurn::Wrong(wrong),
        NextOutcome::Answered {
            wrong: None, doubt, ..
        } => NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: true,
            doubt,
        },
    }
}

/// What a history shows of a turn and its rows.
fn shown_by(recalled: Recalled, sought: &Sought, rows: &[StoredMessage]) -> Reload {
    let messages = match recalled.messages {
        Ok(messages) => messages,
        Err(why) => return Reload::Unreadable(why),
    };
    let texts: Vec<_> = messages.into_iter().map(|it| it.content).collect();
    Reload::Shows {
        question: texts.iter().any(|text| text.contains(&sought.tag)),
        answer: is_known(rows, sought, &texts),
    }
}

/// Whether what is stored of an answer is in some texts; also where nothing of it is stored. The
/// answers of other turns may begin like it.
fn is_known(rows: &[StoredMessage], sought: &Sought, texts: &[String]) -> bool {
    let own = texts.iter().filter(|text| !sought.is_of_another(text));
    let own: Vec<_> = own.map(String::as_str).collect();
    let text = own.join("\n");
    rows.iter()
        .filter(|row| row.role == Role::Assistant && row.state != State::Deleted)
        .filter(|row| !row.content.trim().is_empty())
        .all(|row| has_stored(&text, &row.content, &sought.answer))
}

/// Whether a text has what a stored one has of an answer. Words that the server put before or behind a part, such as
/// `[stopped]`, are for the reader only.
fn has_stored(text: &str, stored: &str, answer: &ExpectedAnswer) -> bool {
    let has_end = stored.contains(&answer.nonce);
    if has_end && text.contains(&answer.nonce) || kept::is_all_in(stored, text) {
        return true;
    }
    let spellings = [&answer.text, &answer.expected];
    let is_all_said = spellings.iter().any(|all| kept::is_all_in(stored, all));
    if has_end || is_all_said || !answer.is_all {
        return false;
    }
    let parts = spellings.map(|all| (kept::seen(all, stored), all));
    let most = parts.into_iter().max_by_key(|(part, _)| *part);
    most.is_none_or(|(part, all)| kept::seen(all, text) >= part)
}

#[cfg(test)]
mod tests {
    use super::{ExpectedAnswer, NextDoubt, NextOutcome, Wrong, by_then, has_stored};
    use crate::report::Source;

    #[test]
    fn a_server_that_is_busy_is_asked_once_more() {
        let is_trouble = |status| {
            let said = String::new();
            NextOutcome::Refused { status, said }.is_trouble()
        };
        assert!([409, 423, 425, 500, 503].into_iter().all(is_trouble));
        assert!(![400, 401, 403, 404, 422, 429].into_iter().any(is_trouble));
    }

    #[test]
    fn words_that_mark_a_part_need_not_be_known() {
        let said = "Task 'Buy milk' has been added. n1";
        let has = |stored: &str, text: &str| {
            let answer = ExpectedAnswer {
                text: said.to_owned(),
                is_all: true,
                expected: said.to_owned(),
                nonce: "n1".to_owned(),
                client: 0,
            };
            has_stored(text, stored, &answer)
        };
        let asked = "Add a task to buy milk";
        let with = |part: &str| format!("{asked}\n{part}");
        for stored in [
            "Task 'Buy milk'",
            "Task 'Buy milk'\n\n_[stopped by user]_",
            "<details>thinking</details>Task 'Buy milk'",
        ] {
            assert!(has(stored, &with("Task 'Buy milk'")), "{stored}");
            assert!(!has(stored, &with("Task 'Buy")), "{stored}");
            assert!(!has(stored, asked), "{stored}");
        }
        // A note is nothing of the answer; a later piece and the end are.
        assert!(has("[stopped]", asked));
        assert!(!has("has been", asked));
        assert!(!has(said, &with("Task 'Buy milk'")));
        let marked = format!("{said} [stopped]");
        assert!(has(&marked, &with(said)) && !has(&marked, &with("Task 'Buy milk'")));
    }

    /// A store that can't be read is never a pass.
    #[test]
    fn what_could_not_be_read_leaves_the_next_turn_open() {
        let wrong = || Wrong {
            code: "never-saved",
            how: "no row holds it".to_owned(),
            source: Source::Store,
        };
        assert_eq!(
            by_then(Some(wrong()), Some(Some(wrong()))),
            Ok(Some(wrong()))
        );
        assert_eq!(by_then(Some(wrong()), Some(None)), Err(NextDoubt::Late));
        assert_eq!(by_then(Some(wrong()), None), Err(NextDoubt::Unread));
        assert_eq!(by_then(None, None), Err(NextDoubt::Unread));
        assert_eq!(by_then(None, Some(None)), Ok(None));
        assert_eq!(by_then(None, Some(Some(wrong()))), Ok(Some(wrong())));
    }
}
