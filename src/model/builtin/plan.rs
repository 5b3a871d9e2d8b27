//! Resolves a frame against the schema: which columns and tables it means, and how they are joined.
//!
//! The root of a query is the table whose rows are listed or counted. Tables that the root refers to (above) are
//! joined. Tables that refer to the root (below) go into sub-queries. So no join repeats a row.

mod conditions;
mod judge;
mod order;
mod root;
mod say;
mod show;
mod times;
mod verbs;

use std::cell::Cell;

use super::cues::{self, Function, Op};
use super::dates;
use super::frame::{Condition as Asked, Frame, Item, Key, Literal as Said, Vague, What};
use super::graph::{Graph, Step};
use super::link::{Linker, Mention, OTHER_WORD, ROLE, related};
use super::measures;
use super::schema::{At, Holds, Schema, singulars};
use super::sql::{Branch, Condition, Expr, Literal, Node, Query, truth};
use super::text::{is_loose, name_words};
use super::windows::{Unit, Window};

/// How much a key between two tables lowers the fit of a column.
const FAR: f32 = 0.12;

/// Two readings whose fits differ by less are equally good.
const MARGIN: f32 = 0.04;

/// As [`MARGIN`], for words that no name of the schema contains.
const GUESS_MARGIN: f32 = 0.1;

pub(super) struct Plan {
    pub query: Query,
    pub doubts: Vec<String>,
    pub assumptions: Vec<String>,
    /// Words of the question that may mean several columns, and these columns.
    pub open: Option<(String, Vec<At>)>,
    /// How the question was read, in one sentence.
    pub said: String,
    /// The measures to choose from, if the question names none ("best customers"). Each has a label, and the words that
    /// replace [`Vague::phrase`].
    pub measures: Vec<(String, String)>,
}

pub(super) struct Planner<'a> {
    pub schema: Schema<'a>,
    pub graph: &'a Graph,
    pub linker: &'a Linker<'a>,
    pub frame: &'a Frame,
    plan: Plan,
    root: usize,
    is_open_root: Cell<bool>,
    /// The table from which the distance to the columns of attributes is measured. `None` for the root.
    anchor: Cell<Option<usize>>,
    /// Number of planned conditions that say which rows are 100 percent.
    whole: Option<usize>,
    /// True if a join over a key that may be empty leaves out rows.
    leaves_out_rows: bool,
}

impl<'a> Planner<'a> {
    pub fn new(schema: Schema<'a>, graph: &'a Graph, linker: &'a Linker<'a>, frame: &'a Frame) -> Self {
        let plan = Plan {
            query: Query::default(),
            doubts: frame.doubts.clone(),
            assumptions: Vec::new(),
            open: None,
            said: String::new(),
            measures: Vec::new(),
        };
        let (is_open_root, anchor) = (Cell::new(false), Cell::new(None));
        Self { schema, graph, linker, frame, plan, root: 0, is_open_root, anchor, whole: None, leaves_out_rows: false }
    }

    fn doubt(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.plan.doubts.contains(&why) {
            self.plan.doubts.push(why);
        }
    }

    /// Makes the plan. `None` if the question names nothing of the schema.
    pub fn plan(mut self) -> Option<Plan> {
        let frame = self.frame;
        let is_time = frame.bucket.is_some() && frame.is_superlative;
        if frame.items.is_empty() && frame.entities.is_empty() && frame.common.is_none() && !frame.is_who && !is_time {
            return None;
        }
        self.root = self.choose_root()?;
        if self.is_open_root.get() {
            self.doubt("which table is meant");
        }
        self.plan.query.nodes = vec![Node { table: self.root, via: None }];
        self.show();
        self.conditions();
        self.share();
        self.order();
        self.plan.query.is_distinct &= self.plan.query.groups.is_empty();
        self.show_key();
        self.mentioned_tables();
        self.narrow_measures();
        if self.plan.query.columns.is_empty() {
            return None;
        }
        self.judge();
        self.say();
        self.offer_measures();
        let is_revenue = self.frame.items.iter().any(|item| matches!(item, Item::Revenue(_)));
        if is_revenue || self.frame.order.iter().any(|(key, _)| matches!(key, Key::Revenue)) {
            self.assume_revenue();
        }
        Some(self.plan)
    }

