//! A reader of markup that forgives nothing, for tests: XML without comments, and HTML as far as it
//! is written like XML.

/// An element as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub tag: String,
    /// Unescaped.
    pub attributes: Vec<(String, String)>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.attribute("class").split_whitespace()
    }

    /// Column, top and height of a box.
    pub fn style(&self) -> [String; 3] {
        let parts = self.attribute("style").split(';');
        let values = parts.filter_map(|part| part.split(':').nth(1));
        let mut values = values.map(|value| value.trim_end_matches("px").to_string());
        std::array::from_fn(|_| values.next().unwrap_or_default())
    }
}

/// All elements of a document, or what is wrong with it.
pub fn elements(text: &str) -> Result<Vec<Element>, String> {
    let text = text.strip_prefix("<!DOCTYPE html>\n").unwrap_or(text);
    let (mut elements, mut open, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some(at) = rest.find('<') {
        unescape(&rest[..at])?;
        let end = rest[at..].find('>').ok_or("an open tag")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(closed) = tag.strip_prefix('/') {
            let expected: Option<String> = open.pop();
            (expected.as_deref() == Some(closed)).then_some(()).ok_or(format!("</{closed}>"))?;
            continue;
        }
        let element = element(tag.trim_end_matches('/'))?;
        if !tag.ends_with('/') && element.tag != "meta" {
            open.push(element.tag.clone());
        }
        elements.push(element);
    }
    if !open.is_empty() || !rest.trim().is_empty() {
        return Err(format!("open at the end: {open:?} {rest:?}"));
    }
    Ok(elements)
}

fn element(text: &str) -> Result<Element, String> {
    let (tag, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.trim().is_empty() {
        let (key, after) = rest.trim_start().split_once("=\"").ok_or(format!("<{text}>"))?;
        let (value, after) = after.split_once('"').ok_or(format!("<{text}>"))?;
        if attributes.iter().any(|(other, _)| other == key) {
            return Err(format!("{key} twice in <{text}>"));
        }
        attributes.push((key.to_string(), unescape(value)?));
        rest = after;
    }
    let plain = !tag.is_empty() && tag.chars().all(char::is_alphanumeric);
    plain.then(|| Element { tag: tag.to_string(), attributes }).ok_or(format!("<{text}>"))
}

fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('&') && !text.contains(|it: char| it.is_control() && it != '\n') {
        return Ok(text.to_string());
    }
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#10;", "\n")];
    let mut plain = text.to_string();
    known.iter().for_each(|(escaped, it)| plain = plain.replace(escaped, it));
    let stray = plain.replace("&amp;", "").contains('&');
    let odd = text.chars().any(|it| it.is_control() && it != '\n' || it == '\u{fffe}');
    match stray || odd {
        true => Err(format!("not escaped: {text:?}")),
        false => Ok(plain.replace("&amp;", "&")),
    }
}
