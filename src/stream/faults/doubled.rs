//! How one request reaches a server twice.

use super::client::ClientBehaviour;
use super::leaving::Point;

/// A way in which a request is sent twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Doubled {
    /// The case's name in the report.
    pub name: &'static str,
    /// What the client does, for a timeline.
    pub what: &'static str,
    /// When the second request is sent.
    pub second: Second,
}

/// When the second request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// Together with the first: a button that is pressed twice, a page in two tabs.
    AtOnce,
    /// Together with the first, to another process of the server: a load balancer that sends it on twice.
    ToAReplica,
    /// When the first was answered: a user who sends the same words again, or a client that missed the end.
    AfterTheEnd,
    /// When the connection of the first was cut at this point: a proxy or a client that tries again.
    AfterACut(Point),
}

pub static TWICE: ClientBehaviour = ClientBehaviour::named("send-twice");

/// Every way.
pub static DOUBLED: [Doubled; 4] = [
    Doubled {
        name: "sent-twice-at-once",
        what: "the same request is sent again at once",
        second: Second::AtOnce,
    },
    Doubled {
        name: "sent-twice-to-two-replicas",
        what: "the same request is sent to another replica at once",
        second: Second::ToAReplica,
    },
    Doubled {
        name: "sent-twice-after-a-cut",
        what: "the first connection is reset, and the same request is sent again",
        second: Second::AfterACut(Point::BeforeFirstByte),
    },
    Doubled {
        name: "sent-twice-in-a-row",
        what: "the first is answered, and the same request is sent again",
        second: Second::AfterTheEnd,
    },
];
