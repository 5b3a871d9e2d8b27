//! Links the words of a question to tables, columns and stored values, by their names.
//!
//! A mention leaves out tables and columns that fit much worse than the best. The frame and the plan choose later.

use std::collections::{HashMap, HashSet};

mod fit;

use fit::fit;
pub(super) use fit::related;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::Found;
use super::cues::{self, Senses, countries};
use super::schema::{At, Schema, singulars};
use super::text::{Stems, Token, TokenKind, abbreviates, is_left_out, is_loose, name_words, words_of};
use super::windows::{count_word, measure_unit, unit};
use crate::database::catalog::Synonym;

/// Maximum words of a name or value in a question.
const LONGEST: usize = 6;

/// Fit of a whole name.
pub(super) const WHOLE: f32 = 1.0;
/// Fit of a name without a word such as "code" (but not "id"), or without its unit.
const SHORTER: f32 = 0.85;
/// Fit of a word of similar meaning.
pub(super) const OTHER_WORD: f32 = 0.7;
/// Fit of a part of a name.
const PART: f32 = 0.55;

/// How much each step between two nouns of WordNet lowers the fit.
const STEP: f32 = 0.05;

/// Fit of a table for the name of a foreign key that refers to the table.
pub(super) const ROLE: f32 = 0.75;

/// Fit of the last word of a table's name, if no other table's name ends with this word.
const HEAD: f32 = 0.86;

/// Fit of "name" for the only display column of a table.
const DISPLAY: f32 = 0.92;

/// What some words of the question may mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mention {
    /// The words as written.
    pub text: String,
    /// Tables, each with its fit.
    pub tables: Vec<(usize, f32)>,
    /// Columns, each with its fit.
    pub columns: Vec<(At, f32)>,
    /// Columns that contain the value, each with the stored spelling.
    pub values: Vec<(At, String)>,
    /// True for a text in quotes, and for words of which the first is capitalised and does not begin a sentence.
    pub looks_like_value: bool,
}

impl Mention {
    /// True if the text ends with "ed", as most past participles do.
    pub fn ends_with_ed(&self) -> bool {
        self.text.ends_with("ed")
    }

    /// The column that fits best.
    pub fn best_column(&self) -> Option<(At, f32)> {
        self.columns.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }

    /// The table that fits best.
    pub fn best_table(&self) -> Option<(usize, f32)> {
        self.tables.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }

    /// True if a table or a column may be meant by both mentions.
    pub fn shares_with(&self, other: &Mention) -> bool {
        self.shares_column(other) || self.tables.iter().any(|(t, _)| other.tables.iter().any(|(of, _)| of == t))
    }

    /// True if a column may be meant by both mentions.
    pub fn shares_column(&self, other: &Mention) -> bool {
        self.columns.iter().any(|(at, _)| other.columns.iter().any(|(of, _)| of == at))
    }

    pub fn fit(&self) -> f32 {
        let fits = self.tables.iter().map(|(_, fit)| *fit).chain(self.columns.iter().map(|(_, fit)| *fit));
        fits.fold(if self.values.is_empty() { 0.0 } else { WHOLE }, f32::max)
    }

    /// Fit of the best table or column, whatever values there are.
    pub fn name_fit(&self) -> f32 {
        self.table_fit().max(self.column_fit())
    }

    pub fn table_fit(&self) -> f32 {
        self.tables.iter().map(|(_, fit)| *fit).fold(0.0, f32::max)
    }

    pub fn column_fit(&self) -> f32 {
        self.columns.iter().map(|(_, fit)| *fit).fold(0.0, f32::max)
    }
}

/// The stems of some words, the stems joined, and the senses of the words as one noun.
struct Words {
    stems: Vec<String>,
    joined: String,
    senses: Option<Senses>,
}

impl Words {
    fn new(stems: Vec<String>) -> Self {
        // No noun in `wordnet.txt` has more than two words.
        let senses = if stems.len() > 2 { None } else { cues::senses(&stems.join(" ")) };
        Words { joined: stems.concat(), stems, senses }
    }
}

