//! The conversion of one cell from an engine into a reply. Pure.

/// Integers up to this magnitude are exact for a reader that stores numbers as doubles.
pub const MAX_SAFE_INTEGER: i64 = 1 << 53;

/// A cell as an engine returns it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    /// Becomes a JSON number up to [`MAX_SAFE_INTEGER`], and a string of its digits beyond it.
    Integer(i64),
    /// Text of a floating-point number as the database writes it. `NaN` and infinities become strings.
    Float(&'a str),
    /// The text of any other value. `full_bytes` is the length of the whole text, which is longer than `text` if the
    /// engine has cut it.
    Text {
        text: &'a str,
        full_bytes: usize,
    },
    /// The exact digits of a number. They become a string and are never cut.
    Digits(&'a str),
}

impl<'a> Cell<'a> {
    /// Makes a cell of a text that was not cut.
    pub fn text(text: &'a str) -> Self {
        Cell::Text { text, full_bytes: text.len() }
    }
}

/// Cuts a text to at most `limit` bytes, at a character boundary.
pub fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// True if the text is a number in the form that JSON wants (RFC 8259, section 6). `NaN` is none, and no other text is.
pub fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
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

/// Returns the bytes that `push_json_string` adds for `text`, without its quotes.
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
    fn only_numbers_of_json_are_numbers() {
        for text in ["0", "-0", "1.5", "-12.25", "1e20", "1E+3", "5e-324", "1.5e-7"] {
            assert!(is_json_number(text) && serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in ["", "-", "NaN", "Infinity", "-inf", "1,\"a\":2", "1\n2", "01", "1.", ".5", "1e", "0x1", " 1", "1 "]
        {
            assert!(!is_json_number(text), "{text:?}");
        }
    }

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
