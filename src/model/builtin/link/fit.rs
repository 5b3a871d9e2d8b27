//! How well words of a question fit the name of a table or a column.

use super::*;

/// How well the words of the question fit a name; 0 if they do not.
pub(super) fn fit(asked: &Asked, name: &Name, is_column: bool) -> f32 {
    let words = asked.words;
    let same = |one: &[&str], other: &[String]| one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a == b);
    let (whole, rest, short) = (&name.whole, &name.rest, &name.short);
    if same(words, &whole.stems) {
        return WHOLE;
    }
    // "Users that logged in" says nothing of `login`.
    let is_past = words.len() > 1 && asked.written.first().is_some_and(|first| first.ends_with("ed"));
    let is_joined = asked.joined == whole.joined && !is_past;
    if whole.stems.len() != words.len() && (is_joined || is_compound(asked, whole)) {
        return WHOLE;
    }
    // "miles per gallon" for `mpg`.
    let is_acronym = words.len() > 1
        && whole.joined.len() == words.len()
        && words.iter().zip(whole.joined.chars()).all(|(word, letter)| word.starts_with(letter));
    if is_acronym {
        return OTHER_WORD;
    }
    if same(&asked.sorted, &name.sorted) {
        return 0.95;
    }
    // `song_name` of songs for "name".
    let has_table = is_column && rest.stems.len() < whole.stems.len();
    if has_table && same(words, &rest.stems) {
        return 0.9;
    }
    let is_shorter = short.stems.len() < whole.stems.len();
    if is_shorter && !short.stems.is_empty() && same(words, &short.stems) {
        return if whole.stems.iter().any(|stem| stem == "id") { PART } else { SHORTER };
    }
    // "Director" for `Directed_by`.
    if let ([word], true, [verb, by]) = (words, is_column, whole.stems.as_slice())
        && by == "by"
        && related(word, verb)
    {
        return OTHER_WORD;
    }
    // "Born after 2000" for `birth_year`.
    if let (["born"], true, [birth, parts @ ..]) = (words, is_column, whole.stems.as_slice())
        && matches!(birth.as_str(), "birth" | "born")
        && parts.iter().all(|part| matches!(part.as_str(), "year" | "date" | "day" | "on" | "in"))
    {
        return SHORTER;
    }
    // "country name" for the column `country`.
    if let [words @ .., "name"] = words
        && is_column
        && same(words, &whole.stems)
    {
        return SHORTER;
    }
    // A more special noun does not name a table: "trailers" are not all rows of `vehicles`.
    let asked_words = words;
    let far = |other: &Words| {
        // WordNet reaches "amount" from "month" over units of measure.
        let is_time = unit(&asked.joined).is_some();
        let (asked, other) = asked.senses.zip(other.senses).filter(|_| !is_time)?;
        let far = cues::distance(asked, other)?;
        let is_narrower = far > 0 && cues::steps_up(asked, other) == Some(far);
        // "Properties" are no amounts, though each amount is a property.
        let is_vague = far > 1 && cues::steps_up(other, asked) == Some(far);
        // A general name such as `amount` fits only nouns of the same meaning: a "margin" is no `amount`.
        let is_general =
            matches!(whole.stems.last().map(String::as_str), Some("amount" | "valu" | "number" | "quantiti" | "total"));
        // Almost everything is a property to WordNet.
        let is_empty =
            matches!(asked_words, ["properti" | "attribut" | "qualiti" | "thing" | "object" | "part" | "group"]);
        let is_vague = is_vague || (is_general || is_empty) && far > 0;
        let is_value = is_column && !whole.stems.iter().any(|stem| stem == "id");
        ((is_value || !is_narrower) && !is_vague).then_some(far)
    };
    if let Some(far) = far(whole) {
        return OTHER_WORD - STEP * far as f32;
    }
    // A "telephone number" is a number to WordNet, but no `stop_number`.
    let is_bare = |parts: &Words| {
        words.len() > 1
            && matches!(parts.stems.as_slice(), [only] if matches!(only.as_str(), "number" | "name" | "code" | "type" | "date"))
    };
    if let Some(far) = far(rest).filter(|_| has_table && !is_bare(rest)) {
        return OTHER_WORD - 0.03 - STEP * far as f32;
    }
    if let Some(far) = far(short).filter(|_| is_shorter && !is_bare(short)) {
        return OTHER_WORD - 0.05 - STEP * far as f32;
    }
    // "teachers" for `tch`, "grade point" for `gr_pt`.
    let shortens = |(at, name): (usize, &String)| {
        let (Some(stem), Some(written)) = (words.get(at), asked.written.get(at)) else { return false };
        stem == name || (words.len() > 1 || name.len() > 2) && (is_short_for(name, stem) || is_short_for(name, written))
    };
    let all_shortened = |names: &[String]| {
        let turned = |at: usize| if words.len() == 2 { 1 - at } else { at };
        words.len() == names.len()
            && (names.iter().enumerate().all(shortens)
                || names.iter().enumerate().all(|(at, name)| shortens((turned(at), name))))
    };
    if all_shortened(&whole.stems) {
        return OTHER_WORD + 0.05;
    }
    if is_shorter && all_shortened(&short.stems) {
        return OTHER_WORD;
    }
    // Compares word by word. Each word has to be equal to, related to, or near in meaning to the word of the name.
    if words.len() > 1 && words.len() == whole.stems.len() {
        let near = |at: usize| {
            let senses = asked.each.get(at).copied().flatten().zip(name.each.get(at).copied().flatten());
            senses.and_then(|(one, other)| cues::distance(one, other)).is_some_and(|far| far <= 1)
        };
        // The "race year" is no `race_date`.
        let close =
            |(at, (a, b)): (usize, (&&str, &String))| *a == b || unit(a).is_none() && (related(a, b) || near(at));
        if words.iter().zip(&whole.stems).enumerate().all(close) {
            return OTHER_WORD - 0.05;
        }
    }
    // "Log id" for `problem_log_id`.
    if words.len() > 1 && is_column && whole.stems.len() > words.len() {
        let end = whole.stems.get(whole.stems.len() - words.len()..).unwrap_or_default();
        if same(words, end) {
            return SHORTER - 0.08;
        }
    }
    part(words, name)
}

