//! How long the parts of a turn take.

use crate::clock;
use crate::clock::Tick;
use crate::stream::session::Limit;
use crate::stream::turn::Turn;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(8);
/// So many times as long as a turn with nothing in its way a response may take, where that is more.
const SLOWER: u32 = 3;

/// Times that were seen, over all turns.
#[derive(Debug, Default)]
pub(super) struct Times {
    first_text: Vec<Duration>,
    gaps: Vec<Duration>,
    whole: Vec<Duration>,
    to_commit: Vec<Duration>,
    to_final: Vec<Duration>,
    to_end: Vec<Duration>,
    reload: Duration,
}

impl Times {
    /// Takes in a turn with nothing in its way.
    pub(super) fn turn(&mut self, turn: &Turn, sent: Tick) {
        let since_sent = |at: Tick| at.saturating_sub(sent);
        self.first_text.extend(turn.first_text.map(since_sent));
        let gaps = turn.pieces.windows(2);
        self.gaps
            .extend(gaps.map(|pair| pair[1].saturating_sub(pair[0])));
        self.whole.extend(turn.ended.map(since_sent));
        if let (Some(at), Some(ended)) = (turn.final_at, turn.ended) {
            self.to_end.push(ended.saturating_sub(at));
        }
    }

    /// Takes in a trial: when the server asked for the commit, when it had its answer, and when the
    /// final marker came.
    pub(super) fn commit(&mut self, turn: &Turn, asked: Option<Tick>, given: Option<Tick>) {
        let complete = turn.text_complete.as_ref().map(|(at, _)| *at);
        let complete = complete.or(turn.pieces.last().copied());
        if let (Some(complete), Some(asked)) = (complete, asked) {
            self.to_commit.push(asked.saturating_sub(complete));
        }
        if let (Some(given), Some(at)) = (given, turn.final_at) {
            self.to_final.push(at.saturating_sub(given));
        }
    }

    /// Takes in a reload with nothing in its way.
    pub(super) async fn reload<T>(&mut self, reload: impl Future<Output = T>) -> T {
        let asked = clock::now();
        let reply = reload.await;
        self.reload = self.reload.max(clock::now() - asked);
        reply
    }

    /// The longest reload with nothing in its way.
    pub(super) const fn slowest_reload(&self) -> Duration {
        self.reload
    }

    /// The longest that a response may take after its save failed: servers may try again, and on a busy machine
    /// each turn takes long.
    pub(super) fn patience(&self) -> Duration {
        let slowest = self.whole.iter().max().copied().unwrap_or_default();
        PATIENCE.max(SLOWER * slowest)
    }

    /// What a limit holds for.
    pub(super) fn of(&self, limit: Limit) -> Option<Duration> {
        let most = |times: &[Duration]| times.iter().max().copied();
        match limit {
            Limit::TimeToFirstText => most(&self.first_text),
            Limit::GapP95 => share(&self.gaps, 95),
            Limit::GapMax => most(&self.gaps),
            Limit::TextCompleteToCommit => most(&self.to_commit),
            Limit::CommitToFinal => most(&self.to_final),
            Limit::FinalToEnd => most(&self.to_end),
        }
    }

    /// Figures for a report. Those that OpenTelemetry's conventions for generative AI name are in
    /// seconds, as there.
    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        let seconds = |time: Duration| time.as_secs_f64();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let figures = [
            (
                "gen_ai.client.operation.time_to_first_chunk",
                share(&self.first_text, 50).map(seconds),
            ),
            (
                "gen_ai.client.operation.time_per_output_chunk.p50",
                share(&self.gaps, 50).map(seconds),
            ),
            (
                "gen_ai.client.operation.time_per_output_chunk.p95",
                share(&self.gaps, 95).map(seconds),
            ),
            (
                "gen_ai.client.operation.time_per_output_chunk.max",
                share(&self.gaps, 100).map(seconds),
            ),
            (
                "gen_ai.client.operation.duration",
                share(&self.whole, 50).map(seconds),
            ),
            (
                "text_complete_to_commit_ms",
                share(&self.to_commit, 50).map(ms),
            ),
            ("commit_to_final_ms", share(&self.to_final, 50).map(ms)),
            ("final_to_end_ms", share(&self.to_end, 50).map(ms)),
        ];
        let known = figures.into_iter();
        known
            .filter_map(|(name, figure)| Some((name, figure?)))
            .collect()
    }
}

/// The time that so many in a hundred do not exceed.
fn share(times: &[Duration], percent: usize) -> Option<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let index = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Limit, PATIENCE, SLOWER, Times, Turn, share};

    #[test]
    fn times_are_taken_out_of_a_turn() {
        let ms = Duration::from_millis;
        let mut times = Times::default();
        let turn = Turn {
            first_text: Some(ms(110)),
            pieces: vec![ms(110), ms(120), ms(150)],
            final_at: Some(ms(200)),
            ended: Some(ms(205)),
            ..Turn::default()
        };
        times.turn(&turn, ms(100));
        times.commit(&turn, Some(ms(170)), Some(ms(190)));
        for (limit, expected) in [
            (Limit::TimeToFirstText, 10),
            (Limit::GapP95, 30),
            (Limit::GapMax, 30),
            (Limit::TextCompleteToCommit, 20),
            (Limit::CommitToFinal, 10),
            (Limit::FinalToEnd, 5),
        ] {
            assert_eq!(times.of(limit), Some(ms(expected)), "{limit:?}");
        }
        assert_eq!(times.patience(), PATIENCE);
        times.whole.push(PATIENCE);
        assert_eq!(times.patience(), SLOWER * PATIENCE);
        assert_eq!(share(&[ms(3), ms(1), ms(2)], 50), Some(ms(2)));
        assert_eq!(share(&[], 50), None);
        assert_eq!(times.figures().len(), 8);
    }
}
