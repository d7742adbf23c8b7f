//! Whether a query could do more than read, by the server's own parse of it.
//!
//! The server parses and rewrites a query without running it, and tells the result: every function,
//! operator and type by its number in the catalogue, with views in it expanded and the policies of
//! rows added. What these run in turn is in the catalogue too: the support functions of an
//! aggregate and of a type, the conditions of a domain, the body of a function in SQL, and
//! expressions of indexes and statistics that the planner computes.

mod implicit;

use super::tree::Names;
use super::wire::{Client, Refusal};
use super::{known, tree};
use crate::cli_error::CliError;
use crate::db::query::refused;
use std::collections::BTreeSet;

/// Lets the server tell how it reads queries. Where the user may, its log keeps quiet about them.
const TELL: &str = "
    SELECT set_config('log_min_messages', 'panic', true) WHERE current_setting('is_superuser') = 'on';
    SET LOCAL constraint_exclusion = off;
    SET LOCAL debug_pretty_print = off;
    SET LOCAL client_min_messages = log;
    SET LOCAL debug_print_rewritten = on";

/// And no more.
const TELL_NO_MORE: &str = "
    SET LOCAL debug_print_rewritten = off;
    SET LOCAL client_min_messages = warning";

/// How many bodies of functions are inspected.
const MOST: usize = 200;

/// Numbers below are PostgreSQL's own (`FirstNormalObjectId`).
const OWN: u32 = 16384;

/// Looks into queries, in a transaction that only reads.
pub(super) struct Judge<'c> {
    client: &'c mut Client,
    functions: BTreeSet<u32>,
    operators: BTreeSet<u32>,
    relations: BTreeSet<u32>,
    /// Types of which a value can't be made without running what could do more than read.
    harmful: BTreeSet<u32>,
    /// Types whose values can't be compared, or made into JSON, without it.
    supported: BTreeSet<u32>,
    bodies: usize,
}

/// A function of the catalogue.
struct Function {
    number: u32,
    name: String,
    schema: String,
    volatile: bool,
    immutable: bool,
    definer: bool,
    language: String,
    extension: Option<String>,
    aggregate: bool,
}

impl<'c> Judge<'c> {
    /// Begins to look.
    pub(super) async fn new(client: &'c mut Client) -> anyhow::Result<Self> {
        client.rows(TELL).await?;
        let mut judge = Self {
            client,
            functions: BTreeSet::new(),
            operators: BTreeSet::new(),
            relations: BTreeSet::new(),
            harmful: BTreeSet::new(),
            supported: BTreeSet::new(),
            bodies: 0,
        };
        judge.support().await?;
        judge.domains().await?;
        Ok(judge)
    }

    /// Lets the server prepare a query under a name. Fails if it could do more than read.
    pub(super) async fn prepare(&mut self, name: &str, sql: &str) -> anyhow::Result<()> {
        self.literals(sql)?;
        let trees = self.client.prepare(name, sql, &[]).await?;
        self.check_trees(&trees)?;
        for tree in &trees {
            self.names(&tree::names(tree)).await?;
        }
        Ok(())
    }

