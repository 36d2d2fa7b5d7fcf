//! Natural numbers of any size: just enough to round decimal text correctly.

use std::cmp::Ordering;

const WORD_BITS: usize = 32;

/// Words from the least significant one; the last one is not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Natural(Vec<u32>);

impl Natural {
    pub(super) fn from_u64(number: u64) -> Self {
        let mut natural = Self(vec![low_word(number), low_word(number >> WORD_BITS)]);
        natural.trim();
        natural
    }

    /// Reads decimal digits.
    pub(super) fn from_digits<'a>(digits: impl Iterator<Item = &'a u8>) -> Self {
        let mut natural = Self(Vec::new());
        for digit in digits {
            natural.multiply_add(10, u32::from(digit - b'0'));
        }
        natural
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bits without leading zeros.
    pub(super) fn bits(&self) -> usize {
        let leading = self.0.last().map_or(0, |word| word.leading_zeros() as usize);
        self.0.len() * WORD_BITS - leading
    }

    pub(super) fn bit(&self, index: usize) -> bool {
        self.0.get(index / WORD_BITS).is_some_and(|word| word >> (index % WORD_BITS) & 1 == 1)
    }

    /// Whether any of the lowest `count` bits is set.
    pub(super) fn any_bit_below(&self, count: usize) -> bool {
        let lowest = self.0.iter().position(|word| *word != 0);
        lowest.is_some_and(|index| {
            index * WORD_BITS + (self.0[index].trailing_zeros() as usize) < count
        })
    }

    /// The lowest 64 bits.
    pub(super) fn low_u64(&self) -> u64 {
        let word = |index: usize| u64::from(self.0.get(index).copied().unwrap_or(0));
        word(1) << WORD_BITS | word(0)
    }

    pub(super) fn multiply_power_of_ten(&mut self, exponent: usize) {
        for _ in 0..exponent / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        for _ in 0..exponent % 9 {
            self.multiply_add(10, 0);
        }
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        let (words, bits) = (bits / WORD_BITS, bits % WORD_BITS);
        if bits > 0 {
            let mut carry = 0;
            for word in &mut self.0 {
                let wide = u64::from(*word) << bits | carry;
                *word = low_word(wide);
                carry = wide >> WORD_BITS;
            }
            self.0.push(low_word(carry));
        }
        if words > 0 && !self.is_zero() {
            self.0.splice(0..0, std::iter::repeat_n(0, words));
        }
        self.trim();
    }

    pub(super) fn shift_right(&mut self, bits: usize) {
        let (words, bits) = (bits / WORD_BITS, bits % WORD_BITS);
        self.0.drain(..words.min(self.0.len()));
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            let wide = u64::from(*word) << WORD_BITS >> bits;
            *word = low_word(wide >> WORD_BITS) | carry;
            carry = low_word(wide);
        }
        self.trim();
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()) + 1, 0);
        let mut carry = 0;
        for (index, word) in self.0.iter_mut().enumerate() {
            let sum =
                u64::from(*word) + u64::from(other.0.get(index).copied().unwrap_or(0)) + carry;
            *word = low_word(sum);
            carry = sum >> WORD_BITS;
        }
        self.trim();
    }

    /// Subtracts a number that is not larger.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, word) in self.0.iter_mut().enumerate() {
            let (difference, first) =
                word.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            *word = difference;
            borrow = first || second;
        }
        assert!(!borrow, "a larger number was subtracted");
        self.trim();
    }

    /// Decimal digits; none for zero.
    pub(super) fn to_digits(&self) -> Vec<u8> {
        let mut rest = self.clone();
        let mut digits = Vec::new();
        while !rest.is_zero() {
            let mut nine = rest.divide(1_000_000_000);
            for _ in 0..9 {
                digits.push(b'0' + u8::try_from(nine % 10).expect("a digit"));
                nine /= 10;
            }
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        digits.reverse();
        digits
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for word in &mut self.0 {
            let product = u64::from(*word) * u64::from(factor) + carry;
            *word = low_word(product);
            carry = product >> WORD_BITS;
        }
        if carry > 0 {
            self.0.push(low_word(carry));
        }
    }

    /// Divides in place and returns the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut remainder = 0;
        for word in self.0.iter_mut().rev() {
            let dividend = u64::from(remainder) << WORD_BITS | u64::from(*word);
            *word = low_word(dividend / u64::from(divisor));
            remainder = low_word(dividend % u64::from(divisor));
        }
        self.trim();
        remainder
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The lowest 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the rest is the carry")]
const fn low_word(number: u64) -> u32 {
    number as u32
}
