//! Reads a question as a frame: what is shown, of what, under which conditions, grouped and ordered how.
//!
//! The reader goes through the question once, from left to right. Each word needs a part in the frame. A word without a
//! part becomes a doubt.

mod atoms;
mod clauses;
mod compare;
mod finish;
mod named;
mod names;
mod phrases;
mod superlatives;

pub(super) use atoms::atoms;
use compare::year_window;

use super::cues::{self, Cue, Function, Op};
use super::link::{Linker, Mention, OTHER_WORD, ROLE, WHOLE, is_joined_key, related};
use super::measures;
use super::schema::{At, Holds, Schema, singulars};
use super::text::{Token, TokenKind, name_words};
use super::windows::{Unit, Window, count_word, measure_unit, unit, window_at, year_of};

/// A piece of the question with all its possible meanings.
#[derive(Clone, Debug, Default)]
pub(super) struct Atom {
    pub text: String,
    pub low: String,
    pub stem: String,
    pub cues: Vec<Cue>,
    pub mention: Option<Mention>,
    pub number: Option<f64>,
    pub window: Option<Window>,
    pub is_stop: bool,
    /// A table that a verb names: `treatments` for "treated".
    pub verb: Option<Mention>,
}

/// Something shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Attribute(Mention),
    Entity(Mention),
    Aggregate(Function, Mention),
    /// Number of rows of a table, or of values of a column. True if different values are asked for.
    Count(Mention, bool),
    /// What was earned or spent.
    Revenue(Function),
}

/// A condition on rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A stored value, with the column that the question names, if it names one.
    Value(Option<Mention>, Mention),
    Compare(Mention, Op, Literal),
    /// A column that says yes or no: "active members".
    Flag(Mention),
    /// Rows of this table belong to the row.
    Has(Mention),
    /// The number of rows of this table that belong to the row, compared with a number.
    Counted(Mention, Op, f64),
    /// Compared with the average of the column.
    Average(Mention, Op),
    /// Compared with another column of the same row.
    Columns(Mention, Op, Mention),
    Between(Mention, f64, f64),
    During(Window, Option<Mention>),
    /// The column has a value: "loans returned", "who have an email".
    Known(Mention),
    /// An adjective tells the column: "older than 30".
    By(Vec<String>, Op, f64),
    /// The same, compared with the average: "lighter than the average".
    AverageBy(Vec<String>, Op),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub what: What,
    pub is_negated: bool,
    /// True if one of two conditions is enough: this condition, or the condition before it.
    pub is_alternative: bool,
    /// Words before it that tell which key is meant: "arriving", "from".
    pub words: Vec<String>,
    /// True in a clause with "who" or "that" after the table that the question named last.
    pub is_relative: bool,
    /// Number of tables that the question named before this condition. The condition is about the last of them.
    pub about: usize,
}

/// What rows are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Attribute(Mention),
    /// An aggregate of the rows that belong to a row or a group: "the highest average price".
    Aggregate(Function, Mention),
    /// The words of an adjective, which are stems of column names.
    By(Vec<String>),
    /// Number of rows of a table. `None`: number of the listed rows.
    Count(Option<Mention>),
    Revenue,
}

/// "Best customers", which does not say by which measure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vague {
    pub table: Mention,
    /// Number of rows.
    pub limit: u32,
    /// The words to replace by a measure, as written. `None`: the measure replaces the whole question.
    pub phrase: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Frame {
    pub items: Vec<Item>,
    pub is_distinct: bool,
    /// Tables in the order of the question.
    pub entities: Vec<Mention>,
    pub groups: Vec<Mention>,
    pub bucket: Option<Unit>,
    pub conditions: Vec<Condition>,
    pub order: Vec<(Key, bool)>,
    pub limit: Option<u32>,
    /// True if the order comes from a superlative. Then only the first rows are the answer.
    pub is_superlative: bool,
    /// The column whose most frequent value is asked for. False for the least frequent value.
    pub common: Option<(Mention, bool)>,
    /// True for "all details of": all columns of the row are shown.
    pub is_whole: bool,
    /// True if the question asks for a percentage of rows.
    pub is_share: bool,
    /// Number of conditions before the verb. They say which rows are 100 percent. The conditions after the verb say
    /// which of these rows are counted. `None` until the verb is read.
    pub whole: Option<usize>,
    pub is_who: bool,
    pub asks_when: bool,
    /// "Who lives in Kotka".
    pub asks_home: bool,
    /// True for "What is each cinema called".
    pub asks_name: bool,
    /// True if the question says "both", which needs two conditions: "both A and B".
    pub is_both: bool,
    /// Words without a part, and their stems. They may be verbs for a table or column of the statement.
    pub loose: Vec<(String, String)>,
    pub vague: Option<Vague>,
    /// The date column for the times and the groups by time of the question, if the question names the column.
    pub dated: Option<Mention>,
    /// True if the superlative is "most" or "fewest". Then a measure is summed over the rows that belong to a row.
    pub is_most: bool,
    /// True if the question asks for the measure of its superlative: "and what is that average".
    pub shows_key: bool,
    /// True for "over time", which needs groups by time but names no unit.
    pub wants_bucket: bool,
    /// Stems of verbs that say that two things belong together.
    pub verbs: Vec<String>,
    pub doubts: Vec<String>,
}

