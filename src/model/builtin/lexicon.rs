//! Links the words of a question to the schema: tables, columns and stored values by their names.
//!
//! Every possible meaning is kept, with its fit: a score of how well the name matches. Later steps decide by context.

use std::collections::{HashMap, HashSet};

use super::Found;
use super::schema::{At, Schema};
use super::synonyms::{country_of, is_filler_of_names, synonym};
use super::text::{Stems, Token, TokenKind, name_words};

/// Maximum words of a name or value in a question.
const LONGEST: usize = 6;

/// The fit of a whole name. Lower fits: the name without filler, a part of it, a synonym (1).
pub(super) const EXACT: u8 = 4;

/// What some words of the question may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mention {
    /// The words as written.
    pub text: String,
    /// Tables, each with its fit.
    pub tables: Vec<(usize, u8)>,
    /// Columns, each with its fit.
    pub columns: Vec<(At, u8)>,
    /// Columns that hold the value, with its spelling there.
    pub values: Vec<(At, String)>,
    /// Only views have a column of this name.
    pub only_views: bool,
}

impl Mention {
    pub fn fit(&self) -> u8 {
        let tables = self.tables.iter().map(|(_, fit)| *fit);
        tables.chain(self.columns.iter().map(|(_, fit)| *fit)).max().unwrap_or(0)
    }
}

/// Names and values of the schema that share words with the question.
pub(super) struct Lexicon {
    tables: HashMap<String, Vec<(usize, u8)>>,
    columns: HashMap<String, Vec<(At, u8)>>,
    values: HashMap<String, Vec<(At, String)>>,
    views: HashSet<usize>,
}

impl Lexicon {
    pub fn new(schema: &Schema, found: &[Found], tokens: &[Token], stems: &Stems) -> Self {
        let mut asked: HashSet<String> = HashSet::new();
        let mut starts: HashSet<(char, char)> = HashSet::new();
        for token in tokens {
            if let Some(others) = synonym(&token.stem) {
                asked.extend(others.iter().flat_map(|other| other.split(' ')).map(str::to_owned));
            }
            asked.insert(token.stem.clone());
            starts.insert(start(&token.low));
            for country in country_of(&token.low) {
                starts.insert(start(country));
            }
        }
        // Every run of words in the question. Only stored values among them are kept.
        let mut phrases: HashSet<String> = HashSet::new();
        for i in 0..tokens.len() {
            for length in 1..=LONGEST {
                let words: Vec<&str> = tokens.iter().skip(i).take(length).map(|token| token.low.as_str()).collect();
                phrases.insert(plain(&words.join(" ")));
            }
            phrases.extend(
                tokens.get(i).into_iter().flat_map(|token| country_of(&token.low)).map(|country| (*country).to_owned()),
            );
        }
        let mut known: HashMap<String, String> = HashMap::new();
        let mut stem_all = |name: &str| -> Vec<String> {
            let words = name_words(name).into_iter().filter(|word| word != "of" && word != "the");
            words.map(|word| known.entry(word).or_insert_with_key(|word| stems.of(word)).clone()).collect()
        };
        let mut lexicon =
            Self { tables: HashMap::new(), columns: HashMap::new(), values: HashMap::new(), views: HashSet::new() };
        lexicon.views.extend((0..schema.tables().len()).filter(|t| schema.is_view(*t)));
        for t in 0..schema.tables().len() {
            let own = stem_all(schema.bare(t));
            lexicon.add_table(t, &own, &asked);
            for (at, column) in schema.columns(t) {
                if !column.masked {
                    lexicon.add_column(at, &stem_all(&column.name), &own, &asked);
                }
                for value in &column.values {
                    if starts.contains(&start(value)) && value.len() <= 80 {
                        lexicon.add_value(at, value, &phrases);
                    }
                }
            }
        }
        for Found { at, value, phrase } in found {
            lexicon.values.entry(plain(phrase)).or_default().push((*at, value.clone()));
        }
        lexicon
    }

    fn add_table(&mut self, t: usize, own: &[String], asked: &HashSet<String>) {
        if !own.iter().any(|stem| asked.contains(stem)) {
            return;
        }
        let mut put = |stems: &[&String], fit: u8| {
            if !stems.is_empty() {
                let entry = self.tables.entry(key(stems)).or_default();
                if !entry.iter().any(|(known, _)| *known == t) {
                    entry.push((t, fit));
                }
            }
        };
        put(&own.iter().collect::<Vec<_>>(), EXACT);
        let bare: Vec<&String> = own
            .iter()
            .filter(|stem| {
                !matches!(stem.as_str(), "tbl" | "dim" | "fact" | "t" | "tb" | "data" | "tabl" | "info" | "record")
            })
            .collect();
        put(&bare, EXACT - 1);
        if own.len() > 1 {
            put(&own.iter().rev().take(1).collect::<Vec<_>>(), EXACT - 2);
            put(&own.iter().take(1).collect::<Vec<_>>(), EXACT - 3);
        }
    }

