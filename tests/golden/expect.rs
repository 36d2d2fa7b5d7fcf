//! Whether a reply is what a script says, placeholders included.

/// Whether the lines of a reply match those of a script.
pub fn matches(expected: &[String], actual: &[String]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim_start() == "..." => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        (Some((expected, expected_rest)), Some((actual, actual_rest))) => {
            line_matches(expected, actual) && matches(expected_rest, actual_rest)
        }
        _ => false,
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let Some((before, placeholder, after)) = next_placeholder(expected) else {
        return expected == actual;
    };
    let Some(rest) = actual.strip_prefix(before) else { return false };
    match placeholder {
        Placeholder::Any => (0..=rest.len())
            .filter(|end| rest.is_char_boundary(*end))
            .any(|end| line_matches(after, &rest[end..])),
        Placeholder::Integer { min, max } => {
            let sign = usize::from(rest.starts_with('-'));
            let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = rest.split_at(sign + digits);
            number.parse().is_ok_and(|number: i128| (min..=max).contains(&number))
                && line_matches(after, rest)
        }
    }
}

enum Placeholder {
    Any,
    Integer { min: i128, max: i128 },
}

/// The text before the first placeholder, the placeholder, and the text after.
fn next_placeholder(line: &str) -> Option<(&str, Placeholder, &str)> {
    line.match_indices('<').find_map(|(start, _)| {
        let (name, after) = line[start + 1..].split_once('>')?;
        Some((&line[..start], parse_placeholder(name)?, after))
    })
}

fn parse_placeholder(name: &str) -> Option<Placeholder> {
    match name {
        "any" => Some(Placeholder::Any),
        "integer" => Some(Placeholder::Integer { min: i128::MIN, max: i128::MAX }),
        range => {
            let (min, max) = range.split_once("..")?;
            Some(Placeholder::Integer { min: min.parse().ok()?, max: max.parse().ok()? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    fn check(expected: &str, actual: &str) -> bool {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        matches(&lines(expected), &lines(actual))
    }

    #[test]
    fn placeholders() {
        assert!(check("(integer) <integer>", "(integer) -12"));
        assert!(!check("(integer) <integer>", "(integer) x"));
        assert!(check("(integer) <10..12>", "(integer) 12"));
        assert!(!check("(integer) <10..12>", "(integer) 13"));
        assert!(check("\"id=<integer> addr=<any> x\"", "\"id=7 addr=127.0.0.1:1 x\""));
        assert!(check("a\n...\nb", "a\nb"));
        assert!(check("a\n...\nb", "a\n1\n2\nb"));
        assert!(!check("a\n...\nb", "a\n1"));
        assert!(check("<x> <any>", "<x> y"));
        assert!(!check("a", "a\nb"));
    }
}