    /// The best table of a mention, by its fit.
    fn table_of(&self, mention: &Mention) -> Option<usize> {
        let near = |t: usize| if self.schema.is_view(t) { 0.02 } else { 0.0 };
        let best = mention.tables.iter().max_by(|a, b| (a.1 - near(a.0)).total_cmp(&(b.1 - near(b.0))))?;
        Some(best.0)
    }

    /// True if two tables fit the mention equally well.
    fn is_open_table(&self, mention: &Mention) -> bool {
        let Some(best) = self.table_of(mention) else { return false };
        let fit = mention.tables.iter().find(|(t, _)| *t == best).map_or(0.0, |(_, fit)| *fit);
        mention.tables.iter().any(|(t, other)| *t != best && fit - other < MARGIN && !self.schema.is_view(*t))
    }

    /// Fit of the best column of a mention for rows of a table.
    fn fit_for(&self, mention: &Mention, root: usize) -> f32 {
        mention
            .columns
            .iter()
            .filter_map(|(at, fit)| Some(fit - FAR * self.graph.distance(root, at.0)? as f32))
            .fold(0.0, f32::max)
    }

    /// The column that fits best for rows of `near`.
    fn best_column(&self, mention: &Mention, near: Option<usize>) -> Option<At> {
        let score = |(at, fit): &(At, f32)| {
            let distance = match near {
                Some(near) => self.graph.distance(near, at.0).map_or(3.0, |far| far as f32),
                None => 0.0,
            };
            let named = self.frame.entities.iter().any(|entity| self.table_of(entity) == Some(at.0));
            let key = if self.is_reference(*at) { 0.03 } else { 0.0 };
            let view = if self.schema.is_view(at.0) { 0.05 } else { 0.0 };
            fit - FAR * distance + if named { 0.13 } else { 0.0 } - key - view
        };
        mention.columns.iter().max_by(|a, b| score(a).total_cmp(&score(b))).map(|(at, _)| *at)
    }

