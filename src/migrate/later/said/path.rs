//! The ways through the function of a trigger that a write may take, as far as the function asks
//! for the kind of the write. What else it asks for may be so or not.

use super::Tokens;
use crate::model::On;
use std::ops::Range;

/// Whether a condition is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Never,
    Perhaps,
    Always,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `IF`, and whether an earlier branch of it is the one that is taken.
    If { before: Holds },
    /// `BEGIN`, with its handlers.
    Begin,
    /// `CASE` or a loop.
    Other,
}

struct Block {
    kind: Kind,
    holds: Holds,
    /// What holds in it, in SQL; none where nobody can tell.
    on: Option<Vec<String>>,
}

/// A place at which a function returns.
pub(super) struct Return {
    pub(super) at: usize,
    /// On which condition it comes to it, in SQL; none where nobody can tell.
    pub(super) on: Option<String>,
}

impl Block {
    /// The next branch of an IF begins, on a condition or without one.
    fn branch(&mut self, asked: Holds, on: Option<String>) {
        if let Some(all) = &mut self.on {
            let last = all.pop();
            all.extend(last.iter().map(|it| not(it)).chain(on));
        }
        let Kind::If { before } = &mut self.kind else {
            return;
        };
        *before = (*before).max(self.holds);
        self.holds = match (*before, asked) {
            (Holds::Always, _) => Holds::Never,
            (Holds::Perhaps, Holds::Always) => Holds::Perhaps,
            (Holds::Perhaps | Holds::Never, asked) => asked,
        };
    }
}

/// A condition that is not met.
fn not(condition: &str) -> String {
    format!("({condition}\n) IS NOT TRUE")
}

/// All of these conditions at once.
pub(super) fn all_of<'a>(conditions: impl IntoIterator<Item = &'a String>) -> String {
    let all = conditions.into_iter().map(|it| format!("({it}\n)"));
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return "TRUE".to_owned();
    }
    all.join(" AND ")
}

/// What holds in all of these blocks.
fn within(blocks: &[Block]) -> Option<String> {
    let all: Option<Vec<_>> = blocks.iter().map(|it| it.on.as_ref()).collect();
    Some(all_of(all?.into_iter().flatten()))
}

/// Each RETURN that a write of this kind may come to.
pub(super) fn returns(tokens: &Tokens<'_>, event: On) -> Vec<Return> {
    let mut blocks: Vec<Block> = Vec::new();
    // On which conditions it is left before this place.
    let mut left: Vec<Option<String>> = Vec::new();
    let mut found = Vec::new();
    for at in 0..tokens.all.len() {
        let begins = at == 0
            || matches!(tokens.at(at - 1), ";" | ">" | ">>")
            || tokens.is(at - 1, &["BEGIN", "THEN", "ELSE", "LOOP"]);
        let is_end = at > 0 && tokens.is(at - 1, &["END"]);
        let may = blocks.iter().all(|it| it.holds != Holds::Never);
        let must = blocks.iter().all(|it| it.holds == Holds::Always);
        let mut open = |kind, holds, on| blocks.push(Block { kind, holds, on });
        match tokens.at(at).to_ascii_uppercase().as_str() {
            "IF" if begins => {
                let before = Holds::Never;
                let on = vec![asked_text(tokens, at + 1, event)];
                open(Kind::If { before }, asked(tokens, at + 1, event), Some(on));
            }
            "CASE" if begins => open(Kind::Other, Holds::Perhaps, None),
            "LOOP" if !is_end => open(Kind::Other, Holds::Perhaps, None),
            "BEGIN" if begins => open(Kind::Begin, Holds::Always, Some(Vec::new())),
            "ELSIF" | "ELSEIF" if begins => {
                let (holds, on) = (
                    asked(tokens, at + 1, event),
                    asked_text(tokens, at + 1, event),
                );
                if let Some(last) = blocks.last_mut() {
                    last.branch(holds, Some(on));
                }
            }
            "ELSE" if begins => {
                if let Some(last) = blocks.last_mut() {
                    last.branch(Holds::Always, None);
                }
            }
            "EXCEPTION" if begins => {
                if let Some(last) = blocks.last_mut() {
                    (last.holds, last.on) = (Holds::Perhaps, None);
                }
            }
            "END" if begins => {
                blocks.pop();
            }
            "RETURN" if begins && may => {
                let own = within(&blocks);
                let not_left = left.iter().map(|it| Some(not(it.as_ref()?)));
                let on: Option<Vec<_>> = not_left.chain([own.clone()]).collect();
                let on = on.map(|all| all_of(&all));
                found.push(Return { at, on });
                if must {
                    return found;
                }
                left.push(own);
            }
            // What raises an error says so to whoever writes.
            "RAISE" if begins && must && !tokens.is(at + 1, &QUIET) => return found,
            "RAISE" if begins && may && !tokens.is(at + 1, &QUIET) => left.push(within(&blocks)),
            _ => {}
        }
    }
    found
}

