//! Shares as a line of bars.

use super::Counts;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One bar a window; the full one means that nothing is missing, a dot that nothing was asked.
pub fn sparkline(windows: &[Counts]) -> String {
    windows
        .iter()
        .map(|window| match window.share() {
            None => '·',
            Some(_) if window.answered == window.questions => BARS[7],
            // What is missing must be seen, be it one of thousands.
            Some(share) => BARS[((share * 7.0) as usize).min(6)],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Counts, sparkline};

    #[test]
    fn one_missing_answer_is_seen() {
        let window = |answered, questions| Counts {
            questions,
            answered,
            ..Counts::default()
        };
        let windows = [window(9, 9), window(999, 1000), window(0, 3), window(0, 0)];
        assert_eq!(sparkline(&windows), "█▇▁·");
    }
}
