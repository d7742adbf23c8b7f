//! Turns whose provider sends unusual data, or fails.
//!
//! What a failure leaves behind is nothing, most often, and nothing is only known when its time is over. So all
//! cases are played first, and the store is examined once for all of them.

use super::case::{Begun, Moments};
use super::chat::{AS_RECORDED, Sent};
use super::client::Watching;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::next_turn;
use super::reading::Reading;
use super::sought::{Found, Sought};
use super::stage::Stage;
use super::suite::Suite;
use crate::gateway::faults;
use crate::gateway::faults::{Ends, Mix};
use crate::model::{ProviderEnd, Role, State, StoredMessage};
use crate::report::{Lane, Report, Verdict};
use crate::store;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::provider_faults::{
    self, ClientTold, ProviderFailed, ResponseEnd, Said, Stored, same, same_lines, without_marks,
};
use crate::stream::kept;
use crate::stream::kept::{AnswerFate, ExpectedAnswer};
use crate::stream::own_words::Shows;
use crate::stream::session::Plays;
use crate::text::plural;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// A case that was played.
struct Played {
    case: Begun,
    moments: Moments,
    seen: ProviderFailed,
    sought: Sought,
    /// What has to be stored, where it can be compared letter by letter.
    exact: Option<String>,
    /// Is in the text of the provider's error and nowhere else.
    error_mark: String,
}

