//! What each backend is asked: how many rows, which messages, and everything that is in it.

use crate::common::servers;
use chatctl::sql::Dialect;
use sqlx::{Connection as _, Row as _};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    Mysql,
}

pub const BACKENDS: [Backend; 3] = [Backend::Sqlite, Backend::Postgres, Backend::Mysql];

impl Backend {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Sqlite => Dialect::Sqlite,
            Self::Postgres => Dialect::Postgres,
            Self::Mysql => Dialect::Mysql,
        }
    }

    /// The database at a URL, for more than one question.
    pub fn at(self, url: &str) -> Database<'_> {
        let client = (self != Self::Sqlite).then(|| servers::Client::open(url));
        Database {
            backend: self,
            url,
            client,
        }
    }

    /// The first column of each row as text.
    pub fn texts(self, url: &str, sql: &str) -> Vec<String> {
        self.at(url).texts(sql)
    }

    pub fn count(self, url: &str, table: &str) -> u64 {
        self.at(url).counts(&[table])[0]
    }

    /// Ids, roles and bodies.
    pub fn messages(self, url: &str) -> Vec<String> {
        self.at(url).messages()
    }

    /// See [`Database::contents`].
    pub fn contents(self, url: &str) -> Vec<String> {
        self.at(url).contents()
    }

    /// See [`Database::tables`].
    pub fn tables(self, url: &str) -> Vec<String> {
        self.at(url).tables()
    }

    /// Queries whose rows are the schema.
    const fn schema(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[r"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '\_%' ESCAPE '\' ORDER BY type, name"],
            Self::Postgres => &[
                r"SELECT concat_ws(' ', table_schema, table_name, ordinal_position, column_name, udt_name, character_maximum_length,
                    numeric_precision, numeric_scale, is_nullable, column_default, generation_expression, collation_name)
                  FROM information_schema.columns
                  WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_name NOT LIKE '\_%' ORDER BY 1",
                r"SELECT indexdef FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT LIKE '\_%' ORDER BY 1",
                r"SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '\_%' ORDER BY 1",
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
                "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
                "SELECT viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
                "SELECT enumtypid::regtype || ' ' || enumsortorder || ' ' || enumlabel FROM pg_enum ORDER BY 1",
                "SELECT inhrelid::regclass || ' of ' || inhparent::regclass FROM pg_inherits ORDER BY 1",
            ],
            Self::Mysql => &[
                r"SELECT concat_ws(' ', table_name, ordinal_position, column_name, column_type, is_nullable, column_default, extra,
                    generation_expression, collation_name)
                  FROM information_schema.columns WHERE table_schema = database() AND table_name NOT LIKE '\_%' ORDER BY 1",
                r"SELECT concat_ws(' ', table_name, index_name, seq_in_index, column_name, non_unique, index_type)
                  FROM information_schema.statistics WHERE table_schema = database() AND table_name NOT LIKE '\_%' ORDER BY 1",
                r"SELECT concat_ws(' ', table_name, constraint_name, constraint_type)
                  FROM information_schema.table_constraints WHERE table_schema = database() AND table_name NOT LIKE '\_%' ORDER BY 1",
                "SELECT concat_ws(' ', table_name, partition_name, partition_description) FROM information_schema.partitions
                  WHERE table_schema = database() AND partition_name IS NOT NULL ORDER BY 1",
                "SELECT concat_ws(' ', trigger_name, event_object_table, action_statement)
                  FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 1",
                "SELECT concat_ws(' ', routine_name, routine_definition)
                  FROM information_schema.routines WHERE routine_schema = database() ORDER BY 1",
                "SELECT concat_ws(' ', table_name, view_definition) FROM information_schema.views WHERE table_schema = database() ORDER BY 1",
            ],
        }
    }

    /// A query whose rows are queries: one a table, for all its rows.
    const fn rows(self) -> &'static str {
        match self {
            Self::Sqlite => {
                r#"SELECT 'SELECT ' || group_concat('quote("' || c.name || '")', ' || ''|'' || ') || ' FROM "' || t.name || '"'
                   FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c
                   WHERE t.schema = 'main' AND (t.type IN ('table', 'virtual') OR t.name LIKE '%\_segdir' ESCAPE '\')
                     AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name NOT LIKE '\_%' ESCAPE '\' AND c.hidden <> 1
                     -- Such an index can't be read but by its words, which are in its directory of segments.
                     AND NOT EXISTS (SELECT 1 FROM sqlite_master AS m WHERE m.name = t.name AND m.sql LIKE '%fts4 (content="",%')
                   GROUP BY t.name ORDER BY t.name"#
            }
            Self::Postgres => {
                r"SELECT format('SELECT t::text FROM %s AS t', oid::regclass) FROM pg_class
                  WHERE relkind IN ('r', 'p', 'm') AND relnamespace = 'public'::regnamespace AND relname NOT LIKE '\_%' ORDER BY relname"
            }
            Self::Mysql => {
                r"SELECT concat('SELECT concat_ws(''|'', ', group_concat('quote(`', c.column_name, '`)' ORDER BY c.ordinal_position), ') FROM `',
                    t.table_name, '`')
                  FROM information_schema.tables AS t JOIN information_schema.columns AS c
                    ON c.table_schema = database() AND c.table_name = t.table_name
                  WHERE t.table_schema = database() AND t.table_type = 'BASE TABLE' AND t.table_name NOT LIKE '\_%'
                  GROUP BY t.table_name ORDER BY t.table_name"
            }
        }
    }
}