/// Whether the variable that is returned here has the row as it was, or none, whatever is asked: `NEW := OLD`,
/// or a variable that nothing was assigned to.
pub(super) fn gives_old(tokens: &Tokens<'_>, at: usize) -> bool {
    if (0..at).any(|index| tokens.is(index, &["IF", "CASE", "WHEN", "LOOP"])) {
        return false;
    }
    let name = tokens.at(at + 1);
    let named = (0..at).filter(|index| tokens.at(*index).eq_ignore_ascii_case(name));
    let named: Vec<_> = named.collect();
    let mut given = named.iter().filter_map(|it| is_given_old(tokens, *it));
    let is_old = given.next_back() == Some(true);
    // It is declared, without a value, and nothing else may have filled it.
    let is_filled = |index: &usize| {
        let mut rest = (*index..at).take_while(|next| tokens.at(*next) != ";");
        rest.any(|next| tokens.is(next, &["DEFAULT"]) || matches!(tokens.at(next), "=" | ":="))
    };
    let is_empty = named.len() == 1 && !named.iter().any(is_filled);
    is_old || is_empty && !tokens.is(at + 1, &["NEW"])
}

/// Whether a variable gets the row as it was at this place; none where it gets nothing.
fn is_given_old(tokens: &Tokens<'_>, at: usize) -> Option<bool> {
    let before = |count: usize| at.checked_sub(count);
    let is_before =
        |count: usize, words: &[&str]| before(count).is_some_and(|it| tokens.is(it, words));
    if is_before(1, &["INTO", "STRICT"]) {
        let into = 1 + usize::from(is_before(1, &["STRICT"]));
        let (old, select) = (into + 3, into + 4);
        return Some(is_before(old, &["OLD"]) && is_before(select, &["SELECT"]));
    }
    let assigned = match [1, 2, 3, 4].map(|next| tokens.at(at + next)) {
        [":", "=", ..] => at + 3,
        [":=" | "=", ..] => at + 2,
        // A column of it.
        [".", _, ":", "="] | [".", _, ":=" | "=", _] => return Some(false),
        // Where it is declared, it may get a value too.
        [_, ":", "=", _] => at + 4,
        [_, ":=" | "=", ..] => at + 3,
        _ => return None,
    };
    Some(tokens.is(assigned, &["NULL", "OLD"]) && tokens.at(assigned + 1) == ";")
}

/// What RAISE only tells.
const QUIET: [&str; 5] = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING"];

/// The condition that begins here.
fn condition(tokens: &Tokens<'_>, start: usize) -> Range<usize> {
    let end = (start..tokens.all.len()).find(|at| tokens.is(*at, &["THEN"]));
    start..end.unwrap_or(start)
}

/// The same in SQL, with the kind of the write put in.
fn asked_text(tokens: &Tokens<'_>, start: usize, event: On) -> String {
    let condition = condition(tokens, start);
    let mut text = String::new();
    let mut from = tokens.all.get(start).map_or(0, |it| it.start);
    for at in condition.clone().filter(|at| tokens.is(*at, &["TG_OP"])) {
        let token = &tokens.all[at];
        text.push_str(&tokens.text[from..token.start]);
        text.push_str(operation(event).unwrap_or("TG_OP"));
        from = token.end;
    }
    let end = condition.end.checked_sub(1).map(|it| tokens.all[it].end);
    text + tokens
        .text
        .get(from..end.unwrap_or(from))
        .unwrap_or_default()
}

/// What the server calls a kind of write.
const fn operation(event: On) -> Option<&'static str> {
    match event {
        On::Insert => Some("'INSERT'"),
        On::Update => Some("'UPDATE'"),
        On::Delete => Some("'DELETE'"),
        On::Time | On::Definition | On::Session => None,
    }
}

/// Whether a condition holds for this kind of write, if it asks for that alone.
fn asked(tokens: &Tokens<'_>, start: usize, event: On) -> Holds {
    let condition = condition(tokens, start);
    let words: Vec<_> = condition
        .map(|at| tokens.at(at).to_ascii_uppercase())
        .collect();
    let arms = words.split(|it| it == "OR").map(|arm| {
        let parts: Vec<_> = arm
            .split(|it| it == "AND")
            .map(|part| asked_alone(part, event))
            .collect();
        if parts.contains(&Holds::Never) {
            Holds::Never
        } else if parts.iter().all(|it| *it == Holds::Always) {
            Holds::Always
        } else {
            Holds::Perhaps
        }
    });
    let arms: Vec<_> = arms.collect();
    if arms.contains(&Holds::Always) {
        Holds::Always
    } else if arms.iter().all(|it| *it == Holds::Never) {
        Holds::Never
    } else {
        Holds::Perhaps
    }
}

