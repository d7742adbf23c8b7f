//! When chatctl itself caused a failure: the server's output at that time is not judged.

use super::World;
use super::stage::Stage;
use crate::clock::Tick;
use crate::http::OutputLine;
use crate::{clock, gate};
use std::time::Duration;

/// Output may come a little after what it speaks of.
const QUIET: Duration = Duration::from_millis(200);
/// A server that never stops writing is not waited for any longer.
const QUIET_AT_MOST: Duration = Duration::from_secs(2);

/// The spans in which chatctl held commits back, made saves fail, or broke off the provider's answer.
#[derive(Debug, Default)]
pub struct Provoked(Vec<Span>);

#[derive(Debug)]
struct Span {
    from: Tick,
    /// Absent while it lasts.
    to: Option<Tick>,
}

impl Provoked {
    fn begin(&mut self, from: Tick) {
        self.0.push(Span { from, to: None });
    }

    fn end(&mut self, to: Tick) {
        if let Some(span) = self.0.last_mut() {
            span.to.get_or_insert(to);
        }
    }

    /// Whether a line may be the server's answer to what chatctl did.
    pub(super) fn covers(&self, line: &OutputLine) -> bool {
        let within = |span: &Span| line.at >= span.from && span.to.is_none_or(|end| line.at <= end);
        self.0.iter().any(within) || line.text.contains(gate::ON_PURPOSE)
    }
}

impl Stage<'_> {
    /// From now on chatctl makes something go wrong.
    pub(super) fn provoke(&mut self) {
        self.world.provoked.begin(clock::now());
    }

    /// Everything is as usual again, once the server has written what it has to say.
    pub(super) async fn calm(&mut self) {
        let is_forbidden = !(self.session.logs.forbid.is_empty() && self.options.forbid.is_empty());
        if is_forbidden {
            quiet(self.world).await;
        }
        self.world.provoked.end(clock::now());
    }
}

/// Waits until the server has written nothing for a while.
async fn quiet(world: &World) {
    let deadline = clock::now() + QUIET_AT_MOST;
    let mut since = clock::now();
    while world.is_ours() && clock::now() < deadline {
        tokio::time::sleep(QUIET).await;
        let now = clock::now();
        if world.output_since(since).is_empty() {
            return;
        }
        since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{OutputLine, Provoked};
    use std::time::Duration;

    fn line(ms: u64, text: &str) -> OutputLine {
        OutputLine {
            at: Duration::from_millis(ms),
            by: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_chatctl_provoked_is_covered_and_nothing_else() {
        let mut provoked = Provoked::default();
        assert!(!provoked.covers(&line(5, "Traceback")));
        provoked.begin(Duration::from_millis(10));
        assert!(provoked.covers(&line(30, "Traceback")));
        provoked.end(Duration::from_millis(20));
        assert!(!provoked.covers(&line(9, "Traceback")));
        assert!(provoked.covers(&line(20, "Traceback")));
        assert!(!provoked.covers(&line(30, "Traceback")));
        let late = "IntegrityError: chatctl makes this save fail on purpose";
        assert!(provoked.covers(&line(30, late)));
    }
}
