//! Chooses the root of a query: the table whose rows are listed or counted.

use super::*;

impl Planner<'_> {
    pub(super) fn choose_root(&self) -> Option<usize> {
        let frame = self.frame;
        let first = self.asked_entities().next().and_then(|mention| self.table_of(mention));
        if let Some(t) = self.group_table() {
            return Some(t);
        }
        // "Who has never ordered anything": the verb is no person.
        let is_verb = frame.entities.first().is_some_and(Mention::ends_with_ed) && frame.items.is_empty();
        if frame.is_who && (first.is_none() || is_verb) {
            return self.people();
        }
        // "Which month had the most orders".
        if frame.bucket.is_some() && frame.items.is_empty() && frame.is_superlative {
            return match frame.order.as_slice() {
                [(Key::Count(Some(counted)), _)] => self.table_of(counted),
                [(Key::Revenue, _)] => measures::sales(self.schema).first().copied(),
                _ => None,
            };
        }
        if let Some(t) = self.counted_per_column() {
            return Some(t);
        }
        let mut wanted: Vec<&Mention> = Vec::new();
        for item in &frame.items {
            match item {
                Item::Count(mention, _) if mention.table_fit() >= mention.column_fit() - 0.05 => {
                    // "airlines and their number of flights": the other items say whose rows are listed.
                    let others = frame.items.iter().any(|item| matches!(item, Item::Attribute(_) | Item::Entity(_)));
                    if !others {
                        return self.table_of(mention);
                    }
                }
                Item::Entity(mention) => {
                    let shown: Vec<usize> = frame
                        .items
                        .iter()
                        .filter_map(|item| match item {
                            Item::Entity(mention) => self.table_of(mention),
                            Item::Attribute(mention) => self.best_column(mention, first).map(|at| at.0),
                            _ => None,
                        })
                        .collect();
                    self.anchor.set(first);
                    return self.table_of(mention).and_then(|t| self.below_all(t, &shown));
                }
                Item::Aggregate(_, mention) => return self.root_of_aggregate(mention, first),
                Item::Attribute(mention) | Item::Count(mention, _) => wanted.push(mention),
                Item::Revenue(_) => return measures::sales(self.schema).first().copied(),
            }
        }
        if let Some((mention, _)) = &frame.common {
            wanted.push(mention);
        }
        if wanted.is_empty() {
            return first.or_else(|| self.table_of_values());
        }
        self.root_of_attributes(&wanted, first)
    }

    /// The named tables, without those that only a denial names: "names of agencies without a rocket".
    fn asked_entities(&self) -> impl Iterator<Item = &Mention> {
        let is_denied = |mention: &&Mention| {
            self.frame
                .conditions
                .iter()
                .any(|asked| asked.is_negated && matches!(&asked.what, What::Has(of) if of == *mention))
        };
        self.frame.entities.iter().filter(move |mention| !is_denied(mention))
    }

    /// The table of the column that is aggregated.
    fn root_of_aggregate(&self, measure: &Mention, first: Option<usize>) -> Option<usize> {
        let frame = self.frame;
        let grouped = match frame.groups.as_slice() {
            [group] if group.table_fit() < group.column_fit() => self.best_column(group, first).map(|at| at.0),
            _ => None,
        };
        let best = self.best_column(measure, first.or(grouped))?;
        let fit = |at: At| measure.columns.iter().find(|(of, _)| *of == at).map_or(0.0, |(_, fit)| *fit);
        let is_rival = |at: At| {
            at.0 != best.0 && fit(best) - fit(at) < MARGIN && !self.schema.is_view(at.0) && !self.is_reference(at)
        };
        let is_told = first.is_some()
            || !frame.groups.is_empty()
            || frame.conditions.iter().any(|condition| !matches!(condition.what, What::During(_, None)));
        // "The average age of gymnasts", where each gymnast is a row of `people`.
        if let Some(t) = first.filter(|t| *t != best.0 && self.is_one_to_one(*t, best.0)) {
            return Some(t);
        }
        if !is_told && measure.columns.iter().any(|(at, _)| is_rival(*at)) {
            self.is_open_root.set(true);
        }
        Some(best.0)
    }

    /// True if the only key of a table's rows is also their only reference to the other table.
    pub(super) fn is_one_to_one(&self, t: usize, other: usize) -> bool {
        let own = self.schema.primary_key(t);
        let paths = self.graph.paths(t, other);
        let [path] = paths.as_slice() else { return false };
        matches!(path.as_slice(), [step] if step.is_up && matches!((own, step.edge.pairs.as_slice()), ([key], [(child, _)]) if key == child))
    }

    /// The table that all attributes fit best, preferably one that the question names.
    fn root_of_attributes(&self, wanted: &[&Mention], first: Option<usize>) -> Option<usize> {
        let frame = self.frame;
        let total = |root: usize| wanted.iter().map(|mention| self.fit_for(mention, root)).sum::<f32>();
        let named = |root: usize| {
            let place = self.asked_entities().position(|mention| self.table_of(mention) == Some(root));
            place.map_or(0.0, |place| if place == 0 { 0.3 } else { 0.12 })
        };
        let valued = |root: usize| {
            let near = frame.conditions.iter().any(|condition| match &condition.what {
                What::Value(_, mention) => mention.values.iter().any(|(at, _)| at.0 == root),
                What::Compare(mention, ..) | What::Between(mention, ..) | What::Average(mention, _) => {
                    mention.columns.iter().any(|(at, fit)| at.0 == root && *fit > 0.6)
                }
                _ => false,
            });
            if near { 0.06 } else { 0.0 }
        };
        let candidates = wanted.iter().flat_map(|mention| mention.columns.iter().map(|(at, _)| at.0));
        let mut candidates: Vec<usize> = candidates.chain(first).collect();
        candidates.sort_unstable();
        candidates.dedup();
        let view = |root: usize| if self.schema.is_view(root) { 0.05 } else { 0.0 };
        // "The id of the customer" is a key of customers, and a reference in orders.
        let refers = |root: usize| {
            let own = |mention: &Mention| {
                mention.columns.iter().filter(|(at, _)| at.0 == root).map(|(at, _)| *at).collect::<Vec<_>>()
            };
            wanted.iter().all(|mention| own(mention).iter().any(|at| self.is_reference(*at)))
        };
        let score =
            |root: usize| total(root) + named(root) + valued(root) - view(root) - if refers(root) { 0.01 } else { 0.0 };
        candidates.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let best = candidates.first().copied()?;
        let rival = candidates.get(1).is_some_and(|rival| {
            score(best) - score(*rival) < MARGIN && !self.schema.is_view(*rival) && (refers(best) || !refers(*rival))
        });
        if rival && named(best) == 0.0 {
            self.is_open_root.set(true);
        }
        let shown: Vec<usize> =
            wanted.iter().filter_map(|mention| self.best_column(mention, Some(best))).map(|at| at.0).collect();
        let entities = frame.items.iter().filter_map(|item| match item {
            Item::Entity(mention) => self.table_of(mention),
            _ => None,
        });
        self.anchor.set(Some(best));
        self.below_all(best, &shown.into_iter().chain(entities).collect::<Vec<_>>())
    }

    /// "Which city has the most admissions", where the city is a column of patients: the table whose rows are counted for
    /// each city.
    fn counted_per_column(&self) -> Option<usize> {
        let first = self.frame.entities.first().and_then(|mention| self.table_of(mention));
        let t = match self.frame.order.as_slice() {
            [(Key::Count(Some(counted)), _)] => self.table_of(counted),
            [(Key::Aggregate(_, measure), _)] => self.best_column(measure, first).map(|at| at.0),
            _ => None,
        };
        // "Brands with more than 100 repairs", where the brand is a column of bikes.
        let counted = match (self.frame.order.as_slice(), self.frame.conditions.as_slice()) {
            ([], [Asked { what: What::Counted(counted, ..), is_negated: false, .. }]) => self.table_of(counted),
            _ => None,
        };
        let t = t.filter(|_| self.frame.is_superlative).or(counted)?;
        let is_of_group = |item: &Item| {
            let Item::Attribute(mention) = item else { return false };
            let Some(at) = self.best_column(mention, Some(t)) else { return false };
            let is_up = self.graph.paths(t, at.0).first().is_some_and(|path| path.iter().all(|step| step.is_up));
            let is_named = self.frame.entities.iter().any(|entity| self.table_of(entity) == Some(at.0));
            let is_row = self.schema.display(at.0) == [at] || is_named && self.schema.display(at.0).contains(&at);
            is_up && at.0 != t && !self.schema.is_key(at) && !is_row && (counted.is_none() || !is_named)
        };
        (!self.frame.items.is_empty() && self.frame.items.iter().all(is_of_group)).then_some(t)
    }

    /// The table whose rows each belong to one row of every given table: `first`, a given table, or the nearest table
    /// below all of them. `first` if none is found.
    pub(super) fn below_all(&self, first: usize, tables: &[usize]) -> Option<usize> {
        let is_below = |root: usize, t: usize| {
            root == t || self.graph.paths(root, t).first().is_some_and(|path| path.iter().all(|step| step.is_up))
        };
        let fits = |root: usize| tables.iter().all(|t| is_below(root, *t));
        if fits(first) {
            return Some(first);
        }
        let mut between: Vec<usize> = tables.iter().copied().filter(|root| fits(*root)).collect();
        if between.is_empty() {
            let near = |root: &usize| tables.iter().map(|t| self.graph.distance(*root, *t).unwrap_or(9)).sum::<usize>();
            between = (0..self.schema.tables().len()).filter(|root| fits(*root)).collect();
            between.sort_by_key(near);
            if let [one, other, ..] = between.as_slice()
                && near(one) == near(other)
            {
                return Some(first);
            }
        }
        between.first().copied().or(Some(first))
    }

    /// For "who": the only table of people. If the question asks for revenue, the rows of sales must refer to the
    /// table, directly or over other tables. `None` if there are several such tables or none.
    pub(super) fn people(&self) -> Option<usize> {
        let is_person = |t: &usize| !self.schema.is_view(*t) && self.schema.is_of_people(*t);
        let mut people: Vec<usize> = (0..self.schema.tables().len()).filter(is_person).collect();
        if self.frame.items.iter().any(|item| matches!(item, Item::Revenue(_))) {
            let sales = measures::sales(self.schema);
            let sold = sales.first().copied()?;
            people
                .retain(|t| self.graph.paths(sold, *t).first().is_some_and(|path| path.iter().all(|step| step.is_up)));
        }
        match people.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// The table of "for each singer", unless the rows have a column of that name.
    pub(super) fn group_table(&self) -> Option<usize> {
        let [mention] = self.frame.groups.as_slice() else { return None };
        let counted = self.frame.items.iter().find_map(|item| match item {
            Item::Count(counted, _) => self.table_of(counted),
            Item::Aggregate(_, measure) => self.best_column(measure, None).map(|at| at.0),
            _ => None,
        });
        let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit() - 0.05;
        let is_own =
            mention.columns.iter().any(|(at, fit)| Some(at.0) == counted && *fit >= 0.8 && !self.is_reference(*at));
        let t = self.table_of(mention).filter(|_| is_table && !is_own)?;
        (counted != Some(t)).then_some(t)
    }

    pub(super) fn table_of_values(&self) -> Option<usize> {
        self.frame.conditions.iter().find_map(|condition| match &condition.what {
            What::Value(_, mention) => mention.values.first().map(|(at, _)| at.0),
            What::Has(mention) | What::Counted(mention, ..) => self.table_of(mention),
            _ => None,
        })
    }
}
