//! Reads the items of a question into an [`Intent`]: which words ask, count, group, rank and filter.
//!
//! A single pass from left to right. What no rule reads becomes a doubt, and a doubt makes the engine abstain.

use super::intent::{ColumnRef, Filter, Intent, Key, Measure, RankBy, Target};
use super::items::{Item, Piece};
use super::lexicon::Mention;
use super::schema::Schema;
use super::windows::{Unit, Window};
use super::words::{Cue, Function};

pub(super) struct Parser<'a> {
    pub(super) pieces: &'a [Piece],
    pub(super) schema: Schema<'a>,
    pub(super) at: usize,
    pub(super) intent: Intent,
    /// Table that the next columns belong to: "the owner's first name and last name".
    pub(super) bind: Option<usize>,
    /// Whether "or" came just before.
    pub(super) or: bool,
    /// A number that came before a superlative: "the 3 oldest".
    pub(super) number: Option<u32>,
}

/// Reads the items.
pub(super) fn parse(pieces: &[Piece], schema: Schema) -> Intent {
    let mut parser = Parser { pieces, schema, at: 0, intent: Intent::default(), bind: None, or: false, number: None };
    while parser.at < pieces.len() {
        let before = parser.at;
        parser.step();
        if parser.at == before {
            parser.at += 1;
        }
    }
    if parser.or {
        parser.doubt("\"or\" without two sides");
    }
    if parser.number.is_some() {
        parser.intent.doubts.push("a number that nothing explains".to_owned());
    }
    parser.intent
}

