//! What each engine's catalogue tells an ordinary user of its tables, as queries whose rows have
//! one shape.

/// The questions of a backend.
#[derive(Debug)]
pub struct Catalog {
    /// A row a table: name, estimated rows, bytes with its indexes, last write, evidence of its
    /// identity; NULL is unknown.
    pub tables: &'static str,
    /// A row a part of a table: table, what the part is, name, type, whether it may be NULL,
    /// default, definition.
    pub parts: &'static str,
    /// Whose word the last write is.
    pub last_write: &'static str,
    /// A row a column of the tables that a bare name does not mean, as far as the login may read
    /// them: schema or database, table, column, type. None where there are no such tables.
    pub elsewhere: Option<&'static str>,
    /// A row a kind of connection to this database that is not chatctl's: who, how many. None where
    /// a database has no connections.
    pub sessions: Option<&'static str>,
}
