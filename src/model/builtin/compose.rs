//! Puts a query together from what the planner resolved: aggregates, rankings, lists, and their conditions.

use super::Shape;
use super::intent::{Key, Measure, Rank, RankBy, Target};
use super::measures;
use super::plan::{Plan, Planner, Shown};
use super::schema::At;
use super::sql::{Condition, Expr, Select};
use super::text::name_words;

impl Planner<'_> {
    /// Resolves the whole intent; `None` when not even a draft can be written.
    pub fn plan(mut self) -> Option<Plan> {
        self.doubts = self.intent.doubts.clone();
        self.assumptions = self.intent.assumptions.clone();
        let intent = self.intent;
        let targets: Vec<usize> = intent.measures.iter().filter_map(rows_of).collect();
        self.prefer = intent.entities.iter().chain(&targets).chain(&intent.tables).copied().collect();
        self.prefer.dedup();
        let ranked = matches!(&intent.rank, Some(Rank { by: RankBy::Measure(_), .. }));
        let unstated = matches!(&intent.rank, Some(Rank { by: RankBy::Unstated, .. }));
        if unstated {
            if let Some(entity) = self.entity() {
                self.offer_rankings(entity);
            }
            if self.choices.len() < 2 {
                self.choices.clear();
                self.doubt("a ranking by nothing named");
            }
        }
        let (select, shape, what) =
            if intent.measures.is_empty() && !ranked { self.list()? } else { self.aggregates()? };
        if let Some(word) = intent.denied_by.as_ref().filter(|_| !self.has_denied) {
            self.doubt(format!("\"{word}\""));
        }
        // "The top 3 products in each category": one list for each category would be needed.
        if intent.is_ranked_in_groups {
            self.doubt("a ranking within each group");
        }
        let mut tables = vec![select.root];
        tables.extend(select.joins.iter().map(|edge| edge.parent));
        for condition in &select.conditions {
            if let Condition::Exists(inner) | Condition::NotExists(inner) | Condition::Counted(inner, ..) = condition {
                tables.push(inner.root);
                tables.extend(inner.joins.iter().map(|edge| edge.parent));
            }
        }
        let mut seen = Vec::new();
        tables.retain(|t| {
            !seen.contains(t) && {
                seen.push(*t);
                true
            }
        });
        for verb in &intent.verbs {
            let money = matches!(verb.as_str(), "sold" | "sell" | "bought" | "buy" | "purchased" | "paid" | "earned");
            let deed = matches!(
                verb.as_str(),
                "performed"
                    | "perform"
                    | "performs"
                    | "performing"
                    | "operated"
                    | "conducted"
                    | "participated"
                    | "participate"
                    | "attended"
                    | "used"
                    | "owned"
                    | "gave"
                    | "given"
                    | "received"
                    | "generated"
                    | "wrote"
            );
            let told = if money {
                tables.iter().any(|t| measures::is_sale(self.schema, *t))
            } else {
                !deed || tables.len() > 1
            };
            // "How many cars were sold" is not "how many cars".
            if !told && !tables.iter().any(|t| name_words(self.schema.bare(*t)).contains(verb)) {
                self.doubt(format!("the word \"{verb}\""));
            }
        }
        let mut read_as = what;
        for part in &self.said {
            read_as.push_str(", ");
            read_as.push_str(part);
        }
        Some(Plan {
            select,
            shape,
            read_as,
            tables,
            assumptions: self.assumptions,
            doubts: self.doubts,
            choices: self.choices,
        })
    }

    /// The table that the question is about.
    fn entity(&self) -> Option<usize> {
        let bound = self.intent.project.first().and_then(|column| column.bound);
        bound.or_else(|| self.intent.entities.first().copied())
    }

    fn list(&mut self) -> Option<(Select, Shape, String)> {
        let intent = self.intent;
        let mut columns: Vec<At> = Vec::new();
        for column in &intent.project {
            for at in self.resolve_shown(column) {
                if !columns.contains(&at) {
                    columns.push(at);
                }
            }
        }
        let entity = self.entity().or_else(|| columns.first().map(|at| at.0))?;
        if !intent.keys.is_empty() {
            self.doubt("groups without anything to compute");
        }
        let mut ranking = None;
        if let Some(rank) = &intent.rank {
            ranking = self.order_by(&rank.by, Some(entity)).map(|(expr, turned)| (expr, rank.desc != turned));
            if ranking.is_none() && self.choices.is_empty() {
                self.doubt("a ranking that no column explains");
            }
        }
        let asked = !columns.is_empty();
        if !asked {
            columns = if intent.which || intent.rank.is_some() {
                self.schema.display(entity)
            } else {
                self.schema.columns(entity).filter(|(_, column)| !column.masked).map(|(at, _)| at).collect()
            };
            if let Some((Expr::Number(at) | Expr::Column(at), _)) = &ranking
                && !intent.which
                && !columns.contains(at)
            {
                columns.push(*at);
            }
        }
        let mut needed: Vec<usize> = columns.iter().map(|at| at.0).collect();
        needed.dedup();
        let root = match self.graph.root(&needed) {
            Some(root) => root,
            None => {
                self.doubt("tables that no foreign key joins in one way");
                return None;
            }
        };
        let between = !needed.contains(&root);
        let mut joined = needed.clone();
        if let Some((Expr::Number(at) | Expr::Column(at), _)) = &ranking {
            joined.push(at.0);
            if self.graph.climb(root, at.0).is_none() {
                self.doubt("a ranking by many rows of another table");
                return None;
            }
        }
        let mut order: Vec<(Expr, bool)> = Vec::new();
        if let Some((by, desc)) = &intent.order {
            match self.order_by(by, Some(entity)) {
                Some((expr, turned)) => {
                    if let Expr::Number(at) | Expr::Column(at) = &expr {
                        joined.push(at.0);
                    }
                    self.said.push(format!("in {} order", if *desc { "descending" } else { "ascending" }));
                    order.push((expr, *desc != turned));
                }
                None => self.doubt("an order that no column explains"),
            }
        }
        let mut conditions = self.conditions(root, entity, None, &mut joined);
        let mut limit = None;
        if let (Some((expr, desc)), Some(rank)) = (ranking, &intent.rank) {
            if let Expr::Number(at) | Expr::Column(at) = &expr {
                if self.schema.column(*at).nullable {
                    conditions.push(Condition::NotNull(*at));
                }
                self.said.push(format!("{} {} first", if desc { "highest" } else { "lowest" }, self.name(*at)));
            }
            order.insert(0, (expr, desc));
            let count = rank.limit.unwrap_or(1);
            self.said.push(format!("the first {count}"));
            limit = Some(count);
        }
        if limit.is_some() {
            for at in &columns {
                if !order
                    .iter()
                    .any(|(expr, _)| matches!(expr, Expr::Column(known) | Expr::Number(known) if known == at))
                {
                    order.push((Expr::Column(*at), false));
                }
            }
        }
        let single = needed.len() == 1 && asked;
        let distinct = intent.distinct
            || between
            || single && (intent.which && intent.entities.is_empty() || intent.which_column) && limit.is_none();
        if distinct
            && order
                .iter()
                .any(|(expr, _)| !columns.iter().any(|at| *expr == Expr::Column(*at) || *expr == Expr::Number(*at)))
        {
            self.doubt("different rows in the order of something not shown");
        }
        let what = columns.iter().map(|at| self.name(*at)).collect::<Vec<_>>().join(", ");
        let what = format!("{}{} of {}", if distinct { "different " } else { "" }, what, self.schema.bare(root));
        let joins = self.joins(root, &joined);
        let columns = columns.iter().map(|at| (Expr::Column(*at), self.told_apart(*at, &columns))).collect();
        let shape = if limit == Some(1) {
            Shape::Single
        } else if limit.is_some() {
            Shape::Ranked
        } else {
            Shape::List
        };
        Some((Select { root, joins, columns, distinct, conditions, group: Vec::new(), order, limit }, shape, what))
    }

    fn aggregates(&mut self) -> Option<(Select, Shape, String)> {
        let intent = self.intent;
        let ranking = match &intent.rank {
            Some(Rank { by: RankBy::Measure(measure), desc, limit, .. }) => Some((measure.clone(), *desc, *limit)),
            Some(Rank { by: RankBy::Column(_) | RankBy::Quality(_), .. }) => {
                self.doubt("a number of the rows of a ranking");
                None
            }
            _ => None,
        };
        let mut shown = Shown::default();
        let around: Vec<usize> = intent
            .keys
            .iter()
            .filter_map(|key| if let Key::Table(t) = key { Some(*t) } else { None })
            .chain(intent.entities.iter().copied())
            .collect();
        let mut measures = intent.measures.clone();
        if let Some((measure, ..)) = &ranking {
            if !measures.contains(measure) {
                measures.push(measure.clone());
            }
            let target = rows_of(measure);
            self.prefer.extend(target);
        }
        let mut rank_expr = None;
        for measure in &measures {
            let resolved = self.measure(measure, &around)?;
            if ranking.as_ref().is_some_and(|(by, ..)| by == measure) {
                rank_expr = Some(resolved.0.clone());
            }
            shown.measures.push(resolved);
        }
        let measured = shown.measures.iter().find_map(|(_, _, t)| *t);
        if shown.measures.iter().any(|(_, _, t)| *t != measured) {
            self.doubt("computed values of different tables");
        }
        self.prefer.extend(measured);
        for column in &intent.project {
            for at in self.resolve_shown(column) {
                if !shown.columns.contains(&at) {
                    shown.columns.push(at);
                }
            }
        }
        let mut keys = intent.keys.clone();
        let grouped_table =
            |keys: &[Key], t: usize| keys.iter().any(|key| matches!(key, Key::Table(known) if *known == t));
        if keys.is_empty() && (ranking.is_some() || !shown.columns.is_empty()) {
            let entity = self.entity().filter(|t| !measures.iter().any(|measure| rows_of(measure) == Some(*t)));
            match (entity, shown.columns.first()) {
                (Some(t), None) => keys.push(Key::Table(t)),
                (Some(t), Some(_)) if shown.columns.iter().all(|at| at.0 == t) && intent.entities.contains(&t) => {
                    keys.push(Key::Table(t))
                }
                (_, Some(_)) => {}
                (None, None) => self.doubt("a ranking of nothing named"),
            }
        }
        let loose: Vec<At> = shown.columns.iter().copied().filter(|at| !grouped_table(&keys, at.0)).collect();
        for at in loose {
            shown.group.push(Expr::Column(at));
            shown.tables.push(at.0);
        }
        for key in &keys {
            // "average quantity per order" may be the average of its lines or of its sums.
            let average = measures.iter().any(|measure| measure.function == Some(super::words::Function::Avg));
            if let Key::Table(t) = key
                && average
                && self.schema.display(*t).iter().all(|at| self.schema.is_key(*at))
            {
                self.doubt("an average of averages or of sums");
            }
            self.key_columns(key, measured, &mut shown);
        }
        let mut needed: Vec<usize> =
            shown.measures.iter().filter_map(|(_, _, t)| *t).chain(shown.tables.iter().copied()).collect();
        let mut seen = Vec::new();
        needed.retain(|t| {
            !seen.contains(t) && {
                seen.push(*t);
                true
            }
        });
        let root = match self.graph.root(&needed) {
            Some(root) => root,
            None => {
                self.doubt("tables that no foreign key joins in one way");
                return None;
            }
        };
        // The join repeats the rows of a table above the root.
        for (expr, _, t) in &mut shown.measures {
            let Some(t) = t.filter(|t| *t != root) else { continue };
            match expr {
                Expr::Count => match self.schema.table(t).primary_key.as_slice() {
                    [key] => {
                        if let Some(at) = self.schema.find(t, key) {
                            let fresh = Expr::CountDistinct(at);
                            if rank_expr.as_ref() == Some(expr) {
                                rank_expr = Some(fresh.clone());
                            }
                            *expr = fresh;
                        }
                    }
                    _ => self.doubts.push("a count of rows without a key of one column".to_owned()),
                },
                Expr::Aggregate(super::words::Function::Sum | super::words::Function::Avg, _) => {
                    self.doubts.push("a sum over rows that the join repeats".to_owned());
                }
                _ => {}
            }
        }
        if intent.distinct && shown.group.is_empty() {
            self.doubt("\"different\" beside a computed value");
        }
        let mut joined = needed.clone();
        let anchor = measured.unwrap_or(root);
        let conditions = self.conditions(root, anchor, measured, &mut joined);
        let joins = self.joins(root, &joined);
        let singular = ranking.as_ref().is_some_and(|(_, _, limit)| limit.is_none()) && intent.measures.is_empty();
        let mut columns: Vec<(Expr, Option<String>)> = Vec::new();
        for at in &shown.columns {
            columns.push((Expr::Column(*at), self.told_apart(*at, &shown.columns)));
        }
        for expr in &shown.group {
            if let Expr::Bucket(unit, _) = expr {
                columns.push((expr.clone(), Some(unit.word().to_owned())));
            }
        }
        let hide = singular && (intent.which || !intent.project.is_empty() || intent.list);
        for (expr, name, _) in &shown.measures {
            if !(hide && rank_expr.as_ref() == Some(expr)) {
                columns.push((expr.clone(), Some(name.clone())));
            }
        }
        let mut order: Vec<(Expr, bool)> = Vec::new();
        let mut limit = None;
        if let (Some((_, desc, count)), Some(expr)) = (&ranking, &rank_expr) {
            order.push((expr.clone(), *desc));
            let count = count.unwrap_or(1);
            limit = Some(count);
            if let Some(t) = keys
                .iter()
                .find_map(|key| if let Key::Table(t) = key { Some(*t) } else { None })
                .filter(|t| *t != root && !desc)
            {
                let (some, none) = (self.plural(t), self.plural(root));
                self.assume(format!("{some} without {none} are left out"));
            }
            self.said.push(format!("{} first, the first {count}", if *desc { "highest" } else { "lowest" }));
        }
        if let Some((by, desc)) = &intent.order {
            let expr = match by {
                RankBy::Measure(measure) => {
                    let resolved = self.measure(measure, &around).map(|(expr, ..)| expr);
                    resolved.filter(|expr| shown.measures.iter().any(|(known, ..)| known == expr))
                }
                RankBy::Column(_) => self
                    .order_by(by, None)
                    .map(|(expr, _)| expr)
                    .map(|expr| if let Expr::Number(at) = expr { Expr::Column(at) } else { expr })
                    .filter(|expr| shown.group.contains(expr)),
                _ => None,
            };
            match expr {
                Some(expr) => order.push((expr, *desc)),
                None => self.doubt("an order that nothing shown explains"),
            }
        }
        if order.is_empty() || limit.is_some() {
            order.extend(
                columns.iter().filter(|(expr, _)| shown.group.contains(expr)).map(|(expr, _)| (expr.clone(), false)),
            );
        }
        for key in &keys {
            if let (Key::Table(t), None) = (key, &ranking)
                && *t != root
            {
                let (some, none) = (self.plural(*t), self.plural(root));
                self.assume(format!("{some} without {none} are left out"));
            }
        }
        let names: Vec<String> = shown.measures.iter().map(|(_, name, _)| name.replace('_', " ")).collect();
        let mut what = format!("the {}", names.join(" and "));
        if !shown.group.is_empty() {
            let keys: Vec<String> = columns
                .iter()
                .filter(|(expr, _)| shown.group.contains(expr))
                .map(|(expr, name)| match (expr, name) {
                    (Expr::Column(at), _) => self.name(*at),
                    (_, Some(name)) => name.clone(),
                    _ => String::new(),
                })
                .collect();
            what = format!("{what} for each {}", keys.join(", "));
        }
        let counted = matches!(shown.measures.as_slice(), [(Expr::Count | Expr::CountDistinct(_), ..)]);
        let shape = match (shown.group.is_empty(), &ranking) {
            (true, _) if counted => Shape::Count,
            (true, _) => Shape::Single,
            (false, Some(_)) => Shape::Ranked,
            (false, None) => Shape::Grouped,
        };
        Some((
            Select { root, joins, columns, distinct: false, conditions, group: shown.group, order, limit },
            shape,
            what,
        ))
    }

    /// A name for a column if another shown column has the same name: `category_name`.
    fn told_apart(&self, at: At, all: &[At]) -> Option<String> {
        let name = &self.schema.column(at).name;
        let twice = all.iter().any(|other| *other != at && self.schema.column(*other).name.eq_ignore_ascii_case(name));
        twice.then(|| format!("{}_{}", super::schema::singulars(self.schema.bare(at.0)), name.to_lowercase()))
    }
}

/// Returns the table whose rows, amounts or column the measure is about.
pub(super) fn rows_of(measure: &Measure) -> Option<usize> {
    match &measure.target {
        Target::Rows(t) | Target::AmountOf(t) => Some(*t),
        Target::Column(column) | Target::Different(column) => column.bound,
        Target::Revenue => None,
    }
}
