//! One value in the form DUMP returns and RESTORE takes: Redis's serialisation, the version it is
//! written in, and a checksum over both.
//!
//! What is written is the oldest version that holds the value, so that every Redis since 5 and
//! every Valkey reads it. What is read is any version: strings have the same form in all of them.

use std::borrow::Cow;

use resp::{ReplyError, number};

use crate::commands::errors::refuse;

/// Of Redis 5.
const VERSION_WRITTEN: u16 = 9;
/// Of Valkey 9, the highest number in use.
const VERSION_READ_MAX: u16 = 80;
/// Version and checksum.
const FOOTER_BYTES: usize = 10;
const TYPE_STRING: u8 = 0;
/// The highest two bits set: not a length but one of the encodings below.
const ENCODED: u8 = 0xc0;
const INT8: u8 = 0;
const INT16: u8 = 1;
const INT32: u8 = 2;
const LZF: u8 = 3;
/// Lengths that do not fit 6 or 14 bits.
const LENGTH32: u8 = 0x80;
const LENGTH64: u8 = 0x81;
/// No string is longer, so no compressed one may claim to be.
const STRING_BYTES_MAX: u64 = storage::STRING_BYTES_MAX;

/// A string's payload.
pub(super) fn encode_string(value: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(value.len() + FOOTER_BYTES + 6);
    payload.push(TYPE_STRING);
    match number::parse_i64(value).and_then(|integer| i32::try_from(integer).ok()) {
        Some(integer) => push_integer(&mut payload, integer),
        None => {
            push_length(&mut payload, value.len());
            payload.extend_from_slice(value);
        }
    }
    payload.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
    let checksum = crc64(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// The string in a payload.
pub(super) fn decode_string(payload: &[u8]) -> Result<Cow<'_, [u8]>, ReplyError> {
    let body =
        verify(payload).ok_or_else(|| refuse("ERR DUMP payload version or checksum are wrong"))?;
    let bad_format = || refuse("ERR Bad data format");
    let (kind, mut rest) = body.split_first().ok_or_else(bad_format)?;
    if *kind != TYPE_STRING {
        return Err(bad_format());
    }
    let value = take_string(&mut rest).ok_or_else(bad_format)?;
    if rest.is_empty() { Ok(value) } else { Err(bad_format()) }
}

/// The payload without its footer, if that is right.
fn verify(payload: &[u8]) -> Option<&[u8]> {
    let at = payload.len().checked_sub(FOOTER_BYTES)?;
    let (body, footer) = payload.split_at(at);
    let (version, checksum) = footer.split_first_chunk::<2>()?;
    let summed = &payload[..at + version.len()];
    let right =
        u16::from_le_bytes(*version) <= VERSION_READ_MAX && checksum == crc64(summed).to_le_bytes();
    right.then_some(body)
}

fn push_integer(payload: &mut Vec<u8>, integer: i32) {
    if let Ok(byte) = i8::try_from(integer) {
        payload.push(ENCODED | INT8);
        payload.extend_from_slice(&byte.to_le_bytes());
    } else if let Ok(short) = i16::try_from(integer) {
        payload.push(ENCODED | INT16);
        payload.extend_from_slice(&short.to_le_bytes());
    } else {
        payload.push(ENCODED | INT32);
        payload.extend_from_slice(&integer.to_le_bytes());
    }
}

fn push_length(payload: &mut Vec<u8>, length: usize) {
    match u32::try_from(length) {
        Ok(length @ 0..0x40) => payload.push(length as u8),
        Ok(length @ 0x40..0x4000) => {
            payload.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
        }
        Ok(length) => {
            payload.push(LENGTH32);
            payload.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            payload.push(LENGTH64);
            payload.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
    *rest = left;
    Some(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn take_length(rest: &mut &[u8]) -> Option<u64> {
    let [first] = take_array::<1>(rest)?;
    Some(match first >> 6 {
        0 => first.into(),
        1 => u16::from_be_bytes([first & 0x3f, take_array::<1>(rest)?[0]]).into(),
        _ if first == LENGTH32 => u32::from_be_bytes(take_array(rest)?).into(),
        _ if first == LENGTH64 => u64::from_be_bytes(take_array(rest)?),
        _ => return None,
    })
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let first = *rest.first()?;
    if first & ENCODED != ENCODED {
        let length = take_length(rest)?;
        return take(rest, length).map(Cow::Borrowed);
    }
    *rest = &rest[1..];
    let integer = match first & !ENCODED {
        INT8 => i8::from_le_bytes(take_array(rest)?).into(),
        INT16 => i16::from_le_bytes(take_array(rest)?).into(),
        INT32 => i32::from_le_bytes(take_array(rest)?),
        LZF => return take_compressed(rest).map(Cow::Owned),
        _ => return None,
    };
    Some(Cow::Owned(number::format_i64(integer.into()).into_bytes()))
}

fn take_compressed(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (compressed, length) = (take_length(rest)?, take_length(rest)?);
    let compressed = take(rest, compressed)?;
    if length > STRING_BYTES_MAX {
        return None;
    }
    decompress(compressed, usize::try_from(length).ok()?)
}

/// LZF: runs of literal bytes, and references to what was written before.
fn decompress(mut input: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    while !input.is_empty() {
        let [control] = take_array::<1>(&mut input)?;
        if control < 0x20 {
            output.extend_from_slice(take(&mut input, u64::from(control) + 1)?);
        } else {
            let (distance, count) = take_reference(&mut input, control)?;
            let from = output.len().checked_sub(distance)?;
            for at in from..from + count {
                output.push(output[at]);
            }
        }
        if output.len() > length {
            return None;
        }
    }
    (output.len() == length).then_some(output)
}

/// How far back, and how many bytes.
fn take_reference(input: &mut &[u8], control: u8) -> Option<(usize, usize)> {
    let mut count = usize::from(control >> 5) + 2;
    if control >> 5 == 7 {
        count += usize::from(take_array::<1>(input)?[0]);
    }
    let [low] = take_array::<1>(input)?;
    Some((usize::from(u16::from_be_bytes([control & 0x1f, low])) + 1, count))
}

/// The Jones polynomial, bits reflected, as Redis has it.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

const CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| CRC64[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::{crc64, decode_string, decompress, encode_string};

    #[test]
    fn checksum_as_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn what_is_written_is_read() {
        let long = vec![b'x'; 70_000];
        let values: [&[u8]; 10] =
            [b"", b"a", b"0", b"-1", b"127", b"300", b"-70000", b"2147483648", &long[..100], &long];
        for value in values {
            assert_eq!(*decode_string(&encode_string(value)).unwrap(), *value);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut payload = encode_string(b"value");
        payload[2] ^= 1;
        assert!(decode_string(&payload).unwrap_err().to_string().contains("checksum"));
        assert!(decode_string(b"short").is_err());
    }

    #[test]
    fn lzf_copies_what_it_has_just_written() {
        // One literal, then a reference one byte back, 20 long.
        assert_eq!(decompress(&[0, b'a', 0xe0, 11, 0], 21).unwrap(), [b'a'; 21]);
        assert!(decompress(&[0, b'a', 0xe0, 11, 0], 20).is_none());
        assert!(decompress(&[0x20, 0], 3).is_none());
    }
}
