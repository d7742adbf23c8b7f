//! Where in an answer its client loses the connection, and when it resumes.

use super::leaving::{Cut, Point};
use std::fmt;

/// When the client resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While the provider still has something to say.
    During,
    /// When the provider has said all.
    Later,
    /// When the client itself has received all.
    AfterTheEnd,
}

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resuming {
    /// Where the connection ends.
    pub point: Point,
    /// When the client resumes.
    pub moment: Moment,
}

impl fmt::Display for Resuming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.moment {
            Moment::During => write!(f, "resumed-at-{}", self.point),
            Moment::Later => write!(f, "resumed-late-at-{}", self.point),
            Moment::AfterTheEnd => f.write_str("resumed-after-the-end"),
        }
    }
}

/// Every point; the first case is the one whose client has seen the whole answer before.
fn cases(points: Vec<Point>, later: impl Fn(Point) -> bool) -> Vec<Resuming> {
    let mut cases = vec![Resuming {
        point: Point::FinalMarker,
        moment: Moment::AfterTheEnd,
    }];
    for point in points.into_iter().filter(|it| *it != Point::FinalMarker) {
        let mut add = |moment| cases.push(Resuming { point, moment });
        add(Moment::During);
        if later(point) {
            add(Moment::Later);
        }
    }
    cases
}

impl Cut {
    /// One case of each kind.
    pub fn main_resumes(self) -> Vec<Resuming> {
        cases(self.main_points(), |point| matches!(point, Point::Event(_)))
    }

    /// Every point, each N-th event among them, both in mid-answer and later.
    pub fn all_resumes(self, every: usize) -> Vec<Resuming> {
        cases(self.points(every), |_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn the_main_cases_have_each_point_and_each_moment() {
        let cut = Cut {
            calls: 0,
            last_calls: 0,
            before: 4,
            after: 3,
            finals: 1,
        };
        let names: Vec<_> = cut.main_resumes().iter().map(ToString::to_string).collect();
        let expected = [
            "resumed-after-the-end",
            "resumed-at-before-first-byte",
            "resumed-at-event-2",
            "resumed-late-at-event-2",
            "resumed-at-last-delta",
            "resumed-at-text-complete",
        ];
        assert_eq!(names, expected);
        assert_eq!(cut.all_resumes(1).len(), 1 + 7 * 2);
    }
}