/// The name of a table or a column.
struct Name {
    whole: Words,
    sorted: Vec<String>,
    /// Senses of each word.
    each: Vec<Option<Senses>>,
    /// Without words such as "id" or "code", and without a unit at the end.
    short: Words,
    /// Without the words of its table.
    rest: Words,
}

impl Name {
    /// `own`: the stems of the table's name, for a column.
    fn new(text: &str, own: &[String], stems: &Stems, is_dropped: impl Fn(&str) -> bool) -> Self {
        let words: Vec<String> = name_words(text).iter().map(|word| stems.of(word)).collect();
        let mut sorted = words.clone();
        sorted.sort_unstable();
        let without = |is_out: &dyn Fn(&String) -> bool| -> Vec<String> {
            words.iter().filter(|stem| !is_out(stem)).cloned().collect()
        };
        // "Elevation" for `elevation_m`, "price" for `price_eur`, and "amount" for `amount_usd`.
        let has_unit = words.len() > 1 && measure_unit(name_words(text).last().map_or("", String::as_str)).is_some();
        let unit = if has_unit { words.last() } else { None };
        let is_unit = |stem: &String| Some(stem) == unit;
        let mut short = without(&|stem| is_left_out(stem) || is_dropped(stem) || is_unit(stem));
        if short.is_empty() {
            short = without(&is_unit);
        }
        Name {
            sorted,
            each: words.iter().map(|word| cues::senses(word)).collect(),
            short: Words::new(short),
            rest: Words::new(without(&|stem| own.contains(stem))),
            whole: Words::new(words),
        }
    }
}

/// Words of the question.
struct Asked<'a> {
    words: &'a [&'a str],
    /// As written, in lower case.
    written: &'a [&'a str],
    sorted: Vec<&'a str>,
    joined: String,
    senses: Option<Senses>,
    each: Vec<Option<Senses>>,
}

pub(super) struct Linker<'a> {
    schema: Schema<'a>,
    stems: &'a Stems,
    tables: Vec<Name>,
    /// Other names of tables, from columns of foreign keys. If `student_id` refers to `highschoolers`, a "student" is a row
    /// of `highschoolers`.
    roles: Vec<(usize, Name)>,
    columns: Vec<(At, Name)>,
    /// Stems of the words of each synonym. Synonyms are what the user says, so they fit as whole names do.
    synonyms: Vec<(Vec<String>, &'a Synonym)>,
    /// Stored values by their words in lower case.
    values: HashMap<String, Vec<(At, String)>>,
}

