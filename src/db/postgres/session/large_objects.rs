//! Large objects: bytes outside of the users' tables, which store only their numbers. A database that has
//! any is examined as if it had one more table, with a row for each.

use crate::model::{Compared, Shape, ShapeColumn};

/// The table that has their bytes, and the one that has a row for each.
pub(super) const TABLES: [u64; 2] = [ID, 2995];

/// What the table is known by: the number that the first of them has in every database.
pub(super) const ID: u64 = 2613;

/// Its name in reports and acknowledgements.
pub(super) const NAME: &str = "pg_largeobject";

/// Where each has a row that everybody may read.
pub(super) const TABLE: &str = "pg_catalog.pg_largeobject_metadata";

/// The number of each and a digest of its bytes, which are read in parts: a value can't have more than
/// 1 GiB. Of those that this role may not change, and so perhaps not read, only the numbers.
pub(super) const ROWS: &str = "(SELECT m.oid AS loid, CASE \
    WHEN pg_catalog.pg_has_role(m.lomowner, 'MEMBER') OR pg_catalog.current_setting('lo_compat_privileges')::pg_catalog.bool \
    OR EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) AS a WHERE a.privilege_type = 'UPDATE' \
    AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'MEMBER'))) \
    THEN (WITH RECURSIVE part AS (SELECT 0::pg_catalog.int8 AS number, pg_catalog.lo_get(m.oid, 0, 1048576) AS bytes \
    UNION ALL SELECT number + 1, pg_catalog.lo_get(m.oid, (number + 1) * 1048576, 1048576) FROM part WHERE pg_catalog.length(bytes) = 1048576) \
    SELECT pg_catalog.string_agg(pg_catalog.encode(pg_catalog.sha256(bytes), 'hex'), ' ' ORDER BY number) FROM part) END AS data \
    FROM pg_catalog.pg_largeobject_metadata AS m) AS pg_largeobject";

/// The table as the catalogue would describe it.
pub(super) fn shape() -> Shape {
    let column = |id, name: &str, declared: &str| ShapeColumn {
        id: Some(id),
        name: name.to_owned(),
        declared: declared.to_owned(),
    };
    Shape {
        id: Some(ID),
        name: NAME.to_owned(),
        schema: "pg_catalog".to_owned(),
        table: NAME.to_owned(),
        bare: true,
        columns: vec![column(1, "loid", "oid"), column(2, "data", "text")],
        key: vec!["loid".to_owned()],
        ..Shape::default()
    }
}

/// What statements did, without what is gone or another one for everybody else too: others did that.
pub(super) fn without(mut seen: Compared, by_others: &Compared) -> Compared {
    seen.missing = seen.missing.saturating_sub(by_others.missing);
    for (column, other) in seen.columns.iter_mut().zip(&by_others.columns) {
        column.nulled = column.nulled.saturating_sub(other.nulled);
        column.changed = column.changed.saturating_sub(other.changed);
    }
    seen
}
