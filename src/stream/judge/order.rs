//! The strict rule: judges a trial with the stepped gate. Pure.
//!
//! The answer's last chunk holds a nonce that was never sent before, so the row can't be
//! complete before the gate closes. While the gate is closed nothing is committed. So:
//! a final marker with a row that is not complete proves a violation; a final marker that
//! was withheld for the whole hold, and came only after exactly one write had passed and
//! had completed the row, while the gate was closed again, proves the order.

use std::time::Duration;

/// Time on the run's clock.
pub type Tick = Duration;

/// What the store said of the answer's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// There is no row, or it is not complete.
    Incomplete,
    /// The row is complete.
    Complete,
    /// A commit waits at the closed gate: nothing can have been committed, so the row is not complete.
    CommitWaits,
    /// Reading was not possible.
    Unreadable,
}

/// One step of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSeen {
    /// When it opened.
    pub opened: Tick,
    /// When it was closed again.
    pub closed: Tick,
    /// How many transactions were committed meanwhile, when the gate can count.
    pub writes: Option<u32>,
    /// How long after opening the writer appeared; absent when none did.
    pub writer_after: Option<Duration>,
    /// The row after the gate was closed again.
    pub row: RowState,
}

/// Why a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The final marker came.
    Final,
    /// The gate could not be closed: a write transaction was open all the while.
    WriterInTheWay,
    /// The response ended, or broke off, without the final marker.
    Died(String),
    /// The gate had been closed as long as it may.
    Budget,
    /// As many steps as are allowed, and no final marker.
    Steps,
    /// The gate itself failed.
    GateLost(String),
}

/// What was seen in a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// When the gate was closed and verified.
    pub closed: Option<Tick>,
    /// When the final marker came.
    pub final_at: Option<Tick>,
    /// The row, read after the final marker was received.
    pub row_at_final: Option<RowState>,
    /// The steps, in order.
    pub steps: Vec<StepSeen>,
    /// Why it ended.
    pub end: End,
}

/// What a trial shows, or several of one turn. The greater is the more telling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrialOutcome {
    /// The row was committed before the final marker.
    Proven,
    /// It could not be looked at.
    Inconclusive(String),
    /// The row was complete already, and the final marker came only after a later write: whether
    /// it waited for the row or for the later write can't be told.
    SavedEarlier,
    /// It is not known which write completed the row.
    Ambiguous(String),
    /// The final marker came before the gate was closed again behind the write. Now and then that
    /// is the scheduler's doing; a server that commits just after its final marker does it always.
    Overtaken,
    /// The final marker came before the row was committed.
    Violated(String),
}

impl TrialOutcome {
    /// Why it is what it is, one sentence.
    pub fn reason(&self) -> String {
        match self {
            Self::Proven => "the final marker waited for the commit that completed the row".into(),
            Self::SavedEarlier => {
                "ambiguous: the row was already complete, but the final marker came only \
                after a later write: this does not show that it waited for the row"
                    .into()
            }
            Self::Overtaken => {
                "ambiguous: the final marker came before the gate could close again after the \
                write that completed the row: it may have been sent before the commit"
                    .into()
            }
            Self::Ambiguous(why) => format!("ambiguous: {why}"),
            Self::Inconclusive(why) | Self::Violated(why) => why.clone(),
        }
    }
}

/// How a trial ended, without the reason: what a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Proven,
    SavedEarlier,
    Ambiguous,
    Overtaken,
    Undecided,
    Violated,
}

impl Ended {
    const ALL: [Self; 6] = [
        Self::Proven,
        Self::SavedEarlier,
        Self::Ambiguous,
        Self::Overtaken,
        Self::Undecided,
        Self::Violated,
    ];

    /// In a sentence, after a number.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::SavedEarlier => "saved earlier",
            Self::Ambiguous => "ambiguous",
            Self::Overtaken => "overtaken",
            Self::Undecided => "undecided",
            Self::Violated => "violated",
        }
    }

    /// The figure that counts them.
    pub const fn figure(self) -> &'static str {
        match self {
            Self::Proven => "trials_proven",
            Self::SavedEarlier => "trials_saved_earlier",
            Self::Ambiguous => "trials_ambiguous",
            Self::Overtaken => "trials_overtaken",
            Self::Undecided => "trials_undecided",
            Self::Violated => "trials_violated",
        }
    }
}

impl From<&TrialOutcome> for Ended {
    fn from(shown: &TrialOutcome) -> Self {
        match shown {
            TrialOutcome::Proven => Self::Proven,
            TrialOutcome::SavedEarlier => Self::SavedEarlier,
            TrialOutcome::Ambiguous(_) => Self::Ambiguous,
            TrialOutcome::Overtaken => Self::Overtaken,
            TrialOutcome::Inconclusive(_) => Self::Undecided,
            TrialOutcome::Violated(_) => Self::Violated,
        }
    }
}