    fn add_column(&mut self, at: At, stems: &[String], own: &[String], asked: &HashSet<String>) {
        if !stems.iter().any(|stem| asked.contains(stem)) {
            return;
        }
        let mut put = |stems: &[&String], fit: u8| {
            if !stems.is_empty() {
                let entry = self.columns.entry(key(stems)).or_default();
                if !entry.iter().any(|(known, _)| *known == at) {
                    entry.push((at, fit));
                }
            }
        };
        let all: Vec<&String> = stems.iter().collect();
        let foreign: Vec<&String> = all.iter().copied().filter(|stem| !own.contains(stem)).collect();
        let lean = |list: &[&String]| -> Vec<String> {
            list.iter().filter(|stem| !is_filler_of_names(stem)).map(|stem| (*stem).clone()).collect()
        };
        put(&all, EXACT);
        put(&foreign, EXACT - 1);
        if stems.iter().all(|stem| stem == "id") {
            put(&own.iter().chain(stems).collect::<Vec<_>>(), EXACT);
        }
        put(&lean(&all).iter().collect::<Vec<_>>(), EXACT - 1);
        put(&lean(&foreign).iter().collect::<Vec<_>>(), EXACT - 2);
        let phone = "phone".to_owned();
        if let Some(place) = stems.iter().find(|stem| matches!(stem.as_str(), "cell" | "mobil" | "home" | "work"))
            && stems.iter().any(|stem| stem == "number")
        {
            put(&[place, &phone], EXACT - 1);
        }
        // "type" for `charge_type` of charges is covered above; "status" for `order_status_code` as well.
        if foreign.len() > 1 && foreign.last().is_some_and(|stem| stem.as_str() == "name" || stem.as_str() == "id") {
            put(&foreign.iter().copied().take(foreign.len() - 1).collect::<Vec<_>>(), EXACT - 2);
        }
    }

    fn add_value(&mut self, at: At, value: &str, phrases: &HashSet<String>) {
        let words = plain(value);
        let number = words.parse::<f64>().is_ok();
        if words.chars().count() < 2 || number || !phrases.contains(&words) {
            return;
        }
        self.values.entry(words).or_default().push((at, value.to_owned()));
    }

    /// The longest phrase from token `i` on that names something, and the number of its tokens.
    pub fn mention_at(&self, tokens: &[Token], i: usize) -> Option<(Mention, usize)> {
        for length in (1..=LONGEST).rev() {
            let part: Vec<&Token> = tokens.iter().skip(i).take(length).collect();
            let words = part.iter().all(|token| matches!(token.kind, TokenKind::Word | TokenKind::Number(_)));
            let edge = |token: Option<&&Token>| token.is_some_and(|token| matches!(token.low.as_str(), "of" | "the"));
            if part.len() < length || !words || edge(part.first()) || edge(part.last()) {
                continue;
            }
            let mention = self.mention(&part);
            if mention.fit() > 0 || !mention.values.is_empty() {
                return Some((mention, length));
            }
        }
        None
    }

    fn mention(&self, part: &[&Token]) -> Mention {
        let text = part.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        let low = plain(&text);
        let stems: Vec<&String> =
            part.iter().filter(|token| token.low != "of" && token.low != "the").map(|token| &token.stem).collect();
        let numbers_only = part.iter().all(|token| matches!(token.kind, TokenKind::Number(_)));
        let mut mention = Mention { text, ..Mention::default() };
        if numbers_only {
            return mention;
        }
        let wanted = key(&stems);
        mention.tables = self.tables.get(&wanted).cloned().unwrap_or_default();
        mention.columns = self.columns.get(&wanted).cloned().unwrap_or_default();
        // "listed" names no table `model_list`.
        if low.ends_with("ed") {
            mention.tables.retain(|(_, fit)| *fit + 1 >= EXACT);
        }
        let base = mention.tables.iter().any(|(t, _)| !self.views.contains(t))
            || mention.columns.iter().any(|(at, _)| !self.views.contains(&at.0));
        if base {
            // Views repeat the columns of tables.
            mention.columns.retain(|(at, _)| !self.views.contains(&at.0));
        }
        mention.only_views = mention.columns.iter().all(|(at, _)| self.views.contains(&at.0));
        mention.values = self.values.get(&low).cloned().unwrap_or_default();
        for country in country_of(&low) {
            mention.values.extend(self.values.get(*country).cloned().unwrap_or_default());
        }
        if mention.fit() == 0 && mention.values.is_empty() {
            self.by_synonym(&stems, &mut mention);
        }
        mention
    }

    fn by_synonym(&self, stems: &[&String], mention: &mut Mention) {
        for (n, stem) in stems.iter().enumerate() {
            for other in synonym(stem).unwrap_or_default() {
                let mut words: Vec<String> = stems.iter().map(|stem| (*stem).clone()).collect();
                if let Some(word) = words.get_mut(n) {
                    *word = (*other).to_owned();
                }
                let words: Vec<String> = words.iter().flat_map(|word| word.split(' ')).map(str::to_owned).collect();
                let wanted = key(&words.iter().collect::<Vec<_>>());
                let fits = |fit: &u8| *fit + 1 >= EXACT;
                let tables = self.tables.get(&wanted).into_iter().flatten().filter(|(_, fit)| fits(fit));
                mention.tables.extend(tables.map(|(t, _)| (*t, 1)));
                let columns = self.columns.get(&wanted).into_iter().flatten().filter(|(_, fit)| fits(fit));
                mention.columns.extend(columns.map(|(at, _)| (*at, 1)));
            }
        }
    }
}

/// Order of words does not matter: "date of birth" is `birth_date`.
fn key(stems: &[&String]) -> String {
    let mut words: Vec<&str> = stems.iter().map(|stem| stem.as_str()).collect();
    words.sort_unstable();
    words.join(" ")
}

/// Returns a value in lower case, its words separated by single spaces.
pub(super) fn plain(value: &str) -> String {
    let low = value.to_lowercase();
    low.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn start(word: &str) -> (char, char) {
    let mut chars = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    (chars.next().unwrap_or(' '), chars.next().unwrap_or(' '))
}
