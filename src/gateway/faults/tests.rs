use super::{ALL, Ends, Mix};
use crate::gateway::answer::Answer;
use crate::gateway::play::{Act, Step};
use crate::gateway::providers::{ALL as PROVIDERS, Making, Provider, named};
use crate::gateway::split;
use crate::stream::cassette::{Cassette, Chunk, Header, Stamp};
use bytes::Bytes;
use std::time::Duration;

const MARK: &str = "chatctl-e0123";

fn mix(names: &str) -> Mix {
    Mix::parse(names).unwrap().seeded(7)
}

/// The chunks of an answer with the mix's texts.
fn chunks(mix: &Mix, provider: &Provider) -> Vec<Bytes> {
    let stamp = Stamp::sample();
    let making = Making {
        model: "m",
        stamp: &stamp,
    };
    let made = provider.made(&mix.says("Good morning to you."), 4, &making);
    let cut = split(&made, "n-1").unwrap();
    let all = [cut.before, vec![cut.last], cut.after].concat();
    all.into_iter().map(|chunk| chunk.bytes.into()).collect()
}

fn steps(names: &str, provider: &Provider) -> Vec<Step> {
    let mix = mix(names);
    mix.sends(chunks(&mix, provider), provider, MARK).unwrap()
}

fn body(steps: &[Step]) -> Vec<u8> {
    let sent = steps.iter().filter_map(super::bytes);
    sent.flat_map(|bytes| bytes.to_vec()).collect()
}

/// What a reader of the provider's format takes from it.
fn said(steps: &[Step], provider: &Provider) -> String {
    let cassette = Cassette {
        header: Some(Header {
            profile: Some(provider.name.to_owned()),
        }),
        chunks: vec![Chunk {
            at: Duration::ZERO,
            bytes: body(steps),
        }],
    };
    provider.answer(&cassette).unwrap().text
}

#[test]
fn names_are_read_and_mixed() {
    assert_eq!(mix("emoji+drip+fin").to_string(), "emoji+drip+fin");
    for (text, why) in [
        (
            "emojy",
            "unknown provider fault `emojy`: did you mean `emoji`?",
        ),
        ("", "unknown provider fault ``"),
        ("drip+drip", "`drip` appears twice"),
        ("rst+fin", "`rst` and `fin` can't be combined"),
        ("emoji+http-429", "`emoji` and `http-429` can't be combined"),
        (
            "only-reasoning+drip",
            "`only-reasoning` and `drip` can't be combined",
        ),
    ] {
        assert_eq!(Mix::parse(text).unwrap_err(), why);
    }
    assert!(Mix::parse("emoji+http-429-once").is_ok());
}

/// Whatever is changed in how it is sent: a reader of the format gets the text, and its end.
#[test]
fn a_whole_answer_is_whole_for_every_provider() {
    for provider in PROVIDERS {
        for fault in ALL.iter().filter(|it| matches!(it.ends, Ends::Whole)) {
            let mix = Mix::of(fault).seeded(7);
            let Ok(steps) = mix.sends(chunks(&mix, provider), provider, MARK) else {
                // Formats whose end is no event of its own have nothing to repeat.
                assert!(
                    ["done-twice", "data-after-done"].contains(&fault.name),
                    "{fault:?}"
                );
                continue;
            };
            if fault.name == "lone-surrogate" {
                let body = String::from_utf8(body(&steps)).unwrap();
                assert!(
                    body.contains(r"\ud83d") && !body.contains('\u{f8ff}'),
                    "{body}"
                );
                continue;
            }
            let said = said(&steps, provider);
            let expected = format!("{} n-1", mix.says("Good morning to you."));
            assert!(
                said.starts_with(&expected),
                "{provider:?} {fault:?}: {said}"
            );
        }
    }
}

#[test]
fn a_broken_answer_is_a_part_that_depends_on_the_seed_only() {
    let openai = named("openai-chat").unwrap();
    for name in ["rst", "fin", "ends-early", "error-in-stream"] {
        let cut = steps(name, openai);
        let text = said(&cut, openai);
        assert!(
            "Good morning to you. n-1".starts_with(&text)
                && !text.is_empty()
                && !text.contains("n-1"),
            "{text}"
        );
        assert_eq!(body(&cut), body(&steps(name, openai)), "{name}");
        let last = &cut.last().unwrap().act;
        match name {
            "rst" => assert!(matches!(last, Act::Reset)),
            "fin" => assert!(matches!(last, Act::Close)),
            "error-in-stream" => {
                let error = String::from_utf8(body(&cut)).unwrap();
                assert!(error.contains(MARK), "{error}");
            }
            _ => assert!(matches!(last, Act::Send(_))),
        }
    }
    let cuts = (0..20).map(|seed| {
        let mix = Mix::parse("fin").unwrap().seeded(seed);
        body(&mix.sends(chunks(&mix, openai), openai, MARK).unwrap()).len()
    });
    assert!(cuts.collect::<std::collections::BTreeSet<_>>().len() > 1);
}

/// OpenAI says so with the response itself, whose id the client knows.
#[test]
fn a_response_that_fails_is_the_one_that_began() {
    let responses = named("openai-responses").unwrap();
    let sent = steps("response-failed", responses);
    let [begun, failed] = [sent.first(), sent.last()]
        .map(|step| super::streams::event(step.unwrap(), responses).unwrap());
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["sequence_number"], sent.len() - 1);
    let response = &failed["response"];
    assert_eq!(response["id"], begun["response"]["id"]);
    assert_eq!(response["status"], "failed");
    let message = response["error"]["message"].as_str().unwrap();
    assert!(message.contains(MARK), "{message}");
    let mut answer = Answer::default();
    (responses.says)(&failed, &mut answer).unwrap();
    assert!(answer.error.is_some() && (responses.is_final)(b"", Some(&failed)));
    for other in PROVIDERS.iter().filter(|it| it.name != responses.name) {
        let mix = mix("response-failed");
        assert!(
            mix.sends(chunks(&mix, other), other, MARK).is_err(),
            "{other:?}"
        );
    }
}

#[test]
fn pieces_end_inside_characters_and_events() {
    let openai = named("openai-chat").unwrap();
    let inside = |steps: &[Step]| {
        let mut pieces = steps.iter().filter_map(super::bytes);
        pieces.any(|bytes| std::str::from_utf8(bytes).is_err())
    };
    assert!(inside(&steps("split-character", openai)));
    assert!(steps("drip", openai).len() > 100);
    // What adds events comes before what cuts them.
    let both = steps("drip+empty-deltas+emoji", openai);
    assert_eq!(
        said(&both, openai),
        format!("{} n-1", mix("emoji").says("Good morning to you."))
    );
}

#[test]
fn every_row_says_what_it_is_for() {
    for fault in ALL {
        assert!(
            fault
                .name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
        assert!(
            !fault.what.is_empty() && fault.breaks.ends_with('.'),
            "{fault:?}"
        );
    }
}
