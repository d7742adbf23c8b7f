//! One request that reaches the server twice.

use super::case::Moments;
use super::chat::{Chat, Vary};
use super::client::Watching;
use super::exchange::{ClientTask, ResponseProgress};
use super::learnt::copies_of;
use super::live::Live;
use super::reading::Reading;
use super::stage::Stage;
use super::suite::Suite;
use crate::http::Protocol;
use crate::model::Role;
use crate::report::{Lane, Report};
use crate::stream::faults::{DOUBLED, Doubled, NONE, STEP_BY_STEP, Second, TWICE, Way};
use crate::stream::judge::sent_twice::{self, Answered, Copies, Idempotent, SentTwice, Told};
use crate::stream::judge::whole_turn::Wrong;
use crate::stream::session::IDEMPOTENCY_KEY;
use crate::stream::{kept, marks};
use crate::{clock, store};
use std::time::Duration;

/// Between the cut and the second request a proxy does nothing; the server has to hear of the cut.
const CUT: Duration = Duration::from_millis(50);

/// The second of two requests.
enum Other {
    Sent(Watching),
    ToSend(Box<ClientTask>),
}

impl Stage<'_> {
    /// Sends a turn twice, in every way.
    pub(super) async fn send_twice(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.options.suite {
            Suite::Quick => return Ok(()),
            Suite::Full | Suite::Sweep { .. } => {}
        }
        for doubled in &DOUBLED {
            let is_there =
                doubled.second != Second::ToAReplica || !self.world.others.replicas.is_empty();
            if !is_there || !self.plays(doubled.name) {
                continue;
            }
            report.checked += 1;
            let case = self.begin_case(doubled.name, &NONE, &TWICE);
            let mut moments = Moments::default();
            let seen = self.play_twice(doubled, &case.name, &mut moments).await;
            let is_over = seen.is_err();
            self.end_judged(case, moments, seen, sent_twice::judge, report);
            if is_over {
                break;
            }
        }
        self.world.gateway.rest();
        Ok(())
    }

    async fn play_twice(
        &mut self,
        doubled: &'static Doubled,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<SentTwice> {
        let chat = self.set_up().await?;
        let (mut live, other) = self.begin_both(&chat, doubled).await?;
        moments.at(live.sent, Lane::Client, "turn 1 sent");
        let first = self.before_the_second(&mut live, doubled, moments).await?;
        moments.now(Lane::Client, doubled.what);
        let second = match other {
            Other::Sent(second) => second,
            Other::ToSend(task) => Watching::start(*task),
        };
        live.play.release();
        let first = match first {
            Some(first) => first,
            None => self.answered(&live.watching).await,
        };
        let answers = [first, self.answered(&second).await];
        let mut told = self.told_by(&second, &live, &answers);
        let idle = live.play.until_idle();
        let _ = tokio::time::timeout(self.options.response_timeout, idle).await;
        // All of the time: a second copy may come late.
        tokio::time::sleep(self.options.settle).await;
        let (stored, mut wrong) = self.stored_copies(&live).await;
        if live.conversation.is_none() {
            // Each of two requests may begin a conversation of its own.
            wrong.retain(|it| it.code != "wrong-conversation");
        }
        if told == Some(Told::Less) && self.reload_shows_all(&chat).await {
            told = Some(Told::Loaded);
        }
        if let Ok(Copies { questions, answers }) = &stored {
            let what = format!("{questions} questions and {answers} answers are stored");
            moments.now(Lane::Store, what);
        }
        Ok(SentTwice {
            subject: self.observed().subject(),
            case: case.to_owned(),
            doubled,
            declared: self.idempotent(),
            provider: live.play.provider_end(),
            answers,
            stored,
            wrong,
            told,
        })
    }

    /// Sends the first of two requests, and the second one with it where it comes at once.
    async fn begin_both(
        &self,
        chat: &Chat,
        doubled: &'static Doubled,
    ) -> anyhow::Result<(Live, Other)> {
        let vary = Vary {
            pieces: None,
            fault: &STEP_BY_STEP,
            client: &TWICE,
        };
        let line = match doubled.second {
            Second::AfterACut(_) if chat.client().is_plain() => {
                Some(chat.client().dial(Protocol::Http1).await?)
            }
            Second::AfterACut(_) | Second::AtOnce | Second::ToAReplica | Second::AfterTheEnd => {
                None
            }
        };
        let mut other = None;
        let live = self.begin_as(chat, 0, vary, |task| {
            let mut copy = self.same_again(&task);
            if let (Second::ToAReplica, Some(replica)) =
                (doubled.second, self.world.others.replicas.first())
            {
                copy.client = copy.client.at(replica.clone());
            }
            other = Some(match doubled.second {
                Second::AtOnce | Second::ToAReplica => Other::Sent(Watching::start(copy)),
                Second::AfterTheEnd | Second::AfterACut(_) => Other::ToSend(Box::new(copy)),
            });
            match line {
                Some(line) => Watching::start_on(task, line),
                None => Ok(Watching::start(task)),
            }
        });
        let live = live.await?;
        Ok((live, other.expect("a turn that is sent has a task")))
    }

    /// What the first request comes to before the second one is sent, where that waits for it.
    async fn before_the_second(
        &mut self,
        live: &mut Live,
        doubled: &Doubled,
        moments: &mut Moments,
    ) -> anyhow::Result<Option<Answered>> {
        Ok(match doubled.second {
            Second::AtOnce | Second::ToAReplica => None,
            Second::AfterACut(point) => {
                self.reach(live, point, moments)
                    .await
                    .map_err(anyhow::Error::msg)?;
                live.watching.leave(Way::Reset).await?;
                tokio::time::sleep(CUT).await;
                Some(Answered::Cut)
            }
            Second::AfterTheEnd => {
                live.play.release();
                Some(self.answered(&live.watching).await)
            }
        })
    }

    /// What the second response says, where it came to its end and its text is read.
    fn told_by(&self, second: &Watching, live: &Live, answers: &[Answered; 2]) -> Option<Told> {
        let [first, answered] = answers;
        if *answered != Answered::ToTheEnd || self.reading != Reading::Text {
            return None;
        }
        let had = (*first == Answered::ToTheEnd).then(|| live.watching.seen().turn.text);
        let answer = live.answer.as_ref().unwrap_or(&live.expected);
        let whole = [Some(answer), Some(&live.expected), had.as_ref()];
        let text = second.seen().turn.text;
        Some(told(&live.nonce, whole.into_iter().flatten(), &text))
    }

    /// The same request, for another connection.
    fn same_again(&self, task: &ClientTask) -> ClientTask {
        ClientTask {
            captures: task.captures.clone(),
            then: task.then.clone(),
            framing: task.framing.clone(),
            ..self.lone_task(&task.client, task.sends.clone(), task.behaviour)
        }
    }

    fn idempotent(&self) -> Option<Idempotent> {
        if self.session.request.uses(IDEMPOTENCY_KEY) {
            return Some(Idempotent::ByKey);
        }
        self.session.idempotent.then_some(Idempotent::Declared)
    }

    /// What a response came to.
    pub(super) async fn answered(&self, watching: &Watching) -> Answered {
        let over = watching.until(|seen: &ResponseProgress| seen.over.is_some());
        let Ok(seen) = tokio::time::timeout(self.options.response_timeout, over).await else {
            return Answered::Otherwise("not answered to its end in time".to_owned());
        };
        match (&seen.head, &seen.over) {
            (Some(head), _) if !head.is_success() => Answered::Refused(head.status),
            (_, Some(Err(why))) => Answered::Otherwise(format!("broken off: {why}")),
            _ => match (&seen.turn.failed, seen.turn.final_at) {
                (Some(said), _) => Answered::Otherwise(format!("answered with an error: {said}")),
                (None, Some(_)) => Answered::ToTheEnd,
                (None, None) => Answered::Otherwise("answered without the final marker".to_owned()),
            },
        }
    }

    /// How often the turn is stored, and what is wrong with its rows. A store that can't be read shows neither.
    pub(super) async fn stored_copies(
        &mut self,
        live: &Live,
    ) -> (Result<Copies, String>, Vec<Wrong>) {
        let looked = async {
            let copies = self.copies(live).await?;
            anyhow::Ok((copies, self.wrong_of(live).await?))
        };
        match looked.await {
            Ok((copies, wrong)) => (Ok(copies), wrong),
            Err(error) => (Err(format!("{error:#}")), Vec::new()),
        }
    }

    /// How often the turn is stored.
    pub(super) async fn copies(&self, live: &Live) -> anyhow::Result<Copies> {
        let Some(mapping) = &self.mapping else {
            anyhow::bail!("no table of messages is known");
        };
        let has_versions = self.learnt.has_versions;
        let deadline = clock::now() + self.options.settle;
        loop {
            let with_tag = store::holding(self.world.db(), mapping, &live.tag).await;
            let with_nonce = store::holding(self.world.db(), mapping, &live.nonce).await;
            match (with_tag, with_nonce) {
                (Ok(questions), Ok(answers)) => {
                    return Ok(Copies {
                        questions: self.learnt.questions(&questions),
                        answers: copies_of(&answers, &Role::Assistant, has_versions),
                    });
                }
                (Err(error), _) | (_, Err(error)) if clock::now() >= deadline => {
                    return Err(error);
                }
                // A store that is busy at the moment is asked again.
                _ => tokio::time::sleep(CUT).await,
            }
        }
    }
}

