//! Two times of the same message.

use crate::model::epoch;

/// Whether one of two times is the other one, cut off or rounded to whole units.
pub(super) fn is_rounded(times: [Option<i64>; 2], unit: i64) -> bool {
    let [Some(one), Some(other)] = times else {
        return false;
    };
    let whole = |time: i64| time - time.rem_euclid(unit);
    let of = |coarse: i64, fine: i64| {
        coarse == whole(fine) || coarse == whole(fine.saturating_add(unit / 2))
    };
    one != other && (of(one, other) || of(other, one))
}

/// A span in seconds, with its sign.
pub(super) fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { '-' } else { '+' };
    let micros = micros.unsigned_abs();
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction} s", micros / 1_000_000)
}

/// Whether two places are the times of their messages, in any unit: they tell no more than these do.
pub(super) fn are_times(places: [i64; 2], times: [Option<i64>; 2]) -> bool {
    let is_time = |at: usize| times[at].is_some_and(|time| epoch::is(places[at], time));
    let [was, now] = places.map(epoch::unit);
    let in_micros = places.map(epoch::micros);
    // Of two numbers in one unit, an unequal one is another place: they may be no times at all.
    is_time(0) && is_time(1) || was != now && in_micros[0].is_some() && in_micros[0] == in_micros[1]
}

#[cfg(test)]
mod tests {
    use super::is_rounded;

    #[test]
    fn a_time_is_rounded_or_cut_off_and_not_another_one() {
        let second = 1_000_000;
        let near = |one, other| is_rounded([Some(one), Some(other)], second);
        assert!(near(5_700_000, 5_000_000) && near(5_000_000, 5_700_000));
        assert!(near(5_700_000, 6_000_000) && near(-300_000, -1_000_000));
        for (one, other) in [
            (5_000_000, 5_000_000),
            (5_200_000, 6_000_000),
            (5_000_000, 6_000_000),
            (5_700_000, 5_800_000),
        ] {
            assert!(!near(one, other), "{one} {other}");
        }
        assert!(!is_rounded([None, Some(0)], second));
    }
}
