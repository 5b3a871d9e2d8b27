//! What rows are ordered by.

use super::*;

impl Planner<'_> {
    /// The column of the table for a quality such as age. The flag is true if a higher value means less of the quality.
    pub(super) fn quality(&self, words: &[String], root: usize) -> Option<(At, bool)> {
        for word in words {
            let (stem, turned) = word.strip_prefix('-').map_or((word.as_str(), false), |word| (word, true));
            let stem = self.linker.stem(stem);
            let fits = |at: &At| {
                let is_measure = self.schema.is_number(*at) && !self.schema.is_key(*at)
                    || self.schema.is_date(*at)
                    || self.schema.is_year(*at);
                let names = name_words(&self.schema.column(*at).name);
                let is_birth = stem == "birth" && names.iter().any(|name| name.starts_with("birth") || name == "dob");
                is_measure && (is_birth || names.iter().any(|name| self.linker.stem(name) == stem))
            };
            // "The oldest member" asks for an age, not for the date of the row.
            let is_of_row = turned && matches!(stem.as_str(), "date" | "year");
            let words = name_words(self.schema.bare(root));
            if is_of_row && words.last().is_some_and(|word| cues::is_person(&singulars(word))) {
                return None;
            }
            let hits: Vec<At> = self.schema.columns(root).map(|(at, _)| at).filter(fits).collect();
            match hits.as_slice() {
                [only] => return Some((*only, turned)),
                [] => {}
                _ => return None,
            }
        }
        None
    }

    /// The date of the rows, for "newest" and "oldest" where no column is called "date". The oldest person is not the one
    /// whose row is oldest.
    pub(super) fn newest(&self, words: &[String]) -> Option<(At, bool)> {
        let is_oldest = words.iter().any(|word| word == "-date");
        let names = name_words(self.schema.bare(self.root));
        let is_person = names.last().is_some_and(|word| cues::is_person(&singulars(word)));
        let asks_date = words.first().is_some_and(|word| word == "date") || is_oldest && !is_person;
        if !asks_date {
            return None;
        }
        match dates::of_rows(self.schema, self.graph, self.root, false, |word| self.linker.stem(word)).as_slice() {
            [only] if only.0 == self.root => Some((*only, is_oldest)),
            _ => None,
        }
    }

    pub(super) fn order(&mut self) {
        if self.frame.is_superlative {
            self.plan.query.order.clear();
        }
        for (key, desc) in &self.frame.order {
            let found = match key {
                Key::Attribute(mention) => {
                    // "Top 5 films by total amount of bookings", "the venue with the most seats".
                    let is_sum = self.frame.is_most || mention.text.to_lowercase().starts_with("total ");
                    let at = self.best_column(mention, Some(self.root));
                    let is_below = |at: At| {
                        let paths = self.graph.paths(self.root, at.0);
                        paths.first().and_then(|path| path.first()).is_some_and(|step| !step.is_up)
                    };
                    let is_summed = is_sum && at.is_some_and(|at| self.schema.is_number(at) && is_below(at));
                    if is_summed { self.order_by_aggregate(Function::Sum, mention) } else { self.order_by(mention) }
                }
                Key::By(words) => match self.quality(words, self.root).or_else(|| self.newest(words)) {
                    Some((at, turned)) => {
                        let expr = self.above(at, &[]).unwrap_or(Expr::Column(0, at));
                        if self.schema.column(at).nullable && self.frame.is_superlative {
                            self.plan.query.conditions.push(Condition::NotNull(expr.clone()));
                        }
                        self.plan.query.order.push((expr, desc ^ turned));
                        continue;
                    }
                    None => None,
                },
                Key::Aggregate(function, mention) => self.order_by_aggregate(*function, mention),
                Key::Count(table) => self.order_by_count(table.as_ref()),
                Key::Revenue => self.order_by_revenue(),
            };
            match found {
                Some(expr) => {
                    // "Cities in the county with the most officers": all cities of that county.
                    let is_above = |t: usize| t != self.root && !self.is_one_to_one(self.root, t);
                    let is_plural = matches!(key, Key::Attribute(_)) && self.plan.query.groups.is_empty();
                    if self.frame.is_superlative
                        && is_plural
                        && self.frame.limit == Some(1)
                        && matches!(&expr, Expr::Column(_, at) if is_above(at.0))
                    {
                        self.doubt("whether one row is wanted or all rows of the first group");
                    }
                    if self.frame.is_superlative
                        && (matches!(&expr, Expr::Column(_, at) if self.schema.column(*at).nullable)
                            || !*desc
                                && matches!(&expr, Expr::Measured(_, what) if matches!(**what, Expr::Aggregate(..))))
                    {
                        self.plan.query.conditions.push(Condition::NotNull(expr.clone()));
                    }
                    self.plan.query.order.push((expr, *desc));
                }
                None if self.offer_aggregates(key, *desc) => {}
                None => self.doubt("no number to sort by"),
            }
        }
        if self.frame.limit.is_some() {
            self.plan.query.limit = self.frame.limit;
        }
        // Rows without a value are no group that could be the largest.
        if self.plan.query.limit.is_some() {
            for group in self.plan.query.groups.clone() {
                let (Expr::Column(node, at) | Expr::Bucket(_, node, at)) = group else { continue };
                let known = Condition::NotNull(Expr::Column(node, at));
                if self.schema.column(at).nullable && !self.plan.query.conditions.contains(&known) {
                    self.plan.query.conditions.push(known);
                }
            }
        }
    }

    /// Shows what the rows are ordered by, if the question asks for it.
    pub(super) fn show_key(&mut self) {
        let (true, Some((expr, _)), Some((key, _))) =
            (self.frame.shows_key, self.plan.query.order.first().cloned(), self.frame.order.first())
        else {
            return;
        };
        let name = match key {
            Key::Count(_) => Some("number".to_owned()),
            Key::Aggregate(function, _) => Some(function.word().to_owned()),
            Key::Revenue => Some("revenue".to_owned()),
            Key::Attribute(_) | Key::By(_) => None,
        };
        if !self.plan.query.columns.iter().any(|(known, _)| *known == expr) {
            self.plan.query.columns.push((expr, name));
        }
    }

    /// "The product with the highest rating", where a product has many ratings: offers the average, and the highest of all.
    fn offer_aggregates(&mut self, key: &Key, desc: bool) -> bool {
        let (Key::Attribute(measure), [Item::Entity(entity)]) = (key, self.frame.items.as_slice()) else {
            return false;
        };
        let Some(at) = self.best_column(measure, Some(self.root)) else { return false };
        let is_measure = self.schema.is_number(at) && !self.schema.is_key(at);
        let is_below = |path: &Vec<Step>| path.first().is_some_and(|step| !step.is_up);
        let is_below = self.graph.paths(self.root, at.0).first().is_some_and(is_below);
        if !self.frame.is_superlative || !self.frame.conditions.is_empty() || !is_measure || !is_below {
            return false;
        }
        let (rank, word) = if desc { ("top", "maximum") } else { ("bottom", "minimum") };
        for word in ["average", word] {
            let label = format!("by {word} {}", measure.text);
            let limit = self.frame.limit.unwrap_or(1);
            self.plan.measures.push((label.clone(), format!("{rank} {limit} {} {label}", entity.text)));
        }
        true
    }

    pub(super) fn order_by(&mut self, mention: &Mention) -> Option<Expr> {
        // "in alphabetical order" of what is shown.
        if mention.column_fit() == 0.0 {
            let t = self.table_of(mention)?;
            let at = self.schema.display(t).first().copied()?;
            return self.above(at, &[]);
        }
        // If an aggregate of the column is shown, the rows are ordered by it (see `shown` below).
        let at = self.column(mention)?;
        if self.frame.is_superlative && self.schema.is_key(at) {
            return None;
        }
        // "the most units" is no `unit_price`.
        if self.frame.is_superlative && mention.columns.iter().any(|(of, fit)| *of == at && *fit < 0.5) {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        let shown = self.plan.query.columns.iter().find(|(expr, _)| match expr {
            Expr::Aggregate(_, inner) => matches!(inner.as_ref(), Expr::Column(_, of) if *of == at),
            _ => false,
        });
        if let Some((expr, _)) = shown {
            return Some(expr.clone());
        }
        if !self.plan.query.groups.is_empty()
            && !self.plan.query.groups.iter().any(|expr| matches!(expr, Expr::Column(_, of) if *of == at))
        {
            return None;
        }
        self.above(at, &[])
    }

    pub(super) fn order_by_count(&mut self, table: Option<&Mention>) -> Option<Expr> {
        let t = table.and_then(|mention| self.table_of(mention));
        let t = match t {
            Some(t) if t != self.root => t,
            _ => return self.group_by_shown().then_some(Expr::Count),
        };
        if !self.plan.query.groups.is_empty() {
            return None;
        }
        self.counted(t, &[])
    }

    /// Groups the rows of the root by what is shown. False if one row is shown at a time.
    fn group_by_shown(&mut self) -> bool {
        if !self.plan.query.groups.is_empty() {
            return true;
        }
        let columns = self.plan.query.columns.iter().map(|(expr, _)| expr);
        let shown: Vec<Expr> = columns.filter(|expr| !is_aggregate(expr)).cloned().collect();
        let is_of_row = |at: &At| self.schema.is_key(*at) || self.schema.display(at.0).contains(at);
        let is_entity = shown.iter().any(|expr| matches!(expr, Expr::Column(0, at) if is_of_row(at)));
        if shown.is_empty() || is_entity {
            return false;
        }
        self.plan.query.groups = shown;
        true
    }

    /// "Which product has the highest average rating": of the rows below, or of the rows of each group.
    fn order_by_aggregate(&mut self, function: Function, mention: &Mention) -> Option<Expr> {
        let at = self.best_column(mention, Some(self.root))?;
        let is_each = at.0 != self.root && self.plan.query.groups.is_empty();
        if !is_each && !self.group_by_shown() {
            return None;
        }
        self.aggregate(function, mention, is_each).map(|(expr, _)| expr)
    }

    /// The number of rows of a table that belong to a row of the root. A row that several rows in between lead to is
    /// counted once: "doctors and their number of patients".
    pub(super) fn counted(&mut self, t: usize, words: &[String]) -> Option<Expr> {
        if self.own_number(t).is_some() {
            self.doubt(format!("rows of {}, or the numbers in them", self.schema.table(t).name));
        }
        let (branch, node) = self.branch_to(t, words)?;
        let is_repeated = branch.nodes.iter().any(|node| node.via.as_ref().is_some_and(|(_, step)| step.is_up));
        if !is_repeated {
            return Some(Expr::Counted(Box::new(branch)));
        }
        let [key] = self.schema.primary_key(t) else { return None };
        let key = self.schema.find(t, key)?;
        Some(Expr::Measured(Box::new(branch), Box::new(Expr::CountDistinct(node, key))))
    }

    /// The column of numbers that has the name of its table: `degrees.degrees`.
    pub(super) fn own_number(&self, t: usize) -> Option<At> {
        let own = singulars(self.schema.bare(t));
        let is_own = |at: &At| {
            let is_measure = self.schema.is_number(*at) && !self.schema.is_key(*at);
            is_measure && singulars(&self.schema.column(*at).name) == own
        };
        self.schema.columns(t).map(|(at, _)| at).find(is_own)
    }

    pub(super) fn order_by_revenue(&mut self) -> Option<Expr> {
        let sales = measures::sales(self.schema);
        let [t] = sales.as_slice() else { return None };
        let (one, other) = measures::earning(self.schema, *t)?;
        let inner = |node: usize| match other {
            Some(other) => Expr::Product(node, one, other),
            None => Expr::Column(node, one),
        };
        if *t == self.root {
            if self.plan.query.groups.is_empty() {
                return Some(inner(0));
            }
            return Some(Expr::Aggregate(Function::Sum, Box::new(inner(0))));
        }
        let (branch, node) = self.branch_to(*t, &[])?;
        Some(Expr::Measured(Box::new(branch), Box::new(Expr::Aggregate(Function::Sum, Box::new(inner(node))))))
    }

    /// Offers measures for a question without one ("best customers"): revenue, or the number of rows of a table below.
    pub(super) fn offer_measures(&mut self) {
        let Some(Vague { table: mention, limit, phrase }) = &self.frame.vague else { return };
        if phrase.is_none() && !self.frame.conditions.is_empty() {
            return self.doubt("which number to sort by");
        }
        let (schema, graph, root) = (self.schema, self.graph, self.root);
        let words = |t: usize| name_words(schema.bare(t)).join(" ");
        let is_below = |t: usize| {
            graph.distance(root, t) == Some(1)
                && graph.paths(root, t).first().is_some_and(|path| path.iter().all(|step| !step.is_up))
        };
        let sales = measures::sales(self.schema);
        if self.order_by_revenue().is_some() && !sales.is_empty() {
            self.plan.measures.push(("by revenue".to_owned(), format!("top {limit} {} by revenue", mention.text)));
        }
        for t in (0..self.schema.tables().len()).filter(|t| is_below(*t)).take(3) {
            let label = format!("by number of {}", words(t));
            self.plan.measures.push((label.clone(), format!("top {limit} {} {label}", mention.text)));
        }
        if self.plan.measures.len() < 2 {
            self.doubt("which number to sort by");
        }
    }

    /// Says how an amount of money is computed, and what it leaves out.
    pub(super) fn assume_revenue(&mut self) {
        let Some(t) = measures::sales(self.schema).first().copied() else { return };
        let Some((one, other)) = measures::earning(self.schema, t) else { return };
        let name = |at: At| self.schema.column(at).name.clone();
        let table = self.schema.table(t).name.clone();
        let amount = other.map_or_else(|| name(one), |other| format!("{} x {}", name(one), name(other)));
        let has = |t: usize, word: &str| {
            self.schema.columns(t).any(|(_, column)| name_words(&column.name).iter().any(|part| part == word))
        };
        let above = (0..self.schema.tables().len()).find(|above| {
            has(*above, "status")
                && self.graph.paths(t, *above).first().is_some_and(|path| path.iter().all(|step| step.is_up))
        });
        let discounts = has(t, "discount");
        self.assume(format!("amount = {amount} of {table}"));
        if discounts {
            self.assume("discounts not subtracted");
        }
        if let Some(above) = above {
            self.assume(format!("{} of every status", self.schema.table(above).name));
        }
    }

    /// Moves conditions on rows below into the counts and sums of these rows: "top 5 products by revenue last month" sums
    /// the sales of last month.
    pub(super) fn narrow_measures(&mut self) {
        let query = &mut self.plan.query;
        let (wider, kept): (Vec<Condition>, Vec<Condition>) = std::mem::take(&mut query.conditions)
            .into_iter()
            .partition(|condition| matches!(condition, Condition::Exists(..)));
        query.conditions = kept;
        for condition in wider {
            let Condition::Exists(wider, exists) = &condition else { continue };
            // "revenue per hotel without cancelled bookings" leaves out bookings, and no hotel.
            let wider = match (exists, wider.conditions.as_slice()) {
                (true, _) => wider.clone(),
                (false, [Condition::Compare(expr, Op::Eq, literal)]) => {
                    let denied = Condition::Compare(expr.clone(), Op::Ne, literal.clone());
                    Branch { conditions: vec![denied], ..wider.clone() }
                }
                _ => {
                    query.conditions.push(condition);
                    continue;
                }
            };
            let in_columns = query.columns.iter_mut().map(|(expr, _)| (expr, false));
            let in_order = query.order.iter_mut().map(|(expr, _)| (expr, false));
            let in_conditions = query.conditions.iter_mut().filter_map(|condition| match condition {
                Condition::Compare(expr, ..) => Some((expr, true)),
                _ => None,
            });
            let mut is_moved = false;
            let mut is_compared = false;
            let mut is_repeated = false;
            for (expr, is_condition) in in_columns.chain(in_order).chain(in_conditions) {
                let is_sum = !matches!(expr, Expr::Measured(_, what) if matches!(**what, Expr::CountDistinct(..)));
                if let Expr::Counted(branch) | Expr::Measured(branch, _) = expr
                    && branch.link == wider.link
                    && branch.from == wider.from
                {
                    let known = branch.nodes.len();
                    merge(branch, &wider);
                    let goes_down = |node: &Node| node.via.as_ref().is_some_and(|(_, step)| !step.is_up);
                    is_repeated |= is_sum && branch.nodes.iter().skip(known).any(goes_down);
                    is_moved = true;
                    is_compared |= is_condition;
                }
            }
            // "For shippers that have orders" leaves out the others.
            if !is_moved || *exists && wider.conditions.is_empty() && !is_compared {
                query.conditions.push(condition);
            }
            let why = "a number over rows that a join repeats".to_owned();
            if is_repeated && !self.plan.doubts.contains(&why) {
                self.plan.doubts.push(why);
            }
        }
    }
}

