//! A sum of leaves, modulo 2^256.
//!
//! A sum does not depend on the order, so any scan order, parallel readers and spilled runs add
//! up to the same; and unlike XOR it shows a row that appears twice. It must be of keyed
//! leaves: who knows the leaves could choose messages whose sum is the same.

/// A number of 256 bits, in four limbs, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u64; 4]);

impl Sum {
    /// Its size in bytes.
    pub const SIZE: usize = 32;

    /// From 32 bytes, little-endian.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (limbs, _) = bytes.as_chunks::<8>();
        Self(std::array::from_fn(|at| u64::from_le_bytes(limbs[at])))
    }

    /// To 32 bytes, little-endian.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// Adds, dropping what goes over 2^256.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || again;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn it_carries_through_all_limbs_and_wraps() {
        let mut sum = Sum::from_bytes(&[0xff; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(Sum::from_bytes(&one));
        assert_eq!(sum, Sum::default());
        sum.add(Sum::from_bytes(&one));
        assert_eq!(sum.to_bytes(), one);
    }

    #[test]
    fn the_order_does_not_matter_and_twice_is_not_never() {
        let [a, b] = [3, 9].map(|byte| Sum::from_bytes(&[byte; 32]));
        let added = |all: &[Sum]| {
            all.iter().fold(Sum::default(), |mut sum, one| {
                sum.add(*one);
                sum
            })
        };
        assert_eq!(added(&[a, b, a]), added(&[a, a, b]));
        assert_ne!(added(&[a, a]), Sum::default());
    }
}
