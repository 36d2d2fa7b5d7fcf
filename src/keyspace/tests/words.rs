//! What the words of a request mean to the model.

use bytes::Bytes;

/// Any refusal will do.
pub const REFUSED: &str = "";
/// What a word is told that should be an integer.
const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
/// No string is longer.
pub const STRING_BYTES_MAX: u64 = 512 << 20;

/// A word as text; words that are not text are none we know.
pub fn shown(word: &Bytes) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}

/// An integer in the one way to write it.
pub fn integer(text: &Bytes) -> Result<i64, &'static str> {
    let number = shown(text).parse::<i64>().map_err(|_| NOT_AN_INTEGER)?;
    if number.to_string() == *text { Ok(number) } else { Err(NOT_AN_INTEGER) }
}

pub fn positive(number: i64) -> Result<i64, &'static str> {
    if number > 0 { Ok(number) } else { Err(REFUSED) }
}

/// The milliseconds in `EX 10` or its like.
pub fn span(word: &[u8], time: &Bytes) -> Result<i64, &'static str> {
    let unit = unit(word).ok_or(REFUSED)?;
    integer(time)?.checked_mul(unit).ok_or(REFUSED)
}

/// Milliseconds in one of what a time with this word before it counts, if it is such a word.
pub fn unit(word: &[u8]) -> Option<i64> {
    match word {
        b"EX" | b"EXAT" => Some(1000),
        b"PX" | b"PXAT" => Some(1),
        _ => None,
    }
}

pub fn bit_offset(text: &Bytes) -> Result<usize, &'static str> {
    let offset = integer(text).ok().and_then(|offset| u64::try_from(offset).ok());
    let offset = offset.filter(|offset| offset / 8 < STRING_BYTES_MAX).ok_or(REFUSED)?;
    Ok(offset as usize)
}

pub fn database(text: &Bytes) -> Result<u32, &'static str> {
    let db = integer(text).ok().and_then(|db| u32::try_from(db).ok());
    db.filter(|db| *db < 16).ok_or(REFUSED)
}
