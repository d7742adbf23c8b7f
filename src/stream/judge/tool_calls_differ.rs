//! The tools that the model called are not stored as it called them.

use super::{Check, Observed, TurnSeen};
use crate::model::{StoredMessage, ToolCall, known_role};
use crate::report::{Finding, Severity, Source};
use crate::stream::marks;
use serde_json::Value;

pub(super) const CHECK: Check = Check {
    code: "tool-calls-differ",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let differs = |turn: &&TurnSeen| Some((turn.number, differs(turn)?));
    let Some((number, how)) = observed.turns.iter().find_map(|turn| differs(&turn)) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!("the stored tool calls of turn {number} differ from those that the model made"),
            "store each call with its arguments and its result, in the order in which they came",
        )
        .with(Source::Store, how),
    ]
}

/// In which way they differ; nothing where the store keeps no tools at all.
fn differs(turn: &TurnSeen) -> Option<String> {
    let rows = rows(&turn.tag, &turn.stored);
    let tools: Vec<_> = rows.iter().flat_map(|row| &row.tools).collect();
    if turn.tool_calls.is_empty() || tools.is_empty() {
        return None;
    }
    let mut stored = tools.iter();
    for call in &turn.tool_calls {
        // Others may be between them; those that follow must be behind it.
        if !stored.any(|tool| is_same(tool, call)) {
            let is_there = tools.iter().any(|tool| is_same(tool, call));
            let (name, arguments) = (&call.name, call.input.as_deref().unwrap_or_default());
            return Some(if is_there {
                format!("the call `{name}({arguments})` is out of order")
            } else {
                format!("no row holds the call `{name}({arguments})`")
            });
        }
    }
    let results = tools.iter().filter(|tool| tool.output.is_some()).count();
    let calls = turn.tool_calls.len();
    if results > 0 && results < calls {
        return Some(format!("of {calls} calls {results} have a result"));
    }
    let place = |is: &dyn Fn(&StoredMessage) -> bool| rows.iter().position(|row| is(row));
    let answer = place(&|row| row.content.contains(&turn.nonce))?;
    let last = rows.iter().rposition(|row| !row.tools.is_empty())?;
    (answer < last).then(|| "the answer is stored before its tool calls".to_owned())
}

/// How much a store keeps of the tools of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    calls: usize,
    /// Those that say something.
    results: usize,
}

impl Kept {
    /// Of the turn with this tag, in its conversation's rows.
    pub fn of(tag: &str, stored: &[StoredMessage]) -> Self {
        let rows = rows(tag, stored);
        let tools = || rows.iter().flat_map(|row| &row.tools);
        let says = |tool: &&ToolCall| tool.output.as_ref().is_some_and(|it| !it.trim().is_empty());
        let is_bare = |row: &&&StoredMessage| {
            let is_tools = known_role(row.role.word()) == Some("tool");
            is_tools && row.tools.is_empty() && !row.content.trim().is_empty()
        };
        Self {
            calls: tools().filter(|tool| tool.input.is_some()).count(),
            results: tools().filter(says).count() + rows.iter().filter(is_bare).count(),
        }
    }

    /// What one of them has.
    #[must_use]
    fn most(self, other: Self) -> Self {
        Self {
            calls: self.calls.max(other.calls),
            results: self.results.max(other.results),
        }
    }

    /// What both have.
    #[must_use]
    fn least(self, other: Self) -> Self {
        Self {
            calls: self.calls.min(other.calls),
            results: self.results.min(other.results),
        }
    }

    /// What has to be there from now on, if a turn had this right after it and has that now: one
    /// kind may not go without the other. Nothing where it goes with all of it: that is a store
    /// without tools.
    #[must_use]
    fn stays(self, now: Self) -> Option<Self> {
        let stays = |then: usize, now: usize| if now == 0 { then } else { now };
        let kept = Self {
            calls: stays(self.calls, now.calls),
            results: stays(self.results, now.results),
        };
        (now != Self::default()).then_some(kept)
    }

    /// Whether less is there now than there was, as if it were meant so: all is gone, or some of a
    /// kind, which may be stored together now.
    pub fn shrinks(self, now: Self) -> bool {
        let has_merged = |then: usize, now: usize| (1..then).contains(&now);
        now == Self::default() && self != now
            || has_merged(self.calls, now.calls)
            || has_merged(self.results, now.results)
    }

    /// What is missing of that, in words.
    pub fn lacks(self, usual: Self) -> Option<String> {
        let fewer = |what: &str, has: usize, of: usize| {
            (has < of).then(|| format!("of {of} {what} of tools the conversation has {has}"))
        };
        let calls = fewer("calls", self.calls, usual.calls);
        calls.or_else(|| fewer("results", self.results, usual.results))
    }
}

/// What a turn's tools leave in a store, as chats showed it that were examined twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habit {
    /// What has to be there from now on; nothing where it goes with all of it.
    pub stays: Option<Kept>,
    /// In which chats there was less of it later, in a way that may be meant so.
    pub shrinks: Shrinks,
}

