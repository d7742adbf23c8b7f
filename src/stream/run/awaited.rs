//! Waits for the outcome of a turn, and reports why there is none.

use super::case::Moments;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::clock;
use crate::clock::Tick;
use crate::gateway::providers;
use crate::model::Call;
use crate::report::Lane;
use crate::stream::faults::Point;
use std::time::Duration;

/// No bytes for this long, and the client has all that was sent: lets per-token writes drain.
const QUIET: Duration = Duration::from_millis(30);
/// A server that collects the answer before it streams sends nothing: then this is long enough.
const QUIET_AT_MOST: Duration = Duration::from_millis(250);
/// Between two looks at the store.
const ASK: Duration = Duration::from_millis(20);

/// What to look at when a server fails.
pub(super) const SERVER_LOG: &str = "check the server's log";

impl Stage<'_> {
    /// What is stored, as soon as it is enough, or when the time is over. A store that is busy at
    /// the moment is asked again.
    pub(super) async fn stored_when<T>(
        &self,
        deadline: Tick,
        look: impl AsyncFn() -> anyhow::Result<T>,
        is_enough: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        loop {
            let stored = look().await;
            if stored.as_ref().is_ok_and(&is_enough) || clock::now() >= deadline {
                return stored;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// What is wrong may be only late: it is checked again. Says whether it is another by
    /// then.
    pub(super) async fn came_late<T: PartialEq>(
        &self,
        stored: &mut Result<T, String>,
        patience: Duration,
        look: impl Future<Output = anyhow::Result<T>>,
    ) -> bool {
        tokio::time::sleep(patience).await;
        let now = look.await.map_err(|error| format!("{error:#}"));
        let came_late = now != *stored;
        *stored = now;
        came_late
    }

    /// Lets the provider say as much as belongs to the point, and waits until the client has it.
    pub(super) async fn reach(
        &self,
        live: &Live,
        point: Point,
        moments: &mut Moments,
    ) -> Result<(), String> {
        let patience = self.options.response_timeout;
        let heard = tokio::time::timeout(patience, live.play.until_sent(0)).await;
        let Some(heard) = heard.ok().and_then(|()| live.play.heard()) else {
            let seen = live.watching.seen();
            let how = format!(
                "{:#}",
                self.unanswered(live, &seen, "there was no turn to end")
            );
            return Err(how);
        };
        let cut = self
            .cut_of(live.number - 1, heard.provider)
            .map_err(|error| format!("{error:#}"))?;
        let over = |seen: &ResponseProgress| seen.over.is_some();
        match cut.chunks_at(point) {
            Some(_) if point == Point::InTool && cut.last_calls < 2 => {
                return Err("the calls come in one chunk, so there is no point within them".into());
            }
            Some(chunks) => {
                live.play.release_up_to(chunks);
                let sent = tokio::time::timeout(patience, live.play.until_sent(chunks)).await;
                if sent.is_err() {
                    return Err(
                        "the server did not read its provider's answer up to this point".into(),
                    );
                }
                if point == Point::BetweenSteps {
                    let steps = self.session.turns[live.number - 1].steps.len();
                    let again = live.play.until_asked(steps + 1);
                    if tokio::time::timeout(patience, again).await.is_err() {
                        return Err(
                            "the server did not ask its provider again after the tools".into()
                        );
                    }
                }
                self.until_quiet(live, clock::now(), chunks).await;
                moments.now(
                    Lane::Gateway,
                    format!("{chunks} chunks of the answer were sent"),
                );
                if live.watching.seen().over.is_some() {
                    return Err(
                        "the response ended before the turn could be interrupted there".into(),
                    );
                }
            }
            None => {
                live.play.release();
                let at_end = |seen: &ResponseProgress| seen.turn.final_at.is_some() || over(seen);
                let seen = tokio::time::timeout(patience, live.watching.until(at_end)).await;
                let Some(at) = seen.ok().and_then(|seen| seen.turn.final_at) else {
                    return Err(format!("the final marker `{}` did not come", self.marker));
                };
                moments.at(
                    at,
                    Lane::Client,
                    format!("final marker `{}` received", self.marker),
                );
            }
        }
        Ok(())
    }

    /// Waits until the server has everything but the withheld end, and the client is quiet.
    pub(super) async fn until_withheld(&self, live: &Live) -> anyhow::Result<Tick> {
        let mut withheld = live.play.withheld();
        let patience = self.options.response_timeout;
        let over = live.watching.until(|seen| seen.over.is_some());
        let withheld = tokio::select! {
            at = withheld.wait_for(Option::is_some) => at.ok().and_then(|at| *at),
            _ = over => None,
            () = tokio::time::sleep(patience) => None,
        };
        let Some(at) = withheld else {
            let seen = live.watching.seen();
            self.check_head(&seen)?;
            let how = match &seen.over {
                Some(Err(error)) => error.clone(),
                Some(Ok(())) => "the server answered without calling its provider".to_owned(),
                None => format!(
                    "the server did not call its provider within {}",
                    humantime::format_duration(patience)
                ),
            };
            return Err(self.unanswered(live, &seen, &how));
        };
        self.until_quiet(live, at, live.chunks_before).await;
        Ok(at)
    }

    /// Waits until the client got what the server had to say to so many chunks, the last one sent at this moment.
    pub(super) async fn until_quiet(&self, live: &Live, at: Tick, chunks: usize) {
        loop {
            let seen = live.watching.seen();
            let since = clock::now().saturating_sub(seen.last_byte.unwrap_or(at).max(at));
            let expects_bytes = chunks > 0 && seen.last_byte.is_none();
            if since >= if expects_bytes { QUIET_AT_MOST } else { QUIET } {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Why a turn came to nothing, told by what the gateway saw of it.
    pub(super) fn unanswered(
        &self,
        live: &Live,
        seen: &ResponseProgress,
        how: &str,
    ) -> anyhow::Error {
        let gateway = &self.world.gateway;
        let calls = gateway.calls_since(live.sent);
        let refused = calls
            .iter()
            .find_map(|call| Some((&call.line, call.refused.as_ref()?)));
        if let Some((line, why)) = refused {
            return CliError::unreachable(format!(
                "the server called its provider with `{line}`, and chatctl's gateway refused it: {why}"
            ))
            .hint(format!("the gateway answers {}", providers::answered()))
            .into();
        }
        if calls
            .iter()
            .any(|call| matches!(call.call, Call::Main | Call::Retry))
        {
            return CliError::unreachable(how).hint(self.log_hint()).into();
        }
        let said = seen.head.as_ref().map_or("", |head| head.excerpt.trim());
        let said = if said.is_empty() {
            String::new()
        } else {
            format!("; its answer begins `{said}`")
        };
        let url = gateway.url();
        if let Some(call) = calls.last() {
            return CliError::unreachable(format!(
                "{how}: it called only `{}` of its provider{said}",
                call.line
            ))
            .hint(self.log_hint())
            .into();
        }
        let mut hint = format!(
            "let the server use `{url}` as its provider's base URL (OPENAI_BASE_URL, or {{gateway_url}} in --start) \
             and any text as the key (OPENAI_API_KEY); if HTTP_PROXY is set, NO_PROXY must contain 127.0.0.1"
        );
        let never = if gateway.connections() > live.connections {
            hint =
                format!("the gateway speaks plain HTTP: use `{url}` as the base URL, not https://");
            "connected to the gateway and sent it no HTTP request"
        } else {
            "never called the gateway"
        };
        if let Some(log) = self.log_tail() {
            hint = format!("{hint}\n{log}");
        }
        CliError::unreachable(format!("{how}; it {never}{said}"))
            .hint(hint)
            .into()
    }

    /// Waits until the final marker is there or the response is over, or for as long as it may take.
    pub(super) async fn until_final(&self, live: &Live) -> ResponseProgress {
        let wait = live
            .watching
            .until(|seen| seen.turn.final_at.is_some() || seen.over.is_some());
        match tokio::time::timeout(self.options.response_timeout, wait).await {
            Ok(seen) => seen,
            Err(_) => live.watching.seen(),
        }
    }

    /// Waits until the response is over.
    pub(super) async fn until_over(
        &self,
        live: &Live,
        patience: Duration,
    ) -> anyhow::Result<ResponseProgress> {
        let over = live.watching.until(|seen| seen.over.is_some());
        let Ok(seen) = tokio::time::timeout(patience, over).await else {
            let how = format!(
                "the response of turn {} did not end within {}",
                live.number,
                humantime::format_duration(patience)
            );
            return Err(self.unanswered(live, &live.watching.seen(), &how));
        };
        self.check_head(&seen)?;
        match &seen.over {
            Some(Err(error)) => Err(self.unanswered(live, &seen, error)),
            _ => Ok(seen),
        }
    }

    /// A status other than 2xx is not a chat to judge.
    fn check_head(&self, seen: &ResponseProgress) -> anyhow::Result<()> {
        let Some(head) = seen.head.as_ref().filter(|head| !head.is_success()) else {
            return Ok(());
        };
        let what = format!(
            "`{}` was answered {}: {}",
            self.session.request.written, head.status, head.excerpt
        );
        Err(CliError::unreachable(what.trim_end_matches([' ', ':']))
            .hint(match head.status {
                404 | 405 => self.session.hint_on_path("[request]"),
                401 | 403 => format!("add a [login] to {}", self.session.file),
                415 | 422 => format!("check `json` of [request] in {}", self.session.file),
                _ => self.log_hint(),
            })
            .into())
    }

    /// What to look at: the end of the server's output, when chatctl has it.
    pub(super) fn log_hint(&self) -> String {
        let tail = self.log_tail();
        tail.unwrap_or_else(|| SERVER_LOG.to_owned())
    }

    /// The error of a server that failed, with the end of its output.
    pub(super) fn with_log(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<CliError>() {
            Ok(stop) if stop.hint.as_deref() == Some(SERVER_LOG) => {
                stop.hint(self.log_hint()).into()
            }
            Ok(stop) => stop.into(),
            Err(error) => error,
        }
    }

    fn log_tail(&self) -> Option<String> {
        let tail = self.world.tail(12);
        (!tail.is_empty()).then(|| format!("the end of the server's output:\n{tail}"))
    }
}