impl<'a> Parser<'a> {
    pub(super) fn item(&self, at: usize) -> Option<&'a Item> {
        self.pieces.get(at).map(|piece| &piece.item)
    }

    pub(super) fn low(&self, at: usize) -> &'a str {
        self.pieces.get(at).map_or("", |piece| piece.low.as_str())
    }

    pub(super) fn text(&self, at: usize) -> String {
        self.pieces.get(at).map(|piece| piece.text.clone()).unwrap_or_default()
    }

    /// The first position from `at` on that is neither a filler nor one of `skip`.
    pub(super) fn past(&self, mut at: usize, skip: &[Cue]) -> usize {
        while let Some(Item::Cue(cue)) = self.item(at) {
            if *cue != Cue::Stop && !skip.contains(cue) {
                break;
            }
            at += 1;
        }
        at
    }

    pub(super) fn doubt(&mut self, why: impl Into<String>) {
        self.intent.doubts.push(why.into());
    }

    pub(super) fn aggregated(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.item, Item::Cue(Cue::Count | Cue::Agg(_) | Cue::Revenue)))
    }

    fn step(&mut self) {
        let Some(item) = self.item(self.at) else { return };
        match item {
            Item::Cue(cue) => self.cue(*cue),
            Item::Mention(mention) => self.mention(mention),
            Item::Window(window) => {
                self.at += 1;
                self.window(window.clone());
            }
            Item::Number(number) => self.bare_number(*number),
            Item::Unit(Unit::Year)
                if matches!(self.item(self.past(self.at + 1, &[Cue::Prep])), Some(Item::Number(_))) =>
            {
                self.at = self.past(self.at + 1, &[Cue::Prep]);
                self.year();
            }
            Item::Every(unit) => {
                self.at += 1;
                self.intent.keys.push(Key::Unit(*unit));
            }
            Item::Unit(unit) if self.at > 0 && self.low(self.at - 1) == "which" => {
                self.at += 1;
                self.intent.keys.push(Key::Unit(*unit));
            }
            Item::Comma | Item::End => {
                if matches!(item, Item::End) {
                    self.bind = None;
                }
            }
            Item::Quoted | Item::Unit(_) | Item::Unknown | Item::Possessive => self.stray(),
        }
    }

    fn cue(&mut self, cue: Cue) {
        self.at += 1;
        match cue {
            Cue::Verb => {
                let verb = self.low(self.at - 1).to_owned();
                self.intent.verbs.push(verb);
            }
            Cue::Stop | Cue::Prep | Cue::And | Cue::Relative => {}
            Cue::Is => self.called(),
            Cue::List => self.intent.list = true,
            Cue::Which => {
                // In mid-sentence "who" begins a clause: "customers who ordered".
                let opens = self.at < 2 || matches!(self.item(self.at - 2), Some(Item::End | Item::Comma));
                self.intent.which |= opens;
            }
            Cue::Distinct => self.intent.distinct = true,
            Cue::Or => {
                self.or = true;
                let next = self.past(self.at, &[Cue::Prep]);
                let fits = matches!(
                    self.item(next),
                    Some(Item::Mention(_) | Item::Number(_) | Item::Window(_) | Item::Quoted)
                );
                if !fits {
                    self.doubt("the word \"or\"");
                }
            }
            Cue::Count => self.count(),
            Cue::Agg(function) => self.aggregate(function),
            Cue::Revenue => {
                self.intent.measures.push(Measure { function: Some(Function::Sum), target: Target::Revenue })
            }
            Cue::Most { desc } => self.most(desc),
            Cue::Superlative { desc, quality } => {
                let to = self.past(self.at, &[]);
                if self.low(to) == "to"
                    && matches!(self.item(self.past(to + 1, &[])), Some(Item::Cue(Cue::Superlative { .. })))
                {
                    self.at = self.past(to + 1, &[]) + 1;
                    self.direct(desc, RankBy::Quality(quality));
                } else {
                    self.rank(RankBy::Quality(quality), desc);
                }
            }
            Cue::Top { desc } => self.rank(RankBy::Unstated, desc),
            Cue::Each => self.keys(),
            Cue::By => self.by(),
            Cue::OrderBy => self.order(),
            Cue::Direction { desc } => {
                let of = self.past(self.at, &[]);
                if matches!(self.low(of), "of" | "by") {
                    self.at = of + 1;
                    self.order();
                }
                match &mut self.intent.order {
                    Some((_, down)) => *down = desc,
                    None => self.doubt("an order without a column"),
                }
            }
            Cue::Compare(op) => self.compare(op, None),
            Cue::CompareQuality(op, quality) => match self.item(self.past(self.at, &[])) {
                Some(Item::Number(value)) => {
                    self.at = self.past(self.at, &[]) + 1;
                    if matches!(self.item(self.at), Some(Item::Unit(Unit::Year))) {
                        self.at += 1;
                    }
                    self.currency();
                    self.intent.filters.push(Filter::Quality { quality, op, value: *value });
                }
                _ => self.doubt("a comparison without a number"),
            },
            Cue::Between => self.between(None),
            Cue::Before | Cue::After | Cue::Since => self.time(cue),
            Cue::OrLater => match self.intent.window.take() {
                Some(window) => self.intent.window = Some(window.since()),
                None => self.doubt("\"or later\""),
            },
            Cue::OrEarlier => match self.intent.window.take() {
                Some(window) => self.intent.window = Some(window.until()),
                None => self.doubt("\"or earlier\""),
            },
            Cue::GoingBy => match self.column_here() {
                Some(column) => self.intent.going_by = Some(column),
                None => self.doubt("\"going by\" without a column"),
            },
            Cue::Spend => {
                let next = self.past(self.at, &[]);
                let most = matches!(self.item(next), Some(Item::Cue(Cue::Most { .. })));
                if most {
                    self.at = next + 1;
                    if self.low(self.past(self.at, &[])) == "money" {
                        self.at = self.past(self.at, &[]) + 1;
                    }
                    self.rank(
                        RankBy::Measure(Measure { function: Some(Function::Sum), target: Target::Revenue }),
                        true,
                    );
                } else {
                    let word = self.text(self.at - 1);
                    self.doubt(format!("the word \"{word}\""));
                }
            }
            Cue::OrBeyond(_) | Cue::Beyond => {
                let word = self.text(self.at - 1);
                // "the dogs they own", "who operated it": the pronoun refers to a table named before.
                let verb = |at: usize| matches!(self.item(at), Some(Item::Cue(Cue::Verb)));
                let pronoun = matches!(self.low(self.at - 1), "they" | "it" | "them");
                if pronoun && !self.intent.tables.is_empty() && (verb(self.at) || self.at > 1 && verb(self.at - 2)) {
                    return;
                }
                // "The monthly revenue trend" is one value for each month.
                let has_step = self.pieces.iter().any(|piece| matches!(piece.item, Item::Every(_) | Item::Unit(_)));
                if has_step && matches!(self.low(self.at - 1), "trend" | "trends") {
                    return;
                }
                let denies = matches!(
                    self.low(self.at - 1),
                    "never" | "without" | "no" | "not" | "don't" | "didn't" | "doesn't"
                );
                let first = self.intent.denied_by.is_none() && !self.intent.tables.is_empty();
                if matches!(cue, Cue::Beyond) && denies && first {
                    self.intent.denied_by = Some(word);
                    return;
                }
                self.doubt(format!("\"{word}\""));
            }
        }
    }

    /// Adds the table to the tables of the question. A name that fits several tables is a doubt.
    pub(super) fn table_of(&mut self, mention: &Mention) -> Option<usize> {
        let best = mention.tables.iter().map(|(_, fit)| *fit).max()?;
        let mut tables: Vec<usize> = mention.tables.iter().filter(|(_, fit)| *fit == best).map(|(t, _)| *t).collect();
        if tables.iter().any(|&t| !self.schema.is_view(t)) {
            tables.retain(|&t| !self.schema.is_view(t));
        }
        let first = tables.first().copied()?;
        if tables.len() > 1 {
            self.doubt(format!("\"{}\" may be any of {} tables", mention.text, tables.len()));
        }
        if best < 3 {
            let name = &self.schema.table(first).name;
            self.intent.assumptions.push(format!("\"{}\" read as the table {name}", mention.text));
            self.intent.has_loose_table = true;
        }
        if !self.intent.tables.contains(&first) {
            self.intent.tables.push(first);
        }
        if mention.text.ends_with(['s', 'S']) || mention.text.ends_with("people") {
            self.intent.text_plural.push(first);
        }
        Some(first)
    }

    /// Whether the mention is a table rather than a column.
    pub(super) fn is_table(&self, mention: &Mention) -> bool {
        let tables = mention.tables.iter().map(|(_, fit)| *fit).max().unwrap_or(0);
        let columns = mention.columns.iter().map(|(_, fit)| *fit).max().unwrap_or(0);
        tables > 0 && tables >= columns
    }

    /// Reads the column at the current position, perhaps after its table ("dog name", "the owner's name"), and moves
    /// on.
    pub(super) fn column_here(&mut self) -> Option<ColumnRef> {
        let mut at = self.past(self.at, &[]);
        let Some(Item::Mention(mention)) = self.item(at) else { return None };
        if self.is_table(mention) {
            let next = if matches!(self.item(at + 1), Some(Item::Possessive)) { at + 2 } else { at + 1 };
            let Some(Item::Mention(column)) = self.item(next) else { return None };
            let own = self.named(mention, column) || matches!(self.item(at + 1), Some(Item::Possessive));
            if column.columns.is_empty() || !own || self.is_event(next, column) {
                return None;
            }
            let table = self.table_of(mention)?;
            self.at = next + 1;
            return Some(ColumnRef {
                text: column.text.clone(),
                candidates: column.columns.clone(),
                bound: Some(table),
            });
        }
        if mention.columns.is_empty() {
            return None;
        }
        at += 1;
        self.at = at;
        let mut column = ColumnRef { text: mention.text.clone(), candidates: mention.columns.clone(), bound: None };
        // "name of the owner"
        let of = self.past(at, &[]);
        if self.low(of) == "of"
            && let Some(Item::Mention(table)) = self.item(self.past(of + 1, &[]))
            && self.is_table(table)
        {
            column.bound = self.table_of(table);
            self.at = self.past(of + 1, &[]) + 1;
        }
        Some(column)
    }

    pub(super) fn window(&mut self, window: Window) {
        let or = std::mem::take(&mut self.or);
        self.intent.window = match self.intent.window.take() {
            None => Some(window),
            Some(known) => match known.clone().or(window).filter(|_| or) {
                Some(both) => Some(both),
                None => {
                    self.doubt("two time windows");
                    Some(known)
                }
            },
        };
    }
}