/// In how many chats something shrank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinks {
    /// In none.
    Nowhere,
    /// In some of them: the others have lost nothing, or not yet.
    InSome,
    /// In every one.
    InAll,
}

impl Habit {
    /// Of chats, each right after the turn and later. Only what all of them do is a habit: one chat that has less than
    /// the others has lost it.
    pub fn of(chats: &[[Kept; 2]]) -> Self {
        let least = |of: &dyn Fn(&[Kept; 2]) -> Kept| {
            let each = chats.iter().map(of);
            each.reduce(Kept::least).unwrap_or_default()
        };
        let shrunk = chats.iter().filter(|[then, now]| then.shrinks(*now));
        match shrunk.count() {
            0 => Self {
                stays: Some(least(&|[then, now]| then.most(*now))),
                shrinks: Shrinks::Nowhere,
            },
            some if some < chats.len() => Self {
                stays: Some(least(&|[then, now]| then.most(*now))),
                shrinks: Shrinks::InSome,
            },
            _ => Self {
                stays: least(&|[then, _]| *then).stays(least(&|[_, now]| *now)),
                shrinks: Shrinks::InAll,
            },
        }
    }

    /// Whether what is missing of it later may be meant to be: some chats were seen to drop it, and now every one has.
    pub fn is_dropped(self, now: &[Kept]) -> bool {
        let shrinks = |now: &Kept| self.stays.is_some_and(|usual| usual.shrinks(*now));
        self.shrinks == Shrinks::InSome && now.iter().all(shrinks)
    }
}

/// The turn's rows, in order: from its question to the next one.
fn rows<'r>(tag: &str, stored: &'r [StoredMessage]) -> Vec<&'r StoredMessage> {
    let mut rows = stored.iter().skip_while(|row| !row.content.contains(tag));
    let question = rows.next();
    let is_next = |row: &&StoredMessage| {
        let marks = marks::of(&row.content);
        marks.iter().any(|mark| mark.starts_with(marks::QUESTION))
    };
    question
        .into_iter()
        .chain(rows.take_while(|row| !is_next(row)))
        .collect()
}

/// Whether a store keeps this call: arguments are compared as JSON, where they are such.
pub fn is_same(stored: &ToolCall, call: &ToolCall) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text);
    let (Some(ours), Some(theirs)) = (&stored.input, &call.input) else {
        return false;
    };
    let is_alike = match (json(ours), json(theirs)) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        _ => ours == theirs,
    };
    stored.name == call.name && is_alike
}

#[cfg(test)]
mod tests {
    use super::{Habit, Kept, Shrinks, TurnSeen, differs};
    use crate::model::{Role, StoredMessage, ToolCall};

    const TAG: &str = "chatctl-u0000000000000001";

    fn tool(name: &str, input: Option<&str>, output: Option<&str>) -> ToolCall {
        ToolCall {
            name: name.to_owned(),
            input: input.map(str::to_owned),
            output: output.map(str::to_owned),
        }
    }

    fn row(role: Role, content: &str, tools: Vec<ToolCall>) -> StoredMessage {
        StoredMessage {
            tools,
            ..StoredMessage::new("1", role, content)
        }
    }

    fn told(rows: Vec<StoredMessage>) -> Option<String> {
        let mut stored = vec![row(Role::User, TAG, Vec::new())];
        stored.extend(rows);
        differs(&TurnSeen {
            tag: TAG.to_owned(),
            nonce: "chatctl-a1".to_owned(),
            tool_calls: vec![
                tool("add", Some("{\"a\": 1, \"b\": 2}"), None),
                tool("list", Some("{}"), None),
            ],
            stored,
            ..TurnSeen::blank(1)
        })
    }

    fn calls() -> StoredMessage {
        let add = tool("add", Some("{\"b\":2,\"a\":1}"), None);
        row(
            Role::Assistant,
            "",
            vec![add, tool("list", Some("{}"), None)],
        )
    }

    fn result(id: &str) -> StoredMessage {
        row(
            Role::Other("tool".to_owned()),
            "",
            vec![tool(id, None, Some("ok"))],
        )
    }

    fn answer() -> StoredMessage {
        row(Role::Assistant, "Done. chatctl-a1", Vec::new())
    }

    #[test]
    fn calls_and_results_are_stored_in_order() {
        assert_eq!(
            told(vec![calls(), result("1"), result("2"), answer()]),
            None
        );
        // Results that are kept nowhere are no loss: the calls are all that this store keeps.
        assert_eq!(told(vec![calls(), answer()]), None);
        // A store without tools keeps the answer only.
        assert_eq!(told(vec![answer()]), None);
        // All in one message.
        let one = tool("add", Some("{\"a\":1,\"b\":2}"), Some("ok"));
        let two = tool("list", Some("{}"), Some("[]"));
        let whole = row(Role::Assistant, "Done. chatctl-a1", vec![one, two]);
        assert_eq!(told(vec![whole]), None);
    }

