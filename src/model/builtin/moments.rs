//! Picks the date column that a time window applies to: from the words of the question, or from the table's own
//! columns.

use super::Choice;
use super::dates;
use super::plan::{Planner, best};
use super::schema::At;
use super::text::name_words;

impl Planner<'_> {
    /// Returns the date column for the window. Several equally good columns become choices.
    pub fn date(&mut self, root: usize, measured: Option<usize>, shown: &[usize]) -> Option<At> {
        if self.dated.is_none() {
            self.dated = self.pick_date(root, measured, shown);
        }
        self.dated
    }

    pub(super) fn pick_date(&mut self, root: usize, measured: Option<usize>, shown: &[usize]) -> Option<At> {
        if let Some(column) = self.intent.going_by.as_ref().or(self.intent.date.as_ref()) {
            let mut dated = column.clone();
            dated.candidates.retain(|(at, _)| self.schema.is_date(*at) || self.schema.is_year(*at));
            let fact = measured.unwrap_or(root);
            let mut places = vec![fact];
            places.extend(self.related(shown));
            places.extend(self.graph.reach(fact).into_iter().filter(|(_, depth)| *depth == 1).map(|(t, _)| t));
            let bound = dated.bound;
            dated.candidates.retain(|(at, _)| bound.is_some() || places.contains(&at.0));
            let at = match best(dated.candidates.iter().filter(|(at, _)| bound.is_none_or(|t| t == at.0))).as_slice() {
                [only] => Some(*only),
                _ => None,
            };
            if at.is_none() {
                self.doubt(format!("no date column \"{}\"", column.text));
            }
            return at;
        }
        let years = self.intent.window.as_ref().is_some_and(|window| window.years().is_some());
        let mut candidates = Vec::new();
        for t in self.related(shown).into_iter().rev() {
            if candidates.is_empty() {
                candidates = dates::best_of(self.schema, t, self.stems, years);
            }
        }
        if candidates.is_empty() {
            candidates = dates::of_fact(self.schema, self.graph, measured.unwrap_or(root), shown, self.stems, years);
        }
        match candidates.as_slice() {
            [] => {
                self.doubt("a time window, but no date column for it");
                None
            }
            [only] => {
                self.assume(format!("dates by {}", self.name(*only)));
                if self.schema.column(*only).nullable {
                    self.assume(format!("rows without {} are left out", self.schema.column(*only).name));
                    let t = only.0;
                    let states = self.intent.filters.iter().any(|filter| {
                        matches!(filter, super::intent::Filter::Stored(values) if values.iter().any(|(at, _)| at.0 == t && self.is_state(*at)))
                    });
                    if states {
                        self.doubt(format!("rows of this kind may have no {}", self.schema.column(*only).name));
                    }
                }
                Some(*only)
            }
            several => {
                for at in several.iter().take(4) {
                    let words = name_words(&self.schema.column(*at).name).join(" ");
                    let table = name_words(self.schema.bare(at.0)).join(" ");
                    let reading = format!("{}, going by {table} {words}", self.question);
                    let label = format!("by {words}");
                    self.choices.push(("Which date counts?".to_owned(), Choice { label, reading }));
                }
                several.first().copied()
            }
        }
    }
}
