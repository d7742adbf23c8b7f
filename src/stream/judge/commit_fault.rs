//! Judges a turn whose commit was made to fail, was lost, or took long. Pure.
//!
//! What the client received and what the store holds have to agree. A final marker
//! promises exactly one stored answer. Where the commit was lost after it was done, a second attempt
//! must not store the answer a second time.

use super::order::RowState;

#[cfg(test)]
mod tests;

/// What was seen of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultObservation {
    /// How many commits met the fault as it was meant.
    pub happened: u32,
    /// The row, read when the final marker had been received; absent without a marker.
    pub row_at_final: Option<RowState>,
    /// The error that the client was sent before the final marker came.
    pub error: Option<String>,
    /// Whether the response ended in time.
    pub ended: bool,
    /// How many rows hold the answer after all, or why they could not be read.
    pub rows: Result<usize, String>,
}

/// What that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOutcome {
    /// The final marker came, and the answer is stored once.
    Saved,
    /// The final marker did not come, or came behind an error, and nothing is stored.
    Reported,
    /// The final marker did not come, or came behind an error, and the answer is stored: a reload shows it.
    Kept,
    /// The final marker came, and nothing is stored.
    Dropped,
    /// The final marker came before the answer was stored.
    Late,
    /// The answer is stored so many times.
    Repeated(usize),
    /// Neither the final marker nor the end of the response came.
    Hangs,
    /// Nothing can be said, for this reason.
    Open(String),
}

/// Judges a turn.
pub fn judge(seen: &FaultObservation) -> FaultOutcome {
    if seen.happened == 0 {
        return FaultOutcome::Open(
            "the fault met no commit that carries the answer: nothing was tested".to_owned(),
        );
    }
    let rows = match &seen.rows {
        Ok(rows) => *rows,
        Err(why) => {
            return FaultOutcome::Open(format!("the store could not be read afterwards: {why}"));
        }
    };
    match (seen.row_at_final, rows) {
        (_, 2..) => FaultOutcome::Repeated(rows),
        (Some(RowState::Complete), 1) => FaultOutcome::Saved,
        (Some(RowState::Incomplete | RowState::CommitWaits), 1) if seen.error.is_some() => {
            FaultOutcome::Kept
        }
        (Some(RowState::Incomplete | RowState::CommitWaits), 1) => FaultOutcome::Late,
        (Some(RowState::Unreadable), 1) => {
            FaultOutcome::Open("the store could not be read at the final marker".to_owned())
        }
        (Some(_), 0) if seen.error.is_some() => FaultOutcome::Reported,
        (Some(_), 0) => FaultOutcome::Dropped,
        (None, _) if !seen.ended => FaultOutcome::Hangs,
        (None, 0) => FaultOutcome::Reported,
        (None, _) => FaultOutcome::Kept,
    }
}
