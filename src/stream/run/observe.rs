//! Looking only: the row at the final marker. Proves a violation, and never an order.

use super::calibrate::Calibrated;
use super::stage::Stage;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::stream::faults::NONE;
use crate::stream::faults::READ_TO_END;

impl Stage<'_> {
    /// A row that was not there when it was read after the marker was received is a violation; a
    /// row that was there may have come a moment before the read.
    pub(super) fn observe_order(&mut self, calibrated: &Calibrated, report: &mut Report) {
        let mut case = self.begin_case("order", &NONE, &READ_TO_END);
        let (complete, of) = calibrated.in_time;
        case.metrics.insert("complete_at_final", complete as f64);
        case.metrics.insert("observed", of as f64);
        let counted = format!(
            "in {complete} of {of} turns the row was complete right after the final marker"
        );
        if complete == of {
            let reason = format!("{counted}; not proven: a late save can win this race");
            self.end_case(case, Verdict::Held, reason, report);
            return;
        }
        let marker = &self.marker;
        let finding = Finding::new(
            "saved-after-done",
            Severity::Error,
            &self.session.name,
            format!("the answer is saved after `{marker}`: a browser that hangs up there cancels the save"),
            format!("save and commit the assistant's message before `{marker}` is yielded"),
        )
        .with(Source::Store, &counted)
        .in_case(&case.name);
        self.end_case(case, Verdict::Violated, counted, report);
        report.add(finding);
    }
}
