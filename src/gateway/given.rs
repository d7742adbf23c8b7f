//! The answer to a question, however it was sent.

use super::answer::Answer;
use super::matching::{Asked, Known};
use super::providers::{EXTRA_ANSWER, Form, MODEL, Making, Previous, Provider};
use super::{Play, Reel, Reply, State, matching};
use crate::model::{Call, ProviderCall};
use crate::stream::cassette::Stamp;
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl State {
    pub(super) fn record(&self, line: String, call: Call, known: Known) {
        self.keep(ProviderCall {
            line,
            call,
            messages: known.messages,
            marks: known.marks,
            refused: None,
        });
    }

    /// Records a request that gets no answer; gives the error as the provider's clients expect it.
    pub(super) fn refuse(&self, provider: &Provider, line: String, why: String) -> Value {
        let error = (provider.error)(&format!("chatctl gateway: {why}"));
        self.keep(ProviderCall {
            line,
            call: Call::Refused,
            messages: 0,
            marks: BTreeSet::new(),
            refused: Some(why),
        });
        error
    }
}

/// A request that gets no answer, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }
}

/// What a question is given.
pub(super) enum Given {
    /// A short answer next to the turn.
    Extra(Extra),
    /// A response that is no answer of the model.
    InPlace(Reply),
    /// An answer, piece by piece.
    Streamed(Arc<Play>, Reel),
    /// An answer as a whole.
    Whole(Arc<Play>, Reel),
}

/// A short answer next to the turn.
pub(super) struct Extra {
    pub(super) streams: bool,
    wants_all: bool,
    form: Option<Form>,
}

impl Extra {
    /// It is short, and tells where it came from; or it is the least one of the form that was demanded.
    fn answer(&self, stamp: &Stamp) -> Answer {
        match &self.form {
            Some(form) => form.answer(stamp),
            None => Answer {
                text: EXTRA_ANSWER.to_owned(),
                ..Answer::default()
            },
        }
    }

    pub(super) fn stream(&self, provider: &Provider) -> Vec<u8> {
        let stamp = super::stamp("");
        provider.streamed(&self.answer(&stamp), self.wants_all, &making(&stamp))
    }

    pub(super) fn whole(&self, provider: &Provider) -> Value {
        let stamp = super::stamp("");
        (provider.whole)(&self.answer(&stamp), &making(&stamp))
    }
}

/// What a question is given: its path with the query, and its body.
pub(super) async fn given(
    state: &State,
    provider: &'static Provider,
    line: &str,
    (path, body): (&str, &Value),
) -> Result<Given, Refusal> {
    let bad = |why| Refusal::new(StatusCode::BAD_REQUEST, why);
    let mut question = (provider.ask)(path, body).map_err(bad)?;
    question.resolve(|id| state.named(id));
    let before = match &question.previous {
        None => Known::default(),
        Some(previous) => {
            let id = previous.id();
            let unknown = || format!("it continues `{id}`, which was not answered here");
            state.remembered(id).ok_or_else(|| bad(unknown()))?
        }
    };
    let mut asked = matching::asked(&question, before);
    let playing = state.playing.lock().expect("no holder panics").clone();
    if playing.is_empty() {
        let why = "no turn is in progress, so no cassette answers it";
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    }
    let users: Vec<_> = playing.iter().map(|play| play.user.as_str()).collect();
    let chosen = matching::chosen(&asked, &users).map(|index| Arc::clone(&playing[index]));
    let own = *state.own.lock().expect("no holder panics");
    let called = chosen.map(|play| {
        // Who demands a form that the turn's answer does not have asks for something else.
        let form = question.form.as_ref();
        asked.is_of_form = form.is_some_and(|form| !play.has_form(form));
        let own = own.of_turn(play.may_be_whole());
        let call = matching::call(&asked, &play.user, play.is_taken(), own);
        play.is_asked(call, &asked);
        (call, play)
    });
    let Some((mut call, play)) = called.filter(|(call, _)| *call != Call::Extra) else {
        state.record(line.to_owned(), Call::Extra, asked.known);
        state.aside.pass().await;
        return Ok(Given::Extra(Extra {
            streams: asked.stream,
            wants_all: question.wants_all,
            form: question.form,
        }));
    };
    // Two requests may come at once; only one takes the turn.
    let step = if call == Call::Main {
        play.take()
    } else {
        None
    };
    if step.is_none() {
        call = Call::Retry;
    }
    let mut reel = play.reel(provider, step).map_err(bad)?;
    if !question.wants_all {
        reel.leave_out_what_is_on_request(provider);
    }
    if let Some(keeps) = &provider.keeps {
        let mut known = asked.known.clone();
        known.hears(reel.said.as_deref().unwrap_or_default());
        if let Some(Previous::Conversation(id)) = &question.previous {
            state.remember(id.clone(), known.clone());
            state.keep_turn(id, &body["input"], reel.said.as_deref().unwrap_or_default());
        }
        state.remember((keeps.id)(&reel.stamp), known);
        state.keep_items(reel.items(provider, keeps, asked.stream));
    }
    if call == Call::Main {
        play.hear(provider, &question);
    }
    let Asked { stream, known, .. } = asked;
    state.record(line.to_owned(), call, known);
    if let Some(reply) = reel.reply.take().filter(|reply| stream || reply.is_for_all) {
        drop(Serving::begin(&play, 0, &reel));
        return Ok(Given::InPlace(reply));
    }
    Ok(if stream {
        Given::Streamed(play, reel)
    } else {
        Given::Whole(play, reel)
    })
}

/// An answer being served. A server that has heard enough hangs up: then that is the end.
pub(super) struct Serving {
    pub(super) play: Arc<Play>,
    /// After how many steps it is over.
    enough: usize,
    pub(super) sent: usize,
    /// How many chunks the turn's earlier answers have.
    earlier: usize,
    is_last: bool,
}

impl Serving {
    pub(super) fn begin(play: &Arc<Play>, enough: usize, reel: &Reel) -> Self {
        play.begin(reel.is_last);
        Self {
            play: Arc::clone(play),
            enough,
            sent: 0,
            earlier: reel.earlier,
            is_last: reel.is_last,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let left_after = (self.sent < self.enough).then_some(self.earlier + self.sent);
        self.play.over(left_after, self.is_last);
    }
}

/// With what an answer is made.
pub(super) fn making(stamp: &Stamp) -> Making<'_> {
    Making {
        model: MODEL,
        stamp,
    }
}
