//! Time windows: words such as "last month" become a half-open range of dates, computed from today.
//!
//! `dates` decides which column the window applies to.

use time::{Date, Duration, Month, Weekday};

use super::text::{Token, TokenKind};

/// `from <= date < to`; an open side is `None`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub from: Option<Date>,
    pub to: Option<Date>,
}

/// A unit to step or to group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

impl Window {
    fn days(from: Date, to: Option<Date>) -> Option<Self> {
        Some(Self { from: Some(from), to: Some(to?) })
    }

    pub fn year(year: i32) -> Option<Self> {
        Self::days(first(year, 1)?, first(year.checked_add(1)?, 1))
    }

    pub fn day(day: Date) -> Option<Self> {
        Self::days(day, day.next_day())
    }

    /// All time before this window.
    pub fn before(self) -> Self {
        Self { from: None, to: self.from }
    }

    /// All time after this window.
    pub fn after(self) -> Self {
        Self { from: self.to, to: None }
    }

    /// This window and all time after it.
    pub fn since(self) -> Self {
        Self { from: self.from, to: None }
    }

    /// All time up to the end of this window.
    pub fn until(self) -> Self {
        Self { from: None, to: self.to }
    }

    /// Returns the time from the start of this window to the end of `other`. A start that is written without a year is the
    /// last such day before `other`: "June to August 2024" begins in 2024. `written` is the text of this window.
    pub fn through(self, other: Self, written: &str) -> Self {
        let is_late = |from: Date| other.from.is_some_and(|other| from > other);
        let moved = |from: Date| {
            let year = other.from.map_or(from.year(), Date::year);
            let same = from.replace_year(year).ok()?;
            if is_late(same) { same.replace_year(year - 1).ok() } else { Some(same) }
        };
        let words = || written.split(|c: char| !c.is_alphanumeric());
        let has_month = words().any(|word| month(word, true).is_some());
        let has_year = words().any(|word| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit()));
        let is_bare = has_month && !has_year;
        let from = self.from.map(|from| if is_bare || is_late(from) { moved(from).unwrap_or(from) } else { from });
        Self { from, to: other.to }
    }

    /// Returns the window in whole years (`from <= year < to`). `None` if the window begins or ends within a year.
    pub fn years(&self) -> Option<(Option<i32>, Option<i32>)> {
        let whole = |date: Option<Date>| match date {
            Some(date) if date.ordinal() == 1 => Some(Some(date.year())),
            Some(_) => None,
            None => Some(None),
        };
        Some((whole(self.from)?, whole(self.to)?))
    }
}

/// Returns the window that begins at token `i`, and the number of its tokens.
pub(super) fn window_at(tokens: &[Token], i: usize, today: Date) -> Option<(Window, usize)> {
    let word = |n: usize| tokens.get(i + n).map_or("", |token| token.low.as_str());
    let number = |n: usize| match tokens.get(i + n).map(|token| &token.kind) {
        Some(TokenKind::Number(value)) => Some(*value),
        _ => count_word(word(n)),
    };
    if let Some((day, length)) = day_at(tokens, i) {
        return Window::day(day).map(|window| (window, length));
    }
    match tokens.get(i)?.kind {
        TokenKind::Date(day) => return Window::day(day).map(|window| (window, 1)),
        TokenKind::Word => {}
        _ => return None,
    }
    match word(0) {
        "today" => return Window::day(today).map(|window| (window, 1)),
        "yesterday" => return Window::day(today.previous_day()?).map(|window| (window, 1)),
        "last" | "previous" | "past" => {
            if let Some(unit) = unit(word(1)).filter(|_| word(0) != "past") {
                let start = start_of(unit, today)?;
                return Window::days(start_of(unit, start.previous_day()?)?, Some(start)).map(|window| (window, 2));
            }
            let count = number(1)?;
            if !(1.0..=1000.0).contains(&count) || count.fract() != 0.0 {
                return None;
            }
            let from = back(unit(word(2))?, today, count as i64)?;
            return Window::days(from, today.next_day()).map(|window| (window, 3));
        }
        "this" | "current" => {
            let unit = unit(word(1))?;
            let start = start_of(unit, today)?;
            return Window::days(start, next_start(unit, start)).map(|window| (window, 2));
        }
        "q1" | "q2" | "q3" | "q4" => {
            let quarter: u8 = word(0).trim_start_matches('q').parse().ok()?;
            let start = first(year_of(number(1)?)?, quarter * 3 - 2)?;
            return Window::days(start, next_start(Unit::Quarter, start)).map(|window| (window, 2));
        }
        _ => {}
    }
    let month = month(word(0), tokens.get(i)?.capital())?;
    let mut length = 1 + usize::from(word(1) == "of");
    let year = number(length).and_then(year_of);
    let year = match year {
        Some(year) => {
            length += 1;
            year
        }
        None => {
            length = 1;
            // A month without a year is the latest one that has begun.
            if first(today.year(), month)? <= today { today.year() } else { today.year() - 1 }
        }
    };
    let start = first(year, month)?;
    Window::days(start, next_start(Unit::Month, start)).map(|window| (window, length))
}

