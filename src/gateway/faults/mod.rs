//! What a provider does to a server: hostile texts, odd streams, failures. Pure.
//!
//! A fault is a row of the table, and its functions are in one of the files. A [`Mix`] plays several at once.

mod failures;
mod streams;
mod texts;

use super::play::{Act, Step};
use super::providers::{NoText, Provider};
use crate::stream::marks;
use crate::text;
use bytes::Bytes;
use serde_json::Value;
use std::fmt;

/// A row of the table.
pub struct Fault {
    /// The name, as `--provider-fault` takes it.
    pub name: &'static str,
    /// What the provider does.
    pub what: &'static str,
    /// What it breaks in servers.
    pub breaks: &'static str,
    /// What the model says besides the turn's own answer.
    says: Option<fn(&mut fastrand::Rng) -> String>,
    /// Sends the answer in another way; nothing where the provider's format has no such way.
    sends: Option<Sends>,
    /// How the answer ends.
    pub ends: Ends,
}

type Sends = fn(Vec<Step>, &Scene<'_>, &mut fastrand::Rng) -> Option<Vec<Step>>;

/// Where a fault is played.
struct Scene<'a> {
    provider: &'a Provider,
    /// Is in the text of the provider's error and nowhere else.
    mark: &'a str,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How an answer ends.
#[derive(Debug, Clone, Copy)]
pub enum Ends {
    /// With all of its text, and its end.
    Whole,
    /// In order, and it has no text; the next request gets the text.
    WithoutText(NoText),
    /// In the middle, with an error that every client library reports.
    BrokenOff,
    /// In the middle, as if that were its end.
    Early,
    /// It does not begin: each request is refused.
    Refused(Refusal),
    /// The first request is refused, and the next one answered.
    RefusedOnce(Refusal),
}

/// What is answered in place of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    pub status: u16,
    /// More headers.
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Refused,
}

/// The body of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The provider's error, with this message.
    Error(&'static str),
    /// The whole answer, where a stream was asked for.
    WholeAnswer,
}

/// A fault that changes nothing, for the fields that a row does not have.
const NOTHING: Fault = Fault {
    name: "",
    what: "",
    breaks: "",
    says: None,
    sends: None,
    ends: Ends::Whole,
};

/// Every fault.
pub static ALL: &[Fault] = &[
    texts::NUL,
    texts::LONE_SURROGATE,
    texts::EMOJI,
    texts::RTL,
    texts::CRLF,
    texts::MARKUP,
    texts::DECOMPOSED,
    texts::CODE,
    texts::LONG_TEXT,
    texts::MEGABYTE,
    streams::EMPTY_DELTAS,
    streams::ONLY_REASONING,
    streams::ONLY_TOOL_CALL,
    streams::DRIP,
    streams::SPLIT_CHARACTER,
    streams::STALL,
    streams::DONE_TWICE,
    streams::DATA_AFTER_DONE,
    failures::ERROR_IN_STREAM,
    failures::RESPONSE_FAILED,
    failures::RST,
    failures::FIN,
    failures::ENDS_EARLY,
    failures::HTTP_429,
    failures::HTTP_429_ONCE,
    failures::HTTP_503,
    failures::ERROR_WITH_200,
    failures::JSON_WITH_200,
];

/// What the suite `full` plays of them: every server meets answers of this length.
pub static USUAL: &[Fault] = &[texts::LONG_TEXT];

pub fn named(name: &str) -> Option<&'static Fault> {
    ALL.iter().find(|fault| fault.name == name)
}

/// Faults that are played at once.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    faults: Vec<&'static Fault>,
    seed: u64,
}

impl Mix {
    /// Nothing is changed.
    pub const NONE: Self = Self {
        faults: Vec::new(),
        seed: 0,
    };

