//! `chatctl config`: every setting and where its value came from.

use super::Done;
use super::Env;
use crate::config::SETTINGS;
use crate::config::shown;

/// Runs it.
pub fn run(env: &Env) -> Done {
    let rows: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let flag = env
                .database_url
                .as_deref()
                .filter(|_| setting.key == "database-url");
            let (value, from) = env.config.get(setting.key, flag);
            let value = value.map_or_else(|| "-".to_owned(), |value| shown(setting.key, &value));
            (setting.key, value, from.to_string(), setting.what)
        })
        .collect();
    let width =
        |cell: fn(&(&str, String, String, &str)) -> usize| rows.iter().map(cell).max().unwrap_or(0);
    let (keys, values, froms) = (
        width(|row| row.0.len()),
        width(|row| row.1.chars().count()),
        width(|row| row.2.chars().count()),
    );
    let lines = rows.iter().map(|(key, value, from, what)| {
        format!("{key:keys$}  {value:values$}  {from:froms$}  {what}\n")
    });
    Done::Text(lines.collect())
}