/// How many trials ended in which way; ways in which none did are absent.
pub fn tally(shown: &[&TrialOutcome]) -> Vec<(Ended, usize)> {
    let count = |wanted| {
        let ended = shown.iter().map(|shown| Ended::from(*shown));
        ended.filter(|ended| *ended == wanted).count()
    };
    Ended::ALL
        .into_iter()
        .map(|ended| (ended, count(ended)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// A writer that comes later than this after a step was not waiting: SQLite's busy handler
/// sleeps at most 100 ms.
const LATE: Duration = Duration::from_millis(150);

/// Judges a trial.
pub fn judge(trial: &Trial) -> TrialOutcome {
    let Some(final_at) = trial.final_at else {
        return TrialOutcome::Inconclusive(without_final(&trial.end));
    };
    // Nothing was committed since the row was seen behind the closed gate: what waits there is another commit.
    let is_behind_the_row = trial
        .steps
        .last()
        .is_some_and(|step| step.row == RowState::Complete);
    let row_at_final = match trial.row_at_final {
        Some(RowState::CommitWaits) if is_behind_the_row => Some(RowState::Complete),
        row => row,
    };
    match row_at_final {
        Some(RowState::Incomplete) => {
            return TrialOutcome::Violated(
                "the final marker was received while the answer's row was not complete".into(),
            );
        }
        Some(RowState::CommitWaits) => {
            return TrialOutcome::Violated(
                "the final marker was received while the closed gate still withheld the commit"
                    .into(),
            );
        }
        Some(RowState::Complete | RowState::Unreadable) | None => {}
    }
    if trial.closed.is_none() {
        return TrialOutcome::Inconclusive(without_final(&trial.end));
    }
    if row_at_final != Some(RowState::Complete) {
        return TrialOutcome::Inconclusive("the row could not be read at the final marker".into());
    }
    let Some(step) = trial.steps.last() else {
        return TrialOutcome::Inconclusive(
            "the row became complete while the gate was closed: the server writes somewhere that this gate does not lock".into(),
        );
    };
    let before = trial
        .steps
        .len()
        .checked_sub(2)
        .map(|index| trial.steps[index].row);
    match before {
        None | Some(RowState::Incomplete) => {}
        Some(RowState::Complete) => return TrialOutcome::SavedEarlier,
        Some(RowState::CommitWaits | RowState::Unreadable) => {
            return TrialOutcome::Inconclusive(
                "the row could not be read after a write had passed".into(),
            );
        }
    }
    if step.row != RowState::Complete {
        return TrialOutcome::Inconclusive("the row could not be read at the final marker".into());
    }
    if final_at < step.closed {
        return TrialOutcome::Overtaken;
    }
    match step.writes {
        None => {
            return TrialOutcome::Ambiguous(
                "this gate can't count how many writes it let through".into(),
            );
        }
        Some(1) => {}
        Some(writes) => {
            return TrialOutcome::Ambiguous(format!(
                "{writes} writes passed in the step that completed the row, not one"
            ));
        }
    }
    match step.writer_after {
        Some(after) if after <= LATE => TrialOutcome::Proven,
        Some(after) => TrialOutcome::Ambiguous(format!(
            "the write came {} ms after the gate opened: it was not waiting at the gate",
            after.as_millis()
        )),
        None => TrialOutcome::Ambiguous("the write that passed was not observed".into()),
    }
}

/// Where an answer is at the final marker whose row is not complete.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The table in which its row is not complete.
    pub table: String,
    /// What shows that it is there, in words.
    pub seen: String,
}

/// The same, where a reload showed the answer at the marker, though its row was not complete in the table that
/// was found by its text. Something was committed before the marker: it may be the answer in another form.
pub fn unless_shown(shown: TrialOutcome, elsewhere: Option<&Elsewhere>) -> TrialOutcome {
    match (shown, elsewhere) {
        (TrialOutcome::Violated(_), Some(Elsewhere { table, seen })) => {
            TrialOutcome::Inconclusive(format!(
                "at the final marker the answer's row in `{table}` is not complete, and {seen}: the server may \
                    store it in another table or form. Declare in chatctl.toml where answers are stored"
            ))
        }
        (shown, _) => shown,
    }
}

/// The same, where the server had sent an error before the final marker: the marker promised nothing then,
/// so that the row is missing breaks no promise.
pub fn unless_reported(shown: TrialOutcome, error: Option<&str>) -> TrialOutcome {
    match (shown, error) {
        (TrialOutcome::Violated(_), Some(error)) => TrialOutcome::Inconclusive(format!(
            "the server sent an error before the final marker, so the marker does not promise that the answer is \
             stored: {error}"
        )),
        (shown, _) => shown,
    }
}

fn without_final(end: &End) -> String {
    match end {
        End::Final => "the trial ended with the final marker, but without the gate".into(),
        End::WriterInTheWay => "the server keeps a write transaction open while it streams, so this gate can't be closed: \
             nothing shows when that transaction is committed"
            .into(),
        End::Died(how) => format!(
            "the response ended without the final marker while the gate was closed ({how}): \
             does the server wait for a lock at least as long as the hold (busy_timeout)?"
        ),
        End::Budget => "the gate was closed for as long as allowed, but the final marker did not come".into(),
        End::Steps => "the final marker did not come within the number of writes that a trial lets through".into(),
        End::GateLost(how) => format!("the gate was lost: {how}"),
    }
}

/// What several trials of one turn show together: one violation is enough; an order needs
/// `wanted` trials that proved it, and never fewer than three. Each of them is a proof of its own,
/// so trials that left it open next to them take nothing away, unless half as many were overtaken:
/// then that the others were not may be the scheduler's doing.
pub fn sum(shown: &[TrialOutcome], wanted: usize) -> TrialOutcome {
    let count = |wanted: &TrialOutcome| shown.iter().filter(|shown| *shown == wanted).count();
    let (proven, overtaken) = (
        count(&TrialOutcome::Proven),
        count(&TrialOutcome::Overtaken),
    );
    match shown.iter().max() {
        Some(violated @ TrialOutcome::Violated(_)) => violated.clone(),
        _ if proven >= wanted.max(ENOUGH) && overtaken * 2 <= proven => TrialOutcome::Proven,
        Some(TrialOutcome::Proven) | None => TrialOutcome::Inconclusive(format!(
            "{proven} trials were decided, but {} are required",
            wanted.max(ENOUGH)
        )),
        Some(open) => open.clone(),
    }
}

/// How many decided trials prove.
pub const ENOUGH: usize = 3;

#[cfg(test)]
mod tests {
    use super::{
        Duration, Elsewhere, End, RowState, StepSeen, Trial, TrialOutcome, judge, sum, tally,
        unless_reported, unless_shown,
    };

    #[test]
    fn trials_are_counted_by_how_they_ended() {
        let undecided = |why: &str| TrialOutcome::Inconclusive(why.to_owned());
        let shown = [
            TrialOutcome::Proven,
            TrialOutcome::Overtaken,
            undecided("a"),
            TrialOutcome::Proven,
            undecided("b"),
        ];
        let told: Vec<_> = tally(&shown.iter().collect::<Vec<_>>())
            .into_iter()
            .map(|(ended, count)| (ended.word(), count))
            .collect();
        assert_eq!(told, [("proven", 2), ("overtaken", 1), ("undecided", 2)]);
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Gate closed at 0, one write let through at 400, closed at 405, marker at 407.
    fn good() -> Trial {
        Trial {
            closed: Some(ms(0)),
            final_at: Some(ms(407)),
            row_at_final: Some(RowState::Complete),
            steps: vec![StepSeen {
                opened: ms(400),
                closed: ms(405),
                writes: Some(1),
                writer_after: Some(ms(20)),
                row: RowState::Complete,
            }],
            end: End::Final,
        }
    }

    fn with(change: impl FnOnce(&mut Trial)) -> TrialOutcome {
        let mut trial = good();
        change(&mut trial);
        judge(&trial)
    }

    #[test]
    fn one_write_then_the_marker_proves() {
        assert_eq!(judge(&good()), TrialOutcome::Proven);
    }

    #[test]
    fn a_marker_without_the_row_is_a_violation_whenever_it_comes() {
        for row in [RowState::Incomplete, RowState::CommitWaits] {
            assert!(matches!(
                with(|t| {
                    t.row_at_final = Some(row);
                    t.steps[0].row = RowState::Incomplete;
                }),
                TrialOutcome::Violated(_)
            ));
            assert!(matches!(
                with(|t| {
                    t.row_at_final = Some(row);
                    t.steps.clear();
                }),
                TrialOutcome::Violated(_)
            ));
        }
    }

    #[test]
    fn a_commit_that_waits_behind_the_complete_row_violates_nothing() {
        let waits = |row: RowState| {
            with(|t| {
                t.row_at_final = Some(RowState::CommitWaits);
                t.steps[0].row = row;
            })
        };
        assert_eq!(waits(RowState::Complete), TrialOutcome::Proven);
        for row in [RowState::Incomplete, RowState::Unreadable] {
            assert!(matches!(waits(row), TrialOutcome::Violated(_)));
        }
    }

    #[test]
    fn an_answer_that_a_reload_shows_is_not_missing_in_a_table_that_was_guessed() {
        let violated = with(|t| t.row_at_final = Some(RowState::Incomplete));
        let elsewhere = Elsewhere {
            table: "message".to_owned(),
            seen: "a reload shows it".to_owned(),
        };
        let shown = unless_shown(violated.clone(), Some(&elsewhere));
        assert!(matches!(shown, TrialOutcome::Inconclusive(why) if why.contains("`message`")));
        assert_eq!(unless_shown(violated.clone(), None), violated);
        let proven = unless_shown(judge(&good()), Some(&elsewhere));
        assert_eq!(proven, TrialOutcome::Proven);
    }

    #[test]
    fn a_marker_behind_an_error_violates_nothing() {
        let violated = with(|t| t.row_at_final = Some(RowState::Incomplete));
        let reported = unless_reported(violated.clone(), Some("database is locked"));
        assert!(matches!(reported, TrialOutcome::Inconclusive(why) if why.contains("locked")));
        assert_eq!(unless_reported(violated.clone(), None), violated);
        let proven = unless_reported(judge(&good()), Some("no title"));
        assert_eq!(proven, TrialOutcome::Proven);
    }

    #[test]
    fn two_writes_in_one_step_are_ambiguous() {
        for writes in [None, Some(0), Some(2)] {
            assert!(matches!(
                with(|t| t.steps[0].writes = writes),
                TrialOutcome::Ambiguous(_)
            ));
        }
    }

    #[test]
    fn a_marker_before_the_gate_closed_again_is_ambiguous() {
        assert_eq!(
            with(|t| t.final_at = Some(ms(404))),
            TrialOutcome::Overtaken
        );
    }

    #[test]
    fn a_row_that_an_earlier_step_completed_is_left_open() {
        let earlier = |row| {
            with(|t| {
                let first = t.steps[0].clone();
                t.steps.insert(0, StepSeen { row, ..first });
            })
        };
        assert_eq!(earlier(RowState::Complete), TrialOutcome::SavedEarlier);
        assert!(matches!(
            earlier(RowState::Unreadable),
            TrialOutcome::Inconclusive(_)
        ));
        assert_eq!(earlier(RowState::Incomplete), TrialOutcome::Proven);
    }

    #[test]
    fn a_row_that_appears_behind_a_closed_gate_means_another_store() {
        assert!(matches!(
            with(|t| t.steps.clear()),
            TrialOutcome::Inconclusive(_)
        ));
    }

    #[test]
    fn a_late_or_unseen_writer_is_ambiguous() {
        for after in [Some(ms(200)), None] {
            assert!(matches!(
                with(|t| t.steps[0].writer_after = after),
                TrialOutcome::Ambiguous(_)
            ));
        }
    }

    #[test]
    fn nothing_is_decided_without_the_marker_or_the_gate() {
        assert!(matches!(
            with(|t| t.final_at = None),
            TrialOutcome::Inconclusive(_)
        ));
        assert!(matches!(
            with(|t| t.closed = None),
            TrialOutcome::Inconclusive(_)
        ));
        assert!(matches!(
            with(|t| t.row_at_final = Some(RowState::Unreadable)),
            TrialOutcome::Inconclusive(_)
        ));
    }

    #[test]
    fn the_worst_trial_decides_and_two_are_too_few() {
        let bad = TrialOutcome::Violated(String::new());
        let unclear = TrialOutcome::Ambiguous(String::new());
        let proven = || vec![TrialOutcome::Proven; 3];
        assert_eq!(
            sum(&[proven(), vec![unclear.clone(), bad.clone()]].concat(), 3),
            bad
        );
        assert_eq!(
            sum(
                &[TrialOutcome::Proven, unclear.clone(), TrialOutcome::Proven],
                3
            ),
            unclear
        );
        assert_eq!(sum(&proven(), 3), TrialOutcome::Proven);
        assert_eq!(
            sum(&[proven(), vec![unclear]].concat(), 3),
            TrialOutcome::Proven
        );
        let overtaken = |times| [proven(), vec![TrialOutcome::Overtaken; times]].concat();
        assert_eq!(sum(&overtaken(1), 3), TrialOutcome::Proven);
        assert_eq!(sum(&overtaken(2), 3), TrialOutcome::Overtaken);
        for wanted in [1, 5] {
            let shown = vec![TrialOutcome::Proven; wanted.min(2)];
            assert!(matches!(sum(&shown, wanted), TrialOutcome::Inconclusive(_)));
        }
    }
}