    /// Reads names that are joined by `+`.
    ///
    /// # Errors
    /// A sentence on a name that is unknown, or on faults that exclude each other.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults: Vec<&'static Fault> = Vec::new();
        for name in text.split('+').map(str::trim) {
            let fault = named(name).ok_or_else(|| {
                let near = text::nearest(name, ALL.iter().map(|fault| fault.name));
                let near = near.map(|near| format!(": did you mean `{near}`?"));
                format!(
                    "unknown provider fault `{name}`{}",
                    near.unwrap_or_default()
                )
            })?;
            if faults.iter().any(|other| other.name == name) {
                return Err(format!("`{name}` appears twice"));
            }
            if let Some(other) = faults.iter().find(|other| other.excludes(fault)) {
                return Err(format!("`{}` and `{name}` can't be combined", other.name));
            }
            faults.push(fault);
        }
        Ok(Self { faults, seed: 0 })
    }

    /// A fault alone.
    pub fn of(fault: &'static Fault) -> Self {
        Self {
            faults: vec![fault],
            seed: 0,
        }
    }

    /// The same, with these choices.
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// What the provider does.
    pub fn what(&self) -> String {
        let whats: Vec<_> = self.faults.iter().map(|fault| fault.what).collect();
        whats.join("; ")
    }

    /// How the answer ends.
    pub fn ends(&self) -> Ends {
        let mut ends = self.faults.iter().map(|fault| fault.ends);
        ends.find(|ends| !matches!(ends, Ends::Whole))
            .unwrap_or(Ends::Whole)
    }

    /// Whether it needs a request that asks for a stream.
    pub fn needs_a_stream(&self) -> bool {
        let sends = self.faults.iter().any(|fault| fault.sends.is_some());
        sends
            || matches!(
                self.ends(),
                Ends::Refused(Refusal {
                    body: Refused::WholeAnswer,
                    ..
                })
            )
    }

    /// What the model says in place of `answer`.
    pub fn says(&self, answer: &str) -> String {
        let mut rng = self.rng();
        let more = self.faults.iter().filter_map(|fault| fault.says);
        let texts = more.map(|says| says(&mut rng));
        [answer.to_owned()]
            .into_iter()
            .chain(texts)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// How the answer's chunks are sent.
    ///
    /// # Errors
    /// A sentence when the provider's format has no such way.
    pub fn sends(
        &self,
        chunks: Vec<Bytes>,
        provider: &Provider,
        mark: &str,
    ) -> Result<Vec<Step>, String> {
        let scene = Scene { provider, mark };
        let mut rng = self.rng();
        let mut steps: Vec<Step> = chunks.into_iter().map(with_surrogates).collect();
        // How a chunk is cut comes last: what adds to the answer reads whole events.
        let (cuts, adds): (Vec<_>, Vec<_>) = self
            .faults
            .iter()
            .filter_map(|fault| Some((*fault, fault.sends?)))
            .partition(|(fault, _)| streams::cuts(fault));
        for (fault, sends) in adds.into_iter().chain(cuts) {
            steps = sends(steps, &scene, &mut rng)
                .ok_or_else(|| format!("{} does not support `{}`", provider.what, fault.name))?;
        }
        Ok(steps)
    }

    fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.faults.iter().map(|fault| fault.name).collect();
        f.write_str(&names.join("+"))
    }
}

impl Fault {
    /// Whether two faults can't be played at once: an answer has one end, and one that is refused or has no
    /// text is not sent in any way.
    fn excludes(&self, other: &Self) -> bool {
        let has_no_text =
            |fault: &Self| matches!(fault.ends, Ends::Refused(_) | Ends::WithoutText(_));
        match (self.ends, other.ends) {
            (Ends::Whole, Ends::Whole) => false,
            (Ends::Whole, _) => has_no_text(other),
            (_, Ends::Whole) => has_no_text(self),
            _ => true,
        }
    }
}

/// What a provider says of an error, with the mark by which it is found in the store.
fn error_text(message: &str, mark: &str) -> String {
    format!("{message} (request {mark})")
}

impl Refusal {
    /// The body, where `whole` is the answer to a request that does not stream.
    pub fn answer(&self, provider: &Provider, mark: &str, whole: &Value) -> Value {
        match self.body {
            Refused::Error(message) => (provider.error)(&error_text(message, mark)),
            Refused::WholeAnswer => whole.clone(),
        }
    }
}

/// A chunk in which the place of half a surrogate pair is one.
fn with_surrogates(chunk: Bytes) -> Step {
    let mut hole = [0; 4];
    let hole = marks::HALF_PAIR.encode_utf8(&mut hole).as_bytes();
    if memchr::memmem::find(&chunk, hole).is_none() {
        return Step::send(chunk);
    }
    let mut bytes = Vec::with_capacity(chunk.len());
    let mut rest = &chunk[..];
    while let Some(at) = memchr::memmem::find(rest, hole) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(br"\ud83d");
        rest = &rest[at + hole.len()..];
    }
    bytes.extend_from_slice(rest);
    Step::send(bytes)
}

fn bytes(step: &Step) -> Option<&Bytes> {
    match &step.act {
        Act::Send(bytes) => Some(bytes),
        Act::Close | Act::Reset => None,
    }
}

#[cfg(test)]
mod tests;
