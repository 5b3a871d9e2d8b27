//! Splits a question, or the name of a table or column, into words and their stems.
//!
//! Knows nothing of schemas or of meaning.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use time::{Date, Month};

/// The kind of a token, before its meaning is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Word,
    Number(f64),
    Date(Date),
    Quoted,
    Comma,
    /// End of a sentence.
    End,
    /// The `'s` of "owner's name".
    Possessive,
    /// A sign such as `%` or `+` that has a meaning the engine does not read.
    Sign,
}

/// One token: as written, in lower case, and its stem.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub text: String,
    pub low: String,
    pub stem: String,
    pub kind: TokenKind,
}

impl Token {
    fn new(text: String, kind: TokenKind, stems: &Stems) -> Self {
        let low = text.to_lowercase();
        let stem = if kind == TokenKind::Word { stems.of(&low) } else { low.clone() };
        Self { text, low, stem, kind }
    }

    /// Tells whether the word starts with a capital, as names do.
    pub fn capital(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }
}

/// The English stemmer with the irregular plurals that names of tables use.
pub(super) struct Stems {
    stemmer: Stemmer,
    /// Stems of words seen before. Names of columns repeat the same words.
    known: RefCell<HashMap<String, String>>,
}

impl Stems {
    pub fn new() -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English), known: RefCell::default() }
    }

    /// Returns the stem of a word in lower case.
    pub fn of(&self, low: &str) -> String {
        if let Some(known) = self.known.borrow().get(low) {
            return known.clone();
        }
        let stem = self.stem(low);
        self.known.borrow_mut().insert(low.to_owned(), stem.clone());
        stem
    }

    fn stem(&self, low: &str) -> String {
        let regular = match low {
            "people" | "persons" => "person",
            "children" => "child",
            "men" => "man",
            "women" => "woman",
            "mice" => "mouse",
            "feet" => "foot",
            "wives" => "wife",
            "wrote" | "written" | "writes" | "writing" => "write",
            "taught" => "teach",
            "bought" => "buy",
            "sold" => "sell",
            "won" => "win",
            "led" => "lead",
            "held" => "hold",
            "built" => "build",
            "flew" | "flown" => "fly",
            "sung" | "sang" => "sing",
            "statuses" => "status",
            "e-mail" | "e-mails" | "emails" => "email",
            other => spelled_out(other),
        };
        self.stemmer.stem(regular).into_owned()
    }
}

