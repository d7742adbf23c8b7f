//! Answers that break off, or never begin.

use super::streams::{event, middle};
use super::{Ends, Fault, NOTHING, Refusal, Refused, Scene, error_text};
use crate::gateway::play::{Act, Step};

pub(super) const ERROR_IN_STREAM: Fault = Fault {
    name: "error-in-stream",
    what: "an error comes in the middle of the answer, in place of the rest",
    breaks: "The part is stored as the whole answer, the text of the error is stored as the answer, or \
             a placeholder stays empty.",
    sends: Some(|steps, scene, rng| {
        let mut steps = up_to_the_middle(steps, scene, rng)?;
        let error = error_text("The server had an error while it answered", scene.mark);
        steps.push(Step::send(scene.provider.error_after(steps.len(), &error)));
        Some(steps)
    }),
    ends: Ends::BrokenOff,
    ..NOTHING
};

pub(super) const RESPONSE_FAILED: Fault = Fault {
    name: "response-failed",
    what: "the event `response.failed` comes in the middle of the answer, in place of the rest",
    breaks: "Client libraries pass it on like any other event, so a server that reads only the pieces of text stores the \
             part as the whole answer.",
    sends: Some(|steps, scene, rng| {
        let begun = event(steps.first()?, scene.provider)?;
        let mut steps = up_to_the_middle(steps, scene, rng)?;
        let error = error_text("The model had an error while it answered", scene.mark);
        let failed = scene.provider.failed_after(&begun, steps.len(), &error)?;
        steps.push(Step::send(failed));
        Some(steps)
    }),
    ends: Ends::BrokenOff,
    ..NOTHING
};

pub(super) const RST: Fault = Fault {
    name: "rst",
    what: "the provider resets the connection in the middle of its answer",
    breaks: "As with every broken-off answer: the part is stored as the whole, or the user sees no error.",
    sends: Some(|steps, scene, rng| broken(steps, scene, rng, Act::Reset)),
    ends: Ends::BrokenOff,
    ..NOTHING
};

pub(super) const FIN: Fault = Fault {
    name: "fin",
    what: "the provider closes the connection in the middle of its answer, without the end of the body",
    breaks: "As with every broken-off answer: the part is stored as the whole, or the user sees no error.",
    sends: Some(|steps, scene, rng| broken(steps, scene, rng, Act::Close)),
    ends: Ends::BrokenOff,
    ..NOTHING
};

pub(super) const ENDS_EARLY: Fault = Fault {
    name: "ends-early",
    what: "the body ends normally in the middle of the answer, without a finish reason or a final marker",
    breaks: "Client libraries treat that as the end, so the part is stored as the whole answer, unless \
             the server looks for the finish reason.",
    sends: Some(up_to_the_middle),
    ends: Ends::Early,
    ..NOTHING
};

pub(super) const HTTP_429: Fault = Fault {
    name: "http-429",
    what: "each request is answered with 429 and Retry-After",
    breaks: "The text of the error is stored as the answer, or the user sees an empty one.",
    ends: Ends::Refused(TOO_MANY),
    ..NOTHING
};

pub(super) const HTTP_429_ONCE: Fault = Fault {
    name: "http-429-once",
    what: "the first request is answered with 429 and Retry-After, and the next one completely",
    breaks: "A server that retries the whole turn stores the question or the answer twice.",
    ends: Ends::RefusedOnce(TOO_MANY),
    ..NOTHING
};

/// Short, so that a server that waits for it is not waited for.
const TOO_MANY: Refusal = Refusal {
    status: 429,
    headers: &[("retry-after", "1"), ("retry-after-ms", "20")],
    body: Refused::Error("Rate limit reached for requests"),
};

pub(super) const HTTP_503: Fault = Fault {
    name: "http-503",
    what: "each request is answered with 503 and Retry-After",
    breaks: "The text of the error is stored as the answer, or the user sees an empty one.",
    ends: Ends::Refused(Refusal {
        status: 503,
        headers: &[("retry-after", "1"), ("retry-after-ms", "20")],
        body: Refused::Error("The server is overloaded"),
    }),
    ..NOTHING
};

pub(super) const ERROR_WITH_200: Fault = Fault {
    name: "error-with-200",
    what: "the request is answered with 200 and an error in JSON",
    breaks: "A client library finds no event in it and reports nothing: the user sees an empty answer, \
             and it is stored.",
    ends: Ends::Refused(Refusal {
        status: 200,
        headers: &[],
        body: Refused::Error("The upstream provider is not available"),
    }),
    ..NOTHING
};

pub(super) const JSON_WITH_200: Fault = Fault {
    name: "json-with-200",
    what: "the whole answer comes as JSON, although a stream was requested",
    breaks: "A client library finds no event in it and reports nothing: the user sees an empty answer, \
             and it is stored.",
    ends: Ends::Refused(Refusal {
        status: 200,
        headers: &[],
        body: Refused::WholeAnswer,
    }),
    ..NOTHING
};

fn up_to_the_middle(
    mut steps: Vec<Step>,
    scene: &Scene<'_>,
    rng: &mut fastrand::Rng,
) -> Option<Vec<Step>> {
    let at = middle(&steps, scene.provider, rng)?;
    steps.truncate(at);
    Some(steps)
}

fn broken(
    steps: Vec<Step>,
    scene: &Scene<'_>,
    rng: &mut fastrand::Rng,
    act: Act,
) -> Option<Vec<Step>> {
    let mut steps = up_to_the_middle(steps, scene, rng)?;
    steps.push(Step::act(act));
    Some(steps)
}
