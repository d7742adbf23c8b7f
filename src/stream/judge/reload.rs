//! What reloads show at the final marker, while each commit that follows it is withheld. Pure.
//!
//! A reload that lacks the answer at the marker is one that a user may have made. Where a commit waits
//! meanwhile, and the reload shows the answer once it is done, a crash in between hides the answer. Where
//! none waits, the history may lag, or be kept where no gate is: nobody knows what a crash hides.

use super::order::Tick;
use std::time::Duration;

/// Between two reloads while nothing is withheld.
const PAUSE: Duration = Duration::from_millis(100);
/// A history that is only so late is not called late: the server may finish the response meanwhile.
const GRACE: Duration = Duration::from_millis(200);
/// A gate that locks the store withholds all that follows.
pub const LOCK: u64 = 0;

/// What one reload shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All that was said.
    All,
    /// The answer, and not all that was said before.
    Part,
    /// The answer is missing.
    Nothing,
    /// There was no reply, and whether the server had the time that it needs for one.
    Silence { had_time: bool },
}

/// One reload, and what the gate withheld when it was over.
pub struct Look<'a> {
    pub asked: Tick,
    pub answered: Tick,
    pub seen: Seen,
    /// Each commit and when it came, the oldest first.
    pub withheld: &'a [(u64, Tick)],
    /// Whether the response was over before.
    pub is_over: bool,
}

/// What the reloads of one trial show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Nothing about the answer: nobody asked, or there was nothing to compare.
    Untold,
    /// The answer is there.
    Shown,
    /// It was missing for a whole hold in which this commit was withheld.
    Hidden(u64),
    /// It was missing, and no commit that was withheld for a hold says why.
    Lacked,
    /// There was no reply, and whether the server had the time that it needs for one.
    Silence { had_time: bool },
}

/// What to do after a reload.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Reload again at this time.
    Again(Tick),
    Done(Reload),
}

/// The reloads of one trial.
pub struct Watch {
    hold: Duration,
    /// How long a reload that lacks something is repeated while nothing is withheld.
    settle: Duration,
    /// When the first one was asked that lacked something.
    first: Option<Tick>,
    /// Whether one lacked the answer itself.
    lacked: bool,
    /// A commit that is withheld, and since when that counts.
    held: Option<(u64, Tick)>,
}

impl Watch {
    pub const fn new(hold: Duration, settle: Duration) -> Self {
        Self {
            hold,
            settle,
            first: None,
            lacked: false,
            held: None,
        }
    }

    /// What they show if no commit explains it.
    pub const fn unexplained(&self) -> Reload {
        if self.lacked {
            Reload::Lacked
        } else {
            Reload::Untold
        }
    }

    /// Takes in one reload.
    pub fn saw(&mut self, look: &Look<'_>) -> Next {
        match look.seen {
            Seen::All => {
                let is_late = self.first.is_some_and(|first| look.asked > first + GRACE);
                return Next::Done(if is_late && self.lacked {
                    Reload::Lacked
                } else {
                    Reload::Shown
                });
            }
            Seen::Silence { .. } if self.lacked => return Next::Done(Reload::Lacked),
            Seen::Silence { had_time } => return Next::Done(Reload::Silence { had_time }),
            Seen::Nothing => self.lacked = true,
            Seen::Part => {}
        }
        let first = *self.first.get_or_insert(look.asked);
        let is_withheld = |id: u64| look.withheld.iter().any(|(it, _)| *it == id);
        if let Some((id, since)) = self.held.filter(|(id, _)| is_withheld(*id)) {
            return if look.asked >= since + self.hold {
                Next::Done(Reload::Hidden(id))
            } else {
                Next::Again(since + self.hold)
            };
        }
        // One that came before the marker counts from the first reload.
        let oldest = look.withheld.first();
        self.held = oldest.map(|(id, came)| (*id, (*came).max(first)));
        if let Some((_, since)) = self.held {
            return Next::Again(since + self.hold);
        }
        let patience = if look.is_over {
            self.hold
        } else {
            self.hold.max(self.settle)
        };
        if look.asked >= first + patience {
            return Next::Done(self.unexplained());
        }
        Next::Again(look.answered + PAUSE)
    }
}

/// What the trials of a session show together.
#[derive(Debug, PartialEq, Eq)]
pub enum Together {
    /// The reloads of each turn showed its answer, or there was nothing to ask.
    Shown,
    /// In so many trials the answer was missing.
    Missing(usize),
    /// Of a turn no reload was answered, because each took longer than a commit may be withheld.
    TooSlow,
    /// Of a turn no reload was answered, though there was time.
    Untried,
}