    /// Ends looking: from here on queries run as they do for anybody.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.client.rows(TELL_NO_MORE).await.map(|_| ())
    }

    fn check_trees(&self, trees: &[String]) -> Result<(), CliError> {
        if trees.is_empty() {
            return Err(refused("the server does not report how it parses it"));
        }
        // What is not a query has no tree, but is something that is done.
        if trees.iter().all(|tree| tree.contains(":utilityStmt <>")) {
            Ok(())
        } else {
            Err(refused("it is not a query"))
        }
    }

    /// A text in a query becomes a value while it is only parsed, and the condition of a domain is
    /// checked then: of the domain's own type later, but of an array or a row of it at once. The ends
    /// of a range are compared then.
    fn literals(&self, sql: &str) -> Result<(), CliError> {
        if !self.harmful.is_empty() && sql.contains(['\'', '$']) {
            Err(refused(
                "a domain or a range of this database checks its values by a function that could do more than read, and a text in a query could call it even during parsing",
            ))
        } else {
            Ok(())
        }
    }

    /// Domains whose conditions could do more than read, and the types that hold values of them.
    async fn domains(&mut self) -> anyhow::Result<()> {
        let sql = "SELECT contypid, conbin::text FROM pg_constraint WHERE contypid <> 0 AND conbin IS NOT NULL";
        let mut harmful = BTreeSet::new();
        for row in self.client.rows(sql).await? {
            let [Some(domain), Some(condition)] = row.as_slice() else {
                continue;
            };
            let names = tree::names(condition);
            let found = Box::pin(self.names(&names)).await;
            if let Err(error) = found {
                if error.downcast_ref::<CliError>().is_none() {
                    return Err(error);
                }
                harmful.insert(domain.clone());
            }
        }
        if harmful.is_empty() {
            return Ok(());
        }
        // What was judged by the way is judged again where it is named.
        self.functions.clear();
        self.operators.clear();
        let domains = harmful.iter().filter_map(|number| number.parse().ok());
        let domains: Vec<u32> = domains.collect();
        let holding = self.holding(&list(domains)).await?;
        self.harmful.extend(holding);
        Ok(())
    }

    /// These types, and those that hold values of them.
    async fn holding(&mut self, types: &str) -> anyhow::Result<BTreeSet<u32>> {
        let sql = format!(
            "WITH RECURSIVE t(oid) AS (
                SELECT y.oid FROM pg_type y WHERE y.oid = ANY ({types})
                    OR EXISTS (SELECT 1 FROM pg_type any_type WHERE any_type.oid = ANY ({types}) AND any_type.typtype = 'p')
                UNION SELECT o.oid FROM t JOIN (
                    SELECT y.oid, y.typelem AS of FROM pg_type y WHERE y.typelem <> 0
                    UNION ALL SELECT y.oid, y.typbasetype FROM pg_type y WHERE y.typbasetype <> 0
                    UNION ALL SELECT c.reltype, a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                    UNION ALL SELECT r.rngtypid, r.rngsubtype FROM pg_range r
                    UNION ALL SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid, r.rngtypid FROM pg_range r
                ) o ON o.of = t.oid)
            SELECT oid FROM t WHERE oid <> 0"
        );
        Ok(numbers(&self.client.rows(&sql).await?))
    }

    /// Fails if what is named could do more than read.
    async fn names(&mut self, names: &Names) -> anyhow::Result<()> {
        if names.types.intersection(&self.harmful).next().is_some() {
            return Err(refused(
                "it creates a value of a domain that is checked by a function which could do more than read",
            )
            .into());
        }
        let mut used = names.types.union(&names.read);
        if used.any(|number| self.supported.contains(number)) {
            return Err(refused(
                "it uses a type whose values are compared, or made into JSON, by a function which could do more than read",
            )
            .into());
        }
        self.relations(&names.relations).await?;
        let mut functions = names.functions.clone();
        functions.extend(self.behind(&names.operators).await?);
        self.functions(&functions).await
    }

    async fn behind(&mut self, operators: &BTreeSet<u32>) -> anyhow::Result<BTreeSet<u32>> {
        let new: Vec<_> = operators.difference(&self.operators).copied().collect();
        self.operators.extend(&new);
        // Those of the server itself are behind functions of its own that only compute.
        let own = |number: &u32| *number >= OWN;
        let listed = list(new.into_iter().filter(own));
        // The planner may use the commutator, the negator, or another one of the same family.
        let sql = format!(
            "WITH RECURSIVE o(oid) AS (SELECT unnest({listed}) UNION SELECT x.oid FROM o JOIN (
                SELECT oprcom AS oid, oid AS of FROM pg_operator UNION ALL SELECT oprnegate, oid FROM pg_operator
                UNION ALL SELECT b.amopopr, a.amopopr FROM pg_amop a JOIN pg_amop b ON b.amopfamily = a.amopfamily
                ) x ON x.of = o.oid)
            SELECT p.oprcode::oid FROM pg_operator p JOIN o ON o.oid = p.oid"
        );
        Ok(numbers(&self.client.rows(&sql).await?))
    }

    async fn functions(&mut self, numbers: &BTreeSet<u32>) -> anyhow::Result<()> {
        let new: Vec<_> = numbers.difference(&self.functions).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.functions.extend(&new);
        let sql = format!(
            "SELECT p.oid, p.proname, n.nspname, p.provolatile = 'v', p.provolatile = 'i', p.prosecdef, l.lanname,
                (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                        AND d.refclassid = 'pg_extension'::regclass),
                p.prokind = 'a'
            FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                JOIN pg_catalog.pg_language l ON l.oid = p.prolang
            WHERE p.oid = ANY ({})",
            list(new)
        );
        for row in self.client.rows(&sql).await? {
            if let Some(function) = Function::of(row) {
                self.function(&function).await?;
            }
        }
        Ok(())
    }

    async fn function(&mut self, function: &Function) -> anyhow::Result<()> {
        if function.number >= OWN {
            // What stands for an argument that is left out is put in after the rewriting.
            let sql = format!(
                "SELECT proargdefaults::text FROM pg_proc WHERE oid = {} AND proargdefaults IS NOT NULL",
                function.number
            );
            for row in self.client.rows(&sql).await? {
                let names = tree::names(row[0].as_deref().unwrap_or_default());
                Box::pin(self.names(&names)).await?;
            }
        }
        if function.aggregate && function.number >= OWN {
            let sql = format!(
                "SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn,
                    aggminvtransfn, aggmfinalfn]::oid[]) FROM pg_aggregate WHERE aggfnoid = {}",
                function.number
            );
            let behind = numbers(&self.client.rows(&sql).await?);
            Box::pin(self.functions(&behind)).await?;
            // Its state begins as a value of its type.
            let sql = format!(
                "SELECT aggtranstype, aggsortop FROM pg_aggregate WHERE aggfnoid = {}",
                function.number
            );
            let mut names = Names::default();
            for row in self.client.rows(&sql).await? {
                names.types.extend(numbers(std::slice::from_ref(&row)));
                names.operators.extend(numbers(&[row[1..].to_vec()]));
            }
            return Box::pin(self.names(&names)).await;
        }
        match function.verdict() {
            Verdict::Reads => Ok(()),
            Verdict::Acts(why) => Err(refused(&why).into()),
            Verdict::Body => Box::pin(self.body(function)).await,
        }
    }

    /// Looks into a function that is written in SQL.
    async fn body(&mut self, function: &Function) -> anyhow::Result<()> {
        self.bodies += 1;
        let unseen = || {
            refused(&format!(
                "`{}` contains SQL that chatctl cannot inspect",
                function.full()
            ))
        };
        if self.bodies > MOST {
            return Err(unseen().into());
        }
        let sql = format!(
            "SELECT to_jsonb(p) ->> 'prosqlbody', p.prosrc,
                p.proargtypes::text,
                (SELECT string_agg(coalesce(quote_ident(nullif(a.name, '')), 'arg' || a.at), ', ' ORDER BY a.at)
                    FROM unnest(coalesce(p.proargnames, array_fill(''::text, ARRAY[p.pronargs::int])), p.proargmodes)
                        WITH ORDINALITY a(name, mode, at)
                    WHERE coalesce(a.mode, 'i') IN ('i', 'b', 'v')),
                quote_ident(p.proname),
                (SELECT substr(c, length('search_path=') + 1) FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')
            FROM pg_proc p WHERE p.oid = {}",
            function.number
        );
        let row = self.client.rows(&sql).await?.into_iter().next();
        let mut row = row
            .unwrap_or_default()
            .into_iter()
            .map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (parsed, source, types, arguments, name, path) =
            (next(), next(), next(), next(), next(), next());
        if !parsed.is_empty() {
            // Views in it are not expanded: the server prepares it once more.
            let names = tree::names(&parsed);
            if self.has_view(&names.relations).await? {
                return Err(unseen().into());
            }
            return self.names(&names).await;
        }
        self.literals(&source)?;
        // Names of columns come before those of arguments there, and here.
        let source = source.trim().trim_end_matches(';');
        let inner = if arguments.is_empty() {
            format!("SELECT * FROM ({source}\n) AS chatctl_body")
        } else {
            let values: Vec<_> = (1..=arguments.split(", ").count())
                .map(|at| format!("${at}"))
                .collect();
            format!(
                "SELECT * FROM (SELECT {}) AS {name}({arguments}), LATERAL ({source}\n) AS chatctl_body",
                values.join(", ")
            )
        };
        let types: Vec<u32> = types
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect();
        let look = format!("chatctl_look_{}", self.bodies);
        if !path.is_empty() {
            let path = path.replace('\'', "''");
            self.client
                .rows(&format!("SELECT set_config('search_path', '{path}', true)"))
                .await?;
        }
        self.client.rows("SAVEPOINT chatctl_look").await?;
        let trees = self.client.prepare(&look, &inner, &types).await;
        // A name that was prepared stays; the rest is as it was, the path of a function too.
        let trees = match trees {
            Ok(trees) => {
                self.client.rows(&format!("DEALLOCATE {look}")).await?;
                trees
            }
            Err(error) if error.downcast_ref::<Refusal>().is_some() => Vec::new(),
            Err(error) => return Err(error),
        };
        self.client
            .rows("ROLLBACK TO SAVEPOINT chatctl_look; RELEASE SAVEPOINT chatctl_look")
            .await?;
        if !path.is_empty() {
            self.client.rows("SET LOCAL search_path TO DEFAULT").await?;
        }
        if trees.is_empty() {
            return Err(unseen().into());
        }
        for tree in &trees {
            self.names(&tree::names(tree)).await?;
        }
        Ok(())
    }

    async fn has_view(&mut self, relations: &BTreeSet<u32>) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT 1 FROM pg_class WHERE oid = ANY ({}) AND relkind = 'v' AND oid >= {OWN}",
            list(relations.iter().copied())
        );
        Ok(!self.client.rows(&sql).await?.is_empty())
    }

    /// Fails on relations that are read elsewhere, and on what the planner computes of their own.
    async fn relations(&mut self, relations: &BTreeSet<u32>) -> anyhow::Result<()> {
        let new: Vec<_> = relations.difference(&self.relations).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.relations.extend(&new);
        let own = |number: &u32| *number >= OWN;
        let all = format!(
            "WITH RECURSIVE r(oid) AS (SELECT unnest({}) UNION
                SELECT i.inhrelid FROM pg_inherits i JOIN r ON r.oid = i.inhparent)",
            list(new.into_iter().filter(own))
        );
        let sql = format!(
            "{all} SELECT c.oid::regclass::text FROM r JOIN pg_class c ON c.oid = r.oid WHERE c.relkind = 'f' LIMIT 1"
        );
        if let Some(row) = self.client.rows(&sql).await?.first() {
            let name = row[0].as_deref().unwrap_or_default();
            return Err(refused(&format!(
                "`{name}` is a foreign table: reading it acts on another server, or runs a program"
            ))
            .into());
        }
        let sql = format!(
            "{all} SELECT x.tree FROM r CROSS JOIN LATERAL (
                SELECT i.indexprs::text AS tree FROM pg_index i WHERE i.indrelid = r.oid
                UNION ALL SELECT i.indpred::text FROM pg_index i WHERE i.indrelid = r.oid
                UNION ALL SELECT p.partexprs::text FROM pg_partitioned_table p WHERE p.partrelid = r.oid
                UNION ALL SELECT to_jsonb(s) ->> 'stxexprs' FROM pg_statistic_ext s WHERE s.stxrelid = r.oid
                UNION ALL SELECT k.conbin::text FROM pg_constraint k WHERE k.conrelid = r.oid) x
            WHERE x.tree IS NOT NULL"
        );
        for row in self.client.rows(&sql).await? {
            let names = tree::names(row[0].as_deref().unwrap_or_default());
            Box::pin(self.functions(&names.constant)).await?;
        }
        // The bounds of partitions are put in order whenever the table is named.
        let sql = format!(
            "{all} SELECT s.amproc::oid FROM r JOIN pg_partitioned_table p ON p.partrelid = r.oid
                JOIN pg_opclass c ON c.oid = ANY (p.partclass) JOIN pg_amproc s ON s.amprocfamily = c.opcfamily
            WHERE s.amproc >= {OWN}"
        );
        let behind = numbers(&self.client.rows(&sql).await?);
        Box::pin(self.functions(&behind)).await
    }
}

