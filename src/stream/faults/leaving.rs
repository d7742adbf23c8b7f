//! Where in an answer its client leaves, and how.

use super::client::{
    ClientBehaviour, LEAVE_BY_FIN, LEAVE_BY_HALF_CLOSE, LEAVE_BY_RST, LEAVE_BY_RST_STREAM,
    LEAVE_BY_STALL,
};
use std::fmt;

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It closes the connection in order: a tab that is closed, another page.
    Fin,
    /// It resets the connection: a browser that is killed, a network that is gone.
    Reset,
    /// It closes its own direction only, and continues reading: some proxies and command-line
    /// clients.
    HalfClose,
    /// It reads no more, and keeps the connection: a machine that sleeps.
    Stall,
    /// It aborts the stream of its answer, and keeps the connection for others: a browser over HTTP/2.
    ResetStream,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 5] = [
        Self::Fin,
        Self::Reset,
        Self::HalfClose,
        Self::Stall,
        Self::ResetStream,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "rst",
            Self::HalfClose => "half-close",
            Self::Stall => "stall",
            Self::ResetStream => "rst-stream",
        }
    }

    /// The client that leaves so.
    pub fn client(self) -> &'static ClientBehaviour {
        match self {
            Self::Fin => &LEAVE_BY_FIN,
            Self::Reset => &LEAVE_BY_RST,
            Self::HalfClose => &LEAVE_BY_HALF_CLOSE,
            Self::Stall => &LEAVE_BY_STALL,
            Self::ResetStream => &LEAVE_BY_RST_STREAM,
        }
    }

    /// What the client does, for a timeline.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Fin => "the client closes the connection",
            Self::Reset => "the client resets the connection",
            Self::HalfClose => "the client closes its direction of the connection, and reads on",
            Self::Stall => "the client stops reading, and keeps the connection",
            Self::ResetStream => "the client aborts the stream, and keeps the connection",
        }
    }

    /// Whether every server hears of it. One that sleeps or half closes may look like one that reads slowly.
    pub const fn is_heard(self) -> bool {
        match self {
            Self::Fin | Self::Reset | Self::ResetStream => true,
            Self::HalfClose | Self::Stall => false,
        }
    }
}

/// Where in the answer something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The server has asked its provider, which has said nothing yet.
    BeforeFirstByte,
    /// The provider has sent so many events.
    Event(usize),
    /// The model is calling tools: the provider has sent a part of the calls.
    InTool,
    /// The tools were called, and the server has asked its provider again, which has said nothing yet.
    BetweenSteps,
    /// The provider has sent all of the text, and not that it is all.
    LastDelta,
    /// The provider has said that the text is complete, and not that the stream is over.
    TextComplete,
    /// The client has received the final marker.
    FinalMarker,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeFirstByte => f.write_str("before-first-byte"),
            Self::Event(number) => write!(f, "event-{number}"),
            Self::InTool => f.write_str("in-tool"),
            Self::BetweenSteps => f.write_str("between-steps"),
            Self::LastDelta => f.write_str("last-delta"),
            Self::TextComplete => f.write_str("text-complete"),
            Self::FinalMarker => f.write_str("final-marker"),
        }
    }
}

/// How an answer of the provider is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many of them belong to answers by which the model calls tools.
    pub calls: usize,
    /// How many of these belong to the last such answer.
    pub last_calls: usize,
    /// How many come before the last one with text, those of the calls included.
    pub before: usize,
    /// How many come after it.
    pub after: usize,
    /// How many of these are the final marker and nothing else.
    pub finals: usize,
}

impl Cut {
    /// How many chunks the provider has sent at a point; all of them where the client decides.
    pub const fn chunks_at(self, point: Point) -> Option<usize> {
        match point {
            Point::BeforeFirstByte => Some(0),
            Point::Event(number) => Some(number),
            Point::InTool => Some(self.in_tool()),
            Point::BetweenSteps => Some(self.calls),
            Point::LastDelta => Some(self.before + 1),
            Point::TextComplete => Some(self.before + 1 + self.after - self.finals),
            Point::FinalMarker => None,
        }
    }

    /// How many pieces of the text the provider has still to send at a point.
    pub const fn to_come_at(self, point: Point) -> usize {
        match self.chunks_at(point) {
            Some(chunks) => (self.before + 1).saturating_sub(chunks),
            None => 0,
        }
    }

    /// Half of the last calls.
    const fn in_tool(self) -> usize {
        self.calls - self.last_calls / 2
    }