impl<'a> Linker<'a> {
    pub fn new(schema: Schema<'a>, found: &[Found], tokens: &[Token], stems: &'a Stems) -> Self {
        let of_table = |stem: &str| matches!(stem, "data" | "info" | "tabl" | "detail" | "record" | "type" | "master");
        let tables: Vec<Name> =
            (0..schema.tables().len()).map(|t| Name::new(schema.bare(t), &[], stems, of_table)).collect();
        // A name without a schema never means a shadowed table.
        let is_shadowed = |t: usize| schema.table(t).is_shadowed;
        let columns = (0..schema.tables().len())
            .filter(|t| !is_shadowed(*t))
            .flat_map(|t| schema.columns(t))
            .map(|(at, column)| {
                let own = tables.get(at.0).map(|name| name.whole.stems.as_slice()).unwrap_or_default();
                (at, Name::new(&column.name, own, stems, |_| false))
            })
            .collect();
        let mut roles: Vec<(usize, Name)> = Vec::new();
        for table in schema.tables().iter().filter(|table| !table.is_shadowed) {
            for key in &table.foreign_keys {
                let target = schema.tables().iter().position(|table| table.name == key.references);
                if let (Some(target), [column]) = (target, key.columns.as_slice()) {
                    let role = Name::new(column, &[], stems, |_| false);
                    if !role.short.stems.is_empty()
                        && !roles.iter().any(|(t, known)| *t == target && known.short.stems == role.short.stems)
                    {
                        roles.push((target, role));
                    }
                }
            }
        }
        let starts: HashSet<char> = tokens.iter().filter_map(|token| token.low.chars().next()).collect();
        let mut values: HashMap<String, Vec<(At, String)>> = HashMap::new();
        for t in (0..schema.tables().len()).filter(|t| !is_shadowed(*t)) {
            for (at, column) in schema.columns(t) {
                // Questions do not name the 0 and 1 of a Boolean column.
                let is_switch = schema.is_number(at) && schema.answers(at).is_some();
                for value in column.values.iter().filter(|_| !is_switch) {
                    let low = value.trim().to_lowercase();
                    let meant =
                        |token: &Token| countries(&token.low).chain(cues::sexes(&token.low)).any(|one| one == low);
                    let demonym = tokens.iter().any(meant);
                    let begins = |text: &str| text.chars().next().is_some_and(|first| starts.contains(&first));
                    if demonym || begins(&low) {
                        values.entry(words_of(&low)).or_default().push((at, value.clone()));
                    }
                    // "Zurich" for the stored `Zürich`.
                    let plain: String = low.nfd().filter(|c| !is_combining_mark(*c)).collect();
                    if plain != low && begins(&plain) {
                        values.entry(words_of(&plain)).or_default().push((at, value.clone()));
                    }
                }
            }
        }
        for found in found.iter().filter(|found| !is_shadowed(found.at.0)) {
            let known = values.entry(words_of(&found.phrase)).or_default();
            if !known.iter().any(|(at, value)| *at == found.at && *value == found.value) {
                known.push((found.at, found.value.clone()));
            }
        }
        let stemmed = |name: &str| name_words(name).iter().map(|word| stems.of(word)).collect();
        let synonyms = schema.synonyms().iter().map(|synonym| (stemmed(&synonym.name), synonym)).collect();
        Self { schema, stems, tables, roles, columns, synonyms, values }
    }

    /// Returns what the words from `from` to `to` may mean.
    pub fn mention(&self, tokens: &[Token], from: usize, to: usize) -> Option<Mention> {
        let span = tokens.get(from..to).filter(|span| !span.is_empty() && span.len() <= LONGEST)?;
        let first = span.first()?;
        let text = span.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        if first.kind == TokenKind::Quoted {
            return (span.len() == 1).then(|| Mention {
                values: self.stored(&words_of(&first.low)),
                text,
                looks_like_value: true,
                ..Mention::default()
            });
        }
        let is_value_word = |token: &Token| {
            matches!(token.kind, TokenKind::Word | TokenKind::Number(_) | TokenKind::Date(_) | TokenKind::Possessive)
                || token.kind == TokenKind::Sign && token.low == "&"
        };
        if !span.iter().all(is_value_word) {
            return None;
        }
        let starts = from.checked_sub(1).and_then(|at| tokens.get(at)).is_none_or(|token| token.kind == TokenKind::End);
        let capital = !starts && first.capital();
        let low = span.iter().map(|token| token.low.as_str()).collect::<Vec<_>>().join(" ");
        let mut values = self.stored(&words_of(&low));
        if span.len() == 1 {
            // "Dutch" may be a stored language. Then it is not short for the Netherlands.
            if values.is_empty() {
                values.extend(countries(&first.low).flat_map(|country| self.stored(country)));
            }
            let is_of_sex = |(at, _): &(At, String)| {
                name_words(&self.schema.column(*at).name).iter().any(|word| matches!(word.as_str(), "sex" | "gender"))
            };
            values.extend(cues::sexes(&first.low).flat_map(|sex| self.stored(sex)).filter(is_of_sex));
        }
        // If no value equals this word, the word without its final "s" is tried: "cats" for the value `cat`.
        if values.is_empty() && span.len() == 1 && low.len() > 3 {
            let single = low.strip_suffix('s').map(|single| self.stored(single)).unwrap_or_default();
            values = single;
        }
        let mut mention = Mention { text, values, looks_like_value: capital, ..Mention::default() };
        let is_name =
            |token: &Token| token.kind == TokenKind::Word && !matches!(token.low.as_str(), "named" | "called");
        if span.iter().all(is_name) {
            let solid = || span.iter().filter(|token| !matches!(token.stem.as_str(), "of" | "the"));
            let stems: Vec<&str> = solid().map(|token| token.stem.as_str()).collect();
            let written: Vec<&str> = solid().map(|token| token.low.as_str()).collect();
            let edges = [span.first(), span.last()];
            let has_loose_edge = span.len() > 1 && edges.into_iter().flatten().any(|token| is_loose(&token.low));
            // The "on" of `requested_on` is no name.
            let is_loose_word = span.len() == 1 && is_loose(&first.low);
            // A number word such as "two" is a name only if the whole name is this word. WordNet links "two" to
            // `number`.
            let is_loose_word = is_loose_word || span.len() == 1 && count_word(&first.low).is_some();
            if has_loose_edge || is_loose_word {
                // "date in" is a name only if a table or column has exactly this name.
                let stems: Vec<&str> = span.iter().map(|token| token.stem.as_str()).collect();
                let written: Vec<&str> = span.iter().map(|token| token.low.as_str()).collect();
                self.names(&stems, &written, &mut mention);
                mention.tables.retain(|(_, fit)| *fit >= WHOLE);
                mention.columns.retain(|(_, fit)| *fit >= WHOLE);
            } else if !stems.is_empty() {
                self.names(&stems, &written, &mut mention);
            }
        }
        (!mention.tables.is_empty() || !mention.columns.is_empty() || !mention.values.is_empty()).then_some(mention)
    }

