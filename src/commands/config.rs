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
/// The narrowest column of meanings.
const NARROWEST: usize = 24;

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
    let lines = rows.iter().map(|(key, value, from, what)| {
        let row = format!("{key:keys$}  {value:values$}  {from:froms$}");
        fitted(&row, what, env.width)
    });
    Done::Text(lines.collect())
}

/// A row with its meaning, which is broken into lines where the row is too wide for a terminal.
fn fitted(row: &str, what: &str, width: Option<u16>) -> String {
    let at = row.chars().count() + 2;
    // Without a terminal a row is one line, for other programs.
    let width = width.map_or(usize::MAX, usize::from);
    if at + what.chars().count() <= width {
        return format!("{row}  {what}\n");
    }
    // A column that is too narrow to be read goes below the row.
    let (mut text, indent) = match width.checked_sub(at) {
        Some(NARROWEST..) => (format!("{row}  "), at),
        _ => (format!("{}\n    ", row.trim_end()), 4),
    };
    let mut used = indent;
    for (number, word) in what.split(' ').enumerate() {
        let wide = word.chars().count() + 1;
        if number > 0 && used + wide > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        } else if number > 0 {
            text.push(' ');
        }
        text.push_str(word);
        used += wide;
    }
    text + "\n"
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

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn a_row_fits_the_terminal_and_is_one_line_without_one() {
        let what = "the path, URL, port or output line by which the server counts as ready";
        let row = "ready             -      default";
        assert_eq!(fitted(row, what, None), format!("{row}  {what}\n"));
        for width in [60, 80, 100] {
            let text = fitted(row, what, Some(width));
            let widest = text.lines().map(str::len).max().unwrap();
            assert!(widest <= usize::from(width), "{text}");
            let words = text.split_whitespace().skip(3);
            assert!(words.eq(what.split(' ')), "{text}");
        }
        let narrow = fitted(row, "the URL of a server", Some(40));
        assert_eq!(narrow, format!("{row}\n    the URL of a server\n"));
    }
}