/// Splits a question into tokens. Anything but letters, digits and the marks of [`TokenKind`] separates.
pub(super) fn tokens(question: &str, stems: &Stems) -> Vec<Token> {
    // A text in two pairs of quotes.
    let question = question.replace("\"\"", "\"");
    let chars: Vec<char> = question.chars().map(plain).collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let mut out = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '"' || c == '\'' {
            let after_word = i > 0 && at(i - 1).is_alphanumeric();
            if after_word && c == '\'' {
                if at(i + 1) == 's' && !at(i + 2).is_alphanumeric() {
                    out.push(Token::new("'s".to_owned(), TokenKind::Possessive, stems));
                    i += 2;
                } else if !at(i + 1).is_alphanumeric() {
                    out.push(Token::new("'".to_owned(), TokenKind::Possessive, stems));
                    i += 1;
                } else {
                    out.push(Token::new("'".to_owned(), TokenKind::Sign, stems));
                    i += 1;
                }
                continue;
            }
            if let Some(end) = closing(&chars, i, c) {
                let inner: String = chars.iter().take(end).skip(i + 1).collect();
                out.push(Token::new(inner, TokenKind::Quoted, stems));
                i = end + 1;
                continue;
            }
            i += 1;
        } else if c.is_numeric() || (c == '-' && at(i + 1).is_ascii_digit() && !at(i.wrapping_sub(1)).is_alphanumeric())
        {
            let start = i;
            i += 1;
            while at(i).is_alphanumeric()
                || ((at(i) == '.' || at(i) == ',' || at(i) == '-' || at(i) == ':') && at(i + 1).is_ascii_digit())
            {
                i += 1;
            }
            let text: String = chars.iter().take(i).skip(start).collect();
            out.push(numeric(text, stems));
        } else if c.is_alphabetic() {
            let start = i;
            // "haven't" is one word.
            let ends_denial =
                |i: usize| at(i) == '\'' && at(i - 1) == 'n' && at(i + 1) == 't' && !at(i + 2).is_alphanumeric();
            // "PM2.5" is one word too.
            let is_version = |i: usize| at(i) == '.' && at(i - 1).is_ascii_digit() && at(i + 1).is_ascii_digit();
            while at(i).is_alphanumeric()
                || at(i) == '_'
                || (at(i) == '-' && at(i + 1).is_alphabetic())
                || ends_denial(i)
                || is_version(i)
            {
                i += 1;
            }
            // "No. 3" denies nothing.
            let is_number = at(i) == '.' && at(i + 1) == ' ' && at(i + 2).is_ascii_digit();
            if is_number && i - start == 2 && chars.get(start..i).is_some_and(|word| matches!(word, ['n' | 'N', 'o'])) {
                i += 1;
            }
            let text: String = chars.iter().take(i).skip(start).collect();
            let low = text.to_lowercase();
            if text.contains('-') && low != "e-mail" && low != "e-mails" {
                for part in text.split('-').filter(|part| !part.is_empty()) {
                    out.push(Token::new(part.to_owned(), TokenKind::Word, stems));
                }
            } else if text.contains('_') {
                for part in text.split('_').filter(|part| !part.is_empty()) {
                    out.push(Token::new(part.to_owned(), TokenKind::Word, stems));
                }
            } else {
                out.push(Token::new(text, TokenKind::Word, stems));
            }
        } else {
            let kind = match c {
                ',' => Some(TokenKind::Comma),
                '.' | '?' | '!' | ';' | ':' | '\n' => Some(TokenKind::End),
                c if c.is_whitespace() || "()[]{}`$€£-/".contains(c) => None,
                _ => Some(TokenKind::Sign),
            };
            if let Some(kind) = kind {
                out.push(Token::new(c.to_string(), kind, stems));
            }
            i += 1;
        }
    }
    multiplied(&mut out);
    first_names(&mut out, stems);
    out
}

/// "3 million" is one number.
fn multiplied(tokens: &mut Vec<Token>) {
    for at in (1..tokens.len()).rev() {
        let factor = match tokens.get(at).map(|token| token.low.as_str()) {
            Some("thousand") => 1e3,
            Some("million" | "millions") => 1e6,
            Some("billion" | "billions") => 1e9,
            _ => continue,
        };
        let Some(before) = tokens.get_mut(at - 1) else { continue };
        let TokenKind::Number(number) = before.kind else { continue };
        before.kind = TokenKind::Number(number * factor);
        tokens.remove(at);
    }
}

/// "First and last name" are two names.
fn first_names(tokens: &mut Vec<Token>, stems: &Stems) {
    let is_said = |words: &[Token]| {
        let said: Vec<&str> = words.iter().map(|token| token.low.as_str()).collect();
        matches!(said.as_slice(), ["first", "and", "last", "name" | "names"])
    };
    if let Some(at) = tokens.windows(4).position(is_said) {
        tokens.insert(at + 1, Token::new("name".to_owned(), TokenKind::Word, stems));
    }
}

/// Typographic quotes become plain ones.
fn plain(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => '"',
        c => c,
    }
}

fn closing(chars: &[char], open: usize, mark: char) -> Option<usize> {
    let mut rest = chars.iter().enumerate().skip(open + 1).take(200);
    rest.find(|&(i, &c)| c == mark && !chars.get(i + 1).is_some_and(|n| n.is_alphanumeric())).map(|(i, _)| i)
}

