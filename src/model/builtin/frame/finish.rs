//! Completes the frame after the last word, and looks ahead in the current sentence.

use super::*;

impl Reader<'_> {
    /// Completes the frame: what is counted for each group, and what is shown.
    pub(super) fn finish(&mut self) {
        self.judge_objects();
        let is_grouped = !self.frame.groups.is_empty() || self.frame.bucket.is_some();
        // "Total amount per month", where `total_amount` is a column.
        if let ([Item::Attribute(shown)], true) = (self.frame.items.as_slice(), is_grouped)
            && shown.text.to_lowercase().starts_with("total ")
            && self.is_measure(shown)
        {
            self.frame.items = vec![Item::Aggregate(Function::Sum, shown.clone())];
        }
        // "What ranks do we have for faculty" asks for different ranks.
        let asks_kinds = self.atoms.first().is_some_and(|atom| matches!(atom.low.as_str(), "what" | "which"))
            && self.atoms.iter().any(|atom| matches!(atom.low.as_str(), "do we have" | "do you have" | "are there"));
        if let ([Item::Attribute(shown)], true) = (self.frame.items.as_slice(), asks_kinds)
            && !shown.columns.iter().any(|(at, _)| self.schema.is_key(*at))
        {
            self.frame.is_distinct = true;
        }
        // "What is each cinema called" lists the cinemas.
        let is_plain = |item: &Item| matches!(item, Item::Attribute(_) | Item::Entity(_));
        let is_table = |group: &Mention| group.table_fit() > 0.8 && group.table_fit() >= group.column_fit();
        if let ([group], None) = (self.frame.groups.as_slice(), self.frame.bucket)
            && is_table(group)
            && self.frame.order.is_empty()
            && self.frame.items.iter().all(is_plain)
            // "Orders per customer" counts orders.
            && !matches!(self.frame.items.as_slice(), [Item::Entity(entity)] if entity.best_table().map(|(t, _)| t) != group.best_table().map(|(t, _)| t))
            && (self.frame.asks_name || !self.frame.items.is_empty())
        {
            let group = group.clone();
            self.frame.groups.clear();
            if self.frame.asks_name {
                self.frame.items.insert(0, Item::Entity(group.clone()));
            }
            self.frame.entities.insert(0, group);
        }
        // "Bookings per status" and "parcels shipped per month" count them.
        if is_grouped && self.frame.order.is_empty() {
            match (self.frame.items.as_slice(), self.frame.entities.as_slice()) {
                ([Item::Entity(entity)], _) => self.frame.items = vec![Item::Count(entity.clone(), false)],
                ([], [entity]) => self.frame.items = vec![Item::Count(entity.clone(), false)],
                _ => {}
            }
        }
        // "The team with the most technicians", where machines have a team too.
        let counted = match (self.frame.order.as_slice(), self.frame.conditions.as_slice()) {
            ([(Key::Count(Some(counted)), _)], []) => counted.best_table(),
            ([], [Condition { what: What::Counted(counted, ..), .. }]) => counted.best_table(),
            _ => None,
        };
        if let ([Item::Attribute(shown)], true, Some((t, _))) =
            (self.frame.items.as_mut_slice(), self.frame.entities.is_empty(), counted)
            && shown.columns.iter().any(|(at, fit)| at.0 == t && *fit > 0.8)
            && !shown.columns.iter().any(|(at, _)| self.schema.is_key(*at))
        {
            shown.columns.retain(|(at, _)| at.0 == t);
        }
        // "The 5 parts with the highest total quantity: name and quantity" shows the total that orders the parts.
        if let Some((Key::Aggregate(function, ranked), _)) = self.frame.order.first() {
            for item in &mut self.frame.items {
                match item {
                    Item::Attribute(shown) if shown == ranked => *item = Item::Aggregate(*function, ranked.clone()),
                    _ => {}
                }
            }
        }
    }

    /// Doubts a verb whose object is not named, and a denial of what one row did.
    fn judge_objects(&mut self) {
        let low = |at: usize| self.atoms.get(at).map_or("", |atom| atom.low.as_str());
        let mut doubts = Vec::new();
        // "What proportion of artefacts was found here", where `found_on` is a column.
        let is_verb =
            |item: &&Item| matches!(item, Item::Attribute(shown) if shown.ends_with_ed() || shown.text == "found");
        if let Some(Item::Attribute(shown)) = self.frame.items.iter().find(is_verb).filter(|_| self.frame.is_share) {
            doubts.push(format!("the word \"{}\"", shown.text));
        }
        // "When did Ann get hurt?", where only an `injury` is found.
        let is_named_so = |at: At| {
            let words = name_words(&self.schema.column(at).name);
            words.iter().any(|word| matches!(word.as_str(), "date" | "time" | "year" | "day" | "month"))
        };
        let is_time =
            |shown: &Mention| self.is_timely(shown) || shown.best_column().is_some_and(|(at, _)| is_named_so(at));
        let is_timely = |item: &Item| !matches!(item, Item::Attribute(shown) if !is_time(shown));
        if self.frame.asks_when && !self.frame.items.is_empty() && !self.frame.items.iter().any(is_timely) {
            doubts.push("when".to_owned());
        }
        // "What do the enzymes produce?" "What did the repair cost?"
        if low(0) == "what" && matches!(low(1), "do" | "does" | "did") {
            let ends = |at: &usize| matches!(low(*at), "and" | "," | ";");
            let end = (2..self.atoms.len()).find(ends).unwrap_or(self.atoms.len());
            let last = self.atoms.get(end.saturating_sub(1));
            doubts.extend(
                last.filter(|atom| {
                    (cues::is_link(&atom.stem) || atom.cues.contains(&Cue::Revenue)) && atom.mention.is_none()
                })
                .map(|atom| format!("what \"{}\" is about", atom.low)),
            );
        }
        // "What does student 1020 study?"
        let is_row = |item: &Item| matches!(item, Item::Entity(_));
        if low(0) == "what" && matches!(low(1), "do" | "does" | "did") && self.frame.items.iter().all(is_row) {
            doubts.push("what of the row".to_owned());
        }
        // "What costs more than 200?" asks for things.
        let is_shown =
            |mention: &Mention| matches!(self.frame.items.as_slice(), [Item::Attribute(shown)] if shown == mention);
        let is_compared = |atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Op(_) | Cue::Between));
        let is_verb = self.atoms.get(1).and_then(|atom| atom.mention.as_ref()).is_some_and(is_shown)
            && self.atoms.get(2).is_some_and(is_compared);
        if low(0) == "what" && is_verb && self.frame.entities.is_empty() {
            doubts.push(format!("what \"{}\"", low(1)));
        }
        // "Who won?"
        let says_nothing =
            self.frame.items.is_empty() && self.frame.entities.is_empty() && self.frame.conditions.is_empty();
        if self.frame.is_who && says_nothing && self.frame.order.is_empty() && !self.frame.verbs.is_empty() {
            doubts.push("who".to_owned());
        }
        // "Which films did Ann not review?": others may have reviewed them, or nobody.
        for pair in self.atoms.windows(2) {
            let [one, next] = pair else { continue };
            let is_value = one.mention.as_ref().is_some_and(|mention| !mention.values.is_empty());
            if is_value && matches!(next.low.as_str(), "not" | "never") {
                doubts.push(format!("what \"{}\" denies", next.low));
            }
        }
        // "The characters of Hamlet", where Hamlet is a character and a play.
        for three in self.atoms.windows(3) {
            let [owner, of, value] = three else { continue };
            let owner = owner.mention.as_ref().and_then(Mention::best_table).map(|(t, _)| t);
            let is_name = |(at, _): &&(At, String)| self.schema.display(at.0) == [*at];
            let named: Vec<usize> =
                value.mention.iter().flat_map(|mention| &mention.values).filter(is_name).map(|(at, _)| at.0).collect();
            let is_of = of.cues.iter().any(|cue| matches!(cue, Cue::Of | Cue::In));
            if is_of && owner.is_some_and(|t| named.contains(&t) && named.iter().any(|of| *of != t)) {
                doubts.push(format!("which \"{}\"", value.text));
            }
        }
        self.frame.asks_home = self.atoms.iter().any(|atom| atom.low.contains("live") || atom.low.contains("resid"));
        self.frame.doubts.extend(doubts);
        self.judge_restrictions();
    }

    /// Doubts words that leave rows out, and for which the statement has no part: "have only had small orders", "a rocket
    /// of their own operator", "cost more than 100 in total".
    fn judge_restrictions(&mut self) {
        let low = |at: usize| self.atoms.get(at).map_or("", |atom| atom.low.as_str());
        let mut words = Vec::new();
        for (at, atom) in self.atoms.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| self.atoms.get(before));
            let follows = |is: &dyn Fn(&Cue) -> bool| before.is_some_and(|before| before.cues.iter().any(is));
            let next_is_number = self.atoms.get(at + 1).is_some_and(|next| next.number.is_some());
            let is_said = match atom.low.as_str() {
                "only" if next_is_number => false,
                "only" => {
                    follows(&|cue| matches!(cue, Cue::Have | Cue::Be | Cue::That))
                        || matches!(low(at + 1), "have" | "has" | "had")
                }
                "own" => follows(&|cue| matches!(cue, Cue::Their)),
                "in total" => before.is_some_and(|before| before.number.is_some() && before.window.is_none()),
                _ => false,
            };
            if is_said {
                words.push(atom.text.clone());
            }
        }
        for word in words {
            self.doubt(word);
        }
    }

    /// "distance in km", "over 800 km": the number of atoms up to the end of a unit that the column's name has too.
    pub(super) fn unit_here(&self) -> Option<usize> {
        let follows_number = self.before(1).is_some_and(|atom| atom.number.is_some());
        let (column, ahead) = match self.frame.conditions.last().map(|condition| &condition.what) {
            Some(What::Compare(column, ..) | What::Between(column, ..)) if follows_number => (column, 0),
            _ if self.has(0, &Cue::In) => (self.before(1)?.mention.as_ref()?, 1),
            _ => return None,
        };
        let atom = self.atom(ahead)?;
        let known = measure_unit(&atom.low);
        let unit = name_words(&atom.low);
        let (at, _) = column.best_column()?;
        let words = name_words(&self.schema.column(at).name);
        let is_unit = |word: &String| {
            known.is_some() && known == measure_unit(word)
                || unit == [word.clone()]
                || unit.iter().map(|unit| singulars(unit)).eq([singulars(word)])
        };
        let is_other = self.before(1).is_some_and(|atom| !unit.contains(&atom.low));
        (words.len() > 1 && is_other && words.iter().any(is_unit)).then_some(ahead + 1)
    }

    /// True if a verb in its plain form is the noun of a name or of a question: "the play Hamlet", "which play".
    pub(super) fn is_thing(&self, atom: &Atom) -> bool {
        let Some(before) = self.before(2) else { return false };
        let has_name = self.atom(0).is_some_and(|next| next.text.starts_with(char::is_uppercase));
        let asks = matches!(before.low.as_str(), "which" | "what") && self.before(3).is_none();
        atom.low == atom.stem && (asks || before.low == "the" && has_name)
    }

    /// True if a number of rows and something else are shown.
    pub(super) fn has_counts_of_shown(&self) -> bool {
        let counts = self.frame.items.iter().filter(|item| matches!(item, Item::Count(..))).count();
        counts > 0 && counts < self.frame.items.len()
    }

    /// True after "is" at the start of a question or before "it": "Is the city a town?" "Are there ..." asks for rows.
    pub(super) fn asks_yes_or_no(&self) -> bool {
        let begins = self.at == 1 && self.atom(0).is_some_and(|atom| atom.low != "there");
        begins || self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "it" | "they"))
    }

    /// True if the rest of the sentence only names what is to be shown: "Name and number of artworks."
    pub(super) fn lists_columns(&self) -> bool {
        let rest = self.atoms.get(self.at..).unwrap_or_default();
        let rest = rest.iter().take_while(|atom| !atom.is_stop || atom.text == ",");
        let mut names = 0;
        for atom in rest {
            let is_name =
                atom.mention.as_ref().is_some_and(|mention| mention.values.is_empty() && !mention.looks_like_value);
            let is_soft = atom.cues.iter().any(|cue| {
                matches!(cue, Cue::Skip | Cue::Their | Cue::And | Cue::Of | Cue::Count(_) | Cue::Distinct | Cue::Open)
            });
            if !is_name && !is_soft && atom.text != "," || atom.number.is_some() || atom.window.is_some() {
                return false;
            }
            names += usize::from(is_name);
        }
        names > 0
    }
}
