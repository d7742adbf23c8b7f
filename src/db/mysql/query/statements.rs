//! The statements of a stored routine that do more than read. Pure.
//!
//! A transaction that is read-only lets no statement write rows, and the server lets no function
//! commit. What is left acts on the server itself, its files and its settings.

use crate::sql::{Dialect, Token, TokenKind, tokenize};

/// Statements by their first word, where it can't be a name.
const VERBS: &[&str] = &[
    "alter",
    "analyze",
    "backup",
    "binlog",
    "checksum",
    "clone",
    "commit",
    "create",
    "deallocate",
    "drop",
    "execute",
    "flush",
    "grant",
    "import",
    "install",
    "kill",
    "load",
    "lock",
    "optimize",
    "prepare",
    "purge",
    "rename",
    "repair",
    "restart",
    "revoke",
    "rollback",
    "savepoint",
    "shutdown",
    "truncate",
    "uninstall",
    "unlock",
    "xa",
];

/// Words, one behind the other, that act wherever they are.
const PHRASES: &[&[&str]] = &[
    &["cache", "index"],
    &["change", "master"],
    &["change", "replication"],
    &["for", "share"],
    &["for", "update"],
    &["into", "dumpfile"],
    &["into", "outfile"],
    &["lock", "in", "share", "mode"],
    &["next", "value", "for"],
    &["reset", "binary"],
    &["reset", "master"],
    &["reset", "persist"],
    &["reset", "query"],
    &["reset", "replica"],
    &["reset", "slave"],
    &["start", "all"],
    &["start", "group_replication"],
    &["start", "replica"],
    &["start", "slave"],
    &["start", "transaction"],
    &["stop", "all"],
    &["stop", "group_replication"],
    &["stop", "replica"],
    &["stop", "slave"],
];

/// What SET sets for more than this session.
const TARGETS: &[&str] = &[
    "default",
    "global",
    "password",
    "persist",
    "persist_only",
    "resource",
    "role",
];

/// Words behind which a statement begins.
const BEFORE: &[&str] = &[
    "as", "atomic", "begin", "do", "else", "is", "loop", "repeat", "then",
];

/// The first statement of a body that does more than read.
pub(super) fn acting(body: &str) -> Option<String> {
    let mut tokens = tokenize(body, Dialect::Mysql);
    tokens.retain(|token| {
        let is_code = matches!(token.kind, TokenKind::CodeOpen | TokenKind::CodeClose);
        token.kind != TokenKind::Comment && !is_code
    });
    let words: Vec<_> = tokens.iter().map(|it| word(*it, body)).collect();
    // Behind a handler's conditions, and behind the settings of SET STATEMENT, another one begins.
    let mut anywhere = false;
    for (at, token) in tokens.iter().enumerate() {
        let rest = &words[at..];
        if token.kind == TokenKind::Unclosed {
            return Some(token.text(body).chars().take(40).collect());
        }
        if let Some(phrase) = PHRASES.iter().find(|it| starts(rest, it)) {
            return Some(phrase.join(" ").to_uppercase());
        }
        anywhere &= token.kind != TokenKind::Semicolon && rest[0] != "begin";
        if !anywhere && at > 0 && !ends(tokens[at - 1], body) {
            continue;
        }
        anywhere |= starts(rest, &["set", "statement"]) || is_handler(rest);
        if VERBS.contains(&rest[0].as_str()) && is_verb(tokens.get(at + 1), rest) {
            return Some(rest[0].to_uppercase());
        }
        if rest[0] == "set"
            && let Some(target) = beyond(&tokens[at + 1..], body)
        {
            return Some(format!("SET {}", target.to_uppercase()));
        }
    }
    None
}

/// An unquoted word in lower case; otherwise nothing.
fn word(token: Token, body: &str) -> String {
    match token.kind {
        TokenKind::Word => token.text(body).to_lowercase(),
        _ => String::new(),
    }
}

fn starts(words: &[String], phrase: &[&str]) -> bool {
    words.len() >= phrase.len() && words.iter().zip(phrase).all(|(word, it)| word == it)
}

/// Whether a statement can begin behind this token: also behind a label.
fn ends(token: Token, body: &str) -> bool {
    token.kind == TokenKind::Semicolon
        || matches!(token.text(body), ":" | ">")
        || BEFORE.contains(&word(token, body).as_str())
}

