//! Conditions on times, and the date column that a time is about.

use super::*;

impl Planner<'_> {
    pub(super) fn date_column(&mut self, column: Option<&Mention>, is_years: bool, rows: Option<usize>) -> Option<At> {
        if let Some(mention) = column {
            let mut timely = mention.clone();
            timely.columns.retain(|(at, _)| self.schema.is_date(*at) || self.schema.is_year(*at));
            if let Some(at) = self.column(&timely) {
                return Some(at);
            }
        }
        if let Some(at) = self.date_of_verb(rows.unwrap_or(self.root)) {
            return Some(at);
        }
        let candidates =
            dates::of_rows(self.schema, self.graph, rows.unwrap_or(self.root), is_years, |word| self.linker.stem(word));
        match candidates.as_slice() {
            [only] => {
                if let Some(doubt) = self.other_date(*only) {
                    self.doubt(doubt);
                }
                let name = format!("{}.{}", self.schema.table(only.0).name, self.schema.column(*only).name);
                self.assume(format!("dates by {name}"));
                Some(*only)
            }
            [] => {
                self.doubt("a time, but no date column for it");
                None
            }
            several => {
                self.plan.open.get_or_insert_with(|| ("date".to_owned(), several.to_vec()));
                several.first().copied()
            }
        }
    }

    fn is_dated(&self, t: usize) -> bool {
        self.schema.columns(t).any(|(at, _)| self.schema.is_date(at) || self.schema.is_year(at))
    }

    /// The date column that a verb of the question names: `shipped` for "parcels shipped in May".
    fn date_of_verb(&self, rows: usize) -> Option<At> {
        let is_named = |at: At| {
            let words = name_words(&self.schema.column(at).name);
            words.iter().any(|word| self.frame.verbs.contains(&self.linker.stem(word)))
        };
        let columns = self.schema.columns(rows).map(|(at, _)| at);
        let mut named = columns.filter(|at| self.schema.is_date(*at) && is_named(*at));
        named.next().filter(|_| named.next().is_none())
    }

    pub(super) fn during(&mut self, window: &Window, column: Option<&Mention>, asked: &Asked) {
        let words = &asked.words;
        if asked.is_negated {
            return self.doubt("\"not\" before a time");
        }
        if let (Some(from), Some(to)) = (window.from, window.to)
            && from >= to
        {
            return self.doubt("a time that ends before it begins");
        }
        // "in a concert in 2014": the date of what was named last.
        let is_revenue = frame_has_revenue(self.frame);
        let named = asked.about.checked_sub(1).and_then(|at| self.frame.entities.get(at));
        let rows = named
            .and_then(|mention| self.table_of(mention))
            .filter(|t| self.schema.columns(*t).any(|(at, _)| self.schema.is_date(at) || self.schema.is_year(at)));
        // "Orders of customers in 2023": the date of the orders. "Orders of customers who joined in 2023": the date of
        // the customers.
        let is_above = |t: usize| {
            t != self.root
                && self.graph.paths(self.root, t).first().is_some_and(|path| path.iter().all(|step| step.is_up))
        };
        let rows = rows.filter(|t| asked.is_relative || !is_above(*t) || !self.is_dated(self.root));
        // "Students who were enrolled in Algebra in 2025": the time is that of the row that leads to Algebra.
        let is_dated = |t: usize| self.is_dated(t);
        let before = match self.plan.query.conditions.last() {
            Some(Condition::Exists(branch, true)) if !branch.conditions.is_empty() => Some(branch),
            _ => None,
        };
        let rows = before
            .filter(|_| rows.is_none_or(|t| t == self.root))
            .map_or(rows, |branch| branch.nodes.iter().map(|node| node.table).find(|t| is_dated(*t)).or(rows));
        // "products by revenue last month": the date of the sales.
        let rows = if is_revenue { measures::sales(self.schema).first().copied() } else { rows };
        let column = column.or(self.frame.dated.as_ref());
        let Some(at) = self.date_column(column, window.years().is_some(), rows) else { return };
        let bounds: Vec<(Op, Literal)> = if self.schema.is_date(at) {
            let text = |date: time::Date| Literal::Text(date.to_string());
            window
                .from
                .map(|from| (Op::Ge, text(from)))
                .into_iter()
                .chain(window.to.map(|to| (Op::Lt, text(to))))
                .collect()
        } else {
            let Some((from, to)) = window.years() else { return self.doubt("days, where the column holds years") };
            match (from, to) {
                (Some(from), Some(to)) if from + 1 == to => vec![(Op::Eq, Literal::Number(f64::from(from)))],
                (from, to) => {
                    let number = |year: i32| Literal::Number(f64::from(year));
                    from.map(|from| (Op::Ge, number(from)))
                        .into_iter()
                        .chain(to.map(|to| (Op::Lt, number(to))))
                        .collect()
                }
            }
        };
        self.place(at, words, false, move |expr| {
            let mut all: Vec<Condition> =
                bounds.iter().map(|(op, literal)| Condition::Compare(expr.clone(), *op, literal.clone())).collect();
            if all.len() == 1 { all.remove(0) } else { Condition::All(all) }
        });
    }
}

fn frame_has_revenue(frame: &Frame) -> bool {
    frame.items.iter().any(|item| matches!(item, Item::Revenue(_)))
        || frame.order.iter().any(|(key, _)| matches!(key, Key::Revenue))
}
