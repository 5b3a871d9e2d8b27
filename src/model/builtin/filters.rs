//! Turns the conditions of an intent into SQL conditions: stored values, comparisons, time windows, related rows.

use super::compose::rows_of;
use super::intent::{Filter, Given, Key};
use super::measures;
use super::plan::Planner;
use super::schema::{At, Holds};
use super::sql::{Condition, Expr, Literal, number, truth};
use super::words::Op;

impl Planner<'_> {
    /// Returns every condition of the question. Tables that the conditions need are added to `joined`.
    pub(super) fn conditions(
        &mut self,
        root: usize,
        entity: usize,
        measured: Option<usize>,
        joined: &mut Vec<usize>,
    ) -> Vec<Condition> {
        let intent = self.intent;
        let entity = if joined.contains(&entity) { entity } else { root };
        let mut out = Vec::new();
        let mut explained: Vec<usize> = joined.clone();
        let mut inner: Vec<(usize, Vec<Condition>)> = Vec::new();
        let mut place =
            |planner: &mut Self, t: usize, condition: Condition, out: &mut Vec<Condition>, joined: &mut Vec<usize>| {
                if planner.graph.climb(root, t).is_some() {
                    if !joined.contains(&t) {
                        joined.push(t);
                    }
                    out.push(condition);
                } else if let Some((_, known)) = inner.iter_mut().find(|(known, _)| *known == t) {
                    known.push(condition);
                } else {
                    inner.push((t, vec![condition]));
                }
            };
        let around: Vec<usize> = self.prefer.clone();
        for filter in &intent.filters {
            if let Some((t, mut condition)) = self.filter(filter, root, entity, &around) {
                explained.push(t);
                let stored = matches!(filter, Filter::Stored(_) | Filter::Named { .. });
                if let Some((key, parent)) = self.schema.hierarchy(t).filter(|_| stored && t != root && t != entity) {
                    self.assume(format!("rows of {} below the one named are included", self.schema.bare(t)));
                    condition = Condition::Tree { key, parent, top: Box::new(condition) };
                }
                place(self, t, condition, &mut out, joined);
            } else {
                self.doubt("a condition on nothing near the tables named");
            }
        }
        // While the ranking is a choice, its measure is not known, nor the date column that depends on it.
        if !self.choices.is_empty() {
            return out;
        }
        if let Some(window) = &intent.window {
            let mut shown: Vec<usize> = joined.iter().copied().filter(|t| Some(*t) != measured).collect();
            if measured.is_none() {
                shown.push(entity);
            }
            if let Some(at) = self.date(root, measured, &shown) {
                explained.push(at.0);
                self.said.push(window.words());
                let year = self.schema.is_year(at);
                let literal = |date: time::Date| {
                    if !year {
                        Literal::Text(date.to_string())
                    } else if self.schema.holds(at) == Holds::Number {
                        Literal::Number(f64::from(date.year()))
                    } else {
                        Literal::Text(date.year().to_string())
                    }
                };
                let column = Expr::Column(at);
                let one_year =
                    year && matches!((window.from, window.to), (Some(from), Some(to)) if to.year() == from.year() + 1);
                let mut parts = Vec::new();
                if let (true, Some(from)) = (one_year, window.from) {
                    parts.push(Condition::Compare(column, Op::Eq, literal(from)));
                } else {
                    parts.extend(window.from.map(|from| Condition::Compare(column.clone(), Op::Ge, literal(from))));
                    parts.extend(window.to.map(|to| Condition::Compare(column.clone(), Op::Lt, literal(to))));
                }
                for part in parts {
                    place(self, at.0, part, &mut out, joined);
                }
            }
        } else if (intent.date.is_some() || intent.going_by.is_some())
            && !intent.keys.iter().any(|key| matches!(key, Key::Unit(_)))
        {
            self.doubt("a date column without a time");
        }
        for related in self.related(joined) {
            if self.graph.climb(root, related).is_none() && !inner.iter().any(|(t, _)| *t == related) {
                inner.push((related, Vec::new()));
            }
            explained.push(related);
        }
        // "in Bern and Zürich" means either, because a column has one value per row.
        let mut united: Vec<Condition> = Vec::new();
        for condition in out.drain(..) {
            match (united.iter_mut().find(|known| same_column(known, &condition)), condition) {
                (Some(known), Condition::Compare(column, Op::Eq, value)) => {
                    if let Condition::Compare(_, Op::Eq, first) = known {
                        *known = Condition::In(column, vec![first.clone(), value]);
                    } else if let Condition::In(_, values) = known {
                        values.push(value);
                    }
                }
                (_, condition) => united.push(condition),
            }
        }
        let mut out = united;
        for (_, conditions) in &inner {
            if conditions
                .iter()
                .enumerate()
                .any(|(n, one)| conditions.iter().skip(n + 1).any(|other| same_column(one, other)))
            {
                self.doubt("two values of one column");
            }
        }
        // One sub-query for the conditions on a table and on the tables that it refers to.
        inner.sort_by_key(|(t, _)| *t);
        type Parts = Vec<(usize, Vec<Condition>)>;
        let mut merged: Vec<(usize, Parts)> = Vec::new();
        for (t, conditions) in inner {
            match merged.iter_mut().find(|(known, _)| self.graph.climb(*known, t).is_some()) {
                Some((_, parts)) => parts.push((t, conditions)),
                None => {
                    let below = merged.iter().position(|(known, _)| self.graph.climb(t, *known).is_some());
                    let mut parts = vec![(t, conditions)];
                    if let Some(position) = below {
                        parts.extend(merged.remove(position).1);
                    }
                    merged.push((t, parts));
                }
            }
        }
        if merged.len() > 1 {
            self.doubt("conditions on rows of several other tables");
        }
        for (t, parts) in merged {
            if let Some(mut sub) = self.inner(entity, t, None) {
                for (part, conditions) in parts {
                    for edge in self.graph.climb(sub.root, part).unwrap_or_default() {
                        if !sub.joins.contains(&edge) {
                            sub.joins.push(edge);
                        }
                    }
                    sub.conditions.extend(conditions);
                }
                // A denial is clear where it is about the only condition.
                let is_alone = intent.filters.is_empty() && intent.having.is_empty() && intent.window.is_none();
                if is_alone && sub.conditions.is_empty() && intent.denied_by.is_some() && !self.has_denied {
                    self.has_denied = true;
                    self.said.push(format!("without a matching row of {}", self.schema.bare(sub.root)));
                    out.push(Condition::NotExists(sub));
                    continue;
                }
                self.said.push(format!("with a matching row of {}", self.schema.bare(sub.root)));
                out.push(Condition::Exists(sub));
            }
        }
        for (t, op, value) in &intent.having {
            if let Some(sub) = self.inner(entity, *t, None) {
                let keys = &self.schema.table(*t).primary_key;
                let count = match keys.as_slice() {
                    [key] if sub.root != *t => self.schema.find(*t, key).map_or(Expr::Count, Expr::CountDistinct),
                    _ => Expr::Count,
                };
                if sub.root != *t {
                    // "Three products ordered" may be three kinds or three pieces.
                    self.doubt(format!("how {} are counted", self.plural(*t)));
                }
                self.said.push(format!("with {} {} {}", op.sql(), number(*value), self.plural(*t)));
                out.push(Condition::Counted(sub, count, *op, *value));
            }
        }
        for t in &intent.tables {
            let target = intent.measures.iter().filter_map(rows_of).any(|known| known == *t);
            let used = explained.contains(t)
                || joined.contains(t)
                || intent.having.iter().any(|(known, ..)| known == t)
                || target;
            let grouped = intent.keys.iter().any(|key| matches!(key, Key::Table(known) if known == t));
            if !used && !grouped && *t != root {
                self.doubt(format!("the table {}", self.schema.bare(*t)));
            }
        }
        out
    }

    pub(super) fn filter(
        &mut self,
        filter: &Filter,
        root: usize,
        entity: usize,
        around: &[usize],
    ) -> Option<(usize, Condition)> {
        let intent_verbs = &self.intent.verbs;
        match filter {
            Filter::Stored(values) => {
                let mut held: Vec<(At, String)> = Vec::new();
                for t in around.iter().chain([&root, &entity]) {
                    if held.is_empty() {
                        held = values.iter().filter(|(at, _)| at.0 == *t).cloned().collect();
                    }
                }
                if held.is_empty() {
                    held = values
                        .iter()
                        .filter(|(at, _)| !self.schema.is_view(at.0) && self.graph.climb(root, at.0).is_some())
                        .cloned()
                        .collect();
                }
                if held.is_empty() {
                    held = values
                        .iter()
                        .filter(|(at, _)| !self.schema.is_view(at.0) && self.graph.linked(entity, at.0))
                        .cloned()
                        .collect();
                    // No word names these rows. Only a verb may bind them: "paid by card".
                    let tied = held.iter().all(|(at, _)| {
                        self.schema.columns(at.0).any(|(_, column)| {
                            super::text::name_words(&column.name)
                                .first()
                                .is_some_and(|word| intent_verbs.contains(word))
                        })
                    });
                    if let (Some((at, value)), false) = (held.first(), tied) {
                        let doubt = format!("\"{value}\", a value of {}", self.name(*at));
                        self.doubt(doubt);
                    }
                }
                let (at, _) = held.first().cloned()?;
                if held.iter().any(|(other, _)| *other != at) {
                    let names: Vec<String> = held.iter().map(|(at, _)| self.name(*at)).collect();
                    self.doubt(format!(
                        "\"{}\" is a value of {}",
                        held.first().map_or("", |(_, value)| value.as_str()),
                        names.join(" and ")
                    ));
                }
                let mut literals: Vec<Literal> = Vec::new();
                for (_, value) in held.iter().filter(|(known, _)| *known == at) {
                    let literal = match self.schema.holds(at) {
                        Holds::Number => Literal::Number(value.parse().ok()?),
                        _ => Literal::Text(value.clone()),
                    };
                    if !literals.contains(&literal) {
                        literals.push(literal);
                    }
                }
                let words: Vec<&str> = held.iter().map(|(_, value)| value.as_str()).collect();
                self.said.push(format!("where {} is {}", self.name(at), words.join(" or ")));
                let column = Expr::Column(at);
                Some((
                    at.0,
                    match literals.as_slice() {
                        [only] => Condition::Compare(column, Op::Eq, only.clone()),
                        _ => Condition::In(column, literals),
                    },
                ))
            }
            Filter::Compare { column, op, values } => {
                let at = self.resolve(column)?;
                let mut literals = Vec::new();
                let mut expr = Expr::Column(at);
                let holds = self.schema.holds(at);
                for value in values {
                    literals.push(match (value, holds) {
                        (Given::Number(value), Holds::Number) => Literal::Number(*value),
                        (Given::Number(value), Holds::NumberAsText) if *op == Op::Eq => Literal::Text(number(*value)),
                        (Given::Number(value), Holds::NumberAsText) => {
                            expr = Expr::Number(at);
                            Literal::Number(*value)
                        }
                        (Given::Number(value), Holds::Text) if *op == Op::Eq => Literal::Text(number(*value)),
                        (Given::Text(text), Holds::Text) => {
                            if text.contains(['%', '_']) && *op != Op::Eq {
                                self.doubt("a pattern in the text");
                            }
                            Literal::Text(self.spelled(at, text))
                        }
                        (Given::True, _) if self.schema.is_switch(at) => Literal::Number(1.0),
                        (Given::True, Holds::Bool) => Literal::Word("TRUE"),
                        (Given::True, holds) => {
                            let yes = truth(&self.schema.column(at).values)?;
                            if holds == Holds::Number { Literal::Number(1.0) } else { Literal::Text(yes.to_owned()) }
                        }
                        _ => {
                            self.doubt(format!("a comparison of {} with a value of another kind", self.name(at)));
                            return None;
                        }
                    });
                }
                let words: Vec<String> = literals
                    .iter()
                    .map(|literal| match literal {
                        Literal::Number(value) => number(*value),
                        Literal::Text(text) => text.clone(),
                        Literal::Word(word) => (*word).to_owned(),
                    })
                    .collect();
                self.said.push(format!("where {} {} {}", self.name(at), op.sql(), words.join(" or ")));
                Some((
                    at.0,
                    match literals.as_slice() {
                        [only] => Condition::Compare(expr, *op, only.clone()),
                        _ => Condition::In(expr, literals),
                    },
                ))
            }
            Filter::Within { column, low, high } => {
                let at = self.resolve(column)?;
                if !self.schema.is_number(at) {
                    self.doubt(format!("{} is no number", self.name(at)));
                }
                self.said.push(format!("where {} is between {} and {}", self.name(at), number(*low), number(*high)));
                Some((at.0, Condition::Between(Expr::Number(at), *low, *high)))
            }
            Filter::Quality { quality, op, value } => {
                let Some(at) = measures::quality(self.schema, entity, *quality, self.stems) else {
                    self.doubt("a comparison that no column explains");
                    return None;
                };
                self.said.push(format!("where {} {} {}", self.name(at), op.sql(), number(*value)));
                Some((at.0, Condition::Compare(Expr::Number(at), *op, Literal::Number(*value))))
            }
            Filter::Place(name) => {
                let places =
                    ["city", "town", "country", "state", "region", "location", "province", "county", "nationality"];
                let mut open = self.schema.columns(entity).filter(|(_, column)| {
                    places.contains(&column.name.to_lowercase().as_str()) && column.values.is_empty()
                });
                match (open.next(), open.next()) {
                    (Some((at, _)), None) if self.schema.holds(at) == Holds::Text => {
                        self.assume(format!("\"{name}\" read as {}", self.name(at)));
                        self.said.push(format!("where {} is {name}", self.name(at)));
                        Some((at.0, Condition::Compare(Expr::Column(at), Op::Eq, Literal::Text(name.clone()))))
                    }
                    _ => {
                        self.doubt(format!("the word \"{name}\""));
                        None
                    }
                }
            }
            Filter::Named { table, name } => {
                let t = table.unwrap_or(entity);
                let display = self.schema.display(t);
                match display.as_slice() {
                    [at] if self.schema.holds(*at) == Holds::Text => {
                        let spelled = self.spelled(*at, name);
                        self.said.push(format!("where {} is {spelled}", self.name(*at)));
                        Some((t, Condition::Compare(Expr::Column(*at), Op::Eq, Literal::Text(spelled))))
                    }
                    _ => {
                        self.doubt(format!("a row named \"{name}\""));
                        None
                    }
                }
            }
        }
    }

    /// Returns the known value that differs only in case, or else the text itself.
    pub(super) fn spelled(&self, at: At, text: &str) -> String {
        let values = &self.schema.column(at).values;
        let same = values.iter().find(|value| value.to_lowercase() == text.to_lowercase());
        same.cloned().unwrap_or_else(|| text.to_owned())
    }
}

/// Whether both conditions test the same column for equality.
fn same_column(one: &Condition, other: &Condition) -> bool {
    let column = |condition: &Condition| match condition {
        Condition::Compare(column, Op::Eq, _) | Condition::In(column, _) => Some(column.clone()),
        _ => None,
    };
    column(one).is_some() && column(one) == column(other)
}