/// A database that is asked more than once: on one connection, where it is on a server.
pub struct Database<'a> {
    backend: Backend,
    url: &'a str,
    client: Option<servers::Client>,
}

impl Database<'_> {
    /// The first column of each row as text.
    fn texts(&mut self, sql: &str) -> Vec<String> {
        self.all_texts(&[sql]).remove(0)
    }

    fn all_texts(&mut self, queries: &[&str]) -> Vec<Vec<String>> {
        if let Some(client) = &mut self.client {
            return client.all_texts(queries);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = sqlx::SqliteConnection::connect(self.url).await.unwrap();
            let mut all = Vec::new();
            for sql in queries {
                let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(*sql))
                    .fetch_all(&mut connection)
                    .await;
                let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                let first = rows.iter().map(|row| {
                    let text = row.get::<Option<String>, _>(0);
                    text.unwrap_or_else(|| "-".to_owned())
                });
                all.push(first.collect());
            }
            all
        })
    }

    /// How a number is cast to a text.
    const fn text(&self) -> &'static str {
        match self.backend {
            Backend::Mysql => "char",
            Backend::Sqlite | Backend::Postgres => "text",
        }
    }

    /// How many rows there are in each of these.
    pub fn counts(&mut self, tables: &[impl AsRef<str>]) -> Vec<u64> {
        let text = self.text();
        let queries = tables
            .iter()
            .map(|table| format!("SELECT CAST(count(*) AS {text}) FROM {}", table.as_ref()));
        let queries: Vec<_> = queries.collect();
        let queries: Vec<_> = queries.iter().map(String::as_str).collect();
        let counts = self.all_texts(&queries);
        counts.iter().map(|rows| rows[0].parse().unwrap()).collect()
    }

    /// Ids, roles and bodies.
    pub fn messages(&mut self) -> Vec<String> {
        let row = match self.backend {
            Backend::Mysql => "concat_ws('|', id, role, coalesce(body, '-'))",
            Backend::Sqlite | Backend::Postgres => {
                "id || '|' || role || '|' || coalesce(body, '-')"
            }
        };
        self.texts(&format!("SELECT {row} FROM messages ORDER BY id"))
    }

    /// The schema, every row of every table, and the applied versions. Tables of chatctl and sqlx
    /// begin with `_`; a journal of theirs may say that something was tried.
    pub fn contents(&mut self) -> Vec<String> {
        let mut all = self.tables();
        let text = self.text();
        all.extend(self.texts(&format!(
            "SELECT CAST(version AS {text}) FROM _sqlx_migrations ORDER BY version"
        )));
        all
    }

    /// The schema and every row of every table, but those of chatctl and sqlx.
    pub fn tables(&mut self) -> Vec<String> {
        let (schema, rows) = (self.backend.schema(), self.backend.rows());
        let queries: Vec<_> = schema.iter().copied().chain([rows]).collect();
        let mut found = self.all_texts(&queries);
        let queries = found.pop().unwrap();
        let mut all: Vec<_> = found.into_iter().flatten().collect();
        let rows: Vec<_> = queries.iter().map(String::as_str).collect();
        for (query, mut lines) in queries.iter().zip(self.all_texts(&rows)) {
            lines.sort();
            all.push(query.clone());
            all.extend(lines);
        }
        all
    }
}