    #[test]
    fn what_is_missing_or_at_another_place_is_found() {
        let has = |rows, words: &str| {
            let how = told(rows).unwrap_or_default();
            assert!(how.contains(words), "{how}");
        };
        let mut swapped = calls();
        swapped.tools.reverse();
        has(vec![swapped, answer()], "is out of order");
        let mut fewer = calls();
        fewer.tools.pop();
        has(vec![fewer, answer()], "no row holds the call `list({})`");
        let mut other = calls();
        other.tools[0].input = Some("{\"a\":1}".to_owned());
        has(vec![other, answer()], "no row holds the call `add(");
        has(vec![result("1"), result("2"), answer()], "no row holds");
        has(
            vec![calls(), result("1"), answer()],
            "of 2 calls 1 have a result",
        );
        has(
            vec![answer(), calls(), result("1"), result("2")],
            "before its tool calls",
        );
    }

    #[test]
    fn what_was_kept_of_tools_is_counted() {
        let kept = |rows: &[StoredMessage]| {
            let asked = row(Role::User, TAG, Vec::new());
            Kept::of(TAG, &[&[asked], rows].concat())
        };
        let usual = kept(&[calls(), result("1"), result("2"), answer()]);
        assert_eq!(usual.lacks(usual), None);
        let mut empty = result("2");
        empty.tools[0].output = Some(String::new());
        for (rows, what) in [
            (vec![answer()], "of 2 calls of tools the conversation has 0"),
            (
                vec![calls(), answer()],
                "of 2 results of tools the conversation has 0",
            ),
            (
                vec![calls(), result("1"), empty, answer()],
                "of 2 results of tools the conversation has 1",
            ),
        ] {
            assert_eq!(kept(&rows).lacks(usual).as_deref(), Some(what));
            // A server that does not keep them in every turn promises nothing.
            assert_eq!(kept(&rows).lacks(usual.least(kept(&rows))), None);
        }
        let mut bare = result("1");
        bare.content = std::mem::take(&mut bare.tools)[0].output.take().unwrap();
        assert_eq!(kept(&[bare]).results, 1);
    }

    #[test]
    fn the_next_turn_is_not_looked_at() {
        let next = row(Role::User, "chatctl-u0000000000000002", Vec::new());
        let more = row(Role::Assistant, "", vec![tool("x", None, Some("y"))]);
        assert_eq!(told(vec![answer(), next, more]), None);
    }

    /// Rows of steps that a server keeps only while a turn is under way are not lost.
    #[test]
    fn what_goes_in_every_chat_may_be_meant_to_go() {
        let kept = |calls: usize, results: usize| Kept { calls, results };
        let then = kept(2, 2);
        assert_eq!((then.stays(then), then.shrinks(then)), (Some(then), false));
        // Late ones count from when they are there.
        assert_eq!(kept(0, 0).stays(then), Some(then));
        assert!(!kept(0, 0).shrinks(then) && !kept(0, 0).shrinks(kept(0, 0)));
        // Results that are emptied, or calls that go without them, are lost.
        for one in [kept(2, 0), kept(0, 2)] {
            assert_eq!((then.stays(one), then.shrinks(one)), (Some(then), false));
        }
        // All of it, or drafts that became one row.
        assert_eq!(
            (then.stays(kept(0, 0)), then.shrinks(kept(0, 0))),
            (None, true)
        );
        let drafts = kept(4, 2);
        assert_eq!(
            (drafts.stays(then), drafts.shrinks(then)),
            (Some(then), true)
        );
    }

    /// What one chat alone loses does not show what the server does in all.
    #[test]
    fn what_one_chat_loses_is_not_what_every_chat_drops() {
        let kept = |calls: usize, results: usize| Kept { calls, results };
        let (all, none) = (kept(2, 2), Kept::default());
        let habit = |chats: &[[Kept; 2]]| {
            let habit = Habit::of(chats);
            (habit.stays, habit.shrinks)
        };
        let nowhere = (Some(all), Shrinks::Nowhere);
        assert_eq!(habit(&[[all, all]; 3]), nowhere);
        // Results that came later, and those that are emptied.
        assert_eq!(habit(&[[kept(2, 0), all], [all, kept(2, 0)]]), nowhere);
        assert_eq!(habit(&[[none; 2]; 2]), (Some(none), Shrinks::Nowhere));
        assert_eq!(habit(&[[all, none]; 3]), (None, Shrinks::InAll));
        let one = [[all, all], [all, none], [all, all]];
        assert_eq!(habit(&one), (Some(all), Shrinks::InSome));
        // A slow job that drops them has come to every chat by then.
        let one = Habit::of(&one);
        assert!(!one.is_dropped(&[all, none, all]));
        assert!(one.is_dropped(&[none; 3]));
        assert!(!Habit::of(&[[all, all]; 3]).is_dropped(&[none; 3]));
    }
}
