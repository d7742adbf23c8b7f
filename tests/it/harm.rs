//! What `chatctl inspect sql` is asked in the worst case, on each backend, with all rights: whatever
//! it is, every row, table, file, session and lock is there afterwards as it was before.

use crate::common::servers::{run_sql, texts};
use crate::common::stores::{Store, execute, run};
use crate::common::{chatctl, root, text};
use nix::sys::stat::Mode;
use sqlx::Connection as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The fewest inputs that a backend is tried with.
const FEWEST: usize = 30;

/// Each input of a backend, and what must come of it.
fn inputs(backend: &str) -> Vec<(String, String)> {
    let path = root().join(format!("fixtures/harm/{backend}.sql"));
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    let inputs: Vec<_> = lines
        .map(|line| line.split_once('\t').unwrap())
        .map(|(outcome, sql)| (outcome.to_owned(), sql.to_owned()))
        .collect();
    assert!(inputs.len() >= FEWEST);
    inputs
}

/// Runs each input, and looks after each whether everything is as it was.
fn try_all(store: &Store, backend: &str, folder: &Path, pid: &str, look: impl Fn() -> Vec<String>) {
    let before = look();
    let mut wrong = Vec::new();
    for (outcome, sql) in inputs(backend) {
        let sql = sql
            .replace("{pid}", pid)
            .replace("{folder}", folder.to_str().unwrap())
            .replace('⏎', "\n");
        // What may run without an effect can sleep or wait for a lock: it is ended early. Whatever must be
        // accepted or refused has the time that it takes on a busy machine.
        let timeout = match outcome.as_str() {
            "accepted" | "refused" => "30s",
            _ => "200ms",
        };
        let output = chatctl()
            .args([
                "inspect",
                "sql",
                "--timeout",
                timeout,
                "--database-url",
                &store.url(),
                &sql,
            ])
            .current_dir(folder)
            .output()
            .unwrap();
        let (out, err) = text(&output);
        let code = output.status.code();
        let as_said = match outcome.as_str() {
            "refused" => code == Some(4) && out.is_empty() && err.contains("the query is refused"),
            "accepted" => code == Some(0),
            // It reads, is wrong, or takes too long.
            "impotent" => matches!(code, Some(0 | 2 | 3)),
            other => panic!("`{other}` is not an outcome"),
        };
        if !as_said {
            wrong.push(format!("{sql}: not {outcome}, but {code:?}: {err}"));
        }
        let after = look();
        assert_eq!(after, before, "after {sql}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files of a folder, with their content.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let told: BTreeSet<_> = entries
        .map(|path| format!("{} {:?}", path.display(), fs::read(&path).unwrap()))
        .collect();
    told.into_iter().collect()
}

const ROWS: &str = "INSERT INTO message VALUES (1, 'buy milk'), (2, 'bought')";

#[test]
fn nothing_harms_sqlite() {
    let store = Store::sqlite();
    run(async {
        let db = store.open().await;
        execute(&*db, &format!("CREATE TABLE message (id INTEGER PRIMARY KEY, content TEXT); CREATE INDEX i ON message (content); {ROWS};
            CREATE VIEW plain_view AS SELECT content FROM message; CREATE VIEW harm_view AS SELECT load_extension('harm.so')")).await;
    });
    let Store::Sqlite(folder) = &store else {
        unreachable!("it was made so");
    };
    let path = folder.path().to_owned();
    // Byte for byte the same file, and none next to it.
    try_all(&store, "sqlite", &path, "1", || files(&path));
}

/// A folder that the server could write into.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fd = fs::File::open(folder.path()).unwrap();
    nix::sys::stat::fchmod(&fd, Mode::from_bits_truncate(0o777)).unwrap();
    folder
}

/// What the owner of a database can put in the way of whoever looks: each calls a function that acts.
const TRAPS: &str = r#"
    CREATE EXTENSION tablefunc; CREATE EXTENSION pg_trgm;
    CREATE FUNCTION own_harm1(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE FUNCTION harm_imm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE FUNCTION harm_op(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE FUNCTION "ÄHARM"() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE FUNCTION own_row(message) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE VIEW harm_view AS SELECT own_harm() AS a;
    CREATE VIEW harm_view_of_view AS SELECT * FROM harm_view;
    CREATE VIEW plain_view AS SELECT content FROM message;
    CREATE OPERATOR <!> (LEFTARG = int, RIGHTARG = int, FUNCTION = harm_op);
    CREATE AGGREGATE harm_sum(int) (SFUNC = harm_op, STYPE = int, INITCOND = '0');
    CREATE TYPE harm_cast AS (a int);
    CREATE FUNCTION to_harm_cast(int) RETURNS harm_cast LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN NULL; END $$;
    CREATE CAST (int AS harm_cast) WITH FUNCTION to_harm_cast(int);
    CREATE FUNCTION sql_harm() RETURNS int STABLE LANGUAGE sql AS 'SELECT own_harm()';
    CREATE FUNCTION sql_harm_of(victim int) RETURNS bool STABLE LANGUAGE sql AS 'SELECT pg_terminate_backend(victim)';
    CREATE FUNCTION sql_new_harm() RETURNS int STABLE LANGUAGE sql BEGIN ATOMIC SELECT own_harm(); END;
    CREATE FUNCTION sql_reads(content text, count int) RETURNS text STABLE LANGUAGE sql AS 'SELECT left($1, count) || lower(content);';
    CREATE FUNCTION default_harm(a int DEFAULT own_harm()) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION sql_out(OUT r text, v text) STABLE LANGUAGE sql AS 'SELECT lower(v)';
    CREATE FUNCTION sql_plain() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM message';
    CREATE FUNCTION definer_harm() RETURNS int STABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE harm_policy (a int); ALTER TABLE harm_policy ENABLE ROW LEVEL SECURITY; ALTER TABLE harm_policy FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON harm_policy USING (own_harm() = 1);
    CREATE TABLE harm_index (a int); CREATE INDEX ON harm_index ((a + harm_imm(1)));
    CREATE TABLE plain_index (id int, content text); CREATE INDEX ON plain_index (lower(content)) WHERE id > 0;
    CREATE TABLE harm_statistics (id int, b int); CREATE STATISTICS harm_s ON (harm_imm(1) + id), (b + id) FROM harm_statistics;
    CREATE TYPE harm_order AS (a int); CREATE TYPE plain_order AS (a int);
    CREATE FUNCTION harm_lt(harm_order, harm_order) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a < $2.a';
    CREATE FUNCTION plain_lt(plain_order, plain_order) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a < $2.a';
    CREATE FUNCTION harm_cmp(harm_order, harm_order) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 0; END $$;
    CREATE FUNCTION plain_cmp(plain_order, plain_order) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT sign($1.a - $2.a)::int';
    CREATE OPERATOR <# (LEFTARG = harm_order, RIGHTARG = harm_order, FUNCTION = harm_lt);
    CREATE OPERATOR <# (LEFTARG = plain_order, RIGHTARG = plain_order, FUNCTION = plain_lt);
    CREATE OPERATOR CLASS harm_ops DEFAULT FOR TYPE harm_order USING btree AS OPERATOR 1 <#, FUNCTION 1 harm_cmp(harm_order, harm_order);
    CREATE FUNCTION plain_eq(plain_order, plain_order) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a = $2.a';
    CREATE OPERATOR =# (LEFTARG = plain_order, RIGHTARG = plain_order, FUNCTION = plain_eq, COMMUTATOR = =#);
    CREATE OPERATOR CLASS plain_ops DEFAULT FOR TYPE plain_order USING btree AS OPERATOR 1 <#, OPERATOR 3 =#, FUNCTION 1 plain_cmp(plain_order, plain_order);
    CREATE TABLE ordered (id int, harm harm_order, plain plain_order); INSERT INTO ordered VALUES (1, ROW(1), ROW(1)), (2, ROW(2), ROW(2));
    CREATE TYPE harm_feel AS ENUM ('a'); CREATE TABLE feels (id int, f harm_feel); INSERT INTO feels VALUES (1, 'a');
    CREATE FUNCTION feel_json(harm_feel) RETURNS json IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN '1'; END $$;
    CREATE CAST (harm_feel AS json) WITH FUNCTION feel_json(harm_feel);
    CREATE EXTENSION file_fdw; CREATE SERVER harm FOREIGN DATA WRAPPER file_fdw;
    CREATE FOREIGN TABLE harm_foreign (a text) SERVER harm OPTIONS (program 'echo harm > /dev/null');
"#;

#[test]
fn nothing_harms_postgres() {
    let store = Store::postgres();
    let url = store.url();
    run_sql(
        &url,
        &format!(
            "CREATE TABLE message (id int PRIMARY KEY, content text); {ROWS}; CREATE SEQUENCE message_seq;
             CREATE FUNCTION own_harm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                PERFORM pg_advisory_lock(7); RETURN 1; END $$;
             CREATE FUNCTION stable_harm() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN
                DELETE FROM message; RETURN 1; END $$;
             {TRAPS}"
        ),
    );
    let folder = open_folder();
    // Another session, which must live on.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut other = runtime.block_on(sqlx::PgConnection::connect(&url)).unwrap();
    let pid: i32 = runtime
        .block_on(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other))
        .unwrap();
    let look = || {
        let mut seen = texts(
            &url,
            "SELECT string_agg(m::text, ' ' ORDER BY id) FROM message m
             UNION ALL (SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1)
             UNION ALL SELECT last_value || ' ' || is_called FROM message_seq
             UNION ALL SELECT count(*)::text FROM pg_largeobject_metadata
             UNION ALL SELECT count(*)::text FROM pg_replication_slots
             UNION ALL SELECT pg_conf_load_time()::text",
        );
        let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'";
        seen.extend(texts(&url, locks));
        seen.extend(texts(
            &url,
            &format!("SELECT pid::text FROM pg_stat_activity WHERE pid = {pid}"),
        ));
        seen.extend(files(folder.path()));
        seen
    };
    try_all(&store, "postgres", folder.path(), &pid.to_string(), look);
    runtime.block_on(other.ping()).unwrap();
    // Nothing of ours is left running.
    let left = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'chatctl' AND state = 'active'";
    assert_eq!(texts(&url, left), ["0"]);
}

#[test]
fn nothing_harms_mysql() {
    let store = Store::mysql();
    let url = store.url();
    run_sql(
        &url,
        &format!(
            "CREATE TABLE message (id int PRIMARY KEY, content text); {ROWS}; CREATE SEQUENCE message_seq;
             CREATE FUNCTION own_harm() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM message; RETURN 1; END"
        ),
    );
    for trap in [
        "CREATE VIEW file_view AS SELECT load_file('/etc/passwd') AS a",
        "CREATE VIEW view_of_file_view AS SELECT * FROM file_view",
        "CREATE VIEW lock_view AS SELECT get_lock('harm', 1) AS a",
        "CREATE VIEW sequence_view AS SELECT nextval(message_seq) AS a",
        "CREATE VIEW plain_view AS SELECT content FROM message",
        "CREATE FUNCTION lock_harm() RETURNS int RETURN get_lock('harm', 1)",
        "CREATE FUNCTION nested_harm() RETURNS int RETURN lock_harm()",
        "CREATE FUNCTION outfile_harm() RETURNS int BEGIN SELECT 1 INTO OUTFILE '/tmp/harm.txt'; RETURN 1; END",
        "CREATE FUNCTION plain_reads(a text) RETURNS text DETERMINISTIC RETURN upper(a)",
        "CREATE VIEW function_view AS SELECT lock_harm() AS a",
        "CREATE FUNCTION global_harm() RETURNS int BEGIN SET @a = 1, GLOBAL max_connections = 77; RETURN 1; END",
        "CREATE FUNCTION `harmİ`() RETURNS int BEGIN SET GLOBAL max_connections = 77; RETURN 1; END",
        "CREATE PROCEDURE file_harm() BEGIN SELECT 1 INTO OUTFILE '/tmp/harm.txt'; END",
        "CREATE FUNCTION call_harm() RETURNS int BEGIN CALL file_harm(); RETURN 1; END",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; CREATE FUNCTION quote_harm() RETURNS int BEGIN SET @a = '\\'; SET GLOBAL max_connections = 77; SET @a = '\\'; RETURN 1; END",
        "SET sql_mode = 'ORACLE'; CREATE PACKAGE pack AS FUNCTION harm RETURN int; END; \
         CREATE PACKAGE BODY pack AS FUNCTION harm RETURN int AS BEGIN SET GLOBAL max_connections = 77; RETURN 1; END; END; \
         CREATE FUNCTION pack_harm RETURN int AS BEGIN RETURN pack.harm(); END",
        "CREATE PROCEDURE plain_procedure(INOUT a int) BEGIN SET a = CASE WHEN a > 1 THEN a ELSE 1 END; END",
        "CREATE FUNCTION plain_calls(a int) RETURNS int BEGIN SET @a = 'kill 1'; CALL plain_procedure(a); RETURN a + @@global.max_connections * 0; END",
    ] {
        run_sql(&url, trap);
    }
    let folder = open_folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut other = runtime
        .block_on(sqlx::MySqlConnection::connect(&url))
        .unwrap();
    let pid: u64 = runtime
        .block_on(sqlx::query_scalar("SELECT connection_id()").fetch_one(&mut other))
        .unwrap();
    let look = || {
        let mut seen = texts(
            &url,
            "SELECT concat_ws(' ', id, content) FROM message ORDER BY id",
        );
        seen.extend(texts(&url, "SHOW TABLES"));
        seen.extend(texts(
            &url,
            "SELECT CAST(next_not_cached_value AS CHAR) FROM message_seq",
        ));
        seen.extend(texts(&url, "SELECT CAST(@@global.max_connections AS CHAR)"));
        seen.extend(texts(&url, "SELECT CAST(is_used_lock('harm') AS CHAR)"));
        seen.extend(texts(&url, "SELECT user FROM mysql.user ORDER BY user"));
        let alive =
            format!("SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE id = {pid}");
        seen.extend(texts(&url, &alive));
        seen.extend(files(folder.path()));
        seen
    };
    try_all(&store, "mysql", folder.path(), &pid.to_string(), look);
    runtime.block_on(other.ping()).unwrap();
}

/// Who may not read which functions were loaded may call them all the same, and so it is with the text of a
/// routine, whatever its sql_mode.
#[test]
fn an_unknown_function_is_refused_to_who_may_not_see_the_loaded_ones() {
    let store = Store::mysql();
    let url = store.url();
    run_sql(
        &url,
        "CREATE TABLE message (id INT PRIMARY KEY, content TEXT, at DATETIME, extra JSON); \
         INSERT INTO message VALUES (1, 'hello', '2026-01-01 10:00:00', '{\"a\": 1}'); \
         CREATE USER IF NOT EXISTS plain@'127.0.0.1'",
    );
    let database = url.rsplit('/').next().unwrap();
    run_sql(
        &url,
        &format!("GRANT SELECT, SHOW VIEW ON `{database}`.* TO plain@'127.0.0.1'"),
    );
    let ask = |sql: &str| {
        let url = url.replace("root@", "plain@");
        let mut inspect = chatctl();
        let output = inspect
            .args(["inspect", "sql", "--database-url", &url, sql])
            .output()
            .unwrap();
        (output.status.code(), text(&output).1)
    };
    for sql in [
        "SELECT upper(content), char_length(content), json_value(extra, '$.a'), date_format(at, '%Y') FROM message",
        "SELECT count(*), group_concat(content), max(id), coalesce(max(content), ''), now() FROM message WHERE id IN (1, 2) AND (id > 0)",
        "SELECT row_number() OVER (PARTITION BY content ORDER BY id), CAST(id AS CHAR(10)), if(id = 1, 'a', 'b') FROM message",
        "WITH recent (a, b) AS (SELECT id, content FROM message) SELECT a, left(b, 2) FROM recent",
        "SELECT a FROM (SELECT id FROM message) AS t (a) WHERE EXISTS (SELECT 1)",
    ] {
        let (code, told) = ask(sql);
        // The server may not know a form.
        assert!(!told.contains("loadable"), "{sql}: {told}");
        assert!(matches!(code, Some(0 | 2)), "{sql}: {told}");
    }
    let (code, told) = ask("SELECT http_post('http://127.0.0.1/', content) FROM message");
    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("`http_post` may be a loadable function") && told.contains("mysql.func"),
        "{told}"
    );
    run_sql(
        &url,
        &format!(
            "GRANT SELECT ON mysql.func TO plain@'127.0.0.1'; SET sql_mode = 'ANSI_QUOTES'; \
             CREATE FUNCTION quietly() RETURNS INT BEGIN SET GLOBAL max_connections = 155; RETURN 1; END; \
             GRANT EXECUTE ON FUNCTION `{database}`.quietly TO plain@'127.0.0.1'"
        ),
    );
    let (code, told) = ask("SELECT quietly()");
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("the definition of the routine"), "{told}");
}

/// A domain is checked as soon as a text is parsed for an array of it.
#[test]
fn a_domain_that_acts_is_not_even_parsed() {
    let store = Store::postgres();
    let url = store.url();
    run_sql(
        &url,
        "CREATE TABLE message (id int);
         CREATE FUNCTION harm(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN true; END $$;
         CREATE DOMAIN harm_domain AS int CHECK (harm(VALUE)); CREATE DOMAIN plain_domain AS int CHECK (VALUE > 0);
         CREATE TYPE harm_row AS (a harm_domain)",
    );
    let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'";
    let run = |sql: &str| {
        let output = chatctl()
            .args(["inspect", "sql", "--database-url", &url, sql])
            .output()
            .unwrap();
        let (_, err) = text(&output);
        assert_eq!(texts(&url, locks), ["0"], "after {sql}");
        (output.status.code(), err)
    };
    for sql in [
        "SELECT '{1}'::harm_domain[]",
        "SELECT '(1)'::harm_row",
        "SELECT CAST(id AS harm_domain) FROM message",
        "SELECT ROW(id)::harm_row FROM message",
        "SELECT $${1}$$::harm_domain[]",
    ] {
        let (code, err) = run(sql);
        assert_eq!(code, Some(4), "{sql}: {err}");
    }
    for sql in [
        "SELECT count(*) FROM message",
        "SELECT CAST(id AS plain_domain) FROM message",
    ] {
        let (code, err) = run(sql);
        assert_eq!(code, Some(0), "{sql}: {err}");
    }
}

/// Whoever may do less is refused the same, and the policies of rows are looked into.
#[test]
fn a_plain_role_is_refused_too() {
    let store = Store::postgres();
    let url = store.url();
    run_sql(
        &url,
        "CREATE TABLE message (id int); CREATE ROLE app LOGIN; GRANT SELECT ON message TO app;
         CREATE FUNCTION harm() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN true; END $$;
         CREATE TABLE harm_policy (a int); ALTER TABLE harm_policy ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON harm_policy USING (harm()); GRANT SELECT ON harm_policy TO app",
    );
    let app = url.replace("postgres@", "app@");
    for (sql, code) in [
        ("SELECT count(*) FROM message", 0),
        ("SELECT (1).pg_terminate_backend", 4),
        ("SELECT (1::bigint).pg_advisory_lock", 4),
        ("SELECT count(*) FROM harm_policy", 4),
    ] {
        let output = chatctl()
            .args(["inspect", "sql", "--database-url", &app, sql])
            .output()
            .unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{sql}: {err}");
        assert!(!err.contains("superuser"), "{err}");
    }
    let output = chatctl()
        .args(["inspect", "sql", "--database-url", &url, "SELECT 1"])
        .output()
        .unwrap();
    let (_, err) = text(&output);
    assert!(err.contains("note: you read as a superuser"), "{err}");
}

/// A predicate is in a file, which may be another's.
fn predicates_are_judged(store: &Store, predicates: &[&str], look: impl Fn() -> Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let run = |predicate: &str, arguments: &[&str]| {
        let mapping = format!(
            "[[store]]\n[store.message]\ntable = \"message\"\nconversation = [\"chat\"]\nrole = \"role\"\n\
             content = \"content\"\nwhere = {}\n",
            toml::Value::String(predicate.to_owned())
        );
        fs::write(folder.path().join("chatctl.toml"), mapping).unwrap();
        let output = chatctl()
            .args(["--database-url", &store.url()])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), text(&output).1)
    };
    let before = look();
    let looks: [&[&str]; 4] = [
        &["inspect", "conversations"],
        &["inspect", "search", "milk"],
        &["inspect", "mapping"],
        &["audit", "check"],
    ];
    for arguments in looks {
        let (code, err) = run("{content} <> 'a;b' AND {id} > 0", arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        for predicate in predicates {
            let (code, err) = run(predicate, arguments);
            assert!(matches!(code, Some(2..=4)), "{predicate}: {code:?} {err}");
            assert_eq!(look(), before, "after {predicate} in {arguments:?}");
        }
    }
}

const CHATS: &str =
    "CREATE TABLE message (id int PRIMARY KEY, chat int, role varchar(20), content varchar(200));
    INSERT INTO message VALUES (1, 1, 'user', 'buy milk'), (2, 1, 'assistant', 'bought')";

#[test]
fn a_predicate_harms_no_postgres() {
    let store = Store::postgres();
    let url = store.url();
    run_sql(&url, CHATS);
    let look = || {
        let mut seen = texts(&url, "SELECT m::text FROM message m ORDER BY id");
        seen.extend(texts(
            &url,
            "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'",
        ));
        seen
    };
    predicates_are_judged(
        &store,
        &[
            "true); COMMIT; BEGIN READ WRITE; INSERT INTO message VALUES (9, 1, 'user', 'x'); COMMIT; --",
            "true); COMMIT; SET default_transaction_read_only=off; COMMIT; DELETE FROM message; COMMIT; --",
            "pg_advisory_lock(5) IS NULL",
            "pg_read_file('/etc/passwd') IS NOT NULL",
            "(5::bigint).pg_advisory_lock IS NULL",
            "{id} > 0) UNION SELECT 1 FROM message WHERE (true",
            "{content} = E'\\' OR '",
        ],
        look,
    );
}

#[test]
fn a_predicate_harms_no_mysql() {
    let store = Store::mysql();
    let url = store.url();
    run_sql(&url, CHATS);
    run_sql(
        &url,
        "CREATE VIEW lock_view AS SELECT get_lock('harm', 1) AS a",
    );
    let look = || {
        let mut seen = texts(
            &url,
            "SELECT concat_ws(' ', id, content) FROM message ORDER BY id",
        );
        seen.extend(texts(&url, "SELECT CAST(is_used_lock('harm') AS CHAR)"));
        seen
    };
    predicates_are_judged(
        &store,
        &[
            "true); SET SESSION TRANSACTION READ WRITE; INSERT INTO message VALUES (9, 1, 'user', 'x'); -- ",
            "load_file('/etc/passwd') IS NOT NULL",
            "get_lock('harm', 1) = 1",
            "(SELECT a FROM lock_view) = 1",
            "{id} > 0) UNION SELECT 1 FROM message WHERE (true",
        ],
        look,
    );
}

#[test]
fn a_predicate_harms_no_sqlite() {
    let store = Store::sqlite();
    run(async {
        execute(&*store.open().await, CHATS).await;
    });
    let Store::Sqlite(folder) = &store else {
        unreachable!("it was made so");
    };
    predicates_are_judged(
        &store,
        &[
            "true); DELETE FROM message; --",
            "true); ATTACH 'harm.db' AS harm; --",
            "load_extension('harm.so') IS NULL",
            "{id} > 0) UNION SELECT 1 FROM message WHERE (true",
        ],
        || files(folder.path()),
    );
}
