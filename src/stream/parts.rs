//! The text of an answer, put together from the messages that it comes in. Pure.

use super::kept;

/// As many characters of a text's beginning are no coincidence.
const ENOUGH: usize = 8;

/// Where the parts of a text begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The name of each message that has one, and where its text begins.
    named: Vec<(String, usize)>,
    /// Where the pieces begin that no whole text has replaced.
    settled: usize,
}

impl Parts {
    /// The next piece, of this message.
    pub(super) fn piece(&mut self, text: &mut String, of: Option<&str>, piece: &str) {
        match of.map(|name| self.place(text, name)) {
            Some(place) => self.replace(text, place.end..place.end, piece),
            None => text.push_str(piece),
        }
    }

    /// All of this message so far; without a name, all of the answer.
    pub(super) fn so_far(&mut self, text: &mut String, of: Option<&str>, all: &str) {
        match of.map(|name| self.place(text, name)) {
            Some(place) => self.replace(text, place, all),
            None => {
                *self = Self::default();
                all.clone_into(text);
            }
        }
    }

    /// The whole of a message, in the place of its pieces. What is not like the last pieces is
    /// another part, whose own pieces were not sent.
    pub(super) fn whole(&mut self, text: &mut String, of: Option<&str>, whole: &str) {
        if let Some(name) = of.filter(|name| self.start_of(name).is_some()) {
            let place = self.place(text, name);
            self.replace(text, place, whole);
        } else {
            let pieces = &text[self.settled..];
            let start = match end_of(pieces, whole) {
                // Another message may be before it.
                Some(at) => self.settled + at,
                None if is_alike(pieces, whole) => self.settled,
                None => text.len(),
            };
            text.truncate(start);
            text.push_str(whole);
            self.named.extend(of.map(|name| (name.to_owned(), start)));
        }
        self.settled = text.len();
    }

    fn start_of(&self, name: &str) -> Option<usize> {
        let found = self.named.iter().find(|(it, _)| it == name);
        found.map(|(_, start)| *start)
    }

    /// Where the text of a message is; at the end, if it is new.
    fn place(&mut self, text: &str, name: &str) -> std::ops::Range<usize> {
        let start = self.start_of(name).unwrap_or_else(|| {
            self.settled = text.len();
            self.named.push((name.to_owned(), text.len()));
            text.len()
        });
        let later = self
            .named
            .iter()
            .map(|(_, it)| *it)
            .filter(|it| *it > start);
        start..later.min().unwrap_or(text.len())
    }

    fn replace(&mut self, text: &mut String, place: std::ops::Range<usize>, with: &str) {
        let moved = |at: &mut usize| {
            if *at >= place.end && *at > place.start {
                *at = *at - place.len() + with.len();
            } else {
                // What it was in the middle of is all new.
                *at = (*at).min(place.start);
            }
        };
        self.named.iter_mut().for_each(|(_, start)| moved(start));
        moved(&mut self.settled);
        text.replace_range(place, with);
    }
}

/// Whether a whole text is one with its pieces: it has all of them, or they begin alike. Too few
/// characters are alike only at its beginning, and an empty text is like none.
fn is_alike(pieces: &str, whole: &str) -> bool {
    let (pieces, whole) = (kept::squeezed(pieces), kept::squeezed(whole));
    let is_enough = |text: &str| text.chars().count() >= ENOUGH;
    let has_all = || whole.starts_with(&pieces) || is_enough(&pieces) && whole.contains(&pieces);
    let begin_alike = || {
        let same = pieces.chars().zip(whole.chars());
        same.take_while(|(one, other)| one == other).count() >= ENOUGH
    };
    !pieces.is_empty() && (has_all() || begin_alike())
}

