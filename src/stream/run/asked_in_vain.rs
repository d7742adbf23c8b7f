//! Regenerations that fail: the provider fails at once or in mid-stream, or the client leaves.

use super::asked_again::Rows;
use super::case::Moments;
use super::chat::{AS_RECORDED, Chat, Sent, Vary};
use super::client::Watching;
use super::ended_early::HEARD_BY_THEN;
use super::live::Live;
use super::next_turn;
use super::script::error_mark;
use super::stage::Stage;
use crate::gateway::faults::{self, Mix};
use crate::gateway::providers::Provider;
use crate::model::{Role, State, StoredMessage};
use crate::report::{ClientMoment, Lane, Report, Verdict};
use crate::stream::faults::{ClientBehaviour, Cut, NONE, Point, READ_TO_END, STEP_BY_STEP, Way};
use crate::stream::judge::asked_again::in_vain::{self, Because, InVain, Known, New, Remains};
use crate::stream::judge::asked_again::{Again, Old};
use crate::stream::kept;
use crate::stream::kept::AnswerFate;
use crate::stream::session::AskAgain;
use crate::{clock, store};

/// What a provider does in place of answering: before its first word, and after some.
const FAILS: [&str; 2] = ["http-503", "error-in-stream"];

/// Why no answer comes.
enum Ends {
    ProviderFails(Mix),
    Leaves(Point),
}

impl Ends {
    fn name(&self, again: Again) -> String {
        match self {
            Self::ProviderFails(mix) => format!("{again}-provider-{mix}"),
            Self::Leaves(point) => format!("{again}-left-at-{point}-by-{}", Way::Fin.name()),
        }
    }

    fn client(&self) -> &'static ClientBehaviour {
        match self {
            Self::ProviderFails(_) => &READ_TO_END,
            Self::Leaves(_) => Way::Fin.client(),
        }
    }
}

/// What was sent in one case.
struct Turns<'t> {
    first: &'t Live,
    old: &'t Rows,
    again: &'t Live,
    /// Tag and nonce of each turn that was sent after it.
    next: Vec<[String; 2]>,
}

