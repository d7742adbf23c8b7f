//! The provider's answers in one turn, with new ids for each request.

use super::pieces::{Last, Pieces};
use crate::gateway;
use crate::gateway::faults::{Ends, Mix, Refused};
use crate::gateway::providers::{Making, Provider};
use crate::gateway::{Act, Answer, ProviderError, Reel, Reply, Step, providers};
use crate::stream::cassette::Cassette;
use crate::stream::faults::{Cut, GatewayFault, Withholds};
use crate::stream::session::{Plays, Turn};
use crate::stream::{marks, session};
use bytes::Bytes;
use serde_json::Value;
use std::path::Path;

/// An answer without a cassette is cut into so many chunks.
const DEFAULT_PIECES: usize = 4;
/// A long one is cut into chunks of so many bytes, as long as they are not many.
const LONG_PIECE: usize = 1 << 10;
const MANY_PIECES: usize = 32;
/// One with that many is cut into chunks of so many bytes.
const LONGEST_PIECE: usize = 32 << 10;
/// What is said where the turn's own answer has no text, or none that is read.
const WITHOUT_ONE: &str = "I have done that. Is there anything else that I can do for you?";
/// The model in answers without a cassette.
const MODEL: &str = "chatctl";

/// What the provider answers in one turn.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) turn: Turn,
    /// How the answer is cut into chunks; as recorded when absent.
    pub(super) pieces: Option<Pieces>,
    pub(super) fault: &'static GatewayFault,
    /// What else the provider does; then the answer is made, whatever is recorded.
    pub(super) mix: Mix,
    pub(super) nonce: String,
}

