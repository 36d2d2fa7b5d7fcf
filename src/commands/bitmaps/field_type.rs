//! The integers of BITFIELD: their type, how they wrap, and their bits in a string.

use resp::{ReplyError, number};

/// `u1` to `u63`, `i1` to `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldType {
    pub signed: bool,
    pub bits: u32,
}

/// What to do with a number that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl FieldType {
    pub fn parse(text: &[u8]) -> Result<Self, ReplyError> {
        let (signed, digits) = match text {
            [b'i' | b'I', digits @ ..] => (true, digits),
            [b'u' | b'U', digits @ ..] => (false, digits),
            _ => return Err(ReplyError::BitfieldType),
        };
        let bits_max = if signed { 64 } else { 63 };
        let bits = number::parse_i64(digits).filter(|bits| (1..=bits_max).contains(bits));
        let bits = bits.and_then(|bits| u32::try_from(bits).ok());
        Ok(Self { signed, bits: bits.ok_or(ReplyError::BitfieldType)? })
    }

    /// The largest number.
    fn max(self) -> i128 {
        (1 << (self.bits - u32::from(self.signed))) - 1
    }

    /// The smallest number.
    fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// An argument as a number to store. Without a sign, a negative one is a very large one.
    pub fn widen(self, argument: i64) -> i128 {
        if self.signed { argument.into() } else { argument.cast_unsigned().into() }
    }

    /// The number itself if it fits, what stands in for it otherwise, or nothing.
    pub fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = (self.min(), self.max());
        if (min..=max).contains(&number) {
            return Some(number);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(number.clamp(min, max)),
            Overflow::Wrap => Some(self.decode(self.encode(number))),
        }
    }

    /// Its lowest bits.
    fn encode(self, number: i128) -> u64 {
        let mask = (1_u128 << self.bits) - 1;
        (number.cast_unsigned() & mask) as u64
    }

    fn decode(self, bits: u64) -> i128 {
        let number = i128::from(bits);
        if number > self.max() { number - (1 << self.bits) } else { number }
    }

    /// The number at `offset` bits from the start of `bytes`; what is missing there is clear.
    pub fn get(self, bytes: &[u8], offset: u64) -> i128 {
        self.decode(window(bytes, offset).map_or(0, |window| self.in_window(window, offset)))
    }

    /// Writes the number at `offset` bits from the start of `bytes`, which has to reach that far.
    pub fn set(self, bytes: &mut [u8], offset: u64, number: i128) {
        let shift = self.shift(offset);
        let mask = ((1_u128 << self.bits) - 1) << shift;
        let old = window(bytes, offset).unwrap_or_default();
        let new = (old & !mask) | (u128::from(self.encode(number)) << shift);
        for (to, from) in bytes.iter_mut().zip(new.to_be_bytes()) {
            *to = from;
        }
    }

    fn in_window(self, window: u128, offset: u64) -> u64 {
        let mask = (1_u128 << self.bits) - 1;
        ((window >> self.shift(offset)) & mask) as u64
    }

    /// How far a field that begins `offset` bits into a window is from the window's last bit.
    fn shift(self, offset: u64) -> u32 {
        128 - self.bits - (offset % 8) as u32
    }
}

/// The first 16 bytes as a number, clear bits standing in for what is missing.
fn window(bytes: &[u8], offset: u64) -> Option<u128> {
    debug_assert!(offset < 8, "a window begins at the byte its field begins in");
    let mut window = [0; 16];
    let len = bytes.len().min(window.len());
    window[..len].copy_from_slice(&bytes[..len]);
    (len > 0).then(|| u128::from_be_bytes(window))
}

#[cfg(test)]
mod tests {
    use super::{FieldType, Overflow};

    const I8: FieldType = FieldType { signed: true, bits: 8 };
    const U5: FieldType = FieldType { signed: false, bits: 5 };
    const I64: FieldType = FieldType { signed: true, bits: 64 };

    #[test]
    fn types_have_limits() {
        assert_eq!(FieldType::parse(b"i64").unwrap(), I64);
        assert!(FieldType::parse(b"u64").is_err());
        assert!(FieldType::parse(b"i0").is_err());
        assert!(FieldType::parse(b"x8").is_err());
        assert!(FieldType::parse(b"").is_err());
    }

    #[test]
    fn numbers_wrap_saturate_or_fail() {
        assert_eq!(I8.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(I8.fit(128, Overflow::Saturate), Some(127));
        assert_eq!(I8.fit(-129, Overflow::Fail), None);
        assert_eq!(U5.fit(U5.widen(-1), Overflow::Saturate), Some(31));
        assert_eq!(U5.fit(33, Overflow::Wrap), Some(1));
        assert_eq!(I64.fit(i128::from(i64::MAX) + 1, Overflow::Wrap), Some(i64::MIN.into()));
    }

    #[test]
    fn fields_cross_bytes() {
        let mut bytes = [0xff; 10];
        U5.set(&mut bytes, 6, 0);
        assert_eq!(&bytes[..3], [0xfc, 0x1f, 0xff]);
        assert_eq!(U5.get(&bytes, 6), 0);
        I64.set(&mut bytes, 7, i64::MIN.into());
        assert_eq!(I64.get(&bytes, 7), i64::MIN.into());
        assert_eq!(U5.get(&[], 3), 0);
        assert_eq!(U5.get(&[0xff], 6), 0b11000);
    }
}
