//! Judges a stream by its times: the limits of the session, and buffering.

use super::stage::Stage;
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};

/// In how many trials nothing may come before the answer's end until that says something.
const ENOUGH: usize = 3;

impl Stage<'_> {
    /// Judges what took too long, where the session says how long it may.
    pub(super) fn judge_limits(&self, report: &mut Report) {
        if self.session.limits.is_empty() {
            return;
        }
        let case = self.begin_case("limits", &NONE, &READ_TO_END);
        let mut unseen = Vec::new();
        let mut exceeded = Vec::new();
        for (limit, allowed) in &self.session.limits {
            match self.times.of(*limit) {
                Some(took) if took > *allowed => exceeded.push(format!(
                    "{} is {} ms, but only {} ms are allowed",
                    limit.name(),
                    took.as_millis(),
                    allowed.as_millis()
                )),
                Some(_) => {}
                None => unseen.push(limit.name()),
            }
        }
        if exceeded.is_empty() {
            let (verdict, reason) = if unseen.is_empty() {
                (Verdict::Held, "no limit was exceeded".to_owned())
            } else {
                let unseen = unseen.join(", ");
                (
                    Verdict::Inconclusive,
                    format!("{unseen}: not seen in this run"),
                )
            };
            self.end_case(case, verdict, reason, report);
            return;
        }
        let reason = exceeded.join("; ");
        let finding = Finding::new(
            "limit-exceeded",
            Severity::Error,
            &self.session.name,
            "the server is slower than the session allows",
            "see the figures of the session's first case; raise the limit in [limits] if it is too strict",
        )
        .with(Source::Stream, &reason)
        .in_case(&case.name);
        self.end_case(case, Verdict::Violated, reason, report);
        report.add(finding);
    }

    /// Nothing came before the answer's end, and then all of it: somebody collects the stream.
    pub(super) fn judge_buffering(&self, report: &mut Report) {
        let always = self.buffered.iter().all(|buffered| *buffered);
        if self.buffered.len() < ENOUGH || !always {
            return;
        }
        report.add(
            Finding::new(
                "stream-buffered",
                Severity::Warning,
                &self.session.name,
                "the user sees nothing until the answer is complete: the server or a proxy collects the stream",
                "send `X-Accel-Buffering: no`, and disable buffering and compression for this path",
            )
            .with(
                Source::Stream,
                format!(
                    "in {} of {0} trials not one byte of the response had arrived when the whole answer except \
                        its last piece was sent; then it arrived in several events",
                    self.buffered.len()
                ),
            ),
        );
    }
}