    fn stored(&self, words: &str) -> Vec<(At, String)> {
        self.values.get(words).cloned().unwrap_or_default()
    }

    fn names(&self, words: &[&str], written: &[&str], mention: &mut Mention) {
        let mut sorted = words.to_vec();
        sorted.sort_unstable();
        let asked = Asked {
            words,
            written,
            sorted,
            joined: words.concat(),
            senses: cues::senses(&words.join(" ")),
            each: words.iter().map(|word| cues::senses(word)).collect(),
        };
        for (t, name) in self.tables.iter().enumerate().filter(|(t, _)| !self.schema.table(*t).is_shadowed) {
            let fit = fit(&asked, name, false);
            if fit > 0.0 {
                mention.tables.push((t, fit));
            }
        }
        self.by_head(&asked, mention);
        self.by_other_word(mention);
        for (t, role) in &self.roles {
            let is_named = role.short.stems.iter().map(String::as_str).eq(words.iter().copied());
            if is_named && !mention.tables.iter().any(|(of, _)| of == t) {
                mention.tables.push((*t, ROLE));
            }
        }
        for (at, name) in &self.columns {
            let mut fit = fit(&asked, name, true);
            let is_named = |name: &Name| {
                let of_table = self.tables.get(at.0).is_some_and(|table| table.whole.stems == name.whole.stems);
                of_table || name.whole.stems.iter().any(|stem| matches!(stem.as_str(), "name" | "titl" | "label"))
            };
            // "Date" for `obs_date`.
            let is_date = |name: &Name| name.whole.stems.last().is_some_and(|last| last == "date");
            if words == ["date"] && is_date(name) && self.schema.is_date(*at) {
                fit = fit.max(SHORTER - 0.05);
            }
            if self.schema.is_only_key(*at) && is_joined_key(words, &self.schema.column(*at).name) {
                fit = fit.max(0.9);
            }
            if words == ["name"] && is_named(name) && self.schema.display(at.0) == [*at] {
                fit = fit.max(DISPLAY);
            }
            if fit > 0.0 {
                mention.columns.push((*at, fit));
            }
        }
        for (_, synonym) in
            self.synonyms.iter().filter(|(stems, _)| stems.iter().map(String::as_str).eq(words.iter().copied()))
        {
            match synonym.column {
                Some(column) => mention.columns.push(((synonym.table, column), WHOLE)),
                None => mention.tables.push((synonym.table, WHOLE)),
            }
        }
        // If a table has `unit_price` and `cost`, "price" means the `unit_price`, whose name has the word.
        let has_word = |at: &At| {
            self.columns
                .iter()
                .any(|(of, name)| of == at && name.short.stems.last().is_some_and(|last| [last.as_str()] == words))
        };
        let parts: Vec<At> =
            mention.columns.iter().filter(|(at, fit)| *fit < OTHER_WORD && has_word(at)).map(|(at, _)| *at).collect();
        mention
            .columns
            .retain(|(at, fit)| *fit > OTHER_WORD || parts.contains(at) || !parts.iter().any(|part| part.0 == at.0));
        // If the name of a column has the words, the words name no table by similar meaning: "hours" means
        // `hours_worked`, and not shifts.
        let has_word = |name: &Name| words.iter().all(|word| name.whole.stems.iter().any(|stem| stem == word));
        if self.columns.iter().any(|(_, name)| has_word(name)) {
            mention.tables.retain(|(_, fit)| *fit > OTHER_WORD);
        }
        self.by_key(&asked, mention);
        self.only_people(&asked, mention);
        // Tables and columns that fit much worse than the best are left out.
        let best = mention.tables.iter().map(|(_, fit)| *fit).chain(mention.columns.iter().map(|(_, fit)| *fit));
        let best = best.fold(0.0, f32::max);
        mention.tables.retain(|(_, fit)| *fit > best - 0.31);
        mention.columns.retain(|(_, fit)| *fit > best - 0.31);
    }