/// What a response that came to its end says of a turn: the answer is in it where one of the whole texts is, as the
/// provider said it or as the first response had it.
fn told<'w>(nonce: &str, mut whole: impl Iterator<Item = &'w String>, text: &str) -> Told {
    let marks = marks::of(text).into_iter();
    let mut answers = marks.filter(|mark| mark.starts_with(marks::ANSWER));
    match answers.find(|mark| *mark != nonce) {
        Some(others) => Told::Others(others.to_owned()),
        None if whole.any(|it| !it.trim().is_empty() && kept::is_all_in(it, text)) => Told::All,
        None => Told::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::{Told, told};

    #[test]
    fn the_second_response_is_whole_where_it_has_what_the_first_one_had() {
        let of = |whole: &[&str], text: &str| {
            let whole: Vec<_> = whole.iter().map(|it| (*it).to_owned()).collect();
            told("chatctl-a77", whole.iter(), text)
        };
        let said = "Task **Buy milk** has been added. chatctl-a77";
        let shown = "Task <b>Buy milk</b> has been added. chatctl-a77";
        assert_eq!(of(&[said], said), Told::All);
        assert_eq!(of(&[said], shown), Told::Less);
        assert_eq!(of(&[said, shown], shown), Told::All);
        // A first response without any text says nothing of the second.
        assert_eq!(of(&[said, ""], ""), Told::Less);
    }
}