/// Sums up trials, each with its turn.
pub fn together(trials: &[(usize, Reload)]) -> Together {
    let is_missing = |(_, it): &&(usize, Reload)| matches!(it, Reload::Hidden(_) | Reload::Lacked);
    let missing = trials.iter().filter(is_missing).count();
    if missing > 0 {
        return Together::Missing(missing);
    }
    let has = |turn: usize, wanted: Reload| trials.contains(&(turn, wanted));
    let unseen = || {
        let turns = trials.iter().map(|(turn, _)| *turn);
        turns.filter(|turn| !has(*turn, Reload::Shown))
    };
    let is = |had_time| unseen().any(|turn| has(turn, Reload::Silence { had_time }));
    if is(false) {
        Together::TooSlow
    } else if is(true) {
        Together::Untried
    } else {
        Together::Shown
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Look, Next, Reload, Seen, Together, Watch, together};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What a trial shows: `shows` gives what a reload that was asked at a time, in ms after the marker,
    /// shows, `commit` when a commit came to the gate, and `over` when the response ended.
    fn trial(shows: impl Fn(u64) -> Seen, takes: u64, commit: Option<u64>, over: u64) -> Reload {
        let mut watch = Watch::new(ms(300), ms(2_000));
        let mut now = 0;
        loop {
            let answered = now + takes;
            let came = commit.filter(|came| *came <= answered);
            let withheld: Vec<_> = came.iter().map(|came| (7, ms(*came))).collect();
            let look = Look {
                asked: ms(now),
                answered: ms(answered),
                seen: shows(now),
                withheld: &withheld,
                is_over: over <= now,
            };
            match watch.saw(&look) {
                Next::Done(reload) => return reload,
                Next::Again(at) => now = answered.max(u64::try_from(at.as_millis()).unwrap()),
            }
        }
    }

    const SLOW: Seen = Seen::Silence { had_time: false };
    const BLOCKED: Seen = Seen::Silence { had_time: true };

    fn from(since: u64, seen: Seen) -> impl Fn(u64) -> Seen {
        move |at| if at < since { Seen::Nothing } else { seen }
    }

    #[test]
    fn an_answer_that_a_reload_lacks_at_the_marker_is_missing() {
        let never = || from(u64::MAX, Seen::All);
        // The commit comes at once, late in the open response, and while a slow history is read.
        assert_eq!(trial(never(), 2, Some(1), 5), Reload::Hidden(7));
        assert_eq!(trial(never(), 2, Some(1_000), 9_000), Reload::Hidden(7));
        assert_eq!(trial(never(), 1_000, Some(10), 9_000), Reload::Hidden(7));
        // No commit comes.
        assert_eq!(trial(never(), 2, None, 1_000), Reload::Lacked);
        assert_eq!(trial(never(), 2, None, u64::MAX), Reload::Lacked);
        // It is shown without a commit, or while the commit waits.
        assert_eq!(
            trial(from(1_000, Seen::All), 2, None, 2_000),
            Reload::Lacked
        );
        assert_eq!(trial(from(250, Seen::All), 2, Some(1), 5), Reload::Lacked);
        // It was missing before the server could not reply any more.
        assert_eq!(trial(from(50, BLOCKED), 2, Some(90), 5), Reload::Lacked);
        // A part of the conversation is missing, and a commit waits.
        assert_eq!(trial(|_| Seen::Part, 2, Some(1), 5), Reload::Hidden(7));
    }

    #[test]
    fn an_answer_that_a_reload_shows_at_the_marker_is_there() {
        let at_once = || from(0, Seen::All);
        assert_eq!(trial(at_once(), 2, None, 5), Reload::Shown);
        // Other commits may follow, and a history may be slow.
        assert_eq!(trial(at_once(), 2, Some(1), 5), Reload::Shown);
        assert_eq!(trial(at_once(), 3_000, None, 5), Reload::Shown);
        // The response ends at the same time.
        assert_eq!(trial(from(60, Seen::All), 2, None, 5), Reload::Shown);
        // The answer is there, and nobody waits to complete what was said before.
        assert_eq!(trial(|_| Seen::Part, 2, None, 5), Reload::Untold);
        for silence in [SLOW, BLOCKED] {
            let Seen::Silence { had_time } = silence else {
                unreachable!()
            };
            let expected = Reload::Silence { had_time };
            assert_eq!(trial(from(0, silence), 2, Some(1), 5), expected);
        }
    }

    #[test]
    fn each_turn_has_to_be_seen_once() {
        let slow = Reload::Silence { had_time: false };
        let blocked = Reload::Silence { had_time: true };
        let of = |first: &[Reload], second: &[Reload]| {
            let first = first.iter().map(|it| (0, *it));
            let second = second.iter().map(|it| (1, *it));
            together(&first.chain(second).collect::<Vec<_>>())
        };
        let shown = [Reload::Shown; 3];
        assert_eq!(of(&shown, &shown), Together::Shown);
        assert_eq!(of(&[Reload::Untold; 3], &[]), Together::Shown);
        assert_eq!(of(&[slow, Reload::Shown, blocked], &shown), Together::Shown);
        assert_eq!(of(&shown, &[blocked; 3]), Together::Untried);
        assert_eq!(of(&shown, &[blocked, slow, blocked]), Together::TooSlow);
        assert_eq!(of(&[blocked; 3], &[slow; 3]), Together::TooSlow);
        let lacked = [Reload::Shown, Reload::Lacked, Reload::Hidden(1)];
        assert_eq!(of(&lacked, &shown), Together::Missing(2));
    }
}
