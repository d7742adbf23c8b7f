//! A first turn that is not judged: servers load, connect and compile at their first request.

use super::chat::AS_RECORDED;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::reading::{Reading, UnknownEnd};
use super::stage::Stage;
use crate::report::{Finding, Report, Severity, Source};
use crate::stream::body::Framing;
use crate::stream::detect::{Format, Response};
use crate::stream::judge::MarkerBasis;
use crate::stream::profiles::Profile;
use crate::stream::{detect, kept, last_event};

/// As many characters of an answer's beginning are no coincidence.
const ENOUGH: usize = 8;

/// So many times as long as any other turn may it take.
pub const FIRST_TURN: u32 = 4;

impl Stage<'_> {
    /// Holds it. What goes wrong in it is of no interest, since the next turn tells it too; only one
    /// that has no end must not be waited for once more.
    pub(super) async fn warm_up(&mut self, report: &mut Report) -> anyhow::Result<()> {
        self.doing("a first turn that is not judged");
        let Ok(chat) = self.set_up().await else {
            return Ok(());
        };
        let live = self.begin(&chat, 0, AS_RECORDED).await?;
        live.play.release();
        let patience = self.options.response_timeout * FIRST_TURN;
        let over = live.watching.until(|seen| seen.over.is_some());
        let ended = tokio::time::timeout(patience, over).await;
        self.world.gateway.rest();
        if ended.is_err() {
            let how = format!(
                "the response of the first turn did not end within {} (--response-timeout gives it more)",
                humantime::format_duration(patience)
            );
            return Err(self.unanswered(&live, &live.watching.seen(), &how));
        }
        let seen = live.watching.seen();
        if let Some(detected) = self.detect_profile(&live, &seen) {
            report.add(detected);
        }
        self.learn_end(&live, &seen);
        Ok(())
    }

    /// Reads the streams to come as this response is written, when nobody said how.
    pub(super) fn detect_profile(
        &mut self,
        live: &Live,
        seen: &ResponseProgress,
    ) -> Option<Finding> {
        if !self.session.detects {
            return None;
        }
        let beginning = seen.beginning.lock().expect("nobody panics with it");
        let answer = live.answer.as_deref()?;
        let detected = detect::detect(response(live, answer, seen, &beginning.bytes))?;
        if detected.ends && self.marker_basis == MarkerBasis::Assumed {
            self.marker_basis = MarkerBasis::Seen;
        }
        let (found, harm, help) = match detected.format {
            Format::Shipped(found) if found.name == self.profile.name => return None,
            Format::Shipped(found) => (
                found,
                format!(
                    "no profile is named; the first response is in the format of `{}`",
                    found.name
                ),
                format!(
                    "name it: --profile {0}, or `profile = \"{0}\"` in the session",
                    found.name
                ),
            ),
            Format::Found { declared, path } => {
                if self.profile.is_found() {
                    return None;
                }
                let framing = Framing::NAMED.iter();
                let framing = framing
                    .filter(|(_, framing)| *framing == declared.framing && *framing != Framing::Sse)
                    .map(|(name, _)| format!("framing = \"{name}\"\n"))
                    .collect::<String>();
                let end = match &self.session.final_marker {
                    // The session has declared it.
                    Some(_) => String::new(),
                    None if detected.ends => "final = { data = \"[DONE]\" }".to_owned(),
                    None => {
                        let response = response(live, answer, seen, &beginning.bytes);
                        last_event::of(response, &declared.framing).final_of_profile()
                    }
                };
                // As long as the run: one for each session.
                let found: &'static Profile = Box::leak(Box::new(Profile::found(*declared)));
                (
                    found,
                    format!(
                        "no profile is named; in the first response the answer's text is at `{path}` of each event"
                    ),
                    format!(
                        "declare it in the session (docs/profiles.md):\n[profile]\n{framing}text = \"{path}\"\n\
                         error = \"$.error\"\n{end}"
                    ),
                )
            }
        };
        self.profile = found;
        let own = self.session.final_marker.clone();
        self.marker = own.unwrap_or_else(|| found.marker());
        let start = last_event::shortened(String::from_utf8_lossy(&beginning.bytes).trim_end());
        let media_type = seen.head.as_ref();
        let media_type = media_type.and_then(|head| head.content_type.as_deref());
        Some(
            Finding::new(
                "profile-detected",
                Severity::Note,
                &self.session.name,
                harm,
                help,
            )
            .with(
                Source::Stream,
                format!(
                    "content type `{}`; it begins {start}",
                    media_type.unwrap_or("none"),
                ),
            ),
        )
    }

    /// Learns whether responses have the final marker, where nobody said that they do, and how one
    /// ends that has none.
    pub(super) fn learn_end(&mut self, live: &Live, seen: &ResponseProgress) {
        match self.marker_basis {
            MarkerBasis::Declared | MarkerBasis::Seen => return,
            MarkerBasis::Assumed if seen.turn.final_at.is_some() => {
                self.marker_basis = MarkerBasis::Seen;
                return;
            }
            MarkerBasis::Assumed => {}
        }
        let beginning = seen.beginning.lock().expect("nobody panics with it");
        let framing = self.framing(&self.session.request);
        let last = last_event::of(
            response(live, &live.expected, seen, &beginning.bytes),
            &framing,
        );
        self.unknown_end = Some(UnknownEnd::of(&last, self.session));
    }

    /// Learns whether the profile reads the answer's text in a whole response.
    pub(super) fn learn_reading(&mut self, live: &Live, seen: &ResponseProgress) {
        let text = &seen.turn.text;
        let answer = live.answer.as_deref().unwrap_or(&live.expected);
        let reads = kept::seen(answer, text) >= ENOUGH || text.contains(&live.nonce);
        if reads && !kept::is_json_frames(text) {
            self.reading = Reading::Text;
        } else if self.reading == Reading::Unknown {
            let beginning = seen.beginning.lock().expect("nobody panics with it");
            let framing = self.framing(&self.session.request);
            let response = response(live, answer, seen, &beginning.bytes);
            self.reading = Reading::Nothing {
                begins: last_event::shortened(&String::from_utf8_lossy(&beginning.bytes)),
                place: last_event::place(response, &framing),
            };
        }
    }

    /// The note that nobody reads what the client sees.
    pub(super) fn unread(&self) -> Option<Finding> {
        let Reading::Nothing { begins, place } = &self.reading else {
            return None;
        };
        let path = place.as_deref().unwrap_or("$.…");
        let harm = format!(
            "profile `{}` does not find the answer's text in the response: what the user sees of an answer, and \
             whether an error is reported, is not checked",
            self.profile.name
        );
        let help = format!(
            "declare the format in the session (docs/profiles.md):\n[profile]\ntext = \"{path}\"\nerror = \"$.error\"\n{}",
            last_event::UNKNOWN
        );
        let finding = Finding::new(
            "stream-text-unread",
            Severity::Note,
            &self.session.name,
            harm,
            help,
        );
        Some(finding.with(Source::Stream, format!("the response begins {begins}")))
    }

    /// What keeps the run from knowing the end of an answer; nothing where it knows it.
    pub(super) fn without_marker(&self) -> Option<&UnknownEnd> {
        match self.marker_basis {
            MarkerBasis::Declared | MarkerBasis::Seen => None,
            MarkerBasis::Assumed => self.unknown_end.as_ref(),
        }
    }
}

/// A response, as far as it is known.
fn response<'a>(
    live: &'a Live,
    answer: &'a str,
    seen: &'a ResponseProgress,
    body: &'a [u8],
) -> Response<'a> {
    let head = seen.head.as_ref();
    Response {
        content_type: head.and_then(|head| head.content_type.as_deref()),
        body,
        answer,
        nonce: &live.nonce,
    }
}
