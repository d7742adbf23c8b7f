//! What sessions find that begin later: settings of roles and of the database, and which tables bare names mean
//! by them.

use super::{Postgres, text_literal};
use crate::db::session::{Access, Found, Reader};
use crate::model::{Action, Body, Cell, On, Transitions};
use std::collections::{BTreeMap, BTreeSet};

/// A setting that each new session of a role begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// The role; none where it is for all.
    role: Option<String>,
    /// Whether it is for this database only.
    is_of_database: bool,
    name: String,
    value: String,
}

/// A setting that takes rows from an application, or keeps it from storing any: its name, the values that do so,
/// and what it does then.
type Harm = (&'static str, fn(&str) -> bool, &'static str);

const HARMS: [Harm; 6] = [
    (
        "default_transaction_read_only",
        is_on,
        "would stop rows from being stored in",
    ),
    (
        "session_replication_role",
        is_replica,
        "would keep foreign keys and triggers from acting on",
    ),
    (
        "synchronous_commit",
        is_off,
        "would let a crash of the server take committed rows of",
    ),
    (
        "standard_conforming_strings",
        is_off,
        "would have texts with a backslash stored as other ones in",
    ),
    (
        "client_encoding",
        is_no_unicode,
        "would have texts of clients that say no encoding stored as other ones in",
    ),
    ("zero_damaged_pages", is_on, "would empty damaged pages of"),
];

/// As the server reads a switch: a word, or the beginning of one.
fn is_on(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&value);
    value == "on" || value == "1" || begins("true") || begins("yes")
}

fn is_off(value: &str) -> bool {
    let words = ["off", "false", "no", "0"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_no_unicode(value: &str) -> bool {
    let letters = value.chars().filter(char::is_ascii_alphanumeric);
    let name = letters.collect::<String>().to_ascii_lowercase();
    !["utf8", "unicode", "auto"].contains(&name.as_str())
}

fn is_replica(value: &str) -> bool {
    value.eq_ignore_ascii_case("replica")
}

impl Postgres {
    fn settings(&mut self) -> anyhow::Result<Vec<Setting>> {
        let [rows] = self.several(&[
            "r.rolname::text, (s.setdatabase <> 0)::text, c.pair FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS c (pair) \
             LEFT JOIN pg_roles AS r ON r.oid = s.setrole \
             WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())) ORDER BY 1, 2, 3"
                .to_owned(),
        ])?;
        let setting = |row: &Vec<Cell>| {
            let pair = row[2].to_string();
            let (name, value) = pair.split_once('=')?;
            Some(Setting {
                role: row[0].text().map(str::to_owned),
                is_of_database: row[1].text() == Some("true"),
                name: name.to_ascii_lowercase(),
                value: value.to_owned(),
            })
        };
        Ok(rows.iter().filter_map(setting).collect())
    }

    /// The settings that do harm, as if they acted by themselves.
    pub(super) fn harmful_settings(&mut self) -> anyhow::Result<Vec<Action>> {
        let settings = self.settings()?;
        let harms = settings.iter().filter_map(|it| {
            let (_, does, words) = HARMS.iter().find(|(name, ..)| *name == it.name)?;
            does(&it.value).then(|| {
                let of = match &it.role {
                    Some(role) => format!("role `{role}`"),
                    None => "the database".to_owned(),
                };
                Action {
                    title: format!("setting `{} = {}` of {of}", it.name, it.value),
                    table: None,
                    on: vec![On::Session],
                    decides: false,
                    condition: None,
                    transitions: Transitions::default(),
                    body: Body::Harms((*words).to_owned()),
                }
            })
        });
        Ok(harms.collect())
    }

    /// What each bare name means in new sessions: of the user of this one, of each role that has settings, and of
    /// any other one.
    pub(super) fn found_by_name(&mut self) -> anyhow::Result<Vec<Found>> {
        let settings = self.settings()?;
        let [own] = self.several(&[
            "session_user::text, reset_val, boot_val FROM pg_settings WHERE name = 'search_path'"
                .to_owned(),
        ])?;
        let user = own[0][0].to_string();
        let usual = match &self.usual_path {
            Some(usual) => usual.clone(),
            None => {
                // What this session began with is the server's own, unless a setting says another one.
                let is_set = value_of(&settings, &user, "search_path").is_some();
                let usual = own[0][if is_set { 2 } else { 1 }].to_string();
                self.usual_path.insert(usual).clone()
            }
        };
        let mut roles: Vec<_> = settings.iter().filter_map(|it| it.role.clone()).collect();
        roles.extend([user, String::new()]);
        roles.sort();
        roles.dedup();
        let mut places = Vec::new();
        for role in &roles {
            let path = value_of(&settings, role, "search_path").unwrap_or(&usual);
            let named = value_of(&settings, role, "role").unwrap_or(role);
            for (place, schema) in schemas(path, named).iter().enumerate() {
                let (role, schema) = (text_literal(role), text_literal(schema));
                places.push(format!("({role}, {place}, {schema})"));
            }
        }
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let [rows] = self.several(&[format!(
            "f.* FROM (SELECT DISTINCT ON (p.role, c.relname) p.role, c.relname::text, c.oid::text, n.nspname::text, (c.relkind IN ('v', 'm'))::text \
             FROM (VALUES {}) AS p (role, place, name) JOIN pg_namespace AS n ON n.nspname = p.name \
             JOIN pg_class AS c ON c.relnamespace = n.oid LEFT JOIN pg_roles AS r ON r.rolname = p.role \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
             AND coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), true) ORDER BY p.role, c.relname, p.place) AS f",
            places.join(", ")
        )])?;
        let found = |row: &Vec<Cell>| {
            let (name, schema) = (row[1].to_string(), row[3].to_string());
            Ok(Found {
                role: row[0].to_string(),
                id: row[2].to_string().parse()?,
                shown: self.shown(&schema, &name),
                name,
                is_view: row[4].text() == Some("true"),
                quoted: format!(
                    "{}.{}",
                    super::quoted(&schema),
                    super::quoted(&row[1].to_string())
                ),
            })
        };
        rows.iter().map(found).collect()
    }
}