/// Adds the tables and conditions of one sub-query to another over the same key.
fn merge(into: &mut Branch, from: &Branch) {
    let mut places = vec![0];
    for node in from.nodes.iter().skip(1) {
        let Some((before, step)) = &node.via else { continue };
        let start = places.get(*before).copied().unwrap_or(0);
        places.push(Planner::join(&mut into.nodes, start, std::slice::from_ref(step)));
    }
    into.conditions.extend(from.conditions.iter().map(|condition| moved(condition, &places)));
}

/// Returns the condition for tables at other positions: `places` has the new position of each old one.
fn moved(condition: &Condition, places: &[usize]) -> Condition {
    let expr = |expr: &Expr| match expr {
        Expr::Column(node, at) => Expr::Column(places.get(*node).copied().unwrap_or(*node), *at),
        other => other.clone(),
    };
    let all = |all: &[Condition]| all.iter().map(|one| moved(one, places)).collect();
    match condition {
        Condition::Compare(left, op, value) => Condition::Compare(expr(left), *op, value.clone()),
        Condition::In(left, values, is_in) => Condition::In(expr(left), values.clone(), *is_in),
        Condition::NotNull(left) => Condition::NotNull(expr(left)),
        Condition::Null(left) => Condition::Null(expr(left)),
        Condition::Columns(left, op, at) => Condition::Columns(expr(left), *op, *at),
        Condition::Average(left, op, at) => Condition::Average(expr(left), *op, *at),
        Condition::Any(parts) => Condition::Any(all(parts)),
        Condition::All(parts) => Condition::All(all(parts)),
        Condition::Exists(branch, exists) => Condition::Exists(branch.clone(), *exists),
    }
}