pub(super) struct Reader<'a> {
    atoms: Vec<Atom>,
    at: usize,
    schema: Schema<'a>,
    frame: Frame,
    /// Words since the last condition. They may tell which of two keys is meant ("arriving").
    words: Vec<String>,
    is_negated: bool,
    is_alternative: bool,
    /// True after "either", which needs alternatives.
    has_either: bool,
    is_relative: bool,
    /// A column that was just named, for the comparison or the value that follows.
    named_column: Option<Mention>,
    /// True while what is shown is being named.
    is_head: bool,
    /// 5 in "the 5 customers with the most orders", until the superlative is read.
    pending_limit: Option<u32>,
    /// "How much" as written, until a verb such as "spend" is read.
    how_much: Option<String>,
}

impl<'a> Reader<'a> {
    pub fn new(atoms: Vec<Atom>, schema: Schema<'a>) -> Self {
        Self {
            atoms,
            at: 0,
            schema,
            frame: Frame::default(),
            words: Vec::new(),
            is_negated: false,
            is_alternative: false,
            has_either: false,
            is_relative: false,
            named_column: None,
            is_head: true,
            pending_limit: None,
            how_much: None,
        }
    }

    pub fn read(mut self) -> Frame {
        while self.at < self.atoms.len() {
            let before = self.at;
            self.step();
            if self.at == before {
                self.at += 1;
            }
        }
        if self.is_negated {
            self.remark("what \"not\" refers to".to_owned());
        }
        if self.has_either && !self.frame.conditions.iter().any(|condition| condition.is_alternative) {
            self.remark("what \"either\" refers to".to_owned());
        }
        if let Some(limit) = self.pending_limit {
            self.remark(format!("which {limit}"));
        }
        if let Some(how_much) = self.how_much.take() {
            self.doubt(how_much);
        }
        self.finish();
        self.frame
    }

    fn atom(&self, ahead: usize) -> Option<&Atom> {
        self.atoms.get(self.at + ahead)
    }

    /// The atom so many places before the current one.
    fn before(&self, back: usize) -> Option<&Atom> {
        self.at.checked_sub(back).and_then(|at| self.atoms.get(at))
    }

    fn has_before(&self, back: usize, cue: &Cue) -> bool {
        self.before(back).is_some_and(|atom| atom.cues.contains(cue))
    }

    fn has(&self, ahead: usize, cue: &Cue) -> bool {
        self.atom(ahead).is_some_and(|atom| atom.cues.contains(cue))
    }

    /// Records words that have no part in the frame.
    fn doubt(&mut self, why: String) {
        self.frame.doubts.push(format!("the word{} \"{why}\"", if why.contains(' ') { "s" } else { "" }));
    }

    fn remark(&mut self, why: String) {
        self.frame.doubts.push(why);
    }

    /// True if the atom before the last `back` atoms can stand only before a noun, or if there is none.
    fn begins_phrase(&self, back: usize) -> bool {
        self.before(back + 1).is_none_or(|before| {
            let is_one = |cue: &Cue| {
                matches!(
                    cue,
                    Cue::Open | Cue::Of | Cue::Count(_) | Cue::Agg(_) | Cue::Per | Cue::Sup(_) | Cue::Distinct
                )
            };
            before.cues.iter().any(is_one) || matches!(before.low.as_str(), "the" | "all" | "each" | "every" | "any")
        })
    }

    /// True if the atom ahead is surely the name of a table.
    fn is_table_at(&self, ahead: usize) -> bool {
        self.mention_at(ahead).is_some_and(|next| next.table_fit() > 0.8)
    }

