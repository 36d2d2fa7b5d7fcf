//! Numbers as text, with Redis's strictness and Redis's digits.
//!
//! What is an integer is decided by [`parse_i64`] alone: no sign but `-`, no leading zero, no
//! blank. What a floating-point number looks like is decided by [`format_f64`] for replies and
//! stored scores, and by [`LongDouble`] for INCRBYFLOAT and HINCRBYFLOAT, where Redis computes with
//! 64 bits of mantissa and its users see the difference: 0.1 + 0.2 is 0.3.

mod big;
mod long_double;

pub use long_double::LongDouble;

/// Reads a 64-bit integer. Only the text [`format_i64`] writes is one.
///
/// ```
/// use resp::number::parse_i64;
/// assert_eq!(parse_i64(b"-12"), Some(-12));
/// assert_eq!(parse_i64(b"+1"), None);
/// assert_eq!(parse_i64(b"01"), None);
/// assert_eq!(parse_i64(b"-0"), None);
/// ```
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = parse_digits(digits)?;
    match (negative, magnitude) {
        (true, 0) => None,
        (true, magnitude) => 0_i64.checked_sub_unsigned(magnitude),
        (false, magnitude) => i64::try_from(magnitude).ok(),
    }
}

/// Reads a 64-bit integer without sign, as strictly.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    parse_digits(text)
}

fn parse_digits(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 20 => {}
        _ => return None,
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Writes an integer.
pub fn format_i64(number: i64) -> String {
    itoa::Buffer::new().format(number).to_owned()
}

/// Reads a double: decimal digits, an exponent, `inf` and `infinity` in any case. Refused are
/// blanks, `nan`, and numbers too large or too small for a double.
///
/// ```
/// use resp::number::parse_f64;
/// assert_eq!(parse_f64(b"1.5e3"), Some(1500.0));
/// assert_eq!(parse_f64(b"-inf"), Some(f64::NEG_INFINITY));
/// assert_eq!(parse_f64(b"1e400"), None);
/// assert_eq!(parse_f64(b" 1"), None);
/// ```
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let digits = || text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    if value.is_nan() {
        return None;
    }
    if value.is_infinite() && digits().any(u8::is_ascii_digit) {
        return None;
    }
    if value == 0.0 && digits().any(|byte| matches!(byte, b'1'..=b'9')) {
        return None;
    }
    Some(value)
}

