//! The parts that a name of the schema, or a stored value, can have in the frame.

use super::*;

/// What is known of the current name before its part in the frame is found.
pub(super) struct Named {
    pub(super) mention: Mention,
    /// True if the name fits a table better than a column, or at most 0.05 worse.
    pub(super) is_table: bool,
    /// True if a time or a comparison follows.
    pub(super) is_compared: bool,
}

impl Reader<'_> {
    /// Finds the part of a name. The parts are tried in order, and the first that fits is taken.
    pub(super) fn named(&mut self, mut mention: Mention) {
        if self.repeats(&mention) {
            self.at += 1;
            return;
        }
        if self.asks_for_event() {
            self.at += 1;
            return self.doubt(mention.text);
        }
        if self.is_day_of(&mention) {
            self.at += 1;
            return;
        }
        self.keep_owned(&mut mention);
        // "Households with pets", where households have a `has_pets`, and `Pets` is a stored value of products.
        let flag = mention.best_column().map(|(at, _)| at).filter(|_| self.is_flag(&mention));
        let of_entity =
            |t: usize| self.frame.entities.iter().any(|known| known.best_table().is_some_and(|(of, _)| of == t));
        if flag.is_some_and(|flag| of_entity(flag.0) && mention.values.iter().all(|(at, _)| at.0 != flag.0)) {
            mention.values.clear();
        }
        if self.is_value(&mention) {
            // "staff without a manager": "manager" may name a table or be a value.
            if self.is_negated && (mention.tables.iter().any(|(_, fit)| *fit >= 0.75) || self.lacks_value()) {
                self.remark(format!("\"{}\" may be a stored value or a row of a table", mention.text));
            }
            return self.valued(mention);
        }
        if self.is_no_name(&mention) {
            self.at += 1;
            return self.doubt(mention.text);
        }
        let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit() - 0.05;
        // "Problems reported by the staff named Ann": the role also says which key is meant.
        if is_table && mention.text.contains(' ') && mention.table_fit() <= ROLE {
            self.words.push(mention.text.to_lowercase());
        }
        let is_compared = self.is_compared(1, &mention);
        let named = Named { mention, is_table, is_compared };
        let parts: [fn(&mut Self, &Named) -> bool; 15] = [
            Self::reads_infinitive,
            Self::reads_flag,
            Self::reads_column_of_value,
            Self::reads_kind_of_value,
            Self::reads_name_of_entity,
            Self::reads_key,
            Self::reads_known,
            Self::reads_participle,
            Self::reads_predicate,
            Self::reads_link,
            Self::reads_having,
            Self::reads_measure_of_count,
            Self::reads_verb_of_column,
            Self::reads_shown,
            Self::reads_table,
        ];
        if !parts.iter().any(|part| part(self, &named)) {
            self.column_outside_head(named.mention);
        }
    }

    pub(super) fn stem_here(&self) -> String {
        self.atom(0).map(|atom| atom.stem.clone()).unwrap_or_default()
    }

    /// True if the frame has the name already: "... and the number of companies in that industry", "... and when was it
    /// opened?"
    fn repeats(&self, mention: &Mention) -> bool {
        let is_same =
            |item: &Item| matches!(item, Item::Attribute(shown) | Item::Entity(shown) if shown.shares_with(mention));
        let is_group = self.frame.groups.iter().any(|group| group.shares_with(mention));
        let follows_that = self.before(1).is_some_and(|atom| matches!(atom.low.as_str(), "that" | "this" | "each"));
        let counts = self.frame.items.iter().any(|item| matches!(item, Item::Count(..)));
        // "The city and the number of customers, for cities with more than 10 customers", where the city is a column.
        let follows_for = self.before(1).is_some_and(|atom| atom.low == "for") && self.has(1, &Cue::Have);
        let is_column = mention.table_fit() < mention.column_fit();
        if (follows_that || follows_for && is_column) && counts && (is_group || self.frame.items.iter().any(is_same)) {
            return true;
        }
        // "How many accounts does each customer have? List the number and the id."
        if counts && self.follows_sentence() && mention.text.eq_ignore_ascii_case("number") {
            return true;
        }
        let best = mention.best_column().map(|(at, _)| at);
        let is_asked = |item: &Item| match item {
            Item::Attribute(shown) => shown.text == "when" && shown.columns.iter().any(|(at, _)| Some(*at) == best),
            _ => false,
        };
        // "When was the order placed? Give me the date."
        let is_date = |item: &Item| matches!(item, Item::Attribute(shown) if self.is_timely(shown));
        let is_day = matches!(mention.text.to_lowercase().as_str(), "date" | "day" | "time");
        mention.ends_with_ed() && self.frame.items.iter().any(is_asked)
            || is_day && self.frame.asks_when && self.frame.items.iter().any(is_date)
    }

    /// "When did Ann sign her contract" asks for no contract.
    fn asks_for_event(&self) -> bool {
        let is_shown_date = matches!(self.frame.items.last(), Some(Item::Attribute(shown)) if self.is_timely(shown));
        self.frame.asks_when && is_shown_date && self.follows_their(0)
    }

    /// The name after "of", as in "date of death".
    fn owner(&self) -> Option<&Mention> {
        self.has(1, &Cue::Of).then(|| self.mention_at(self.next_solid(1))).flatten()
    }

    /// True for the "date" of "date of death" if "death" names a date column.
    fn is_day_of(&self, mention: &Mention) -> bool {
        let is_day = matches!(mention.text.to_lowercase().as_str(), "date" | "day" | "time");
        self.owner().is_some_and(|owner| {
            let is_date = owner.best_column().is_some_and(|(at, _)| self.schema.is_date(at));
            is_day && owner.table_fit() < 0.8 && is_date
        })
    }

    /// The tables after "of" at the end of a list of columns, as in "id and status of orders", each with its fit.
    fn owners_of_list(&self) -> Vec<(usize, f32)> {
        let columns_of = |atom: &Atom| {
            let mention = atom.mention.as_ref().filter(|mention| mention.values.is_empty())?;
            mention.best_column().filter(|(_, fit)| *fit > mention.table_fit())
        };
        let is_joint =
            |atom: &Atom| atom.text == "," || atom.cues.iter().any(|cue| matches!(cue, Cue::And | Cue::Skip));
        let (mut ahead, mut follows_joint) = (1, false);
        while let Some(atom) = self.atom(ahead) {
            match columns_of(atom) {
                // One name: "status of orders".
                Some((at, fit)) if follows_joint && atom.low.contains(" of ") => return vec![(at.0, fit)],
                Some(_) if follows_joint => follows_joint = false,
                None if is_joint(atom) => follows_joint = true,
                _ => break,
            }
            ahead += 1;
        }
        let owner = self.has(ahead, &Cue::Of).then(|| self.mention_at(self.next_solid(ahead))).flatten();
        owner.map(|owner| owner.tables.clone()).unwrap_or_default()
    }

    /// Keeps the columns of the owner: of depots in "the name of their depot", of orders in "the dates of orders".
    fn keep_owned(&self, mention: &mut Mention) {
        // "The id of the patient who stayed in room 111" is no id of the stay.
        if matches!(mention.text.to_lowercase().as_str(), "id" | "ids")
            && let Some((t, _)) = self.owner().and_then(Mention::best_table).filter(|(_, fit)| *fit > 0.8)
            && let Some((key, _)) = self.schema.columns(t).find(|(at, _)| self.schema.is_only_key(*at))
        {
            mention.columns = vec![(key, WHOLE)];
            mention.tables.clear();
            return;
        }
        let owners = self.owners_of_list();
        let Some((t, best)) = owners.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1)) else { return };
        let least = OTHER_WORD.max(best - 0.05);
        let is_of = |at: At| owners.iter().any(|(t, fit)| *fit >= least && *t == at.0);
        if mention.table_fit() == 0.0 && mention.columns.iter().any(|(at, fit)| *fit > 0.8 && is_of(*at)) {
            mention.columns.retain(|(at, _)| is_of(*at));
            return;
        }
        if best > 0.8 && matches!(mention.text.to_lowercase().as_str(), "date" | "dates") {
            let dates: Vec<(At, f32)> =
                self.schema.columns(t).filter(|(at, _)| self.schema.is_date(*at)).map(|(at, _)| (at, WHOLE)).collect();
            if !dates.is_empty() {
                mention.columns = dates;
            }
        }
    }

    /// True if the words mean a stored value here, or are quoted and match no name of the schema.
    fn is_value(&self, mention: &Mention) -> bool {
        let is_name = mention.name_fit() > 0.0;
        // "orders shipped yesterday", where `shipped` is a status too: the date column is meant, if its table has
        // several date columns.
        let has_others = |t: usize| self.schema.columns(t).filter(|(at, _)| self.schema.is_date(*at)).count() > 1;
        let is_dated =
            mention.columns.iter().any(|(at, fit)| *fit > 0.8 && self.schema.is_date(*at) && has_others(at.0));
        let is_date = is_dated
            && !mention.looks_like_value
            && (self.is_compared(1, mention) || self.is_negated && self.is_participle(mention));
        let is_date = is_date || self.is_own_date(mention);
        let is_stored = !mention.values.is_empty()
            && !is_date
            && (mention.looks_like_value
                || !is_name
                || mention.name_fit() < 0.9
                || self.expects_value()
                || self.is_value_here(mention));
        is_stored || mention.looks_like_value && !is_name
    }

    /// True for words that match no name and no stored value. A capitalised "United States" that no column contains is
    /// not another word for a table of countries.
    fn is_no_name(&self, mention: &Mention) -> bool {
        let is_capital = |at: Option<usize>| {
            let atom = at.filter(|at| *at > 0).and_then(|at| self.atoms.get(at));
            let is_text = |atom: &Atom| atom.mention.as_ref().is_some_and(|mention| mention.name_fit() == 0.0);
            atom.is_some_and(|atom| atom.text.chars().next().is_some_and(char::is_uppercase) && !is_text(atom))
        };
        let is_in_name = is_capital(self.at.checked_sub(1)) || is_capital(Some(self.at + 1));
        let limit = if is_in_name { 0.85 } else { OTHER_WORD };
        mention.name_fit() == 0.0 || mention.looks_like_value && mention.values.is_empty() && mention.name_fit() < limit
    }

    /// "the first student to register".
    fn reads_infinitive(&mut self, named: &Named) -> bool {
        if !(self.before(1).is_some_and(|atom| atom.low == "to") && named.mention.name_fit() < 0.85) {
            return false;
        }
        self.frame.verbs.push(self.stem_here());
        self.at += 1;
        true
    }

    /// A Boolean column: "active members".
    fn reads_flag(&mut self, named: &Named) -> bool {
        if !self.is_flag(&named.mention) {
            return false;
        }
        self.at += 1;
        let is_head = self.is_head;
        self.condition(What::Flag(named.mention.clone()));
        self.is_head = is_head;
        true
    }

    /// "directed by Ben Jones", "the series Sky Radio": the column of the value that follows. A column that is compared
    /// ends the list of what is shown.
    fn reads_column_of_value(&mut self, named: &Named) -> bool {
        let has_items = !self.frame.items.is_empty();
        let mention = &named.mention;
        if self.is_value_of(self.next_solid(1), mention) && mention.column_fit() > 0.5 && (has_items || named.is_table)
        {
            self.at += 1;
            self.named_column = Some(mention.clone());
            return true;
        }
        if self.is_head && named.is_compared && has_items && !named.is_table {
            self.is_head = false;
        }
        false
    }

    /// "the English language": the column of the value before.
    fn reads_kind_of_value(&mut self, named: &Named) -> bool {
        let is_of_value = |condition: &Condition| match &condition.what {
            What::Value(_, value) => {
                value.values.iter().any(|(at, _)| named.mention.columns.iter().any(|(of, fit)| of == at && *fit > 0.8))
            }
            _ => false,
        };
        let follows_value = self.mention_before().is_some_and(|before| !before.values.is_empty());
        let is_kind = !named.is_table && follows_value && self.frame.conditions.last().is_some_and(is_of_value);
        self.at += usize::from(is_kind);
        is_kind
    }

    /// "names of guests", where guests have a first and a last name.
    fn reads_name_of_entity(&mut self, named: &Named) -> bool {
        let is_name = self.is_head && self.is_name_of_entity(&named.mention);
        self.at += usize::from(is_name);
        is_name
    }

    /// "problems reported by Ann", where a key of problems is `reported_by_staff_id`.
    fn reads_key(&mut self, named: &Named) -> bool {
        let low = named.mention.text.to_lowercase();
        let is_verb =
            low.split_once(' ').is_some_and(|(verb, rest)| verb.ends_with("ed") && matches!(rest, "by" | "to"));
        let is_key = named.mention.best_column().is_some_and(|(at, _)| self.schema.is_foreign(at));
        if !is_verb || !is_key || named.is_table {
            return false;
        }
        self.frame.verbs.push(self.stem_here());
        self.words.push(low);
        self.at += 1;
        true
    }

    /// True while nothing but one table is shown.
    fn shows_entity_only(&self) -> bool {
        self.is_head && matches!(self.frame.items.as_slice(), [Item::Entity(_)])
    }

    /// "Which products are discontinued" asks for products. The column after "are" becomes a doubt.
    fn reads_predicate(&mut self, named: &Named) -> bool {
        let follows_be = self
            .before(1)
            .is_some_and(|atom| atom.cues.contains(&Cue::Be) || matches!(atom.low.as_str(), "was" | "were" | "been"));
        if !self.shows_entity_only() || named.is_table || named.is_compared || !follows_be {
            return false;
        }
        self.at += 1;
        self.doubt(named.mention.text.clone());
        true
    }

    /// A linking verb after a table, such as "attend". It says only that two things belong together.
    fn reads_link(&mut self, named: &Named) -> bool {
        let stem = self.stem_here();
        let follows_table = self.mention_before().is_some_and(|before| before.table_fit() > 0.8);
        let ends = self.atom(1).is_none_or(|next| next.is_stop);
        // "chips that are not used by any phone", where a column is called `used_kb`.
        let is_passive = self.has(1, &Cue::By_)
            && self.before(1).is_some_and(|atom| {
                atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not))
                    || matches!(atom.low.as_str(), "was" | "were")
            });
        let most = if is_passive { 0.9 } else { 0.7 };
        let is_link = cues::is_link(&stem) && named.mention.column_fit() < most;
        // "For whom does Ann play?", "Which city does Ann live in?"
        let follows_value = self.mention_before().is_some_and(|before| !before.values.is_empty())
            && self.before(2).is_some_and(|atom| matches!(atom.low.as_str(), "do" | "does" | "did"));
        let is_verb = follows_table && (self.shows_entity_only() || ends) || is_passive || follows_value;
        // "Trails rated hard", where `marked` is another column.
        let mention = &named.mention;
        let says_value = mention.ends_with_ed()
            && (0.0..=OTHER_WORD).contains(&mention.column_fit())
            && !named.is_table
            && self.mention_at(1).is_some_and(|next| !next.values.is_empty() && next.name_fit() < 0.8)
            && !self.is_value_of(1, mention);
        if !says_value && (!is_verb || !is_link) {
            return false;
        }
        self.at += 1;
        self.frame.verbs.push(stem);
        true
    }

    /// "patients with no email", "who have an email".
    fn reads_having(&mut self, named: &Named) -> bool {
        let article = usize::from(self.before(1).is_some_and(|atom| matches!(atom.low.as_str(), "a" | "an" | "any")));
        let has = self.before(1 + article).is_some_and(|atom| {
            atom.cues.contains(&Cue::Have) || atom.low.split(' ').any(|word| matches!(word, "no" | "without"))
        });
        let best = named.mention.best_column();
        let may_miss = best.is_some_and(|(at, fit)| fit > 0.8 && self.schema.column(at).nullable);
        let is_bound = named.is_compared || self.atom(1).is_some_and(|next| next.number.is_some());
        if !may_miss || !has || is_bound || named.is_table || self.frame.entities.is_empty() {
            return false;
        }
        self.at += 1;
        self.condition(What::Known(named.mention.clone()));
        true
    }

    /// "How many books are on loan" shows only the count. A column after the count becomes a doubt.
    fn reads_measure_of_count(&mut self, named: &Named) -> bool {
        let before = self.atoms.get(..self.at).unwrap_or_default().iter().rev();
        let mut before = before.take_while(|atom| !atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))));
        let is_counted = matches!(self.frame.items.last(), Some(Item::Count(..))) && !before.any(|atom| atom.is_stop);
        if !is_counted || named.is_table {
            return false;
        }
        // "How many rooms are on floor 2".
        if self.atom(1).is_some_and(|atom| atom.number.is_some()) {
            self.is_head = false;
        }
        if !self.is_head || self.follows_and_before(0) || self.follows_their(0) {
            return false;
        }
        self.at += 1;
        self.doubt(named.mention.text.clone());
        true
    }

    /// "Students living in each city", where `city` is a column of students, and `lives_in` is a table of dorms.
    fn reads_verb_of_column(&mut self, named: &Named) -> bool {
        let after = (1..).find(|ahead| !self.has(*ahead, &Cue::Per) && !self.has(*ahead, &Cue::Skip)).unwrap_or(1);
        let first = self.frame.entities.first().and_then(Mention::best_table);
        let is_about_column = self.mention_at(after).is_some_and(|next| {
            let best = next.best_column().filter(|(_, fit)| *fit > next.table_fit());
            next.values.is_empty() && best.zip(first).is_some_and(|((at, _), (t, _))| at.0 == t)
        });
        if !named.is_table || !cues::is_link(&self.stem_here()) || !is_about_column || self.is_negated {
            return false;
        }
        self.frame.verbs.push(self.stem_here());
        self.at += 1;
        true
    }

    /// "names of singers", "singers' names": a name is shown while `is_head` is true.
    fn reads_shown(&mut self, named: &Named) -> bool {
        if !self.is_head || self.is_negated {
            return false;
        }
        let mention = named.mention.clone();
        if self.is_alternative && !self.frame.items.is_empty() {
            self.remark(format!("\"or {}\"", mention.text));
        }
        // "titles and the studio names": the names of studios.
        let owned = self.attribute_at(0).filter(|(attribute, length)| {
            let best = attribute.best_column();
            let is_flag = best.is_some_and(|(at, _)| self.schema.answers(at).is_some());
            named.is_table
                && *length > 1
                && !is_flag
                && !attribute.ends_with_ed()
                && !self.is_compared(*length, attribute)
        });
        if let Some((attribute, length)) = owned {
            self.at += length;
            self.take_back_entity();
            self.entity(mention);
            self.show(Item::Attribute(attribute));
            return true;
        }
        // "Which county do the delegates belong to": delegates are not shown.
        let is_subject = (1..=2).find_map(|back| self.before(back).filter(|atom| !atom.low.eq("the")));
        let is_subject = is_subject.is_some_and(|atom| matches!(atom.low.as_str(), "do" | "does" | "did"));
        if is_subject && !named.is_table && !self.frame.items.is_empty() {
            self.at += 1;
            return true;
        }
        self.at += 1;
        // "Departments with the manager's first name", where `manager_id` is a key: whose name is shown.
        let is_owner = self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "'s" | "'"));
        if let Some((at, _)) = mention.best_column().filter(|_| !named.is_table && is_owner && self.belongs_to_next()) {
            let words = name_words(&self.schema.column(at).name);
            let is_id = words.len() > 1 && words.last().is_some_and(|word| word == "id");
            if self.schema.is_foreign(at) {
                self.words.push(mention.text.to_lowercase());
                return true;
            } else if is_id {
                self.doubt(mention.text);
                return true;
            }
        }
        if !named.is_table {
            // "Which country and state", where "state" only resembles the column `country`.
            let before = self.before(3).and_then(|atom| atom.mention.as_ref()).and_then(Mention::best_column);
            let is_same = self.has_before(2, &Cue::And)
                && before.zip(mention.best_column()).is_some_and(|((one, _), (other, _))| one == other);
            if is_same && mention.column_fit() < 0.9 {
                self.doubt(mention.text.clone());
            }
            // "What kind of work", where only `years_working` has such a word.
            if mention.column_fit() < OTHER_WORD && self.before(2).is_some_and(Atom::is_kind) {
                self.doubt(format!("kind of {}", mention.text));
            }
            // "The color code and description", where there is a `color_description` too.
            let shared = match self.frame.items.last() {
                Some(Item::Attribute(shown))
                    if self.has_before(2, &Cue::And) && !mention.text.to_lowercase().starts_with("id") =>
                {
                    let first = shown.text.split_once(' ').map(|(first, _)| first.to_lowercase());
                    first.map(|first| vec![first, mention.text.to_lowercase()])
                }
                _ => None,
            };
            let mut all = (0..self.schema.tables().len()).flat_map(|t| self.schema.columns(t));
            if shared.is_some_and(|words| {
                all.any(|(at, column)| {
                    name_words(&column.name) == words
                        && !mention.columns.iter().any(|(of, fit)| *of == at && *fit >= WHOLE)
                })
            }) {
                self.remark(format!("\"{}\" of what", mention.text));
            }
            self.take_back_entity();
            self.show(Item::Attribute(mention));
            return true;
        }
        if self.limits_groups() {
            self.entity(mention.clone());
            self.condition(What::Has(mention));
            self.is_head = true;
            return true;
        }
        let owned = self.belongs_to_next();
        if !owned && (self.frame.items.is_empty() || self.follows_and_before(1) || self.follows_question(1)) {
            self.show(Item::Entity(mention.clone()));
        }
        self.entity(mention.clone());
        self.reads_number_of_row(&mention);
        true
    }

    /// A table outside of the head. A table that is negated or not the first is a condition on the existence of its
    /// rows.
    fn reads_table(&mut self, named: &Named) -> bool {
        if !named.is_table {
            return false;
        }
        if named.mention.ends_with_ed() {
            self.frame.verbs.push(self.stem_here());
        }
        self.at += 1;
        // "Huts with their region" shows the region.
        let is_shown =
            self.follows_their(1) && self.before(3).is_some_and(|atom| atom.low == "with") && !self.is_negated;
        if is_shown && matches!(self.frame.items.as_slice(), [Item::Entity(_)]) {
            self.show(Item::Entity(named.mention.clone()));
            self.entity(named.mention.clone());
            return true;
        }
        let is_first = self.frame.entities.is_empty();
        self.entity(named.mention.clone());
        if self.reads_number_of_row(&named.mention) {
            return true;
        }
        if !is_first || self.is_negated {
            // "departing from the airport APG": "departing from" also says which key leads to the value.
            let words = self.words.clone();
            self.condition(What::Has(named.mention.clone()));
            self.words = words;
        }
        true
    }

    /// A column outside of the head begins a condition, or continues the list.
    fn column_outside_head(&mut self, mention: Mention) {
        // "the state whose name contains".
        let owner = self.before(2).and_then(|atom| atom.mention.clone());
        let owner =
            owner.filter(|owner| owner.table_fit() == 0.0 && owner.column_fit() > 0.8 && !owner.text.contains(' '));
        if let (Some(owner), true) = (owner, self.has_before(1, &Cue::That))
            && mention.text.eq_ignore_ascii_case("name")
        {
            self.at += 1;
            // "owners live in the state whose name": the state is not shown.
            if !self.frame.entities.is_empty() {
                self.frame.items.retain(|item| !matches!(item, Item::Attribute(shown) if *shown == owner));
            }
            self.named_column = Some(owner);
            return;
        }
        let begins = self.is_in_time(1, &mention) || self.atom(self.next_solid(1)).is_some_and(Atom::is_condition);
        self.at += 1;
        if begins {
            // "In state open but not closed", where `open` may be a date: the state has no value then.
            if let Some(lost) = self.named_column.replace(mention) {
                self.doubt(lost.text);
            }
            return;
        }
        let continues = self.follows_their(1) || self.follows_and_before(1);
        if !self.is_negated && (continues || self.frame.items.is_empty()) {
            self.show(Item::Attribute(mention));
            return;
        }
        // "Storms that affected most regions", where the regions of a storm are rows of `affected_region`.
        let stem = self.before(1).map(|atom| atom.stem.clone()).unwrap_or_default();
        if mention.ends_with_ed() && !self.is_negated && cues::senses(&mention.text).is_none() {
            return self.frame.loose.push((mention.text, stem));
        }
        self.doubt(mention.text);
    }
}

impl Atom {
    /// True for "kind of", "type of" and the like.
    pub(super) fn is_kind(&self) -> bool {
        matches!(self.low.as_str(), "kind" | "kinds" | "type of" | "kind of" | "sort of")
    }

    /// True if the atom can begin a comparison with a column: a number, a time, a value, or a word such as "over".
    fn is_condition(&self) -> bool {
        self.number.is_some()
            || self.window.is_some()
            || self.mention.as_ref().is_some_and(|mention| !mention.values.is_empty() || mention.looks_like_value)
            || self.cues.iter().any(|cue| {
                matches!(
                    cue,
                    Cue::Op(_)
                        | Cue::Between
                        | Cue::Not
                        | Cue::After
                        | Cue::Before
                        | Cue::Since
                        | Cue::Until
                        | Cue::Named
                )
            })
    }
}
