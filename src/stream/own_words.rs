//! The words of its own that a server shows with every answer. Pure.
//!
//! They say nothing of a failure: a server that shows them with whole answers shows them with a part, too.

use super::kept;

/// What the turns without a fault showed of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OwnWords {
    /// No turn was seen.
    #[default]
    Unknown,
    /// These, without white space; both may be empty.
    Around {
        /// What comes before the answer.
        before: String,
        /// What follows it.
        after: String,
    },
    /// Other ones each time, or the answer is not shown as it was said.
    Vary,
}

/// What a response with a part of an answer shows besides that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Nothing that whole answers do not show, too.
    Nothing,
    /// Words which only this response has.
    Words,
    /// That can't be known.
    Unknown,
}

impl OwnWords {
    /// One more turn: what was shown of an answer. `marks` are in this turn only.
    pub fn learn(&mut self, shown: &str, answer: &str, marks: [&str; 2]) {
        let now = Self::of(shown, answer, marks);
        *self = match self {
            Self::Unknown => now,
            Self::Around { .. } | Self::Vary if *self == now => now,
            Self::Around { .. } | Self::Vary => Self::Vary,
        };
    }

    fn of(shown: &str, answer: &str, [tag, nonce]: [&str; 2]) -> Self {
        let shown = kept::squeezed(&shown.replace(tag, ""));
        let answer = kept::squeezed(answer);
        // What shows an answer twice shows a part twice, too: nobody knows where its own words begin.
        match shown.split_once(&answer) {
            Some((before, after))
                if !answer.is_empty() && !before.contains(nonce) && !after.contains(nonce) =>
            {
                Self::Around {
                    before: before.to_owned(),
                    after: after.to_owned(),
                }
            }
            Some(_) | None => Self::Vary,
        }
    }

    /// What a response shows of an answer, without white space and without the words that every answer has.
    pub fn without(&self, shown: &str, tag: &str) -> String {
        let shown = kept::squeezed(&shown.replace(tag, ""));
        let Self::Around { before, after } = self else {
            return shown;
        };
        if before.starts_with(&shown) {
            return String::new();
        }
        let rest = shown.strip_prefix(before.as_str()).unwrap_or(&shown);
        rest.strip_suffix(after.as_str()).unwrap_or(rest).to_owned()
    }

    /// What such a rest of a response shows besides a part of the answer.
    pub fn shows(&self, answer: &str, rest: &str) -> Shows {
        match self {
            _ if !kept::has_more(answer, rest) => Shows::Nothing,
            Self::Unknown | Self::Around { .. } => Shows::Words,
            Self::Vary => Shows::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnWords, Shows};

    const PART: &str = "Task 'Buy";

    fn answer(number: usize) -> String {
        format!("Task 'Buy milk' has been added. chatctl-a{number}")
    }

    /// Learns how two turns were shown.
    fn learnt(shown: impl Fn(usize, &str) -> String) -> OwnWords {
        let mut words = OwnWords::default();
        for number in [1, 2] {
            let answer = answer(number);
            let marks = [format!("chatctl-u{number}"), format!("chatctl-a{number}")];
            let marks = [marks[0].as_str(), marks[1].as_str()];
            words.learn(&shown(number, &answer), &answer, marks);
        }
        words
    }

    fn shows(words: &OwnWords, shown: &str) -> Shows {
        let rest = words.without(shown, "chatctl-u3");
        words.shows(&answer(3), &rest)
    }

    #[test]
    fn words_around_every_answer_say_nothing_of_a_failure() {
        let words =
            learnt(|turn, answer| format!("You ask chatctl-u{turn}:\n{answer}\n\nSources: [1]"));
        for calm in [
            format!("You ask chatctl-u3:\n{PART}\n\nSources: [1]"),
            format!("You ask chatctl-u3:\n{PART}"),
            "You ask chatctl-u3:\n\n\nSources: [1]".to_owned(),
            "You ask chatctl-u3:\n".to_owned(),
            "You a".to_owned(),
            format!("{PART}\n\nSources: [1]"),
            String::new(),
        ] {
            assert_eq!(shows(&words, &calm), Shows::Nothing, "{calm}");
        }
        for failed in [
            format!("You ask chatctl-u3:\n{PART} Sorry, something went wrong."),
            format!("You ask chatctl-u3:\n{PART} Sorry.\n\nSources: [1]"),
            "Sorry, something went wrong.".to_owned(),
            "You ask chatctl-u3:\nSorry.".to_owned(),
        ] {
            assert_eq!(shows(&words, &failed), Shows::Words, "{failed}");
        }
    }

    #[test]
    fn an_answer_without_words_around_it_shows_each_word_that_is_added() {
        let words = learnt(|_, answer| answer.to_owned());
        assert_eq!(shows(&words, PART), Shows::Nothing);
        let sorry = format!("{PART} [interrupted]");
        assert_eq!(shows(&words, &sorry), Shows::Words);
    }

    #[test]
    fn words_that_vary_tell_nothing() {
        for words in [
            learnt(|turn, answer| format!("{answer} ({turn} ms)")),
            learnt(|_, answer| format!("{answer}{answer}")),
            learnt(|_, answer| answer.to_uppercase()),
            learnt(|_, _| String::new()),
        ] {
            assert_eq!(words, OwnWords::Vary);
            let more = format!("{PART} (3 ms)");
            assert_eq!(shows(&words, &more), Shows::Unknown);
            assert_eq!(shows(&words, PART), Shows::Nothing);
        }
    }
}