    /// "Contests" may be rows of `farm_competition` as well as of `competition_record`, if they mean competitions.
    fn by_other_word(&self, mention: &mut Mention) {
        let headed = |word: &String| {
            let named = self
                .tables
                .iter()
                .enumerate()
                .filter(move |(_, name)| name.short.stems.len() > 1 && name.short.stems.last() == Some(word));
            named.map(|(t, _)| t).filter(|t| !self.schema.table(*t).is_shadowed).collect::<Vec<_>>()
        };
        let others: Vec<(usize, f32)> = mention
            .tables
            .iter()
            .filter(|(_, fit)| *fit < OTHER_WORD)
            .filter_map(|(t, fit)| match self.tables.get(*t)?.short.stems.as_slice() {
                [word] => Some(headed(word).into_iter().map(move |t| (t, *fit))),
                _ => None,
            })
            .flatten()
            .collect();
        for (t, fit) in others {
            if !mention.tables.iter().any(|(known, _)| *known == t) {
                mention.tables.push((t, fit));
            }
        }
    }

    /// "Orders" for `sales_order`, if no other table's name ends with "order". The last word says what a row is.
    fn by_head(&self, asked: &Asked, mention: &mut Mention) {
        let ([word], true) = (asked.words, mention.table_fit() < HEAD) else { return };
        let is_headed =
            |name: &Name| name.short.stems.len() > 1 && name.short.stems.last().is_some_and(|head| head == word);
        // A "reporter" is no `news_report`, though the stems are equal.
        let person = asked.written.first().map(|written| singulars(written)).filter(|written| cues::is_person(written));
        let is_person_of = |t: usize| {
            person.is_none()
                || self.schema.is_of_people(t)
                || name_words(self.schema.bare(t)).last().map(|last| singulars(last)) == person
        };
        let all = self.tables.iter().enumerate().filter(|(_, name)| is_headed(name)).map(|(t, _)| t);
        let all = all.filter(|t| !self.schema.table(*t).is_shadowed);
        let mut headed = all.filter(|t| is_person_of(*t));
        if let (Some(t), None) = (headed.next(), headed.next()) {
            // Other tables, such as `competition_record` for "competition", then fit less well than `farm_competition`.
            mention.tables.retain(|(of, _)| *of != t);
            mention.tables.iter_mut().for_each(|(_, fit)| *fit = fit.min(OTHER_WORD));
            mention.tables.push((t, HEAD));
        }
    }

