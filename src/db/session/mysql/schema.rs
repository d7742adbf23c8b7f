//! The schema in lines that two databases of the same migrations have in common.

use super::MySql;
use super::quoted;
use crate::db::session::ASIDE;
use crate::db::session::OWN;
use crate::db::session::Session as _;

pub(super) fn lines(session: &mut MySql) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for row in session.rows("SHOW FULL TABLES")? {
        let (name, is_view) = (row[0].to_string(), row[1].text() == Some("VIEW"));
        if OWN.contains(&name.as_str()) || name.starts_with(ASIDE) {
            continue;
        }
        let what = if is_view { "VIEW" } else { "TABLE" };
        let made = session.rows(&format!("SHOW CREATE {what} {}", quoted(&name)))?;
        let database = format!("{}.", quoted(&session.database));
        let text = made[0][1].to_string().replace(&database, "");
        for line in text.lines() {
            // How far an identity has counted is no part of a schema.
            let words = line
                .split_whitespace()
                .filter(|word| !word.starts_with("AUTO_INCREMENT="));
            let line: Vec<_> = words.collect();
            lines.push(format!(
                "{} {name}: {}",
                what.to_lowercase(),
                line.join(" ").trim_end_matches(',')
            ));
        }
    }
    for row in session.rows("SHOW TRIGGERS")? {
        lines.push(format!(
            "trigger {} {} {} on {}: {}",
            row[0], row[4], row[1], row[2], row[3]
        ));
    }
    lines.sort();
    Ok(lines)
}