/// Returns a date that has a year ("1 March 2023", "March 1st, 2023"), and the number of its tokens.
fn day_at(tokens: &[Token], i: usize) -> Option<(Date, usize)> {
    let token = |n: usize| tokens.get(i + n);
    let day = |n: usize| {
        let token = token(n)?;
        let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| token.low.strip_suffix(end)).unwrap_or(&token.low);
        digits.parse::<u8>().ok().filter(|day| (1..=31).contains(day))
    };
    let month = |n: usize| month(&token(n)?.low, token(n)?.capital());
    let year = |n: usize| match token(n)?.kind {
        TokenKind::Number(year) => year_of(year),
        _ => None,
    };
    let skips = |n: usize, is: &dyn Fn(&Token) -> bool| usize::from(token(n).is_some_and(is));
    let (day, month, at) = match (day(0), month(0)) {
        (Some(day), _) => {
            let at = 1 + skips(1, &|token| token.low == "of");
            (day, month(at)?, at + 1)
        }
        (None, Some(month)) => (day(1)?, month, 2),
        (None, None) => return None,
    };
    let at = at + skips(at, &|token| token.kind == TokenKind::Comma);
    let date = Date::from_calendar_date(year(at)?, Month::try_from(month).ok()?, day).ok()?;
    Some((date, at + 1))
}

/// Reads a number from 1800 to 2199 as a year.
pub(super) fn year_of(number: f64) -> Option<i32> {
    (number.fract() == 0.0 && (1800.0..=2199.0).contains(&number)).then_some(number as i32)
}

pub(super) fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "day" | "days" => Unit::Day,
        "week" | "weeks" => Unit::Week,
        "month" | "months" => Unit::Month,
        "quarter" | "quarters" => Unit::Quarter,
        "year" | "years" => Unit::Year,
        _ => return None,
    })
}

/// Returns the main name of a unit of measure: `second` for "sec" and "seconds". `None` for any other word.
pub(super) fn measure_unit(word: &str) -> Option<&'static str> {
    const UNITS: [&[&str]; 24] = [
        &["second", "seconds", "sec", "secs", "s"],
        &["minute", "minutes", "min", "mins"],
        &["hour", "hours", "hr", "hrs", "h"],
        &["day", "days"],
        &["week", "weeks"],
        &["month", "months"],
        &["meter", "meters", "metre", "metres", "m"],
        &["kilometer", "kilometers", "kilometre", "kilometres", "km", "kms"],
        &["centimeter", "centimeters", "centimetre", "centimetres", "cm"],
        &["millimeter", "millimeters", "millimetre", "millimetres", "mm"],
        &["mile", "miles", "mi"],
        &["foot", "feet", "ft"],
        &["gram", "grams", "g"],
        &["kilogram", "kilograms", "kg", "kgs", "kilo", "kilos"],
        &["ton", "tons", "tonnes", "t"],
        &["liter", "liters", "litre", "litres", "l"],
        &["degree", "degrees", "c", "celsius"],
        &["percent", "pct", "%"],
        &["euro", "euros", "eur"],
        &["dollar", "dollars", "usd"],
        &["sqm", "m2"],
        &["hectare", "hectares", "ha"],
        &["kilowatt", "kilowatts", "kw"],
        &["kwh", "kilowatthours"],
    ];
    UNITS.iter().find(|names| names.contains(&word)).and_then(|names| names.first().copied())
}

/// Small numbers in words.
pub(super) fn count_word(word: &str) -> Option<f64> {
    const WORDS: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let position = |words: &[&str], word: &str| words.iter().position(|known| *known == word);
    if let Some(number) = position(&WORDS, word) {
        return Some(number as f64);
    }
    position(&TENS, word).map(|tens| (10 * (tens + 2)) as f64)
}

