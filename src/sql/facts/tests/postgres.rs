use super::*;
use Destroys::{Certainly, No, Possibly};

fn column() -> String {
    "a".to_owned()
}

fn alter_type(to: &str, using: bool) -> Kind {
    alter(AlterAction::AlterType {
        column: column(),
        to: to.to_owned(),
        using,
    })
}

fn constraint(name: Option<&str>, what: Constraint, not_valid: bool) -> Kind {
    alter(AlterAction::AddConstraint {
        name: name.map(str::to_owned),
        what,
        not_valid,
    })
}

fn truncate(cascade: bool, tables: &[&str]) -> Kind {
    Kind::Truncate {
        cascade,
        tables: tables.iter().copied().map(Name::new).collect(),
    }
}

fn with(writes: &[Kind]) -> Kind {
    Kind::With {
        writes: writes.to_vec(),
    }
}

fn enum_change(change: TypeChange) -> Kind {
    Kind::AlterEnum { change }
}

#[test]
#[rustfmt::skip]
fn tables_of_postgres() {
    let as_select = Kind::CreateTable {
        if_not_exists: false,
        or_replace: false,
        temporary: false,
        as_select: true,
    };
    let two = Kind::AlterTable {
        actions: vec![
            add_column("numeric(10, 2) DEFAULT f(1, 2)", false, true),
            AlterAction::DropColumn {
                column: "Body".to_owned(),
                if_exists: true,
                cascade: true,
            },
        ],
    };
    let detach = AlterAction::DetachPartition {
        partition: Name::new("p"),
        concurrently: true,
    };
    check(
        Dialect::Postgres,
        vec![
            ("CREATE UNLOGGED TABLE Chat.M (a int) WITH (fillfactor = 70)", create_table(), "chat.m", No),
            ("CREATE TABLE m AS SELECT now()", as_select.clone(), "m", No),
            ("CREATE TABLE m AS WITH c AS (SELECT 1) TABLE c", as_select.clone(), "m", No),
            ("CREATE TABLE m AS SELECT cleanup()", as_select, "m", Possibly),
            ("CREATE TABLE p PARTITION OF m FOR VALUES IN ('a')", create_table(), "p", No),
            ("DROP TABLE IF EXISTS a, chat.\"B\" CASCADE", drop_table(true, true), "a chat.B", Certainly),
            ("ALTER TABLE IF EXISTS ONLY m ADD a numeric(10, 2) DEFAULT f(1, 2), DROP COLUMN IF EXISTS \"Body\" CASCADE", two, "m", Certainly),
            ("ALTER TABLE m ADD COLUMN a int GENERATED ALWAYS AS IDENTITY", alter(add_column("int GENERATED ALWAYS AS IDENTITY", false, true)), "m", No),
            ("ALTER TABLE m ALTER COLUMN a TYPE varchar(5) USING left(a, 5)", alter_type("varchar(5)", true), "m", Possibly),
            ("ALTER TABLE m ALTER a SET DATA TYPE timestamp with time zone", alter_type("timestamp with time zone", false), "m", Possibly),
            ("ALTER TABLE m ALTER a SET NOT NULL", alter(AlterAction::SetNotNull { column: column() }), "m", No),
            ("ALTER TABLE m ALTER COLUMN a DROP NOT NULL", alter(AlterAction::DropNotNull { column: column() }), "m", No),
            ("ALTER TABLE m ALTER a SET DEFAULT ARRAY[1, 2]", alter(other_action("ALTER a SET DEFAULT ARRAY[1, 2]")), "m", No),
            ("ALTER TABLE m ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES o (id) NOT VALID", constraint(Some("c"), Constraint::ForeignKey, true), "m", No),
            ("ALTER TABLE m ADD UNIQUE (a)", constraint(None, Constraint::Unique, false), "m", No),
            ("ALTER TABLE m DROP CONSTRAINT IF EXISTS c", alter(AlterAction::DropConstraint { name: Some("c".to_owned()) }), "m", No),
            ("ALTER TABLE m DETACH PARTITION p CONCURRENTLY", alter(detach), "m", Possibly),
            ("ALTER TABLE m OWNER TO chat", alter(other_action("OWNER TO chat")), "m", No),
            ("ALTER TABLE m SET UNLOGGED", alter(other_action("SET UNLOGGED")), "m", Possibly),
            ("ALTER TABLE m RENAME CONSTRAINT a TO b", alter(other_action("RENAME CONSTRAINT a TO b")), "m", No),
            ("ALTER TABLE chat.m RENAME TO n", alter(AlterAction::RenameTable { to: Name::new("n") }), "chat.m", No),
            ("CREATE INDEX CONCURRENTLY ON ONLY chat.m USING gin (a)", index(false, true, false), "chat.m", No),
            ("DROP INDEX CONCURRENTLY IF EXISTS i", Kind::DropIndex { concurrently: true, if_exists: true }, "", No),
        ],
    );
}

