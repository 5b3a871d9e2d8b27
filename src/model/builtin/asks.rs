//! The parser's rules for what is computed: counts, sums, groups and orders.

use super::intent::{ColumnRef, Given, Key, Measure, RankBy, Target};
use super::items::Item;
use super::parse::Parser;
use super::windows::unit;
use super::words::{Cue, Function, Op};

impl Parser<'_> {
    pub(super) fn count(&mut self) {
        let start = self.at.saturating_sub(1);
        // "order count by status"
        if self.low(start) == "count"
            && !matches!(self.item(self.past(self.at, &[Cue::Prep])), Some(Item::Mention(_)))
            && let Some(Item::Mention(before)) = self.item(start.wrapping_sub(1))
            && self.is_table(before)
            && let Some(t) = self.intent.entities.pop()
        {
            return self.intent.measures.push(Measure { function: None, target: Target::Rows(t) });
        }
        // "customers and their number of orders": one count for each customer.
        let before = self.low(start.wrapping_sub(1));
        if matches!(before, "and their" | "and its" | "their" | "its" | "with their" | "with its")
            && self.intent.keys.is_empty()
            && let Some(t) = self.intent.entities.pop()
        {
            self.intent.keys.push(Key::Table(t));
        }
        // "phone number of": no count.
        if self.low(start).starts_with("number")
            && start > 0
            && matches!(self.item(start - 1), Some(Item::Mention(_) | Item::Unknown | Item::Possessive))
        {
            let before = self.text(start - 1);
            self.doubt(format!("\"{before} number\""));
        }
        let mut at = self.at;
        while let Some(Item::Cue(Cue::Stop | Cue::Distinct | Cue::Prep)) = self.item(at) {
            if self.item(at) == Some(&Item::Cue(Cue::Distinct)) {
                self.intent.distinct = true;
            }
            at += 1;
        }
        self.at = at;
        if self.item(at) == Some(&Item::Unknown) && matches!(self.item(at + 1), Some(Item::Mention(_))) {
            let word = self.text(at);
            self.doubt(format!("the word \"{word}\""));
            self.at += 1;
        }
        // Values may come before the table: "how many French singers".
        while let Some(Item::Mention(mention)) = self.item(self.at) {
            if mention.fit() >= 3 || mention.values.is_empty() {
                break;
            }
            self.at += 1;
            self.stored(mention.values.clone());
        }
        let Some(Item::Mention(mention)) = self.item(self.at) else {
            return self.doubt("a count of nothing named");
        };
        let flagged = mention.columns.iter().any(|(at, _)| self.is_flag(*at)) && !self.is_table(mention);
        if flagged && matches!(self.item(self.at + 1), Some(Item::Mention(_))) {
            let column = ColumnRef { text: mention.text.clone(), candidates: mention.columns.clone(), bound: None };
            self.at += 1;
            self.compared(column, Op::Eq, Given::True);
            return self.count();
        }
        if let Some(column) = self.column_here() {
            self.intent.measures.push(Measure { function: None, target: Target::Different(column) });
            self.intent.distinct = false;
            return;
        }
        let Some(Item::Mention(mention)) = self.item(self.at) else { return };
        match self.table_of(mention).filter(|_| self.is_table(mention)) {
            Some(t) => {
                self.at += 1;
                self.intent.measures.push(Measure { function: None, target: Target::Rows(t) });
            }
            None => self.doubt(format!("a count of \"{}\"", mention.text)),
        }
    }

    pub(super) fn aggregate(&mut self, first: Function) {
        let mut functions = vec![first];
        loop {
            let mut at = self.at;
            while matches!(self.item(at), Some(Item::Comma | Item::Cue(Cue::And | Cue::Stop))) {
                at += 1;
            }
            let function = match self.item(at) {
                Some(Item::Cue(Cue::Agg(function))) => *function,
                Some(Item::Cue(Cue::Most { desc })) if !self.low(at).contains("number") => {
                    if *desc {
                        Function::Max
                    } else {
                        Function::Min
                    }
                }
                _ => break,
            };
            functions.push(function);
            self.at = at + 1;
        }
        self.at = self.past(self.at, &[Cue::Prep]);
        if functions == [Function::Sum] && self.item(self.at) == Some(&Item::Cue(Cue::Count)) {
            self.at += 1;
            return self.count();
        }
        match self.target() {
            Some(target) => {
                for function in functions {
                    let function = if matches!(target, Target::Rows(_)) { None } else { Some(function) };
                    self.intent.measures.push(Measure { function, target: target.clone() });
                }
            }
            None => self.doubt(format!("{} of nothing named", first.word())),
        }
    }

    /// Reads the target of a sum or average at the current position.
    pub(super) fn target(&mut self) -> Option<Target> {
        self.at = self.past(self.at, &[Cue::Prep]);
        if self.item(self.at) == Some(&Item::Cue(Cue::Revenue)) {
            self.at += 1;
            return Some(Target::Revenue);
        }
        if let Some(column) = self.column_here() {
            return Some(Target::Column(column));
        }
        let Some(Item::Mention(mention)) = self.item(self.at) else { return None };
        let t = self.table_of(mention).filter(|_| self.is_table(mention))?;
        self.at += 1;
        Some(Target::AmountOf(t))
    }

    pub(super) fn keys(&mut self) {
        self.intent.is_ranked_in_groups |= self.intent.rank.is_some() && !self.intent.entities.is_empty();
        if !self.aggregated() && self.intent.rank.is_none() {
            // "the name of each singer" lists all of them; "orders per channel" counts.
            let counts = !matches!(self.low(self.at - 1), low if low.ends_with("each") || low.ends_with("every"));
            if !counts {
                return;
            }
            match (self.intent.entities.pop(), self.intent.project.is_empty() && self.intent.measures.is_empty()) {
                (Some(t), true) => {
                    self.intent.assumptions.push(format!("counts the rows of {}", self.schema.table(t).name));
                    self.intent.measures.push(Measure { function: None, target: Target::Rows(t) });
                }
                _ => return self.doubt("groups without anything to compute"),
            }
        }
        loop {
            self.at = self.past(self.at, &[Cue::Prep, Cue::Distinct]);
            let key = match self.item(self.at) {
                Some(Item::Unit(unit)) => {
                    self.at += 1;
                    Some(Key::Unit(*unit))
                }
                Some(Item::Mention(mention)) => {
                    let step = unit(self.low(self.at))
                        .filter(|_| !mention.columns.iter().any(|(at, _)| self.schema.is_year(*at)));
                    if let Some(step) = step {
                        self.at += 1;
                        Some(Key::Unit(step))
                    } else if let Some(column) = self.column_here() {
                        Some(Key::Column(column))
                    } else {
                        let t = if self.is_table(mention) { self.table_of(mention) } else { None };
                        self.at += usize::from(t.is_some());
                        t.map(Key::Table)
                    }
                }
                _ => None,
            };
            match key {
                Some(Key::Column(mut column)) => {
                    column.bound = column.bound.or(None);
                    self.intent.keys.push(Key::Column(column));
                }
                Some(key) => {
                    if let Key::Table(t) = key {
                        for column in self.intent.project.iter_mut().filter(|column| column.bound.is_none()) {
                            if column.candidates.iter().any(|(at, _)| at.0 == t) {
                                column.bound = Some(t);
                            }
                        }
                    }
                    self.intent.keys.push(key);
                }
                None => return self.doubt("a group of nothing named"),
            }
            let next = self.past(self.at, &[]);
            let more = matches!(self.item(next), Some(Item::Cue(Cue::And) | Item::Comma))
                && matches!(self.item(self.past(next + 1, &[Cue::Each])), Some(Item::Mention(_) | Item::Unit(_)));
            if !more {
                return;
            }
            self.at = self.past(next + 1, &[Cue::Each]);
        }
    }

    pub(super) fn by(&mut self) {
        if matches!(&self.intent.rank, Some(rank) if rank.by == RankBy::Unstated) {
            match self.rank_by() {
                Some(by) => {
                    if let Some(rank) = &mut self.intent.rank {
                        rank.by = by;
                    }
                }
                None => self.doubt("a ranking by nothing named"),
            }
        } else if matches!(self.item(self.past(self.at, &[])), Some(Item::Mention(next)) if next.fit() < 3 && !next.values.is_empty())
        {
            // "paid by card" is a condition.
        } else if self.aggregated() && !self.intent.measures.is_empty()
            || !self.aggregated()
                && !self.intent.list
                && !self.intent.which
                && self.intent.entities.len() == 1
                && !matches!(self.item(self.at.wrapping_sub(2)), Some(Item::Cue(Cue::Verb)))
        {
            self.keys();
        } else if !matches!(self.item(self.at.wrapping_sub(2)), Some(Item::Cue(Cue::Verb))) {
            self.doubt("\"by\"");
        }
    }

    pub(super) fn order(&mut self) {
        match self.rank_by() {
            Some(by) => self.intent.order = Some((by, false)),
            None => self.doubt("an order by nothing named"),
        }
    }

    /// "from the oldest to the youngest" sets the direction of an order, or is an order by itself.
    pub(super) fn direct(&mut self, desc: bool, by: RankBy) {
        match &mut self.intent.order {
            Some((_, down)) => *down = desc,
            None => self.intent.order = Some((by, desc)),
        }
    }
}
