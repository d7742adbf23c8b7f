//! Triggers, rules and defaults, and the functions that they call.

use super::{Postgres, numbers};
use crate::model::{Action, Actions, Body, Cell, On, Transitions};
use crate::sql::{Dialect, Token, TokenKind, tokenize};

/// The bits of `pg_trigger.tgtype` (pg_trigger.h).
const EACH_ROW: u64 = 1;
const BEFORE: u64 = 1 << 1;
const INSTEAD: u64 = 1 << 6;
const EVENTS: [(u64, On); 3] = [
    (1 << 2, On::Insert),
    (1 << 4, On::Update),
    (1 << 3, On::Delete),
];

/// Functions and procedures of the languages that are read here, and of others that nobody reads: all but those
/// of the server itself and those in C that come with an extension.
const LANGUAGE: &str = "l.lanname::text, (l.lanname = 'internal' OR l.lanname = 'c' AND EXISTS (SELECT 1 FROM pg_depend AS e \
     WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))::text";

impl Postgres {
    pub(super) fn all_actions(&mut self) -> anyhow::Result<Actions> {
        let [
            triggers,
            rules,
            events,
            defaults,
            checks,
            idle,
            routines,
            jobs,
        ] = self.several(&queries())?;
        let on_definition = |row: &Vec<Cell>| {
            let title = format!("event trigger `{}`", row[3]);
            plain(title, None, vec![On::Definition], body_of(row))
        };
        let triggers = triggers.iter().map(|row| self.trigger(row));
        let rules = rules.iter().map(|row| self.rule(row));
        let defaults = defaults.iter().map(|row| self.default_of(row));
        let checks = checks.iter().map(|row| self.check(row));
        let idle = idle.iter().map(|row| self.switched_off(row));
        let all: Vec<_> = triggers
            .chain(rules)
            .chain(events.iter().map(on_definition))
            .chain(defaults)
            .chain(checks)
            .chain(idle)
            .collect();
        let jobs = if jobs.is_empty() {
            Vec::new()
        } else {
            self.jobs()?
        };
        let settings = self.harmful_settings()?;
        let all = all.into_iter().chain(settings).chain(jobs);
        let routines = routines
            .iter()
            .map(|row| (row[3].to_string(), body_of(row)));
        Ok(Actions::new(all.collect(), routines))
    }

    /// The jobs of pg_cron: who may not see those of others sees the own ones.
    fn jobs(&mut self) -> anyhow::Result<Vec<Action>> {
        let set = |on: &str| format!("pg_catalog.set_config('row_security', '{on}', true)");
        let [_, jobs, _] = self.several(&[
            set("on"),
            "coalesce(j.job ->> 'jobname', j.job ->> 'jobid'), j.job ->> 'command' \
             FROM (SELECT to_jsonb(job) AS job FROM cron.job) AS j \
             WHERE j.job ->> 'active' = 'true' AND j.job ->> 'database' = current_database()"
                .to_owned(),
            set("off"),
        ])?;
        let job = |row: &Vec<Cell>| {
            let body = Body::Statements(row[1].to_string());
            plain(format!("job `{}`", row[0]), None, vec![On::Time], body)
        };
        Ok(jobs.iter().map(job).collect())
    }

    /// What it is called in words, and the table that it is on, from its name and the table's.
    fn named(&self, kind: &str, row: &[Cell]) -> (String, Option<String>) {
        let table = self.shown(&row[1].to_string(), &row[2].to_string());
        (format!("{kind} `{}` on `{table}`", row[0]), Some(table))
    }

    fn trigger(&self, row: &[Cell]) -> Action {
        let bits = numbers(&row[6..7])[0];
        let on = EVENTS.iter().filter(|(bit, _)| bits & bit != 0);
        let on = on.map(|(_, on)| *on).collect();
        let (title, table) = self.named("trigger", &row[3..]);
        Action {
            decides: bits & EACH_ROW != 0 && bits & (BEFORE | INSTEAD) != 0,
            condition: row[7].text().map(|it| between(it, "WHEN", "EXECUTE")),
            transitions: Transitions {
                old: row[8].text().map(str::to_owned),
                new: row[9].text().map(str::to_owned),
            },
            ..plain(title, table, on, body_of(row))
        }
    }

