//! What the server calls for the values of a type, and no parse tree names: `ORDER BY`, `GREATEST` and
//! the comparison of two rows call the functions of an operator class, and `to_json` a cast.

use super::{Judge, OWN, list, numbers};
use crate::cli_error::CliError;
use std::collections::BTreeSet;

/// Types, each with a function that is called for its values. What an extension has in C makes the
/// type what it is; the functions of a type's text form are always in C.
const CALLED: &str = "SELECT c.of, c.function FROM (
        SELECT unnest(ARRAY[s.amproclefttype, s.amprocrighttype]), s.amproc::oid FROM pg_amproc s
        UNION SELECT unnest(ARRAY[o.amoplefttype, o.amoprighttype]), r.oprcode::oid
            FROM pg_amop o JOIN pg_operator r ON r.oid = o.amopopr
        UNION SELECT t.castsource, t.castfunc FROM pg_cast t
            WHERE t.casttarget IN ('pg_catalog.json'::regtype, 'pg_catalog.jsonb'::regtype)
        UNION SELECT r.rngtypid, unnest(ARRAY[r.rngsubdiff, r.rngcanonical]::oid[]) FROM pg_range r
    ) c(of, function) JOIN pg_proc p ON p.oid = c.function JOIN pg_language l ON l.oid = p.prolang
    WHERE c.of <> 0 AND NOT (l.lanname = 'c' AND EXISTS (SELECT 1 FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))";

impl Judge<'_> {
    /// Looks for the types that are supported by a function which could do more than read.
    pub(super) async fn support(&mut self) -> anyhow::Result<()> {
        let pair = |row: &Vec<Option<String>>| {
            let number = |at: usize| row.get(at)?.as_deref()?.parse::<u32>().ok();
            Some((number(0)?, number(1)?))
        };
        let sql = format!("{CALLED} AND c.function >= {OWN}");
        let rows = self.client.rows(&sql).await?;
        let mut called: Vec<_> = rows.iter().filter_map(pair).collect();
        let mut types = BTreeSet::new();
        // A function may use another type that turns out to be such a one.
        loop {
            let before = called.len();
            let mut left = Vec::new();
            for (of, function) in called {
                match Box::pin(self.functions(&BTreeSet::from([function]))).await {
                    Ok(()) => left.push((of, function)),
                    Err(error) if error.downcast_ref::<CliError>().is_none() => return Err(error),
                    Err(_) => {
                        types.insert(of);
                    }
                }
                // Each is judged for each type.
                self.functions.clear();
                self.operators.clear();
                self.relations.clear();
            }
            called = left;
            if called.len() == before {
                break;
            }
            self.supported = self.holding(&list(types.iter().copied())).await?;
        }
        // The ends of a range are compared as soon as its text is read.
        let supported = list(self.supported.iter().copied());
        let sql = format!("SELECT rngtypid FROM pg_range WHERE rngtypid = ANY ({supported})");
        let ranges = numbers(&self.client.rows(&sql).await?);
        self.harmful = self.holding(&list(ranges)).await?;
        self.bodies = 0;
        Ok(())
    }
}
