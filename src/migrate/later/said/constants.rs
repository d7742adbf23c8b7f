//! Variables of a body that have one value, whatever happens. Pure.

use super::Tokens;
use crate::sql::{Dialect, TokenKind};

/// A body with the values in it of the variables that it gives to columns of the new row, where one
/// is written down and no other is assigned: `NEW.body := ''` for `NEW.body := b`.
pub(in crate::migrate::later) fn with_constants(body: &str, dialect: Dialect) -> String {
    let tokens = Tokens::of(body, dialect);
    // What is filled in another way may have any value.
    let fills = tokens.has(&["CALL", "DIAGNOSTICS", "FETCH", "INTO", "USING"]);
    let (mut text, mut from) = (String::new(), 0);
    for at in (0..tokens.all.len()).filter(|at| !fills && is_given(&tokens, *at)) {
        if let Some(value) = constant(&tokens, at) {
            text.push_str(&body[from..tokens.all[at].start]);
            text.push_str(value);
            from = tokens.all[at].end;
        }
    }
    text + &body[from..]
}

/// Whether a name here is all that a column of the new row gets.
fn is_given(tokens: &Tokens<'_>, at: usize) -> bool {
    let Some(equals) = at
        .checked_sub(1)
        .filter(|it| matches!(tokens.at(*it), "=" | ":="))
    else {
        return false;
    };
    let colon = equals.checked_sub(1).filter(|it| tokens.at(*it) == ":");
    let column = colon.unwrap_or(equals).checked_sub(1);
    let is_of_row = column
        .and_then(|it| it.checked_sub(2))
        .is_some_and(|it| tokens.is_of(it, &["NEW"]));
    is_of_row
        && tokens.all[at].kind == TokenKind::Word
        && matches!(tokens.at(at + 1), ";" | "," | "")
}

/// The one value that a variable gets.
fn constant<'a>(tokens: &Tokens<'a>, used: usize) -> Option<&'a str> {
    let name = tokens.at(used);
    let is_it = |at: &usize| {
        let is_column = *at > 0 && tokens.at(at - 1) == ".";
        *at != used && !is_column && tokens.at(*at).eq_ignore_ascii_case(name)
    };
    let mut values = Vec::new();
    for at in (0..used).filter(is_it) {
        let opens = at == 0 || tokens.at(at - 1) == ";";
        let declares = (opens || tokens.is(at - 1, &["DECLARE"]))
            && tokens
                .all
                .get(at + 1)
                .is_some_and(|it| it.kind == TokenKind::Word);
        let assigns = opens || tokens.is(at - 1, &["BEGIN", "ELSE", "LOOP", "SET", "THEN"]);
        let last = if declares { at + 8 } else { at + 2 };
        if !declares && !assigns {
            if at > 0 && tokens.is(at - 1, &["FOR", "FOREACH"]) {
                return None;
            }
            continue;
        }
        let ends = (at..tokens.all.len()).find(|it| tokens.at(*it) == ";");
        let until = ends.unwrap_or(tokens.all.len()).min(last + 1);
        let gives = (at + 1..until)
            .find(|it| matches!(tokens.at(*it), "=" | ":=") || tokens.is(*it, &["DEFAULT"]));
        match gives {
            Some(gives) => values.push(literal(tokens, gives + 1)?),
            None if declares => {}
            None => return None,
        }
    }
    match values.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// A text or a number, or none, which is all of a value.
fn literal<'a>(tokens: &Tokens<'a>, at: usize) -> Option<&'a str> {
    let kind = tokens.all.get(at)?.kind;
    let is_written = matches!(kind, TokenKind::String | TokenKind::Number);
    let mut end = at + 1;
    if tokens.at(end) == ":" && tokens.at(end + 1) == ":" {
        // A cast to a type of one word.
        end += 3;
    }
    let is_alone = matches!(tokens.at(end), ";" | "," | "");
    let is_literal = is_written || tokens.is(at, &["NULL"]);
    (is_literal && is_alone).then(|| tokens.at(at))
}

#[cfg(test)]
mod tests {
    use super::with_constants;
    use crate::sql::Dialect;

    #[test]
    fn a_variable_with_one_value_is_replaced() {
        for (dialect, body, is) in [
            (
                Dialect::Postgres,
                "DECLARE b text := ''; BEGIN NEW.body := b; RETURN NEW; END",
                "DECLARE b text := ''; BEGIN NEW.body := ''; RETURN NEW; END",
            ),
            (
                Dialect::Postgres,
                "DECLARE b character varying(20); BEGIN b := 'x'; NEW.body := b; END",
                "DECLARE b character varying(20); BEGIN b := 'x'; NEW.body := 'x'; END",
            ),
            (
                Dialect::Mysql,
                "BEGIN DECLARE b TEXT DEFAULT ''; SET NEW.body = b, NEW.at = now(); END",
                "BEGIN DECLARE b TEXT DEFAULT ''; SET NEW.body = '', NEW.at = now(); END",
            ),
        ] {
            assert_eq!(with_constants(body, dialect), is);
        }
        for body in [
            "DECLARE b text := ''; BEGIN b := NEW.title; NEW.body := b; END",
            "DECLARE b text := ''; BEGIN b := 'x' || NEW.body; NEW.body := b; END",
            "DECLARE b text := ''::text || NEW.body; BEGIN NEW.body := b; END",
            "DECLARE b text; BEGIN SELECT title INTO b FROM chats; NEW.body := b; END",
            "DECLARE b text; BEGIN FOR b IN SELECT 1 LOOP NEW.body := b; END LOOP; END",
            "BEGIN NEW.body := title; END",
            "DECLARE b text; BEGIN NEW.body := b; END",
        ] {
            assert_eq!(with_constants(body, Dialect::Postgres), body);
        }
    }
}