/// `DECLARE EXIT HANDLER FOR …`.
fn is_handler(rest: &[String]) -> bool {
    starts(rest, &["declare"]) && rest.get(2).is_some_and(|it| it == "handler")
}

/// Whether it is not a column of a CASE, nor a function, nor a variable.
fn is_verb(next: Option<&Token>, rest: &[String]) -> bool {
    let is_next = |words: &[&str]| rest.get(1).is_some_and(|it| words.contains(&it.as_str()));
    match next.map(|token| token.kind) {
        Some(TokenKind::Word) if matches!(rest[0].as_str(), "create" | "drop") => {
            !is_next(&["temporary"])
        }
        Some(TokenKind::Word) => !is_next(&["end", "when", "else"]),
        Some(TokenKind::Punct) => false,
        _ => true,
    }
}

/// What a SET sets beyond the session: its targets are behind SET, and behind each comma that is in
/// no parentheses.
fn beyond(tokens: &[Token], body: &str) -> Option<String> {
    let (mut depth, mut signs, mut is_target) = (0_usize, 0, true);
    for token in tokens {
        match token.text(body) {
            ";" => break,
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "," if depth == 0 => (signs, is_target) = (0, true),
            "@" => signs += 1,
            text if is_target => {
                let scope = text.trim_matches('`').to_lowercase();
                // With one sign it is a variable of the session.
                if signs != 1 && TARGETS.contains(&scope.as_str()) {
                    return Some(scope);
                }
                is_target = false;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::acting;

    #[test]
    fn a_statement_that_acts_is_found_wherever_it_begins() {
        for (body, what) in [
            ("begin set global a = 1; return 1; end", "SET GLOBAL"),
            ("BEGIN SET @a = f(1, 2), GLOBAL b = 2; END", "SET GLOBAL"),
            ("begin set @@global.a=1; end", "SET GLOBAL"),
            ("begin set @@ `persist` . a = 1; end", "SET PERSIST"),
            ("begin set session a=1, persist b=2; end", "SET PERSIST"),
            ("set role admin", "SET ROLE"),
            ("begin /*! set global a = 1 */; end", "SET GLOBAL"),
            ("begin if a then kill 5; end if; end", "KILL"),
            ("begin x: loop shutdown; end loop; end", "SHUTDOWN"),
            (
                "begin declare exit handler for not found, 1062 kill a; end",
                "KILL",
            ),
            (
                "begin declare continue handler for sqlexception set global a = 1; end",
                "SET GLOBAL",
            ),
            (
                "begin set statement a=1 for purge binary logs to 'x'; end",
                "PURGE",
            ),
            ("as begin <<a>> flush status; end", "FLUSH"),
            ("begin stop slave; end", "STOP SLAVE"),
            (
                "begin change master to master_host='x'; end",
                "CHANGE MASTER",
            ),
            ("begin select 1 into outfile '/x'; end", "INTO OUTFILE"),
            ("begin select a into b from c for update; end", "FOR UPDATE"),
            ("begin create table a (b int); end", "CREATE"),
            ("begin set a = 'open; end", "'open; end"),
        ] {
            assert_eq!(acting(body).as_deref(), Some(what), "{body}");
        }
    }

    #[test]
    fn plain_reading_and_computing_is_let_through() {
        for body in [
            "return upper(a)",
            "begin declare a int default 0; select count(*) into a from kill_list; set a = a + 1; return a; end",
            "begin set @a = 1, b = (select c, @@global.max_connections from d), sql_mode = ''; end",
            "begin set @global = 1, @role = 2; end",
            "return case when a then `kill` when b then start else restart end",
            "begin return 'set global a = 1; kill 5'; end",
            "begin return truncate(a, 2) + (select t.flush from t); end",
            "begin declare c cursor for select a from b; open c; fetch c into d; close c; end",
            "begin drop temporary table if exists a; create temporary table a (b int); end",
            "begin declare continue handler for not found, 1062 set done = 1; return done; end",
            "begin lbl: while a do set a = a - 1; iterate lbl; end while; call p(a); end",
        ] {
            assert_eq!(acting(body), None, "{body}");
        }
    }
}