#[test]
#[rustfmt::skip]
fn rows_of_postgres() {
    let ignore = insert(false, Conflict::Ignore);
    let plain = insert(false, Conflict::Fail);
    check(
        Dialect::Postgres,
        vec![
            ("TRUNCATE conversations CASCADE", truncate(true, &["conversations"]), "conversations", Certainly),
            ("TRUNCATE TABLE ONLY a, b RESTART IDENTITY", truncate(false, &["a", "b"]), "a b", Certainly),
            ("WITH d AS (DELETE FROM m RETURNING *) SELECT 1", with(&[delete(false)]), "m", Certainly),
            ("WITH d AS MATERIALIZED (UPDATE m SET a = 1 RETURNING a) INSERT INTO o SELECT a FROM d", with(&[update(false), insert(true, Conflict::Fail)]), "o m", Possibly),
            ("WITH d AS (WITH e AS (SELECT 1) DELETE FROM m) SELECT 1", with(&[delete(false)]), "m", Certainly),
            ("INSERT INTO o WITH d AS (DELETE FROM m WHERE a RETURNING *) SELECT * FROM d", with(&[delete(true), insert(true, Conflict::Fail)]), "o m", Certainly),
            ("COPY (DELETE FROM m RETURNING *) TO '/tmp/m'", with(&[delete(false)]), "m", Certainly),
            ("MERGE INTO m USING n ON m.id = n.id WHEN MATCHED THEN DELETE", Kind::Merge { deletes: true }, "m", Certainly),
            ("MERGE INTO m USING n ON m.id = n.id WHEN NOT MATCHED THEN INSERT VALUES (1)", Kind::Merge { deletes: false }, "m", Possibly),
            ("DELETE FROM ONLY m USING o x WHERE m.a = x.a", delete(true), "m", Certainly),
            ("UPDATE m AS x SET (a, b) = (1, 2) FROM o WHERE x.id = o.id RETURNING 1", update(true), "m", Possibly),
            ("INSERT INTO m (id) OVERRIDING SYSTEM VALUE VALUES (1) ON CONFLICT (lower(a)) DO NOTHING", ignore, "m", No),
            ("INSERT INTO m DEFAULT VALUES", plain.clone(), "m", No),
            ("INSERT INTO m SELECT * FROM chat.cleanup()", insert(true, Conflict::Fail), "m", Possibly),
            ("COPY m (a) FROM '/tmp/m'", plain, "m", No),
            ("SELECT setval('s', (SELECT max(id) FROM m))", Kind::Select, "", No),
            ("SELECT pg_catalog.set_config('search_path', '', false)", Kind::Select, "", No),
            ("SELECT cleanup()", Kind::Select, "", Possibly),
            ("SELECT chat.count(1)", Kind::Select, "", Possibly),
            ("SELECT a::vector(3) FROM unnest('{}') AS t(a)", Kind::Select, "", No),
            ("(SELECT 1) UNION (SELECT \"now\"())", Kind::Select, "", Possibly),
            ("WITH c (n) AS (SELECT 1) SEARCH DEPTH FIRST BY n SET o SELECT * FROM c", Kind::Select, "", No),
            ("EXPLAIN (ANALYZE) DELETE FROM m", Kind::Other, "", Possibly),
        ],
    );
}

