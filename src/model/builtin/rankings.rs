//! The criterion of a ranking or an order: a column, a quality such as "oldest", or one of several choices.

use super::Choice;
use super::dates;
use super::graph::Graph;
use super::intent::{ColumnRef, Intent, Measure, RankBy, Target};
use super::measures;
use super::plan::Planner;
use super::schema::{At, Schema};
use super::sql::Expr;
use super::text::{Stems, name_words};
use super::words::Function;

/// Corrects a ranking by the whole question: "best rated products" ranks by the average of another table's column, and
/// "best customers" means several.
pub(super) fn settle(intent: &mut Intent, schema: Schema, graph: &Graph, stems: &Stems) {
    let Some(rank) = &mut intent.rank else { return };
    let columns = intent.entities.is_empty()
        && intent.project.first().is_some_and(|column| {
            column.text.ends_with('s') && !column.text.ends_with("ss") && !column.text.ends_with("us")
        });
    if rank.limit.is_none() && rank.top && columns {
        rank.limit = Some(10);
        intent.assumptions.push("the first 10".to_owned());
    }
    let Some(&entity) = intent.entities.first() else { return };
    if let RankBy::Quality(quality @ super::words::Quality::Rating) = &rank.by
        && measures::quality(schema, entity, *quality, stems).is_none()
    {
        let children = graph.children(entity);
        let held: Vec<At> = children
            .into_iter()
            .filter(|t| !schema.is_view(*t))
            .filter_map(|t| measures::quality(schema, t, *quality, stems))
            .collect();
        if let [at] = held.as_slice() {
            let target = Target::Column(ColumnRef {
                text: schema.column(*at).name.clone(),
                candidates: vec![(*at, 4)],
                bound: Some(at.0),
            });
            rank.by = RankBy::Measure(Measure { function: Some(Function::Avg), target });
        }
    }
    let several = intent.text_plural.contains(&entity);
    if rank.limit.is_none() && rank.top && several {
        rank.limit = Some(10);
        intent.assumptions.push("the first 10".to_owned());
    }
}

impl Planner<'_> {
    /// Offers the criteria that an unstated ranking may have, as choices.
    pub fn offer_rankings(&mut self, entity: usize) {
        let ask = |what: String| {
            (
                String::from("Ranked by what?"),
                Choice { label: format!("by {what}"), reading: format!("{} by {what}", self.question) },
            )
        };
        let mut offers = Vec::new();
        let selling = self.question.to_lowercase().contains("selling");
        for child in self.graph.children(entity).into_iter().take(8) {
            if !self.schema.is_view(child) && self.graph.climb(child, entity).is_some() {
                if let Some((quantity, _)) = measures::product(self.schema, child) {
                    let words = name_words(&self.schema.column(quantity).name).join(" ");
                    offers.insert(0, ask(format!("total {words}")));
                    continue;
                }
                if selling {
                    continue;
                }
                offers.push(ask(format!("number of {}", name_words(self.schema.bare(child)).join(" "))));
            }
        }
        offers.truncate(2);
        let sales = measures::sales(self.schema);
        if let [t] = sales.as_slice()
            && self.graph.climb(*t, entity).is_some()
        {
            offers.push(ask("revenue".to_owned()));
        }
        self.choices.extend(offers);
    }

    /// Returns the expression to order by, and whether its direction is reversed.
    pub fn order_by(&mut self, by: &RankBy, entity: Option<usize>) -> Option<(Expr, bool)> {
        match by {
            RankBy::Column(column) => {
                let at = self.resolve(column)?;
                Some((Expr::Number(at), false))
            }
            RankBy::Quality(quality) => {
                let t = entity?;
                if let Some(at) = measures::quality(self.schema, t, *quality, self.stems) {
                    return Some((Expr::Number(at), false));
                }
                if matches!(quality, super::words::Quality::Recency | super::words::Quality::Age) {
                    let birth = self.schema.columns(t).find(|(at, c)| {
                        self.schema.is_date(*at) && name_words(&c.name).iter().any(|w| w.starts_with("birth"))
                    });
                    // The oldest person was born first; the latest order comes last.
                    if *quality == super::words::Quality::Age
                        && let Some((at, _)) = birth
                    {
                        return Some((Expr::Column(at), true));
                    }
                    if let [only] = dates::best_of(self.schema, t, self.stems, true).as_slice() {
                        return Some((Expr::Column(*only), *quality == super::words::Quality::Age));
                    }
                }
                self.doubt(format!("no column of {} for this superlative", self.schema.bare(t)));
                None
            }
            RankBy::Measure(_) | RankBy::Unstated => None,
        }
    }
}
