//! The parser's rules for names: what a table, column or value means at its position.

use super::intent::{ColumnRef, Filter, Given};
use super::items::Item;
use super::lexicon::Mention;
use super::parse::Parser;
use super::schema::Holds;
use super::windows::year_of;
use super::words::{Cue, Op};

impl Parser<'_> {
    /// Handles a word that nothing explains: a place name perhaps, else a doubt.
    pub(super) fn stray(&mut self) {
        let text = self.text(self.at);
        let after_place = self.at > 0 && matches!(self.low(self.at - 1), "in" | "from" | "at");
        let capital = self.pieces.get(self.at).is_some_and(|piece| piece.capital);
        if after_place && capital && matches!(self.item(self.at), Some(Item::Unknown)) {
            let mut name = text;
            while self.pieces.get(self.at + 1).is_some_and(|next| next.capital && next.item == Item::Unknown) {
                self.at += 1;
                name = format!("{name} {}", self.text(self.at));
            }
            self.at += 1;
            self.intent.filters.push(Filter::Place(name));
        } else {
            self.doubt(format!("the word \"{text}\""));
        }
    }

    pub(super) fn mention(&mut self, mention: &Mention) {
        let here = self.at;
        let fit = mention.fit();
        if self.is_event(here, mention) {
            self.at += 1;
            if self.is_table(mention) {
                self.related(mention);
            } else {
                self.intent.date =
                    Some(ColumnRef { text: mention.text.clone(), candidates: mention.columns.clone(), bound: None });
            }
            return;
        }
        let placed = here > 0 && matches!(self.low(here - 1), "in" | "from" | "at");
        let word = self.low(here);
        let verb = matches!(super::words::cue(word), Some(Cue::Verb));
        let said = matches!(
            self.low(here.wrapping_sub(1)),
            "is" | "are" | "was" | "were" | "been" | "that are" | "that were" | "which are" | "which were" | "that is"
        );
        if said
            && word.ends_with("ed")
            && !self.is_table(mention)
            && mention.columns.iter().any(|(at, _)| self.schema.is_date(*at))
        {
            self.at += 1;
            return self.doubt(format!("whether \"{word}\" is a state or a date"));
        }
        if verb && mention.values.is_empty() && !self.is_table(mention) && fit < 4 {
            self.at += 1;
            return self.intent.verbs.push(word.to_owned());
        }
        if !mention.values.is_empty() && (fit < 3 || (placed || verb) && fit < 4) {
            self.at += 1;
            let timed = matches!(self.item(self.past(self.at, &[Cue::Prep])), Some(Item::Window(_) | Item::Number(_)));
            if timed && word.ends_with("ed") {
                self.intent.assumptions.push(format!("no date of \"{word}\" is kept"));
            }
            self.stored(mention.values.clone());
        } else if self.is_table(mention) && !self.owned(mention) {
            self.table(mention);
        } else {
            self.column(mention);
        }
    }

    /// Whether a mention that may be a table is a column of the table after it: "the size of the dog".
    pub(super) fn owned(&self, mention: &Mention) -> bool {
        let of = self.past(self.at + 1, &[]);
        let owner = self.past(of + 1, &[]);
        self.low(of) == "of"
            && matches!(self.item(owner), Some(Item::Mention(owner))
                if owner.tables.iter().any(|(t, fit)| *fit >= 3 && mention.columns.iter().any(|(at, fit)| at.0 == *t && *fit >= 2)))
    }

    /// Whether the mention is a verb that picks a date column: "shipped last month".
    pub(super) fn is_event(&self, here: usize, mention: &Mention) -> bool {
        let dated = mention.columns.iter().any(|(at, _)| self.schema.is_date(*at));
        let window_near = (here + 1..=here + 3).chain(here.checked_sub(1)).any(|at| {
            matches!(self.item(at), Some(Item::Window(_) | Item::Cue(Cue::Before | Cue::After | Cue::Since)))
                || matches!(self.item(at), Some(Item::Number(n)) if year_of(*n).is_some())
        });
        let verb = matches!(self.low(here), low if low.ends_with("ed") || matches!(low, "paid" | "sold" | "written" | "sent" | "built" | "born" | "made" | "signed up"));
        // "did we ship last week": the column `shipped_at` without its preposition.
        let bare = !self.is_table(mention)
            && !mention.text.contains(' ')
            && mention.columns.iter().all(|(at, fit)| *fit < 4 && self.schema.is_date(*at));
        dated && (verb || bare) && window_near
    }

    /// A verb that names a table: "customers who ordered".
    pub(super) fn related(&mut self, mention: &Mention) {
        if let Some(t) = self.table_of(mention)
            && !self.intent.entities.contains(&t)
        {
            self.intent.entities.push(t);
        }
    }

    pub(super) fn table(&mut self, mention: &Mention) {
        let here = self.at;
        self.at += 1;
        let Some(t) = self.table_of(mention) else { return };
        if matches!(self.item(here.wrapping_sub(1)), Some(Item::Mention(before)) if self.is_table(before)) {
            self.doubt(format!("\"{}\" right after another table", mention.text));
        }
        if std::mem::take(&mut self.or) {
            self.doubt("\"or\" between tables");
        }
        if !self.intent.entities.contains(&t) {
            self.intent.entities.push(t);
        }
        let listed = (1..=3).map_while(|back| here.checked_sub(back)).find_map(|at| match self.item(at) {
            Some(Item::Cue(Cue::Stop)) => None,
            Some(Item::Cue(Cue::And) | Item::Comma) => Some(true),
            _ => Some(false),
        });
        let owns = matches!(self.item(self.at), Some(Item::Possessive | Item::Mention(_)));
        let before = self.low(here.wrapping_sub(1));
        let lead = self.low(here.wrapping_sub(2));
        let shown = matches!(before, "and their" | "and its")
            || matches!(before, "their" | "its") && matches!(lead, "and" | "with" | ",")
            || before == "the" && lead == "and";
        if shown && !owns && self.intent.measures.is_empty() && self.intent.rank.is_none() {
            return self.show(t);
        }
        if listed == Some(true) && !owns && !(self.intent.project.is_empty() && self.intent.measures.is_empty()) {
            self.doubt(format!("\"{}\" in a list of columns", mention.text));
        }
        let preposition = (1..=3).map_while(|back| here.checked_sub(back)).find_map(|at| match self.item(at) {
            Some(Item::Cue(Cue::Stop)) => None,
            Some(Item::Cue(Cue::Prep | Cue::By)) => Some(true),
            _ => Some(false),
        });
        if preposition == Some(true) {
            let schema = self.schema;
            for column in self.intent.project.iter_mut().filter(|column| column.bound.is_none()) {
                if column.candidates.iter().any(|(at, _)| at.0 == t) || schema.columns(t).count() == 0 {
                    column.bound = Some(t);
                }
            }
        }
        if matches!(self.item(self.at), Some(Item::Possessive)) {
            self.at += 1;
            self.bind = Some(t);
        } else {
            let compound = matches!(self.item(self.at), Some(Item::Mention(next))
                if !self.is_table(next) && next.columns.iter().any(|(at, _)| at.0 == t));
            self.bind = compound.then_some(t);
        }
    }

    /// "products with their category": shows the columns that stand for a row of each table.
    pub(super) fn show(&mut self, t: usize) {
        self.intent.entities.retain(|known| *known != t);
        let first = self.intent.entities.first().copied().filter(|_| self.intent.project.is_empty());
        for table in first.into_iter().chain([t]) {
            for at in self.schema.display(table) {
                let text = self.schema.column(at).name.clone();
                self.intent.project.push(ColumnRef { text, candidates: vec![(at, 4)], bound: Some(table) });
            }
        }
    }

    pub(super) fn column(&mut self, mention: &Mention) {
        let here = self.at;
        let owned = self.owned(mention);
        self.at += 1;
        let mut column =
            ColumnRef { text: mention.text.clone(), candidates: mention.columns.clone(), bound: self.bind };
        let joined = matches!(
            self.item(here.wrapping_sub(1)),
            Some(Item::Comma | Item::Possessive | Item::Mention(_) | Item::Cue(Cue::And | Cue::Stop))
        );
        if !joined || owned {
            column.bound = None;
            self.bind = None;
        }
        // "the state whose name contains 'North'": "name" means the column before it.
        if mention.text.eq_ignore_ascii_case("name")
            && matches!(self.item(here.wrapping_sub(1)), Some(Item::Cue(Cue::Relative)))
            && let Some(Item::Mention(owner)) = self.item(here.wrapping_sub(2))
            && !self.is_table(owner)
            && self.intent.project.last().is_some_and(|last| last.text == owner.text)
            && let Some(last) = self.intent.project.pop()
        {
            column = last;
        }
        let next = self.past(self.at, &[Cue::Is, Cue::Relative, Cue::Prep]);
        let straight = self.past(self.at, &[Cue::Is]);
        match self.item(next) {
            Some(Item::Cue(Cue::Compare(op))) => {
                self.at = next + 1;
                return self.compare(*op, Some(column));
            }
            Some(Item::Cue(Cue::Between)) => {
                self.at = next + 1;
                return self.between(Some(column));
            }
            Some(Item::Mention(value)) => {
                let held: Vec<_> = value
                    .values
                    .iter()
                    .filter(|(at, _)| column.candidates.iter().any(|(known, _)| known == at))
                    .cloned()
                    .collect();
                if !held.is_empty() {
                    self.at = next + 1;
                    return self.stored(held);
                }
            }
            // In `abbreviations in "USA"` the text is no abbreviation.
            Some(Item::Quoted) if !matches!(self.low(next.wrapping_sub(1)), "in" | "from" | "at") => {
                let value = self.text(next);
                self.at = next + 1;
                return self.compared(column, Op::Eq, Given::Text(value));
            }
            Some(Item::Number(number)) => {
                let year =
                    column.candidates.iter().any(|(at, _)| self.schema.is_year(*at)) && year_of(*number).is_some();
                if year {
                    self.at = next;
                    return self.year();
                }
                if straight == next || self.low(next.wrapping_sub(1)) == "of" {
                    self.at = next + 1;
                    return self.beyond(column, *number);
                }
            }
            _ => {}
        }
        let stated = matches!(self.low(straight.wrapping_sub(1)), "is" | "named" | "called" | "titled");
        if stated && self.pieces.get(straight).is_some_and(|piece| piece.item == Item::Unknown && piece.capital) {
            let value = self.text(straight);
            self.at = straight + 1;
            return self.compared(column, Op::Eq, Given::Text(value));
        }
        let said = matches!(
            self.low(here.wrapping_sub(1)),
            "were"
                | "are"
                | "was"
                | "is"
                | "that were"
                | "that are"
                | "who are"
                | "who were"
                | "which are"
                | "which were"
                | "that is"
                | "been"
        );
        let flag = column.candidates.iter().any(|(at, _)| self.is_flag(*at));
        if flag && said {
            return self.compared(column, Op::Eq, Given::True);
        }
        if matches!(self.item(self.past(self.at, &[])), Some(Item::Cue(Cue::Before | Cue::After | Cue::Since)))
            && column.candidates.iter().any(|(at, _)| self.schema.is_date(*at))
        {
            self.intent.date = Some(column);
            return;
        }
        if self.aside(here) && self.low(self.at) != "whose" {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        if self.item(here.wrapping_sub(1)) == Some(&Item::Cue(Cue::Which)) {
            self.intent.which_column = true;
        }
        // "active products": a flag is a condition, and any other column is a doubt.
        if matches!(self.item(self.at), Some(Item::Mention(next)) if self.is_table(next)) {
            if flag {
                return self.compared(column, Op::Eq, Given::True);
            }
            self.doubt(format!("\"{}\" before a table", mention.text));
        }
        // "the charge of the most expensive type": "type" only names what is ranked, so it is not shown.
        let ranked = matches!(self.item(here.wrapping_sub(1)), Some(Item::Cue(Cue::Superlative { .. })));
        let mut shown = self.intent.project.iter().flat_map(|known| &known.candidates);
        if ranked && shown.any(|(at, _)| column.candidates.iter().any(|(own, _)| own.0 == at.0)) {
            return;
        }
        if std::mem::take(&mut self.or) {
            self.doubt("\"or\" between columns");
        }
        self.intent.project.push(column);
    }

    /// Whether a column is named where none is asked for: "products out of stock", "how many have the newsletter".
    pub(super) fn aside(&self, here: usize) -> bool {
        let mut back = here.wrapping_sub(1);
        let mut owner = false;
        while let Some(Item::Cue(Cue::Stop)) = self.item(back) {
            owner |= matches!(self.low(back), "their" | "its" | "his" | "her" | "the" | "his or her");
            back = back.wrapping_sub(1);
        }
        match self.item(back) {
            Some(Item::Cue(Cue::Prep)) => {
                let of = self.low(back) == "of";
                let asked = !self.intent.entities.is_empty() || !self.intent.measures.is_empty();
                asked && !of && !(owner && self.low(back) == "with")
            }
            Some(Item::Cue(Cue::Verb)) => !self.intent.entities.is_empty() || !self.intent.measures.is_empty(),
            Some(
                Item::Cue(Cue::And | Cue::List | Cue::Which | Cue::Distinct | Cue::Superlative { .. })
                | Item::Comma
                | Item::End
                | Item::Possessive
                | Item::Mention(_),
            )
            | None => false,
            _ => !self.intent.measures.is_empty(),
        }
    }

    pub(super) fn is_flag(&self, at: super::schema::At) -> bool {
        self.schema.holds(at) == Holds::Bool
            || self.schema.is_switch(at)
            || super::sql::truth(&self.schema.column(at).values).is_some()
    }

    /// Whether the second mention is a column of a table of the first: "dog name".
    pub(super) fn named(&self, table: &Mention, column: &Mention) -> bool {
        !self.is_table(column) && column.columns.iter().any(|(at, _)| table.tables.iter().any(|(t, _)| at.0 == *t))
    }

    /// Reads "named 'X'" as a condition on the display column of the last table.
    pub(super) fn called(&mut self) {
        let word = self.low(self.at - 1);
        let next = self.past(self.at, &[]);
        let quoted = matches!(self.item(next), Some(Item::Quoted));
        let capital = self.pieces.get(next).is_some_and(|piece| piece.item == Item::Unknown && piece.capital);
        if word != "is" && (quoted || capital) {
            let name = self.text(next);
            self.at = next + 1;
            let table = self.intent.tables.last().copied();
            self.intent.filters.push(Filter::Named { table, name });
        }
    }
}
