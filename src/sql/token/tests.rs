use super::*;
use Dialect::{Mysql, Postgres, Sqlite};
use TokenKind::{
    CodeClose, CodeOpen, Comment, DollarString, Number, Punct, QuotedName, Semicolon,
    String as Text, Unclosed, Word,
};

#[track_caller]
fn check(dialect: Dialect, sql: &str, expected: &[(TokenKind, &str)]) {
    let tokens = tokenize(sql, dialect);
    let found: Vec<_> = tokens.iter().map(|t| (t.kind, t.text(sql))).collect();
    assert_eq!(found, expected, "{dialect:?}: {sql}");
}

#[test]
fn quotes_belong_to_their_dialect() {
    check(Sqlite, "[a b]", &[(QuotedName, "[a b]")]);
    check(Postgres, "[a]", &[(Punct, "["), (Word, "a"), (Punct, "]")]);
    check(Sqlite, "`a``b`", &[(QuotedName, "`a``b`")]);
    check(Postgres, "\"a\"\"b\"", &[(QuotedName, "\"a\"\"b\"")]);
    check(Mysql, r#""a\"b""#, &[(Text, r#""a\"b""#)]);
    check(
        Postgres,
        "U&\"a\" U&'b'",
        &[(QuotedName, "U&\"a\""), (Text, "U&'b'")],
    );
}

#[test]
fn backslashes_escape_only_where_the_dialect_says_so() {
    check(Sqlite, r"'a\' b", &[(Text, r"'a\'"), (Word, "b")]);
    check(Postgres, r"'a\' b", &[(Text, r"'a\'"), (Word, "b")]);
    check(Postgres, r"E'a\' b'", &[(Text, r"E'a\' b'")]);
    check(Postgres, r"nameE'a\'", &[(Word, "nameE"), (Text, r"'a\'")]);
    check(Mysql, r"'a\' b'", &[(Text, r"'a\' b'")]);
    check(Mysql, r"'a''b\\'", &[(Text, r"'a''b\\'")]);
    check(Mysql, r"'é\é'", &[(Text, r"'é\é'")]);
}

#[test]
fn dollar_quotes_are_postgres() {
    check(
        Postgres,
        "$$a;'$$;",
        &[(DollarString, "$$a;'$$"), (Semicolon, ";")],
    );
    check(Postgres, "$b$ $$ $b$", &[(DollarString, "$b$ $$ $b$")]);
    check(Postgres, "$é$x$é$", &[(DollarString, "$é$x$é$")]);
    check(Postgres, "$1", &[(Punct, "$"), (Number, "1")]);
    check(Postgres, "a$b$c", &[(Word, "a$b$c")]);
    check(Postgres, "$x$ open", &[(Unclosed, "$x$ open")]);
    check(Mysql, "a$$", &[(Word, "a$$")]);
    check(Sqlite, "$a", &[(Punct, "$"), (Word, "a")]);
}

#[test]
fn comments_end_where_the_dialect_says_so() {
    check(
        Postgres,
        "/* /* */ x */1",
        &[(Comment, "/* /* */ x */"), (Number, "1")],
    );
    check(Sqlite, "/* /* */1", &[(Comment, "/* /* */"), (Number, "1")]);
    check(Sqlite, "/* open", &[(Comment, "/* open")]);
    check(Postgres, "/* open", &[(Unclosed, "/* open")]);
    check(Mysql, "# x\n1", &[(Comment, "# x"), (Number, "1")]);
    check(
        Mysql,
        "5--3",
        &[(Number, "5"), (Punct, "-"), (Punct, "-"), (Number, "3")],
    );
    check(Mysql, "5-- 3", &[(Number, "5"), (Comment, "-- 3")]);
    check(Sqlite, "5--3", &[(Number, "5"), (Comment, "--3")]);
    check(Mysql, "--", &[(Comment, "--")]);
    // A bare CR ends the comment only in PostgreSQL.
    check(Postgres, "--a\rb", &[(Comment, "--a"), (Word, "b")]);
    check(Sqlite, "--a\rb", &[(Comment, "--a\rb")]);
    check(Sqlite, "--a\r\nb", &[(Comment, "--a\r"), (Word, "b")]);
}

#[test]
fn version_comments_hold_code() {
    check(
        Mysql,
        "/*!50003 DROP*/ x /*M!100100 y*/ /*! 1*/",
        &[
            (CodeOpen, "/*!50003"),
            (Word, "DROP"),
            (CodeClose, "*/"),
            (Word, "x"),
            (CodeOpen, "/*M!100100"),
            (Word, "y"),
            (CodeClose, "*/"),
            (CodeOpen, "/*!"),
            (Number, "1"),
            (CodeClose, "*/"),
        ],
    );
    check(Mysql, "/*+ hint */", &[(Comment, "/*+ hint */")]);
    check(Postgres, "/*!1 x*/", &[(Comment, "/*!1 x*/")]);
}

#[test]
fn numbers_and_names_with_digits() {
    check(Postgres, "1.5e-3", &[(Number, "1.5e-3")]);
    check(Postgres, "0x1F", &[(Number, "0x1F")]);
    check(
        Mysql,
        "1e5 0xbe 2fa",
        &[(Number, "1e5"), (Number, "0xbe"), (Word, "2fa")],
    );
    check(
        Mysql,
        "1..9",
        &[(Number, "1"), (Punct, "."), (Punct, "."), (Number, "9")],
    );
    check(Sqlite, "näme_1", &[(Word, "näme_1")]);
}

#[test]
fn a_delimiter_is_found_even_in_a_word() {
    let sql = " $$\nEND$$ x";
    let mut lexer = Lexer::new(sql, Mysql);
    lexer.read_delimiter();
    assert!(lexer.has_delimiter());
    let texts: Vec<_> = lexer.map(|token| token.text(sql)).collect();
    assert_eq!(texts, ["END", "$$", "x"]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    check(Sqlite, "\u{feff}x", &[(Word, "x")]);
}
