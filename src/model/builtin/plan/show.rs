//! What is shown: columns, aggregates, counts and groups.

use super::*;

/// Expressions that are shown, each with its name if it needs one.
type Columns = Vec<(Expr, Option<String>)>;

impl Planner<'_> {
    pub(super) fn show(&mut self) {
        let frame = self.frame;
        if frame.asks_when && !frame.items.iter().any(|item| matches!(item, Item::Attribute(_) | Item::Aggregate(..))) {
            return self.show_only_date();
        }
        let mut columns: Columns = Vec::new();
        let each = self.group_table();
        let has_group = !frame.groups.is_empty() && each.is_none() || frame.bucket.is_some();
        let has_plain =
            each.is_some() || frame.items.iter().any(|item| matches!(item, Item::Attribute(_) | Item::Entity(_)));
        if each.is_none() {
            self.show_groups(&mut columns);
        }
        let shows_entity = frame.items.iter().any(|item| match item {
            Item::Attribute(mention) => self.best_column(mention, Some(self.root)).is_some_and(|at| at.0 == self.root),
            Item::Entity(mention) => self.table_of(mention) == Some(self.root),
            _ => false,
        });
        let is_who = frame.is_who && frame.entities.is_empty();
        if (each.is_some() || is_who) && !shows_entity {
            self.show_root(&mut columns);
        }
        if let Some(unit) = frame.bucket {
            self.bucket(unit, &mut columns);
        }
        for item in shown(frame) {
            self.show_item(item, has_plain && !has_group, &mut columns);
        }
        if let Some((mention, desc)) = &frame.common {
            self.common(mention, *desc, &mut columns);
        }
        if columns.is_empty() && !has_group {
            self.show_root(&mut columns);
        }
        let counts = shown(frame).into_iter().any(|item| matches!(item, Item::Count(..)));
        if has_group && !counts && !columns.iter().any(|(expr, _)| is_aggregate(expr)) && frame.order.is_empty() {
            self.doubt("what of each group");
        }
        // DISTINCT only if the question asks for different values or the values repeat, and if only plain columns are shown
        // without groups.
        let plain = columns.iter().all(|(expr, _)| matches!(expr, Expr::Column(..)));
        let repeats = matches!(columns.as_slice(), [(Expr::Column(_, at), _)] if self.schema.repeats(*at));
        // "Brands with repairs that wait for parts": the brand of a bike would come once for each of its repairs.
        let is_above = matches!(columns.as_slice(), [(Expr::Column(node, at), _)] if *node > 0 && !self.schema.is_key(*at) && self.schema.display(at.0) != [*at]);
        self.plan.query.is_distinct = (frame.is_distinct || repeats || is_above && frame.order.is_empty())
            && plain
            && self.plan.query.groups.is_empty();
        let mut seen: Vec<Expr> = Vec::new();
        columns.retain(|(expr, _)| {
            let is_new = !seen.contains(expr);
            seen.push(expr.clone());
            is_new
        });
        self.plan.query.columns = columns;
    }

    /// "When was it opened": the date of the rows, if they have just one.
    fn show_only_date(&mut self) {
        match dates::of_rows(self.schema, self.graph, self.root, true, |word| self.linker.stem(word)).as_slice() {
            [only] => {
                let expr = self.above(*only, &[]);
                self.plan.query.columns = expr.into_iter().map(|expr| (expr, None)).collect();
            }
            _ => self.doubt("which date"),
        }
    }

    /// The columns that stand for a row of the root.
    fn show_root(&self, columns: &mut Columns) {
        columns.extend(self.schema.display(self.root).into_iter().map(|at| (Expr::Column(0, at), None)));
    }

    /// Shows the columns of the groups. "The average distance per trip" has no groups: it is the average of all trips.
    fn show_groups(&mut self, columns: &mut Columns) {
        let frame = self.frame;
        let is_each_row = |mention: &&Mention| {
            self.table_of(mention) == Some(self.root) && mention.table_fit() > mention.column_fit()
        };
        let measures = frame.items.iter().any(|item| matches!(item, Item::Aggregate(..)));
        let groups = frame.groups.iter().filter(|mention| !measures || !is_each_row(mention));
        for mention in groups.collect::<Vec<_>>() {
            self.group(mention, columns);
        }
    }

    /// Shows one item. `for_each_row` is true if an aggregate is that of the rows below each row.
    fn show_item(&mut self, item: &Item, for_each_row: bool, columns: &mut Columns) {
        match item {
            Item::Attribute(mention) | Item::Entity(mention) if self.frame.groups.contains(mention) => {}
            Item::Attribute(mention) => self.show_attribute(mention, columns),
            Item::Entity(mention) => {
                let Some(t) = self.table_of(mention) else { return };
                if self.is_open_table(mention) {
                    self.doubt(format!("\"{}\" may be several tables", mention.text));
                }
                if self.frame.is_whole && t != self.root {
                    self.doubt("details of another row");
                }
                let visible = self.schema.columns(t).filter(|(_, column)| !column.masked).map(|(at, _)| at);
                let shown = if self.frame.is_whole { visible.collect() } else { self.schema.display(t) };
                for at in shown {
                    self.show_column(at, mention, columns);
                }
            }
            Item::Aggregate(function, mention) => {
                let shown = self.aggregate(*function, mention, for_each_row);
                columns.extend(shown.map(|(expr, name)| (expr, Some(name))));
            }
            Item::Count(mention, distinct) => {
                let shown = self.count(mention, *distinct, for_each_row);
                columns.extend(shown.map(|(expr, name)| (expr, Some(name))));
            }
            Item::Revenue(function) => match self.revenue_of_item(*function) {
                Ok(expr) => columns.push((expr, Some("revenue".to_owned()))),
                Err(doubt) => self.doubt(doubt),
            },
        }
    }

    fn show_attribute(&mut self, mention: &Mention, columns: &mut Columns) {
        let Some(at) = self.column(mention) else { return };
        let fits_at_most = |most: f32| mention.columns.iter().any(|(of, fit)| *of == at && *fit <= most);
        // "Which races were run in the rain" wants no `race_date`.
        let low = mention.text.to_lowercase();
        let is_dated = self.schema.is_date(at) && low.ends_with('s') && !low.contains("date");
        // A salary is no `payment_date`.
        let is_time = ["date", "day", "time", "birth", "year", "month"].iter().any(|word| low.contains(word));
        if is_dated && fits_at_most(0.85) || self.schema.is_date(at) && !is_time && fits_at_most(OTHER_WORD) {
            self.doubt("which date");
        }
        // "The name of discipline 9", where a discipline has no name, but its campus does. "Branch names", where only customers
        // have names.
        let shown = self.frame.items.iter().filter_map(|item| match item {
            Item::Attribute(other) if other != mention => Some(other),
            _ => None,
        });
        let mut named = self.frame.entities.iter().chain(&self.frame.groups).chain(shown);
        let is_of = |other: &Mention| {
            other.tables.iter().any(|(t, _)| *t == at.0)
                || other.columns.iter().any(|(of, _)| of.0 == at.0 && !self.schema.is_foreign(*of))
        };
        let is_owner_named = named.any(is_of);
        if matches!(low.as_str(), "name" | "names") && !self.frame.entities.is_empty() && !is_owner_named {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        if mention.columns.iter().any(|(of, fit)| *of == at && *fit < 0.5) {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        if let Some((target, role)) = self.named_by_key(at, mention) {
            let before = columns.len();
            for named in self.schema.display(target) {
                columns.extend(self.above(named, std::slice::from_ref(&role)).map(|expr| (expr, None)));
            }
            if columns.len() > before {
                return;
            }
        }
        self.show_column(at, mention, columns);
    }

    /// "The capital of a country", where `capital` is the number of a city: the city's table, and the words of the key.
    /// `None` if the question asks for the number.
    fn named_by_key(&self, at: At, mention: &Mention) -> Option<(usize, String)> {
        let is_code = |word: &String| {
            matches!(word.as_str(), "id" | "ids" | "number" | "numbers" | "no" | "code" | "codes" | "key" | "keys")
        };
        let column = self.schema.column(at);
        let asks_name = name_words(&mention.text).last().is_some_and(|word| word == "name" || word == "names");
        let is_list = self.frame.conditions.is_empty() && !asks_name;
        if at.0 != self.root || is_list || !self.schema.is_number(at) || name_words(&mention.text).iter().any(is_code) {
            return None;
        }
        let keys = &self.schema.table(at.0).foreign_keys;
        let key = keys.iter().find(|key| key.columns.as_slice() == std::slice::from_ref(&column.name))?;
        let target = self.schema.tables().iter().position(|table| table.name == key.references)?;
        let is_named = self.schema.display(target).iter().all(|named| self.schema.holds(*named) == Holds::Text);
        (target != self.root && is_named).then(|| (target, name_words(&column.name).join(" ")))
    }

    fn show_column(&mut self, at: At, mention: &Mention, columns: &mut Columns) {
        match self.above(at, &[]) {
            Some(expr) => columns.push((expr, None)),
            None => self.doubt(format!("\"{}\" is not one for each row", mention.text)),
        }
    }

    /// What was earned with the rows of the root.
    ///
    /// # Errors
    ///
    /// What is in doubt.
    fn revenue_of_item(&mut self, function: Function) -> Result<Expr, &'static str> {
        const NO_MONEY: &str = "no amount of money";
        if !measures::sales(self.schema).contains(&self.root) {
            return match function {
                Function::Avg | Function::Min | Function::Max => {
                    Err("whether the amount of each row or the sum of each group is meant")
                }
                _ => self.order_by_revenue().ok_or(NO_MONEY),
            };
        }
        let (one, other) = measures::earning(self.schema, self.root).ok_or(NO_MONEY)?;
        let inner = other.map_or(Expr::Column(0, one), |other| Expr::Product(0, one, other));
        Ok(Expr::Aggregate(function, Box::new(inner)))
    }

    pub(super) fn group(&mut self, mention: &Mention, columns: &mut Columns) {
        let Some(at) = self.column(mention) else {
            return self.doubt(format!("\"{}\" is no column", mention.text));
        };
        match self.above(at, &[]) {
            Some(expr) => {
                // "The employees of each manager": who has no manager is in no group.
                if at.0 == self.root && self.schema.is_foreign(at) && self.schema.column(at).nullable {
                    self.plan.query.conditions.push(Condition::NotNull(expr.clone()));
                    let name = name_words(&self.schema.column(at).name).join(" ");
                    self.assume(format!("rows without {name} are left out"));
                }
                self.plan.query.groups.push(expr.clone());
                columns.push((expr, None));
            }
            None => self.doubt(format!("\"{}\" is not one for each row", mention.text)),
        }
    }

    pub(super) fn bucket(&mut self, unit: Unit, columns: &mut Columns) {
        let dated = self.frame.dated.as_ref();
        let Some(at) = self.date_column(dated, unit == Unit::Year, None) else { return };
        let expr = if self.schema.is_year(at) && unit == Unit::Year {
            self.above(at, &[])
        } else if matches!(unit, Unit::Year | Unit::Month | Unit::Day) && self.schema.is_date(at) {
            match self.above(at, &[]) {
                Some(Expr::Column(node, at)) => Some(Expr::Bucket(unit, node, at)),
                _ => None,
            }
        } else {
            None
        };
        match expr {
            Some(expr) => {
                self.plan.query.groups.push(expr.clone());
                self.plan.query.order.push((expr.clone(), false));
                let name = (!matches!(expr, Expr::Column(..))).then(|| unit.word().to_owned());
                columns.push((expr, name));
            }
            None => self.doubt(format!("no {} to group by", unit.word())),
        }
    }

    /// `is_each`: one number for each row of the root, not one for all.
    pub(super) fn aggregate(&mut self, function: Function, mention: &Mention, is_each: bool) -> Option<(Expr, String)> {
        let at = self.column(mention)?;
        let name = format!("{}_{}", function.word(), name_words(&self.schema.column(at).name).join("_"));
        let orders = matches!(function, Function::Min | Function::Max);
        let fits = self.schema.is_number(at) && !self.schema.is_key(at)
            || orders && (self.schema.is_date(at) || self.schema.is_year(at));
        // "How much was charged": the amount of the charges.
        let amount = measures::amount(self.schema, at.0)
            .filter(|_| !fits && function == Function::Sum && mention.ends_with_ed());
        let (at, fits) = amount.map_or((at, fits), |amount| (amount, true));
        if !fits {
            self.doubt(format!("\"{}\" is no measure", mention.text));
        }
        if is_each {
            if at.0 == self.root {
                self.doubt(format!("{} of each row", function.word()));
                return None;
            }
            let (branch, node) = self.branch_to(at.0, &[])?;
            let expr = Expr::Aggregate(function, Box::new(Expr::Column(node, at)));
            return Some((Expr::Measured(Box::new(branch), Box::new(expr)), name));
        }
        let Some(expr) = self.above(at, &[]) else {
            self.doubt(format!("\"{}\" is not one for each row", mention.text));
            return None;
        };
        Some((Expr::Aggregate(function, Box::new(expr)), name))
    }

    pub(super) fn count(&mut self, mention: &Mention, distinct: bool, is_each: bool) -> Option<(Expr, String)> {
        let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit() - 0.05;
        if let (true, Some(t)) = (is_table, self.table_of(mention)) {
            if self.is_open_table(mention) {
                self.doubt(format!("\"{}\" may be several tables", mention.text));
            }
            let name = format!("number_of_{}", name_words(self.schema.bare(t)).join("_"));
            // "The number of different affected regions": rows of a link table are not different regions.
            if distinct && self.schema.is_link_table(t) {
                self.doubt(format!("different \"{}\"", mention.text));
            }
            // "How many people came on July 3", where the only people are artists.
            let is_anybody = matches!(mention.text.to_lowercase().as_str(), "people" | "persons" | "individuals");
            let is_called_so = name_words(self.schema.bare(t))
                .iter()
                .any(|word| matches!(singulars(word).as_str(), "people" | "person" | "individual"));
            let does_something = !self.frame.verbs.is_empty() || self.frame.entities.iter().any(Mention::ends_with_ed);
            if is_anybody && !is_called_so && does_something {
                self.doubt(format!("the word \"{}\"", mention.text));
            }
            // "How many tyres were used", where a tyre is a value and the rows have a quantity: rows or pieces.
            let is_value = self
                .frame
                .conditions
                .iter()
                .any(|condition| matches!(&condition.what, What::Value(_, value) if value.text == mention.text));
            let is_quantity = |word: &String| matches!(word.as_str(), "quantity" | "units" | "pieces");
            if is_value
                && self
                    .schema
                    .columns(t)
                    .any(|(at, column)| self.schema.is_number(at) && name_words(&column.name).iter().any(is_quantity))
            {
                self.doubt("whether rows are counted or their quantity is summed");
            }
            // "How many degrees were awarded", where a row of `degrees` has the number of its degrees.
            if let Some(at) = self.own_number(t).filter(|_| t == self.root && !is_each && !distinct) {
                return Some((Expr::Aggregate(Function::Sum, Box::new(Expr::Column(0, at))), name));
            }
            if t == self.root && !is_each {
                return Some((Expr::Count, name));
            }
            if t == self.root {
                // "countries and the number of airlines", where the country is a column of airlines.
                let shown: Vec<Expr> = self
                    .frame
                    .items
                    .iter()
                    .filter_map(|item| match item {
                        Item::Attribute(mention) => self.best_column(mention, Some(t)),
                        _ => None,
                    })
                    .map(|at| Expr::Column(0, at))
                    .collect();
                if shown.iter().any(|expr| matches!(expr, Expr::Column(0, at) if at.0 == t && !self.schema.is_key(*at)))
                {
                    self.plan.query.groups.extend(shown);
                    return Some((Expr::Count, name));
                }
                self.doubt(format!("the number of {} for each of them", mention.text));
                return None;
            }
            return Some((self.counted(t, &[])?, name));
        }
        let at = self.column(mention)?;
        let name = format!("number_of_{}", name_words(&self.schema.column(at).name).join("_"));
        if mention.columns.iter().any(|(of, fit)| *of == at && *fit < OTHER_WORD) {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        if self.is_units(mention) && !distinct && !is_each {
            return Some((Expr::Aggregate(Function::Sum, Box::new(self.above(at, &[])?)), name));
        }
        if self.schema.is_number(at) && !self.schema.is_key(at) && !distinct {
            // "How many cylinders does the car have?" asks for the number that is stored.
            let is_of_one =
                mention.column_fit() >= 0.8 && (self.frame.is_superlative || !self.frame.conditions.is_empty());
            if is_of_one && self.frame.groups.is_empty() {
                return Some((self.above(at, &[])?, self.schema.column(at).name.clone()));
            }
            self.doubt(format!("count or sum of \"{}\"", mention.text));
        }
        if self.schema.is_date(at)
            || matches!(self.schema.holds(at), Holds::Bool)
            || truth(&self.schema.column(at).values).is_some()
        {
            self.doubt(format!("\"{}\" is a condition, not a thing to count", mention.text));
        }
        match self.above(at, &[]) {
            Some(Expr::Column(node, at)) => Some((Expr::CountDistinct(node, at), name)),
            _ if self.schema.display(at.0).contains(&at) => {
                let (branch, _) = self.branch_to(at.0, &[])?;
                Some((Expr::Counted(Box::new(branch)), name))
            }
            _ => {
                self.doubt(format!("the number of {}", mention.text));
                None
            }
        }
    }

    /// "How many units were sold": the quantity of sales, of which the sum is meant.
    pub(super) fn is_units(&self, mention: &Mention) -> bool {
        let best = self.best_column(mention, Some(self.root));
        let is_sold = |at: At| measures::product(self.schema, at.0).is_some_and(|(quantity, _)| quantity == at);
        mention.table_fit() < mention.column_fit() && best.is_some_and(is_sold)
    }

    pub(super) fn common(&mut self, mention: &Mention, desc: bool, columns: &mut Columns) {
        let is_table = mention.table_fit() > mention.column_fit();
        if is_table {
            self.doubt(format!("which \"{}\" occurs most often, and in what", mention.text));
            return;
        }
        let Some(at) = self.column(mention) else { return };
        let Some(expr) = self.above(at, &[]) else { return };
        if columns.is_empty() || !columns.iter().any(|(known, _)| *known == expr) {
            columns.clear();
            columns.push((expr.clone(), None));
        }
        self.plan.query.groups.push(expr);
        self.plan.query.order = vec![(Expr::Count, desc)];
        self.plan.query.limit = Some(self.frame.limit.unwrap_or(1));
    }
}

/// The items of a frame without those that only name the column of a value: the grade in "names of students in grade 10".
fn shown(frame: &Frame) -> Vec<&Item> {
    let mut items: Vec<&Item> = frame.items.iter().collect();
    for condition in &frame.conditions {
        let named = match &condition.what {
            What::Value(Some(named), _) | What::Compare(named, Op::Eq, _) => named,
            _ => continue,
        };
        let is_named = |item: &&Item| matches!(item, Item::Attribute(mention) if mention == named);
        let is_one = !condition.is_negated && !condition.is_alternative;
        if let Some(at) = items.iter().rposition(is_named).filter(|_| is_one && items.len() > 1) {
            items.remove(at);
        }
    }
    items
}