/// Where in a text its end begins that is this one, but for white space; nothing where it ends
/// otherwise.
fn end_of(text: &str, end: &str) -> Option<usize> {
    let mut black = text
        .char_indices()
        .rev()
        .filter(|(_, c)| !c.is_whitespace());
    let mut at = None;
    for wanted in end.chars().rev().filter(|c| !c.is_whitespace()) {
        let (found, _) = black.next().filter(|(_, c)| *c == wanted)?;
        at = Some(found);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::Parts;

    enum Comes {
        Piece,
        SoFar,
        Whole,
    }
    use Comes::{Piece, SoFar, Whole};

    fn text(events: &[(Comes, &str, &str)]) -> String {
        let (mut parts, mut text) = (Parts::default(), String::new());
        for (comes, name, said) in events {
            let of = Some(*name).filter(|name| !name.is_empty());
            match comes {
                Piece => parts.piece(&mut text, of, said),
                SoFar => parts.so_far(&mut text, of, said),
                Whole => parts.whole(&mut text, of, said),
            }
        }
        text
    }

    #[test]
    fn a_message_that_gets_shorter_is_no_end_of_the_next() {
        let shorter = [
            (Whole, "A", "Thinking about it"),
            (Piece, "A", " now"),
            (SoFar, "A", "Hi"),
            (Whole, "B", "Done."),
        ];
        assert_eq!(text(&shorter), "HiDone.");
        let in_bytes = [
            (Whole, "A", "Thinking about it"),
            (Piece, "A", " now"),
            (SoFar, "A", "äöüäöüäöüäöü"),
            (Whole, "B", "Done."),
        ];
        assert_eq!(text(&in_bytes), "äöüäöüäöüäöüDone.");
    }

    #[test]
    fn each_message_keeps_its_place() {
        let so_far = [
            (SoFar, "1", "Let me"),
            (SoFar, "1", "Let me check. "),
            (SoFar, "2", "Task"),
            (SoFar, "2", "Task added."),
        ];
        assert_eq!(text(&so_far), "Let me check. Task added.");
        let in_turns = [
            (Piece, "1", "Let "),
            (Piece, "2", "Task "),
            (Piece, "1", "me check. "),
            (Piece, "2", "added."),
        ];
        assert_eq!(text(&in_turns), "Let me check. Task added.");
        let in_turns = [
            (SoFar, "1", "A"),
            (SoFar, "2", "B"),
            (SoFar, "1", "AA"),
            (Whole, "2", "BB"),
            (Piece, "1", "a"),
            (Piece, "2", "b"),
        ];
        assert_eq!(text(&in_turns), "AAaBBb");
    }

    #[test]
    fn a_message_that_is_changed_is_the_changed_one() {
        let taken_back = [
            (Piece, "1", "The password is "),
            (Piece, "1", "hunter2"),
            (Whole, "1", "I can't say that."),
        ];
        assert_eq!(text(&taken_back), "I can't say that.");
        let twice = [
            (Whole, "1", "One. "),
            (Whole, "2", "Two."),
            (Whole, "1", "1. "),
        ];
        assert_eq!(text(&twice), "1. Two.");
    }

    #[test]
    fn a_whole_message_replaces_its_own_pieces_only() {
        for name in ["", "own"] {
            let after = |pieces: &[(&'static str, &'static str)], whole| {
                let mut events: Vec<_> = (pieces.iter())
                    .map(|(of, piece)| (Piece, if name.is_empty() { "" } else { *of }, *piece))
                    .collect();
                events.push((Whole, name, whole));
                text(&events)
            };
            let both = [("1", "Let me check. "), ("2", "Task added.\n")];
            assert_eq!(after(&both, "Task added."), "Let me check. Task added.");
            // A word of a router that is also in the answer.
            let answer = [("1", "Task 'Buy milk' has been added. ")];
            assert_eq!(
                after(&answer, "Task"),
                "Task 'Buy milk' has been added. Task"
            );
            assert_eq!(after(&[("1", "a")], "Task"), "aTask");
            assert_eq!(
                after(&[("1", "Task "), ("1", "ad")], "Task added."),
                "Task added."
            );
        }
        assert_eq!(
            text(&[(Piece, "", "A"), (Whole, "", "A"), (Piece, "", "B")]),
            "AB"
        );
        assert_eq!(
            text(&[(Whole, "", "A"), (SoFar, "", "B"), (Piece, "", "C")]),
            "BC"
        );
    }
}