    /// As [`Self::best_column`], near the anchor. Notes the columns of one table that fit equally well.
    fn column(&mut self, mention: &Mention) -> Option<At> {
        let anchor = self.anchor.get().unwrap_or(self.root);
        let best = self.best_column(mention, Some(anchor))?;
        let fit = |at: At| {
            let fit = mention.columns.iter().find(|(of, _)| *of == at).map_or(0.0, |(_, fit)| *fit);
            fit - FAR * self.graph.distance(anchor, at.0).unwrap_or(3) as f32
        };
        // "Areas" is only another word for `location` as well as for `district`.
        let is_guess = mention.columns.iter().any(|(at, fit)| *at == best && *fit <= OTHER_WORD);
        let margin = if is_guess { GUESS_MARGIN } else { MARGIN };
        let rivals: Vec<At> = mention
            .columns
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at == best || at.0 == best.0 && (fit(best) - fit(*at)).abs() < margin)
            .collect();
        // A rare meaning of a word is no column of a table that the question does not name.
        let named: Vec<usize> = self.frame.entities.iter().filter_map(|mention| self.table_of(mention)).collect();
        let is_weak = mention.columns.iter().any(|(at, fit)| *at == best && *fit < OTHER_WORD);
        if is_weak && mention.values.is_empty() && !named.is_empty() && !named.contains(&best.0) {
            self.doubt(format!("the word \"{}\"", mention.text));
        }
        // "Cost" may mean the column `cost`, or the column `price` of the same table. So both are offered.
        let price = self.schema.columns(best.0).find(|(_, column)| column.name.eq_ignore_ascii_case("price"));
        let costs = self.schema.column(best).name.eq_ignore_ascii_case("cost");
        let rivals = match price {
            Some((price, _)) if costs && matches!(mention.text.to_lowercase().as_str(), "cost" | "costs") => {
                vec![price, best]
            }
            _ => rivals,
        };
        if rivals.len() > 1 && self.plan.open.is_none() {
            self.plan.open = Some((mention.text.clone(), rivals));
        }
        Some(best)
    }

    fn is_reference(&self, at: At) -> bool {
        self.graph.is_reference(at.0, &self.schema.column(at).name)
    }

    /// The only path between two tables, or the path whose keys the words name.
    fn path(&mut self, from: usize, to: usize, words: &[String]) -> Option<Vec<Step>> {
        let mut paths = self.graph.paths(from, to);
        let is_bridged =
            |path: &Vec<Step>| path.iter().skip_while(|step| step.is_up).skip_while(|step| !step.is_up).count() > 0;
        if paths.iter().any(is_bridged) {
            paths = self.told_bridges(from, to);
        }
        if paths.len() > 1 {
            let asked: Vec<&str> = words.iter().flat_map(|word| word.split(' ')).flat_map(cues::roles).collect();
            let solid = words
                .iter()
                .flat_map(|word| word.split(' '))
                .filter(|word| !is_loose(word) && !matches!(*word, "by" | "to"));
            let stems: Vec<String> = solid.map(|word| self.linker.stem(word)).collect();
            // Number of words in the names of a path's keys that the question says.
            let said = |path: &Vec<Step>| {
                let keys = path.iter().flat_map(|step| &step.edge.pairs).flat_map(|(child, _)| name_words(child));
                let is_said = |word: &String| {
                    cues::roles(word).any(|role| asked.contains(&role)) || stems.contains(&self.linker.stem(word))
                };
                keys.filter(is_said).count()
            };
            let most = paths.iter().map(&said).max().unwrap_or(0);
            paths.retain(|path| said(path) == most);
        }
        match paths.as_slice() {
            [only] => {
                // "Players from UCLA", where players and seasons only share a team: the college is that of a season.
                let turn = only.windows(2).find(|pair| matches!(pair, [one, next] if one.is_up && !next.is_up));
                let shared = turn.and_then(|pair| pair.first()).map(Step::target);
                let is_named = |t: usize| self.frame.entities.iter().any(|mention| self.table_of(mention) == Some(t));
                if let Some(t) = shared.filter(|t| !is_named(*t)) {
                    self.doubt(format!("rows of {} lie in between", self.schema.table(t).name));
                }
                if only.iter().any(|step| step.edge.guessed) {
                    self.assume("joined by equal names, as the database declares no keys");
                }
                Some(only.clone())
            }
            [] => {
                self.doubt("no key leads from one table to the other");
                None
            }
            several => {
                // "friends of a student": `friend.friend_id` leads to the friend, and the other key to the student.
                let is_object = |path: &Vec<Step>| {
                    path.iter().any(|step| {
                        let own = name_words(self.schema.bare(step.edge.child));
                        let is_own = |word: &String| {
                            own.iter().any(|own| related(&self.linker.stem(own), &self.linker.stem(word)))
                        };
                        !step.is_up && step.edge.pairs.iter().any(|(child, _)| name_words(child).iter().any(is_own))
                    })
                };
                let targets = |path: &[Step]| path.iter().map(Step::target).collect::<Vec<_>>();
                let has_same_tables =
                    several.windows(2).all(|pair| matches!(pair, [one, other] if targets(one) == targets(other)));
                let subjects: Vec<&Vec<Step>> = several.iter().filter(|path| !is_object(path)).collect();
                if let ([only], true) = (subjects.as_slice(), has_same_tables) {
                    return Some((*only).clone());
                }
                self.doubt(format!(
                    "several keys lead from {} to {}",
                    self.schema.table(from).name,
                    self.schema.table(to).name
                ));
                None
            }
        }
    }

    /// The paths over a table that refers to both sides. If the question names the table in the middle, only the paths
    /// over that table. If it has a verb of buying, only the paths over sales.
    fn told_bridges(&self, from: usize, to: usize) -> Vec<Vec<Step>> {
        let all = self.graph.bridges(from, to);
        let inner = |path: &[Step]| -> Vec<usize> { path.iter().map(Step::target).filter(|t| *t != to).collect() };
        let sales = measures::sales(self.schema);
        let is_bought =
            self.frame.verbs.iter().any(|verb| matches!(verb.as_str(), "buy" | "purchas" | "order" | "sell"));
        let is_told = |path: &Vec<Step>| {
            inner(path).iter().any(|t| {
                let named = self.frame.entities.iter().any(|mention| self.table_of(mention) == Some(*t));
                let words = name_words(self.schema.bare(*t));
                let mut stems = words.iter().map(|word| self.linker.stem(word));
                named || stems.any(|stem| self.frame.verbs.iter().any(|verb| *verb == stem || related(verb, &stem)))
            })
        };
        let is_sold = |path: &Vec<Step>| inner(path).iter().any(|t| sales.contains(t));
        let told: Vec<Vec<Step>> = if is_bought && all.iter().any(is_sold) {
            all.iter().filter(|path| is_sold(path)).cloned().collect()
        } else {
            all.iter().filter(|path| is_told(path)).cloned().collect()
        };
        let mut left = if told.is_empty() { all } else { told };
        // If every longer path passes the tables of a shortest path, the shortest paths are meant.
        let shortest = left.iter().map(Vec::len).min().unwrap_or(0);
        if left.iter().all(|path| {
            path.len() == shortest
                || left.iter().any(|near| near.len() == shortest && inner(near).iter().all(|t| inner(path).contains(t)))
        }) {
            left.retain(|path| path.len() == shortest);
        }
        left
    }

    fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.plan.assumptions.contains(&what) {
            self.plan.assumptions.push(what);
        }
    }

    /// Joins a path that only goes up; returns the position of its last table.
    fn join(nodes: &mut Vec<Node>, start: usize, path: &[Step]) -> usize {
        let mut at = start;
        for step in path {
            let known =
                nodes.iter().position(|node| node.via.as_ref().is_some_and(|(from, via)| *from == at && via == step));
            at = known.unwrap_or_else(|| {
                nodes.push(Node { table: step.target(), via: Some((at, step.clone())) });
                nodes.len() - 1
            });
        }
        at
    }

    /// The column, with joins for the tables up to its table. `None` if one row of the root may have several values.
    fn above(&mut self, at: At, words: &[String]) -> Option<Expr> {
        if at.0 == self.root {
            return Some(Expr::Column(0, at));
        }
        let path = self.path(self.root, at.0, words)?;
        if path.iter().any(|step| !step.is_up) {
            return None;
        }
        let node = Self::join(&mut self.plan.query.nodes, 0, &path);
        let nullable = path.iter().any(|step| {
            step.edge.pairs.iter().any(|(child, _)| {
                self.schema
                    .find(step.edge.child, child)
                    .is_some_and(|at| self.schema.column(at).nullable && !self.schema.is_key_of(at))
            })
        });
        if nullable {
            self.leaves_out_rows = true;
            let name = self.schema.table(at.0).name.clone();
            self.assume(format!("rows without {name} are left out"));
        }
        Some(Expr::Column(node, at))
    }

    /// A sub-query from the root to a table that is below it, and the position of that table in it.
    fn branch_to(&mut self, t: usize, words: &[String]) -> Option<(Branch, usize)> {
        let path = self.path(self.root, t, words)?;
        let up = path.iter().take_while(|step| step.is_up).count();
        let (above, below) = path.split_at_checked(up)?;
        let from = Self::join(&mut self.plan.query.nodes, 0, above);
        let (link, rest) = below.split_first()?;
        let mut nodes = vec![Node { table: link.target(), via: None }];
        let at = Self::join(&mut nodes, 0, rest);
        Some((Branch { from, link: link.clone(), nodes, conditions: Vec::new() }, at))
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    !matches!(expr, Expr::Column(..) | Expr::Bucket(..))
}

fn uses(condition: &Condition, t: usize) -> bool {
    match condition {
        Condition::Exists(branch, _) => branch.nodes.iter().any(|node| node.table == t),
        Condition::Compare(expr, ..) => expr_uses(expr, t),
        Condition::Any(all) | Condition::All(all) => all.iter().any(|one| uses(one, t)),
        _ => false,
    }
}

fn expr_uses(expr: &Expr, t: usize) -> bool {
    match expr {
        Expr::Counted(branch) | Expr::Measured(branch, _) => branch.nodes.iter().any(|node| node.table == t),
        Expr::Share(part) => part.iter().any(|condition| uses(condition, t)),
        _ => false,
    }
}
