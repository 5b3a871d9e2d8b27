//! Says in words how a question was read.

use super::*;

impl Planner<'_> {
    /// Says in one sentence how the question was read.
    pub(super) fn say(&mut self) {
        let column = |at: At| name_words(&self.schema.column(at).name).join(" ");
        let table = |t: usize| name_words(self.schema.bare(t)).join(" ");
        fn expr_said(expr: &Expr, column: &dyn Fn(At) -> String, table: &dyn Fn(usize) -> String) -> String {
            match expr {
                Expr::Column(_, at) => column(*at),
                Expr::Count => "number of rows".to_owned(),
                Expr::Share(_) => "percentage of the rows".to_owned(),
                Expr::CountDistinct(_, at) => format!("number of different {}", column(*at)),
                Expr::Aggregate(function, inner) => format!("{} {}", function.word(), expr_said(inner, column, table)),
                Expr::Product(_, one, two) => format!("{} times {}", column(*one), column(*two)),
                Expr::Bucket(unit, _, at) => format!("{} of {}", unit.word(), column(*at)),
                Expr::Counted(branch) => {
                    let name = branch.nodes.last().map_or(String::new(), |node| table(node.table));
                    format!("number of {name}{}", inner_said(branch, column, table))
                }
                Expr::Measured(branch, what) => {
                    format!("{}{}", expr_said(what, column, table), inner_said(branch, column, table))
                }
            }
        }
        fn inner_said(branch: &Branch, column: &dyn Fn(At) -> String, table: &dyn Fn(usize) -> String) -> String {
            let said = |expr: &Expr| expr_said(expr, column, table);
            let all: Vec<String> = branch.conditions.iter().map(|one| condition_said(one, &said, table)).collect();
            if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) }
        }
        let said = |expr: &Expr| expr_said(expr, &column, &table);
        fn condition_said(
            condition: &Condition,
            said: &dyn Fn(&Expr) -> String,
            table: &dyn Fn(usize) -> String,
        ) -> String {
            let literal = |literal: &Literal| match literal {
                Literal::Number(value) => crate::model::builtin::sql::number(*value),
                Literal::Text(text) => text.clone(),
                Literal::Word(word) => (*word).to_owned(),
            };
            let all = |all: &[Condition], word: &str| {
                all.iter().map(|one| condition_said(one, said, table)).collect::<Vec<_>>().join(word)
            };
            match condition {
                Condition::Compare(expr, op, value) => {
                    let op = match op {
                        Op::Eq => "is",
                        Op::Ne => "is not",
                        Op::Contains => "contains",
                        Op::Starts => "starts with",
                        Op::Ends => "ends with",
                        other => other.sql(),
                    };
                    format!("{} {op} {}", said(expr), literal(value))
                }
                Condition::In(expr, values, is_in) => {
                    let values: Vec<String> = values.iter().map(literal).collect();
                    format!("{} is {}{}", said(expr), if *is_in { "" } else { "not " }, values.join(" or "))
                }
                Condition::NotNull(expr) => format!("{} is known", said(expr)),
                Condition::Null(expr) => format!("{} is not known", said(expr)),
                Condition::Columns(expr, op, other) => {
                    format!("{} {} {}", said(expr), op.sql(), said(&Expr::Column(0, *other)))
                }
                Condition::Average(expr, op, _) => format!("{} {} its average", said(expr), op.sql()),
                Condition::Any(parts) => all(parts, " or "),
                Condition::All(parts) => all(parts, " and "),
                Condition::Exists(branch, exists) => {
                    let name = branch.nodes.last().map_or(String::new(), |node| table(node.table));
                    let inner = all(&branch.conditions, " and ");
                    let inner = if inner.is_empty() { inner } else { format!(" where {inner}") };
                    format!("{} {name}{inner}", if *exists { "with" } else { "without" })
                }
            }
        }
        let query = &self.plan.query;
        let shown = query.columns.iter().map(|(expr, _)| match expr {
            Expr::Share(part) => {
                let part: Vec<String> = part.iter().map(|one| condition_said(one, &said, &table)).collect();
                format!("{} where {}", said(expr), part.join(" and "))
            }
            _ => said(expr),
        });
        let shown: Vec<String> = shown.collect();
        let mut text = format!("{} of {}", shown.join(", "), table(self.root));
        let conditions: Vec<String> =
            query.conditions.iter().map(|condition| condition_said(condition, &said, &table)).collect();
        if !conditions.is_empty() {
            text.push_str(&format!("; {}", conditions.join("; ")));
        }
        if !query.groups.is_empty() {
            let groups: Vec<String> = query.groups.iter().map(&said).collect();
            text.push_str(&format!("; for each {}", groups.join(", ")));
            if let Some((op, value)) = query.having {
                let value = crate::model::builtin::sql::number(value);
                text.push_str(&format!(" with {} {} {value}", said(&Expr::Count), op.sql()));
            }
        }
        for (expr, desc) in &query.order {
            text.push_str(&format!("; by {}{}", said(expr), if *desc { ", highest first" } else { "" }));
        }
        if let Some(limit) = query.limit {
            text.push_str(&if limit == 1 { "; the first".to_owned() } else { format!("; the first {limit}") });
        }
        self.plan.said = text;
    }
}