    /// Distance to the next atom that is more than grammar.
    fn next_solid(&self, from: usize) -> usize {
        let mut ahead = from;
        while let Some(atom) = self.atom(ahead) {
            let is_soft = atom.low == "either"
                || atom.mention.is_none()
                    && atom.number.is_none()
                    && atom.window.is_none()
                    && !atom.cues.is_empty()
                    && atom.cues.iter().all(|cue| {
                        matches!(cue, Cue::Skip | Cue::Their | Cue::Of | Cue::Be | Cue::Distinct | Cue::Row)
                    });
            if !is_soft {
                break;
            }
            ahead += 1;
        }
        ahead
    }

    /// The place of the last noun of a compound: "models" of "car models".
    fn head_noun(&self, ahead: usize) -> usize {
        let is_table = |ahead: usize| self.mention_at(ahead).is_some_and(|mention| mention.table_fit() > 0.0);
        let follows = self
            .mention_at(ahead + 1)
            .is_some_and(|next| next.table_fit() > 0.0 && next.values.is_empty() && !next.ends_with_ed());
        if is_table(ahead) && follows { ahead + 1 } else { ahead }
    }

    fn mention_at(&self, ahead: usize) -> Option<&Mention> {
        self.atom(ahead).and_then(|atom| atom.mention.as_ref())
    }

