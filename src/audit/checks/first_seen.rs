//! The bounded memory of a check for the conversations that it has read.

use std::collections::HashMap;

/// Digests of conversations, with the key of the first that has each.
///
/// When there is no more room, one half of the digests is forgotten, those with a bit that is set,
/// and no such one is taken again: what is left is a fair sample, and whoever copies a store is in
/// it.
#[derive(Debug)]
pub(super) struct FirstSeen {
    known: HashMap<u128, First>,
    /// Bytes that are in use, about, and how many may be.
    used: usize,
    most: usize,
    /// So many of the last bits are unset in each digest.
    bits: u32,
}

/// The first conversation with a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct First {
    pub(super) key: Box<str>,
    /// A digest of its messages' times.
    pub(super) times: u64,
}

/// 64 MiB: 500 000 conversations with a UUID.
const MOST: usize = 64 << 20;

/// What one entry takes besides its key: digest, pointer, times, and the room that a table keeps.
const ENTRY: usize = 96;

impl Default for FirstSeen {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl FirstSeen {
    /// With so many bytes.
    fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            used: 0,
            most,
            bits: 0,
        }
    }

    /// The conversation that was the first with this digest, unless it is this one.
    pub(super) fn before(&mut self, digest: u128, this: First) -> Option<&First> {
        if !self.is_kept(digest) {
            return None;
        }
        if !self.known.contains_key(&digest) {
            self.used += ENTRY + this.key.len();
            self.known.insert(digest, this);
            while self.used > self.most {
                self.thin();
            }
            return None;
        }
        self.known.get(&digest)
    }

    /// One of so many conversations is examined.
    pub(super) fn one_of(&self) -> u64 {
        1 << self.bits
    }

    fn is_kept(&self, digest: u128) -> bool {
        digest.trailing_zeros() >= self.bits
    }

    fn thin(&mut self) {
        self.bits += 1;
        let bits = self.bits;
        self.known
            .retain(|digest, _| digest.trailing_zeros() >= bits);
        self.known.shrink_to_fit();
        let keys: usize = self.known.values().map(|first| first.key.len()).sum();
        self.used = ENTRY * self.known.len() + keys;
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRY, First, FirstSeen};

    #[test]
    fn memory_is_bounded_and_a_copied_store_is_still_seen() {
        const CONVERSATIONS: u64 = 10_000;
        let mut random = fastrand::Rng::with_seed(7);
        let mut seen = FirstSeen::new(1000 * (ENTRY + 4));
        let digests: Vec<_> = (0..CONVERSATIONS).map(|_| random.u128(..)).collect();
        let mut twice = 0;
        for round in 0..2 {
            for (at, digest) in digests.iter().enumerate() {
                let this = First {
                    key: format!("{at:04}").into(),
                    times: 0,
                };
                let first = seen.before(*digest, this.clone()).cloned();
                assert!(first.is_none() || round == 1, "{at}");
                assert!(first.as_ref().is_none_or(|first| *first == this));
                twice += u64::from(first.is_some());
                assert!(seen.used <= seen.most);
            }
        }
        assert_eq!(seen.one_of(), 16);
        assert!((500..750).contains(&twice), "{twice}");
    }
}
