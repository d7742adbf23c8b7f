//! A first turn: servers load, connect and compile at their first request. Only its rows are judged,
//! by `first_turn`.

use super::chat::AS_RECORDED;
use super::exchange::ResponseProgress;
use super::first_turn::FirstTurn;
use super::live::Live;
use super::reading::{Reading, UnknownEnd, declared_in};
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::gateway::Own;
use crate::report::{Finding, Report, Severity, Source};
use crate::stream::body::Framing;
use crate::stream::detect::{Format, Response};
use crate::stream::judge::MarkerBasis;
use crate::stream::profiles::Profile;
use crate::stream::turn::Turn;
use crate::stream::{detect, kept, last_event};
use memchr::memmem;

/// As many characters of an answer's beginning are no coincidence.
const ENOUGH: usize = 8;

/// So many times as long as any other turn may it take.
pub const FIRST_TURN: u32 = 4;

impl Stage<'_> {
    /// Holds it. One that fails is of no interest, since the next turn tells it too; only one that
    /// has no end must not be waited for once more. One that succeeds is looked for when the store
    /// is known.
    pub(super) async fn warm_up(
        &mut self,
        report: &mut Report,
    ) -> anyhow::Result<Option<FirstTurn>> {
        self.doing("a first turn");
        self.world.gateway.takes_for_own(Own::Any);
        let Some((live, seen)) = self.first_turn().await? else {
            self.world.gateway.takes_for_own(Own::default());
            return Ok(None);
        };
        let has_own = live.play.heard().is_some();
        let (live, mut seen) = match live.play.should_own(shows(&live, &seen)) {
            None => (live, seen),
            Some(own) if has_own => self.try_own(own).await.unwrap_or((live, seen)),
            Some(own) => {
                // No request got the answer, so any other rule gives more, and the response may not show it whole.
                self.world.gateway.takes_for_own(own);
                let held = self.first_turn().await.ok().flatten();
                held.unwrap_or((live, seen))
            }
        };
        let detected = self.detect_profile(&live, &seen);
        self.learn_end(&live, &seen);
        if let Some(detected) = detected {
            report.add(detected);
            seen.turn = self.read_again(&live, &seen);
        }
        Ok(FirstTurn::new(live, seen))
    }

    /// A turn as the detected format has it.
    fn read_again(&self, live: &Live, seen: &ResponseProgress) -> Turn {
        let beginning = seen.beginning.lock().expect("nobody panics with it");
        let answer = live.answer.as_deref().unwrap_or_default();
        let mut reader = self.profile.start(self.marker.clone());
        let response = response(live, answer, seen, &beginning.bytes);
        let framing = self.framing(&self.session.request);
        detect::read(&response, &framing, reader.as_mut(), &self.marker).unwrap_or_default()
    }

    /// The same turn, with other requests as its own. They are it if the answer to them is what the client is sent;
    /// else nothing changes.
    async fn try_own(&mut self, own: Own) -> Option<(Live, ResponseProgress)> {
        self.world.gateway.takes_for_own(own);
        let held = self.first_turn().await.ok().flatten();
        let held = held.filter(|(live, seen)| shows(live, seen));
        if held.is_none() {
            self.world.gateway.takes_for_own(Own::Any);
        }
        held
    }

    /// A turn, up to its end; none where no chat can be set up.
    async fn first_turn(&mut self) -> anyhow::Result<Option<(Live, ResponseProgress)>> {
        let Ok(chat) = self.set_up().await else {
            return Ok(None);
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
        Ok(Some((live, seen)))
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

    /// Refuses a marker that ends one response of the model where the turn has several: the first one promises nothing.
    /// Where all of the answer came before it, it does promise; what follows is something else, such as a title.
    pub(super) fn check_rounds(
        &self,
        live: &Live,
        seen: &ResponseProgress,
    ) -> Result<(), CliError> {
        let is_declared = self.session.final_marker.is_some();
        let is_whole = seen.turn.text.contains(&live.nonce);
        if !seen.turn.has_rounds || is_whole || !self.profile.ends_rounds() || is_declared {
            return Ok(());
        }
        Err(CliError::unreachable(format!(
            "`{}` came more than once in one response, with text in between: it ends one response of the model, and the turn \
             has several",
            self.marker
        ))
        .hint(format!(
            "declare what ends the turn in {}: the section [final] with `end = \"body\"`, or with an event of the server's own",
            declared_in(self.session)
        )))
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
            "profile `{}` does not find the answer's text in the response: chatctl does not check what the user \
                sees of an answer, nor whether an error is reported",
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

/// Whether a response has the end of the turn's answer.
fn shows(live: &Live, seen: &ResponseProgress) -> bool {
    let beginning = seen.beginning.lock().expect("nobody panics with it");
    let has_nonce = |body: &[u8]| memmem::find(body, live.nonce.as_bytes()).is_some();
    seen.turn.text.contains(&live.nonce) || has_nonce(&beginning.bytes)
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
