//! The stored part of one answer, judged by its text. Pure.
//!
//! White space is left out of every comparison: servers strip it, and join the pieces of an answer
//! with and without it.

use crate::model::{Mark, State, StoredMessage};
use std::fmt;

/// As many characters of an answer's beginning are no coincidence.
const ENOUGH: usize = 8;

/// An answer as it is known outside of the store.
#[derive(Debug, Clone)]
pub struct ExpectedAnswer {
    /// Its text, as far as it is known.
    pub text: String,
    /// Whether that is all of it: not where a client left that alone could tell.
    pub is_all: bool,
    /// What must be stored, where the session says that it is something else.
    pub expected: String,
    /// Is at the answer's end and nowhere else.
    pub nonce: String,
    /// How many characters of it the client had when the turn ended; nothing where it had none, or nobody knows.
    pub client: usize,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerFate {
    /// All of it is stored.
    Whole,
    /// A part of it is stored.
    Cut {
        /// How many characters.
        characters: usize,
        /// Whether a reader can tell.
        marked: Marked,
    },
    /// No character of it is stored.
    Nothing,
    /// That can't be known, and why.
    Unknown(&'static str),
}

/// Whether the store tells that an answer is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// It does not: after a reload the part looks like the whole.
    No,
    /// By this status, or by a column that says so.
    Status(String),
    /// By words of the server's own after the part.
    Words,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("not marked as cut"),
            Self::Status(status) => write!(f, "marked `{status}`"),
            Self::Words => f.write_str("followed by words that the server added"),
        }
    }
}

/// How a whole answer is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    status: Option<String>,
    mark: Mark,
    /// What follows the answer's end in its text, such as `</p>`.
    after: String,
}

impl Ending {
    /// How this one is, whose answer ends with the nonce.
    pub fn of(message: &StoredMessage, nonce: &str) -> Self {
        let after = message.content.split_once(nonce);
        Self {
            status: message.status.clone(),
            mark: message.mark,
            after: after.map(|(_, after)| squeezed(after)).unwrap_or_default(),
        }
    }

    /// Whether the store says of it that it is whole, so that it could say otherwise of another one.
    pub fn tells(&self) -> bool {
        self.status.is_some() || self.mark != Mark::None
    }

    /// Whether the store says the same of a message. What waits for the user is as whole as it can be.
    pub fn is_like(&self, message: &StoredMessage) -> bool {
        let is_same = self.mark == message.mark || message.mark == Mark::Waiting;
        self.status == message.status && is_same
    }
}

/// Judges the messages that may hold the answer, in order. `finished` has what the store says of
/// whole answers; nothing where that is not known.
pub fn kept(stored: &[&StoredMessage], known: &ExpectedAnswer, finished: &[Ending]) -> AnswerFate {
    let texts: Vec<String> = stored
        .iter()
        .map(|message| squeezed(&message.content))
        .collect();
    let joined = texts.concat();
    let [answer, expected] = [&known.text, &known.expected].map(|text| squeezed(text));
    if known.is_all
        && [&answer, &expected]
            .into_iter()
            .any(|all| holds(&joined, all))
    {
        return AnswerFate::Whole;
    }
    let of = |text: &str| beginning(&answer, text);
    let Some((at, reached)) = texts
        .iter()
        .map(|text| of(text))
        .enumerate()
        .max_by_key(|it| it.1)
    else {
        return AnswerFate::Nothing;
    };
    let characters = unsqueezed(&known.text, reached);
    if known.is_all && holds(&joined, &known.nonce) {
        // The end is there. A text that is not shorter was changed by the server, and nothing of
        // it is missing.
        return if joined.chars().count() >= answer.chars().count() {
            AnswerFate::Whole
        } else {
            AnswerFate::Cut {
                characters: stored
                    .iter()
                    .map(|it| it.content.trim().chars().count())
                    .sum(),
                marked: marked(stored[at], "", &answer, finished),
            }
        };
    }
    let text = &texts[at];
    if reached < ENOUGH && (reached == 0 || reached != text.chars().count()) {
        match short_part(&stored[at].content, known) {
            ShortPart::Is => {}
            ShortPart::MayBe => {
                return AnswerFate::Unknown(
                    "the stored text has the few characters that the client had, which may be words of the server's own",
                );
            }
            ShortPart::IsNot => return AnswerFate::Nothing,
        }
    }
    let rest = text.split_once(&prefix(&answer, reached));
    let rest = rest.map_or("", |(_, rest)| rest);
    match marked(stored[at], rest, &answer, finished) {
        // All that is known is there, and perhaps more, which nobody here has read.
        Marked::No | Marked::Words if !known.is_all && reached == answer.chars().count() => {
            match stored[at].mark {
                Mark::Finished | Mark::Waiting => AnswerFate::Whole,
                Mark::None | Mark::Writing | Mark::Partial => AnswerFate::Unknown(
                    "everything that the client had seen is stored; the server called its own provider, so the \
                        whole answer is unknown",
                ),
            }
        }
        marked => AnswerFate::Cut { characters, marked },
    }
}

