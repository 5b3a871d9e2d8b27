//! Short clauses that have one meaning as a whole: "including those without orders", "is set", "by price".

use super::super::cues::{Cue, Op};
use super::super::link::{Mention, WHOLE};
use super::super::schema::At;
use super::named::Named;
use super::superlatives::Superlative;
use super::{Atom, Item, Key, Literal, Reader, What};

impl Reader<'_> {
    /// Reads a clause that begins here, if it is of a kind that has one meaning as a whole.
    pub(super) fn reads_clause(&mut self) -> bool {
        self.keeps_empty() || self.denies_participle()
    }

    /// "Including circuits with no races" after a count: groups without rows are shown too, as they are anyway.
    fn keeps_empty(&mut self) -> bool {
        // "Albums that include songs without lyrics" is a condition.
        let starts = self.before(1).is_none_or(|before| before.is_stop) || !self.frame.groups.is_empty();
        let says = |atom: &Atom| matches!(atom.low.as_str(), "include" | "includes" | "including" | "even");
        let begins = starts && self.atom(0).is_some_and(says);
        // Only names and small words: another word, such as a time, would be lost.
        let is_soft = |atom: &Atom| {
            let is_name = |mention: &Mention| mention.name_fit() > 0.0 && mention.values.is_empty();
            let is_small =
                |cue: &Cue| matches!(cue, Cue::Skip | Cue::Have | Cue::That | Cue::Their | Cue::Distinct | Cue::Not);
            let is_plain = atom.window.is_none() && atom.number.is_none();
            is_plain && (atom.mention.as_ref().is_some_and(is_name) || atom.cues.iter().any(is_small))
        };
        let clause = self.atoms.get(self.at + 1..).unwrap_or_default();
        let length = clause.iter().take_while(|atom| !atom.is_stop).count();
        let clause = clause.get(..length).unwrap_or_default();
        let denies = clause.iter().any(|atom| atom.cues.contains(&Cue::Not));
        let counts = |item: &Item| matches!(item, Item::Count(..) | Item::Aggregate(..));
        if !begins || !denies || !self.frame.items.iter().any(counts) {
            return false;
        }
        if length > 8 || !clause.iter().all(is_soft) {
            self.remark("which groups are included".to_owned());
            return false;
        }
        self.at += 1 + length;
        true
    }

    /// "Placed but not shipped", where `shipped_at` is a date: rows without that date. Rows with another status are not meant.
    fn denies_participle(&mut self) -> bool {
        let denies = self.atom(0).is_some_and(|atom| atom.low == "but not");
        let is_date = self.mention_at(1).is_some_and(|mention| {
            let best = mention.best_column().filter(|(_, fit)| *fit > 0.8).map(|(at, _)| at);
            mention.ends_with_ed() && best.is_some_and(|at| self.schema.is_date(at))
        });
        // "In state open but not closed": the column `state` still waits for its values.
        if !denies || !is_date || self.named_column.is_some() {
            return false;
        }
        self.at += 1;
        self.is_negated = true;
        true
    }

    /// "Patients whose `deleted_at` is set", "orders whose shipping date is missing".
    pub(super) fn reads_known(&mut self, named: &Named) -> bool {
        let is_column = !named.is_table && named.mention.column_fit() > 0.5;
        if !is_column || !self.has(1, &Cue::Be) && !self.has(1, &Cue::Not) {
            return false;
        }
        let mut ahead = 1;
        let mut is_negated = false;
        while let Some(atom) =
            self.atom(ahead).filter(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not)))
        {
            is_negated ^= atom.cues.contains(&Cue::Not);
            ahead += 1;
        }
        let known = match self.atom(ahead).map(|atom| atom.low.as_str()) {
            Some("set" | "filled" | "given" | "known" | "recorded") => true,
            Some("null" | "missing" | "empty" | "blank" | "unset" | "unknown") => false,
            _ => return false,
        };
        if self
            .atom(ahead + 1)
            .is_some_and(|next| !next.is_stop && !next.cues.iter().any(|cue| matches!(cue, Cue::And | Cue::Or)))
        {
            return false;
        }
        self.at += ahead + 1;
        self.is_negated ^= is_negated ^ !known;
        self.condition(What::Known(named.mention.clone()));
        true
    }

    /// "loans returned", "patients admitted for asthma", "deleted patients".
    pub(super) fn reads_participle(&mut self, named: &Named) -> bool {
        let describes_next = self.is_participle_of_next(&named.mention);
        if !describes_next && !self.is_participle(&named.mention) || named.is_compared {
            return false;
        }
        let stem = self.stem_here();
        self.at += 1;
        let ends = |atom: &Atom| {
            atom.is_stop
                || atom.cues.iter().any(|cue| matches!(cue, Cue::And | Cue::Or | Cue::Not))
                || matches!(atom.low.as_str(), "but" | "yet")
        };
        // "Deleted (deleted_at is set)" names the column twice.
        let best = named.mention.best_column().map(|(at, _)| at);
        let repeats = self.mention_at(0).and_then(Mention::best_column).is_some_and(|(at, _)| Some(at) == best);
        // "(deleted_at is set)": the "at" belongs to the name.
        let has_object = |next: &Atom| !next.is_stop && !next.cues.contains(&Cue::Be);
        let is_open = self.has(0, &Cue::In) && !self.atom(1).is_some_and(has_object);
        if describes_next || repeats || is_open || self.atom(0).is_none_or(ends) {
            self.condition(What::Known(named.mention.clone()));
        } else {
            // "problems reported by Ann": the key may be `reported_by_staff_id`.
            self.words.push(named.mention.text.to_lowercase());
            self.frame.verbs.push(stem);
        }
        true
    }

    /// "Deleted patients", where patients have a date `deleted_at`.
    fn is_participle_of_next(&self, mention: &Mention) -> bool {
        matches!(self.describes(0), Some(What::Known(column)) if column == *mention)
    }

    /// The condition that a word before a table stands for: "shipped orders", "open tickets". A stored value of the table
    /// is preferred to a date such as `shipped_at`.
    pub(super) fn describes(&self, ahead: usize) -> Option<What> {
        let mention = self.mention_at(ahead)?;
        let next = self.mention_at(ahead + 1).filter(|next| !next.ends_with_ed())?;
        let is_of_next = |t: usize| next.tables.iter().any(|(of, fit)| *of == t && *fit > 0.8);
        let (at, fit) = mention.best_column().filter(|(_, fit)| *fit > mention.table_fit())?;
        let is_verb = mention.text.to_lowercase().ends_with("ed") && !mention.text.contains(['_', ' ']);
        let is_stored = mention.values.iter().any(|(of, _)| is_of_next(of.0));
        if !self.schema.is_date(at) || !is_of_next(at.0) || !(is_verb || is_stored && fit < 0.95) {
            return None;
        }
        Some(if is_stored { What::Value(None, mention.clone()) } else { What::Known(mention.clone()) })
    }

    /// "List every hut with its region" asks for huts. "With its average price" is a number for each hut. `ahead` is
    /// the place of the table.
    pub(super) fn is_determiner(&self, ahead: usize) -> bool {
        let read = self.atoms.get(..self.at).unwrap_or_default();
        let opens = |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Open | Cue::Skip));
        let says = self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "every" | "each"));
        let is_table = self.mention_at(ahead).is_some_and(|mention| mention.table_fit() > 0.8);
        let rest = self.atoms.get(self.at + ahead + 1..).unwrap_or_default();
        let measures = |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Agg(_) | Cue::Count(_)));
        let has_measure = rest.first().is_some_and(|next| next.low == "with")
            && rest.iter().take_while(|atom| !atom.is_stop).any(measures);
        let owns = rest.first().is_some_and(|next| matches!(next.low.as_str(), "'s" | "'"));
        says && is_table && !read.is_empty() && read.iter().all(opens) && !has_measure && !owns
    }

    /// "For each project that has issues, give its name": groups without rows are left out.
    pub(super) fn limits_groups(&self) -> bool {
        let has = |atom: &Atom| atom.cues.contains(&Cue::Have) || atom.low == "with";
        let before = (2..).map_while(|back| self.before(back)).find(|atom| !atom.cues.contains(&Cue::Skip));
        let ends = self.atom(0).is_some_and(|next| next.is_stop);
        self.frame.items.is_empty() && !self.frame.groups.is_empty() && ends && before.is_some_and(has)
    }

    /// "The percentage of orders that ..", "of the 2024 orders".
    pub(super) fn share(&mut self) -> bool {
        let ahead = self.next_solid(1);
        let window = self.atom(ahead).and_then(|atom| atom.window.clone());
        let ahead = ahead + usize::from(window.is_some());
        // "of the valid measurements".
        let is_value = |mention: &&Mention| !mention.values.is_empty() && mention.name_fit() < 0.9;
        let values: Vec<Mention> =
            (ahead..).map_while(|ahead| self.mention_at(ahead).filter(is_value)).cloned().collect();
        let ahead = ahead + values.len();
        let Some(mention) = self.mention_at(ahead).cloned() else { return false };
        let is_table =
            mention.values.is_empty() && mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit();
        if !is_table || !self.frame.items.is_empty() {
            return false;
        }
        self.frame.is_share = true;
        self.show(Item::Count(mention.clone(), false));
        self.entity(mention);
        if let Some(window) = window {
            self.condition(What::During(window, None));
        }
        for value in values {
            self.condition(What::Value(None, value));
        }
        self.at += ahead + 1;
        self.is_head = false;
        true
    }

    /// "order 7": the row with the key 7.
    pub(super) fn reads_number_of_row(&mut self, table: &Mention) -> bool {
        let is_no_name = |atom: &&Atom| atom.mention.as_ref().is_none_or(|mention| mention.name_fit() == 0.0);
        let number = self.atom(0).filter(is_no_name).and_then(|atom| atom.number);
        let ends = self.atom(1).is_none_or(|next| next.mention.is_none() && next.number.is_none());
        let t = table.best_table().filter(|(_, fit)| *fit > 0.8).map(|(t, _)| t);
        let key = t.and_then(|t| {
            let key = self.schema.columns(t).map(|(at, _)| at).find(|at| self.schema.is_only_key(*at));
            key.filter(|at| self.schema.is_number(*at))
        });
        let is_plural = table.text.ends_with('s') && !table.text.ends_with("ss");
        let (Some(number), Some(key), true, false) = (number, key, ends, is_plural || self.is_negated) else {
            return false;
        };
        self.at += 1;
        let columns = vec![(key, WHOLE)];
        let key = Mention { text: format!("{} {number}", table.text), columns, ..Mention::default() };
        self.condition(What::Compare(key, Op::Eq, Literal::Number(number)));
        true
    }

    /// "How many shipped orders".
    pub(super) fn counts_described(&mut self, ahead: usize, distinct: bool) -> bool {
        let (Some(described), Some(table)) = (self.describes(ahead), self.mention_at(ahead + 1).cloned()) else {
            return false;
        };
        self.at += ahead + 2;
        self.show(Item::Count(table.clone(), distinct));
        self.entity(table);
        self.condition(described);
        true
    }

    /// "Tickets without a technician", where "Technician" is a stored value: those that nobody has, or that somebody else has.
    pub(super) fn lacks_value(&self) -> bool {
        let lacks = (1..=2).filter_map(|back| self.before(back)).any(|atom| {
            matches!(atom.low.as_str(), "without" | "without any" | "with no" | "have no" | "has no" | "lacking" | "no")
        });
        lacks && self.mention_at(1).is_none_or(|next| next.table_fit() == 0.0)
    }

    /// "The most expensive treatment by price": says which column the superlative compares.
    pub(super) fn ranked_by(&mut self) -> bool {
        let ahead = self.next_solid(1);
        let Some(mention) = self.mention_at(ahead).cloned() else { return false };
        let compares = mention.table_fit() == 0.0
            && mention.best_column().is_some_and(|(at, fit)| {
                fit > 0.8 && !self.schema.is_key(at) && (self.schema.is_number(at) || self.schema.is_date(at))
            });
        if !self.frame.is_superlative || !compares || !self.ends_at(ahead + 1) {
            return false;
        }
        let [(key @ Key::By(_), _)] = self.frame.order.as_mut_slice() else { return false };
        *key = Key::Attribute(mention);
        self.at += ahead + 1;
        true
    }

    /// "Which orders have been paid?": a verb that tells rows apart, without anything that it links to.
    pub(super) fn says_state(&self, atom: &Atom, is_last: bool) -> bool {
        let tells = matches!(
            atom.low.as_str(),
            "paid"
                | "completed"
                | "submitted"
                | "signed"
                | "accepted"
                | "registered"
                | "released"
                | "published"
                | "closed"
        );
        let follows_be = self.before(2).is_some_and(|before| {
            before.cues.contains(&Cue::Be) || matches!(before.low.as_str(), "was" | "were" | "been" | "being")
        });
        tells && follows_be && is_last
    }

    /// "The best rated products", "the highest priced phone": rows by a measure. Their table may have no such column.
    pub(super) fn rated_rows(&mut self, asked: &Superlative) -> Option<bool> {
        let measure =
            self.mention_at(asked.ahead).filter(|measure| measure.ends_with_ed() && measure.values.is_empty())?;
        let measure = measure.clone();
        let table = self.mention_at(asked.ahead + 1).filter(|table| table.table_fit() > 0.8).cloned()?;
        if asked.counts || !self.is_head || !self.frame.items.is_empty() || measure.column_fit() == 0.0 {
            return None;
        }
        let is_own = |(at, _): &(At, f32)| {
            table.tables.iter().any(|(t, fit)| *t == at.0 && *fit > 0.8) && self.schema.is_number(*at)
        };
        if !measure.columns.iter().any(is_own) {
            self.remark(format!("{} by which number", table.text));
        }
        let limit = asked.limit.or_else(|| self.pending_limit.take().map(f64::from));
        if limit.is_none() && self.is_plural(asked.ahead + 1) {
            self.remark(format!("how many {}", table.text));
        }
        self.at += asked.ahead + 2;
        self.show(Item::Entity(table.clone()));
        self.entity(table);
        let done = self.rank(Key::Attribute(measure), asked.desc, limit);
        self.is_head = true;
        Some(done)
    }

    /// "List the products by price": in the order of a number that hardly two rows share.
    pub(super) fn listed_by(&mut self) -> bool {
        let ahead = self.next_solid(1);
        let Some(mention) = self.mention_at(ahead).cloned() else { return false };
        // "Reviews by rating" asks for the number of each rating.
        let asks_list =
            self.atoms.first().is_some_and(|atom| atom.low.starts_with("list") || atom.low.starts_with("show"));
        let lists_rows = asks_list
            && matches!(self.frame.items.as_slice(), [Item::Entity(_)])
            && self.frame.groups.is_empty()
            && self.frame.order.is_empty();
        let is_measure = mention.table_fit() == 0.0
            && mention.best_column().is_some_and(|(at, fit)| {
                let is_number = self.schema.is_number(at) && !self.schema.is_key(at) && !self.schema.is_year(at);
                fit > 0.8 && is_number && self.schema.column(at).values.is_empty()
            });
        if !lists_rows || !is_measure || !self.ends_at(ahead + 1) {
            return false;
        }
        self.frame.order = vec![(Key::Attribute(mention), false)];
        self.at += ahead + 1;
        true
    }

    fn ends_at(&self, ahead: usize) -> bool {
        self.atom(ahead).is_none_or(|next| next.is_stop)
    }
}
