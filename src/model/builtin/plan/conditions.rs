//! Conditions, and the sub-queries that they go into.

use super::*;

/// Nouns for a role, which need a column of that role. Prepositions ("from", "to") have other meanings too.
const ROLE_NOUNS: [&str; 8] =
    ["destination", "origin", "departure", "arrival", "sender", "recipient", "receiver", "target"];

impl Planner<'_> {
    pub(super) fn conditions(&mut self) {
        let asked = &self.frame.conditions;
        if asked.first().is_some_and(|first| first.is_alternative) {
            self.doubt("what \"or\" joins");
        }
        let mut at = 0;
        while let Some(first) = asked.get(at) {
            if self.frame.whole == Some(at) {
                self.whole = Some(self.plan.query.conditions.len());
            }
            let mut group = vec![first];
            while let Some(next) = asked.get(at + group.len()).filter(|next| next.is_alternative) {
                group.push(next);
            }
            at += group.len();
            if group.len() == 1 {
                self.one(first);
            } else {
                self.alternatives(&group);
            }
        }
    }

    /// "The percentage of orders that were cancelled": what follows the verb says which part of the rows.
    pub(super) fn share(&mut self) {
        if !self.frame.is_share {
            return;
        }
        let part = self.whole.map(|whole| self.plan.query.conditions.split_off(whole)).unwrap_or_default();
        let counts = self.plan.query.columns.iter().position(|(expr, _)| *expr == Expr::Count);
        match counts.and_then(|at| self.plan.query.columns.get_mut(at)) {
            Some(shown) if !part.is_empty() && !self.leaves_out_rows => {
                *shown = (Expr::Share(part), Some("percentage".to_owned()))
            }
            _ => self.doubt("a share of what"),
        }
    }

    /// Conditions of which one has to hold.
    pub(super) fn alternatives(&mut self, group: &[&Asked]) {
        let before = self.plan.query.conditions.len();
        let mut parts: Vec<Condition> = Vec::new();
        let mut column = None;
        // "not from Paris or London" denies both.
        let is_denied = group.first().is_some_and(|first| first.is_negated);
        for asked in group {
            let mut asked = (*asked).clone();
            asked.is_negated |= is_denied;
            // "in Paris or London", "over 30 or under 20".
            if let (What::Value(named, _), Some(column)) = (&mut asked.what, &column) {
                named.get_or_insert_with(|| Mention::clone(column));
            }
            if let What::Value(Some(named), _) = &asked.what {
                column = Some(named.clone());
            }
            self.one(&asked);
            // "Who participate in an activity or are older than 20": the sub-query of the participation has the activity.
            if self.plan.query.conditions.len() == before {
                self.doubt("what \"or\" joins");
            }
            parts.extend(self.plan.query.conditions.drain(before..));
        }
        let one = if is_denied { Op::Ne } else { Op::Eq };
        let values: Option<Vec<(Expr, Literal)>> = parts
            .iter()
            .map(|part| match part {
                Condition::Compare(expr, op, literal) if *op == one => Some((expr.clone(), literal.clone())),
                _ => None,
            })
            .collect();
        let same = values.filter(|all| all.windows(2).all(|pair| matches!(pair, [a, b] if a.0 == b.0)));
        let joined = match same.and_then(|all| Some((all.first()?.0.clone(), all))) {
            Some((expr, all)) => Condition::In(expr, all.into_iter().map(|(_, literal)| literal).collect(), !is_denied),
            None if is_denied => {
                self.plan.query.conditions.extend(parts);
                return;
            }
            None => Condition::Any(parts),
        };
        self.plan.query.conditions.push(joined);
    }

    /// "10 million dollars" in a column such as `damage_millions`, which counts millions.
    fn in_unit_of(&mut self, at: At, value: f64) -> f64 {
        let name = &self.schema.column(at).name;
        let unit = name_words(name).iter().find_map(|word| match word.as_str() {
            "thousand" | "thousands" => Some(1e3),
            "million" | "millions" => Some(1e6),
            "billion" | "billions" => Some(1e9),
            _ => None,
        });
        match unit.filter(|unit| value >= *unit) {
            Some(unit) => {
                self.assume(format!("the unit of {name} is as its name says"));
                value / unit
            }
            None => value,
        }
    }

    pub(super) fn one(&mut self, asked: &Asked) {
        let negated = asked.is_negated;
        match &asked.what {
            What::Value(column, mention) => self.value(column.as_ref(), mention, asked),
            What::Compare(mention, op, literal) => {
                let Some(at) = self.column(mention).map(|at| self.limited(at, mention, *op)) else { return };
                let literal = match literal {
                    Said::Number(value) => {
                        if !self.schema.is_number(at) && !self.schema.is_year(at) {
                            // An id kept as text.
                            let text = crate::model::builtin::sql::number(*value);
                            if *op != Op::Eq || self.schema.is_date(at) {
                                self.doubt(format!("\"{}\" is no number", mention.text));
                            }
                            let column = self.schema.column(at);
                            let is_known = column.values.contains(&text);
                            let is_id = |word: &String| {
                                matches!(word.as_str(), "id" | "number" | "num" | "no" | "nr" | "code" | "zip")
                            };
                            if !is_known && !self.schema.is_key(at) && !name_words(&column.name).iter().any(is_id) {
                                self.doubt(format!("\"{text}\" is no known value of {}", column.name));
                            }
                            Literal::Text(text)
                        } else {
                            Literal::Number(self.in_unit_of(at, *value))
                        }
                    }
                    Said::Text(text) => Literal::Text(text.clone()),
                };
                // "Stations that never had more than 10 bikes": no row below has more.
                if negated && !self.is_of_row(at) {
                    let op = *op;
                    return self
                        .place(at, &asked.words, true, move |expr| Condition::Compare(expr, op, literal.clone()));
                }
                let op = if negated { op.negated() } else { Some(*op) };
                let Some(op) = op else { return self.doubt("\"not\" before a part of a text") };
                self.place(at, &asked.words, false, |expr| Condition::Compare(expr, op, literal.clone()));
            }
            What::Between(mention, low, high) => {
                let Some(at) = self.column(mention) else { return };
                if !self.schema.is_number(at) {
                    self.doubt(format!("\"{}\" is no number", mention.text));
                }
                if low > high || negated {
                    self.doubt("a range that holds no value");
                }
                let (low, high) = (*low, *high);
                self.place(at, &asked.words, false, move |expr| {
                    Condition::All(vec![
                        Condition::Compare(expr.clone(), Op::Ge, Literal::Number(low)),
                        Condition::Compare(expr, Op::Le, Literal::Number(high)),
                    ])
                });
            }
            What::Columns(mention, op, other) => {
                let (Some(at), Some(other)) = (self.column(mention), self.column(other)) else { return };
                let is_same_kind = self.schema.is_number(at) && self.schema.is_number(other)
                    || self.schema.holds(at) == self.schema.holds(other) && self.schema.is_date(at);
                let op = if negated { op.negated() } else { Some(*op) };
                let Some(op) = op.filter(|_| at.0 == other.0 && at != other && is_same_kind) else {
                    return self.doubt(format!("\"{}\" compared with another column", mention.text));
                };
                self.place(at, &asked.words, false, |expr| Condition::Columns(expr, op, other));
            }
            What::Average(mention, op) => {
                let Some(at) = self.column(mention) else { return };
                if !self.schema.is_number(at) || self.schema.is_key(at) || negated {
                    self.doubt(format!("\"{}\" is no measure", mention.text));
                }
                let op = *op;
                self.place(at, &asked.words, false, move |expr| Condition::Average(expr, op, at));
            }
            What::By(words, op, value) => {
                // "Pets of students who are older than 20": the age of the students.
                let about = asked.about.checked_sub(1).and_then(|at| self.frame.entities.get(at));
                let about = about.and_then(|mention| self.table_of(mention)).filter(|_| asked.is_relative);
                let quality = about.and_then(|t| self.quality(words, t)).or_else(|| self.quality(words, self.root));
                let Some((at, turned)) = quality else {
                    return self.doubt("which column to compare");
                };
                let op = if turned { op.negated() } else { Some(*op) };
                if turned {
                    self.doubt("an age, where the column holds dates of birth");
                }
                let (Some(op), value) = (op, *value) else { return };
                self.place(at, &asked.words, false, move |expr| Condition::Compare(expr, op, Literal::Number(value)));
            }
            What::AverageBy(words, op) => {
                let Some((at, turned)) = self.quality(words, self.root) else {
                    return self.doubt("which column to compare");
                };
                if turned || negated || !self.schema.is_number(at) {
                    self.doubt("which number to compare with");
                }
                let op = *op;
                self.place(at, &asked.words, false, move |expr| Condition::Average(expr, op, at));
            }
            What::During(window, column) => self.during(window, column.as_ref(), asked),
            What::Known(mention) => {
                let Some(at) = self.column(mention) else { return };
                let is_above = at.0 == self.root
                    || self.graph.paths(self.root, at.0).iter().all(|path| path.iter().all(|step| step.is_up));
                match (self.schema.column(at).nullable, is_above) {
                    // "books that were not returned": books with a loan whose date of return is NULL.
                    (true, _) if negated => self.place(at, &asked.words, false, Condition::Null),
                    (true, _) => self.place(at, &asked.words, false, Condition::NotNull),
                    (false, false) => self.has(at.0, &asked.words, !negated),
                    (false, true) if negated => self.doubt(format!("each row has \"{}\"", mention.text)),
                    (false, true) => {}
                }
            }
            What::Flag(mention) => {
                let Some(at) = self.column(mention) else { return };
                let Some((yes, no)) = self.schema.answers(at) else {
                    return self.doubt(format!("\"{}\" does not say yes or no", mention.text));
                };
                let is_above = |path: &Vec<Step>| path.iter().all(|step| step.is_up);
                let is_told = at.0 == self.root
                    || self.frame.entities.iter().any(|mention| self.table_of(mention) == Some(at.0))
                    || self.graph.paths(self.root, at.0).iter().any(is_above);
                if !is_told {
                    self.doubt(format!("the word \"{}\"", mention.text));
                }
                let word = if negated { no } else { yes };
                let literal = match self.schema.holds(at) {
                    Holds::Bool => Literal::Word(word),
                    Holds::Number | Holds::NumberAsText => Literal::Number(if word == "1" { 1.0 } else { 0.0 }),
                    _ => Literal::Text(word.to_owned()),
                };
                self.place(at, &asked.words, false, |expr| Condition::Compare(expr, Op::Eq, literal.clone()));
            }
            What::Has(mention) => {
                let Some(t) = self.table_of(mention) else { return };
                if t == self.root {
                    if negated {
                        self.doubt(format!("a denial of {}", mention.text));
                    }
                    return;
                }
                if self.is_open_table(mention) {
                    self.doubt(format!("\"{}\" may be several tables", mention.text));
                }
                self.has(t, &asked.words, !negated);
            }
            What::Counted(mention, op, value) => {
                let Some(t) = self.table_of(mention) else { return };
                let op = if negated { op.negated() } else { Some(*op) };
                let Some(op) = op else { return };
                if t == self.root {
                    return self.counted_group(op, *value);
                }
                // "How many brands have more than 100 repairs": not the bikes of a brand.
                let is_named = self.frame.entities.iter().any(|entity| self.table_of(entity) == Some(self.root));
                let is_of_group = |item: &Item| match item {
                    Item::Attribute(mention) | Item::Count(mention, _) => self
                        .best_column(mention, Some(self.root))
                        .is_some_and(|at| !self.schema.is_key(at) && self.schema.display(at.0) != [at]),
                    _ => false,
                };
                if !is_named && !self.frame.items.is_empty() && self.frame.items.iter().all(is_of_group) {
                    return self.doubt("a number for each group");
                }
                // Of a gymnast, `people` has one row, so there are never two.
                if self.is_one_to_one(t, self.root) {
                    return self.doubt(format!("the number of {}", mention.text));
                }
                match self.counted(t, &asked.words) {
                    Some(counted) => {
                        self.plan.query.conditions.push(Condition::Compare(counted, op, Literal::Number(*value)));
                    }
                    None => self.doubt(format!("the number of {}", mention.text)),
                }
            }
        }
    }

    /// "countries with more than 3 airlines", where the country is a column of airlines.
    pub(super) fn counted_group(&mut self, op: Op, value: f64) {
        let shown: Vec<Expr> = self.plan.query.columns.iter().map(|(expr, _)| expr.clone()).collect();
        let is_group = |expr: &Expr| matches!(expr, Expr::Column(_, at) if !self.schema.is_key_of(*at) && self.schema.display(at.0) != [*at]);
        let shown: Vec<Expr> = shown.into_iter().filter(|expr| *expr != Expr::Count).collect();
        if shown.is_empty() || !shown.iter().all(is_group) || self.plan.query.having.is_some() {
            return self.doubt("a number for each group");
        }
        if self.plan.query.groups.is_empty() {
            self.plan.query.groups = shown;
        }
        self.plan.query.having = Some((op, value));
    }

    /// Requires rows of a table that belong to the row of the root, or requires that there are none.
    pub(super) fn has(&mut self, t: usize, words: &[String], exists: bool) {
        let Some(path) = self.path(self.root, t, words) else { return };
        if path.iter().all(|step| step.is_up) {
            if exists {
                return;
            }
            // "Repairs without a mechanic": the key may be NULL.
            let keys: Vec<At> = match path.as_slice() {
                [step] => step.edge.pairs.iter().filter_map(|(child, _)| self.schema.find(self.root, child)).collect(),
                _ => Vec::new(),
            };
            if let ([key], true) = (keys.as_slice(), !self.frame.is_both)
                && self.schema.column(*key).nullable
            {
                self.plan.query.conditions.push(Condition::Null(Expr::Column(0, *key)));
                return;
            }
            return self.doubt("\"not\" before something that each row has");
        }
        if let Some((branch, _)) = self.branch_to(t, words) {
            // "did not visit any museum": the museum belongs to the visits that are denied.
            let up = path.iter().take_while(|step| step.is_up).count();
            let denied = self.plan.query.conditions.iter_mut().find_map(|condition| match condition {
                Condition::Exists(known, false) if exists && known.link == branch.link && known.from == branch.from => {
                    Some(known)
                }
                _ => None,
            });
            if let Some(known) = denied {
                Self::join(&mut known.nodes, 0, path.get(up + 1..).unwrap_or_default());
                return;
            }
            let known = self.plan.query.conditions.iter().any(|condition| {
                matches!(condition, Condition::Exists(other, is) if *is == exists && other.link == branch.link && other.from == branch.from)
            });
            if !known {
                self.plan.query.conditions.push(Condition::Exists(branch, exists));
            }
        }
    }

    /// Adds a condition on a column, wherever its table is.
    pub(super) fn place(&mut self, at: At, words: &[String], negated: bool, make: impl Fn(Expr) -> Condition) {
        if at.0 == self.root {
            self.plan.query.conditions.push(make(Expr::Column(0, at)));
            return;
        }
        let Some(path) = self.path(self.root, at.0, words) else { return };
        let up = path.iter().take_while(|step| step.is_up).count();
        if up == path.len() {
            let node = Self::join(&mut self.plan.query.nodes, 0, &path);
            self.plan.query.conditions.push(make(Expr::Column(node, at)));
            return;
        }
        let Some((branch, node)) = self.branch_to(at.0, words) else { return };
        let made = make(Expr::Column(node, at));
        // One sub-query for both conditions: "enrolled in a Bachelor program in semester 3". But two values of one
        // column need two rows, so two sub-queries.
        for condition in self.plan.query.conditions.iter_mut().rev() {
            if let Condition::Exists(known, exists) = condition
                && known.link == branch.link
                && known.from == branch.from
                && (*exists != negated || !*exists && !negated)
            {
                let mut nodes = known.nodes.clone();
                let at_known = Self::join(&mut nodes, 0, path.get(up + 1..).unwrap_or_default());
                let moved = make(Expr::Column(at_known, at));
                let clashes = known.conditions.iter().any(|other| {
                    matches!((other, &moved), (Condition::Compare(a, Op::Eq, _), Condition::Compare(b, Op::Eq, _)) if a == b)
                });
                if !clashes {
                    known.nodes = nodes;
                    known.conditions.push(moved);
                    return;
                }
            }
        }
        let branch = Branch { conditions: vec![made], ..branch };
        self.plan.query.conditions.push(Condition::Exists(branch, !negated));
    }

    /// True for a column that has one value for each row of the root.
    fn is_of_row(&self, at: At) -> bool {
        at.0 == self.root || self.graph.paths(self.root, at.0).iter().all(|path| path.iter().all(|step| step.is_up))
    }

    pub(super) fn value(&mut self, column: Option<&Mention>, mention: &Mention, asked: &Asked) {
        let negated = asked.is_negated;
        if mention.values.is_empty() {
            // Not a known value. With a named column, the draft compares the column with the text. A doubt is
            // recorded in any case.
            let Some(at) = column.and_then(|column| self.column(column)) else {
                return self.doubt(format!("\"{}\" is no known value", mention.text));
            };
            let text = mention.text.clone();
            self.doubt(format!("\"{text}\" is no known value of {}", self.schema.column(at).name));
            return self.place(at, &asked.words, negated, move |expr| {
                Condition::Compare(expr, Op::Eq, Literal::Text(text.clone()))
            });
        }
        let Some(mention) = self.by_role(mention, &asked.words) else {
            return self.doubt(format!("\"{}\" is no known value there", mention.text));
        };
        let entity = |t: usize| self.frame.entities.iter().any(|entity| self.table_of(entity) == Some(t));
        let cost = |at: At| {
            let far = self.graph.distance(self.root, at.0).map_or(9.0, |far| far as f32);
            let is_named = column.is_some_and(|column| column.columns.iter().any(|(of, _)| *of == at));
            let is_name = self.schema.display(at.0).contains(&at);
            let view = if self.schema.is_view(at.0) { 0.5 } else { 0.0 };
            far - if is_named { 5.0 } else { 0.0 }
                - if entity(at.0) { 0.6 } else { 0.0 }
                - if is_name { 0.3 } else { 0.0 }
                + view
        };
        let mut costs: Vec<(f32, At, &String)> =
            mention.values.iter().map(|(at, value)| (cost(*at), *at, value)).collect();
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some((least, at, _)) = costs.first().copied() else { return };
        if costs.iter().any(|(other, rival, _)| *rival != at && other - least < 0.2) {
            let rivals: Vec<At> =
                costs.iter().filter(|(other, ..)| other - least < 0.2).map(|(_, at, _)| *at).collect();
            let same_table = rivals.iter().all(|rival| rival.0 == at.0);
            // The same value in two columns of one row, or in two tables.
            if !same_table || rivals.len() > 1 {
                self.doubt(format!("\"{}\" is a value of several columns", mention.text));
            }
        }
        let mut spellings: Vec<String> =
            costs.iter().filter(|(_, of, _)| *of == at).map(|(_, _, value)| (*value).clone()).collect();
        spellings.sort();
        spellings.dedup();
        let values: Vec<Literal> = spellings.iter().map(|value| self.literal(at, value)).collect();
        let is_own = self.is_of_row(at);
        let op = if negated && is_own { Op::Ne } else { Op::Eq };
        if op == Op::Ne && self.schema.column(at).nullable {
            let name = name_words(&self.schema.column(at).name).join(" ");
            self.assume(format!("rows without {name} are left out"));
        }
        self.place(at, &asked.words, negated && !is_own, move |expr| match values.as_slice() {
            [only] => Condition::Compare(expr, op, only.clone()),
            several => Condition::In(expr, several.to_vec(), op == Op::Eq),
        });
    }

    /// "From Paris", where `origin` and `destination` have the value: keeps only `origin`. `None` if only
    /// `destination` has the value.
    fn by_role(&self, mention: &Mention, words: &[String]) -> Option<Mention> {
        let asked: Vec<&str> = words.iter().flat_map(|word| word.split(' ')).flat_map(cues::roles).collect();
        let roles = |at: At| -> Vec<&str> {
            name_words(&self.schema.column(at).name)
                .iter()
                .flat_map(|word| cues::roles(word).collect::<Vec<_>>())
                .collect()
        };
        let fits = |at: At| roles(at).iter().any(|role| asked.contains(role));
        let has_role = mention.values.iter().any(|(at, _)| !roles(*at).is_empty());
        if asked.is_empty() || !has_role {
            // "The destination of Sorlie's flight", where no column has that role. The column may be in another table.
            let is_noun = words.iter().any(|word| ROLE_NOUNS.contains(&word.as_str()));
            let mut columns = (0..self.schema.tables().len()).flat_map(|t| self.schema.columns(t)).map(|(at, _)| at);
            return (!is_noun || columns.any(fits)).then(|| mention.clone());
        }
        let mut told = mention.clone();
        told.values.retain(|(at, _)| fits(*at));
        if told.values.is_empty() {
            told.values = mention.values.iter().filter(|(at, _)| roles(*at).is_empty()).cloned().collect();
        }
        (!told.values.is_empty()).then_some(told)
    }

    pub(super) fn literal(&self, at: At, value: &str) -> Literal {
        match self.schema.holds(at) {
            Holds::Number => value.trim().parse().map_or_else(|_| Literal::Text(value.to_owned()), Literal::Number),
            Holds::NumberAsText => {
                value.trim().parse().map_or_else(|_| Literal::Text(value.to_owned()), Literal::Number)
            }
            _ => Literal::Text(value.to_owned()),
        }
    }
}