#[test]
#[rustfmt::skip]
fn objects_of_postgres() {
    let added = TypeChange::AddValue {
        if_not_exists: true,
    };
    let matview = Kind::DropView {
        if_exists: true,
        materialized: true,
        cascade: false,
    };
    let writes = |writes| Kind::CreateFunction { writes };
    let constraint_trigger = Kind::CreateTrigger {
        if_not_exists: false,
        or_replace: false,
    };
    check(
        Dialect::Postgres,
        vec![
            ("ALTER TYPE role ADD VALUE IF NOT EXISTS 'tool'", enum_change(added), "", No),
            ("ALTER TYPE role RENAME VALUE 'a' TO 'b'", enum_change(TypeChange::RenameValue), "", No),
            ("ALTER TYPE role DROP VALUE 'a'", enum_change(TypeChange::DropValue), "", Certainly),
            ("ALTER TYPE pair DROP ATTRIBUTE a CASCADE", enum_change(TypeChange::DropAttribute), "", Certainly),
            ("ALTER TYPE role OWNER TO x", enum_change(TypeChange::Harmless), "", No),
            ("DROP TYPE role CASCADE", Kind::DropType { cascade: true }, "", Certainly),
            ("DROP MATERIALIZED VIEW IF EXISTS v", matview, "", Possibly),
            ("DROP SCHEMA chat CASCADE", Kind::DropSchema { cascade: true }, "", Certainly),
            ("DROP SCHEMA chat", Kind::DropSchema { cascade: false }, "", No),
            ("DROP DATABASE chat", Kind::DropDatabase, "", Certainly),
            ("DROP OWNED BY chat", drop_other("OWNED", false), "", Certainly),
            ("DROP EXTENSION citext CASCADE", drop_other("EXTENSION", true), "", Possibly),
            ("DROP POLICY p ON m", drop_other("POLICY", false), "", No),
            ("CREATE EXTENSION IF NOT EXISTS citext", create_other("EXTENSION"), "", No),
            ("CREATE RULE r AS ON DELETE TO m DO INSTEAD (SELECT 1; SELECT 2)", create_other("RULE"), "", No),
            ("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON chat.m EXECUTE FUNCTION f()", constraint_trigger, "chat.m", No),
            ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM m $$", writes(true), "", Possibly),
            ("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE m; END'", writes(true), "", Possibly),
            ("CREATE FUNCTION f(a text = 'x') RETURNS void BEGIN ATOMIC UPDATE m SET a = 1; END", writes(true), "", Possibly),
            ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 'DELETE'; RETURN NEW; END $$", writes(false), "", No),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS $$ pass $$", writes(true), "", Possibly),
            ("DO $$ BEGIN DROP TABLE messages; END $$", Kind::Do, "", Possibly),
            ("CALL cleanup()", Kind::Call, "", Possibly),
            ("SET LOCAL lock_timeout = '2s'", set("lock_timeout", "2s"), "", No),
            ("SET search_path TO a, b", set("search_path", "a, b"), "", No),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", set("session", "CHARACTERISTICS AS TRANSACTION READ ONLY"), "", No),
            ("SET TIME ZONE 'UTC'", set("time zone", "UTC"), "", No),
            ("RESET lock_timeout", set("lock_timeout", "DEFAULT"), "", No),
            ("REINDEX TABLE CONCURRENTLY m", Kind::Reindex { concurrently: true, whole: false }, "m", No),
            ("VACUUM (FULL, ANALYZE) m", Kind::Vacuum, "m", No),
            ("LOCK TABLE m, n IN ACCESS EXCLUSIVE MODE", Kind::Lock, "m n", No),
            ("COMMENT ON COLUMN chat.m.body IS 'x'", Kind::Comment, "m", No),
            ("REVOKE ALL ON m FROM public", Kind::Grant, "", No),
            ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE", Kind::Begin, "", No),
            ("PREPARE p AS DELETE FROM m", Kind::Other, "", Possibly),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", Kind::RefreshView, "", No),
        ],
    );
}
