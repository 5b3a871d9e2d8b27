//! Resolves an [`Intent`] against the schema: which column each word means, which tables to join, and the query.
//!
//! Anything that cannot be resolved in one way is a doubt; two equally good dates or measures become choices.

use super::graph::{Edge, Graph};
use super::intent::{ColumnRef, Intent, Key, Measure, Target};
use super::measures;
use super::schema::{At, Holds, Schema, singulars};
use super::sql::{Condition, Expr, Inner, Select};
use super::text::{Stems, name_words};
use super::windows::Unit;
use super::words::Function;
use super::{Choice, Shape};

/// A query, with the assumptions and doubts about it.
pub(super) struct Plan {
    pub select: Select,
    pub shape: Shape,
    pub read_as: String,
    pub tables: Vec<usize>,
    pub assumptions: Vec<String>,
    pub doubts: Vec<String>,
    /// Filled when the question has several readings.
    pub choices: Vec<(String, Choice)>,
}

pub(super) struct Planner<'a> {
    pub schema: Schema<'a>,
    pub graph: &'a Graph,
    pub stems: &'a Stems,
    pub intent: &'a Intent,
    /// The question without its final punctuation, for the choices.
    pub question: &'a str,
    pub doubts: Vec<String>,
    pub assumptions: Vec<String>,
    pub choices: Vec<(String, Choice)>,
    /// Parts of "read as" that follow the first: conditions, orders, limits.
    pub said: Vec<String>,
    /// The tables that come first when a name fits several.
    pub prefer: Vec<usize>,
    /// The date column, once it is picked.
    pub dated: Option<At>,
    /// Whether the denial of the question became a condition.
    pub has_denied: bool,
}

/// What is asked, resolved: columns shown, groups, measures.
#[derive(Default)]
pub(super) struct Shown {
    pub columns: Vec<At>,
    pub group: Vec<Expr>,
    pub measures: Vec<(Expr, String, Option<usize>)>,
    pub tables: Vec<usize>,
}

impl<'a> Planner<'a> {
    pub fn doubt(&mut self, why: impl Into<String>) {
        self.doubts.push(why.into());
    }