/// Writes a double: the fewest digits that read back as the same number, plain where that is not
/// much longer than with an exponent.
///
/// ```
/// use resp::number::format_f64;
/// assert_eq!(format_f64(0.1), "0.1");
/// assert_eq!(format_f64(3.0), "3");
/// assert_eq!(format_f64(1e21), "1e+21");
/// assert_eq!(format_f64(-0.0), "-0");
/// ```
pub fn format_f64(value: f64) -> String {
    let text = DoubleText::new(value);
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

/// A double as text, without allocation.
pub(crate) struct DoubleText {
    bytes: [u8; DoubleText::BYTES_MAX],
    length: usize,
}

impl DoubleText {
    /// A sign, 17 digits, a point and seven zeros or an exponent of three digits, with room left.
    const BYTES_MAX: usize = 40;
    /// Whole numbers up to here are written as integers, whatever their length.
    const INTEGER_MAX: f64 = 4_611_686_018_427_387_904.0;

    pub(crate) fn new(value: f64) -> Self {
        let mut text = Self { bytes: [0; Self::BYTES_MAX], length: 0 };
        if value.is_nan() {
            text.push(b"nan");
        } else if value.is_infinite() {
            text.push(if value < 0.0 { b"-inf" } else { b"inf" });
        } else if value == 0.0 {
            text.push(if value.is_sign_negative() { b"-0" } else { b"0" });
        } else if value.abs() <= Self::INTEGER_MAX && value.fract() == 0.0 {
            // Exact: the bound is below 2^63 and the fraction is zero.
            #[expect(clippy::cast_possible_truncation, reason = "checked by the branch")]
            text.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            text.push_shortest(value);
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn push_zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    fn push_shortest(&mut self, value: f64) {
        let decimal = Decimal::shortest(value.abs());
        let digits = decimal.digits();
        let count = i32::try_from(digits.len()).expect("a double has at most 17 digits");
        let exponent = decimal.exponent;
        // Of the first digit.
        let magnitude = (exponent + count - 1).abs();
        if value < 0.0 {
            self.push(b"-");
        }
        if exponent >= 0 && magnitude < count + 7 {
            self.push(digits);
            self.push_zeros(exponent);
        } else if exponent < 0 && (exponent > -7 || magnitude < 4) {
            self.push_fraction(digits, count + exponent);
        } else {
            self.push_scientific(digits, exponent + count - 1);
        }
    }

    /// Digits with the point after the first `whole` of them, or before as many zeros.
    fn push_fraction(&mut self, digits: &[u8], whole: i32) {
        match usize::try_from(whole) {
            Ok(whole) if whole > 0 => {
                self.push(&digits[..whole]);
                self.push(b".");
                self.push(&digits[whole..]);
            }
            _ => {
                self.push(b"0.");
                self.push_zeros(-whole);
                self.push(digits);
            }
        }
    }

    fn push_scientific(&mut self, digits: &[u8], exponent: i32) {
        self.push(&digits[..1]);
        if digits.len() > 1 {
            self.push(b".");
            self.push(&digits[1..]);
        }
        self.push(if exponent < 0 { b"e-" } else { b"e+" });
        self.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
    }
}

/// digits × 10^exponent, no zero at either end of the digits.
struct Decimal {
    bytes: [u8; 24],
    start: usize,
    end: usize,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that read back as `value`, which is finite and positive.
    fn shortest(value: f64) -> Self {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut decimal = Self { bytes: [0; 24], start: 0, end: 0, exponent: 0 };
        decimal.exponent = exponent.parse().expect("the exponent of a double is a number");
        let mut after_point = false;
        for byte in mantissa.bytes() {
            if byte == b'.' {
                after_point = true;
                continue;
            }
            decimal.bytes[decimal.end] = byte;
            decimal.end += 1;
            decimal.exponent -= i32::from(after_point);
        }
        decimal.trim();
        decimal
    }

    fn trim(&mut self) {
        while self.end > 1 && self.bytes[self.end - 1] == b'0' {
            self.end -= 1;
            self.exponent += 1;
        }
        while self.start + 1 < self.end && self.bytes[self.start] == b'0' {
            self.start += 1;
        }
    }

    fn digits(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for text in ["0", "1", "-1", "9223372036854775807", "-9223372036854775808"] {
            let number = parse_i64(text.as_bytes()).expect("an integer");
            assert_eq!(format_i64(number), text);
        }
        for text in
            ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1a", "9223372036854775808", "0x1"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"184467440737095516150"), None);
    }

    #[test]
    fn doubles_as_redis_writes_them() {
        let cases = [
            (0.1, "0.1"),
            (1e-7, "1e-7"),
            (0.000_012_34, "1.234e-5"),
            (3.300_000_000_000_000_3, "3.3000000000000003"),
            (1e20, "1e+20"),
            (1e18, "1000000000000000000"),
            (-1.5, "-1.5"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.000_123, "0.000123"),
            (123_456.789, "123456.789"),
        ];
        for (value, text) in cases {
            assert_eq!(format_f64(value), text);
            assert_eq!(parse_f64(text.as_bytes()), Some(value));
        }
    }

    #[test]
    fn doubles_that_are_none() {
        for text in ["", " 1", "1 ", "nan", "NaN", "-nan", "1e400", "1e-400", "1,5", "e5", "."] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_f64(b"0e400"), Some(0.0));
        assert_eq!(parse_f64(b"+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_f64(b"-infinity"), Some(f64::NEG_INFINITY));
    }
}
