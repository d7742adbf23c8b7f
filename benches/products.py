#!/usr/bin/env python3
"""The migrations of public products: from an empty database to the head, and from half-way with rows.

    benches/products.py --chatctl target/release/chatctl --sources DIR
    benches/products.py --chatctl target/release/chatctl --sources DIR --only vaultwarden langfuse

DIR has a clone of each product, in a folder of its name (PRODUCTS has the names and the addresses).
A PostgreSQL server of its own is started and ended; nothing of a product is changed but a copy.

    empty     `chatctl migrate up` on an empty database, no acknowledgement written
    half-way  up to the middle file, then up to three rows are put into each table that takes them
              (`rows`: how many tables have some), then `up`. Where a file loses something that a
              database with rows has, it is refused; what it names is counted and acknowledged, and
              `up` runs again. Afterwards each table of before that is still there is counted again.

Prints a table; with --losses each acknowledged loss, too. Exits 1 when a run does not reach the head.
"""

import argparse
import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches" / "peers"))
from run import STORES, server  # noqa: E402

# What Supabase gives a project before its first migration.
SUPABASE = """
CREATE SCHEMA auth; CREATE SCHEMA storage; CREATE SCHEMA extensions;
CREATE EXTENSION "uuid-ossp" SCHEMA extensions; CREATE EXTENSION pgcrypto SCHEMA extensions;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = "$user", public, extensions', current_database()); END $$;
CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text, raw_user_meta_data jsonb, created_at timestamptz DEFAULT now());
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid';
CREATE TABLE storage.buckets (id text PRIMARY KEY, name text NOT NULL, owner uuid, public boolean DEFAULT false);
CREATE TABLE storage.objects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), bucket_id text REFERENCES storage.buckets (id), name text, owner uuid, owner_id text);
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION storage.foldername(name text) RETURNS text[] LANGUAGE sql AS 'SELECT string_to_array(name, ''/'')';
CREATE FUNCTION storage.filename(name text) RETURNS text LANGUAGE sql AS 'SELECT name';
"""
ROLES = ["anon", "authenticated", "service_role"]


class Product:
    def __init__(self, tool, at, source, begin="", filled="", edits=(), backend="postgres", note=""):
        self.tool, self.at, self.source, self.begin, self.edits = tool, at, source, begin, edits
        # What makes of the made-up rows such as the product itself writes, where a file reads into them.
        self.filled = filled
        self.backend, self.note = backend, note


PRODUCTS = {
    "langfuse": Product(
        "Prisma", "packages/shared/prisma/migrations", "langfuse/langfuse",
        filled="""DO $$ BEGIN UPDATE dashboards SET definition = '{"widgets": []}'; EXCEPTION WHEN undefined_table THEN NULL; END $$;"""),
    "matrix-authentication-service": Product(
        "sqlx", "crates/storage-pg/migrations", "element-hq/matrix-authentication-service"),
    "vaultwarden": Product("Diesel", "migrations/postgresql", "dani-garcia/vaultwarden"),
    "vaultwarden-sqlite": Product("Diesel", "migrations/sqlite", "dani-garcia/vaultwarden", backend="sqlite"),
    "ai-chatbot": Product("Drizzle", "lib/db/migrations", "vercel/ai-chatbot"),
    "anything-llm": Product("Prisma, SQLite", "server/prisma/migrations", "Mintplex-Labs/anything-llm", backend="sqlite"),
    "lemmy": Product("Diesel", "migrations", "LemmyNet/lemmy"),
    # The server has neither extension: a vector is an array here, and has no index.
    "chatbot-ui": Product(
        "Supabase", "supabase/migrations", "mckaywrigley/chatbot-ui", begin=SUPABASE,
        edits=[
            (r"(?mi)^create extension (http|vector) with schema extensions;", ""),
            (r"\bvector\(\d+\)", "real[]"),
            (r"(?s)CREATE INDEX[^;]*USING hnsw[^;]*;", ""),
        ],
        note="without http and pgvector",
    ),
}