impl Stage<'_> {
    /// Plays the faults that were asked for; in a sweep all that the server can meet, and in `full` the usual ones.
    pub(super) async fn provider_faults(
        &mut self,
        lag: Duration,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mixes = self.mixes();
        if mixes.is_empty() {
            return Ok(());
        }
        self.note(&format!(
            "{}: {} cases of a provider that sends unusual data, or fails",
            self.session.name,
            mixes.len()
        ));
        let mut played = Vec::new();
        for mix in mixes {
            report.checked += 1;
            let mut case = self.begin_case(&case_name(&mix), &NONE, &READ_TO_END);
            case.fault = mix.to_string();
            let mut moments = Moments::default();
            let ran = self.play_faults(mix, &case.name, &mut moments).await;
            match ran {
                Ok((seen, live)) => {
                    case.over();
                    played.push(self.played(case, moments, seen, &live));
                }
                Err(error) => {
                    case.timeline = moments.timeline;
                    // A server that answers no chat any more answers none of the cases that follow.
                    self.end_failed(case, &error, report);
                    break;
                }
            }
        }
        self.world.gateway.rest();
        let patience = self.late_by(lag);
        tokio::time::sleep(patience).await;
        for played in &mut played {
            played.seen.stored = self.stored_after(played).await;
        }
        self.look_at_wrong_ones_again(&mut played, patience).await;
        let judged = played.into_iter().map(|played| {
            let (mut case, mut moments) = (played.case, played.moments);
            let judged = provider_faults::judge(&played.seen);
            moments.now(Lane::Store, judged.reason.as_str());
            case.timeline = moments.timeline;
            (case, judged)
        });
        self.end_all(judged, report);
        Ok(())
    }

    /// What is played.
    fn mixes(&self) -> Vec<Mix> {
        let Some(provider) = self.provider else {
            return Vec::new();
        };
        let named = self.options.provider_faults.iter().cloned();
        let of_suite = match self.options.suite {
            _ if self.options.every_provider_fault => faults::ALL,
            Suite::Sweep { .. } => faults::ALL,
            Suite::Full if self.says_any_text() => faults::USUAL,
            Suite::Quick | Suite::Full => &[],
        };
        let every = of_suite.iter().map(Mix::of).filter(|mix| {
            let script = self.script(0, AS_RECORDED, mix.clone());
            let has_form = script.reel(provider, 0, 0).is_ok();
            has_form && (self.asks_for_streams || !mix.needs_a_stream())
        });
        // `--cases` selects among what the suite adds, not among what was asked for by name.
        let is_added = !self.options.every_provider_fault;
        let named = named.map(|mix| (mix, false));
        let every = every.map(|mix| (mix, is_added));
        let mixes = named.chain(every).zip(0..);
        mixes
            .map(|((mix, is_added), number): ((Mix, bool), u64)| {
                (mix.seeded(self.options.seed.wrapping_add(number)), is_added)
            })
            .filter(|(mix, is_added)| match (case_name(mix), is_added) {
                (name, true) => self.plays(&name),
                (name, false) => self.is_chosen(&name),
            })
            .map(|(mix, _)| mix)
            .collect()
    }

    /// Whether an answer may be any text. One that is JSON, or of which something else is stored, has its own form.
    fn says_any_text(&self) -> bool {
        let turn = &self.session.turns[0];
        let is_json = matches!(&turn.plays, Plays::Answer(text)
            if matches!(serde_json::from_str(text), Ok(Value::Object(_) | Value::Array(_))));
        turn.expect.is_none() && !is_json
    }

    /// Plays one case up to the end of the next turn.
    async fn play_faults(
        &mut self,
        mix: Mix,
        case: &str,
        moments: &mut Moments,
    ) -> anyhow::Result<(ProviderFailed, Live)> {
        let chat = self.set_up().await?;
        let what = Sent {
            mix: mix.clone(),
            ..Sent::turn(0)
        };
        let start = |client_task| Ok(Watching::start(client_task));
        let live = self.begin_among(&chat, what, AS_RECORDED, start).await?;
        moments.at(
            live.sent,
            Lane::Client,
            format!("turn {} sent", live.number),
        );
        live.play.release();
        let patience = self.options.response_timeout;
        let over = live.watching.until(|seen| seen.over.is_some());
        let is_over = tokio::time::timeout(patience, over).await.is_ok();
        let saw = live.watching.seen();
        let _ = tokio::time::timeout(patience, live.play.until_idle()).await;
        moments.now(Lane::Gateway, mix.what());
        let said = said(&mix, &live);
        let told = self.client_told(&live, &saw, said);
        moments.now(Lane::Client, response_words(&told.end));
        let met = if is_over {
            self.fault_met(&live, &mix)
        } else {
            Err(format!(
                "the response did not end within {}",
                humantime::format_duration(patience)
            ))
        };
        let following = self.send_next(&chat, live.number - 1, moments).await?;
        let turn = (&chat, live.number - 1);
        let (next, _) = self.finish_or_again(turn, following, moments).await?;
        let seen = ProviderFailed {
            subject: self.observed().subject(),
            case: case.to_owned(),
            turn: live.number,
            what: mix.what(),
            met,
            said,
            client: told,
            stored: Err("nobody looked".to_owned()),
            came_late: false,
            next: next_turn::as_it_is(next),
        };
        Ok((seen, live))
    }

    /// Whether the server met the fault.
    pub(super) fn fault_met(&self, live: &Live, mix: &Mix) -> Result<(), String> {
        let Some(heard) = live.play.heard() else {
            let seen = live.watching.seen();
            return Err(format!(
                "{:#}",
                self.unanswered(live, &seen, "the provider was not asked")
            ));
        };
        if mix.needs_a_stream() && !heard.streams {
            return Err(
                "the server requests whole answers from its provider, not a stream".to_owned(),
            );
        }
        match live.play.provider_end() {
            ProviderEnd::NotAsked => Err("the server did not ask its provider".to_owned()),
            ProviderEnd::Open => Err("the server's request to its provider did not end".to_owned()),
            ProviderEnd::HungUp { chunks } => Err(format!(
                "the server closed its connection to the provider after {}, before that",
                plural(chunks as u64, "chunk")
            )),
            ProviderEnd::Whole => Ok(()),
        }
    }

    /// What a turn without a fault shows besides its answer.
    pub(super) fn learn_own_words(&mut self, live: &Live, shown: &str) {
        let answer = live.answer.as_deref().unwrap_or(&live.expected);
        self.own_words
            .learn(shown, answer, [&live.tag, &live.nonce]);
    }

    /// What a reader of the response knows.
    fn client_told(&self, live: &Live, saw: &ResponseProgress, said: Said) -> ClientTold {
        let answer = without_marks(&live.answer.clone().unwrap_or_default());
        let text = self.own_words.without(&saw.turn.text, &live.tag);
        let is_read = !kept::is_json_frames(&saw.turn.text);
        let characters = kept::seen(&answer, &text);
        let end = match (&saw.head, &saw.over) {
            (Some(head), _) if !(200..300).contains(&head.status) => {
                ResponseEnd::Failed(format!("status {}", head.status))
            }
            (_, Some(Err(why))) => ResponseEnd::Failed(why.clone()),
            _ => match (&saw.turn.failed, saw.turn.final_at) {
                (Some(said), _) => ResponseEnd::Failed(said.clone()),
                (None, None) => ResponseEnd::Failed("the final marker did not come".to_owned()),
                (None, Some(_)) if !is_read => ResponseEnd::Unread,
                (None, Some(_)) => match said {
                    // What was said whole may be shown in another form.
                    Said::Whole | Said::NoText => ResponseEnd::Well,
                    _ if self.reading != Reading::Text => ResponseEnd::Unread,
                    Said::BrokenOff | Said::Early | Said::Refused => {
                        match self.own_words.shows(&answer, &text) {
                            Shows::Nothing => ResponseEnd::Well,
                            Shows::Words => ResponseEnd::WithWords,
                            Shows::Unknown => ResponseEnd::Unread,
                        }
                    }
                },
            },
        };
        ClientTold {
            characters: is_read.then_some(characters),
            end,
        }
    }

    fn played(&self, case: Begun, moments: Moments, seen: ProviderFailed, live: &Live) -> Played {
        let said = live.answer.clone().unwrap_or_default();
        let is_plain = self.is_verbatim && live.expected == said;
        // The answers of all cases begin alike: nobody looks what began so before.
        let sought = Sought {
            answer: ExpectedAnswer {
                text: without_marks(&said),
                expected: without_marks(&live.expected),
                ..live.whole_answer()
            },
            ..Sought::of(live)
        };
        Played {
            case,
            moments,
            seen,
            sought,
            exact: is_plain.then_some(said),
            error_mark: super::script::error_mark(&live.nonce),
        }
    }

    async fn stored_after(&self, played: &Played) -> Result<Stored, String> {
        let stored = async {
            let found = self.look(&played.sought, &self.endings).await?;
            let mapping = self.mapping.as_ref().expect("the turn was found with it");
            let with_nonce = store::holding(self.world.db(), mapping, &played.sought.nonce).await?;
            let errors = store::holding(self.world.db(), mapping, &played.error_mark).await?;
            anyhow::Ok(self.stored_with(played, &found, &with_nonce, &errors))
        };
        stored.await.map_err(|error| format!("{error:#}"))
    }

    /// Whether the store says of a row what it says of whole answers.
    pub(super) fn looks_whole(&self, row: &StoredMessage) -> bool {
        row.state == State::Whole
            && !row.mark.is_unfinished()
            && (self.endings.is_empty() || self.endings.iter().any(|it| it.is_like(row)))
    }

    fn stored_with(
        &self,
        played: &Played,
        found: &Found,
        with_nonce: &[StoredMessage],
        errors: &[StoredMessage],
    ) -> Stored {
        let is_answer =
            |row: &&StoredMessage| row.role == Role::Assistant && row.state != State::Deleted;
        let copies: BTreeSet<_> = with_nonce
            .iter()
            .filter(is_answer)
            .map(|row| (&row.conversation, &row.key))
            .collect();
        let text: String = found
            .rows
            .iter()
            .filter(is_answer)
            .map(|row| row.content.as_str())
            .collect();
        let exact = played.exact.as_deref();
        let is_whole = found.kept == AnswerFate::Whole && copies.len() == 1;
        let looks_whole = |row: &&StoredMessage| self.looks_whole(row);
        let blank = found
            .rows
            .iter()
            .filter(is_answer)
            .filter(looks_whole)
            .find(|row| row.content.trim().is_empty() && row.tools.is_empty());
        let error = errors
            .iter()
            .filter(is_answer)
            .find(|row| self.looks_whole(row) && !row.has_failed());
        Stored {
            question: found.question,
            answer: found.kept.clone(),
            differs: exact
                .filter(|_| is_whole)
                .and_then(|said| same(said, &text).or_else(|| same_lines(said, &text))),
            copies: copies.len(),
            is_verbatim: self.is_verbatim,
            tells_whole: self.endings.iter().any(kept::Ending::tells),
            open: self.open_row(found),
            blank: blank.map(|row| row.key.clone()),
            error: error.map(|row| row.key.clone()),
            asked_twice: found.asked_twice(),
            astray: found.astray(),
        }
    }

    /// What is wrong may be only late.
    async fn look_at_wrong_ones_again(&self, played: &mut [Played], patience: Duration) {
        let is_wrong =
            |it: &&mut Played| provider_faults::judge(&it.seen).verdict == Verdict::Violated;
        let wrong: Vec<_> = played.iter_mut().filter(is_wrong).collect();
        if wrong.is_empty() {
            return;
        }
        tokio::time::sleep(patience).await;
        for played in wrong {
            let now = self.stored_after(played).await;
            if now.is_ok() && now != played.seen.stored {
                played.seen.came_late = true;
                played.seen.stored = now;
            }
        }
    }
}

/// The case's name in the report.
fn case_name(mix: &Mix) -> String {
    format!("provider-{mix}")
}

/// How much of its answer the provider said.
fn said(mix: &Mix, live: &Live) -> Said {
    match mix.ends() {
        Ends::Whole => Said::Whole,
        Ends::WithoutText(_) => Said::NoText,
        Ends::BrokenOff => Said::BrokenOff,
        Ends::Early => Said::Early,
        Ends::Refused(_) => Said::Refused,
        Ends::RefusedOnce(_) if live.play.asked() > 1 => Said::Whole,
        Ends::RefusedOnce(_) => Said::Refused,
    }
}

fn response_words(end: &ResponseEnd) -> String {
    match end {
        ResponseEnd::Well => "the response ended with the final marker".to_owned(),
        ResponseEnd::WithWords => {
            "the response ended with the final marker, and contains words that the server added"
                .to_owned()
        }
        ResponseEnd::Unread => {
            "the response ended with the final marker; its text can't be read".to_owned()
        }
        ResponseEnd::Failed(how) => format!("the response failed: {how}"),
    }
}
