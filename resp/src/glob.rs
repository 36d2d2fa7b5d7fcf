//! Patterns of KEYS, SCAN, PSUBSCRIBE, CONFIG GET: Redis's, not a shell's.
//!
//! Every token of a pattern but `*` takes exactly one byte. So when matching fails, only the last
//! `*` need be made longer, and the time is at most pattern × text: no pattern can stall a node.

/// Whether `text` as a whole matches `pattern`.
///
/// ```
/// assert!(resp::glob(b"h[a-e]llo*", b"hello world", false));
/// assert!(!resp::glob(b"h[^e]llo", b"hello", false));
/// assert!(resp::glob(br"\*", b"*", false));
/// ```
pub fn glob(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut token, mut at) = (0, 0);
    // After the last `*`: its next token, and the text that was next when it was met.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        if pattern.get(token) == Some(&b'*') {
            token += 1;
            star = Some((token, at));
            continue;
        }
        match match_token(&pattern[token..], text[at], nocase) {
            Some(length) => {
                token += length;
                at += 1;
            }
            None => {
                let Some((after, from)) = star else { return false };
                token = after;
                at = from + 1;
                star = Some((after, at));
            }
        }
    }
    pattern[token..].iter().all(|byte| *byte == b'*')
}

/// The length of the first token of `pattern` if it takes `byte`.
fn match_token(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let (matches, length) = match pattern {
        [] => return None,
        [b'?', ..] => (true, 1),
        [b'[', rest @ ..] => {
            let (matches, length) = match_class(rest, byte, nocase);
            (matches, length + 1)
        }
        [b'\\', literal, ..] => (equal(*literal, byte, nocase), 2),
        [literal, ..] => (equal(*literal, byte, nocase), 1),
    };
    matches.then_some(length)
}

/// What follows `[`, up to and with the `]`. A class that is not closed ends with the pattern.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut matches = false;
    loop {
        let (matched, length) = match &class[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            // Redis compares an escaped byte of a class with case, whatever it was asked.
            [b'\\', literal, ..] => (*literal == byte, 2),
            [start, b'-', end, ..] => (in_range(*start, *end, byte, nocase), 3),
            [literal, ..] => (equal(*literal, byte, nocase), 1),
        };
        matches |= matched;
        at += length;
    }
    (matches != negated, at)
}

fn equal(literal: u8, byte: u8, nocase: bool) -> bool {
    if nocase { literal.eq_ignore_ascii_case(&byte) } else { literal == byte }
}

fn in_range(start: u8, end: u8, byte: u8, nocase: bool) -> bool {
    // Bytes are signed in Redis, which orders those above 127 below the others.
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte }.cast_signed();
    let (low, high) =
        (start.cast_signed().min(end.cast_signed()), start.cast_signed().max(end.cast_signed()));
    let (low, high) = (fold(low.cast_unsigned()), fold(high.cast_unsigned()));
    (low..=high).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**a**", "bab", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1b2cd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-", "ha", true),
            ("h[a-", "h-", true),
            ("h[", "h", false),
            ("h[", "hx", false),
            ("h[^", "hx", true),
            (r"h[\]]", "h]", true),
            (r"\?", "?", true),
            (r"\?", "a", false),
            (r"a\", r"a\", true),
            ("[]a]", "a", false),
            ("*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes(), false),
                *expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn case_is_ignored_on_demand() {
        assert!(glob(b"HeLLo[A-C]", b"hEllob", true));
        assert!(!glob(b"HeLLo", b"hello", false));
        assert!(!glob(br"[\A]", b"a", true));
    }
}
