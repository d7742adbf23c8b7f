//! `DEFINER = …`, which dumps of MySQL have: the user who runs a file on its copy is another one,
//! and may not create anything in the name of somebody.

use crate::cli_error::CliError;
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::model::Cell;
use crate::sql;
use crate::sql::{Dialect, Kind, Token, TokenKind};
use std::borrow::Cow;

/// A statement without its definer; all else stays where it was.
pub(super) fn blanked(text: &str) -> Cow<'_, str> {
    let Some((tokens, at, last)) = clause(text) else {
        return Cow::Borrowed(text);
    };
    let (start, end) = (tokens[at].start, tokens[last].end);
    let blank = " ".repeat(end - start);
    Cow::Owned(format!("{}{blank}{}", &text[..start], &text[end..]))
}

/// The tokens of a statement, with the first and the last one of its definer.
fn clause(text: &str) -> Option<(Vec<Token>, usize, usize)> {
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
    let at = head.find(|at| is(tokens.get(*at), "DEFINER") && is(tokens.get(at + 1), "="))?;
    let last = end(&tokens, at + 2, text).filter(|_| creates)?;
    Some((tokens, at, last))
}

/// A user in whose name something runs.
#[derive(Debug, PartialEq, Eq)]
struct Definer {
    user: String,
    /// None where a name is alone: then it may be a role.
    host: Option<String>,
}

/// The user whom a statement names, where what it makes runs in that name.
fn named(text: &str) -> Option<Definer> {
    let (tokens, at, last) = clause(text)?;
    let part = |at: usize| tokens[at].text(text);
    let bare = |text: &str| text.trim_matches(['\'', '"', '`']).to_owned();
    let is_own = ["CURRENT_USER", "CURRENT_ROLE"]
        .iter()
        .any(|it| part(at + 2).eq_ignore_ascii_case(it));
    // Whoever reads or calls it does so in the own name.
    let is_for_invoker = tokens.windows(3).any(|found| {
        let mut pairs = found.iter().zip(["SQL", "SECURITY", "INVOKER"]);
        pairs.all(|(it, word)| it.text(text).eq_ignore_ascii_case(word))
    });
    if is_own || is_for_invoker {
        return None;
    }
    let host = (last > at + 2).then(|| bare(&text[tokens[at + 4].start..tokens[last].end]));
    Some(Definer {
        user: bare(part(at + 2)),
        host,
    })
}

/// Refuses a file that makes something in the name of a user who does not exist: on the copy the
/// name is left out, and the server only warns, but then refuses each use of what was made.
pub(super) fn all_there(session: &mut dyn Session, intents: &[Intent<'_>]) -> anyhow::Result<()> {
    let pieces = intents.iter().flat_map(|intent| {
        let pieces = intent.pieces.iter();
        pieces.map(move |piece| (intent, piece))
    });
    let names = pieces
        .clone()
        .filter_map(|(intent, piece)| Some((intent, piece, named(piece.text)?)));
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    // Who may not read them may hardly name another one than the own.
    let Ok(users) = session.rows("SELECT user, host FROM mysql.user") else {
        return Ok(());
    };
    for (intent, piece, definer) in names {
        let is_it = |row: &Vec<Cell>| {
            let host = row[1].text().unwrap_or_default();
            row[0].text() == Some(definer.user.as_str())
                && match &definer.host {
                    Some(named) => named.eq_ignore_ascii_case(host),
                    None => host.is_empty() || host == "%",
                }
        };
        let mut made = pieces.clone().filter(|(intent, piece)| {
            intent.is_of_server(piece) && matches!(piece.facts.kind, Kind::CreateOther { .. })
        });
        if users.iter().any(is_it) || made.any(|(_, piece)| piece.text.contains(&definer.user)) {
            continue;
        }
        let Definer { user, host } = definer;
        let user = format!("'{user}'@'{}'", host.as_deref().unwrap_or("%"));
        return Err(CliError::refused(format!(
            "{}:{} names the definer {user}, who does not exist on this server: the new object would fail at \
                each use, and a trigger would fail every statement that fires it",
            intent.migration.path.display(),
            piece.line
        ))
        .hint(format!("write `DEFINER = CURRENT_USER`, or leave the clause out; or create {user} first"))
        .into());
    }
    Ok(())
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
    use super::{Definer, blanked, named};

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
    #[test]
    fn who_is_named_is_a_user_or_perhaps_a_role() {
        let definer = |user: &str, host: Option<&str>| Definer {
            user: user.to_owned(),
            host: host.map(str::to_owned),
        };
        for (text, user) in [
            (
                "CREATE DEFINER=`root`@`127.0.0.1` VIEW v AS SELECT 1",
                Some(definer("root", Some("127.0.0.1"))),
            ),
            (
                "CREATE DEFINER=app@db-1.local TRIGGER t BEFORE INSERT ON m FOR EACH ROW SET @a = 1",
                Some(definer("app", Some("db-1.local"))),
            ),
            (
                "CREATE DEFINER = admin EVENT e",
                Some(definer("admin", None)),
            ),
            ("CREATE DEFINER = CURRENT_USER() EVENT e", None),
            (
                "CREATE DEFINER='a'@'%' SQL SECURITY INVOKER VIEW v AS SELECT 1",
                None,
            ),
            ("CREATE VIEW v AS SELECT 1", None),
        ] {
            assert_eq!(named(text), user, "{text}");
        }
    }
}
