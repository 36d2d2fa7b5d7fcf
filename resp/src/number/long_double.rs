//! x86's 80-bit floating-point numbers, in which Redis computes INCRBYFLOAT.
//!
//! With 64 bits of mantissa and 17 digits after the point, sums of short decimals come out as
//! people expect. Doubles do not do that, and replicas on another processor must agree to the
//! bit: so the arithmetic is done in integers, correctly rounded.

use std::cmp::Ordering;

use super::big::Natural;

/// Text longer than this is no number: Redis's `MAX_LONG_DOUBLE_CHARS`.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Digits after the point when written.
const FRACTION_DIGITS: usize = 17;
const MANTISSA_BITS: i64 = 64;
/// Of the leading bit of the largest and of the smallest number.
const EXPONENT_MAX: i64 = 16_383;
const EXPONENT_MIN: i64 = -16_445;
/// Decimal exponents beyond this overflow or vanish, whatever the digits (at most 5120) are.
const DECIMAL_EXPONENT_MAX: i64 = 20_000;
/// The same for exponents of two after hexadecimal digits, of which each is worth four.
const BINARY_EXPONENT_MAX: i64 = 40_000;

/// An 80-bit floating-point number that is finite or infinite, never NaN.
///
/// ```
/// use resp::number::LongDouble;
/// let sum = LongDouble::parse(b"0.1").expect("a number").checked_add(LongDouble::parse(b"0.2").expect("a number"));
/// assert_eq!(sum.expect("a number").to_string(), "0.3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magnitude {
    Infinite,
    /// mantissa × 2^exponent
    Finite {
        mantissa: u64,
        exponent: i64,
    },
}

const ZERO: Magnitude = Magnitude::Finite { mantissa: 0, exponent: 0 };

impl LongDouble {
    /// Reads decimal text, hexadecimal text as C writes it (`0x1.8p3`), `inf` or `infinity`. `None`
    /// if it is no number, or too large or too small to be one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let infinite =
            [&b"inf"[..], b"infinity"].iter().any(|it| unsigned.eq_ignore_ascii_case(it));
        let magnitude = match unsigned {
            _ if infinite => Magnitude::Infinite,
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?,
            decimal => parse_decimal(decimal)?,
        };
        Some(Self { negative, magnitude })
    }

    /// The sum, or `None` if it is not finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (
            Magnitude::Finite { mantissa: left, exponent: left_exponent },
            Magnitude::Finite { mantissa: right, exponent: right_exponent },
        ) = (self.magnitude, other.magnitude)
        else {
            return None;
        };
        let exponent = match (left, right) {
            (0, _) => right_exponent,
            (_, 0) => left_exponent,
            _ => left_exponent.min(right_exponent),
        };
        let left = aligned(left, left_exponent, exponent);
        let right = aligned(right, right_exponent, exponent);
        let (negative, sum) = add_signed((self.negative, left), (other.negative, right));
        match rounded(&sum, exponent) {
            Magnitude::Infinite => None,
            magnitude => Some(Self { negative, magnitude }),
        }
    }

    /// Whether this is a number with an end.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }
}

/// At most 17 digits after the point, no zeros at the end, no exponent.
impl std::fmt::Display for LongDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else {
            return f.write_str(if self.negative { "-inf" } else { "inf" });
        };
        let (whole, fraction) = decimal(mantissa, exponent);
        if self.negative && (whole != "0" || !fraction.is_empty()) {
            f.write_str("-")?;
        }
        f.write_str(&whole)?;
        if fraction.is_empty() { Ok(()) } else { write!(f, ".{fraction}") }
    }
}

/// Digits before and after the point, correctly rounded to [`FRACTION_DIGITS`].
fn decimal(mantissa: u64, exponent: i64) -> (String, String) {
    let mut scaled = Natural::from_u64(mantissa);
    scaled.multiply_power_of_ten(FRACTION_DIGITS);
    match usize::try_from(exponent) {
        Ok(bits) => scaled.shift_left(bits),
        Err(_) => scaled = shifted_to_nearest(&scaled, exponent.unsigned_abs()),
    }
    let digits = scaled.to_digits();
    let padding = (FRACTION_DIGITS + 1).saturating_sub(digits.len());
    let text = "0".repeat(padding) + &String::from_utf8_lossy(&digits);
    let (whole, fraction) = text.split_at(text.len() - FRACTION_DIGITS);
    (whole.to_owned(), fraction.trim_end_matches('0').to_owned())
}