impl Stage<'_> {
    /// Asks for an answer again, in vain, in each way that its provider and its client have.
    pub(super) async fn ask_in_vain(
        &mut self,
        again: Again,
        ask: &AskAgain,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let Some(provider) = self.provider else {
            return Ok(());
        };
        for ends in self.vain_ends(provider)? {
            let name = ends.name(again);
            if !self.plays(&name) {
                continue;
            }
            report.checked += 1;
            let mut case = self.begin_case(&name, &NONE, ends.client());
            if let Ends::ProviderFails(mix) = &ends {
                case.fault = mix.to_string();
            }
            let mut moments = Moments::default();
            let seen = self
                .play_in_vain((again, ask), &ends, &case.name, &mut moments)
                .await;
            self.end_judged(case, moments, seen, in_vain::judge, report);
        }
        Ok(())
    }

    fn vain_ends(&self, provider: &'static Provider) -> anyhow::Result<Vec<Ends>> {
        let named = FAILS.iter().filter_map(|name| faults::named(name));
        let mixes = named.map(Mix::of).filter(|mix| {
            let script = self.script(0, AS_RECORDED, mix.clone());
            let has_form = script.reel(provider, 0, 0).is_ok();
            has_form && (self.asks_for_streams || !mix.needs_a_stream())
        });
        let cut: Cut = self.cut_of(0, provider)?;
        let is_event = |point: &Point| matches!(point, Point::Event(_));
        let event = cut.main_points().into_iter().find(is_event);
        let left = event.map(Ends::Leaves);
        Ok(mixes.map(Ends::ProviderFails).chain(left).collect())
    }

    async fn play_in_vain(
        &mut self,
        (again, ask): (Again, &AskAgain),
        ends: &Ends,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<InVain> {
        let mut chat = self.set_up().await?;
        let (first, old) = self.answered_turn(&chat, 0).await?;
        moments.at(first.sent, Lane::Client, "turn 1 sent");
        chat.take_back();
        let (mix, fault) = match ends {
            Ends::ProviderFails(mix) => (mix.clone(), &NONE),
            Ends::Leaves(_) => (Mix::NONE, &STEP_BY_STEP),
        };
        let what = Sent {
            instead: Some(super::asked_again::instead(again, ask, (&first, &old))),
            mix,
            ..Sent::turn(0)
        };
        let vary = Vary {
            pieces: None,
            fault,
            client: ends.client(),
        };
        let mut live = match ends {
            Ends::ProviderFails(_) => {
                let start = |task| Ok(Watching::start(task));
                self.begin_among(&chat, what, vary, start).await?
            }
            Ends::Leaves(_) => self.begin_sent_on_line(&chat, what, vary).await?,
        };
        let written = &ask.request.written;
        moments.at(live.sent, Lane::Client, format!("`{written}` sent"));
        let met = self.fails(&mut live, ends, moments).await?;
        let mut turns = Turns {
            first: &first,
            old: &old,
            again: &live,
            next: Vec::new(),
        };
        let mut stored = self.await_remains(&turns).await;
        // What is right may be only for now.
        tokio::time::sleep(self.options.watch).await;
        let before = stored.as_ref().ok().copied();
        stored = self.remains_anywhere(&turns).await;
        let shown = self.shown_texts(&mut chat).await?;
        let following = self.send_next(&chat, 0, moments).await?;
        turns.next = vec![[following.tag.clone(), following.nonce.clone()]];
        let (outcome, second) = self.finish_or_again((&chat, 0), following, moments).await?;
        turns.next.extend(second);
        let known = |texts: &[String]| known_in(texts, &turns);
        let mut seen = InVain {
            subject: self.observed().subject(),
            case: case.to_owned(),
            again,
            because: match ends {
                Ends::ProviderFails(mix) => Because::ProviderFailed(mix.what()),
                Ends::Leaves(_) => Because::Left(self.session.on_disconnect),
            },
            old_answer: ask.old_answer,
            met,
            stored: stored.map_err(|error| format!("{error:#}")),
            came_late: false,
            history: shown.as_deref().map(known),
            context: outcome.context().as_deref().map(known),
            next: next_turn::as_it_is(outcome),
        };
        if in_vain::judge(&seen).verdict == Verdict::Violated {
            let had_time = before == seen.stored.as_ref().ok().copied();
            let patience = self.options.settle * if had_time { 1 } else { 2 };
            let look = self.remains_anywhere(&turns);
            seen.came_late = self.came_late(&mut seen.stored, patience, look).await;
        }
        Ok(seen)
    }

    /// Lets it happen, and waits until the server has had the time to notice. Says whether it happened.
    async fn fails(
        &self,
        live: &mut Live,
        ends: &Ends,
        moments: &mut Moments,
    ) -> anyhow::Result<Result<(), String>> {
        match ends {
            Ends::ProviderFails(mix) => {
                live.play.release();
                let over = live.watching.until(|seen| seen.over.is_some());
                let is_over = tokio::time::timeout(self.options.response_timeout, over).await;
                self.until_idle(live).await;
                moments.now(Lane::Gateway, mix.what());
                Ok(match is_over {
                    Ok(_) => self.fault_met(live, mix),
                    Err(_) => Err("the response did not end in time".to_owned()),
                })
            }
            Ends::Leaves(point) => {
                let met = self.reach(live, *point, moments).await;
                if met.is_ok() {
                    let moment = ClientMoment {
                        by: Way::Fin.name().to_owned(),
                        point: point.to_string(),
                        received_bytes: live.watching.seen().received,
                    };
                    moments.ends(Way::Fin.what(), moment);
                    live.watching.leave(Way::Fin).await?;
                }
                let _ = tokio::time::timeout(HEARD_BY_THEN, live.play.until_idle()).await;
                live.play.release();
                self.until_idle(live).await;
                Ok(met)
            }
        }
    }

    /// What is stored, as soon as the old answer and the question are, or when the time is over.
    async fn await_remains(&self, turns: &Turns<'_>) -> anyhow::Result<Remains> {
        let deadline = clock::now() + self.options.settle;
        let is_right = |it: &Remains| it.questions == 1 && it.old != Old::Gone;
        self.stored_when(deadline, async || self.remains(turns).await, is_right)
            .await
    }

    /// The same, and whether an old answer that is gone is in another table.
    async fn remains_anywhere(&self, turns: &Turns<'_>) -> anyhow::Result<Remains> {
        let mut remains = self.remains(turns).await?;
        remains.old = self.sought_elsewhere(remains.old, turns.first).await?;
        Ok(remains)
    }

    async fn remains(&self, turns: &Turns<'_>) -> anyhow::Result<Remains> {
        let (first, again) = (turns.first, turns.again);
        let old_question = self.rows_with(&first.tag, Role::User).await?;
        let error = error_mark(&again.nonce);
        let errors = self.rows_with(&error, Role::Assistant).await?;
        let (new, placeholder) = self.new_answer(turns).await?;
        Ok(Remains {
            questions: self.questions_shown(first, again).await?,
            old_question: !old_question.is_empty(),
            new,
            old: self.old_answer(first).await?,
            error: errors
                .iter()
                .any(|row| self.looks_whole(row) && !row.has_failed()),
            placeholder,
        })
    }

    /// What there is of the new answer: what begins like it in the conversation and is neither the old nor the next one.
    /// And whether such an answer follows the question, whatever it says.
    async fn new_answer(&self, turns: &Turns<'_>) -> anyhow::Result<(New, bool)> {
        let live = turns.again;
        if !self
            .rows_with(&live.nonce, Role::Assistant)
            .await?
            .is_empty()
        {
            return Ok((New::Whole, true));
        }
        let (Some(mapping), Some(key), true) = (
            &self.mapping,
            &turns.old.answer.conversation,
            self.is_verbatim,
        ) else {
            return Ok((New::Unknown, false));
        };
        let messages = store::conversation(self.world.db(), mapping, key).await?;
        let others = [&turns.first.nonce].into_iter();
        let others: Vec<_> = others.chain(turns.next.iter().flatten()).collect();
        let is_new = |row: &&StoredMessage| {
            let is_answer = row.role == Role::Assistant && row.state != State::Deleted;
            is_answer && !others.iter().any(|mark| row.content.contains(*mark))
        };
        let rows: Vec<_> = messages.iter().filter(is_new).collect();
        let new = match kept::kept(&rows, &live.whole_answer(), &self.endings) {
            AnswerFate::Whole => New::Whole,
            AnswerFate::Cut { .. } => New::Part,
            AnswerFate::Nothing => New::Nothing,
            AnswerFate::Unknown(_) => New::Unknown,
        };
        let asked = [&turns.first.tag, &live.tag];
        let is_asked = |row: &StoredMessage| asked.iter().any(|tag| row.content.contains(*tag));
        // The next turn's rows are no answer to this one.
        let is_next = |row: &StoredMessage| {
            let mut marks = turns.next.iter().flatten();
            marks.any(|mark| row.content.contains(mark))
        };
        let behind = messages.iter().skip_while(|row| !is_asked(row)).skip(1);
        let mut behind = behind.take_while(|row| !is_next(row));
        Ok((new, behind.any(|row| is_new(&row))))
    }

    /// A turn that came to its end, and its rows.
    pub(super) async fn answered_turn(
        &mut self,
        chat: &Chat,
        index: usize,
    ) -> anyhow::Result<(Live, Rows)> {
        let first = self.turn_to_the_end(chat, index).await?;
        let Some((_, answer)) = self.await_row(&first, self.options.settle).await else {
            anyhow::bail!("the answer was not stored, so there was none to regenerate");
        };
        let question = self.rows_with(&first.tag, Role::User).await?;
        let old = Rows {
            question: question.into_iter().next(),
            answer,
        };
        Ok((first, old))
    }
}

/// What of the conversation is in some texts.
fn known_in(texts: &[String], turns: &Turns<'_>) -> Known {
    let has = |mark: &str| texts.iter().any(|text| text.contains(mark));
    Known {
        question: has(&turns.again.tag),
        old: has(&turns.first.nonce),
    }
}
