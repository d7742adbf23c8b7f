//! Reads the text of a cassette.

use super::answer::{Answer, ProviderError};
use super::providers::Provider;
use crate::stream::cassette::Cassette;
use serde_json::Value;
use std::ops::Range;

/// The JSON of a block.
pub(super) struct Event {
    pub(super) block: Range<usize>,
    pub(super) json: Value,
}

impl Provider {
    /// What a cassette of this provider says. Whatever follows the final marker is not read, as no
    /// client reads it.
    pub fn answer(&self, cassette: &Cassette) -> Result<Answer, ProviderError> {
        let (events, done) = self.events(cassette)?;
        if events.is_empty() && !done {
            return Err(ProviderError::new("it has no `data:` line"));
        }
        let mut answer = Answer {
            done,
            ..Answer::default()
        };
        for Event { json, .. } in &events {
            (self.says)(json, &mut answer)?;
        }
        Ok(answer)
    }

    /// The events up to the final marker, and whether it came.
    pub(super) fn events(&self, cassette: &Cassette) -> Result<(Vec<Event>, bool), ProviderError> {
        let mut events = Vec::new();
        for block in self.framing.blocks(&cassette.body()) {
            let Some(data) = block.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            let parsed = serde_json::from_slice::<Value>(&data);
            let done = (self.is_final)(&data, parsed.as_ref().ok());
            match parsed {
                Ok(json) if json.is_object() => events.push(Event {
                    block: block.range,
                    json,
                }),
                // A marker may be any text.
                _ if done => {}
                Ok(_) => {}
                Err(reason) => {
                    let shown: String = String::from_utf8_lossy(&data).chars().take(60).collect();
                    return Err(ProviderError::new(format!(
                        "`data: {shown}` is not JSON: {reason}"
                    )));
                }
            }
            if done {
                return Ok((events, true));
            }
        }
        Ok((events, false))
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Cassette, ProviderError};
    use crate::gateway::providers;

    fn answer(body: &str) -> Result<Answer, ProviderError> {
        let cassette = Cassette::parse("x.sse", body.as_bytes()).unwrap();
        providers::of(&cassette).unwrap().answer(&cassette)
    }

    #[test]
    fn nothing_is_read_after_done() {
        let content = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let answer = answer(&format!("{content}data: [DONE]\n\n{content}"));
        assert_eq!(answer.unwrap().text, "a");
    }

    #[test]
    fn an_error_in_the_stream_is_kept() {
        let answer = answer("data: {\"error\":{\"code\":500}}\n\n").unwrap();
        assert_eq!(answer.error.unwrap()["code"], 500);
    }

    #[test]
    fn what_is_no_answer_is_reported() {
        for (body, message) in [
            (": only a comment\n\n", "it has no `data:` line"),
            (
                "data: Hello\n\n",
                "`data: Hello` is not JSON: expected value at line 1 column 1",
            ),
        ] {
            assert_eq!(answer(body).unwrap_err().message, message);
        }
    }
}
