//! Triggers and rules, and the functions that they call.

use super::{Postgres, numbers};
use crate::model::{Action, Actions, Cell, On};
use crate::sql::{Dialect, Token, TokenKind, tokenize};

/// The bits of `pg_trigger.tgtype` (pg_trigger.h).
const EACH_ROW: u64 = 1;
const BEFORE: u64 = 1 << 1;
const EVENTS: [(u64, On); 3] = [
    (1 << 2, On::Insert),
    (1 << 4, On::Update),
    (1 << 3, On::Delete),
];

impl Postgres {
    pub(super) fn all_actions(&mut self) -> anyhow::Result<Actions> {
        let of_user = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
        let [triggers, rules, routines] = self.several(&[
            format!(
                "t.tgname::text, n.nspname::text, c.relname::text, t.tgtype::text, (t.tgqual IS NOT NULL)::text, p.prosrc \
                 FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                 JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND {of_user} \
                 ORDER BY t.oid"
            ),
            format!(
                "r.rulename::text, n.nspname::text, c.relname::text, r.ev_type::text, r.is_instead::text, \
                 (r.ev_qual::text <> '<>')::text, pg_get_ruledef(r.oid) \
                 FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p') AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A') AND {of_user} ORDER BY r.oid"
            ),
            // The body of one that is written as SQL is not in its source.
            format!(
                "lower(p.proname::text), CASE WHEN p.prosrc = '' THEN pg_get_functiondef(p.oid) ELSE p.prosrc END \
                 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang \
                 WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p') AND {of_user}"
            ),
        ])?;
        let named = |kind: &str, row: &[Cell]| {
            let table = self.shown(&row[1].to_string(), &row[2].to_string());
            (format!("{kind} `{}` on `{table}`", row[0]), Some(table))
        };
        let triggers = triggers.iter().map(|row| {
            let (title, table) = named("trigger", row);
            let bits = numbers(&row[3..4])[0];
            let on = EVENTS.iter().filter(|(bit, _)| bits & bit != 0);
            Action {
                title,
                table,
                on: on.map(|(_, on)| *on).collect(),
                decides: bits & EACH_ROW != 0 && bits & BEFORE != 0,
                conditional: row[4].text() == Some("true"),
                body: row[5].to_string(),
            }
        });
        let rules = rules.iter().map(|row| {
            let (title, table) = named("rule", row);
            Action {
                title,
                table,
                on: vec![match row[3].text() {
                    Some("2") => On::Update,
                    Some("3") => On::Insert,
                    _ => On::Delete,
                }],
                decides: row[4].text() == Some("true"),
                conditional: row[5].text() == Some("true"),
                body: body(row[6].text().unwrap_or_default()).to_owned(),
            }
        });
        let routines = routines.iter();
        Ok(Actions {
            all: triggers.chain(rules).collect(),
            routines: routines
                .map(|row| (row[0].to_string(), row[1].to_string()))
                .collect(),
        })
    }
}

/// What a rule does, from its definition: what is behind DO, and behind INSTEAD.
fn body(definition: &str) -> &str {
    let tokens = tokenize(definition, Dialect::Postgres);
    let mut words = tokens.iter().filter(|it| it.kind == TokenKind::Word);
    let is = |token: &Token, word: &str| token.text(definition).eq_ignore_ascii_case(word);
    let Some(begins) = words.find(|it| is(it, "DO")) else {
        return definition;
    };
    let instead = words.next().filter(|it| is(it, "INSTEAD"));
    let end = instead.unwrap_or(begins).end;
    definition[end..].trim().trim_end_matches(';')
}

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn a_rule_does_what_is_behind_do() {
        for (definition, does) in [
            (
                "CREATE RULE r AS\n    ON INSERT TO public.m DO INSTEAD NOTHING;",
                "NOTHING",
            ),
            (
                "CREATE RULE \"do\" AS ON DELETE TO public.m\n   WHERE (old.id > 1) DO  DELETE FROM n;",
                "DELETE FROM n",
            ),
        ] {
            assert_eq!(body(definition), does);
        }
    }
}
