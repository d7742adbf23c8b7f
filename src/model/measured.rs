//! What a store held at one moment: counts, and sums of hashes.

use std::collections::BTreeMap;

/// Every table of a store, measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// By name.
    pub tables: BTreeMap<String, MeasuredTable>,
}

/// One table, measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeasuredTable {
    /// How many rows it has.
    pub rows: u64,
    /// Its key columns; what identifies a row before and after.
    pub key: Vec<String>,
    /// Whether a key has NULL in it, which then identifies nothing.
    pub null_keys: bool,
    /// A sum over the hashes of whole rows.
    pub whole: u128,
    /// By name.
    pub columns: BTreeMap<String, MeasuredColumn>,
}

/// One column, measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeasuredColumn {
    /// How many rows have a value in it.
    pub filled: u64,
    /// A sum over the hashes of all its values, each with its row's key: equal exactly when the
    /// same rows have the same values, in any order.
    pub keyed: u128,
}
