//! Bounds on a statement's tokens. They are checked before anything whose time or memory grows faster than the text.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Rejection;
use crate::limits::Limits;

/// Checks all bounds.
///
/// # Errors
///
/// [`Rejection::TooManyTokens`], [`Rejection::ManyCtes`] or [`Rejection::TooDeep`], with the bound.
pub(super) fn check(tokens: &[TokenWithSpan], limits: &Limits) -> Result<(), Rejection> {
    let meaningful = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    if meaningful.count() > limits.max_sql_tokens {
        return Err(Rejection::TooManyTokens { limit: limits.max_sql_tokens });
    }
    if definitions(tokens) > MAX_CTES {
        return Err(Rejection::ManyCtes { limit: MAX_CTES });
    }
    let bounds = [(longest_run(tokens), MAX_RUN), (nesting(tokens), MAX_COSTLY_NESTING)];
    match bounds.into_iter().find(|(found, limit)| found > limit) {
        Some((_, limit)) => Err(Rejection::TooDeep { limit }),
        None => Ok(()),
    }
}

pub(super) fn is_word(token: &TokenWithSpan, name: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// Nesting depth of POSITION and of ROW that is accepted. The parser's time doubles with each POSITION inside of another
/// one, and the text of a row in rows doubles its quotes.
const MAX_COSTLY_NESTING: usize = 8;

/// Parts of a name with dots, and repetitions of one word, that are accepted. Both readers walk back over them from each
/// part.
const MAX_RUN: usize = 60;

/// Common table expressions, and other `AS (`, that are accepted. The planner of PostgreSQL descends into a chain of them, and
/// does not heed a cancel while it does.
const MAX_CTES: usize = 100;

/// How often AS, or AS MATERIALIZED, stands before a parenthesis.
fn definitions(tokens: &[TokenWithSpan]) -> usize {
    let meaningful: Vec<_> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let opens = |pair: &&[&TokenWithSpan]| match pair {
        [word, open] => open.token == Token::LParen && (is_word(word, "as") || is_word(word, "materialized")),
        _ => false,
    };
    meaningful.windows(2).filter(opens).count()
}

/// The longest chain of names with dots, or of the same word again and again.
fn longest_run(tokens: &[TokenWithSpan]) -> usize {
    let meaningful = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let (mut longest, mut dots, mut same) = (0, 0, 0);
    let mut before: Option<&Token> = None;
    for token in meaningful.map(|token| &token.token) {
        match token {
            Token::Period => dots += 1,
            Token::Word(_) if before == Some(&Token::Period) => {}
            _ => dots = 0,
        }
        let repeats = match (before, token) {
            (Some(Token::Word(before)), Token::Word(word)) => before.value.eq_ignore_ascii_case(&word.value),
            _ => false,
        };
        same = if repeats { same + 1 } else { 0 };
        longest = longest.max(dots).max(same);
        before = Some(token);
    }
    longest
}

/// How deep one POSITION or ROW stands in another one at most.
fn nesting(tokens: &[TokenWithSpan]) -> usize {
    let (mut open, mut deepest, mut depth) = (Vec::new(), 0_usize, 0_usize);
    let mut is_costly = false;
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        match token.token {
            Token::LParen => {
                open.push(is_costly);
                depth += usize::from(is_costly);
                deepest = deepest.max(depth);
            }
            Token::RParen => depth -= usize::from(open.pop().unwrap_or_default()),
            _ => {}
        }
        is_costly = is_word(token, "position") || is_word(token, "row");
    }
    deepest
}