/// digits [. digits] [e [sign] digits], at least one digit before the exponent.
fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let (mantissa, exponent) = split(text, b'e');
    let (whole, fraction) = split(mantissa, b'.');
    let fraction = fraction.unwrap_or_default();
    let digits = || whole.iter().chain(fraction);
    if digits().next().is_none() || !digits().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent = exponent.map_or(Some(0), |text| parse_exponent(text, DECIMAL_EXPONENT_MAX))?;
    let digits = Natural::from_digits(digits());
    if digits.is_zero() {
        return Some(ZERO);
    }
    in_range(from_decimal(digits, exponent - length(fraction)))
}

/// The same after `0x`, with `p` and an exponent of two.
fn parse_hexadecimal(text: &[u8]) -> Option<Magnitude> {
    let (mantissa, exponent) = split(text, b'p');
    let (whole, fraction) = split(mantissa, b'.');
    let fraction = fraction.unwrap_or_default();
    let digits = || whole.iter().chain(fraction);
    digits().next()?;
    let exponent = exponent.map_or(Some(0), |text| parse_exponent(text, BINARY_EXPONENT_MAX))?;
    let mut number = Natural::from_u64(0);
    for digit in digits() {
        number.shift_left(4);
        number.add(&Natural::from_u64(char::from(*digit).to_digit(16)?.into()));
    }
    if number.is_zero() {
        return Some(ZERO);
    }
    in_range(rounded(&number, exponent - 4 * length(fraction)))
}

/// What is before the letter or point, and after it if there is one.
fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| byte.eq_ignore_ascii_case(&at)) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn length(text: &[u8]) -> i64 {
    i64::try_from(text.len()).expect("text is short")
}

/// What was not zero and has become it was too small to be a number.
fn in_range(magnitude: Magnitude) -> Option<Magnitude> {
    Some(magnitude).filter(|it| *it != Magnitude::Infinite && *it != ZERO)
}

/// An exponent, or one as useless if it is beyond `max`.
fn parse_exponent(text: &[u8], max: i64) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude =
        digits.iter().fold(0, |number, digit| (number * 10 + i64::from(digit - b'0')).min(max));
    Some(if negative { -magnitude } else { magnitude })
}

/// digits × 10^exponent to the nearest number, ties to even.
fn from_decimal(digits: Natural, exponent: i64) -> Magnitude {
    let mut numerator = digits;
    let mut denominator = Natural::from_u64(1);
    let power = usize::try_from(exponent.unsigned_abs()).expect("bounded by parse_exponent");
    if exponent >= 0 {
        numerator.multiply_power_of_ten(power);
        return rounded(&numerator, 0);
    }
    denominator.multiply_power_of_ten(power);
    // As many bits of quotient as are kept, two to round by, and one for what is left.
    let missing = (denominator.bits() + 66).saturating_sub(numerator.bits());
    numerator.shift_left(missing);
    let shift = i64::try_from(missing).expect("bounded by the text");
    rounded(&quotient(numerator, denominator), -shift - 1)
}

/// The quotient shifted left by one; the bit that makes room says whether a remainder was left.
fn quotient(mut numerator: Natural, mut denominator: Natural) -> Natural {
    let steps = numerator.bits().saturating_sub(denominator.bits());
    denominator.shift_left(steps);
    let mut quotient = Natural::from_u64(0);
    for _ in 0..=steps {
        quotient.shift_left(1);
        if numerator >= denominator {
            numerator.subtract(&denominator);
            quotient.add(&Natural::from_u64(1));
        }
        denominator.shift_right(1);
    }
    quotient.shift_left(1);
    quotient.add(&Natural::from_u64(u64::from(!numerator.is_zero())));
    quotient
}

/// number × 2^exponent with 64 bits of mantissa, ties to even.
fn rounded(number: &Natural, exponent: i64) -> Magnitude {
    let bits = i64::try_from(number.bits()).expect("bits in memory are below 2^63");
    let surplus = (bits - MANTISSA_BITS).max(0);
    let mut kept = shifted_to_nearest(number, surplus.unsigned_abs());
    let mut exponent = exponent + surplus;
    if kept.bits() > 64 {
        kept.shift_right(1);
        exponent += 1;
    }
    let leading = exponent + i64::try_from(kept.bits()).expect("at most 64") - 1;
    if leading > EXPONENT_MAX {
        return Magnitude::Infinite;
    }
    if kept.is_zero() || leading < EXPONENT_MIN {
        return ZERO;
    }
    Magnitude::Finite { mantissa: kept.low_u64(), exponent }
}