impl Script {
    /// The provider that a cassette is of, where it says; else the most usual one that can do what
    /// is asked of it.
    pub(super) fn provider(&self) -> &'static Provider {
        let own = match &self.turn.plays {
            Plays::Cassette { cassette, .. } if self.mix.is_empty() => providers::of(cassette),
            Plays::Cassette { .. } | Plays::Answer(_) => None,
        };
        let can = |it: &&'static Provider| self.mix.is_empty() || self.odd_reel(it, 0).is_ok();
        own.or_else(|| providers::ALL.iter().find(can))
            .unwrap_or(&providers::ALL[0])
    }

    /// One of the turn's answers, as the provider that is asked gives it to the request after so many others.
    pub(super) fn reel(
        &self,
        asked: &'static Provider,
        step: usize,
        before: usize,
    ) -> Result<Reel, ProviderError> {
        match self.turn.steps.get(step) {
            Some(recorded) => self.step(asked, recorded, self.earlier(step)),
            None if self.mix.is_empty() => Ok(self.cut(asked)?.0),
            None => self.odd_reel(asked, before),
        }
    }

    /// How many chunks come before a step of the turn.
    fn earlier(&self, step: usize) -> usize {
        let steps = self.turn.steps.iter().take(step);
        steps.map(|recorded| recorded.cassette.chunks.len()).sum()
    }

    /// An answer that lets the server run tools, as it was recorded.
    fn step(
        &self,
        asked: &'static Provider,
        recorded: &session::Step,
        earlier: usize,
    ) -> Result<Reel, ProviderError> {
        let stamp = gateway::stamp(&self.nonce);
        let own = asked_of(asked, &recorded.cassette, &recorded.path)?;
        let stamped = own.stamped(&recorded.cassette, &stamp);
        let answer = own.answer(&stamped)?;
        let making = Making {
            model: MODEL,
            stamp: &stamp,
        };
        let whole = (asked.whole)(&answer, &making);
        let (before, held) = match self.fault.withholds {
            Withholds::End => (stamped.chunks, Vec::new()),
            Withholds::All => (Vec::new(), stamped.chunks),
        };
        Ok(Reel {
            said: Some(answer.text),
            earlier,
            is_last: false,
            ..Reel::new(&before, &held, &whole, stamp)
        })
    }

    /// The same, and how it is cut into chunks.
    pub(super) fn cut(&self, asked: &'static Provider) -> Result<(Reel, Cut), ProviderError> {
        let stamp = gateway::stamp(&self.nonce);
        let making = Making {
            model: MODEL,
            stamp: &stamp,
        };
        let cassette = match &self.turn.plays {
            Plays::Answer(text) => {
                let pieces = self.pieces.map_or(DEFAULT_PIECES, Pieces::marked);
                asked.made(text, pieces, &making)
            }
            Plays::Cassette { cassette, path, .. } => match providers::of(cassette) {
                None => cassette.stamped(&stamp, None),
                Some(_) => {
                    let own = asked_of(asked, cassette, path)?;
                    let stamped = own.stamped(cassette, &stamp);
                    match self.pieces {
                        Some(pieces) => own.recut(&stamped, pieces.marked(), &self.nonce)?,
                        None => stamped,
                    }
                }
            },
        };
        let mut cut = gateway::split(&cassette, &self.nonce)?;
        let mut answer = match providers::of(&cassette) {
            Some(own) => {
                if let Some(pieces) = self.pieces.filter(|it| it.last == Last::Short) {
                    let Some(short) = own.ending_short(&cut.last.bytes) else {
                        // As many chunks all the same: no two trials in a row may have the same number.
                        let whole = Self {
                            pieces: Some(pieces.ending_marked()),
                            ..self.clone()
                        };
                        return whole.cut(asked);
                    };
                    cut.last.bytes = short;
                }
                own.answer(&cassette)?
            }
            None => Answer::default(),
        };
        answer.text = cut.answer.clone().unwrap_or_default();
        let is_final = |bytes: &[u8]| asked.is_only_final(bytes);
        let after = (self.fault.apply)(cut.after, &is_final);
        let finals = after.iter().rev().take_while(|it| is_final(&it.bytes));
        let earlier = self.earlier(self.turn.steps.len());
        let last_calls = self.turn.steps.last();
        let shape = Cut {
            calls: earlier,
            last_calls: last_calls.map_or(0, |step| step.cassette.chunks.len()),
            before: earlier + cut.before.len(),
            finals: finals.count(),
            after: after.len(),
        };
        let end = [vec![cut.last], after].concat();
        let (before, held) = match self.fault.withholds {
            Withholds::End => (cut.before, end),
            Withholds::All => (Vec::new(), [cut.before, end].concat()),
        };
        let whole = (asked.whole)(&answer, &making);
        let reel = Reel {
            said: cut.answer,
            earlier,
            ..Reel::new(&before, &held, &whole, stamp)
        };
        Ok((reel, shape))
    }

    /// One answer of a provider with faults. All of it waits for the release.
    fn odd_reel(&self, asked: &'static Provider, before: usize) -> Result<Reel, ProviderError> {
        let stamp = gateway::stamp(&self.nonce);
        let making = Making {
            model: MODEL,
            stamp: &stamp,
        };
        let text = self.mix.says(self.text());
        let pieces = (text.len() / LONG_PIECE).clamp(DEFAULT_PIECES, MANY_PIECES);
        let pieces = pieces.max(text.len() / LONGEST_PIECE);
        let cut = gateway::split(&asked.made(&text, pieces, &making), &self.nonce)?;
        let mut answer = Answer {
            text: cut.answer.unwrap_or_default(),
            ..Answer::default()
        };
        let mark = error_mark(&self.nonce);
        let whole = (asked.whole)(&answer, &making);
        let mut chunks: Vec<Bytes> = [cut.before, vec![cut.last], cut.after]
            .concat()
            .into_iter()
            .map(|chunk| Bytes::from(chunk.bytes))
            .collect();
        let refusal = match self.mix.ends() {
            Ends::Refused(refusal) => Some(refusal),
            Ends::RefusedOnce(refusal) if before == 0 => Some(refusal),
            Ends::WithoutText(what) if before == 0 => {
                let blocks = asked.without_text.map(|without| without(what, &making));
                let blocks = blocks.ok_or_else(|| ProviderError {
                    message: format!("{} does not support `{}`", asked.what, self.mix),
                })?;
                chunks = blocks.into_iter().map(Bytes::from).collect();
                answer.text.clear();
                None
            }
            Ends::RefusedOnce(_)
            | Ends::WithoutText(_)
            | Ends::Whole
            | Ends::BrokenOff
            | Ends::Early => None,
        };
        let held = self.mix.sends(chunks, asked, &mark);
        let held = held.map_err(|message| ProviderError { message })?;
        let is_final =
            |step: &Step| matches!(&step.act, Act::Send(bytes) if asked.is_only_final(bytes));
        let first_final = held.iter().position(is_final);
        Ok(Reel {
            before: Vec::new(),
            enough: first_final.map_or(held.len(), |at| at + 1),
            held,
            reply: refusal.map(|refusal| Reply {
                status: refusal.status,
                headers: refusal.headers,
                body: json(&refusal.answer(asked, &mark, &whole)),
                is_for_all: refusal.body != Refused::WholeAnswer,
            }),
            whole: json(&whole),
            said: Some(answer.text),
            stamp,
            earlier: 0,
            is_last: true,
        })
    }

    /// The turn's own answer.
    pub(super) fn text(&self) -> &str {
        let own = self.turn.answer().unwrap_or_default().trim();
        if own.is_empty() { WITHOUT_ONE } else { own }
    }
}

/// The provider of a cassette, which has to be the one that is asked.
fn asked_of(
    asked: &'static Provider,
    cassette: &Cassette,
    path: &Path,
) -> Result<&'static Provider, ProviderError> {
    match providers::of(cassette) {
        Some(own) if own.name == asked.name => Ok(own),
        own => {
            let holds = own.map_or("a format that is not read", |own| own.what);
            let message = format!(
                "it asks for {}, but the cassette `{}` holds {holds}",
                asked.what,
                path.display(),
            );
            Err(ProviderError { message })
        }
    }
}

/// Is in the text of the provider's error and nowhere else.
pub(super) fn error_mark(nonce: &str) -> String {
    nonce.replacen(marks::ANSWER, marks::ERROR, 1)
}

/// A JSON text; half a surrogate pair is an escape in it.
fn json(value: &Value) -> Bytes {
    let text = value.to_string();
    text.replace(marks::HALF_PAIR, r"\ud83d").into()
}