/// Whether a text that is more than the little that the client had of an answer is that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShortPart {
    /// It begins with it, and words of the server's own follow.
    Is,
    /// They are somewhere in it, as short words are in any text.
    MayBe,
    IsNot,
}

/// Looks for all of the little that the client had, with no letter right before or behind it.
fn short_part(text: &str, known: &ExpectedAnswer) -> ShortPart {
    let had = known.text.chars().take(known.client);
    let part: Vec<char> = had.filter(|c| !c.is_whitespace()).collect();
    if !(1..ENOUGH).contains(&part.len()) {
        return ShortPart::IsNot;
    }
    let all: Vec<char> = text.chars().collect();
    let black: Vec<usize> = (0..all.len())
        .filter(|at| !all[*at].is_whitespace())
        .collect();
    let is_letter = |at: Option<usize>| {
        let character = at.and_then(|at| all.get(at));
        character.is_some_and(|c| c.is_alphanumeric())
    };
    let mut found = ShortPart::IsNot;
    for places in black.windows(part.len()) {
        let (first, last) = (places[0], places[places.len() - 1]);
        let is_it = places.iter().map(|at| all[*at]).eq(part.iter().copied())
            && !is_letter(first.checked_sub(1))
            && !is_letter(Some(last + 1));
        if is_it && is_markup(&all[..first]) && is_apart(&all[last + 1..]) {
            return ShortPart::Is;
        }
        if is_it {
            found = ShortPart::MayBe;
        }
    }
    found
}

/// Whether there is no word, except in tags.
fn is_markup(text: &[char]) -> bool {
    let mut in_tag = false;
    text.iter().all(|c| {
        in_tag = *c == '<' || in_tag && *c != '>';
        in_tag || !c.is_alphanumeric()
    })
}

/// Whether what follows a text is set apart from it: by a line of its own, or by a sign that no
/// sentence has there.
fn is_apart(after: &[char]) -> bool {
    let after: String = after.iter().collect();
    let words = after.trim_start_matches([' ', '\t']);
    let signs = ["\n", "\r", "[", "(", "{", "<", "*", "_", "~", "…", "..."];
    words.is_empty() || signs.iter().any(|sign| words.starts_with(sign))
}

/// How many characters of an answer, from its beginning, are in a text.
pub fn seen(answer: &str, text: &str) -> usize {
    unsqueezed(answer, beginning(&squeezed(answer), &squeezed(text)))
}

/// After how many characters of an answer a text is another one; nothing where it is the same.
pub fn differs_after(text: &str, answer: &str) -> Option<usize> {
    let (text, black) = (squeezed(text), squeezed(answer));
    let same = text.chars().zip(black.chars());
    let same = same.take_while(|(ours, theirs)| ours == theirs).count();
    (text != black).then(|| unsqueezed(answer, same))
}

/// Whether a text continues where it is no longer the answer's beginning.
pub fn has_more(answer: &str, text: &str) -> bool {
    let (answer, text) = (squeezed(answer), squeezed(text));
    !answer.starts_with(&text)
}

/// Whether a text is JSON objects one after the other: frames that were taken for text.
pub fn is_json_frames(text: &str) -> bool {
    type Object = serde_json::Map<String, serde_json::Value>;
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Object>();
    let is_first = objects.next().is_some_and(|object| object.is_ok());
    is_first && objects.all(|object| object.is_ok())
}

