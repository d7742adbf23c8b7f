//! Whether the user is still logged in.

use super::{Account, answer};
use crate::report::{Finding, Severity, Source};
use crate::stream::run::Access;

impl Account<'_> {
    /// The server no longer knows who it had let in.
    pub(super) fn logged_out(&self) -> Option<Finding> {
        let told = self.recalled?;
        let (severity, harm, fact) = match &told.access {
            Access::Kept => return None,
            Access::Renewed => (
                Severity::Warning,
                format!("{} logs every user out", self.way.words),
                "the token or cookie of the earlier log-in was refused, and a new log-in was accepted"
                    .to_owned(),
            ),
            Access::Refused(why) => (
                Severity::Error,
                format!(
                    "after {} the user can't reach the conversation any more: the server no longer accepts their login",
                    self.way.words
                ),
                format!("{}; {why}", answer(told)),
            ),
        };
        let help = "read the secret that signs log-ins from storage that outlives the process, and keep \
            accounts and log-ins in the store";
        let finding = self.finding("logged-out-on-restart", severity, harm, help);
        Some(finding.with(Source::Stream, fact))
    }
}
