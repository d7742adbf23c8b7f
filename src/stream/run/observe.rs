//! Observes only the row at the final marker. Proves a violation, and never an order.

use super::calibrate::Calibrated;
use super::stage::Stage;
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order::RowState;

impl Stage<'_> {
    /// A row that was not there when it was read after the marker was received is a violation; a
    /// row that was there may have come a moment before the read.
    pub(super) fn observe_order(&mut self, calibrated: &Calibrated, report: &mut Report) {
        let mut case = self.begin_case("order", &NONE, &READ_TO_END);
        let rows = &calibrated.at_final;
        let count = |wanted| rows.iter().filter(|row| **row == wanted).count();
        let (complete, missing) = (count(RowState::Complete), count(RowState::Incomplete));
        case.metrics.insert("complete_at_final", complete as f64);
        case.metrics.insert("observed", rows.len() as f64);
        let counted = format!(
            "in {complete} of {} turns the row was complete right after the final marker",
            rows.len()
        );
        if missing == 0 {
            let (verdict, why) = if complete == rows.len() {
                (Verdict::Held, "not proven: a late save can win this race")
            } else {
                (
                    Verdict::Inconclusive,
                    "in the others the store could not be read",
                )
            };
            self.end_case(case, verdict, format!("{counted}; {why}"), report);
            return;
        }
        let marker = &self.marker;
        let finding = Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("the answer is saved after `{marker}`: a crash, or a reload that is faster than the save, loses it"),
            format!("save and commit the assistant's message before `{marker}` is sent"),
        )
        .with(Source::Store, &counted)
        .in_case(&case.name);
        self.end_case(case, Verdict::Violated, counted, report);
        report.add(finding);
    }
}
