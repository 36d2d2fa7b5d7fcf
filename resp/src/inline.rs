//! Inline requests: a line of words, for people with `telnet`.
//!
//! The quoting is Redis's: `"…"` knows `\n \r \t \b \a \xHH`, `'…'` knows `\'` only, and a closing
//! quote must end its word.

/// Splits a line into its words. `None` if a quote is not closed, or is followed by more than a
/// blank.
///
/// ```
/// let words = resp::split_arguments(br#"set key "a\tb""#).expect("balanced");
/// assert_eq!(words, [&b"set"[..], b"key", b"a\tb"]);
/// assert_eq!(resp::split_arguments(b"set key 'a"), None);
/// ```
pub fn split_arguments(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    &line[blanks..]
}

/// Appends one word and returns what follows it. Vertical tab and form feed part words but do not
/// end one: so it is in Redis.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => {
                return Some(rest.get(1..).unwrap_or(rest));
            }
            [b'"', after @ ..] => return end_of_quoted(take_double_quoted(after, word)?),
            [b'\'', after @ ..] => return end_of_quoted(take_single_quoted(after, word)?),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn end_of_quoted(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|byte| is_blank(*byte)).then_some(rest)
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                rest = after;
            }
            [b'\\', byte, after @ ..] => {
                word.push(unescape(*byte));
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::split_arguments;

    #[test]
    fn words_and_quotes() {
        type Case = (&'static [u8], Option<&'static [&'static [u8]]>);
        let cases: &[Case] = &[
            (b"", Some(&[])),
            (b" \t\x0b ", Some(&[])),
            (b"get  key", Some(&[b"get", b"key"])),
            (br#"set k "a b""#, Some(&[b"set", b"k", b"a b"])),
            (br#""\x41\n\r\t\b\a\q\"""#, Some(&[b"A\n\r\t\x08\x07q\""])),
            (br#""\x4g""#, Some(&[b"x4g"])),
            (br"'it\'s \n'", Some(&[br"it's \n"])),
            (br#"a"b c"d"#, None),
            (br#"a"b c" d"#, Some(&[b"ab c", b"d"])),
            (br#""" ''"#, Some(&[b"", b""])),
            (br#""open"#, None),
            (br"'open", None),
            (br#""open\"#, None),
            (b"a\x0bb", Some(&[b"a\x0bb"])),
        ];
        for (line, expected) in cases {
            let words = split_arguments(line);
            let words: Option<Vec<&[u8]>> =
                words.as_ref().map(|words| words.iter().map(Vec::as_slice).collect());
            assert_eq!(words.as_deref(), *expected, "{:?}", String::from_utf8_lossy(line));
        }
    }
}
