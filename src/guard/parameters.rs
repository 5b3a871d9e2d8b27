//! Parameters of a statement that is only planned: `$1`. Pure.
//!
//! A parameter has no type of its own, and neither has a text. So the guard and the look-up of names judge the statement
//! with the text `'$1'` in the place of each parameter, and the engine puts the parameters back before it asks for the
//! plan.

use super::lexer::{Kind, lexemes};
use crate::dialect::Dialect;

/// The statement with a text in the place of each parameter. `None` if it has no parameter, or such a text already.
pub(super) fn as_texts(sql: &str) -> Option<String> {
    let lexemes = lexemes(sql, Dialect::Postgresql)?;
    let mut text = String::with_capacity(sql.len() + 16);
    let (mut from, mut found) = (0, false);
    for pair in lexemes.windows(2) {
        let [mark, number] = pair else { continue };
        let dollar = sql.get(mark.range.clone())?;
        let digits = sql.get(number.range.clone())?;
        if mark.kind == Kind::String && parameter(dollar).is_some() {
            return None;
        }
        let touches = number.kind == Kind::Number && mark.range.end == number.range.start;
        if mark.kind == Kind::Unreadable && dollar == "$" && touches && is_number(digits) {
            text.push_str(sql.get(from..mark.range.start)?);
            text.push_str(&format!("'${digits}'"));
            (from, found) = (number.range.end, true);
        }
    }
    if lexemes.last().is_some_and(|last| sql.get(last.range.clone()).is_some_and(|text| parameter(text).is_some())) {
        return None;
    }
    text.push_str(sql.get(from..)?);
    found.then_some(text)
}

/// The statement with its parameters, from the statement with texts. Schemas may have been added to names meanwhile.
pub(super) fn restored(sql: &str) -> Option<String> {
    let mut text = String::with_capacity(sql.len());
    let mut from = 0;
    for lexeme in lexemes(sql, Dialect::Postgresql)?.iter().filter(|lexeme| lexeme.kind == Kind::String) {
        if let Some(parameter) = parameter(sql.get(lexeme.range.clone())?) {
            text.push_str(sql.get(from..lexeme.range.start)?);
            text.push_str(parameter);
            from = lexeme.range.end;
        }
    }
    text.push_str(sql.get(from..)?);
    Some(text)
}

/// The parameter that a text stands for.
fn parameter(literal: &str) -> Option<&str> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    is_number(inner.strip_prefix('$')?).then_some(inner)
}

/// Whether the digits can be the number of a parameter.
fn is_number(digits: &str) -> bool {
    digits.len() <= 5 && digits.parse::<u16>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::{as_texts, restored};

    #[test]
    fn parameters_become_texts_and_come_back() {
        for (sql, texts) in [
            ("SELECT $1", "SELECT '$1'"),
            (
                "SELECT * FROM t WHERE a = $1 AND b > $22 LIMIT $3",
                "SELECT * FROM t WHERE a = '$1' AND b > '$22' LIMIT '$3'",
            ),
            ("SELECT $1::int+$2", "SELECT '$1'::int+'$2'"),
            ("SELECT '$x', $$ $1 $$, $1", "SELECT '$x', $$ $1 $$, '$1'"),
        ] {
            assert_eq!(as_texts(sql).as_deref(), Some(texts), "{sql}");
            assert_eq!(restored(texts).as_deref(), Some(sql), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT '$1', $1",
            "SELECT $1, '$1'",
            "SELECT $0",
            "SELECT $70000",
            "SELECT $ 1",
            "SELECT $1.5",
        ] {
            assert_eq!(as_texts(sql), None, "{sql}");
        }
    }
}
