//! Doubts about the plan: statements that no question can mean, and words that the statement does not use.

use super::*;
use crate::database::catalog::Column;

/// Stems of verbs whose subject is a maker.
const MAKERS: [&str; 14] = [
    "made", "make", "direct", "build", "built", "write", "wrote", "written", "compos", "design", "creat", "produc",
    "invent", "paint",
];

impl Planner<'_> {
    /// Records the doubts about the finished plan.
    pub(super) fn judge(&mut self) {
        let query = &self.plan.query;
        let is_plain = |expr: &Expr| matches!(expr, Expr::Column(..) | Expr::Bucket(..));
        let is_group =
            |expr: &Expr| matches!(expr, Expr::Count | Expr::Share(_) | Expr::CountDistinct(..) | Expr::Aggregate(..));
        let loose = query.columns.iter().any(|(expr, _)| is_plain(expr) && !query.groups.contains(expr));
        let mixed = query.columns.iter().any(|(expr, _)| is_group(expr)) || !query.groups.is_empty();
        let per_row = query.columns.iter().any(|(expr, _)| matches!(expr, Expr::Counted(_) | Expr::Measured(..)));
        if mixed && (loose || per_row) {
            self.doubt("whether rows or groups are wanted");
        }
        let equals = |condition: &Condition| match condition {
            Condition::Compare(expr @ Expr::Column(..), Op::Eq, _) => Some(expr.clone()),
            _ => None,
        };
        let fixed: Vec<Expr> = self.plan.query.conditions.iter().filter_map(equals).collect();
        if fixed.iter().enumerate().any(|(at, expr)| fixed.iter().skip(at + 1).any(|other| other == expr)) {
            self.doubt("one column cannot equal two values at once");
        }
        self.judge_conditions(&fixed);
        let counts_fixed =
            |expr: &Expr| matches!(expr, Expr::CountDistinct(node, at) if fixed.contains(&Expr::Column(*node, *at)));
        if self.plan.query.columns.iter().any(|(expr, _)| counts_fixed(expr)) {
            self.doubt("the count of a column whose value is given");
        }
        // "How many stars does Argo have", where a star may be a rating: one row has one.
        let is_row_named =
            fixed.iter().any(|expr| matches!(expr, Expr::Column(0, at) if self.schema.display(self.root) == [*at]));
        let counts_root = |expr: &Expr| matches!(expr, Expr::CountDistinct(0, at) if at.0 == self.root);
        if is_row_named && self.plan.query.columns.iter().any(|(expr, _)| counts_root(expr)) {
            self.doubt("the count of a column of one row");
        }
        self.judge_shown(&fixed);
        self.judge_revenue();
        self.judge_number_of();
        self.judge_short_names();
        let bound = |condition: &Condition, lower: bool| match condition {
            Condition::Compare(expr, Op::Gt | Op::Ge, Literal::Number(value)) if lower => Some((expr.clone(), *value)),
            Condition::Compare(expr, Op::Lt | Op::Le, Literal::Number(value)) if !lower => Some((expr.clone(), *value)),
            _ => None,
        };
        let conditions = &self.plan.query.conditions;
        let lows: Vec<(Expr, f64)> = conditions.iter().filter_map(|condition| bound(condition, true)).collect();
        let highs: Vec<(Expr, f64)> = conditions.iter().filter_map(|condition| bound(condition, false)).collect();
        if lows.iter().any(|(low, from)| highs.iter().any(|(high, to)| low == high && from >= to)) {
            self.doubt("a range that holds no value");
        }
        // "New customers this year": the condition on the date says "new" already.
        let own = dates::of_rows(self.schema, self.graph, self.root, false, |word| self.linker.stem(word));
        let is_own = |condition: &Condition| match (condition, own.as_slice()) {
            (Condition::Compare(Expr::Column(0, at), ..), [only]) => at == only && only.0 == self.root,
            _ => false,
        };
        let are_new = self.plan.query.conditions.iter().any(|condition| match condition {
            Condition::All(parts) => parts.iter().any(is_own),
            one => is_own(one),
        });
        for (word, stem) in &self.frame.loose {
            if !(self.is_named_like(stem) || are_new && word.eq_ignore_ascii_case("new")) {
                self.doubt(format!("the word \"{word}\""));
            }
        }
        if self.frame.wants_bucket && self.frame.bucket.is_none() {
            self.doubt("by which unit of time");
        }
        let is_of_person = |expr: &Expr| match expr {
            Expr::Column(_, at) => {
                let words = name_words(&self.schema.column(*at).name);
                self.schema.is_of_people(at.0) || words.iter().any(|word| cues::is_person(&singulars(word)))
            }
            _ => false,
        };
        // "Who made the most railways": a manager, or the person in a column `builder`.
        let people_in = |t: usize| {
            let is_person = |(at, column): &(At, &Column)| {
                // The list of nouns lacks some words for people, such as "founder". Their endings mark them.
                let is_agent = |word: &String| word.len() > 4 && (word.ends_with("er") || word.ends_with("or"));
                let is_one = |word: &String| is_agent(word) || cues::is_person(&singulars(word));
                // `builder`, `manager_name`.
                let words = name_words(&column.name);
                let head = words.iter().rev().find(|word| *word != "name");
                let is_text = self.schema.holds(*at) == Holds::Text && head.is_some_and(is_one);
                is_text && !self.schema.is_key(*at) && !self.is_reference(*at)
            };
            self.schema.columns(t).filter(is_person).count()
        };
        let person_of = |t: usize| people_in(t) > 0;
        let others = self.frame.entities.iter().chain(self.frame.order.iter().filter_map(|(key, _)| match key {
            Key::Count(counted) => counted.as_ref(),
            _ => None,
        }));
        let mut others = others.filter_map(|mention| self.table_of(mention));
        // "Who made Avatar" is no reviewer of it.
        let is_maker = |verb: &String| MAKERS.contains(&verb.as_str());
        let is_made = self.frame.verbs.iter().any(is_maker)
            && self.tables_used().into_iter().any(|t| t != self.root && person_of(t));
        // "Who won matches", where a match has a winner and a loser.
        let shows_root_only =
            self.frame.items.iter().all(|item| matches!(item, Item::Entity(_))) && !self.schema.is_of_people(self.root);
        let is_one_of_several = shows_root_only && people_in(self.root) > 1;
        let is_open = is_one_of_several || is_made || others.any(|t| t != self.root && person_of(t));
        // "Who runs the store in Kotka", where the row of Kotka names its manager.
        let holds_value = |t: usize| {
            self.frame.conditions.iter().any(|condition| matches!(&condition.what, What::Value(_, value) if value.values.iter().all(|(at, _)| at.0 == t)))
        };
        let is_open =
            is_open || self.tables_used().into_iter().any(|t| t != self.root && person_of(t) && holds_value(t));
        if self.frame.is_who && (is_open || !self.plan.query.columns.iter().any(|(expr, _)| is_of_person(expr))) {
            self.doubt("who");
        }
        // "Who comes from Miami", where a gymnast has a number and no name. "Who advises Ann", where the adviser is a number.
        let shows_number =
            |(expr, _): &(Expr, Option<String>)| matches!(expr, Expr::Column(_, at) if self.schema.is_number(*at));
        if self.frame.is_who && self.plan.query.columns.iter().all(shows_number) {
            self.doubt("who");
        }
        self.judge_verbs();
        self.judge_when();
        self.judge_cost();
        if self.frame.is_both && self.plan.query.conditions.len() < 2 {
            self.doubt("what \"both\" refers to");
        }
        self.judge_both();
        self.judge_roles();
        self.settle(&fixed);
    }

    /// The column that a limit such as "under 30" is about: the age, if `at` is only the key of a person. Doubts a limit of
    /// any other key that the question does not name.
    pub(super) fn limited(&mut self, at: At, mention: &Mention, op: Op) -> At {
        let is_limit = matches!(op, Op::Gt | Op::Ge | Op::Lt | Op::Le);
        // "More than 2 area codes" counts the codes.
        let is_code = |word: &String| matches!(word.as_str(), "id" | "number" | "code");
        if !is_limit || !self.schema.is_key(at) || name_words(&mention.text).iter().any(is_code) {
            return at;
        }
        match self.quality(&["age".to_owned()], at.0).filter(|_| self.schema.is_of_people(at.0)) {
            Some((age, false)) => age,
            _ => {
                self.doubt(format!("a limit of {}", self.schema.column(at).name));
                at
            }
        }
    }

    /// "Which film has the highest rental rate? What is the rate?", where `rating` is another column.
    fn judge_short_names(&mut self) {
        let ordered = self.frame.order.iter().filter_map(|(key, _)| match key {
            Key::Attribute(mention) => Some(mention),
            _ => None,
        });
        for item in &self.frame.items {
            let Item::Attribute(short) = item else { continue };
            let ending = format!(" {}", short.text.to_lowercase());
            let is_short = |long: &Mention| long.text.to_lowercase().ends_with(&ending) && !long.shares_column(short);
            if ordered.clone().any(is_short) {
                self.doubt(format!("the word \"{}\"", short.text));
            }
        }
    }

    /// "Both English and Dutch": two values of different columns are no pair.
    fn judge_both(&mut self) {
        let values = self.frame.conditions.iter().filter_map(|condition| match &condition.what {
            What::Value(None, value) => Some(&value.values),
            _ => None,
        });
        let mut values = values.take(3);
        if let (true, Some(one), Some(other), None) = (self.frame.is_both, values.next(), values.next(), values.next())
            && !one.iter().any(|(at, _)| other.iter().any(|(of, _)| of == at))
        {
            self.doubt("what \"both\" refers to");
        }
    }

    /// Drops doubts about words that the finished statement explains. `fixed` are columns with a given value.
    fn settle(&mut self, fixed: &[Expr]) {
        let query = &self.plan.query;
        let only = match query.columns.as_slice() {
            [(Expr::Column(0, at), _)] => Some(*at),
            _ => None,
        };
        let shows_count = query.columns.iter().any(|(expr, _)| matches!(expr, Expr::Count | Expr::Counted(_)));
        let is_place = |word: &String| {
            matches!(word.as_str(), "location" | "place" | "city" | "town" | "address" | "country" | "venue" | "street")
        };
        let shows_place = only.is_some_and(|at| name_words(&self.schema.column(at).name).iter().any(is_place));
        // "How much does a repair cost?" asks for the number that is stored for it.
        let names_row = fixed.iter().any(|expr| match expr {
            Expr::Column(0, at) => at.0 == self.root && self.schema.display(self.root) == [*at],
            _ => false,
        });
        let shows_amount = only.is_some_and(|at| self.schema.is_number(at) && !self.schema.is_key(at)) && names_row;
        self.plan.doubts.retain(|doubt| match doubt.to_lowercase().as_str() {
            "the word \"where\"" => !shows_place,
            "the words \"how much\"" => !shows_amount,
            // "Show the title and the number."
            "the word \"number\"" => !shows_count,
            _ => true,
        });
    }

    /// Records doubts about the conditions, and the assumption that a row of a tree stands for itself alone. `fixed`
    /// are columns that equal a given value.
    fn judge_conditions(&mut self, fixed: &[Expr]) {
        let conditions = &self.plan.query.conditions;
        // "Routes with trips on weekdays but not on Sundays": a route has trips of both kinds in different rows.
        let is_denied_too =
            |condition: &Condition| matches!(condition, Condition::Compare(expr, Op::Ne, _) if fixed.contains(expr));
        let is_two_sided = conditions.iter().any(is_denied_too);
        // "Supplier countries without customers", where three tables lie between a supplier and a customer.
        let is_far =
            |condition: &Condition| matches!(condition, Condition::Exists(branch, false) if branch.nodes.len() > 3);
        let is_far = conditions.iter().any(is_far);
        // "Which member lives in Kotka", where a member owns a site there.
        let is_home_of_other = self.frame.asks_home
            && conditions
                .iter()
                .any(|condition| matches!(condition, Condition::Exists(branch, true) if !branch.conditions.is_empty()));
        let other_owner = self.measure_of_other(conditions);
        let tree = self.tree();
        let strange = conditions.iter().find_map(|condition| self.status_without_date(condition, conditions));
        if let Some(t) = tree {
            self.assume(format!("{} alone, without those under them", self.schema.bare(t)));
        }
        if is_home_of_other {
            self.doubt("who lives there");
        }
        if let Some(column) = other_owner {
            self.doubt(format!("whose {column}"));
        }
        if is_two_sided {
            self.doubt("one value of a column and not another");
        }
        if is_far {
            self.doubt("\"not\" for rows that are reached through several tables");
        }
        if let Some(why) = strange {
            self.doubt(why);
        }
    }

    /// The table whose rows may be under other rows of it, as categories are, if the statement counts or filters by one of its
    /// rows: "products of the category Kitchen". `None` for people.
    fn tree(&self) -> Option<usize> {
        let query = &self.plan.query;
        let above = |expr: &Expr| match expr {
            Expr::Column(node, at) if *node > 0 => Some(at.0),
            _ => None,
        };
        let filtered = query.conditions.iter().filter_map(|condition| match condition {
            Condition::Compare(expr, Op::Eq, _) => above(expr),
            _ => None,
        });
        let counts = query.columns.iter().any(|(expr, _)| matches!(expr, Expr::Counted(_) | Expr::Measured(..)));
        let mut tables = filtered.chain(query.groups.iter().filter_map(above)).chain(counts.then_some(self.root));
        tables.find(|t| {
            let table = self.schema.table(*t);
            !self.schema.is_of_people(*t) && table.foreign_keys.iter().any(|key| key.references == table.name)
        })
    }

    /// "Failed payments last month", where the only date is `paid_at` and `paid` is another status: a failed payment may have
    /// no such date.
    fn status_without_date(&self, condition: &Condition, all: &[Condition]) -> Option<String> {
        let Condition::Compare(Expr::Column(node, at), Op::Eq, Literal::Text(value)) = condition else { return None };
        let is_status =
            |word: &String| self.schema.column(*at).values.iter().any(|known| known.eq_ignore_ascii_case(word));
        let date_of = |condition: &Condition| match condition {
            Condition::Compare(Expr::Column(other, date), Op::Ge | Op::Gt | Op::Lt | Op::Le, _) => {
                (other == node && self.schema.is_date(*date)).then_some(*date)
            }
            _ => None,
        };
        let parts = all.iter().flat_map(|condition| match condition {
            Condition::All(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        });
        let mut dates = parts.filter_map(date_of);
        let date = dates.find(|date| {
            let verb = name_words(&self.schema.column(*date).name).into_iter().next();
            self.schema.column(*date).nullable
                && verb.is_some_and(|verb| is_status(&verb) && !verb.eq_ignore_ascii_case(value))
        })?;
        let date = name_words(&self.schema.column(date).name).join(" ");
        Some(format!("\"{date}\", which {value} {} may not have", self.schema.bare(at.0)))
    }

    /// True if a word may be a role of one row for another row of the same table: "the mentor of Ann".
    fn is_role_of_itself(&self) -> bool {
        let refers = |t: usize| {
            let table = self.schema.table(t);
            table.foreign_keys.iter().any(|key| key.references == table.name)
        };
        let is_role = |mention: &Mention| mention.tables.iter().all(|(t, fit)| *fit < 0.8 && refers(*t));
        self.frame.entities.iter().any(|mention| mention.table_fit() > OTHER_WORD && is_role(mention))
    }

    /// Doubts what is shown. `fixed` are columns that equal a given value.
    fn judge_shown(&mut self, fixed: &[Expr]) {
        let query = &self.plan.query;
        let all =
            |is: &dyn Fn(&Expr) -> bool| !query.columns.is_empty() && query.columns.iter().all(|(expr, _)| is(expr));
        let is_of_rows = |expr: &Expr| matches!(expr, Expr::Column(_, at) if !self.schema.is_key(*at) && !self.schema.display(at.0).contains(at));
        let is_answer = |expr: &Expr| matches!(expr, Expr::Column(_, at) if self.schema.answers(*at).is_some());
        let is_denied = query.conditions.iter().any(|condition| matches!(condition, Condition::Exists(_, false)));
        let first = self.frame.entities.first().and_then(|mention| self.table_of(mention));
        let is_ranked = matches!(self.frame.order.as_slice(), [(Key::Attribute(_), _)]) && self.frame.is_superlative;
        let is_above = |expr: &Expr| matches!(expr, Expr::Column(node, _) if *node > 0);
        let of_above = |condition: &Condition| matches!(condition, Condition::Compare(expr, ..) if is_above(expr));
        let is_repeated = all(&is_above)
            && query.conditions.iter().all(of_above)
            && (!query.is_distinct && query.groups.is_empty() && query.order.is_empty());
        // "Codes of countries that do not speak English", shown from rows of country and language.
        let is_unequal = |condition: &Condition| {
            matches!(
                condition,
                Condition::Compare(Expr::Column(0, _), Op::Ne, _) | Condition::In(Expr::Column(0, _), _, false)
            )
        };
        let is_part_of_key = |expr: &Expr| matches!(expr, Expr::Column(0, at) if self.schema.is_foreign(*at) && !self.schema.is_only_key(*at));
        let is_unnamed = !self.frame.entities.iter().any(|mention| self.table_of(mention) == Some(self.root));
        let denies_one_of_many = is_unnamed && query.conditions.iter().any(is_unequal) && all(&is_part_of_key);
        let doubts = [
            (denies_one_of_many, "whether each row or the whole group must lack it"),
            // "The content of the series Sky Radio": a channel's content would repeat for each series of the channel.
            (is_repeated, "the same answer would stand in many rows"),
            // "friends of Kyle": the name in the question is no answer.
            (all(&|expr| fixed.contains(expr)), "the answer would only repeat a value of the question"),
            (
                all(&is_answer) && (query.groups.is_empty() || self.frame.is_superlative),
                "the answer would be a list of yes and no",
            ),
            (self.is_role_of_itself(), "which of two rows of one table is meant"),
            // "Which countries have no channel": a denial for each row, or for all rows of a country.
            (
                is_denied && first != Some(self.root) && all(&is_of_rows),
                "whether each row or the whole group must lack it",
            ),
            // "Which floor has the most beds": by the sum of a floor, or by one row of it.
            (is_ranked && first.is_none() && all(&is_of_rows), "whether one row counts or the sum of its group"),
        ];
        for (is_doubted, why) in doubts {
            if is_doubted {
                self.doubt(why);
            }
        }
    }

    /// The name of a compared number of a table that the question does not name, if the table of the question has such a
    /// number too: "costumes that cost more than 500", where a costume has a `purchase_cost` and a repair has a `cost`.
    fn measure_of_other(&self, conditions: &[Condition]) -> Option<String> {
        let compared = conditions.iter().find_map(|condition| match condition {
            Condition::Exists(branch, true) => branch.conditions.iter().find_map(|inner| match inner {
                Condition::Compare(Expr::Column(_, at), Op::Gt | Op::Ge | Op::Lt | Op::Le, _)
                | Condition::Average(Expr::Column(_, at), ..) => Some(*at),
                _ => None,
            }),
            _ => None,
        })?;
        let head = |name: &str| name_words(name).last().cloned();
        let name = &self.schema.column(compared).name;
        let is_named = self.frame.entities.iter().any(|mention| self.table_of(mention) == Some(compared.0));
        let is_same = |(at, column): (At, &Column)| {
            self.schema.is_number(at) && !self.schema.is_key(at) && head(&column.name) == head(name)
        };
        (!is_named && self.schema.columns(self.root).any(is_same)).then(|| name.clone())
    }

    /// Doubts revenue if a named table's amounts are no sales: "How much did tickets bring in".
    pub(super) fn judge_revenue(&mut self) {
        let is_revenue = self.frame.items.iter().any(|item| matches!(item, Item::Revenue(_)));
        let Some(sales) = measures::sales(self.schema).first().copied().filter(|_| is_revenue) else { return };
        let is_above =
            |t: usize| self.graph.paths(sales, t).first().is_some_and(|path| path.iter().all(|step| step.is_up));
        let named = self.frame.entities.iter().filter_map(|mention| self.table_of(mention));
        let others = named.filter(|t| *t != sales && !is_above(*t) && measures::amount(self.schema, *t).is_some());
        if others.count() > 0 {
            self.doubt("whose money is meant");
        }
    }

    /// Doubts a number that may count rows or limit a value: "average score of trainings with more than 60 scores".
    fn judge_number_of(&mut self) {
        let averaged = |mention: &Mention| {
            self.frame
                .items
                .iter()
                .any(|item| matches!(item, Item::Aggregate(Function::Avg, shown) if shown.shares_column(mention)))
        };
        // "Phones with a total number of stocks over 2000": the sum of several rows, or one number.
        let counts = |mention: &Mention| {
            self.frame
                .items
                .iter()
                .any(|item| matches!(item, Item::Count(counted, _) if counted.shares_column(mention)))
        };
        let is_sum = |condition: &Asked| matches!(&condition.what, What::Compare(mention, ..) if counts(mention));
        if self.frame.conditions.iter().any(is_sum) {
            self.doubt("whether one value or a sum is meant");
        }
        let is_number_of = |condition: &Asked| matches!(&condition.what, What::Compare(mention, op, _) if *op != Op::Eq && averaged(mention));
        if !self.frame.groups.is_empty() && self.frame.conditions.iter().any(is_number_of) {
            self.doubt("whether a number of rows or a value is meant");
        }
    }

    /// The tables of the statement and of its sub-queries.
    pub(super) fn tables_used(&self) -> Vec<usize> {
        let query = &self.plan.query;
        (0..self.schema.tables().len())
            .filter(|t| {
                query.nodes.iter().any(|node| node.table == *t)
                    || query.conditions.iter().any(|condition| uses(condition, *t))
                    || query.columns.iter().any(|(expr, _)| expr_uses(expr, *t))
                    || query.order.iter().any(|(expr, _)| expr_uses(expr, *t))
            })
            .collect()
    }

    /// True if a table of the statement, or a column of a condition, has a name like this word.
    pub(super) fn is_named_like(&self, stem: &str) -> bool {
        let mut tables: Vec<usize> = self.plan.query.nodes.iter().map(|node| node.table).collect();
        let mut columns: Vec<At> = Vec::new();
        fn visit(condition: &Condition, tables: &mut Vec<usize>, columns: &mut Vec<At>) {
            match condition {
                Condition::Compare(Expr::Column(_, at), ..) | Condition::In(Expr::Column(_, at), ..) => {
                    columns.push(*at)
                }
                Condition::Compare(Expr::Counted(branch), ..) => {
                    tables.extend(branch.nodes.iter().map(|node| node.table))
                }
                Condition::Exists(branch, _) => {
                    tables.extend(branch.nodes.iter().map(|node| node.table));
                    branch.conditions.iter().for_each(|inner| visit(inner, tables, columns));
                }
                Condition::Any(all) | Condition::All(all) => all.iter().for_each(|inner| visit(inner, tables, columns)),
                _ => {}
            }
        }
        self.plan.query.conditions.iter().for_each(|condition| visit(condition, &mut tables, &mut columns));
        let shown = self.plan.query.columns.iter().map(|(expr, _)| expr);
        for expr in shown.chain(self.plan.query.order.iter().map(|(expr, _)| expr)) {
            if let Expr::Counted(branch) | Expr::Measured(branch, _) = expr {
                tables.extend(branch.nodes.iter().map(|node| node.table));
            }
        }
        let names = tables
            .iter()
            .map(|t| self.schema.bare(*t))
            .chain(columns.iter().map(|at| self.schema.column(*at).name.as_str()));
        let mut words = names.flat_map(name_words).map(|word| self.linker.stem(&word));
        stem.len() > 2 && words.any(|word| word == *stem || related(&word, stem))
    }

    /// "The youngest winning pilot", where a key of another table is called `winning_pilot`: that table has to be used.
    fn judge_roles(&mut self) {
        let used = self.tables_used();
        for mention in &self.frame.entities {
            let Some(t) = self.table_of(mention).filter(|_| mention.table_fit() == ROLE) else { continue };
            let own = name_words(self.schema.bare(t));
            let is_own = |word: &String| own.iter().any(|own| singulars(own) == singulars(word));
            let words = name_words(&mention.text);
            if words.len() > 1 && words.iter().any(is_own) && !words.iter().all(is_own) && used == [t] {
                self.doubt(format!("the words \"{}\"", mention.text));
            }
        }
    }

    /// Requires rows of each named, unused table, and may doubt the word.
    pub(super) fn mentioned_tables(&mut self) {
        let frame = self.frame;
        for mention in &frame.entities {
            let Some(t) = self.table_of(mention) else { continue };
            let in_nodes =
                self.plan.query.nodes.iter().any(|node| mention.tables.iter().any(|(of, _)| *of == node.table));
            let in_branches = self.plan.query.conditions.iter().any(|condition| uses(condition, t))
                || self
                    .plan
                    .query
                    .columns
                    .iter()
                    .map(|(expr, _)| expr)
                    .chain(self.plan.query.order.iter().map(|(expr, _)| expr))
                    .any(|expr| expr_uses(expr, t));
            // A column of that name is shown.
            let as_column = mention.columns.iter().any(|(at, _)| {
                self.plan.query.columns.iter().any(|(expr, _)| matches!(expr, Expr::Column(_, of) if of == at))
            });
            if !in_nodes && !in_branches && !as_column && mention.table_fit() < OTHER_WORD {
                self.doubt(format!("the word \"{}\"", mention.text));
            }
            if !in_nodes && !in_branches && !as_column {
                self.has(t, &[], true);
            }
        }
    }
}
