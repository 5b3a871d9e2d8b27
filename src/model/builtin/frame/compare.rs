//! Comparisons: numbers, times, texts.

use super::*;

/// The year that a number says.
pub(super) fn year_window(atom: &Atom) -> Option<Window> {
    atom.number.and_then(year_of).and_then(Window::year)
}

impl Reader<'_> {
    /// Reads what follows a comparison: a text, an average, a number or another column.
    pub(super) fn compare(&mut self, op: Op) -> bool {
        let ahead = self.next_solid(1);
        if matches!(op, Op::Contains | Op::Starts | Op::Ends) {
            return self.compare_text(op, ahead);
        }
        if self.atom(ahead).is_some_and(|atom| atom.cues.contains(&Cue::Agg(Function::Avg))) {
            return self.compare_average(op, ahead);
        }
        if let Some(number) = self.atom(ahead).and_then(|atom| atom.number) {
            return self.compare_number(op, number, ahead + 1);
        }
        // "under age 30".
        let number = self.atom(ahead + 1).and_then(|atom| atom.number);
        let named =
            self.mention_at(ahead).filter(|named| self.is_measure(named) && self.named_column.is_none()).cloned();
        if let (Some(column), Some(number)) = (named, number) {
            self.at += ahead + 2;
            self.unshow(&column);
            self.condition(What::Compare(column, op, Literal::Number(number)));
            return true;
        }
        if self.compare_columns(op, ahead) {
            return true;
        }
        // For "other than X", only the denial is noted here. X is read next.
        if op == Op::Ne {
            self.is_negated = true;
            self.at += 1;
            self.is_head = false;
            return true;
        }
        if op == Op::Eq {
            self.at += 1;
            return true;
        }
        false
    }

    /// "with the word X in the name".
    fn compare_text(&mut self, op: Op, ahead: usize) -> bool {
        let Some(atom) = self.atom(ahead).cloned() else { return false };
        let is_text = atom.mention.as_ref().is_some_and(|mention| mention.looks_like_value)
            || atom.cues.is_empty() && atom.mention.is_none();
        // "with the word X in their titles".
        let place = self.next_solid(ahead + 1);
        let named = self.next_solid(place + 1);
        let named = Some(named).filter(|_| self.has(place, &Cue::In));
        let after = named.and_then(|at| self.attribute_at(at).map(|(column, length)| (column, at + length)));
        let before = self.named_column.clone().or_else(|| self.column_before());
        let Some((column, length)) = after.or_else(|| before.map(|column| (column, ahead + 1))) else {
            return false;
        };
        if !is_text {
            return false;
        }
        self.at += length;
        self.unshow(&column);
        self.condition(What::Compare(column, op, Literal::Text(atom.text)));
        true
    }

    /// "above the average price".
    fn compare_average(&mut self, op: Op, ahead: usize) -> bool {
        let named = self.next_solid(ahead + 1);
        let measure = self.mention_at(named).filter(|mention| mention.column_fit() > 0.0).cloned();
        self.at += if measure.is_some() { named + 1 } else { ahead + 1 };
        let Some(column) = measure.or_else(|| self.named_column.take()).or_else(|| self.column_before()) else {
            return false;
        };
        self.unshow(&column);
        self.condition(What::Average(column, op));
        true
    }

    /// "with more than 10 won deals", "above 250 m". `ahead` is the place after the number.
    fn compare_number(&mut self, op: Op, number: f64, ahead: usize) -> bool {
        let literal = || Literal::Number(number);
        let named = self.head_noun(self.next_solid(ahead));
        // "more than 10 won deals".
        let is_value = |mention: &&Mention| !mention.values.is_empty() && mention.name_fit() < 0.8;
        let narrowed = self.mention_at(named).filter(is_value).cloned();
        let counted = self.mention_at(named + 1).filter(|table| table.table_fit() > 0.8).cloned();
        if let (Some(value), Some(table), None) = (narrowed, counted, &self.named_column) {
            self.at += named + 2;
            self.entity(table.clone());
            self.condition(What::Counted(table, op, number));
            self.condition(What::Value(None, value));
            return true;
        }
        let after = self.mention_at(named).cloned();
        // "mechanics who closed more than 80 orders", where `closed` is a date of orders.
        let counts_rows = after.as_ref().is_some_and(|after| after.table_fit() > 0.8);
        let before = self.named_column.take();
        let before = before.filter(|column| !counts_rows || !column.ends_with_ed() || self.is_measure(column));
        // "customers who ordered more than 20 times".
        if self.atom(ahead).is_some_and(|atom| atom.low == "times") {
            let Some(verb) = self.verb_before() else { return false };
            self.at += ahead + 1;
            self.condition(What::Counted(verb, op, number));
            return true;
        }
        if let Some(column) = before {
            self.at += ahead;
            self.condition(What::Compare(column, op, literal()));
            return true;
        }
        // "stations above 250 m".
        let is_bare = self.column_before().is_none_or(|column| column.table_fit() > column.column_fit());
        if let Some(column) = self.by_unit(ahead).filter(|_| is_bare) {
            self.at += ahead + 1;
            self.condition(What::Compare(column, op, literal()));
            return true;
        }
        if let Some(mention) = after.filter(|_| self.atom(named).is_some_and(|atom| atom.number.is_none())) {
            let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit();
            if is_table || mention.column_fit() > 0.0 {
                self.at += named + 1;
                if is_table && !self.frame.entities.is_empty() {
                    self.entity(mention.clone());
                }
                let counted = |mention| What::Counted(mention, op, number);
                let compared = |mention| What::Compare(mention, op, literal());
                self.condition(if is_table { counted(mention) } else { compared(mention) });
                return true;
            }
        }
        let other = match self.frame.conditions.last().map(|condition| &condition.what) {
            Some(What::Compare(column, ..)) if self.is_alternative => Some(column.clone()),
            _ => None,
        };
        let Some(column) = self.column_before().or(other) else {
            // "Employees under 30", "employees are under 30".
            let before = (1..=2).filter_map(|back| self.before(back)).find(|atom| !atom.cues.contains(&Cue::Be));
            let people = before.and_then(|atom| atom.mention.as_ref()).and_then(Mention::best_table).map(|(t, _)| t);
            let is_age = people.is_some_and(|t| self.schema.is_of_people(t) && self.schema.find(t, "age").is_some());
            if is_age {
                self.at += ahead;
                self.condition(What::By(vec!["age".to_owned()], op, number));
            }
            return is_age;
        };
        self.at += ahead;
        self.unshow(&column);
        self.condition(What::Compare(column, op, literal()));
        true
    }

    /// "stock below the reorder level".
    fn compare_columns(&mut self, op: Op, ahead: usize) -> bool {
        let other = self.mention_at(ahead).filter(|other| self.is_measure(other)).cloned();
        let column =
            self.named_column.clone().or_else(|| self.column_before()).filter(|column| self.is_measure(column));
        let (Some(column), Some(other)) = (column, other) else { return false };
        if matches!(op, Op::Eq | Op::Ne) {
            return false;
        }
        self.named_column = None;
        self.at += ahead + 1;
        self.unshow(&column);
        self.condition(What::Columns(column, op, other));
        true
    }

    /// "Above 50 or below 5": the second bound of a column.
    pub(super) fn or_compare(&mut self, op: Op) -> bool {
        let number = self.atom(1).and_then(|atom| atom.number);
        let column = match self.frame.conditions.last().map(|condition| &condition.what) {
            Some(What::Compare(column, ..)) => Some(column.clone()),
            _ => None,
        };
        let (Some(number), Some(column)) = (number, column) else { return false };
        let op = if op == Op::Ge { Op::Gt } else { Op::Lt };
        self.at += 2;
        self.is_alternative = true;
        self.condition(What::Compare(column, op, Literal::Number(number)));
        true
    }

    /// The operator of "or more" at this position.
    fn or_op(&self) -> Option<Op> {
        self.atom(0)?.cues.iter().find_map(|cue| match cue {
            Cue::OrOp(op) => Some(*op),
            _ => None,
        })
    }

    /// Reads the end of "two characteristics or more". Without "or more", the number is meant exactly.
    fn or_op_after(&mut self) -> Op {
        let op = self.or_op();
        self.at += usize::from(op.is_some());
        op.unwrap_or(Op::Eq)
    }

    /// "2011 or later", "March 2024 or earlier".
    fn or_later(&mut self, window: Window) -> Window {
        let low = self.atom(0).map_or("", |atom| atom.low.as_str());
        let (is_later, is_earlier) = (low == "or later", low == "or earlier");
        self.at += usize::from(is_later || is_earlier);
        match (is_later, is_earlier) {
            (true, _) => window.since(),
            (_, true) => window.until(),
            _ => window,
        }
    }

    /// True for a time in "from 2021 on".
    pub(super) fn is_from_on(&self) -> bool {
        let is_on = |atom: &Atom| matches!(atom.low.as_str(), "on" | "onward" | "onwards" | "upwards" | "forward");
        self.before(1).is_some_and(|atom| atom.low == "from") && self.atom(1).is_some_and(is_on)
    }

    /// The number column whose name ends with the unit at this position. Only tables that the question has named so far
    /// are searched. `None` if several columns fit.
    fn by_unit(&self, ahead: usize) -> Option<Mention> {
        let unit = self.atom(ahead)?;
        let wanted = measure_unit(&unit.low)?;
        let tables = self.frame.entities.iter().filter_map(|mention| mention.best_table());
        let ends = |name: &str| {
            let words = name_words(name);
            words.len() > 1 && words.last().is_some_and(|last| measure_unit(last) == Some(wanted))
        };
        let columns = tables.flat_map(|(t, _)| self.schema.columns(t));
        let mut fitting = columns.filter(|(at, column)| self.schema.is_number(*at) && ends(&column.name));
        let (at, _) = fitting.next().filter(|_| fitting.next().is_none())?;
        Some(Mention { text: unit.text.clone(), columns: vec![(at, WHOLE)], ..Mention::default() })
    }

    /// Reads "more downtime than the average" and "a higher price than 20". False if the words are none of these.
    pub(super) fn more_than(&mut self, atom: &Atom) -> bool {
        let op = match atom.low.as_str() {
            "more" | "higher" | "greater" | "larger" | "bigger" => Op::Gt,
            "less" | "lower" | "fewer" | "smaller" => Op::Lt,
            _ => return false,
        };
        let Some((column, length)) = self.attribute_at(1) else { return false };
        if self.atom(1 + length).is_none_or(|atom| atom.low != "than") {
            return false;
        }
        let than = self.next_solid(2 + length);
        let number = self.atom(than).and_then(|atom| atom.number);
        let average = self.atom(than).is_some_and(|atom| atom.cues.contains(&Cue::Agg(Function::Avg)));
        match number {
            Some(number) => {
                self.at += than + 1;
                self.condition(What::Compare(column, op, Literal::Number(number)));
            }
            None if average => {
                let of = self.next_solid(than + 1);
                let is_named = self.mention_at(of).is_some_and(|mention| mention.name_fit() > 0.0);
                self.at += if is_named { of + 1 } else { than + 1 };
                self.condition(What::Average(column, op));
            }
            None => return false,
        }
        true
    }

    /// The column that was named right before.
    pub(super) fn column_before(&self) -> Option<Mention> {
        let before = (1..=3).filter_map(|back| self.before(back));
        let mut before = before.skip_while(|atom| {
            atom.mention.is_none()
                && atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Skip | Cue::Of | Cue::That))
                || atom.low == "either"
        });
        let atom = before.next()?;
        let is_revenue = atom.cues.contains(&Cue::Revenue);
        atom.mention.clone().filter(|mention| mention.column_fit() > 0.0 && !is_revenue)
    }

    /// The column of "36" in "aged 36 or 37", at the second number.
    fn alternative_column(&self) -> Option<Mention> {
        match self.frame.conditions.last().map(|condition| &condition.what) {
            Some(What::Compare(column, Op::Eq, Literal::Number(_))) if self.is_alternative => Some(column.clone()),
            _ => None,
        }
    }

    /// Removes the column shown last if a condition uses it.
    pub(super) fn unshow(&mut self, mention: &Mention) {
        // A column that the question names twice stays: "the salary of those with a salary over 3000".
        let said = self.atoms.get(..self.at).unwrap_or_default().iter();
        let times = said.filter(|atom| atom.mention.as_ref() == Some(mention)).count();
        if self.frame.items.len() > 1 && times < 2 {
            let last = self.frame.items.last();
            if matches!(last, Some(Item::Attribute(shown)) if shown == mention) && !self.is_head {
                self.frame.items.pop();
            }
        }
    }

    pub(super) fn compare_by(&mut self, op: Op, words: &[String]) -> bool {
        let ahead = self.next_solid(1);
        if let Some(number) = self.atom(ahead).and_then(|atom| atom.number) {
            // "films longer than 180 minutes".
            if let Some(column) = self.by_unit(ahead + 1) {
                self.at += ahead + 2;
                self.condition(What::Compare(column, op, Literal::Number(number)));
                return true;
            }
            self.at += ahead + 1;
            self.condition(What::By(words.to_vec(), op, number));
            return true;
        }
        if self.atom(ahead).is_some_and(|atom| atom.cues.contains(&Cue::Agg(Function::Avg))) {
            let named = self.next_solid(ahead + 1);
            let has_object =
                self.mention_at(named).is_some_and(|mention| mention.column_fit() > 0.0 || mention.table_fit() > 0.0);
            self.at += if has_object { named + 1 } else { ahead + 1 };
            self.condition(What::AverageBy(words.to_vec(), op));
            return true;
        }
        false
    }

    pub(super) fn between(&mut self) -> bool {
        let low = self.atom(1).and_then(|atom| atom.number);
        let high = self.atom(3).and_then(|atom| atom.number);
        let glue = self.atom(2).is_some_and(|atom| matches!(atom.low.as_str(), "and" | "to"));
        if let (Some(low), Some(high), true) = (low, high, glue) {
            let column = self.named_column.take().or_else(|| self.column_before());
            let named = self.next_solid(4);
            let after = self.mention_at(named).filter(|mention| mention.column_fit() > 0.0).cloned();
            if let Some(column) = column {
                self.at += 4;
                self.unshow(&column);
                self.condition(What::Between(column, low, high));
                return true;
            }
            if let (Some(from), Some(to)) = (year_of(low), year_of(high))
                && let (Some(from), Some(to)) = (Window::year(from), Window::year(to))
            {
                self.at += 4;
                self.condition(What::During(from.through(to, ""), None));
                return true;
            }
            if let Some(column) = after {
                self.at += named + 1;
                self.condition(What::Between(column, low, high));
                return true;
            }
            return false;
        }
        let (from, to) =
            (self.atom(1).and_then(|atom| atom.window.clone()), self.atom(3).and_then(|atom| atom.window.clone()));
        if let (Some(from), Some(to), true) = (from, to, glue) {
            let written = self.atom(1).map(|atom| atom.low.clone()).unwrap_or_default();
            self.at += 4;
            let column = self.named_column.take();
            self.condition(What::During(from.through(to, &written), column));
            return true;
        }
        false
    }

    /// Reads a limit of time such as "after 2014". False if no time follows.
    pub(super) fn bounded(&mut self, cue: &Cue) -> bool {
        let ahead = self.next_solid(1);
        let Some(atom) = self.atom(ahead).cloned() else { return false };
        let year = year_window(&atom);
        // "delivered after the promised date".
        let is_date = |mention: &Mention| mention.columns.iter().any(|(at, _)| self.schema.is_date(*at));
        let dates = self.mention_at(ahead).filter(|other| is_date(other)).cloned();
        let before = self.named_column.clone().or_else(|| self.mention_before().cloned()).filter(is_date);
        let op = match cue {
            Cue::After => Some(Op::Gt),
            Cue::Before => Some(Op::Lt),
            _ => None,
        };
        if let (Some(before), Some(other), Some(op)) = (before, dates, op) {
            self.named_column = None;
            self.at += ahead + 1;
            // "the promised date".
            self.at +=
                usize::from(self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "date" | "day" | "time")));
            self.unshow(&before);
            self.condition(What::Columns(before, op, other));
            return true;
        }
        let Some(window) = atom.window.or(year) else { return false };
        // "founded before 1980", where `founded` is a number.
        let number = atom.number.filter(|_| ahead == 1);
        let column = self.named_column.clone().or_else(|| self.column_before());
        let column =
            column.filter(|column| self.is_measure(column) && !self.is_timely(column) && column.column_fit() > 0.8);
        let op = match cue {
            Cue::After => Some(Op::Gt),
            Cue::Before => Some(Op::Lt),
            Cue::Since => Some(Op::Ge),
            _ => None,
        };
        if let (Some(number), Some(column), Some(op)) = (number, column, op) {
            self.named_column = None;
            self.at += ahead + 1;
            self.unshow(&column);
            self.condition(What::Compare(column, op, Literal::Number(number)));
            return true;
        }
        let window = match cue {
            Cue::After => window.after(),
            Cue::Before => window.before(),
            Cue::Since => window.since(),
            _ => window.until(),
        };
        self.at += ahead + 1;
        let column = self.named_column.take().or_else(|| self.column_before().filter(|column| self.is_timely(column)));
        let column = column.or_else(|| self.shown_date());
        if let Some(column) = &column {
            self.unshow(column);
        }
        self.condition(What::During(window, column));
        true
    }

    pub(super) fn is_timely(&self, mention: &Mention) -> bool {
        mention.columns.iter().any(|(at, _)| self.schema.is_date(*at) || self.schema.is_year(*at))
    }

    pub(super) fn window(&mut self, window: Window, length: usize) {
        let written = self.atom(0).map(|atom| atom.low.clone()).unwrap_or_default();
        self.at += length;
        // "June to August 2024".
        let joins = self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "to" | "through" | "till" | "until"));
        let until = self.atom(1).and_then(|atom| atom.window.clone()).filter(|_| joins);
        let (window, length) = match until {
            Some(until) => {
                self.at += 2;
                (window.through(until, &written), length + 2)
            }
            None => (window, length),
        };
        let window = self.or_later(window);
        let column = self.named_column.take().or_else(|| self.column_before_window(length));
        let column = column.filter(|column| self.is_timely(column)).or_else(|| self.shown_date());
        self.condition(What::During(window, column));
    }

    /// "check-ins in 2026": the only thing shown is a date.
    pub(super) fn shown_date(&self) -> Option<Mention> {
        match self.frame.items.as_slice() {
            [Item::Attribute(shown)] if self.frame.entities.is_empty() && self.is_timely(shown) => Some(shown.clone()),
            _ => None,
        }
    }

    pub(super) fn column_before_window(&self, length: usize) -> Option<Mention> {
        let at = self.at.checked_sub(length + 2)?;
        self.atoms.get(at)?.mention.clone()
    }

    /// A number by itself: "grade 10", "in 2014", "with id 3".
    pub(super) fn numbered(&mut self, number: f64) {
        let value = self.mention_at(0).cloned();
        let column = self.named_column.take().or_else(|| self.column_before()).or_else(|| self.alternative_column());
        // "orders in 2014" is a time, unless the column holds years or was named for the number.
        let follows_in = self
            .before(1)
            .is_some_and(|atom| atom.cues.contains(&Cue::In) || atom.low == "for" || atom.low == "during");
        // "in each month of 2024".
        let follows_in = follows_in || self.frame.bucket.is_some() && self.has_before(1, &Cue::Of);
        if let Some(window) = year_of(number).filter(|_| follows_in).and_then(Window::year) {
            self.at += 1;
            let window = self.or_later(window);
            let dated = column.filter(|column| self.is_timely(column)).or_else(|| self.shown_date());
            if let Some(dated) = &dated {
                self.unshow(dated);
            }
            return self.condition(What::During(window, dated));
        }
        self.at += 1;
        // "the 5 customers with the most orders".
        let is_listed = |mention: &Mention| mention.values.is_empty() && mention.table_fit() > mention.column_fit();
        let follows_name = self.before(2).is_some_and(|atom| atom.mention.is_some());
        let has_order =
            self.frame.is_superlative || self.frame.items.iter().any(|item| !matches!(item, Item::Attribute(_)));
        let may_list = self.is_head && !follows_name && !has_order && self.pending_limit.is_none();
        // "the three cheapest products".
        let is_ranked =
            |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Sup(_) | Cue::By(..) | Cue::Common(_)));
        let listed = usize::from(self.atom(0).is_some_and(is_ranked));
        // "the names of employees with the three lowest salaries".
        let is_rank = listed == 1 && column.is_none() && self.pending_limit.is_none() && !self.frame.is_superlative;
        if may_list && self.mention_at(listed).is_some_and(is_listed) || is_rank {
            self.pending_limit = Some(number.clamp(1.0, 1000.0) as u32);
            return;
        }
        // "4 or more students".
        if let Some(op) = self.or_op() {
            self.at += 1;
            let ahead = self.next_solid(0);
            // "In which years were two or more branches opened": 2 is no year.
            let is_year = |column: &Mention| column.best_column().is_some_and(|(at, _)| self.schema.is_year(at));
            let counts = self.mention_at(ahead).is_some_and(is_listed) && year_of(number).is_none();
            if let Some(column) = column.as_ref().filter(|column| !(counts && is_year(column))).cloned() {
                self.unshow(&column);
                return self.condition(What::Compare(column, op, Literal::Number(number)));
            }
            if let Some(mention) = self.mention_at(ahead).cloned() {
                self.at += ahead + 1;
                let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit();
                let compare = |mention| What::Compare(mention, op, Literal::Number(number));
                return self.condition(if is_table { What::Counted(mention, op, number) } else { compare(mention) });
            }
        }
        if let Some(column) = column {
            self.unshow(&column);
            return self.condition(What::Compare(column, Op::Eq, Literal::Number(number)));
        }
        // "3 cylinders" compares a column. "Two flights" counts rows.
        let ahead = self.next_solid(0);
        if let Some(mention) = self.mention_at(ahead).cloned() {
            if mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit() && !self.is_head {
                self.at += ahead + 1;
                let op = self.or_op_after();
                return self.condition(What::Counted(mention, op, number));
            }
            // In "the five whitest cities", five is no value of a column.
            let is_superlative = self.atom(ahead).is_some_and(|atom| atom.low.ends_with("est"));
            if is_superlative {
                return self.doubt(mention.text);
            }
            if mention.column_fit() > 0.0 && mention.columns.iter().any(|(at, _)| self.schema.is_number(*at)) {
                self.at += ahead + 1;
                let op = self.or_op_after();
                return self.condition(What::Compare(mention, op, Literal::Number(number)));
            }
        }
        if let Some(window) = year_of(number).and_then(Window::year) {
            return self.condition(What::During(window, None));
        }
        // "9" may be a stored value.
        match value.filter(|value| !value.values.is_empty()) {
            Some(value) => self.condition(What::Value(None, value)),
            None => self.doubt(crate::model::builtin::sql::number(number)),
        }
    }
}
