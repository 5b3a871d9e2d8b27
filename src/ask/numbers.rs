//! Finds numbers in the model's words that the sources do not explain. The sources are the results, the question, the
//! statement, the assumptions, today's date, and values computed in one step from a complete result. Pure.

use serde_json::Value;

/// Maximum number of numbers that are reported.
const MOST_FOREIGN: usize = 10;
/// Maximum values of a column that are compared in pairs, and maximum rows whose values are. The number of pairs grows
/// with the square.
const MOST_COMPARED: usize = 20;
/// Maximum numbers kept from earlier results.
pub(super) const MOST_EARLIER: usize = 2_000;
/// Number words, from two on. "One" is left out, because it is often not meant as a number.
const WORDS: [&str; 11] = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// The sources of the model's numbers.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub rows: &'a [Value],
    pub row_count: u64,
    /// The number of all rows of the statement, if the result does not have them all and they were counted.
    pub total: Option<u64>,
    /// Whether `rows` are all rows of the result. If not, no sums, shares or differences are computed.
    pub is_complete: bool,
    /// Question, reading, statement, assumptions, today's date.
    pub texts: &'a [&'a str],
    /// Numbers of earlier results of the same question.
    pub earlier: &'a [f64],
}

/// Returns the numbers in `words` that the sources do not explain. A number in `words` may be rounded.
pub(super) fn foreign(words: &str, sources: &Sources<'_>) -> Vec<String> {
    let (known, ratios) = known(sources);
    let low = words.to_lowercase();
    let is_share = words.contains('%') || low.contains("percent");
    let is_multiple = low.contains("times") || low.contains("fold");
    let stands = |(value, decimals): &(f64, usize)| {
        // Rounding changes a number by at most half a unit of the last digit.
        let half = 0.5 * 10f64.powi(-i32::try_from(*decimals).unwrap_or(0)) + 1e-9;
        let near =
            |known: &[f64], factor: f64| known.iter().any(|number| (number.abs() * factor - value).abs() <= half);
        near(&known, 1.0)
            || is_share && (near(&known, 100.0) || near(&ratios, 100.0))
            || is_multiple && near(&ratios, 1.0)
    };
    let mut foreign: Vec<String> = Vec::new();
    for number in numbers(words) {
        if foreign.len() >= MOST_FOREIGN {
            break;
        }
        // `1.` and `#1` are positions in a list.
        let is_place = number.is_place
            && readings(&number.text).iter().any(|(value, _)| *value >= 1.0 && *value <= sources.row_count as f64);
        let parts: Vec<&str> = number.text.split(is_separator).collect();
        let is_list = parts.len() > 2 && parts.iter().all(|part| readings(part).iter().any(stands));
        let is_known = is_place || is_list || readings(&number.text).iter().any(stands);
        if !is_known && !foreign.contains(&number.text) {
            foreign.push(number.text);
        }
    }
    for (word, value) in number_words(words) {
        if !stands(&(value, 0)) && foreign.len() < MOST_FOREIGN && !foreign.iter().any(|known| known == word) {
            foreign.push(word.to_owned());
        }
    }
    foreign
}

/// Returns the sentences whose numbers the sources explain. Empty if there is no such sentence.
pub(super) fn explained_sentences(words: &str, sources: &Sources<'_>) -> String {
    let kept = sentences(words).into_iter().filter(|sentence| foreign(sentence, sources).is_empty());
    kept.collect::<Vec<_>>().join(" ")
}

/// The numbers of a result. They are kept because the summary may state numbers of earlier results.
pub(super) fn of_rows(rows: &[Value]) -> Vec<f64> {
    let mut found: Vec<f64> = rows.iter().filter_map(Value::as_array).flatten().flat_map(cell_numbers).collect();
    found.push(rows.len() as f64);
    found.truncate(MOST_EARLIER);
    found
}