    fn step(&mut self) {
        let Some(atom) = self.atom(0).cloned() else { return };
        // "What percentage of the orders of 2024 were cancelled": the conditions before the verb describe all rows.
        if self.frame.is_share
            && self.frame.whole.is_none()
            && (cues::is_link(&atom.stem)
                || atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Have | Cue::Not))
                || matches!(atom.low.as_str(), "was" | "were" | "did" | "do" | "does" | "been"))
        {
            self.frame.whole = Some(self.frame.conditions.len());
        }
        if atom.is_stop {
            self.at += 1;
            if atom.text != "," {
                self.is_alternative = false;
            }
            // After a colon, or in a new sentence of names alone, stands what is shown: "...: first name, last name".
            self.is_head |= atom.text == ":" || atom.text != "," && self.lists_columns();
            return;
        }
        // "The promised date", where the column is `promised`.
        let is_day = matches!(atom.low.as_str(), "date" | "dates" | "day" | "time" | "times");
        let is_date = |mention: &Mention| {
            // An arrival may be a text such as `7:50 pm`.
            let is_timely =
                |at: At| self.schema.is_date(at) || atom.low.starts_with("time") && !self.schema.is_number(at);
            let best = mention.best_column().filter(|(_, fit)| *fit > 0.8 && mention.table_fit() < 0.8);
            best.is_some_and(|(at, _)| is_timely(at))
        };
        if is_day && self.before(1).and_then(|before| before.mention.as_ref()).is_some_and(is_date) {
            self.at += 1;
            return;
        }
        if let Some(length) = self.unit_here() {
            self.at += length;
            return;
        }
        if let (true, Some(window)) = (self.is_from_on(), atom.window.clone().or(year_window(&atom))) {
            let column = self.named_column.take().filter(|column| self.is_timely(column)).or_else(|| self.shown_date());
            self.at += 2;
            return self.condition(What::During(window.since(), column));
        }
        if let Some(window) = atom.window {
            return self.window(window, 1);
        }
        if self.asks_for_key() || self.reads_clause() || self.more_than(&atom) || self.by_cue(&atom) {
            return;
        }
        // "Still open" means "open". In "still running" the verb names no column or value, so "still" is a doubt.
        if atom.low == "still" {
            self.at += 1;
            if !(0..=1).any(|ahead| self.mention_at(ahead).is_some()) {
                self.doubt(atom.text);
            }
            return;
        }
        let is_plain_number = atom.number.is_some()
            && atom.mention.as_ref().is_none_or(|mention| mention.table_fit() == 0.0 && mention.column_fit() == 0.0);
        if let (Some(number), true) = (atom.number, is_plain_number) {
            return self.numbered(number);
        }
        if let Some(mention) = atom.mention {
            return self.named(mention);
        }
        self.at += 1;
        if atom.cues.is_empty() {
            self.words.push(atom.low.clone());
            // A verb that only says that two things belong together needs no part of its own. "The places" is no verb.
            let is_noun = self.before(2).is_some_and(|before| {
                before.cues.iter().any(|cue| matches!(cue, Cue::Distinct | Cue::Of))
                    || matches!(before.low.as_str(), "the" | "a" | "an" | "each" | "every" | "which" | "what")
            });
            // "Open orders", "orders that are paid": a word for a state, which is no stored value.
            let follows_verb_to_be = self.before(2).is_some_and(|before| before.cues.contains(&Cue::Be));
            let is_last = self.atom(0).is_none_or(|next| next.is_stop);
            let is_state = self.says_state(&atom, is_last)
                || atom.verb.is_none()
                    && (follows_verb_to_be && is_last || self.begins_phrase(1) && self.is_table_at(0));
            let is_link = cues::is_link(&atom.stem)
                && !(is_noun && (atom.low.ends_with('s') || atom.low == "order" || self.is_thing(&atom)))
                && !is_state;
            if is_link {
                self.frame.verbs.push(atom.stem.clone());
            }
            // "dogs that were never treated".
            let verb = atom.verb.clone().or_else(|| self.sales_of_verb(&atom));
            // "singers who never sang in a concert": the verb only repeats the singers.
            let last = self.frame.entities.last().and_then(Mention::best_table).map(|(t, _)| t);
            let verb = verb.filter(|verb| last.is_none() || verb.best_table().map(|(t, _)| t) != last);
            if let (true, Some(verb)) = (self.is_negated && is_link, verb) {
                return self.condition(What::Has(verb));
            }
            let is_name = self.at > 1 && atom.text.chars().next().is_some_and(char::is_uppercase);
            if is_name {
                self.doubt(atom.text);
            } else if cues::roles(&atom.low).next().is_none() && !is_link {
                self.frame.loose.push((atom.text, atom.stem));
            }
        }
    }

    fn by_cue(&mut self, atom: &Atom) -> bool {
        // A name is preferred to a phrase, unless the phrase finds its object here.
        for cue in &atom.cues {
            let done = match cue {
                Cue::Count(distinct) => self.count(*distinct),
                Cue::Share => self.share(),
                Cue::Agg(function) => self.aggregate(*function) || atom.low == "on average" && self.averaged(),
                Cue::Sup(desc) => self.superlative(*desc),
                Cue::Common(desc) => self.common(*desc),
                Cue::By(desc, words) => self.adjective(*desc, words),
                Cue::Op(op) => self.compare(*op),
                Cue::OpBy(op, words) => self.compare_by(*op, words),
                Cue::OrOp(op) => self.or_compare(*op),
                Cue::Between => self.between(),
                Cue::Sort => self.sort(),
                Cue::Dir(desc) => self.direction(*desc),
                Cue::DirBy(desc, words) => {
                    self.frame.order = vec![(Key::By(words.clone()), *desc)];
                    self.at += 1;
                    true
                }
                Cue::Per => self.per(),
                Cue::After | Cue::Before | Cue::Since | Cue::Until => self.bounded(cue),
                Cue::Revenue => self.revenue(),
                Cue::Row => self.row(),
                Cue::Bucket(unit) => {
                    self.at += 1;
                    self.frame.bucket = Some(*unit);
                    self.dated_bucket();
                    true
                }
                Cue::By_ => self.ranked_by() || self.listed_by() || self.sorted_by() || self.grouped_by(),
                Cue::Dated => {
                    let ahead = self.next_solid(1);
                    let named = self.mention_at(ahead).cloned();
                    self.at += if named.is_some() { ahead + 1 } else { 1 };
                    self.frame.dated = named;
                    true
                }
                // "Which month had the most orders".
                Cue::Time if self.is_head && self.frame.items.is_empty() && self.frame.entities.is_empty() => {
                    let asks = self
                        .before(1)
                        .is_some_and(|atom| matches!(atom.low.as_str(), "which" | "what" | "in which" | "in what"));
                    let is_named = atom.mention.as_ref().is_some_and(|mention| mention.fit() > 0.8);
                    let unit = unit(&atom.low).filter(|_| asks && !is_named);
                    self.frame.bucket = self.frame.bucket.or(unit);
                    self.at += usize::from(unit.is_some());
                    unit.is_some()
                }
                Cue::Trend => {
                    self.at += 1;
                    self.frame.wants_bucket = true;
                    true
                }
                // "What share of orders in percent".
                Cue::Refuse if self.frame.is_share && matches!(atom.low.as_str(), "percent" | "percentage") => {
                    self.at += 1;
                    true
                }
                Cue::Refuse if atom.mention.as_ref().is_none_or(|mention| mention.fit() < WHOLE) => {
                    self.at += 1;
                    self.remark(format!("\"{}\" is beyond the built-in answerer", atom.text));
                    true
                }
                Cue::Change if self.frame.items.is_empty() => {
                    self.at += 1;
                    self.doubt(atom.text.clone());
                    true
                }
                _ => false,
            };
            if done {
                return true;
            }
        }
        if atom.mention.is_some() {
            return false;
        }
        if atom.cues.is_empty() {
            return false;
        }
        self.at += 1;
        self.is_relative |= atom.cues.contains(&Cue::That);
        for cue in &atom.cues {
            match cue {
                // "When was each race held, and in which city?"
                Cue::Open => {
                    self.is_head |= self.frame.items.is_empty() || self.starts_sentence() || self.follows_and_before(1)
                }
                Cue::Not => self.is_negated = true,
                Cue::Distinct => self.frame.is_distinct |= self.is_head,
                Cue::Or => {
                    self.is_alternative = atom.low != "either";
                    self.has_either |= !self.is_alternative;
                }
                Cue::Both => self.frame.is_both = true,
                // "Whose contract ends in 2027" asks for the owner of what is named.
                Cue::That if self.at == 1 && atom.low == "whose" => self.doubt(atom.text.clone()),
                Cue::Named if self.atom(0).is_none_or(|next| next.is_stop || next.cues.contains(&Cue::And)) => {
                    self.frame.asks_name = true;
                    self.is_head = self.is_head && self.frame.items.is_empty();
                }
                Cue::Have | Cue::That | Cue::Named => self.is_head = self.is_head && self.frame.items.is_empty(),
                Cue::Who if self.at == 1 => self.frame.is_who = true,
                Cue::When if self.at == 1 => self.frame.asks_when = true,
                Cue::Where if self.at == 1 => self.doubt(atom.text.clone()),
                // "... and where are they?" asks for more.
                Cue::When | Cue::Where if self.follows_and_before(1) || self.has_before(2, &Cue::Open) => {
                    self.show_time_or_place(atom)
                }
                Cue::Who if self.follows_and_before(1) => self.doubt(atom.text.clone()),
                // "What are the books about?"
                Cue::Of
                    if atom.low == "about"
                        && self.atom(0).is_none_or(|next| next.is_stop || next.cues.contains(&Cue::That)) =>
                {
                    self.doubt(atom.text.clone());
                }
                // "Is it a town or a village?"
                Cue::Be if self.asks_yes_or_no() => self.remark("a question that yes or no would answer".to_owned()),
                // The "year" of "show name and year" is a doubt. In "the year of 1970" it adds nothing to the number.
                Cue::Time if !self.is_of_number() => self.doubt(atom.text.clone()),
                Cue::Skip if atom.low == "to" => self.words.push(atom.low.clone()),
                Cue::In | Cue::By_ => {
                    self.words.push(atom.low.clone());
                    if self.frame.items.is_empty() && !self.frame.entities.is_empty() {
                        self.is_head = false;
                    }
                }
                Cue::Agg(Function::Sum) if atom.low == "how much" && self.how_much.is_none() => {
                    self.how_much = Some(atom.text.clone());
                }
                Cue::Sup(_)
                | Cue::Common(_)
                | Cue::By(..)
                | Cue::Agg(_)
                | Cue::Count(_)
                | Cue::Share
                | Cue::Op(_)
                | Cue::OpBy(..)
                | Cue::Between
                | Cue::Sort
                | Cue::Per
                | Cue::After
                | Cue::Before
                | Cue::Since
                | Cue::Until
                | Cue::Revenue
                    if !self.is_soft_too(&atom.cues) =>
                {
                    self.doubt(atom.text.clone());
                }
                _ => {}
            }
        }
        true
    }

    fn starts_sentence(&self) -> bool {
        self.at >= 2 && self.atoms.get(self.at - 2).is_some_and(|atom| atom.is_stop && atom.text != ",")
    }

    fn condition(&mut self, what: What) {
        let condition = Condition {
            what,
            is_negated: std::mem::take(&mut self.is_negated),
            is_alternative: std::mem::take(&mut self.is_alternative),
            words: std::mem::take(&mut self.words),
            is_relative: self.is_relative,
            about: self.frame.entities.len(),
        };
        self.frame.conditions.push(condition);
        self.is_head = false;
    }

    fn show(&mut self, item: Item) {
        if !self.frame.items.contains(&item) {
            self.frame.items.push(item);
        }
    }

    fn entity(&mut self, mention: Mention) {
        let best = |mention: &Mention| mention.best_table().map(|(t, _)| t);
        self.is_relative = false;
        if !self.frame.entities.iter().any(|known| best(known) == best(&mention)) {
            self.frame.entities.push(mention);
        }
    }
}
