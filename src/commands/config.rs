//! `chatctl config`: every setting and where its value came from.

use super::moment::duration;
use super::{Done, Env};
use crate::cli_error;
use crate::config::{From, SETTINGS, shown};
use crate::db::Target;
use crate::stream::setup;
use crate::stream::setup::Wanted;
use std::iter;

/// The widest column of values.
const WIDEST: usize = 60;

/// Runs it.
pub fn run(env: &Env) -> Done {
    if let Err(error) = check(env) {
        env.progress.warning(&cli_error::with_hint(&error));
    }
    let head = ("setting", "value".to_owned(), "from".to_owned(), "meaning");
    let settings = SETTINGS.iter().map(|setting| {
        let flag = env
            .database_url
            .as_deref()
            .filter(|_| setting.key == "database-url");
        let (mut value, mut from) = env.config.get(setting.key, flag);
        if setting.key == "start"
            && value.is_none()
            && let Some((path, _)) = env.config.start_entries()
        {
            value = Some("[[start]]".to_owned());
            from = From::File(path.to_owned());
        }
        let value = value.map_or_else(|| "-".to_owned(), |value| shown(setting.key, &value));
        (setting.key, value, from.to_string(), setting.what)
    });
    let rows: Vec<_> = iter::once(head).chain(settings).collect();
    let width =
        |cell: fn(&(&str, String, String, &str)) -> usize| rows.iter().map(cell).max().unwrap_or(0);
    let (keys, values, froms) = (
        width(|row| row.0.len()),
        // A long one stands out of its column.
        width(|row| row.1.chars().count()).min(WIDEST),
        width(|row| row.2.chars().count()),
    );
    let padded = |cell: &str, width: usize| {
        let blanks = width.saturating_sub(cell.chars().count());
        format!("{cell}{}", " ".repeat(blanks))
    };
    let lines = rows.iter().map(|(key, value, from, what)| {
        let (key, value) = (padded(key, keys), padded(value, values));
        format!("{key}  {value}  {}  {what}\n", padded(from, froms))
    });
    Done::Text(lines.collect())
}

/// The first value that the commands would refuse.
fn check(env: &Env) -> anyhow::Result<()> {
    let flag = env.database_url.as_deref();
    let target = match env.config.value("database-url", flag)? {
        Some(url) => {
            env.mask.keep_of(&url);
            env.parsed(&url)?
        }
        // Some values depend on the engine; without a store any one does.
        None => Target::parse("sqlite:chat.db")?,
    };
    let timeout = |text: &str| duration(text).ok();
    env.config.parsed("ready-timeout", None, timeout)?;
    setup::options(&Wanted::default(), &env.config, &target)?;
    Ok(())
}
