//! One cell on its way from an engine to a reply. Pure.

/// Integers up to this magnitude survive a reader whose only number is a double.
pub const MAX_SAFE_INTEGER: i64 = 1 << 53;

/// A cell as an engine hands it over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    /// A number when it fits a double's integers exactly, its digits as a string otherwise.
    Integer(i64),
    /// Text of a floating-point number as the database spells it; `NaN` and infinities become strings.
    Float(&'a str),
    /// Everything else by its exact text. `full_bytes` is the length of the whole text, which may be longer than
    /// `text` when the engine has cut it already.
    Text {
        text: &'a str,
        full_bytes: usize,
    },
    /// The text of a number kept as a string: exact digits, never cut.
    Digits(&'a str),
}

impl<'a> Cell<'a> {
    /// A whole text.
    pub fn text(text: &'a str) -> Self {
        Cell::Text { text, full_bytes: text.len() }
    }
}

/// Cuts at the last character boundary that keeps at most `limit` bytes.
pub fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// Whether a float's text is also a JSON number.
pub fn is_json_number(text: &str) -> bool {
    !matches!(text, "NaN" | "Infinity" | "-Infinity" | "inf" | "-inf")
}

/// Appends `text` as a JSON string.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: &str = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(text.get(plain_from..at).unwrap_or_default());
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            out.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        } else {
            out.push_str(escape);
        }
        plain_from = at + 1;
    }
    out.push_str(text.get(plain_from..).unwrap_or_default());
    out.push('"');
}

/// Bytes that `push_json_string` adds for `text`, without its quotes.
pub fn json_escaped_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_escape_as_serde_does() {
        for text in ["", "plain", "a\"b\\c\n\r\t\u{1}\u{1f}é\u{7f}東"] {
            let mut ours = String::new();
            push_json_string(&mut ours, text);
            assert_eq!(serde_json::from_str::<String>(&ours).unwrap(), text);
            assert_eq!(ours.len(), json_escaped_len(text) + 2);
        }
    }

    #[test]
    fn a_cut_keeps_whole_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("abc", 10), "abc");
    }
}
