//! Superlatives: "the most flights", "the oldest singer", "used most".

use super::*;

/// Rows of "best customers", which says no number.
const VAGUE_LIMIT: u32 = 10;

/// A superlative, and what stands right after it.
pub(super) struct Superlative {
    pub(super) desc: bool,
    /// "3" in "the 3 highest".
    pub(super) limit: Option<f64>,
    /// True for "the largest number of".
    pub(super) counts: bool,
    /// Place of the first word after the superlative, its number and its "number of".
    pub(super) ahead: usize,
}

impl Reader<'_> {
    /// "the highest age", "the most flights", "the largest number of seats".
    pub(super) fn superlative(&mut self, desc: bool) -> bool {
        if self.sorted_first(desc, None) {
            return true;
        }
        let Some(asked) = self.superlative_here(desc) else { return false };
        // "the top three lowest distances".
        let is_ranked = |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Sup(_) | Cue::By(..)));
        if let (Some(limit), true, None) =
            (asked.limit, self.atom(asked.ahead).is_some_and(is_ranked), self.pending_limit)
        {
            self.pending_limit = Some(limit.clamp(1.0, 1000.0) as u32);
            self.at += asked.ahead;
            return true;
        }
        // The parts are tried in order. The first one that returns a value decides.
        let parts: [fn(&mut Self, &Superlative) -> Option<bool>; 8] = [
            Self::aggregate_of_superlative,
            Self::most_rows_of_value,
            Self::rated_rows,
            Self::top_rows,
            Self::most_revenue,
            Self::vaguely_best,
            Self::most_rows,
            Self::highest_measure,
        ];
        parts.iter().find_map(|part| part(self, &asked)).unwrap_or(false)
    }

    /// Reads a number and "number of" after the superlative.
    fn superlative_here(&self, desc: bool) -> Option<Superlative> {
        let mut ahead = self.next_solid(1);
        // "that have hosted least two weddings" probably means "at least".
        let is_bare = self.atom(0).is_some_and(|atom| atom.low == "least") && !self.frame.items.is_empty();
        if is_bare && self.atom(ahead).is_some_and(|atom| atom.number.is_some()) {
            return None;
        }
        // "For most of the times" means more than half of them.
        let is_most = self.atom(0).is_some_and(|atom| atom.low == "most");
        if is_most && self.atom(1).is_some_and(|atom| matches!(atom.low.as_str(), "of" | "of the")) {
            return None;
        }
        let limit = self.atom(ahead).and_then(|atom| atom.number).filter(|_| self.mention_at(ahead).is_none());
        if limit.is_some() {
            ahead = self.next_solid(ahead + 1);
        }
        let counts = self.counts_at(ahead)
            || self
                .atom(ahead)
                .is_some_and(|atom| matches!(atom.low.as_str(), "number" | "number of" | "amount" | "total number of"));
        if counts && self.mention_at(ahead).is_none_or(|mention| mention.fit() < WHOLE) {
            ahead = self.next_solid(ahead + 1);
        }
        Some(Superlative { desc, limit, counts, ahead })
    }

    fn counts_at(&self, ahead: usize) -> bool {
        self.atom(ahead).is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))))
    }

    /// "the highest average price".
    fn aggregate_of_superlative(&mut self, asked: &Superlative) -> Option<bool> {
        let (function, measure, length) = self.aggregate_at(asked.ahead)?;
        if self.frame.items.is_empty() || asked.counts {
            return None;
        }
        self.at += length;
        Some(self.rank(Key::Aggregate(function, measure), asked.desc, asked.limit))
    }

    /// "the most completed appointments".
    fn most_rows_of_value(&mut self, asked: &Superlative) -> Option<bool> {
        let table = self.mention_at(asked.ahead + 1).filter(|table| table.table_fit() > 0.8).cloned()?;
        let value = self.mention_at(asked.ahead).filter(|value| is_value(value)).cloned()?;
        if asked.limit.is_some() || self.frame.items.is_empty() {
            return None;
        }
        if !self.is_plural(asked.ahead + 1) {
            return Some(false);
        }
        self.at += asked.ahead + 2;
        self.entity(table.clone());
        self.condition(What::Value(None, value));
        Some(self.rank(Key::Count(Some(table)), asked.desc, None))
    }

    /// "top 3 products by price", "the top 5 active employees": what follows is listed.
    fn top_rows(&mut self, asked: &Superlative) -> Option<bool> {
        let limit = asked.limit.filter(|_| self.is_head)?;
        let narrowed = self.condition_before_table(asked.ahead);
        let ahead = self.head_noun(asked.ahead + usize::from(narrowed.is_some()));
        let Some(table) = self.mention_at(ahead).filter(|table| table.table_fit() > 0.0).cloned() else {
            return Some(false);
        };
        let phrase = self.text_of(0, ahead);
        self.at += ahead + 1;
        let limit = limit.clamp(1.0, 1000.0) as u32;
        self.frame.limit = Some(limit);
        self.show(Item::Entity(table.clone()));
        self.entity(table);
        if let Some(narrowed) = narrowed {
            self.condition(narrowed);
            self.is_head = true;
        }
        // "the top three branches with the most members".
        let key = self.next_solid(1);
        let is_sup = |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Sup(_)));
        if [Cue::That, Cue::Have].iter().any(|cue| self.has(0, cue)) && self.atom(key).is_some_and(is_sup) {
            self.frame.limit = None;
            self.pending_limit = Some(limit);
            self.is_head = false;
            self.at += key;
            return Some(true);
        }
        if let Some((key, length)) = self.key_of_top_rows() {
            self.at += length;
            self.frame.order = vec![(key, asked.desc)];
            self.frame.is_superlative = true;
            return Some(true);
        }
        let table = self.frame.entities.last().cloned();
        self.frame.vague = table.map(|table| Vague { table, limit, phrase: Some(phrase) });
        Some(true)
    }

    /// "active" in "the top 5 active employees".
    fn condition_before_table(&self, ahead: usize) -> Option<What> {
        self.mention_at(ahead + 1).filter(|table| table.table_fit() > 0.8)?;
        let mention = self.mention_at(ahead).filter(|mention| mention.table_fit() < 0.8)?;
        if is_value(mention) {
            return Some(What::Value(None, mention.clone()));
        }
        let is_flag = mention.best_column().is_some_and(|(at, _)| self.schema.answers(at).is_some());
        is_flag.then(|| What::Flag(mention.clone()))
    }

    /// What the rows of "top 3 products by ..." are ordered by, and the number of atoms that say it.
    fn key_of_top_rows(&mut self) -> Option<(Key, usize)> {
        let key = self.next_solid(1);
        let is_revenue = self.atom(key).is_some_and(|atom| atom.cues.contains(&Cue::Revenue));
        if self.has(0, &Cue::By_) && is_revenue && self.is_weak_revenue(self.mention_at(key)) {
            self.show(Item::Revenue(Function::Sum));
            return Some((Key::Revenue, key + 1));
        }
        if ![Cue::By_, Cue::Per, Cue::Sort, Cue::That, Cue::Have].iter().any(|cue| self.has(0, cue)) {
            return None;
        }
        if let Some((function, measure, length)) = self.aggregate_at(key) {
            return Some((Key::Aggregate(function, measure), length));
        }
        if let Some(measure) = self.mention_at(key).filter(|mention| mention.column_fit() > 0.0).cloned() {
            return Some((Key::Attribute(measure), key + 1));
        }
        if is_revenue {
            return Some((Key::Revenue, key + 1));
        }
        let counted = self.next_solid(key + 1);
        let counts = self.counts_at(key);
        let table = self.mention_at(counted).filter(|table| counts && table.table_fit() > 0.0).cloned()?;
        Some((Key::Count(Some(table)), counted + 1))
    }

    /// "the most revenue".
    fn most_revenue(&mut self, asked: &Superlative) -> Option<bool> {
        let ahead = self.head_noun(asked.ahead);
        let is_revenue = self.atom(ahead).is_some_and(|atom| atom.cues.contains(&Cue::Revenue));
        if is_revenue && self.is_weak_revenue(self.mention_at(ahead)) {
            self.at += ahead + 1;
            self.show(Item::Revenue(Function::Sum));
            return Some(self.rank(Key::Revenue, asked.desc, asked.limit));
        }
        let is_vague = self.is_vague_here();
        match self.mention_at(ahead) {
            Some(_) => None,
            None => Some(self.last_superlative(asked.desc, is_vague)),
        }
    }

    /// "Best" and "top" do not say by which measure.
    fn is_vague_here(&self) -> bool {
        self.atom(0).is_some_and(|atom| {
            let low = atom.low.trim_start_matches("the ");
            low.starts_with("best") || low.starts_with("top")
        })
    }

    /// The name after the superlative and the place of its last word.
    fn ranked(&self, asked: &Superlative) -> Option<(Mention, usize)> {
        let ahead = self.head_noun(asked.ahead);
        match self.attribute_at(ahead) {
            Some((attribute, length @ 2..)) if !asked.counts => Some((attribute, ahead + length - 1)),
            _ => Some((self.mention_at(ahead).cloned()?, ahead)),
        }
    }

    /// "the best customers".
    fn vaguely_best(&mut self, asked: &Superlative) -> Option<bool> {
        let (table, ahead) = self.ranked(asked)?;
        if !self.is_vague_here() || asked.counts || table.table_fit() <= table.column_fit() {
            return None;
        }
        let phrase = self.text_of(usize::from(self.pending_limit.is_some()), ahead);
        let limit = self.pending_limit.take().unwrap_or(if self.is_plural(ahead) { VAGUE_LIMIT } else { 1 });
        self.at += ahead + 1;
        self.show(Item::Entity(table.clone()));
        self.entity(table.clone());
        self.frame.vague = Some(Vague { table, limit, phrase: Some(phrase) });
        Some(true)
    }

    /// "the most reviews" counts them; "the worst reviews" and "the highest booking" want a measure.
    fn most_rows(&mut self, asked: &Superlative) -> Option<bool> {
        let (table, ahead) = self.ranked(asked)?;
        if table.table_fit() == 0.0 || !asked.counts && table.table_fit() < table.column_fit() {
            return None;
        }
        let says_number = self.atom(0).is_some_and(|atom| {
            matches!(
                atom.low.trim_start_matches("the "),
                "most" | "fewest" | "least" | "largest" | "highest" | "greatest" | "lowest" | "smallest"
            )
        });
        if !asked.counts && (!says_number || !self.is_plural(ahead)) {
            return Some(false);
        }
        self.at += ahead + 1;
        if !self.frame.entities.is_empty() {
            self.entity(table.clone());
        }
        Some(self.rank(Key::Count(Some(table)), asked.desc, asked.limit))
    }

    /// "the highest price": the maximum is shown if nothing is shown yet or after "and". Otherwise it orders the rows.
    fn highest_measure(&mut self, asked: &Superlative) -> Option<bool> {
        let (measure, ahead) = self.ranked(asked)?;
        let is_measure = measure
            .columns
            .iter()
            .any(|(at, _)| self.schema.is_number(*at) || self.schema.is_date(*at) || self.schema.is_year(*at));
        // "The largest refund", where a refund is a kind of transaction.
        let is_kind = !measure.values.is_empty() && measure.column_fit() < 0.8;
        if measure.column_fit() == 0.0 || is_kind || !is_measure && !asked.counts {
            return Some(false);
        }
        let is_most =
            self.atom(0).is_some_and(|atom| atom.low.split(' ').any(|word| matches!(word, "most" | "fewest")));
        // "The most items" are no `order_details`.
        let is_number = |at: At| {
            let words = name_words(&self.schema.column(at).name);
            words.iter().any(|word| matches!(word.as_str(), "num" | "number" | "no" | "count" | "total" | "quantity"))
        };
        let is_other = measure.column_fit() < OTHER_WORD && !measure.best_column().is_some_and(|(at, _)| is_number(at));
        if is_most && is_other && self.is_plural(ahead) {
            return Some(false);
        }
        self.at += ahead + 1;
        let in_head = self.is_head
            && (self.frame.items.is_empty() || self.follows_and_before(ahead + 1))
            && asked.limit.is_none();
        // "The highest amount of the payments" is an amount, and no number of them.
        if in_head && (!asked.counts || !is_most && measure.column_fit() > 0.8) {
            self.show(Item::Aggregate(if asked.desc { Function::Max } else { Function::Min }, measure));
            return Some(true);
        }
        self.frame.is_most = is_most;
        Some(self.rank(Key::Attribute(measure), asked.desc, asked.limit))
    }

    /// "highest price first", "newest first": sorts what is listed.
    fn sorted_first(&mut self, desc: bool, words: Option<&[String]>) -> bool {
        let named = self.attribute_at(1).filter(|_| words.is_none());
        let end = named.as_ref().map_or(1, |(_, length)| 1 + length);
        if self.atom(end).is_none_or(|atom| atom.low != "first") || self.frame.is_superlative {
            return false;
        }
        let shown = self.frame.items.iter().rev().find_map(|item| match item {
            Item::Attribute(shown) if self.is_measure(shown) => Some(Key::Attribute(shown.clone())),
            Item::Aggregate(_, measure) => Some(Key::Attribute(measure.clone())),
            Item::Count(counted, _) => Some(Key::Count(Some(counted.clone()))),
            _ => None,
        });
        let key = match (words, named) {
            (Some(words), _) => Some(Key::By(words.to_vec())),
            (None, Some((named, _))) if self.is_measure(&named) || self.is_timely(&named) => {
                Some(Key::Attribute(named))
            }
            // "best rated category first".
            (None, _) => shown,
        };
        let Some(key) = key else { return false };
        self.at += end + 1;
        self.frame.order.push((key, desc));
        true
    }

    /// "... and what is that average", "... and how many are in stock": the measure of the superlative is shown too.
    pub(super) fn asks_for_key(&mut self) -> bool {
        let asks =
            |atom: &Atom| ["what", "how much", "how many", "by how much"].iter().any(|word| atom.low.starts_with(word));
        // "with that total", "and the amount", "with the count".
        let names = |atom: &Atom| atom.low == "with" || atom.cues.contains(&Cue::And);
        let is_article = |atom: &Atom| matches!(atom.low.as_str(), "that" | "the" | "its" | "their");
        let is_named =
            self.atom(0).is_some_and(names) && self.atom(1).is_some_and(is_article) && self.atom(2).is_some();
        let counted = match self.frame.conditions.last().map(|condition| &condition.what) {
            Some(What::Counted(counted, ..)) if !self.frame.is_superlative && is_named => Some(counted.clone()),
            _ => None,
        };
        if !self.frame.is_superlative && counted.is_none() || !(is_named || self.atom(0).is_some_and(asks)) {
            return false;
        }
        let rest = self.atoms.get(self.at + 1..).unwrap_or_default();
        let rest: Vec<&Atom> = rest.iter().take_while(|atom| !atom.is_stop).collect();
        let key = self.frame.order.first().map(|(key, _)| key);
        let is_key = |mention: &Mention| match key {
            Some(Key::Attribute(known) | Key::Aggregate(_, known) | Key::Count(Some(known))) => {
                known.shares_column(mention)
                    || known.tables.iter().any(|(t, _)| mention.tables.iter().any(|(of, _)| of == t))
            }
            // "At least two huts together with their average elevation" asks for no number of huts.
            _ => counted.as_ref().is_some_and(|counted| counted.shares_with(mention)),
        };
        let is_soft = |atom: &&Atom| {
            let is_verb = measure_unit(&atom.low).is_some()
                || matches!(
                    atom.low.as_str(),
                    "it" | "was" | "were" | "did" | "does" | "do" | "value" | "figure" | "amount"
                )
                || cues::is_link(&atom.stem);
            let is_grammar = atom.cues.iter().any(|cue| {
                let is_small =
                    matches!(cue, Cue::Skip | Cue::Be | Cue::That | Cue::Their | Cue::In | Cue::Have | Cue::Count(_));
                is_small || counted.is_none() && matches!(cue, Cue::Agg(_))
            });
            match &atom.mention {
                Some(mention) => is_key(mention) || is_grammar && mention.fit() < 0.8,
                None => is_verb || is_grammar,
            }
        };
        if !rest.iter().all(is_soft) {
            return false;
        }
        self.at += 1 + rest.len();
        match counted {
            Some(counted) => self.show(Item::Count(counted, false)),
            None => self.frame.shows_key = true,
        }
        true
    }

    /// The text from so many atoms before the current one to so many after it.
    fn text_of(&self, back: usize, ahead: usize) -> String {
        let atoms = self.atoms.get(self.at.saturating_sub(back)..=self.at + ahead).unwrap_or_default();
        let texts = atoms.iter().map(|atom| atom.text.as_str());
        texts.collect::<Vec<_>>().join(" ")
    }

    /// An aggregate and its measure at a place, and the number of atoms up to its end: "average price".
    fn aggregate_at(&self, ahead: usize) -> Option<(Function, Mention, usize)> {
        let atom = self.atom(ahead).filter(|_| self.mention_at(ahead).is_none_or(|mention| mention.fit() < WHOLE))?;
        let function = atom.cues.iter().find_map(|cue| match cue {
            Cue::Agg(function) => Some(*function),
            _ => None,
        })?;
        let place = self.next_solid(ahead + 1);
        let (measure, length) = self.attribute_at(place).filter(|(mention, _)| self.is_measure(mention))?;
        Some((function, measure, place + length))
    }

    /// A superlative without an object at the end: "which method is used most", "which category sells best".
    fn last_superlative(&mut self, desc: bool, is_vague: bool) -> bool {
        if self.atom(self.next_solid(1)).is_some_and(|next| !next.is_stop)
            || self.frame.is_superlative
            || self.is_negated
        {
            return false;
        }
        if is_vague {
            let ([entity], true) = (self.frame.entities.as_slice(), self.frame.conditions.is_empty()) else {
                return false;
            };
            self.frame.vague = Some(Vague { table: entity.clone(), limit: 1, phrase: None });
            self.at += 1;
            return true;
        }
        if self.most_often(desc) {
            return true;
        }
        // "Who spent the most?"
        if matches!(self.frame.items.last(), Some(Item::Revenue(Function::Sum))) {
            self.at += 1;
            return self.rank(Key::Revenue, desc, None);
        }
        let follows_verb = self.before(1).is_some_and(|atom| atom.mention.is_none() && cues::is_link(&atom.stem));
        let [Item::Attribute(shown)] = self.frame.items.as_slice() else { return false };
        let is_other =
            |entity: &Mention| !entity.tables.iter().any(|(t, _)| shown.columns.iter().any(|(at, _)| at.0 == *t));
        if !follows_verb || self.frame.entities.iter().any(is_other) {
            return false;
        }
        self.frame.common = Some((shown.clone(), desc));
        self.frame.items.clear();
        self.at += 1;
        true
    }

    pub(super) fn rank(&mut self, key: Key, desc: bool, limit: Option<f64>) -> bool {
        if self.frame.is_superlative || self.is_negated {
            return false;
        }
        self.frame.order = vec![(key, desc)];
        let few = self.pending_limit.take().unwrap_or(1);
        self.frame.limit = Some(limit.map_or(few, |limit| limit.clamp(1.0, 1000.0) as u32));
        self.frame.is_superlative = true;
        self.is_head = false;
        true
    }

    pub(super) fn is_plural(&self, ahead: usize) -> bool {
        self.atom(ahead).is_some_and(|atom| {
            let low = atom.low.as_str();
            low.ends_with('s') && !low.ends_with("ss") || matches!(low, "people" | "children")
        })
    }

    /// "the most common breed".
    pub(super) fn common(&mut self, desc: bool) -> bool {
        let ahead = self.next_solid(1);
        let Some(mention) = self.mention_at(ahead).filter(|mention| mention.fit() > 0.0).cloned() else {
            return self.most_often(desc);
        };
        let is_popular = self.atom(0).is_some_and(|atom| atom.low.ends_with("popular"));
        self.at += ahead + 1;
        // "the most used payment method".
        let mention = self.column_of_table(mention);
        // "The most popular decor": the decor of most rooms, or the decor of the rooms with most bookings.
        let is_referred_to = |t: usize| {
            let name = &self.schema.table(t).name;
            self.schema.tables().iter().any(|table| table.foreign_keys.iter().any(|key| key.references == *name))
        };
        if is_popular && mention.best_column().is_some_and(|(at, _)| is_referred_to(at.0)) {
            self.remark("popular by what".to_owned());
        }
        self.frame.common = Some((mention, desc));
        // "the five most used parts".
        self.frame.limit = self.pending_limit.take();
        true
    }

    /// "Which medication is prescribed most often": the verb names the table whose rows are counted.
    fn most_often(&mut self, desc: bool) -> bool {
        let Some(verb) = self.verb_before() else { return false };
        self.at += 1;
        self.rank(Key::Count(Some(verb)), desc, None)
    }

    /// The table that the verb right before means: `orders` for "ordered".
    pub(super) fn verb_before(&mut self) -> Option<Mention> {
        let before = self.before(1).cloned()?;
        let named = before.mention.filter(|mention| mention.ends_with_ed() && mention.values.is_empty());
        let verb = before.verb.or_else(|| {
            let mut mention = named?;
            if mention.tables.is_empty() {
                let best = mention.best_column()?;
                mention.tables = vec![(best.0.0, best.1)];
            }
            mention.columns.clear();
            Some(mention)
        });
        let verb = verb.filter(|_| !self.frame.entities.is_empty())?;
        // If the verb was read as a shown column, this column is not shown.
        self.frame.items.retain(|item| !matches!(item, Item::Attribute(shown) if shown.text == verb.text));
        Some(verb)
    }

    /// The table of sales, for a verb such as "bought" where no table is called so.
    pub(super) fn sales_of_verb(&self, atom: &Atom) -> Option<Mention> {
        if !matches!(atom.stem.as_str(), "buy" | "purchas" | "sell") {
            return None;
        }
        match measures::sales(self.schema).as_slice() {
            [only] => {
                Some(Mention { text: atom.text.clone(), tables: vec![(*only, OTHER_WORD)], ..Mention::default() })
            }
            _ => None,
        }
    }

    /// "the oldest singer", "the cheapest product".
    pub(super) fn adjective(&mut self, desc: bool, words: &[String]) -> bool {
        if self.sorted_first(desc, Some(words)) {
            return true;
        }
        let ahead = self.next_solid(1);
        let number = self.atom(ahead).and_then(|atom| atom.number).filter(|_| self.mention_at(ahead).is_none());
        let mut place = if number.is_some() { self.next_solid(ahead + 1) } else { ahead };
        // "the three cheapest products".
        let number = number.or_else(|| self.pending_limit.take().map(f64::from));
        // "the cheapest double room".
        let is_value = |mention: &&Mention| mention.name_fit() == 0.0 && !mention.values.is_empty();
        let follows = self.mention_at(place + 1).is_some_and(|next| next.table_fit() > 0.5);
        let value = self.mention_at(place).filter(is_value).filter(|_| follows).cloned();
        let value = value.map(|value| What::Value(None, value)).or_else(|| self.describes(place));
        if value.is_some() && !self.frame.is_superlative {
            place += 1;
        }
        let mention = self.mention_at(place).cloned();
        // "first name" is a name of the schema; "the first 3 students" and "the youngest student" are superlatives.
        let is_order = matches!(self.atom(0).map(|atom| atom.low.as_str()), Some("first" | "last"));
        match mention {
            Some(mention) if mention.table_fit() > 0.0 => {
                if self.frame.is_superlative {
                    return false;
                }
                // "newest customers" does not say how many.
                if number.is_none() && self.is_plural(place) {
                    self.remark(format!("how many {}", mention.text));
                }
                self.at += place + 1;
                if self.is_head && self.frame.items.is_empty() {
                    self.show(Item::Entity(mention.clone()));
                }
                self.entity(mention);
                let head = self.is_head;
                if let Some(value) = value {
                    self.condition(value);
                }
                let done = self.rank(Key::By(words.to_vec()), desc, number);
                self.is_head = head;
                done
            }
            Some(mention) if mention.column_fit() > 0.0 && !is_order => {
                // "the latest order date", "most recent transcript".
                let dated = mention
                    .columns
                    .iter()
                    .any(|(at, _)| self.schema.is_date(*at) || self.schema.is_year(*at) || self.schema.is_number(*at));
                if !dated {
                    return false;
                }
                self.at += place + 1;
                // The fastest time is the shortest.
                let is_time = |at: At| {
                    name_words(&self.schema.column(at).name)
                        .iter()
                        .any(|word| matches!(word.as_str(), "time" | "duration" | "lap"))
                };
                let is_fast =
                    words.iter().any(|word| word == "speed") && mention.columns.iter().any(|(at, _)| is_time(*at));
                let desc = desc ^ is_fast;
                if self.is_head && self.frame.items.is_empty() {
                    self.show(Item::Aggregate(if desc { Function::Max } else { Function::Min }, mention));
                    return true;
                }
                self.rank(Key::Attribute(mention), desc, number)
            }
            // "Which singer is the oldest?"
            _ if !is_order
                && !self.frame.is_superlative
                && (!self.frame.items.is_empty() || !self.frame.entities.is_empty() || self.frame.is_who) =>
            {
                self.at += 1;
                self.rank(Key::By(words.to_vec()), desc, number)
            }
            _ => false,
        }
    }
}

/// True for words that are a stored value rather than a name of the schema.
fn is_value(mention: &Mention) -> bool {
    mention.name_fit() < 0.8 && !mention.values.is_empty()
}