/// Whether a text is the beginning of an answer, and not all of it; too few characters may be anything.
pub fn is_beginning(answer: &str, text: &str) -> bool {
    let (answer, text) = (squeezed(answer), squeezed(text));
    text.chars().count() >= ENOUGH && answer != text && answer.starts_with(&text)
}

/// Whether a text is all of an answer, as it was said, and then other words: nothing of the answer once more.
pub fn is_longer(answer: &str, text: &str) -> bool {
    let Some(rest) = text.trim().strip_prefix(answer.trim()) else {
        return false;
    };
    let (answer, more) = (squeezed(answer), squeezed(rest));
    let is_again = beginning(&answer, &more) >= ENOUGH.min(answer.chars().count());
    !more.is_empty() && !answer.is_empty() && !is_again
}

/// Whether a text is an array of PostgreSQL whose elements together are this answer.
pub fn is_in_array(answer: &str, text: &str) -> bool {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let Some(inner) = inner else {
        return false;
    };
    let mut joined = String::new();
    let (mut is_quoted, mut characters) = (false, inner.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' => joined.extend(characters.next()),
            ',' if !is_quoted => {}
            other => joined.push(other),
        }
    }
    squeezed(&joined) == squeezed(answer)
}

/// Whether all of an answer is in a text.
pub fn is_all_in(answer: &str, text: &str) -> bool {
    holds(&squeezed(text), &squeezed(answer))
}

fn holds(text: &str, part: &str) -> bool {
    !part.is_empty() && text.contains(part)
}

/// A text without its white space.
pub fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