/// What is known of a function by what the catalogue says of it.
enum Verdict {
    Reads,
    Acts(String),
    /// It depends on what is written in it.
    Body,
}

impl Function {
    fn of(row: Vec<Option<String>>) -> Option<Self> {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let number = next()?.parse().ok()?;
        let (name, schema) = (next()?, next()?);
        let mut is = || next().as_deref() == Some("t");
        let (volatile, immutable, definer) = (is(), is(), is());
        Some(Self {
            number,
            name,
            schema,
            volatile,
            immutable,
            definer,
            language: next()?,
            extension: next(),
            aggregate: next().as_deref() == Some("t"),
        })
    }

    fn full(&self) -> String {
        match self.schema.as_str() {
            "pg_catalog" => self.name.clone(),
            schema => format!("{schema}.{}", self.name),
        }
    }

    fn verdict(&self) -> Verdict {
        let acts = |what: &str| Verdict::Acts(format!("`{}` {what}", self.full()));
        let name = self.name.as_str();
        if self.number < OWN {
            let harmless = !self.volatile || known::HARMLESS.contains(&name);
            return if harmless && !known::ACTING.contains(&name) {
                Verdict::Reads
            } else {
                acts("can act on the server")
            };
        }
        let extension = self.extension.as_deref();
        if extension.is_some_and(|extension| known::HARMLESS_OF.contains(&(extension, name))) {
            return Verdict::Reads;
        }
        if self.volatile {
            return acts("is VOLATILE: it may have an effect that a rollback does not undo");
        }
        if self.definer {
            return acts("is SECURITY DEFINER: it runs with the privileges of its owner");
        }
        match (self.language.as_str(), extension) {
            ("sql", _) => Verdict::Body,
            ("c", Some(_)) if self.immutable => Verdict::Reads,
            ("c", Some(extension)) if known::EXTENSIONS.contains(&extension) => Verdict::Reads,
            ("c", Some(extension)) => acts(&format!(
                "is of the extension `{extension}`, which is not known to only read"
            )),
            (language, _) => acts(&format!(
                "is written in {language}, so its effect is unknown"
            )),
        }
    }
}

fn list(numbers: impl IntoIterator<Item = u32>) -> String {
    let numbers: Vec<_> = numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect();
    format!("'{{{}}}'::oid[]", numbers.join(","))
}

fn numbers(rows: &[Vec<Option<String>>]) -> BTreeSet<u32> {
    let cells = rows.iter().filter_map(|row| row.first()?.as_deref());
    cells
        .filter_map(|cell| cell.parse().ok())
        .filter(|number| *number != 0)
        .collect()
}