/// Whether a policy of a table is for a role.
const OF_ROLE: &str = "p.polrelid = c.oid AND (0 = ANY (p.polroles) OR EXISTS ( \
     SELECT 1 FROM unnest(p.polroles) AS m (id) WHERE pg_has_role(r.oid, m.id, 'USAGE')))";

/// Whether a role finds any row of a table with such a command, but for its rights.
fn finds(command: char) -> String {
    let of_command = format!("{OF_ROLE} AND p.polcmd IN ('{command}', '*')");
    let lets = "pg_get_expr(p.polqual, p.polrelid)";
    format!(
        "(NOT c.relrowsecurity OR r.rolbypassrls OR NOT c.relforcerowsecurity AND pg_has_role(r.oid, c.relowner, 'USAGE') \
         OR EXISTS (SELECT 1 FROM pg_policy AS p WHERE {of_command} AND p.polpermissive AND {lets} <> 'false') \
         AND NOT EXISTS (SELECT 1 FROM pg_policy AS p WHERE {of_command} AND NOT p.polpermissive AND {lets} = 'false'))"
    )
}

/// Whether a role has a right to any column of a table.
fn may(right: &str) -> String {
    format!(
        "(has_table_privilege(r.oid, c.oid, '{right}') OR has_any_column_privilege(r.oid, c.oid, '{right}'))"
    )
}

impl Postgres {
    /// What each role may do with rows of each table: by its rights, and by policies, but for what a policy
    /// says of single rows. Who sees all whatever a policy says is left out where there is nothing to ask.
    pub(super) fn all_readers(&mut self) -> anyhow::Result<BTreeSet<Reader>> {
        let reads = format!("{} AND {}", may("SELECT"), finds('r'));
        let (may_update, updates) = (may("UPDATE"), finds('w'));
        let [rows] = self.several(&[format!(
            "c.oid::text, r.rolname::text, ({reads})::text, ({may_update})::text, ({updates})::text \
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN pg_roles AS r \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
             AND r.rolname !~ '^pg_' AND NOT r.rolsuper AND has_schema_privilege(r.oid, n.oid, 'USAGE')"
        )])?;
        let mut all = BTreeSet::new();
        for row in &rows {
            let is = |at: usize| row[at].text() == Some("true");
            let update = match (is(3), is(4)) {
                (true, true) => Some(Access::Update),
                (true, false) => Some(Access::UpdateOfNone),
                (false, _) => None,
            };
            let read = is(2).then_some(Access::Read);
            for access in read.into_iter().chain(update) {
                all.insert((row[0].to_string().parse()?, row[1].to_string(), access));
            }
        }
        Ok(all)
    }
}