# Up to three rows in each table that takes them; tables that others refer to get theirs in an earlier turn.
FILL = r"""
DO $fill$ DECLARE t record; c record; had bigint; names text; vals text; one text; whole boolean; done boolean;
BEGIN
SET LOCAL client_min_messages = error;
FOR turn IN 1..5 LOOP
 FOR t IN SELECT r.oid, format('%I.%I', n.nspname, r.relname) AS name FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
   WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND r.relname NOT IN ('_sqlx_migrations', '_chatctl_journal') ORDER BY 2 LOOP
  EXECUTE 'SELECT count(*) FROM ' || t.name INTO had;
  FOR i IN had + 1 .. 3 LOOP
   done := false;
   FOREACH whole IN ARRAY ARRAY[true, false] LOOP
    CONTINUE WHEN done;
    names := ''; vals := '';
    FOR c IN SELECT a.attname, a.attnum, a.attnotnull, a.atttypid, a.atttypmod, a.atthasdef, y.typcategory, y.typtype,
       format_type(a.atttypid, a.atttypmod) AS type,
       (SELECT format('(SELECT %I FROM %s ORDER BY 1 OFFSET %s LIMIT 1)', f.attname, k.confrelid::regclass, (i - 1) % 3)
        FROM pg_constraint k JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[array_position(k.conkey, a.attnum)]
        WHERE k.contype = 'f' AND k.conrelid = t.oid AND a.attnum = ANY (k.conkey) LIMIT 1) AS parent
      FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
      WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '' ORDER BY a.attnum LOOP
     CONTINUE WHEN c.parent IS NULL AND c.atthasdef AND (NOT whole OR c.typcategory = 'N');
     CONTINUE WHEN NOT whole AND NOT c.attnotnull;
     one := CASE
       WHEN c.parent IS NOT NULL THEN c.parent
       WHEN c.typtype = 'e' THEN format('(enum_range(NULL::%s))[1]', c.type)
       WHEN c.type = 'uuid' THEN quote_literal(md5(t.name || c.attname || i)) || '::uuid'
       WHEN c.type IN ('json', 'jsonb') THEN format('%L', '{"n": ' || i || '}')
       WHEN c.type = 'bytea' THEN format('%L', '\x0' || i)
       WHEN c.typcategory = 'N' THEN i::text
       WHEN c.typcategory = 'B' THEN (i % 2 = 0)::text
       WHEN c.typcategory = 'D' THEN format('(timestamp ''2026-01-01'' + interval ''%s day'')::%s', i, c.type)
       WHEN c.typcategory = 'A' THEN quote_literal('{}')
       WHEN c.typcategory = 'I' THEN quote_literal('127.0.0.' || i)
       WHEN c.typcategory = 'T' THEN quote_literal(i || ' hour')
       WHEN c.typcategory = 'S' AND c.atttypmod BETWEEN 5 AND 24 THEN quote_literal(left('x' || i, c.atttypmod - 4))
       WHEN c.typcategory = 'S' THEN quote_literal(c.attname || ' ' || i)
       ELSE quote_literal(i::text) END;
     names := names || format(', %I', c.attname); vals := vals || ', ' || one;
    END LOOP;
    BEGIN
     IF names = '' THEN EXECUTE format('INSERT INTO %s DEFAULT VALUES', t.name);
     ELSE EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', t.name, substr(names, 3), substr(vals, 3)); END IF;
     done := true;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
   END LOOP;
  END LOOP;
 END LOOP;
END LOOP;
END $fill$;
"""

COUNTS = r"""
SELECT coalesce(json_object_agg(name, rows), '{}') FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name,
 (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint AS rows
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname NOT IN ('_sqlx_migrations', '_chatctl_journal')) AS all_of_it
"""


def fill_sqlite(path):
    """The same, with Python's sqlite3; keys are not checked, so that no order counts."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
            if table in ("_sqlx_migrations", "_chatctl_journal"):
                continue
            columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
            parents = {row[3]: row[2] for row in connection.execute(f'PRAGMA foreign_key_list("{table}")')}
            for i in range(1, 4):
                def value(name, kind):
                    if re.search("INT|NUM|BOOL|REAL", kind.upper()):
                        return i
                    if re.search("DATE|TIME", kind.upper()):
                        return f"2026-01-0{i} 00:00:00"
                    return f"{parents.get(name, table)} {i}" if name == "uuid" or name in parents else f"{name} {i}"

                marks = ", ".join("?" * len(columns))
                try:
                    connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', [value(*column) for column in columns])
                except sqlite3.IntegrityError:
                    pass
    connection.close()


def fill(product, store):
    if product.backend == "sqlite":
        fill_sqlite(store.path)
    else:
        subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", store.url], input=FILL + product.filled, text=True, check=True)


def counts(product, store):
    if product.backend == "sqlite":
        return {name: len(rows) for name, rows in store.tables().items()}
    return json.loads(store.ask(store.name, COUNTS))


def versions(folder):
    """The names of files, or of folders with a file, in their order."""
    folders = [path.parent.name for name in ("up", "migration") for path in folder.glob(f"*/{name}.sql")]
    return sorted(folders or [path.stem for path in folder.glob("*.sql")])


def up(args, store, folder, *more):
    began = time.perf_counter()
    command = [args.chatctl, "migrate", "up", "--format", "json", "--database-url", store.url, "--dir", str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent)
    report = json.loads(done.stdout) if done.stdout.strip().startswith("{") else {"findings": []}
    errors = [finding for finding in report["findings"] if finding.get("severity", finding.get("level")) == "error"]
    return done, errors, time.perf_counter() - began


def acknowledge(folder, errors):
    """Writes what the findings say into the folder's own file; how many there were."""
    path, written = folder / "acknowledgements.toml", []
    for error in errors:
        found = re.search(r"allow-loss (\S+)", error["help"])
        if not found:
            return None
        written.append((error["place"]["file"].split("/")[0], found[1].rstrip("`,")))
    with path.open("a") as out:
        for name, subject in dict.fromkeys(written):
            out.write(f'[[allow-loss]]\nfile = "{name}"\ntable = {json.dumps(subject)}\nreason = "as the product does it"\n\n')
    return written