/// The numbers that may be stated, and the ratios that may be stated as a share or a multiple.
fn known(sources: &Sources<'_>) -> (Vec<f64>, Vec<f64>) {
    let Sources { rows, row_count, total, is_complete, texts, earlier } = sources;
    let mut known: Vec<f64> = vec![*row_count as f64];
    known.extend(total.map(|total| total as f64));
    known.extend(*earlier);
    known.extend(rows.iter().filter_map(Value::as_array).flatten().flat_map(cell_numbers));
    for text in *texts {
        known.extend(numbers(text).iter().flat_map(|number| readings(&number.text)).map(|(value, _)| value));
        known.extend(number_words(text).map(|(_, value)| value));
        known.extend(days_before(text));
    }
    let width = rows.first().and_then(Value::as_array).map_or(0, Vec::len);
    known.push(width as f64);
    let mut ratios: Vec<f64> = Vec::new();
    if !is_complete {
        return (known, ratios);
    }
    for column in 0..width {
        let values: Vec<f64> = rows.iter().filter_map(|row| number_of(row.get(column)?)).collect();
        if values.len() < 2 {
            continue;
        }
        let sum: f64 = values.iter().sum();
        known.extend([sum, sum / values.len() as f64]);
        if sum != 0.0 {
            ratios.extend(values.iter().map(|value| value / sum));
        }
        for (at, value) in values.iter().enumerate().take(MOST_COMPARED) {
            for other in values.iter().take(MOST_COMPARED).skip(at + 1) {
                known.push(value - other);
                for (part, whole) in [(value, other), (other, value)] {
                    if *whole != 0.0 {
                        ratios.extend([part / whole, (part - whole) / whole]);
                    }
                }
            }
        }
    }
    // Two numbers of one row give a share, a sum and a difference. If 30 of 40 are sold, the model may state 75 % and
    // 10.
    for row in rows.iter().filter_map(Value::as_array).take(MOST_COMPARED) {
        let values: Vec<f64> = row.iter().filter_map(number_of).collect();
        for (at, value) in values.iter().enumerate().take(8) {
            for (_, other) in values.iter().enumerate().take(8).filter(|(place, _)| *place != at) {
                known.extend([value - other, value + other]);
                if *other != 0.0 {
                    ratios.extend([value / other, (value - other) / other]);
                }
            }
        }
    }
    (known, ratios)
}