    pub fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.assumptions.contains(&what) {
            self.assumptions.push(what);
        }
    }

    /// Returns `table.column`, for texts.
    pub fn name(&self, at: At) -> String {
        format!("{}.{}", self.schema.bare(at.0), self.schema.column(at).name)
    }

    /// Returns the one column that the words mean, or adds a doubt.
    pub fn resolve(&mut self, column: &ColumnRef) -> Option<At> {
        let mut candidates = column.candidates.clone();
        if candidates.iter().any(|(at, _)| !self.schema.is_view(at.0)) {
            candidates.retain(|(at, _)| !self.schema.is_view(at.0));
        }
        let order: Vec<usize> = column.bound.map_or_else(|| self.prefer.clone(), |t| vec![t]);
        for t in &order {
            match best(candidates.iter().filter(|(at, _)| at.0 == *t)).as_slice() {
                [] => {}
                [only] => return Some(*only),
                several => {
                    let names: Vec<&str> = several.iter().map(|at| self.schema.column(*at).name.as_str()).collect();
                    self.doubt(format!("\"{}\" may be {}", column.text, names.join(" or ")));
                    return several.first().copied();
                }
            }
        }
        // One to three keys away from a table that the question names, nearer ones first.
        if !order.is_empty() {
            let wide = column.bound.is_none();
            let steps: &[(usize, bool)] =
                if wide { &[(1, true), (2, true), (3, true)] } else { &[(1, false), (1, true)] };
            for &(reach, down) in steps {
                let near: Vec<(At, u8)> = candidates
                    .iter()
                    .filter(|(at, fit)| {
                        *fit >= 2
                            && !self.is_foreign(*at)
                            && order.iter().any(|t| self.steps(*t, at.0, down) == Some(reach))
                    })
                    .copied()
                    .collect();
                match best(near.iter()).as_slice() {
                    [] => {}
                    [only] => {
                        self.assume(format!("\"{}\" read as {}", column.text, self.name(*only)));
                        return Some(*only);
                    }
                    _ => break,
                }
            }
            self.doubt(format!("no column \"{}\" near the tables named", column.text));
            return None;
        }
        let own: Vec<(At, u8)> = candidates.iter().filter(|(at, _)| !self.is_foreign(*at)).copied().collect();
        match best(own.iter()).as_slice() {
            [only] => Some(*only),
            _ => {
                self.doubt(format!("\"{}\" is a column of several tables", column.text));
                None
            }
        }
    }

    /// The number of keys between two tables: upwards, and with `down` also downwards.
    fn steps(&self, from: usize, to: usize, down: bool) -> Option<usize> {
        let up = self.graph.climb(from, to).map(|way| way.len());
        up.or_else(|| self.graph.climb(to, from).filter(|_| down).map(|way| way.len()))
    }

    /// Whether the column is the row's state, whose values decide which dates are filled.
    pub(super) fn is_state(&self, at: At) -> bool {
        name_words(&self.schema.column(at).name).iter().any(|word| matches!(word.as_str(), "status" | "state"))
    }

    fn is_foreign(&self, at: At) -> bool {
        let name = &self.schema.column(at).name;
        self.schema.table(at.0).foreign_keys.iter().any(|key| key.columns.contains(name))
    }

    /// Returns the columns to show for the words. "name" means first and last name if there is no other name.
    pub fn resolve_shown(&mut self, column: &ColumnRef) -> Vec<At> {
        let t = column.bound.or_else(|| self.prefer.first().copied());
        let name = matches!(column.text.to_lowercase().as_str(), "name" | "names");
        if let Some(t) = t.filter(|t| name && !column.candidates.iter().any(|(at, fit)| at.0 == *t && *fit >= 3)) {
            let display = self.schema.display(t);
            // `airlines.Airline` is a name too.
            let own = singulars(self.schema.bare(t));
            let named = |at: &At| {
                let column = &self.schema.column(*at).name;
                name_words(column).iter().any(|word| word.contains("name")) || singulars(column) == own
            };
            if !display.is_empty() && display.iter().all(named) {
                return display;
            }
        }
        self.resolve(column).into_iter().collect()
    }

    /// Returns the measure as an expression, with its name and the table whose rows it is computed from.
    pub fn measure(&mut self, measure: &Measure, around: &[usize]) -> Option<(Expr, String, Option<usize>)> {
        match &measure.target {
            Target::Rows(t) if measures::product(self.schema, *t).is_some() && self.intent.has_loose_table => {
                self.doubt("rows or pieces are counted?");
                Some((Expr::Count, "number".to_owned(), Some(*t)))
            }
            Target::Rows(t) => Some((Expr::Count, format!("number_of_{}", self.plural(*t)), Some(*t))),
            Target::Different(column) => {
                let at = self.resolve(column)?;
                let word = self.schema.column(at).name.to_lowercase();
                Some((Expr::CountDistinct(at), format!("number_of_{}", many(&word)), Some(at.0)))
            }
            Target::Column(column) => {
                let at = self.resolve(column)?;
                let function = measure.function?;
                let numeric = self.schema.is_number(at);
                let extreme = matches!(function, Function::Min | Function::Max);
                let fits =
                    if extreme { numeric || self.schema.is_date(at) } else { numeric && !self.schema.is_key(at) };
                if !fits {
                    self.doubt(format!("{} of {}, which is no number", function.word(), self.name(at)));
                }
                let name = format!("{}_{}", function.word(), self.schema.column(at).name.to_lowercase());
                let inner = if numeric { Expr::Number(at) } else { Expr::Column(at) };
                Some((Expr::Aggregate(function, Box::new(inner)), name, Some(at.0)))
            }
            Target::AmountOf(t) => {
                let function = measure.function?;
                match measures::earning(self.schema, *t) {
                    Some(expr) => {
                        self.note_earning(*t, &expr, 0);
                        let name = format!("{}_{}", function.word(), self.plural(*t));
                        Some((Expr::Aggregate(function, Box::new(expr)), name, Some(*t)))
                    }
                    None if function == Function::Sum => {
                        let many = self.plural(*t);
                        self.assume(format!("total {many} = number of rows of {}", self.schema.table(*t).name));
                        Some((Expr::Count, format!("number_of_{many}"), Some(*t)))
                    }
                    None => {
                        self.doubt(format!("{} of {}", function.word(), self.schema.bare(*t)));
                        None
                    }
                }
            }
            Target::Revenue => {
                let function = measure.function?;
                let mut tables = measures::sales(self.schema);
                if tables.len() > 1 {
                    let named: Vec<usize> = tables.iter().copied().filter(|t| self.intent.tables.contains(t)).collect();
                    if !named.is_empty() {
                        tables = named;
                    } else {
                        tables.retain(|t| around.iter().all(|other| self.graph.linked(*t, *other)));
                    }
                }
                let [t] = tables.as_slice() else {
                    self.doubt(format!("revenue: {} tables could hold it", tables.len()));
                    return None;
                };
                let expr = measures::earning(self.schema, *t)?;
                self.note_earning(*t, &expr, 1);
                let name = if function == Function::Sum {
                    "revenue".to_owned()
                } else {
                    format!("{}_revenue", function.word())
                };
                Some((Expr::Aggregate(function, Box::new(expr)), name, Some(*t)))
            }
        }
    }

    fn note_earning(&mut self, t: usize, expr: &Expr, depth: usize) {
        let column = |at: &At| self.schema.column(*at).name.clone();
        let what = match expr {
            Expr::Product(quantity, price) => {
                format!("{} x {} of {}", column(quantity), column(price), self.schema.bare(t))
            }
            Expr::Number(at) => format!("{} of {}", column(at), self.schema.bare(t)),
            _ => return,
        };
        self.assume(format!("amount = {what}"));
        if self.schema.columns(t).any(|(_, c)| name_words(&c.name).iter().any(|word| word == "discount")) {
            self.assume("discounts not subtracted");
        }
        let mut near: Vec<(usize, usize)> =
            self.graph.reach(t).into_iter().filter(|(_, far)| *far <= depth).map(|(t, d)| (d, t)).collect();
        near.sort_unstable();
        let filtered = |at: At| {
            self.intent.filters.iter().any(|filter| matches!(filter, super::intent::Filter::Stored(values) if values.iter().any(|(known, _)| *known == at)))
        };
        for (_, t) in near {
            if let Some((at, column)) =
                self.schema.columns(t).find(|(_, column)| column.name.eq_ignore_ascii_case("status"))
                && !filtered(at)
            {
                self.assume(format!("{} of every {}", self.plural(t), column.name));
            }
        }
    }

    pub fn plural(&self, t: usize) -> String {
        let words = name_words(self.schema.bare(t));
        // "payments received" already contains a plural.
        if words.iter().rev().skip(1).any(|word| word.ends_with('s'))
            && words.last().is_some_and(|word| !word.ends_with('s'))
        {
            return words.join("_");
        }
        many(&singulars(self.schema.bare(t)))
    }

    /// Tables named beside those shown: "singers who performed in a concert".
    pub fn related(&self, shown: &[usize]) -> Vec<usize> {
        self.intent.entities.iter().copied().filter(|t| !shown.contains(t)).collect()
    }

    /// The paths up from the root to each table, as joins without repeats.
    pub fn joins(&mut self, root: usize, tables: &[usize]) -> Vec<Edge> {
        let mut joins: Vec<Edge> = Vec::new();
        for &t in tables {
            match self.graph.climb(root, t) {
                Some(way) => {
                    for edge in way {
                        if joins.iter().any(|known| known.parent == edge.parent && *known != edge) {
                            self.doubt(format!("two ways to {}", self.schema.bare(edge.parent)));
                        } else if !joins.contains(&edge) {
                            if edge.guessed {
                                self.assume(format!(
                                    "{} refers to {} by its name; no foreign key is declared",
                                    self.schema.bare(edge.child),
                                    self.schema.bare(edge.parent)
                                ));
                            }
                            joins.push(edge);
                        }
                    }
                }
                None => self.doubt(format!("no single way from {} to {}", self.schema.bare(root), self.schema.bare(t))),
            }
        }
        joins
    }

    /// Returns a sub-query over `to` that keys link to `anchor`.
    pub fn inner(&mut self, anchor: usize, to: usize, condition: Option<Condition>) -> Option<Inner> {
        let root = self.graph.root(&[to, anchor]);
        let Some(root) = root.filter(|root| *root != anchor) else {
            self.doubt(format!("no single way from {} to {}", self.schema.bare(anchor), self.schema.bare(to)));
            return None;
        };
        let mut way = self.graph.climb(root, anchor)?;
        let link = way.pop()?;
        let mut joins = way;
        for edge in self.graph.climb(root, to)? {
            if !joins.contains(&edge) {
                joins.push(edge);
            }
        }
        if joins.iter().any(|edge| edge.parent == anchor) {
            self.doubt(format!("{} twice", self.schema.bare(anchor)));
            return None;
        }
        Some(Inner { root, joins, link, conditions: condition.into_iter().collect() })
    }

    /// Columns by which rows of a table are grouped and shown.
    pub fn key_columns(&mut self, key: &Key, measured: Option<usize>, shown: &mut Shown) {
        match key {
            Key::Table(t) => {
                let asked: Vec<At> = shown.columns.iter().copied().filter(|at| at.0 == *t).collect();
                let columns = if asked.is_empty() { self.schema.display(*t) } else { asked };
                let keys: Vec<At> =
                    self.schema.table(*t).primary_key.iter().filter_map(|name| self.schema.find(*t, name)).collect();
                let unique = columns.iter().any(|at| {
                    let name = &self.schema.column(*at).name;
                    keys.contains(at) && keys.len() == 1
                        || self
                            .schema
                            .table(*t)
                            .unique
                            .iter()
                            .any(|set| matches!(set.as_slice(), [only] if only == name))
                });
                if !unique {
                    shown.group.extend(keys.iter().filter(|at| !columns.contains(at)).map(|at| Expr::Column(*at)));
                }
                shown.group.extend(columns.iter().map(|at| Expr::Column(*at)));
                shown.columns.extend(columns.into_iter().filter(|at| !shown.columns.contains(at)).collect::<Vec<_>>());
                shown.tables.push(*t);
            }
            Key::Column(column) => {
                if let Some(at) = self.resolve(column) {
                    // A foreign key means the table that it refers to.
                    if self.is_foreign(at)
                        && let Some(parent) = self.parent_of(at)
                    {
                        return self.key_columns(&Key::Table(parent), measured, shown);
                    }
                    shown.group.push(Expr::Column(at));
                    if !shown.columns.contains(&at) {
                        shown.columns.push(at);
                    }
                    shown.tables.push(at.0);
                }
            }
            Key::Unit(unit) => {
                let fact = measured.unwrap_or(0);
                if *unit == Unit::Year
                    && let Some((at, _)) = self.schema.columns(fact).find(|(at, _)| self.schema.is_year(*at))
                {
                    shown.group.push(Expr::Column(at));
                    shown.columns.push(at);
                    return;
                }
                if matches!(unit, Unit::Week | Unit::Quarter) {
                    self.doubt(format!("groups by {}", unit.word()));
                }
                let tables = shown.tables.clone();
                if let Some(at) = self.date(fact, measured, &tables) {
                    if self.schema.holds(at) == Holds::Other {
                        self.doubt("a date kept in a way the engine does not read");
                    }
                    shown.group.push(Expr::Bucket(*unit, at));
                    shown.tables.push(at.0);
                }
            }
        }
    }

    fn parent_of(&self, at: At) -> Option<usize> {
        let name = &self.schema.column(at).name;
        let key = self
            .schema
            .table(at.0)
            .foreign_keys
            .iter()
            .find(|key| matches!(key.columns.as_slice(), [only] if only == name))?;
        self.schema.tables().iter().position(|table| table.name == key.references)
    }
}

/// The candidates of the best fit.
pub(super) fn best<'b>(candidates: impl Iterator<Item = &'b (At, u8)> + Clone) -> Vec<At> {
    let top = candidates.clone().map(|(_, fit)| *fit).max().unwrap_or(0);
    candidates.filter(|(_, fit)| *fit == top).map(|(at, _)| *at).collect()
}

/// A plural by the simplest rules, for labels.
pub(super) fn many(one: &str) -> String {
    if let Some(stem) = one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        return format!("{stem}ies");
    }
    if one.ends_with('s') || one.ends_with('x') || one.ends_with("ch") || one.ends_with("sh") {
        return if one.ends_with("us") || !one.ends_with('s') { format!("{one}es") } else { one.to_owned() };
    }
    format!("{one}s")
}
