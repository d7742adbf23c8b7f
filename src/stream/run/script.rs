//! What the provider says in one turn, made from the session's cassettes and texts.

use crate::gateway;
use crate::gateway::providers::{Making, Provider};
use crate::gateway::{Answer, ProviderError, Reel, providers};
use crate::stream::cassette::{Cassette, Chunk};
use crate::stream::faults::{Cut, GatewayFault, Withholds};
use crate::stream::session::{Plays, Step, Turn};
use bytes::Bytes;
use std::path::Path;

/// An answer without a cassette is cut into so many chunks.
const DEFAULT_PIECES: usize = 4;
/// The model in answers without a cassette.
const MODEL: &str = "chatctl";

/// What the provider answers in one turn, to be told with new ids to each request.
pub(super) struct Script {
    pub(super) turn: Turn,
    pub(super) pieces: Option<usize>,
    pub(super) fault: &'static GatewayFault,
    pub(super) nonce: String,
}

impl Script {
    /// The provider that a cassette is of, where it says; else the most usual one.
    pub(super) fn provider(&self) -> &'static Provider {
        let own = match &self.turn.plays {
            Plays::Cassette { cassette, .. } => providers::of(cassette),
            Plays::Answer(_) => None,
        };
        own.unwrap_or(&providers::ALL[0])
    }

    /// One of the turn's answers, as the provider that is asked gives it.
    pub(super) fn reel(
        &self,
        asked: &'static Provider,
        step: usize,
    ) -> Result<Reel, ProviderError> {
        match self.turn.steps.get(step) {
            Some(recorded) => self.step(asked, recorded, self.earlier(step)),
            None => Ok(self.cut(asked)?.0),
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
        recorded: &Step,
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
        let all = chunks(&stamped.chunks);
        let (before, held) = match self.fault.withholds {
            Withholds::End => (all, Vec::new()),
            Withholds::All => (Vec::new(), all),
        };
        Ok(Reel {
            before,
            held,
            whole: (asked.whole)(&answer, &making),
            said: Some(answer.text),
            stamp,
            earlier,
            is_last: false,
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
            Plays::Answer(text) => asked.made(text, self.pieces.unwrap_or(DEFAULT_PIECES), &making),
            Plays::Cassette { cassette, path, .. } => match providers::of(cassette) {
                None => cassette.stamped(&stamp, None),
                Some(_) => {
                    let own = asked_of(asked, cassette, path)?;
                    let stamped = own.stamped(cassette, &stamp);
                    match (&own.recut, self.pieces) {
                        (Some(how), Some(pieces)) => {
                            own.recut(how, &stamped, pieces, &self.nonce)?
                        }
                        (_, None) | (None, _) => stamped,
                    }
                }
            },
        };
        let cut = gateway::split(&cassette, &self.nonce)?;
        let mut answer = match providers::of(&cassette) {
            Some(own) => own.answer(&cassette)?,
            None => Answer::default(),
        };
        answer.text = cut.answer.clone().unwrap_or_default();
        let is_final = |bytes: &[u8]| asked.is_only_final(bytes);
        let after = (self.fault.apply)(cut.after, &is_final);
        let finals = after.iter().rev().take_while(|it| is_final(&it.bytes));
        let earlier = self.earlier(self.turn.steps.len());
        let shape = Cut {
            before: earlier + cut.before.len(),
            finals: finals.count(),
            after: after.len(),
        };
        let end = [vec![cut.last], after].concat();
        let (before, held) = match self.fault.withholds {
            Withholds::End => (cut.before, end),
            Withholds::All => (Vec::new(), [cut.before, end].concat()),
        };
        let reel = Reel {
            before: chunks(&before),
            held: chunks(&held),
            whole: (asked.whole)(&answer, &making),
            said: cut.answer,
            stamp,
            earlier,
            is_last: true,
        };
        Ok((reel, shape))
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
                "it asks for {}, and the cassette `{}` holds {holds}",
                asked.what,
                path.display(),
            );
            Err(ProviderError { message })
        }
    }
}

fn chunks(chunks: &[Chunk]) -> Vec<Bytes> {
    chunks
        .iter()
        .map(|chunk| Bytes::copy_from_slice(&chunk.bytes))
        .collect()
}