def said(done, errors):
    texts = [f"{error['harm']} ({'; '.join(it['fact'] for it in error['evidence'])})" for error in errors]
    return " / ".join(texts)[:600] or (done.stdout + done.stderr).strip()[-400:]


def trial(args, name, product, url, place):
    origin = args.sources / name.removesuffix("-sqlite") / product.at
    if not origin.is_dir():
        print(f"| {name} | {product.tool} | – | no sources in {origin} | |", flush=True)
        return True
    folder = place / "migrations"
    shutil.copytree(origin, folder)
    for path in folder.rglob("*.sql") if product.edits else []:
        text = path.read_text()
        for pattern, other in product.edits:
            text = re.sub(pattern, other, text)
        path.write_text(text)
    names = versions(folder)

    def store(what):
        at = place / f"{re.sub(r'[^a-z]', '_', name)}_{what}"
        at.mkdir()
        made = STORES[product.backend](at, url)
        if product.backend == "sqlite":
            made.path.touch()
        elif product.begin:
            made.ask(made.name, product.begin)
        return made

    empty = store("empty")
    done, errors, took = up(args, empty, folder)
    fine = done.returncode == 0
    first = f"head, {took:.1f} s" if fine else f"exit {done.returncode}: {said(done, errors)}"
    empty.drop()

    half = store("half")
    middle = names[len(names) // 2 - 1]
    version = re.match(r"[\d-]*\d", middle)[0]
    done, errors, _ = up(args, half, folder, "--to", version)
    if done.returncode:
        print(f"| {name} | {product.tool} | {len(names)} | {first} | up to {version} exit {done.returncode}: {said(done, errors)} |", flush=True)
        return False
    fill(product, half)
    before = counts(product, half)
    acknowledged = []
    for _ in range(80):
        done, errors, took = up(args, half, folder)
        if done.returncode != 1 or not errors:
            break
        more = acknowledge(folder, errors)
        if not more or set(more) <= set(acknowledged):
            break
        acknowledged += more
    after = counts(product, half)
    rows = collections.Counter(bool(number) for number in before.values())
    fewer = {table: (number, after[table]) for table, number in before.items() if table in after and after[table] < number}
    gone = [table for table, number in before.items() if number and table not in after]
    second = f"head, {len(acknowledged)} acknowledged" if done.returncode == 0 else f"exit {done.returncode}: {said(done, errors)}"
    second += f"; fewer rows in {fewer}" if fewer else ""
    second += f"; gone or renamed: {', '.join(gone)}" if gone else ""
    note = f" ({product.note})" if product.note else ""
    print(f"| {name}{note} | {product.tool} | {len(names)} | {first} | {version}: {rows[True]} of {rows.total()} tables with rows; {second} |", flush=True)
    if args.losses:
        for file, subject in acknowledged:
            print(f"    {file}: {subject}")
    half.drop()
    return fine and done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--sources", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*", choices=PRODUCTS, default=list(PRODUCTS))
    parser.add_argument("--losses", action="store_true", help="name what was acknowledged")
    args = parser.parse_args()
    args.chatctl, args.sources = str(pathlib.Path(args.chatctl).resolve()), args.sources.resolve()
    process, data, url = server("postgres")
    try:
        for role in ROLES:
            subprocess.run(["psql", "-Xqc", f"CREATE ROLE {role}", f"{url}/postgres"], check=True)
        print("| product | tool | files | from empty | half-way with rows, then to the head |\n|---|---|---|---|---|")
        fine = True
        for name in args.only:
            with tempfile.TemporaryDirectory() as place:
                fine &= trial(args, name, PRODUCTS[name], url, pathlib.Path(place))
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