/// True if a word of a name is no English noun, and may abbreviate a word of the question.
fn is_short_for(name: &str, asked: &str) -> bool {
    // Two letters say too little, except in a name of several words, which all have to fit.
    let is_known = if name.len() == 2 {
        matches!(name, "id" | "no" | "is") || is_loose(name)
    } else {
        cues::senses(name).is_some()
    };
    !is_known && abbreviates(name, asked)
}

/// How well words fit a part of a name. Its last word is its head.
fn part(words: &[&str], name: &Name) -> f32 {
    let short = name.short.stems.as_slice();
    let [word] = words else {
        let is_part = words.len() <= name.whole.stems.len()
            && words.iter().all(|word| name.whole.stems.iter().any(|stem| stem == word));
        return if is_part { PART + 0.05 } else { 0.0 };
    };
    match short {
        [.., head] if short.len() > 1 && word.len() > 2 && head == word => PART,
        [first, _] if word.len() > 2 && first == word => PART - 0.1,
        [only] if related(word, only) => PART - 0.05,
        _ => 0.0,
    }
}

/// "high schoolers" for `highschooler`.
fn is_compound(asked: &Asked, whole: &Words) -> bool {
    let [name] = whole.stems.as_slice() else { return false };
    asked.words.len() == 2
        && asked.words.iter().all(|word| word.len() > 3)
        && name.len() > 7
        && asked.joined.strip_prefix(name.as_str()).is_some_and(|rest| rest.len() <= 3)
}

/// True if one stem begins or ends with the other: "direct" and "director", "power" and "horsepower".
pub(in crate::model::builtin) fn related(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    // "uninsured" is not "insured", and a subcategory is no category.
    let is_denied = ["un", "in", "im", "non", "dis", "sub", "super", "pre", "post", "over", "under"]
        .iter()
        .any(|prefix| long.strip_prefix(prefix) == Some(short));
    let rest = long.strip_prefix(short).filter(|_| short.len() >= 4);
    rest.is_some_and(|rest| rest.len() <= 3 || rest == "ment")
        || short.len() >= 5 && long.ends_with(short) && !is_denied
}
