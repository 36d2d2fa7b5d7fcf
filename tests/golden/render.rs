//! Replies as redis-cli shows them to a person.

use resp::Reply;
use resp::number::format_f64;

/// The lines of a reply.
pub fn render(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Simple(text) => vec![text.to_string()],
        Reply::Error(error) => vec![format!("(error) {error}")],
        Reply::Integer(number) => vec![format!("(integer) {number}")],
        Reply::Bulk(bytes) => vec![quoted(bytes)],
        Reply::Verbatim { text, .. } => vec![quoted(text)],
        Reply::Null | Reply::NullArray => vec!["(nil)".to_owned()],
        Reply::Bool(value) => vec![format!("({value})")],
        Reply::Double(value) => vec![format!("(double) {}", format_f64(*value))],
        Reply::BigNumber(digits) => {
            vec![format!("(big number) {}", String::from_utf8_lossy(digits))]
        }
        Reply::Array(items) => sequence(items, ')', "(empty array)"),
        Reply::Set(items) => sequence(items, '~', "(empty set)"),
        Reply::Push(items) => sequence(items, ')', "(empty push)"),
        Reply::Map(pairs) | Reply::Pairs(pairs) => map(pairs),
        Reply::Attribute { reply, .. } => render(reply),
    }
}

/// A reply with the elements of every aggregate in one order, whatever it was.
pub fn ordered(reply: Reply) -> Reply {
    match reply {
        Reply::Array(items) => Reply::Array(sorted(items)),
        Reply::Set(items) => Reply::Set(sorted(items)),
        Reply::Map(mut pairs) => {
            pairs.sort_by_key(|(key, _)| render(key));
            Reply::Map(pairs)
        }
        other => other,
    }
}

fn sorted(items: Vec<Reply>) -> Vec<Reply> {
    let mut items: Vec<Reply> = items.into_iter().map(ordered).collect();
    items.sort_by_key(render);
    items
}

fn sequence(items: &[Reply], separator: char, empty: &str) -> Vec<String> {
    let items: Vec<_> = items.iter().map(render).collect();
    numbered(items, separator, empty)
}

fn map(pairs: &[(Reply, Reply)]) -> Vec<String> {
    let items = pairs.iter().map(|(key, value)| {
        let mut lines = render(key);
        let mut value = render(value).into_iter();
        let last = lines.last_mut().expect("a reply has a line");
        last.push_str(" => ");
        last.push_str(&value.next().expect("a reply has a line"));
        lines.extend(value);
        lines
    });
    numbered(items.collect(), '#', "(empty hash)")
}

/// Numbers as wide as the last one; further lines of an element are indented by as much.
fn numbered(items: Vec<Vec<String>>, separator: char, empty: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![empty.to_owned()];
    }
    let width = items.len().to_string().len();
    let indent = " ".repeat(width + 2);
    let mut lines = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        for (line_index, line) in item.into_iter().enumerate() {
            let number = index + 1;
            lines.push(match line_index {
                0 => format!("{number:>width$}{separator} {line}"),
                _ => format!("{indent}{line}"),
            });
        }
    }
    lines
}

/// In double quotes, with what is not printable escaped.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
    text
}