fn numeric(text: String, stems: &Stems) -> Token {
    if let Some(date) = iso_date(&text) {
        return Token::new(text, TokenKind::Date(date), stems);
    }
    let grouped = text.split(',').skip(1).all(|part| part.split('.').next().is_some_and(|p| p.len() == 3));
    let digits = text.replace(',', "");
    let plain_number = digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    match digits.parse::<f64>() {
        Ok(number) if grouped && plain_number && number.is_finite() => {
            Token::new(digits, TokenKind::Number(number), stems)
        }
        _ => Token::new(text, TokenKind::Word, stems),
    }
}

/// Words that neither begin nor end a name in a question.
pub(super) fn is_loose(low: &str) -> bool {
    matches!(low, "of" | "the" | "in" | "for" | "at" | "on" | "and" | "is" | "are" | "with" | "or" | "has" | "a")
}

/// Words of column names that a question leaves out: "email" for `email_address`.
pub(super) fn is_left_out(stem: &str) -> bool {
    matches!(
        stem,
        "id" | "code"
            | "number"
            | "no"
            | "num"
            | "yn"
            | "flag"
            | "is"
            | "has"
            | "at"
            | "on"
            | "text"
            | "date"
            | "address"
            | "tbl"
            | "list"
            | "of"
            | "in"
            | "the"
            | "amount"
            | "quantiti"
            | "percent"
    )
}

/// The words of a value, so that marks do not matter.
pub(super) fn words_of(low: &str) -> String {
    low.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Reads `YYYY-MM-DD`.
pub(super) fn iso_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

/// The usual abbreviations in names of columns, and other spellings. Each word has its whole form.
static WHOLE_WORDS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let lines = include_str!("words.txt").lines().filter_map(|line| line.strip_prefix("short ")?.split_once(": "));
    lines.flat_map(|(whole, short)| short.split(", ").map(move |short| (short, whole))).collect()
});

fn spelled_out(word: &str) -> &str {
    WHOLE_WORDS.get(word).copied().unwrap_or(word)
}

/// True if a word of a name may stand for a longer word: its beginning, or its first letter and consonants (`crs` for
/// "course"). Both are in lower case.
pub(super) fn abbreviates(short: &str, long: &str) -> bool {
    if !(2..=5).contains(&short.len()) || long.len() < short.len() + 2 || !short.is_ascii() {
        return false;
    }
    let mut rest = long.chars();
    let is_skeleton = short.chars().enumerate().all(|(at, letter)| {
        (at == 0 || !"aeiou".contains(letter))
            && if at == 0 { rest.next() == Some(letter) } else { rest.any(|c| c == letter) }
    });
    long.starts_with(short) || is_skeleton
}

/// Splits the name of a table or column into words in lower case: `songName_2` gives `song`, `name`, `2`. Usual
/// abbreviations are spelled out.
pub(super) fn name_words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let hump = before.is_lowercase() && c.is_uppercase() || before.is_alphabetic() && c.is_numeric();
        if (hump || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    // The "no" of `serial_no`.
    let count = words.len();
    if let Some(last) = words.last_mut().filter(|last| count > 1 && *last == "no") {
        *last = "number".to_owned();
    }
    words.iter().flat_map(|word| spelled_out(word).split(' ')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(question: &str) -> Vec<String> {
        tokens(question, &Stems::new()).into_iter().map(|token| token.low).collect()
    }

    #[test]
    fn splits_quotes_possessives_and_numbers() {
        assert_eq!(
            words("Owner's name over 1,000 in 'New York'?"),
            ["owner", "'s", "name", "over", "1000", "in", "new york", "?"]
        );
        assert_eq!(words("since 2026-10-01, e-mail"), ["since", "2026-10-01", ",", "e-mail"]);
    }

    #[test]
    fn survives_odd_input() {
        for text in ["", "'", "''", "\"", "-", "1,", "½", "\u{0}\u{200d}", "a'b", "-5", "🦀🦀", "१२३", "x'"]
        {
            let _ = words(text);
        }
    }

    #[test]
    fn splits_names() {
        assert_eq!(name_words("Song_release_year"), ["song", "release", "year"]);
        assert_eq!(name_words("orderItems2"), ["order", "items", "2"]);
    }
}