    /// The points of this answer, each N-th event among them. A format without an own word for the end of the
    /// text has no point there.
    pub fn points(self, every: usize) -> Vec<Point> {
        let event = |number: usize| match number {
            _ if self.calls == number => Some(Point::BetweenSteps),
            _ if self.calls > 0 && self.in_tool() == number => Some(Point::InTool),
            _ => (number - 1)
                .is_multiple_of(every.max(1))
                .then_some(Point::Event(number)),
        };
        let mut points = vec![Point::BeforeFirstByte];
        points.extend((1..=self.before).filter_map(event));
        points.push(Point::LastDelta);
        if self.after > self.finals {
            points.push(Point::TextComplete);
        }
        points.push(Point::FinalMarker);
        points
    }

    /// One point of each kind: the event is the middle one.
    pub fn main_points(self) -> Vec<Point> {
        let mut points = self.points(1);
        let is_event = |point: &&Point| matches!(point, Point::Event(_));
        let events: Vec<_> = points.iter().filter(is_event).copied().collect();
        let middle = events.get(events.len().saturating_sub(1) / 2).copied();
        points.retain(|point| match point {
            Point::Event(_) => Some(*point) == middle,
            Point::BeforeFirstByte
            | Point::InTool
            | Point::BetweenSteps
            | Point::LastDelta
            | Point::TextComplete
            | Point::FinalMarker => true,
        });
        points
    }

    /// The main points, each left in order, and the event in the middle left in every way.
    pub fn main_cases(self) -> Vec<(Point, Way)> {
        let mut cases = Vec::new();
        for point in self.main_points() {
            let ways: &[Way] = match point {
                Point::Event(_) => &Way::ALL,
                // The case `close-at-final` closes there in order.
                Point::FinalMarker => &[Way::Reset],
                Point::BeforeFirstByte
                | Point::InTool
                | Point::BetweenSteps
                | Point::LastDelta
                | Point::TextComplete => &[Way::Fin],
            };
            cases.extend(ways.iter().map(|way| (point, *way)));
        }
        cases
    }

    /// Every point in every way.
    pub fn all_cases(self, every: usize) -> Vec<(Point, Way)> {
        let points = self.points(every).into_iter();
        points
            .flat_map(|point| Way::ALL.map(|way| (point, way)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, Point, Way};

    const OPENAI: Cut = Cut {
        calls: 0,
        last_calls: 0,
        before: 4,
        after: 3,
        finals: 1,
    };

    #[test]
    fn points_are_in_the_order_of_the_answer() {
        let names: Vec<_> = OPENAI.points(2).iter().map(Point::to_string).collect();
        let expected = [
            "before-first-byte",
            "event-1",
            "event-3",
            "last-delta",
            "text-complete",
            "final-marker",
        ];
        assert_eq!(names, expected);
        let chunks = OPENAI.points(1).into_iter().map(|it| OPENAI.chunks_at(it));
        let chunks: Vec<_> = chunks.collect();
        let expected = [0, 1, 2, 3, 4, 5, 7].map(Some).into_iter().chain([None]);
        assert_eq!(chunks, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_to_come_ends_with_the_text() {
        let points = OPENAI.points(1).into_iter();
        let to_come: Vec<_> = points.map(|it| OPENAI.to_come_at(it)).collect();
        assert_eq!(to_come, [5, 4, 3, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn a_format_without_a_word_for_the_end_of_the_text_has_no_such_point() {
        let bare = Cut {
            calls: 0,
            last_calls: 0,
            before: 0,
            after: 1,
            finals: 1,
        };
        let points = [Point::BeforeFirstByte, Point::LastDelta, Point::FinalMarker];
        assert_eq!(bare.points(1), points);
        assert_eq!(bare.main_points(), points);
    }

    #[test]
    fn a_turn_with_tools_has_points_within_and_after_the_calls() {
        let tools = Cut {
            calls: 8,
            last_calls: 6,
            before: 11,
            ..OPENAI
        };
        let names: Vec<_> = tools.points(4).iter().map(Point::to_string).collect();
        let expected = [
            "before-first-byte",
            "event-1",
            "in-tool",
            "between-steps",
            "event-9",
            "last-delta",
            "text-complete",
            "final-marker",
        ];
        assert_eq!(names, expected);
        assert_eq!(tools.chunks_at(Point::InTool), Some(5));
        assert_eq!(tools.chunks_at(Point::BetweenSteps), Some(8));
        let main = tools.main_points();
        assert_eq!(main.len(), 7);
        assert!(main.contains(&Point::Event(6)), "{main:?}");
    }

    #[test]
    fn the_main_cases_have_every_point_and_every_way() {
        let cases = OPENAI.main_cases();
        assert_eq!(cases.len(), 9);
        for way in Way::ALL {
            assert!(cases.contains(&(Point::Event(2), way)), "{way:?}");
        }
        assert_eq!(OPENAI.all_cases(1).len(), 8 * 5);
    }
}
