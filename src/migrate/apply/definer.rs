//! `DEFINER = …`, which dumps of MySQL have: the user who runs a file on its copy is another one,
//! and may not create anything in the name of somebody. Pure.

use crate::sql;
use crate::sql::{Dialect, Token, TokenKind};
use std::borrow::Cow;

/// A statement without its definer; all else stays where it was.
pub(super) fn blanked(text: &str) -> Cow<'_, str> {
    let mut tokens = sql::tokenize(text, Dialect::Mysql);
    tokens.retain(|it| it.kind != TokenKind::Comment);
    let is = |token: Option<&Token>, word: &str| {
        token.is_some_and(|it| it.text(text).eq_ignore_ascii_case(word))
    };
    let creates = is(tokens.first(), "CREATE") || is(tokens.first(), "ALTER");
    // Behind the word for its kind, it is a column or a variable of that name.
    let kinds = ["VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"];
    let mut head =
        (0..tokens.len()).take_while(|at| !kinds.iter().any(|it| is(tokens.get(*at), it)));
    let at = head.find(|at| is(tokens.get(*at), "DEFINER") && is(tokens.get(at + 1), "="));
    let (true, Some(at)) = (creates, at) else {
        return Cow::Borrowed(text);
    };
    let Some(last) = end(&tokens, at + 2, text) else {
        return Cow::Borrowed(text);
    };
    let (start, end) = (tokens[at].start, tokens[last].end);
    let blank = " ".repeat(end - start);
    Cow::Owned(format!("{}{blank}{}", &text[..start], &text[end..]))
}

/// The last token of a user: `name`, `name@host`, `CURRENT_USER()`.
fn end(tokens: &[Token], user: usize, text: &str) -> Option<usize> {
    let is = |at: usize, mark: &str| tokens.get(at).is_some_and(|it| it.text(text) == mark);
    tokens.get(user)?;
    if is(user + 1, "(") && is(user + 2, ")") {
        return Some(user + 2);
    }
    if !is(user + 1, "@") {
        return Some(user);
    }
    // A host without quotes may have dots and hyphens.
    let mut last = user + 2;
    while tokens.get(last + 1)?.start == tokens.get(last)?.end {
        last += 1;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::blanked;

    #[test]
    fn a_definer_is_left_out_whatever_it_is() {
        for (text, rest) in [
            (
                "CREATE DEFINER=`root`@`127.0.0.1` VIEW v AS SELECT 1",
                "CREATE VIEW v AS SELECT 1",
            ),
            (
                "CREATE OR REPLACE DEFINER = 'a'@'%' SQL SECURITY DEFINER VIEW v AS SELECT 1",
                "CREATE OR REPLACE SQL SECURITY DEFINER VIEW v AS SELECT 1",
            ),
            (
                "CREATE DEFINER=root@db-1.local TRIGGER t BEFORE INSERT ON m FOR EACH ROW SET @a = 1",
                "CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW SET @a = 1",
            ),
            ("CREATE DEFINER = CURRENT_USER() EVENT e", "CREATE EVENT e"),
            ("CREATE DEFINER = admin EVENT e", "CREATE EVENT e"),
            ("SELECT definer = 1 FROM t", "SELECT definer = 1 FROM t"),
        ] {
            let words: Vec<_> = blanked(text)
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            assert_eq!(words.join(" "), rest);
        }
    }
}