/// The value that new sessions of a role begin with, where a setting says one: what is said more closely counts.
fn value_of<'a>(settings: &'a [Setting], role: &str, name: &str) -> Option<&'a str> {
    let mut by_rank = BTreeMap::new();
    for it in settings.iter().filter(|it| it.name == name) {
        let rank = match &it.role {
            Some(of) if of == role => 2,
            Some(_) => continue,
            None => 0,
        };
        by_rank.insert(rank + u8::from(it.is_of_database), it.value.as_str());
    }
    by_rank.pop_last().map(|(_, value)| value)
}

/// The schemas of a path, in their order, for a role.
fn schemas(path: &str, role: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = path.trim_start();
    while !rest.is_empty() {
        let mut name = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((at, character)) = characters.next() {
                let next_is_quote = characters.peek().is_some_and(|(_, next)| *next == '"');
                match character {
                    '"' if next_is_quote => {
                        characters.next();
                        name.push('"');
                    }
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    other => name.push(other),
                }
            }
            rest = &quoted[end..];
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            name = rest[..end].trim().to_lowercase();
            rest = &rest[end..];
        }
        all.push(if name == "$user" {
            role.to_owned()
        } else {
            name
        });
        let comma = rest.find(',').map_or(rest.len(), |comma| comma + 1);
        rest = rest[comma..].trim_start();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Setting, is_no_unicode, is_off, is_on, schemas, value_of};

    #[test]
    fn a_path_is_read_as_the_server_reads_it() {
        for (path, is) in [
            ("\"$user\", public", &["app", "public"][..]),
            ("$user,Public", &["app", "public"]),
            ("\"My, own\" , \"a\"\"b\"", &["My, own", "a\"b"]),
            ("", &[]),
            ("\"\"", &[""]),
        ] {
            assert_eq!(schemas(path, "app"), is, "{path}");
        }
    }

    #[test]
    fn the_closest_setting_counts() {
        let setting = |role: Option<&str>, is_of_database, value: &str| Setting {
            role: role.map(str::to_owned),
            is_of_database,
            name: "search_path".to_owned(),
            value: value.to_owned(),
        };
        let all = [
            setting(None, false, "server"),
            setting(None, true, "database"),
            setting(Some("app"), false, "role"),
            setting(Some("app"), true, "both"),
        ];
        let value = |count: usize, role| value_of(&all[..count], role, "search_path");
        assert_eq!(value(0, "app"), None);
        assert_eq!(value(1, "app"), Some("server"));
        assert_eq!(value(2, "app"), Some("database"));
        assert_eq!(value(3, "app"), Some("role"));
        assert_eq!(value(4, "app"), Some("both"));
        assert_eq!(value(4, "other"), Some("database"));
    }

    #[test]
    fn a_switch_is_read_as_the_server_reads_it() {
        assert!(
            ["on", "ON", "t", "tru", "true", "y", "yes", "1"]
                .iter()
                .all(|it| is_on(it))
        );
        assert!(
            !["off", "o", "", "f", "no", "0", "onn"]
                .iter()
                .any(|it| is_on(it))
        );
        assert!(
            ["off", "OFF", "false", "no", "0"]
                .iter()
                .all(|it| is_off(it))
        );
        assert!(!["on", "local", "remote_write"].iter().any(|it| is_off(it)));
        assert!(
            ["LATIN1", "WIN1252", "sql_ascii"]
                .iter()
                .all(|it| is_no_unicode(it))
        );
        assert!(
            !["UTF8", "utf-8", "Unicode", "auto"]
                .iter()
                .any(|it| is_no_unicode(it))
        );
    }
}
