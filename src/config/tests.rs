use super::{Config, Declared, From, near_miss, shown};

#[test]
fn a_value_is_shown_without_its_secrets() {
    for (key, value, expected) in [
        ("start", "uvicorn app:app --key sk-1234", "uvicorn …"),
        ("start", "API_KEY=sk-1234 node server.js", "API_KEY=*** …"),
        (
            "database-url",
            "postgres://bob:pw@db/chat",
            "postgres://bob:***@db/chat",
        ),
        ("database-url", "sqlite:chat.db", "sqlite:chat.db"),
        ("database-url", "host=db password=pw", "***"),
        ("database-url", "env:DATABASE_URL", "env:DATABASE_URL"),
        (
            "database-url",
            "file:/run/secrets/url",
            "file:/run/secrets/url",
        ),
        (
            "server",
            "http://bob:pw@localhost/",
            "http://bob:***@localhost/",
        ),
        ("settle", "5s", "5s"),
    ] {
        assert_eq!(shown(key, value), expected, "{key} = {value}");
    }
}

#[test]
fn a_secret_is_read_from_where_its_value_points_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "sqlite:chat.db\n").unwrap();
    let config = Config::default();
    let value = |text: &str| config.value("database-url", Some(text));
    let from_file = format!("file:{}", file.display());
    assert_eq!(
        value(&from_file).unwrap().as_deref(),
        Some("sqlite:chat.db")
    );
    assert_eq!(value("sqlite:a").unwrap().as_deref(), Some("sqlite:a"));
    for missing in ["file:/not/there", "env:CHATCTL_TEST_NOT_SET"] {
        let error = value(missing).unwrap_err();
        let (_, place) = missing.split_once(':').unwrap();
        assert!(error.message.contains(place), "{}", error.message);
    }
    // No secret: what it looks like is what it is.
    let plain = config.value("sessions", Some("env:HOME")).unwrap();
    assert_eq!(plain.as_deref(), Some("env:HOME"));
}

#[test]
fn a_value_of_another_type_is_refused_with_its_source() {
    let config = Config::default();
    let trials = |text: &str| config.parsed("trials", Some(text), |it| it.parse::<u32>().ok());
    assert_eq!(trials("7").unwrap(), Some(7));
    let error = trials("many").unwrap_err();
    assert!(error.message.contains("`many`") && error.message.contains("`trials`"));
    assert_eq!(error.kind, crate::cli_error::Kind::Usage);
}

#[test]
fn a_key_of_another_type_is_refused_with_its_line_and_a_fix() {
    for (text, wrong, help) in [
        ("start = 5", "the number 5", "start = \"uvicorn"),
        ("start = [\"a\", \"b\"]", "a list", "start = \"uvicorn"),
        ("settle = 3", "the number 3", "settle = \"3s\""),
        ("server = true", "`true`", "server = \"…\""),
        ("suite = [\"full\"]", "a list", "suite = \"quick\""),
        ("trials = \"many\"", "`many`", "trials = 5"),
        ("trials = 2.5", "a decimal number", "trials = 5"),
        ("concurrency = {}", "a table", "concurrency = 4"),
        ("sessions = [1]", "a list", "sessions = \"…\""),
        ("ready = 2026-01-01", "a date", "ready = \"…\""),
    ] {
        let error = Config::parse("chatctl.toml", &format!("# A comment\n{text}")).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("chatctl.toml:2:"), "{said}");
        assert!(said.contains(&format!(" is {wrong}, and takes ")), "{said}");
        let hint = error.help.unwrap_or_default();
        assert!(hint.contains(help), "{text}: {hint}");
    }
    for text in [
        "start = \"node server.js\"",
        "[[start]]\ncommand = \"a\"",
        "trials = 7\nconcurrency = \"20\"",
        "sessions = \"a,b\"\nfault = [\"slow\"]",
    ] {
        assert!(Config::parse("chatctl.toml", text).is_ok(), "{text}");
    }
}

#[test]
fn a_file_that_is_not_utf8_names_the_line_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatctl.toml");
    std::fs::write(&path, b"settle = \"1s\"\n# caf\xe9\n").unwrap();
    let error = Config::load(Some(&path)).unwrap_err();
    let error = error.downcast::<crate::cli_error::CliError>().unwrap();
    assert!(
        error.message.contains("line 2 is not UTF-8"),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("iconv"));
}

#[test]
fn the_word_that_was_meant_is_taken_from_the_parsers_own_list() {
    for (message, near) in [
        (
            "unknown field `tabel`, expected `table` or `role`",
            Some("table"),
        ),
        (
            "unknown variant `rows`, expected one of `row`, `turn`",
            Some("row"),
        ),
        ("unknown field `xyz`, expected `table`", None),
        ("invalid type: `tabel`, expected `table`", None),
    ] {
        assert_eq!(near_miss(message), near, "{message}");
    }
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let mut config =
        Config::parse("chatctl.toml", "settle = \"5s\"\nsessions = [\"a\", \"b\"]").unwrap();
    config.path = Some("chatctl.toml".into());
    assert_eq!(
        config.get("settle", Some("1s")),
        (Some("1s".into()), From::Flag)
    );
    assert_eq!(config.get("settle", None).0.unwrap(), "5s");
    assert_eq!(config.get("sessions", None).0.unwrap(), "a,b");
    assert_eq!(
        config.get("trials", None),
        (Some("5".into()), From::Default)
    );
}

#[test]
fn a_near_miss_is_named_with_its_place() {
    let error = Config::parse("chatctl.toml", "settle = \"5s\"\nprofil = \"plain\"").unwrap_err();
    assert_eq!(error.to_string(), "chatctl.toml:2:1: unknown key `profil`");
    assert_eq!(error.help.unwrap(), "did you mean `profile`?");
}

#[test]
fn a_near_miss_in_a_store_is_named() {
    for (text, near) in [
        (
            "[store.message]\ncontant = \"x\"",
            Some("did you mean `content`?"),
        ),
        ("[store]\nshape = \"rows\"", Some("did you mean `row`?")),
        ("[store]\nxyz = 1", None),
    ] {
        let error = Config::parse("f", text).unwrap_err();
        assert!(error.to_string().starts_with("f:2:"), "{error}");
        assert_eq!(error.help.as_deref(), near, "{text}");
    }
}

#[test]
fn a_store_is_declared_in_the_grammar_of_mappings() {
    let text = "[[store]]\nshape = \"row\"\n[store.message]\ntable = \"m\"\nrole = \"r\"\ncontent = \"c\"\n";
    let one = Config::parse("f", text).unwrap().store;
    assert_ne!(one, Declared::default());
    assert_eq!(
        Config::parse("f", &text.replace("[[store]]", "[store]"))
            .unwrap()
            .store,
        one
    );
    let error = Config::parse("f", &text.replace("role =", "rolle =")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("f:5:1: unknown field `rolle`"),
        "{error}"
    );
    let below = Config::parse("f", &format!("settle = \"5s\"\n{text}")).unwrap();
    let error = below.store.resolve(&[]).unwrap_err();
    assert!(error.message.starts_with("f:2: no table `m`"), "{error:?}");
}

#[test]
fn a_secret_is_looked_up() {
    let config = Config::default();
    let path = std::env::var("PATH").unwrap();
    assert_eq!(
        config
            .value("database-url", Some("env:PATH"))
            .unwrap()
            .unwrap(),
        path
    );
    assert!(
        config
            .value("database-url", Some("env:CHATCTL_NO_SUCH_NAME"))
            .is_err()
    );
}