    fn rule(&self, row: &[Cell]) -> Action {
        let on = match row[3].text() {
            Some("2") => On::Update,
            Some("3") => On::Insert,
            _ => On::Delete,
        };
        let definition = row[6].text().unwrap_or_default();
        let body = of_rule(definition).to_owned();
        let is_asked = row[5].text() == Some("true");
        let (title, table) = self.named("rule", row);
        Action {
            decides: row[4].text() == Some("true"),
            condition: is_asked.then(|| between(definition, "WHERE", "DO")),
            ..plain(title, table, vec![on], Body::Statements(body))
        }
    }

    fn default_of(&self, row: &[Cell]) -> Action {
        let table = self.shown(&row[0].to_string(), &row[1].to_string());
        let title = format!("default of `{table}.{}`", row[2]);
        let body = Body::Statements(format!("SELECT {}", row[3]));
        plain(title, Some(table), vec![On::Insert], body)
    }

    fn check(&self, row: &[Cell]) -> Action {
        let table = self.shown(&row[0].to_string(), &row[1].to_string());
        let title = format!("check `{}` of `{table}`", row[2]);
        let body = Body::Statements(format!("SELECT {}", row[3]));
        plain(title, Some(table), vec![On::Insert, On::Update], body)
    }

    fn switched_off(&self, row: &[Cell]) -> Action {
        let (title, table) = self.named("foreign key", row);
        let title = format!("{title}, which is switched off,");
        let body = Body::Harms("would no longer act on".to_owned());
        plain(title, table, Vec::new(), body)
    }
}

/// One that neither decides what becomes of a row nor asks a condition.
fn plain(title: String, table: Option<String>, on: Vec<On>, body: Body) -> Action {
    Action {
        title,
        table,
        on,
        decides: false,
        condition: None,
        transitions: Transitions::default(),
        body,
    }
}

