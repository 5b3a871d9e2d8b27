//! Doubts about verbs: whether the statement is about what they say.

use super::*;

impl Planner<'_> {
    /// Returns a doubt if a verb of the question names another date than the chosen column. Stays that started in 2023 may
    /// have been booked in 2022. Users that logged in last week were not created then.
    pub(super) fn other_date(&self, chosen: At) -> Option<&'static str> {
        let is_named = |at: At, verb: &String| {
            name_words(&self.schema.column(at).name).iter().any(|word| self.linker.stem(word) == *verb)
        };
        let is_end = |verb: &&String| matches!(verb.as_str(), "start" | "begin" | "end" | "finish" | "expir");
        let others = self.schema.columns(chosen.0).filter(|(at, _)| *at != chosen && self.schema.is_date(*at)).count();
        let ends_elsewhere = |verb| others > 0 && !is_named(chosen, verb);
        let is_other_end = self.frame.verbs.iter().find(is_end).is_some_and(ends_elsewhere);
        (is_other_end || self.is_other_event(chosen)).then_some("which date")
    }

    /// True if the column's name says an event (`created_at`, `hired_on`), and no verb of the question says the same.
    fn is_other_event(&self, chosen: At) -> bool {
        const CREATES: [&str; 26] = [
            "creat", "add", "made", "make", "regist", "join", "sign", "open", "place", "order", "book", "submit",
            "post", "enter", "record", "rais", "file", "start", "launch", "report", "request", "write", "written",
            "upload", "issu", "buy",
        ];
        let words = name_words(&self.schema.column(chosen).name);
        let Some(event) = words.iter().find(|word| word.ends_with("ed") && word.len() > 4) else { return false };
        let event = self.linker.stem(event);
        let is_created =
            matches!(event.as_str(), "creat" | "add" | "insert" | "record" | "regist" | "order" | "place" | "book");
        let says =
            |verb: &String| *verb == event || related(verb, &event) || is_created && CREATES.contains(&verb.as_str());
        !self.frame.verbs.is_empty() && !self.frame.verbs.iter().any(says)
    }

    /// Doubts the date of "when" if it may be that of another event: "When was it released", where the table has other dates;
    /// "when was the hive inspected", where inspections have dates and the date of the hive is shown.
    pub(super) fn judge_when(&mut self) {
        let is_timely = |at: At| self.schema.is_date(at) || self.schema.is_year(at);
        let mut dates = self.plan.query.columns.iter().filter_map(|(expr, _)| match expr {
            Expr::Column(_, at) if is_timely(*at) => Some(*at),
            _ => None,
        });
        let Some(shown) = dates.next().filter(|_| self.frame.asks_when) else { return };
        let has_others = self.schema.columns(shown.0).filter(|(at, _)| self.schema.is_date(*at)).count() > 1;
        let words: Vec<String> =
            name_words(&self.schema.column(shown).name).iter().map(|word| self.linker.stem(word)).collect();
        let is_named = |verb: &String| words.iter().any(|word| word == verb || related(word, verb));
        let is_unnamed = has_others && !self.frame.verbs.is_empty() && !self.frame.verbs.iter().any(is_named);
        let is_dated = |t: usize| t != shown.0 && self.schema.columns(t).any(|(at, _)| is_timely(at));
        let happened = self.frame.entities.iter().filter(|mention| mention.ends_with_ed());
        let is_of_event = happened.filter_map(|mention| self.table_of(mention)).any(is_dated);
        // "When did the Bronze Age end", where periods have an `end_year`, and `closed` is a date of trenches.
        let shown_as = self.frame.items.iter().find_map(|item| match item {
            Item::Attribute(mention) if mention.columns.iter().any(|(at, _)| *at == shown) => Some(mention),
            _ => None,
        });
        let other_word = shown_as
            .filter(|mention| mention.column_fit() <= OTHER_WORD)
            .map(|mention| self.linker.stem(&mention.text));
        let is_of_value = |asked: &Asked| match (&asked.what, &other_word) {
            (What::Value(_, mention), Some(word)) => mention.values.iter().any(|(at, _)| {
                let mut words = self.schema.columns(at.0).flat_map(|(_, column)| name_words(&column.name));
                is_dated(at.0) || at.0 != shown.0 && words.any(|part| self.linker.stem(&part) == *word)
            }),
            _ => false,
        };
        if is_unnamed || is_of_event || self.frame.conditions.iter().any(is_of_value) {
            self.doubt("which date");
        }
    }

    /// Doubts a condition on a cost where the table also has a price: "items that cost between 200 and 800".
    pub(super) fn judge_cost(&mut self) {
        let is_price = |at: At| name_words(&self.schema.column(at).name).iter().any(|word| word == "price");
        let costs = |asked: &&Asked| match &asked.what {
            What::Compare(mention, ..) | What::Between(mention, ..) => {
                matches!(mention.text.to_lowercase().as_str(), "cost" | "costs" | "costing")
            }
            _ => false,
        };
        let compared = self.frame.conditions.iter().find(costs).and_then(|asked| match &asked.what {
            What::Compare(mention, ..) | What::Between(mention, ..) => mention.best_column(),
            _ => None,
        });
        let Some((cost, _)) = compared else { return };
        if !is_price(cost) && self.schema.columns(cost.0).any(|(at, _)| is_price(at)) {
            self.doubt("whether a cost or a price is meant");
        }
    }

    /// Doubts a statement without the table that a verb ("sold") names.
    pub(super) fn judge_verbs(&mut self) {
        let is_bought = |verb: &String| matches!(verb.as_str(), "buy" | "purchas" | "sell");
        let sales = measures::sales(self.schema);
        for verb in &self.frame.verbs {
            let tables = self.tables_used();
            if is_bought(verb) && !sales.is_empty() && self.frame.vague.is_none() {
                if !sales.iter().any(|t| tables.contains(t)) {
                    self.doubt("what was sold");
                }
                let is_sale = |counted: &Mention| {
                    let t = self.table_of(counted).filter(|t| sales.contains(t));
                    t.is_some_and(|t| measures::product(self.schema, t).is_none())
                };
                let is_unclear = |item: &Item| matches!(item, Item::Count(counted, _) if !self.is_units(counted) && !is_sale(counted));
                if self.frame.items.iter().any(is_unclear) {
                    self.doubt("whether sold units or rows are counted");
                }
            }
            // "Who won in Kotka", where no column says who did.
            let outcomes =
                ["win", "won", "lose", "lost", "loss", "award", "prize", "medal", "champion", "result", "score"];
            let says_outcome = |t: usize| {
                let columns = self.schema.columns(t).map(|(_, column)| column.name.as_str());
                let words = columns.chain([self.schema.bare(t)]).flat_map(name_words);
                words.into_iter().any(|word| outcomes.iter().any(|outcome| word.starts_with(outcome)))
            };
            if matches!(verb.as_str(), "win" | "won") && !tables.iter().any(|t| says_outcome(*t)) {
                self.doubt("which rows won");
            }
            // "Attended" names `workshop_attendance`, which has keys to both sides, and not the leader of the workshop.
            let named = |t: usize| {
                let words = name_words(self.schema.bare(t));
                let is_whole = words.len() == 1 && words.iter().any(|word| self.linker.stem(word) == *verb);
                let is_between = self.schema.table(t).foreign_keys.len() > 1 && verb.len() > 4;
                is_whole || is_between && words.iter().any(|word| related(&self.linker.stem(word), verb))
            };
            let wanted: Vec<usize> = (0..self.schema.tables().len()).filter(|t| named(*t)).collect();
            if !wanted.is_empty() && !wanted.iter().any(|t| tables.contains(t)) {
                self.doubt(format!("rows of {}", self.schema.table(wanted.first().copied().unwrap_or(0)).name));
            }
        }
    }
}