    /// A word for people names a table by similar meaning only if the table's name is a word for people too. Otherwise
    /// "athletes" would mean `marathons`, because "athlete" and "athletics" have one stem.
    fn only_people(&self, asked: &Asked, mention: &mut Mention) {
        let [written] = asked.written else { return };
        // "Reviews" are no reviewers, though the stems are equal.
        let is_person = *written == "people" || cues::is_person(&singulars(written));
        if !is_person {
            let is_doer = |t: usize| {
                let own = name_words(self.schema.bare(t)).last().map(|last| singulars(last)).unwrap_or_default();
                own != singulars(written) && own.ends_with("er") && cues::is_person(&own)
            };
            mention.tables.retain(|(t, fit)| *fit < WHOLE || !is_doer(*t));
        }
        if is_person {
            mention.tables.retain(|(t, fit)| *fit > OTHER_WORD || self.schema.is_of_people(*t));
            // A "representative" is not the `Counties_Represented`. `Directed_by` is kept, and so are numbers
            // that are no part of the primary key.
            let names_person = |at: At| {
                let words = name_words(&self.schema.column(at).name);
                let is_person = words.iter().any(|word| cues::is_person(&singulars(word)));
                let is_by = words.last().is_some_and(|last| last == "by");
                is_person
                    || is_by
                    || self.schema.is_number(at) && !self.schema.is_only_key(at) && !self.schema.is_key_of(at)
            };
            mention.columns.retain(|(at, fit)| *fit >= OTHER_WORD || names_person(*at));
        }
    }

    /// Adds the table whose only key column has the words in its name: "policies" are the rows of `POLMST` with the key
    /// `POL_NO`. Removes the columns of this name.
    fn by_key(&self, asked: &Asked, mention: &mut Mention) {
        // "Log id" is no row of the logs.
        if mention.table_fit() >= OTHER_WORD || asked.words.iter().any(|word| is_left_out(word)) {
            return;
        }
        let is_key = |at: At| self.schema.is_only_key(at);
        let is_bare = |at: At| {
            let name = self.columns.iter().find(|(of, _)| *of == at);
            name.is_some_and(|(_, name)| {
                name.short.stems.len() < name.whole.stems.len() && name.short.stems.len() == asked.words.len()
            })
        };
        let keys =
            mention.columns.iter().filter(|(at, fit)| (OTHER_WORD..0.9).contains(fit) && is_key(*at) && is_bare(*at));
        let keys: Vec<(At, f32)> = keys.copied().collect();
        let [(at, fit)] = keys.as_slice() else { return };
        let t = at.0;
        mention.tables.retain(|(of, _)| *of != t);
        mention.tables.push((t, *fit));
        mention.columns.retain(|(of, _)| self.schema.name_of(*of) != self.schema.name_of(*at));
    }

    /// "How many surgeons", where a column of `doctors` has the value `surgeon`. Leaves only the value in the mention.
    /// Returns a mention of the table.
    pub fn entity_of_value(&self, mention: &mut Mention, low: &str) -> Option<Mention> {
        let (at, value) = mention.values.first()?.clone();
        let is_one_column = mention.values.iter().all(|(of, _)| *of == at);
        let is_noun = !mention.looks_like_value && mention.name_fit() < 0.8 && value.to_lowercase() == value;
        let is_name = self.schema.display(at.0).contains(&at) || self.schema.is_key(at);
        if !is_one_column || !is_noun || is_name || self.schema.is_view(at.0) || low.len() < 3 {
            return None;
        }
        mention.tables.clear();
        mention.columns.clear();
        Some(Mention { text: mention.text.clone(), tables: vec![(at.0, WHOLE)], ..Mention::default() })
    }

    /// True if the column's name has this word.
    pub fn is_word_of(&self, at: At, stem: &str) -> bool {
        self.columns.iter().any(|(of, name)| *of == at && name.whole.stems.iter().any(|word| word == stem))
    }

    pub fn stem(&self, word: &str) -> String {
        self.stems.of(word)
    }
}

/// "Id" for the key `aid`, and "number" for the key `flno`, whose names do not show where their words begin.
pub(super) fn is_joined_key(words: &[&str], name: &str) -> bool {
    let low = name.to_lowercase();
    let ends_with = |endings: &[&str]| endings.iter().any(|ending| low.ends_with(ending));
    match words {
        ["id"] => (3..=5).contains(&low.len()) && ends_with(&["id"]),
        ["number"] => (4..=6).contains(&low.len()) && ends_with(&["no", "num", "nr"]),
        _ => false,
    }
}