fn month(word: &str, capital: bool) -> Option<u8> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let found = NAMES.iter().position(|name| *name == word);
    // "may" and "march" are verbs too.
    if matches!(word, "may" | "march") && !capital {
        return None;
    }
    let found = found.or_else(|| {
        let short = matches!(
            word,
            "jan" | "feb" | "mar" | "apr" | "jun" | "jul" | "aug" | "sep" | "sept" | "oct" | "nov" | "dec"
        );
        let key: String = word.chars().take(3).collect();
        short.then(|| NAMES.iter().position(|name| name.starts_with(&key))).flatten()
    })?;
    u8::try_from(found + 1).ok()
}

fn first(year: i32, month: u8) -> Option<Date> {
    Date::from_calendar_date(year, Month::try_from(month).ok()?, 1).ok()
}

/// First day of the unit that holds `day`; weeks begin on Monday.
fn start_of(unit: Unit, day: Date) -> Option<Date> {
    match unit {
        Unit::Day => Some(day),
        Unit::Week => day.checked_sub(Duration::days(i64::from(day.weekday().number_days_from_monday()))),
        Unit::Month => first(day.year(), u8::from(day.month())),
        Unit::Quarter => first(day.year(), (u8::from(day.month()) - 1) / 3 * 3 + 1),
        Unit::Year => first(day.year(), 1),
    }
}

fn next_start(unit: Unit, start: Date) -> Option<Date> {
    match unit {
        Unit::Day => start.next_day(),
        Unit::Week => start.next_occurrence(Weekday::Monday).into(),
        Unit::Month => add_months(start, 1),
        Unit::Quarter => add_months(start, 3),
        Unit::Year => add_months(start, 12),
    }
}

fn back(unit: Unit, day: Date, count: i64) -> Option<Date> {
    match unit {
        Unit::Day => day.checked_sub(Duration::days(count)),
        Unit::Week => day.checked_sub(Duration::weeks(count)),
        Unit::Month => add_months(day, -count),
        Unit::Quarter => add_months(day, -3 * count),
        Unit::Year => add_months(day, -12 * count),
    }
}

/// Returns the same day `months` later, or the last day of a shorter month.
fn add_months(day: Date, months: i64) -> Option<Date> {
    let total = i64::from(day.year()) * 12 + i64::from(u8::from(day.month())) - 1 + months;
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(total.rem_euclid(12) + 1).ok()?).ok()?;
    (1..=day.day()).rev().find_map(|d| Date::from_calendar_date(year, month, d).ok())
}

#[cfg(test)]
mod tests {
    use super::super::text::{Stems, tokens};
    use super::*;
    use time::macros::date;

    #[test]
    fn reads_windows() {
        let today = date!(2026 - 11 - 22);
        let cases = [
            ("last month", "2026-10-01", "2026-11-01"),
            ("this week", "2026-11-16", "2026-11-23"),
            ("last week", "2026-11-09", "2026-11-16"),
            ("this quarter", "2026-10-01", "2027-01-01"),
            ("last quarter", "2026-07-01", "2026-10-01"),
            ("last year", "2025-01-01", "2026-01-01"),
            ("last 30 days", "2026-10-23", "2026-11-23"),
            ("past three months", "2026-08-22", "2026-11-23"),
            ("yesterday", "2026-11-21", "2026-11-22"),
            ("March 2024", "2024-03-01", "2024-04-01"),
            ("December", "2025-12-01", "2026-01-01"),
            ("Q1 2025", "2025-01-01", "2025-04-01"),
            ("2026-02-28", "2026-02-28", "2026-03-01"),
        ];
        for (words, from, to) in cases {
            let tokens = tokens(words, &Stems::new());
            let (window, length) = window_at(&tokens, 0, today).unwrap();
            assert_eq!(length, tokens.len(), "{words}");
            assert_eq!(
                (window.from.unwrap().to_string(), window.to.unwrap().to_string()),
                (from.into(), to.into()),
                "{words}"
            );
        }
    }

    #[test]
    fn leaves_other_words() {
        for words in ["last name", "may", "past month", "this", "last 0 days", "last 99999999 days", "q7 2020"] {
            assert!(window_at(&tokens(words, &Stems::new()), 0, date!(2026 - 11 - 22)).is_none(), "{words}");
        }
    }

    #[test]
    fn ends_of_months_fit() {
        assert_eq!(add_months(date!(2026 - 03 - 31), -1), Some(date!(2026 - 02 - 28)));
    }
}
