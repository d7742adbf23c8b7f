//! What happened in a trial, in order: the line of reasoning behind a verdict.

use super::{BOLD, DIM, Page};
use crate::render::{escape, text};
use crate::report::{Case, Lane, Moment, Verdict};
use crate::text::plural;

/// Timelines beyond these say the same once more; `--verbose` shows them all.
const MAX_TIMELINES: usize = 5;

/// Columns between the time and the third column of a timeline: `  gateway  `.
const BEFORE_WHAT: usize = 11;

const LEGEND: &str = "While the gate is closed, no answer can be committed. chatctl lets one commit through \
                      at a time.";

impl Page {
    /// What happened in the cases that need a look; when none does, in one that shows the reasoning.
    pub(super) fn timelines(&mut self, cases: &[Case]) {
        let told: Vec<_> = cases
            .iter()
            .filter(|case| !case.timeline.moments().is_empty())
            .collect();
        let mut shown = told.clone();
        if !self.verbose {
            let passed = |case: &Case| matches!(case.verdict, Verdict::Proven | Verdict::Held);
            if cases.iter().all(passed) {
                // The least verdict is the strongest proof.
                shown = told
                    .iter()
                    .copied()
                    .min_by_key(|case| case.verdict)
                    .into_iter()
                    .collect();
            } else {
                shown.retain(|case| !passed(case));
                shown.truncate(MAX_TIMELINES);
            }
        }
        for (at, case) in shown.iter().enumerate() {
            self.line("");
            self.title(case);
            self.moments(case);
            if at == 0 && case.timeline.moments().iter().any(names_the_gate) {
                self.line("");
                self.note(LEGEND, 2);
            }
        }
        let hidden = told.len() - shown.len();
        if hidden > 0 {
            let more = plural(hidden as u64, "more timeline");
            self.line("");
            self.note(&format!("{more} not shown; --verbose shows all."), 0);
        }
    }

    /// `hello/order: violated (session hello, no fault, client read-to-end)`; without the part in brackets
    /// where nobody plays a client.
    fn title(&mut self, case: &Case) {
        let [name, session, fault, client] =
            [&case.name, &case.session, &case.fault, &case.client].map(|text| escape::line(text));
        let fault = match fault.as_ref() {
            "none" => "no fault".to_owned(),
            fault => format!("fault {fault}"),
        };
        let start = format!("{name}: {}", case.verdict);
        let title = match client.as_ref() {
            "none" => start.clone(),
            client => format!("{start} (session {session}, {fault}, client {client})"),
        };
        for line in text::wrap(&title, usize::from(self.width)) {
            // A name too long for one line stays uncoloured.
            match line.strip_prefix(&start) {
                Some(rest) => {
                    let name = self.paint(&name, BOLD);
                    self.line(&format!("{name}: {}{rest}", self.verdict(case.verdict)));
                }
                None => self.line(&line),
            }
        }
        if self.verbose && !case.metrics.is_empty() {
            let figure = |(name, figure): (&&str, &f64)| format!("{name} {figure}");
            let figures: Vec<_> = case.metrics.iter().map(figure).collect();
            self.wrapped(&figures.join(", "), 2);
        }
    }

    fn moments(&mut self, case: &Case) {
        let moments = case.timeline.moments().iter();
        let times: Vec<_> = moments
            .map(|moment| match case.timeline.time_of(moment) {
                Some(time) => text::second(time),
                None => format!("{:>10.1}", text::at_ms(moment)),
            })
            .collect();
        let is_clock = case.timeline.is_by_the_clock();
        let head = if is_clock { "time" } else { "ms" };
        let wide = times.iter().map(String::len).max().unwrap_or(0).max(10);
        self.line(&self.paint(&format!("{head:>wide$}  {:<7}  what", "who"), DIM));
        let what_at = wide + BEFORE_WHAT;
        let width = usize::from(self.width).saturating_sub(what_at);
        for (moment, time) in case.timeline.moments().iter().zip(times) {
            let time = self.paint(&format!("{time:>wide$}"), DIM);
            let mut start = format!("{time}  {:<7}  ", moment.lane.word());
            for line in text::wrap(&escape::line(&moment.what), width) {
                self.line(&format!("{start}{line}"));
                start = " ".repeat(what_at);
            }
        }
    }
}

/// The word needs its explanation only where it is used.
fn names_the_gate(moment: &Moment) -> bool {
    moment.lane == Lane::Store && moment.what.contains("gate")
}