/// The number divided by 2^bits, to the nearest integer, ties to even.
fn shifted_to_nearest(number: &Natural, bits: u64) -> Natural {
    let Ok(bits @ 1..) = usize::try_from(bits) else { return number.clone() };
    let mut shifted = number.clone();
    shifted.shift_right(bits);
    let up = number.bit(bits - 1) && (number.any_bit_below(bits - 1) || shifted.bit(0));
    shifted.add(&Natural::from_u64(u64::from(up)));
    shifted
}

fn aligned(mantissa: u64, from: i64, to: i64) -> Natural {
    let mut number = Natural::from_u64(mantissa);
    if mantissa != 0 {
        number.shift_left(usize::try_from(from - to).expect("aligned to the lower exponent"));
    }
    number
}

fn add_signed(left: (bool, Natural), right: (bool, Natural)) -> (bool, Natural) {
    let ((left_negative, mut left), (right_negative, mut right)) = (left, right);
    if left_negative == right_negative {
        left.add(&right);
        return (left_negative, left);
    }
    match left.cmp(&right) {
        Ordering::Equal => (false, Natural::from_u64(0)),
        Ordering::Greater => {
            left.subtract(&right);
            (left_negative, left)
        }
        Ordering::Less => {
            right.subtract(&left);
            (right_negative, right)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LongDouble;

    fn shown(text: &str) -> String {
        LongDouble::parse(text.as_bytes()).map_or("none".to_owned(), |it| it.to_string())
    }

    fn sum(left: &str, right: &str) -> String {
        let [left, right] =
            [left, right].map(|it| LongDouble::parse(it.as_bytes()).expect("a number"));
        left.checked_add(right).map_or("none".to_owned(), |it| it.to_string())
    }

    /// What a real Redis answered.
    #[test]
    fn as_redis_writes_them() {
        let cases = [
            ("0", "0"),
            ("-0.0", "0"),
            ("3.0e3", "3000"),
            (".5", "0.5"),
            ("5.", "5"),
            ("10.50", "10.5"),
            ("1e-17", "0.00000000000000001"),
            ("1e-18", "0"),
            ("-1e-18", "0"),
            ("123456789.123456789", "123456789.12345678899873747"),
            ("1e30", "1000000000000000000024696061952"),
            ("inf", "inf"),
            ("-Infinity", "-inf"),
            ("1.2e4932", "none"),
            ("1e-4940", "0"),
            ("1.005", "1.005"),
            ("123.4567890123456789", "123.4567890123456789"),
            ("1e-5000", "none"),
            ("", "none"),
            (".", "none"),
            ("e5", "none"),
            ("1e", "none"),
            (" 1", "none"),
            ("nan", "none"),
            ("1e99999999999999999999", "none"),
            ("0x10", "16"),
            ("-0X1.8P+1", "-3"),
            ("0x.8", "0.5"),
            ("0x1.", "1"),
            ("0x0", "0"),
            ("0xffffffffffffffffff", "4722366482869645213696"),
            ("0x1p-16445", "0"),
            ("0x1p-16446", "none"),
            ("0x1p16384", "none"),
            ("0x", "none"),
            ("0x.", "none"),
            ("0x1p", "none"),
            ("0x1g", "none"),
            ("0x-1", "none"),
            ("0x1e+1", "none"),
            ("x1", "none"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn sums() {
        assert_eq!(sum("0.1", "0.2"), "0.3");
        assert_eq!(sum("10.5", "0.1"), "10.6");
        assert_eq!(sum("5.0e3", "2.0e2"), "5200");
        assert_eq!(sum("1", "-1"), "0");
        assert_eq!(sum("-1.5", "1"), "-0.5");
        assert_eq!(sum("3", "1.1"), "4.1");
        assert_eq!(sum("1e4931", "1e-4931"), shown("1e4931"));
        assert_eq!(sum("1.1e4932", "1.1e4932"), "none");
        assert_eq!(sum("inf", "1"), "none");
        assert_eq!(sum("18446744073709551615", "1"), "18446744073709551616");
        assert_eq!(sum("0", "0.25"), "0.25");
    }
}
