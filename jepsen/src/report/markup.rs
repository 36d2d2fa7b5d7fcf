//! Text of SVG and HTML: elements whose attributes and contents are escaped.
//!
//! Invariant: what comes out is well formed. Every opened element is closed, in order, and nothing
//! but this module writes a `<`.

use std::fmt::{Display, Write};

/// Attributes of an element, in the order in which they are written.
pub type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

/// A document, or a part of one, that grows at its end.
#[derive(Default)]
pub struct Markup {
    text: String,
    open: Vec<&'static str>,
}

impl Markup {
    /// Opens an element; what follows is inside it.
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes, ">\n");
        self.open.push(tag);
    }

    /// Closes the element that was opened last.
    pub fn close(&mut self) {
        let tag = self.open.pop().expect("an element is open");
        let _ = writeln!(self.text, "</{tag}>");
    }

    /// An element without content; for SVG only, since HTML knows no `<div/>`.
    pub fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes, "/>\n");
    }

    /// An element that holds nothing but text.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, content: &str) {
        self.tag(tag, attributes, ">");
        self.text.push_str(&escape(content));
        let _ = writeln!(self.text, "</{tag}>");
    }

    /// An SVG element that a reader may point at to see `title`.
    pub fn titled(&mut self, tag: &'static str, attributes: Attributes<'_>, title: &str) {
        self.tag(tag, attributes, "><title>");
        self.text.push_str(&escape(title));
        let _ = writeln!(self.text, "</title></{tag}>");
    }

    /// What is written already and well formed: a style sheet of ours, or another `Markup`'s text.
    pub fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The whole text, every element closed.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn tag(&mut self, tag: &str, attributes: Attributes<'_>, end: &str) {
        let _ = write!(self.text, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"{}\"", escape(&value.to_string()));
        }
        self.text.push_str(end);
    }
}

/// A length or place in pixels, to a tenth.
#[derive(Debug, Clone, Copy)]
pub struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round();
        // No "-0", which two machines might disagree on.
        let tenths = if tenths == 0.0 { 0.0 } else { tenths };
        write!(f, "{}", tenths / 10.0)
    }
}

/// `text` with nothing left that XML or HTML would take for its own, in an attribute or outside.
///
/// Characters that XML cannot hold at all become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// `text` in at most `max` characters: its head and its tail, since both tell something of a list.
pub fn shorten(text: &str, max: usize) -> String {
    let length = text.chars().count();
    if length <= max {
        return text.to_string();
    }
    let (head, tail) = (max * 2 / 3, max.saturating_sub(max * 2 / 3 + 1));
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_text_becomes_markup() {
        let mut markup = Markup::default();
        markup.open("a", &[("b", &"\"><script>&")]);
        markup.element("c", &[], "</c>\u{0}\u{1b}'\n");
        assert_eq!(
            markup.finish(),
            "<a b=\"&quot;&gt;&lt;script&gt;&amp;\">\n<c>&lt;/c&gt;\u{fffd}\u{fffd}&#39;&#10;</c>\n</a>\n"
        );
    }

    #[test]
    fn places_are_short() {
        let written: Vec<String> =
            [0.0, -0.01, 12.0, 12.34, 12.35, -3.06].iter().map(|at| Px(*at).to_string()).collect();
        assert_eq!(written, ["0", "0", "12", "12.3", "12.4", "-3.1"]);
    }

    #[test]
    fn what_is_shortened_keeps_both_ends() {
        assert_eq!(shorten("12345", 5), "12345");
        assert_eq!(shorten("[1 2 3 4 5 6 7]", 9), "[1 2 3… 7]".replace("3… 7", "3…7").as_str());
        assert_eq!(shorten("äöüäöüäöü", 4).chars().count(), 4);
    }
}
