//! Statements, run on a server of either engine.

use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _};

/// Runs statements.
pub fn run_sql(url: &str, sql: &str) {
    texts(url, sql);
}

/// The first column of each row, as the engine prints it; `-` for no value.
pub fn texts(url: &str, sql: &str) -> Vec<String> {
    all_texts(url, &[sql]).remove(0)
}

/// The same of several queries, on one connection.
pub fn all_texts(url: &str, queries: &[&str]) -> Vec<Vec<String>> {
    macro_rules! fetch {
        ($connection:ty, $text:ty) => {{
            let mut connection = <$connection>::connect(url).await.unwrap();
            let mut all = Vec::new();
            for sql in queries {
                let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(*sql));
                let rows = statements.fetch_all(&mut connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                let first = rows.iter().map(|row| {
                    let text = row.get_unchecked::<Option<$text>, _>(0);
                    text.map_or_else(
                        || "-".to_owned(),
                        |text| String::from_utf8_lossy(text.as_ref()).into_owned(),
                    )
                });
                all.push(first.collect());
            }
            connection.close().await.unwrap();
            all
        }};
    }
    wait_for(async {
        if url.starts_with("postgres") {
            fetch!(PgConnection, String)
        } else {
            // A value may be bytes that are no text.
            fetch!(MySqlConnection, Vec<u8>)
        }
    })
}

/// Waits in a thread of its own, so that a test may already be waiting in a runtime.
pub fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(future)
        });
        waiting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
