//! Which profile a response is in, by what the provider is known to have said. Pure.

use super::body::Body;
use super::marker::FinalMarker;
use super::profiles::{self, Profile};
use super::turn::{Fault, Turn};
use std::time::Duration;

/// The profile under which a response says the answer and little else; none where no profile reads
/// the answer's end, the nonce, in it.
pub fn detect(body: &[u8], answer: &str, nonce: &str) -> Option<&'static Profile> {
    let fit = |profile: &'static Profile| {
        let turn = read(profile, body)?;
        let is_broken = turn
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::Broken(_)));
        if is_broken || !turn.text.contains(nonce) {
            return None;
        }
        let more = turn.text.trim().len().abs_diff(answer.trim().len());
        let ends = turn.final_at.is_some() && profile.marker() != FinalMarker::End;
        // Half as much again is a server that adds words of its own; more is text that is none.
        (more <= answer.len() / 2).then_some(((more, !ends), profile))
    };
    let fits = profiles::ALL.iter().filter_map(fit);
    fits.min_by_key(|(rank, _)| *rank)
        .map(|(_, profile)| profile)
}

fn read(profile: &Profile, body: &[u8]) -> Option<Turn> {
    let mut reader = profile.start(profile.marker());
    let mut decoder = Body::new(&profile.framing());
    let mut turn = Turn::default();
    let mut items = decoder.push(Duration::ZERO, body).ok()?;
    items.extend(decoder.finish(Duration::ZERO).ok()?);
    for item in items {
        turn.take(&item, reader.as_mut());
    }
    Some(turn)
}