/// Triggers, rules, event triggers, defaults, checks, foreign keys that are switched off,
/// routines, and the table of pg_cron.
fn queries() -> [String; 8] {
    let of_user = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
    [
        format!(
            "p.prosrc, {LANGUAGE}, t.tgname::text, n.nspname::text, c.relname::text, t.tgtype::text, \
             CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid) END, \
             t.tgoldtable::text, t.tgnewtable::text \
             FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_language AS l ON l.oid = p.prolang \
             WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND {of_user} ORDER BY t.oid"
        ),
        format!(
            "r.rulename::text, n.nspname::text, c.relname::text, r.ev_type::text, r.is_instead::text, \
             (r.ev_qual::text <> '<>')::text, pg_get_ruledef(r.oid) \
             FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v') AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A') AND {of_user} ORDER BY r.oid"
        ),
        format!(
            "p.prosrc, {LANGUAGE}, t.evtname::text FROM pg_event_trigger AS t JOIN pg_proc AS p ON p.oid = t.evtfoid \
             JOIN pg_language AS l ON l.oid = p.prolang WHERE t.evtenabled IN ('O', 'A') ORDER BY t.oid"
        ),
        format!(
            "n.nspname::text, c.relname::text, a.attname::text, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d \
             JOIN pg_class AS c ON c.oid = d.adrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
             WHERE a.attgenerated = '' AND c.relpersistence <> 't' AND {of_user} AND EXISTS (SELECT 1 FROM pg_depend AS p \
             WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_proc'::regclass) \
             UNION ALL SELECT '3', n.nspname::text, c.relname::text, a.attname::text, pg_get_expr(t.typdefaultbin, 0) FROM pg_attribute AS a \
             JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_type AS t ON t.oid = a.atttypid \
             WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL AND NOT a.atthasdef AND NOT a.attisdropped AND c.relkind IN ('r', 'p') \
             AND c.relpersistence <> 't' AND {of_user} AND EXISTS (SELECT 1 FROM pg_depend AS p WHERE p.classid = 'pg_type'::regclass \
             AND p.objid = t.oid AND p.refclassid = 'pg_proc'::regclass) ORDER BY 2, 3, 4"
        ),
        format!(
            "n.nspname::text, c.relname::text, k.conname::text, pg_get_constraintdef(k.oid) FROM pg_constraint AS k \
             JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE k.contype = 'c' AND c.relpersistence <> 't' AND {of_user} AND EXISTS (SELECT 1 FROM pg_depend AS p \
             WHERE p.classid = 'pg_constraint'::regclass AND p.objid = k.oid AND p.refclassid = 'pg_proc'::regclass) ORDER BY k.oid"
        ),
        // The server keeps to a foreign key by triggers of its own, on both tables.
        format!(
            "k.conname::text, n.nspname::text, c.relname::text FROM pg_trigger AS t JOIN pg_constraint AS k ON k.oid = t.tgconstraint \
             JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE k.contype = 'f' AND t.tgisinternal AND t.tgenabled NOT IN ('O', 'A') AND {of_user} GROUP BY 2, 3, 4 ORDER BY 2, 3, 4"
        ),
        // The body of one that is written as SQL is not in its source.
        format!(
            "CASE WHEN p.prosrc = '' THEN pg_get_functiondef(p.oid) ELSE p.prosrc END, {LANGUAGE}, lower(p.proname::text) \
             FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang \
             WHERE p.prokind IN ('f', 'p') AND {of_user} ORDER BY p.oid"
        ),
        "c.oid::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'cron' AND c.relname = 'job' \
         AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            .to_owned(),
    ]
}

/// What a function does, from a row of its text, its language, and whether that is the server's own or an
/// extension's.
fn body_of(row: &[Cell]) -> Body {
    let text = |at: usize| row[at].text().unwrap_or_default();
    match (text(1), text(2)) {
        ("sql" | "plpgsql", _) => Body::Statements(text(0).to_owned()),
        (_, "true") => Body::Statements(String::new()),
        (language, _) => Body::Unread {
            why: format!("runs code in the language {language}"),
            text: text(0).to_owned(),
        },
    }
}

/// What is between two words of a definition; all of it where they are not there.
fn between(definition: &str, first: &str, last: &str) -> String {
    let tokens = tokenize(definition, Dialect::Postgres);
    let mut words = tokens.iter().filter(|it| it.kind == TokenKind::Word);
    let mut next = |word: &str| words.find(|it| it.text(definition).eq_ignore_ascii_case(word));
    let ends = next(first).zip(next(last));
    let text = ends.map_or(definition, |(first, last)| {
        &definition[first.end..last.start]
    });
    text.trim().to_owned()
}

/// What a rule does, from its definition: what is behind DO, and behind INSTEAD.
fn of_rule(definition: &str) -> &str {
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
    use super::{between, of_rule};

    #[test]
    fn a_condition_is_between_two_words() {
        for (definition, first, last, condition) in [
            (
                "CREATE RULE r AS\n    ON UPDATE TO public.m\n   WHERE (new.a <> old.a) DO INSTEAD NOTHING;",
                "WHERE",
                "DO",
                "(new.a <> old.a)",
            ),
            (
                "CREATE TRIGGER \"when\" BEFORE UPDATE ON m FOR EACH ROW WHEN ((old.a IS DISTINCT FROM new.a)) EXECUTE FUNCTION f()",
                "WHEN",
                "EXECUTE",
                "((old.a IS DISTINCT FROM new.a))",
            ),
        ] {
            assert_eq!(between(definition, first, last), condition);
        }
    }

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
            assert_eq!(of_rule(definition), does);
        }
    }
}