fn prefix(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The longest beginning of the answer that is in the text. If one is there, so is each
/// shorter one.
fn beginning(answer: &str, text: &str) -> usize {
    let (mut least, mut most) = (0, answer.chars().count());
    while least < most {
        let middle = (least + most).div_ceil(2);
        if text.contains(&prefix(answer, middle)) {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    least
}

/// How many characters of a text lead up to so many that are not white space.
fn unsqueezed(text: &str, characters: usize) -> usize {
    let mut black = text.chars().enumerate().filter(|(_, c)| !c.is_whitespace());
    match characters.checked_sub(1) {
        Some(before) => black.nth(before).map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

fn marked(message: &StoredMessage, rest: &str, answer: &str, finished: &[Ending]) -> Marked {
    let status = |otherwise: &str| {
        let status = message.status.as_deref();
        Marked::Status(status.unwrap_or(otherwise).to_owned())
    };
    let is_other = !finished.is_empty() && !finished.iter().any(|whole| whole.is_like(message));
    let is_usual = finished.iter().any(|whole| whole.after == rest);
    match (message.state, message.mark) {
        (State::Failed, _) => status("failed"),
        (State::Open, _) | (_, Mark::Writing | Mark::Partial) => status("still being written"),
        _ if is_other => status("otherwise than whole answers"),
        _ if !rest.is_empty() && !is_usual && !answer.contains(rest) => Marked::Words,
        _ => Marked::No,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AnswerFate, Ending, ExpectedAnswer, Marked, StoredMessage, differs_after, is_in_array,
        is_json_frames, is_longer, kept, seen,
    };
    use crate::model::{Mark, Role, State};

    const ANSWER: &str = "Task 'Buy milk' has been added.\nAnything else? chatctl-a77";

    fn known(is_all: bool) -> ExpectedAnswer {
        let text = if is_all { ANSWER } else { &ANSWER[..31] };
        ExpectedAnswer {
            text: text.to_owned(),
            is_all,
            expected: text.to_owned(),
            nonce: "chatctl-a77".to_owned(),
            client: 0,
        }
    }

    fn row(content: &str) -> StoredMessage {
        StoredMessage::new("1", Role::Assistant, content)
    }

    fn with(content: &str, status: &str) -> StoredMessage {
        StoredMessage {
            status: Some(status.to_owned()),
            ..row(content)
        }
    }

    fn told(rows: &[StoredMessage]) -> AnswerFate {
        kept(&rows.iter().collect::<Vec<_>>(), &known(true), &[])
    }

    fn cut(characters: usize, marked: Marked) -> AnswerFate {
        AnswerFate::Cut { characters, marked }
    }

    #[test]
    fn words_behind_an_answer_are_more_and_the_answer_again_is_not() {
        let is_more = |more: &str| is_longer(ANSWER, &format!("{ANSWER}{more}"));
        assert!(is_more(" [1]") && is_more("\n\nSources: none"));
        assert!(!is_more("") && !is_more("\n"));
        assert!(!is_more(ANSWER) && !is_more(" Task 'Buy milk'"));
        assert!(!is_longer(ANSWER, &format!("Sure. {ANSWER}")));
    }

    #[test]
    fn pieces_in_an_array_are_the_text_that_they_make() {
        let pieces = r#"{"Say \"a, b\"",", and"," c\\d",e}"#;
        assert!(is_in_array(r#"Say "a, b", and c\de"#, pieces));
        assert!(!is_in_array(r#"Say "a, b", and c"#, pieces));
        assert!(!is_in_array("a", "a") && !is_in_array("a", "{b}"));
    }

    #[test]
    fn an_answer_is_whole_however_it_is_spelled_or_parted() {
        for whole in [
            vec![row(ANSWER)],
            vec![row(&ANSWER.replace('\n', " "))],
            vec![row(&format!("<p>{ANSWER}</p>"))],
            vec![row(&ANSWER[..20]), row(&ANSWER[20..])],
            // Spelled otherwise, and nothing is missing.
            vec![row(&ANSWER.replace('\'', "&#39;"))],
            vec![with(ANSWER, "cancelled")],
        ] {
            assert_eq!(told(&whole), AnswerFate::Whole, "{whole:?}");
        }
    }

    #[test]
    fn a_part_is_cut_and_marked_or_not() {
        let part = &ANSWER[..31];
        let status = |word: &str| Marked::Status(word.to_owned());
        assert_eq!(told(&[row(part)]), cut(31, Marked::No));
        // Whatever the word is: it is another one than that of whole answers, which may be none.
        let beside = |whole: &StoredMessage, row: &StoredMessage| {
            kept(&[row], &known(true), &[Ending::of(whole, "chatctl-a77")])
        };
        let (complete, none) = (with(ANSWER, "complete"), row(ANSWER));
        let cancelled = with(part, "CANCELLED");
        assert_eq!(
            beside(&complete, &with(part, "complete")),
            cut(31, Marked::No)
        );
        assert_eq!(beside(&complete, &cancelled), cut(31, status("CANCELLED")));
        assert_eq!(beside(&none, &cancelled), cut(31, status("CANCELLED")));
        assert_eq!(beside(&none, &row(part)), cut(31, Marked::No));
        let done = StoredMessage {
            mark: Mark::Finished,
            ..row(ANSWER)
        };
        let otherwise = status("otherwise than whole answers");
        assert_eq!(beside(&done, &row(part)), cut(31, otherwise));
        let failed = StoredMessage {
            state: State::Failed,
            ..row(part)
        };
        assert_eq!(told(&[failed]), cut(31, status("failed")));
        let words = row(&format!("{part}\n[stopped]"));
        assert_eq!(told(&[words]), cut(31, Marked::Words));
        // What follows every answer marks none.
        let paragraph = |text: &str| row(&format!("<p>{text} </p>"));
        assert_eq!(
            beside(&paragraph(ANSWER), &paragraph(part)),
            cut(31, Marked::No)
        );
        // A hole in the middle is nobody's mark.
        let hole = row(&ANSWER.replace("been added.\nAnything", ""));
        assert_eq!(told(&[hole]), cut(38, Marked::No));
        assert_eq!(told(&[row("Ta")]), cut(2, Marked::No));
        // Only what came after the client had left.
        assert_eq!(told(&[row("else? chatctl-a77")]), cut(17, Marked::No));
    }

    #[test]
    fn other_words_are_nothing_of_it() {
        for nothing in [
            vec![],
            vec![row("")],
            vec![row("Terminated.")],
            vec![row("Ta, bye!")],
            vec![with("", "CANCELLED")],
        ] {
            assert_eq!(told(&nothing), AnswerFate::Nothing, "{nothing:?}");
        }
    }

    #[test]
    fn the_little_that_the_client_had_is_a_part_next_to_other_words() {
        let told = |content: &str, client: usize| {
            let known = ExpectedAnswer {
                client,
                ..known(true)
            };
            kept(&[&row(content)], &known, &[])
        };
        let part = || cut(4, Marked::Words);
        assert_eq!(told("Task\n\n[stopped]", 4), part());
        assert_eq!(told("<i>Task</i> [stopped]", 4), part());
        assert_eq!(told("Task 'Buy [stopped]", 7), cut(9, Marked::Words));
        for (content, client) in [
            ("Task [stopped]", 0),
            // Less than the client had, and words that only begin or end alike.
            ("Task [stopped]", 7),
            ("Terminated.", 4),
            ("Terminated.", 1),
            ("Tasks are cancelled.", 4),
            ("MultiTask stopped.", 4),
        ] {
            assert_eq!(
                told(content, client),
                AnswerFate::Nothing,
                "{content} {client}"
            );
        }
        // Words of the server's own may be the same.
        for (content, client) in [
            ("Sorry, Task was stopped", 4),
            ("Task, stopped", 4),
            ("Task stopped", 4),
        ] {
            let fate = told(content, client);
            assert!(
                matches!(fate, AnswerFate::Unknown(_)),
                "{content}: {fate:?}"
            );
        }
    }

    #[test]
    fn a_common_word_in_a_note_is_no_part_for_certain() {
        let told = |content: &str, text: &str, client: usize| {
            let known = ExpectedAnswer {
                text: text.to_owned(),
                client,
                ..known(true)
            };
            kept(&[&row(content)], &known, &[])
        };
        let (i, dash) = ("I have added it.", "- One\n- Two");
        for (content, text) in [
            ("Sorry, I was interrupted", i),
            ("I'm sorry, that was interrupted", i),
            ("Stopped - try it again", dash),
        ] {
            let fate = told(content, text, 1);
            assert!(
                matches!(fate, AnswerFate::Unknown(_)),
                "{content}: {fate:?}"
            );
        }
        assert_eq!(told("I [stopped]", i, 1), cut(1, Marked::Words));
        assert_eq!(told("-\n\nStopped.", dash, 1), cut(1, Marked::Words));
        assert_eq!(told("Stopped.", i, 1), AnswerFate::Nothing);
    }

    /// The server asked another provider, and the client left: it knows a part only.
    #[test]
    fn what_nobody_has_read_is_not_called_whole() {
        let told = |row: StoredMessage| kept(&[&row], &known(false), &[]);
        assert!(matches!(told(row(ANSWER)), AnswerFate::Unknown(_)));
        assert!(matches!(told(row(&ANSWER[..31])), AnswerFate::Unknown(_)));
        let finished = StoredMessage {
            mark: Mark::Finished,
            ..row(ANSWER)
        };
        assert_eq!(told(finished), AnswerFate::Whole);
        let open = StoredMessage {
            state: State::Open,
            ..row(ANSWER)
        };
        let marked = Marked::Status("still being written".to_owned());
        assert_eq!(told(open), cut(31, marked));
        assert_eq!(told(row(&ANSWER[..12])), cut(12, Marked::No));
    }

    #[test]
    fn frames_are_no_text() {
        assert!(is_json_frames(
            r#"{"type":"start"}{"type":"text","text":"a"}"#
        ));
        for text in ["", "{", "a{}", r#"{"a":1} and that was it"#, "[1]", "1"] {
            assert!(!is_json_frames(text), "{text}");
        }
        assert_eq!(seen("Good morning", "Good  mo"), 7);
        assert_eq!(seen("Good morning", ""), 0);
    }

    #[test]
    fn texts_are_compared_without_their_white_space() {
        assert_eq!(differs_after("Good  mo\nrning", "Good morning"), None);
        assert_eq!(differs_after("Good", "Good morning"), Some(4));
        assert_eq!(differs_after("Good moon", "Good morning"), Some(7));
        assert_eq!(differs_after("Good morning!", "Good morning"), Some(12));
        assert_eq!(differs_after("", "Good"), Some(0));
    }
}