/// The same of one comparison.
fn asked_alone(words: &[String], event: On) -> Holds {
    let Some(name) = operation(event) else {
        return Holds::Perhaps;
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let sure = |holds: bool| if holds { Holds::Always } else { Holds::Never };
    match words.as_slice() {
        ["(", words @ .., ")"] => {
            let words: Vec<_> = words.iter().map(|it| (*it).to_owned()).collect();
            asked_alone(&words, event)
        }
        ["TG_OP", "=", it] | [it, "=", "TG_OP"] => sure(*it == name),
        ["TG_OP", "<>" | "!=", it] | ["TG_OP", "<" | "!", ">" | "=", it] => sure(*it != name),
        ["TG_OP", "IN", "(", list @ .., ")"] => sure(list.contains(&name)),
        _ => Holds::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use super::returns;
    use crate::migrate::later::said::Tokens;
    use crate::model::On;
    use crate::sql::Dialect;

    fn returned(body: &str, event: On) -> Vec<String> {
        let tokens = Tokens::of(body, Dialect::Postgres);
        let found = returns(&tokens, event).into_iter();
        found.map(|it| tokens.at(it.at + 1).to_owned()).collect()
    }

    #[test]
    fn a_return_has_its_condition() {
        let on = |body: &str, event: On| {
            let tokens = Tokens::of(body, Dialect::Postgres);
            let last = returns(&tokens, event).pop().expect("it returns");
            last.on.map(|it| it.replace('\n', ""))
        };
        for (body, condition) in [
            (
                "BEGIN IF NEW.a > 1 THEN RETURN NULL; END IF; END",
                "((NEW.a > 1))",
            ),
            (
                "BEGIN IF TG_OP = 'INSERT' AND NEW.a THEN x := 1; ELSIF NEW.b THEN RETURN NULL; END IF; END",
                "((('INSERT' = 'INSERT' AND NEW.a) IS NOT TRUE) AND (NEW.b))",
            ),
            (
                "BEGIN IF NEW.a THEN RETURN NEW; END IF; IF NEW.b THEN RAISE 'no'; END IF; RETURN NULL; END",
                "(((NEW.a)) IS NOT TRUE) AND (((NEW.b)) IS NOT TRUE) AND (TRUE)",
            ),
        ] {
            assert_eq!(on(body, On::Insert).as_deref(), Some(condition), "{body}");
        }
        let looped = "BEGIN FOR r IN SELECT 1 LOOP RETURN NULL; END LOOP; END";
        assert_eq!(on(looped, On::Insert), None);
    }

    #[test]
    fn a_write_comes_to_some_of_the_returns() {
        let split = "BEGIN IF TG_OP = 'UPDATE' THEN RETURN a; ELSIF TG_OP IN ('DELETE') THEN RETURN b; END IF; RETURN c; END";
        assert_eq!(returned(split, On::Insert), ["c"]);
        assert_eq!(returned(split, On::Update), ["a"]);
        assert_eq!(returned(split, On::Delete), ["b"]);
        let other = "BEGIN IF (TG_OP <> 'INSERT') THEN x := CASE WHEN a THEN 1 ELSE 2 END; RETURN a; ELSE RETURN b; END IF; END";
        assert_eq!(returned(other, On::Insert), ["b"]);
        assert_eq!(returned(other, On::Update), ["a"]);
        let asks = "BEGIN IF NEW.id > 1 THEN RETURN a; ELSE RETURN b; END IF; RETURN c; END";
        assert_eq!(returned(asks, On::Insert), ["a", "b", "c"]);
        let both = "BEGIN IF TG_OP = 'INSERT' AND NEW.id > 1 THEN RETURN a; END IF; RETURN b; END";
        assert_eq!(returned(both, On::Insert), ["a", "b"]);
        assert_eq!(returned(both, On::Update), ["b"]);
    }

    #[test]
    fn blocks_may_be_left_before_their_end() {
        let handler = "DECLARE n int; BEGIN BEGIN PERFORM f(); EXCEPTION WHEN OTHERS THEN RETURN a; END; RETURN b; END";
        assert_eq!(returned(handler, On::Insert), ["a", "b"]);
        let looped = "BEGIN FOR r IN SELECT 1 LOOP RETURN a; END LOOP; RETURN b; END";
        assert_eq!(returned(looped, On::Insert), ["a", "b"]);
        let case =
            "BEGIN CASE TG_OP WHEN 'INSERT' THEN RETURN a; ELSE RETURN b; END CASE; RETURN c; END";
        assert_eq!(returned(case, On::Insert), ["a", "b", "c"]);
        let raises =
            "BEGIN RAISE NOTICE 'x'; IF NEW.id = 1 THEN RAISE EXCEPTION 'y'; END IF; RETURN a; END";
        assert_eq!(returned(raises, On::Insert), ["a"]);
        assert_eq!(
            returned("BEGIN RAISE 'no'; RETURN a; END", On::Insert),
            [""; 0]
        );
        let exists = "BEGIN DROP TABLE IF EXISTS t; RETURN a; END";
        assert_eq!(returned(exists, On::Insert), ["a"]);
    }
}