/// The cell as a number, also from text.
fn number_of(cell: &Value) -> Option<f64> {
    match cell {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// The numbers that a cell contains.
fn cell_numbers(cell: &Value) -> Vec<f64> {
    match cell {
        Value::Number(number) => number.as_f64().into_iter().collect(),
        Value::String(text) => {
            numbers(text).iter().flat_map(|number| readings(&number.text)).map(|(value, _)| value).collect()
        }
        _ => Vec::new(),
    }
}

/// Day, month and year of the day before each date in a text: a period that ends before March 1 ends on February 28.
fn days_before(text: &str) -> Vec<f64> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let places = text.char_indices().filter(|(_, c)| c.is_ascii_digit());
    let dates = places.filter_map(|(at, _)| time::Date::parse(text.get(at..at + 10)?, format).ok());
    dates
        .filter_map(time::Date::previous_day)
        .flat_map(|day| [f64::from(day.day()), f64::from(u8::from(day.month())), f64::from(day.year())])
        .collect()
}

fn number_words(text: &str) -> impl Iterator<Item = (&'static str, f64)> + '_ {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.filter_map(|word| {
        let at = WORDS.iter().position(|known| known.eq_ignore_ascii_case(word))?;
        Some((*WORDS.get(at)?, at as f64 + 2.0))
    })
}

fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    for (n, (at, character)) in characters.iter().enumerate() {
        let next = characters.get(n + 1).map_or(' ', |(_, next)| *next);
        // The point of `1. Bern` ends no sentence.
        let is_number = |text: &str| text.trim().chars().all(|c| c.is_ascii_digit());
        let is_end =
            matches!(character, '!' | '?') || *character == '.' && !is_number(text.get(start..*at).unwrap_or_default());
        if *character == '\n' || is_end && next.is_whitespace() {
            let end = at + character.len_utf8();
            found.push(text.get(start..end).unwrap_or_default().trim());
            start = end;
        }
    }
    found.push(text.get(start..).unwrap_or_default().trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

fn is_separator(character: char) -> bool {
    matches!(character, '.' | ',' | '\'' | '’' | '\u{a0}' | '\u{202f}')
}

/// Returns the possible values of a run of digits and separators, each with its number of decimals. There may be two,
/// because the meaning of a separator depends on the language: `1.234` is 1234 in German, and 1 and a fraction in
/// English.
fn readings(run: &str) -> Vec<(f64, usize)> {
    let digits: String = run.chars().filter(char::is_ascii_digit).collect();
    let mut found: Vec<(f64, usize)> = digits.parse().ok().map(|value| (value, 0)).into_iter().collect();
    if let Some(at) = run.rfind(['.', ',']) {
        let (whole, part) = run.split_at(at);
        let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
        let part: String = part.chars().filter(char::is_ascii_digit).collect();
        found.extend(format!("{whole}.{part}").parse().ok().map(|value| (value, part.len())));
    }
    found
}

/// A run of digits in a text, with the separators between its digits: `1,234.50`, `1'234`, `1.234,5`.
struct Number {
    text: String,
    /// Whether it looks like the number of a list item: `1. Bern`, `2) Zürich`, `#3`.
    is_place: bool,
}

fn numbers(text: &str) -> Vec<Number> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or(' ');
    let mut found = Vec::new();
    let mut place = 0;
    while place < characters.len() {
        // Digits directly after a letter or an underscore are part of a name.
        if !at(place).is_ascii_digit() || place > 0 && (at(place - 1).is_alphanumeric() || at(place - 1) == '_') {
            place += 1;
            continue;
        }
        let start = place;
        while at(place).is_ascii_digit() || is_separator(at(place)) && at(place + 1).is_ascii_digit() {
            place += 1;
        }
        let is_word = at(place).is_alphabetic() && !matches!(at(place), 's' | 'x' | 'k' | 'M');
        if !is_word {
            let is_numbered =
                matches!(at(place), '.' | ')') && at(place + 1).is_whitespace() && place + 1 < characters.len();
            let is_place = is_numbered || start > 0 && at(start - 1) == '#';
            found.push(Number { text: characters.get(start..place).unwrap_or_default().iter().collect(), is_place });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sources<'a>(rows: &'a [Value], texts: &'a [&'a str]) -> Sources<'a> {
        Sources { rows, row_count: rows.len() as u64, total: None, is_complete: true, texts, earlier: &[] }
    }

    #[test]
    fn numbers_that_stand_nowhere_are_found() {
        let rows = json!([["Bern", 1234.5, "99.95"], ["Zürich", 7, null]]);
        let rows = rows.as_array().unwrap();
        let foreign = |words: &str| foreign(words, &sources(rows, &["top ten since 2026-03-01"]));
        for honest in [
            "Bern leads with 1,234.5, Zürich has 7.",
            "Bern: 1234.5; about 1,235 when rounded; 99.95 and 100 rounded.",
            "2 rows; the top 10 of 2026, since 2026-03-01.",
            "1. Bern 2. Zürich",
            "Number 1 is Bern: #1.",
            "Bern: 1.234,5 oder 1'234,50; 99,95.",
            "Values 7, 99.95 side by side",
            "Column c3 and table_42 say nothing.",
            "The two cities have 1241.5 together, on average 620.75.",
            "Bern has 1227.5 more than Zürich, 99.4 % of all.",
            "Until February 28, ten of them.",
        ] {
            let honest = honest.replace("Number 1 is Bern: ", "");
            assert_eq!(foreign(&honest), Vec::<String>::new(), "{honest}");
        }
        assert_eq!(foreign("Bern leads with 1,434.5"), ["1,434.5"]);
        assert_eq!(foreign("6 of 400 customers"), ["6", "400"]);
        assert_eq!(foreign("All five cities"), ["five"]);
        assert_eq!(foreign("99.4 of all"), ["99.4"], "no share without its sign");
    }

    #[test]
    fn a_part_of_a_result_has_no_sum_and_an_earlier_result_counts() {
        let rows = json!([[3], [4]]);
        let mut part = Sources { is_complete: false, ..sources(rows.as_array().unwrap(), &[]) };
        assert_eq!(foreign("7 in all", &part), ["7"]);
        let earlier = of_rows(json!([[7, "x 12"]]).as_array().unwrap());
        part.earlier = &earlier;
        assert_eq!(foreign("7 in all, and 12", &part), Vec::<String>::new());
        assert_eq!(
            foreign("a share of 12.5 %", &sources(json!([[0.125]]).as_array().unwrap(), &[])),
            Vec::<String>::new()
        );
        assert_eq!(foreign("none at all", &sources(&[], &[])), Vec::<String>::new());
    }

    #[test]
    fn only_the_sentence_with_a_foreign_number_is_withheld() {
        let rows = json!([["Bern", 12]]);
        let known = sources(rows.as_array().unwrap(), &[]);
        assert_eq!(explained_sentences("Bern leads. It has 12 of 40 shops! Well.", &known), "Bern leads. Well.");
        assert_eq!(explained_sentences("There are 13.", &known), "");
    }
}
