//! The parser's rules for conditions and rankings: comparisons, ranges, years, "top 5", "the most".

use super::intent::{ColumnRef, Filter, Given, Measure, Rank, RankBy, Target};
use super::items::Item;
use super::parse::Parser;
use super::schema::At;
use super::windows::{Unit, Window, year_of};
use super::words::{Cue, Function, Op};

impl Parser<'_> {
    /// Adds a stored value. After "or" it joins the value before, if both are of one column.
    pub(super) fn stored(&mut self, values: Vec<(At, String)>) {
        self.or = false;
        self.intent.filters.push(Filter::Stored(values));
        let here = self.at;
        // "Hawaii or Wisconsin": the "or" is before the current position.
        let mut back = here.saturating_sub(2);
        while back > 0 && matches!(self.item(back), Some(Item::Cue(Cue::Stop | Cue::Prep) | Item::Mention(_))) {
            back -= 1;
        }
        if self.item(back) == Some(&Item::Cue(Cue::Or)) {
            let last = self.intent.filters.pop();
            let before = self.intent.filters.pop();
            match (before, last) {
                (Some(Filter::Stored(mut one)), Some(Filter::Stored(two))) => {
                    one.retain(|(at, _)| two.iter().any(|(other, _)| other == at));
                    let both: Vec<_> =
                        two.into_iter().filter(|(at, _)| one.iter().any(|(other, _)| other == at)).collect();
                    if one.is_empty() {
                        self.doubt("\"or\" between different columns");
                    }
                    one.extend(both);
                    self.intent.filters.push(Filter::Stored(one));
                }
                _ => self.doubt("\"or\" between different things"),
            }
        }
    }

    pub(super) fn compared(&mut self, column: ColumnRef, op: Op, value: Given) {
        if std::mem::take(&mut self.or) {
            if let Some(Filter::Compare { column: known, op: Op::Eq, values }) = self.intent.filters.last_mut()
                && known.candidates == column.candidates
                && op == Op::Eq
            {
                values.push(value);
                return;
            }
            self.doubt("\"or\" between different things");
        }
        self.intent.filters.push(Filter::Compare { column, op, values: vec![value] });
    }

    /// Adds a comparison of the column with a number. "or more" after the number is part of it.
    pub(super) fn beyond(&mut self, column: ColumnRef, number: f64) {
        let mut op = Op::Eq;
        if let Some(Item::Cue(Cue::OrBeyond(wider))) = self.item(self.at) {
            op = *wider;
            self.at += 1;
        }
        self.compared(column, op, Given::Number(number));
    }

    pub(super) fn compare(&mut self, op: Op, left: Option<ColumnRef>) {
        self.at = self.past(self.at, &[]);
        // "orders that contain more than 3 items": "contain" is a verb here.
        if op == Op::Contains
            && left.is_none()
            && matches!(self.item(self.at), Some(Item::Cue(Cue::Compare(_)) | Item::Mention(_)))
        {
            return;
        }
        if matches!(op, Op::Contains | Op::StartsWith | Op::EndsWith) {
            let word = matches!(self.item(self.at), Some(Item::Quoted))
                || self.pieces.get(self.at).is_some_and(|piece| piece.item == Item::Unknown && piece.low.len() <= 20);
            let Some(column) = left.filter(|_| word) else { return self.doubt("a part of a text nobody named") };
            let value = self.text(self.at);
            self.at += 1;
            return self.compared(column, op, Given::Text(value));
        }
        // "above age 20"
        let mut left = left;
        if left.is_none() && matches!(self.item(self.at), Some(Item::Mention(_))) {
            left = self.column_here();
            self.at = self.past(self.at, &[Cue::Prep, Cue::Is]);
        }
        let Some(Item::Number(number)) = self.item(self.at) else {
            return match (self.item(self.at), left) {
                (Some(Item::Window(window)), Some(column)) => {
                    let window = window.clone();
                    self.at += 1;
                    self.intent.date = Some(column);
                    self.window(match op {
                        Op::Gt => window.after(),
                        Op::Ge => window.since(),
                        Op::Lt => window.before(),
                        Op::Le => window.until(),
                        _ => window,
                    });
                }
                (Some(Item::Quoted), Some(column)) if op == Op::Eq => {
                    let value = self.text(self.at);
                    self.at += 1;
                    self.compared(column, op, Given::Text(value));
                }
                _ => self.doubt("a comparison without a number"),
            };
        };
        let number = *number;
        self.at += 1;
        if let Some(column) = left {
            self.currency();
            return self.compared(column, op, Given::Number(number));
        }
        if self.currency() {
            self.intent.filters.push(Filter::Quality { quality: super::words::Quality::Price, op, value: number });
            return;
        }
        let next = self.past(self.at, &[Cue::Prep]);
        if let Some(Item::Mention(mention)) = self.item(next) {
            self.at = next;
            if let Some(column) = self.column_here() {
                return self.compared(column, op, Given::Number(number));
            }
            if self.is_table(mention)
                && mention.fit() >= 2
                && let Some(t) = self.table_of(mention)
            {
                self.at += 1;
                self.intent.having.push((t, op, number));
                return;
            }
        }
        self.doubt("a comparison without a column");
    }

    /// Skips a currency at the current position. Returns whether there was one.
    pub(super) fn currency(&mut self) -> bool {
        let word = matches!(
            self.low(self.at),
            "francs" | "chf" | "dollars" | "dollar" | "usd" | "euros" | "euro" | "eur" | "pounds" | "gbp"
        );
        let here = word && !matches!(self.item(self.at), Some(Item::Mention(_)));
        self.at += usize::from(here);
        here
    }

    pub(super) fn between(&mut self, left: Option<ColumnRef>) {
        let first = self.past(self.at, &[]);
        let and = self.past(first + 1, &[]);
        let second = self.past(and + 1, &[]);
        if self.low(and) != "and" && self.low(and) != "to" {
            return self.doubt("\"between\" without two ends");
        }
        match (self.item(first), self.item(second)) {
            (Some(Item::Number(low)), Some(Item::Number(high))) => {
                self.at = second + 1;
                let years = year_of(*low).zip(year_of(*high));
                let dated = left.as_ref().is_some_and(|column| {
                    column.candidates.iter().any(|(at, _)| self.schema.is_date(*at) || self.schema.is_year(*at))
                });
                let left = if left.is_none() && years.is_none() { self.column_here() } else { left };
                match (left, years) {
                    (Some(column), _) if !dated => {
                        self.intent.filters.push(Filter::Within { column, low: *low, high: *high })
                    }
                    (left, Some((low, high))) => {
                        if left.is_some() {
                            self.intent.date = left;
                        }
                        match Window::year(low).zip(Window::year(high)) {
                            Some((low, high)) => self.window(low.through(high)),
                            None => self.doubt("these years"),
                        }
                    }
                    _ => self.doubt("\"between\" without a column"),
                }
            }
            (Some(Item::Window(low)), Some(Item::Window(high))) => {
                self.at = second + 1;
                if left.is_some() {
                    self.intent.date = left;
                }
                let window = low.clone().through(high.clone());
                self.window(window);
            }
            _ => self.doubt("\"between\" without two ends"),
        }
    }

    /// "before 2014", "since last month".
    pub(super) fn time(&mut self, cue: Cue) {
        let mut at = self.past(self.at, &[Cue::Prep]);
        if self.low(at) == "year" {
            at = self.past(at + 1, &[Cue::Prep]);
        }
        let window = match self.item(at) {
            Some(Item::Window(window)) => Some(window.clone()),
            Some(Item::Number(number)) => year_of(*number).and_then(Window::year),
            _ => None,
        };
        match window {
            Some(window) => {
                self.at = at + 1;
                self.window(match cue {
                    Cue::Before => window.before(),
                    Cue::After => window.after(),
                    _ => window.since(),
                });
            }
            None => {
                let word = self.text(self.at.saturating_sub(1));
                self.doubt(format!("\"{word}\" without a date"));
            }
        }
    }

    /// Reads a year at the current position.
    pub(super) fn year(&mut self) {
        let Some(Item::Number(number)) = self.item(self.at) else { return };
        match year_of(*number).and_then(Window::year) {
            Some(window) => {
                self.at += 1;
                self.window(window);
            }
            None => self.doubt(format!("the number {number}")),
        }
    }

    /// A number that no word before it explains.
    pub(super) fn bare_number(&mut self, number: f64) {
        let next = self.past(self.at + 1, &[]);
        if let (Some(Item::Cue(Cue::OrBeyond(op))), Some(Item::Mention(mention))) =
            (self.item(self.at + 1), self.item(self.at + 2))
            && self.is_table(mention)
            && let Some(t) = self.table_of(mention)
        {
            self.at += 3;
            self.intent.having.push((t, *op, number));
            return;
        }
        let whole = number.fract() == 0.0 && (1.0..=10_000.0).contains(&number);
        if whole
            && matches!(self.item(next), Some(Item::Cue(Cue::Most { .. } | Cue::Superlative { .. } | Cue::Top { .. })))
        {
            self.at += 1;
            self.number = Some(number as u32);
            return;
        }
        let before = self.at.checked_sub(1).map_or("", |at| self.low(at));
        let timed =
            matches!(before, "in" | "during" | "of" | "for" | "from" | "year" | "the year" | "or" | "in the year");
        if timed && year_of(number).is_some() {
            return self.year();
        }
        self.doubt(format!("the number {number}"));
    }

    /// "the most dogs", "highest price".
    pub(super) fn most(&mut self, desc: bool) {
        let start = self.at - 1;
        let counted = self.low(start).contains("number");
        let before = self.item(start.wrapping_sub(1));
        let listed = matches!(before, Some(Item::Comma | Item::Cue(Cue::And)));
        let fresh = self.intent.tables.is_empty() && self.intent.project.is_empty() && !self.intent.which;
        self.at = self.past(self.at, &[Cue::Prep]);
        if let Some(Item::Number(number)) = self.item(self.at) {
            self.number = Some(*number as u32).filter(|_| number.fract() == 0.0 && *number >= 1.0);
            self.at += 1;
        }
        let function = if desc { Function::Max } else { Function::Min };
        if !counted && (fresh || listed) {
            let mark = self.at;
            if let Some(column) = self.column_here() {
                // "highest price" asks for the price; "the biggest stadium" asks for the stadium.
                self.intent.measures.push(Measure { function: Some(function), target: Target::Column(column) });
                return;
            }
            self.at = mark;
        }
        if counted && !matches!(self.item(self.at), Some(Item::Mention(_))) {
            return self.doubt("a number of nothing named");
        }
        // "whose total cost is the lowest" ranks by the measure or column named before.
        let said = self.low(self.past_back(start)) == "is";
        if said && matches!(self.item(self.at), None | Some(Item::End)) {
            if let Some(measure) = self.intent.measures.pop() {
                return self.rank(RankBy::Measure(measure), desc);
            }
            if let Some(column) = self.intent.project.pop() {
                return self.rank(RankBy::Column(column), desc);
            }
        }
        let sized = !matches!(self.low(start), "most" | "fewest" | "least") && !counted;
        match self.rank_by() {
            Some(RankBy::Measure(Measure { function: None, target: Target::Rows(t) })) if sized => {
                // "the largest payment" ranks by the amount.
                match super::measures::amount(self.schema, t) {
                    Some(at) if self.intent.entities.is_empty() => {
                        self.intent.entities.push(t);
                        let text = self.schema.column(at).name.clone();
                        self.rank(RankBy::Column(ColumnRef { text, candidates: vec![(at, 4)], bound: Some(t) }), desc);
                    }
                    _ => self.doubt(format!("\"{}\" by what", self.low(start))),
                }
            }
            Some(by) if !fresh => self.rank(by, desc),
            _ => self.doubt(format!("\"{}\"", self.low(start))),
        }
    }

    /// The last position before `at` that is not a filler.
    fn past_back(&self, at: usize) -> usize {
        let mut back = at.saturating_sub(1);
        while back > 0 && self.item(back) == Some(&Item::Cue(Cue::Stop)) {
            back -= 1;
        }
        back
    }

    /// Reads what to rank or order by, at the current position.
    pub(super) fn rank_by(&mut self) -> Option<RankBy> {
        self.at = self.past(self.at, &[Cue::Prep]);
        match self.item(self.at)? {
            Item::Cue(Cue::Count) => {
                self.at = self.past(self.at + 1, &[Cue::Prep, Cue::Distinct]);
                let Item::Mention(mention) = self.item(self.at)? else { return None };
                let t = self.table_of(mention).filter(|_| self.is_table(mention))?;
                self.at += 1;
                Some(RankBy::Measure(Measure { function: None, target: Target::Rows(t) }))
            }
            Item::Cue(Cue::Agg(function)) => {
                let function = *function;
                self.at = self.past(self.at + 1, &[Cue::Prep]);
                if function == Function::Sum && self.item(self.at) == Some(&Item::Cue(Cue::Count)) {
                    return self.rank_by();
                }
                let target = self.target()?;
                Some(RankBy::Measure(Measure { function: Some(function), target }))
            }
            Item::Cue(Cue::Revenue) => {
                self.at += 1;
                Some(RankBy::Measure(Measure { function: Some(Function::Sum), target: Target::Revenue }))
            }
            Item::Cue(Cue::Superlative { .. }) => None,
            Item::Mention(mention) => {
                if let Some(column) = self.column_here() {
                    return Some(RankBy::Column(column));
                }
                let t = self.table_of(mention).filter(|_| self.is_table(mention))?;
                self.at += 1;
                Some(RankBy::Measure(Measure { function: None, target: Target::Rows(t) }))
            }
            _ => None,
        }
    }

    pub(super) fn rank(&mut self, by: RankBy, desc: bool) {
        let mut limit = self.number.take();
        let at = self.past(self.at, &[]);
        if let (None, Some(Item::Number(number))) = (limit, self.item(at))
            && number.fract() == 0.0
            && (1.0..=10_000.0).contains(number)
        {
            limit = Some(*number as u32);
            self.at = at + 1;
        }
        if let (Some(rank), RankBy::Measure(_) | RankBy::Column(_)) = (&mut self.intent.rank, &by) {
            // "the top 5 customers who spent the most"
            if rank.by == RankBy::Unstated && rank.desc == desc {
                rank.by = by;
                return;
            }
        }
        if self.intent.rank.is_some() {
            return self.doubt("two rankings");
        }
        if matches!(self.item(self.at), Some(Item::Unit(Unit::Year))) {
            self.doubt("a ranking of years");
        }
        let top = matches!(by, RankBy::Unstated | RankBy::Quality(_));
        self.intent.rank = Some(Rank { by, desc, limit, top });
    }
}
