//! Phrases that say what is shown, counted, sorted and grouped.

use super::*;

impl Reader<'_> {
    /// "How many singers", "number of different countries".
    pub(super) fn count(&mut self, distinct: bool) -> bool {
        // "The staff number of the museum": "number" belongs to the name before it.
        let shown = match self.frame.items.last() {
            Some(Item::Attribute(shown) | Item::Aggregate(_, shown)) => Some(shown),
            _ => None,
        };
        let follows_name = shown.is_some() && self.before(1).and_then(|atom| atom.mention.as_ref()) == shown;
        if self.is_head && follows_name && self.atom(0).is_some_and(|atom| atom.low.starts_with("number")) {
            self.at += 1;
            return true;
        }
        // "The numbers of all apartments", where `apt_number` is a column.
        if self.atom(0).is_some_and(|atom| atom.low.ends_with("numbers of")) {
            let counted = self.mention_at(self.next_solid(1)).and_then(Mention::best_table);
            let is_number = |word: &String| matches!(word.as_str(), "number" | "num" | "no" | "nr");
            let is_named = |t: usize| {
                self.schema.columns(t).any(|(at, column)| {
                    name_words(&column.name).last().is_some_and(is_number)
                        || self.schema.is_only_key(at) && is_joined_key(&["number"], &column.name)
                })
            };
            if counted.is_some_and(|(t, _)| is_named(t)) {
                self.remark("whether to count or to show the numbers".to_owned());
            }
        }
        let skipped = (1..).take_while(|ahead| self.has(*ahead, &Cue::Distinct)).count();
        let ahead = self.next_solid(1);
        let distinct = distinct || skipped > 0 || (1..ahead).any(|ahead| self.has(ahead, &Cue::Distinct));
        // "How many kinds of cities": cities of one kind count once.
        if (1..ahead).any(|ahead| self.atom(ahead).is_some_and(Atom::is_kind)) {
            self.remark("how many kinds".to_owned());
        }
        // "How many grumpy customers": the unknown word is noted as loose, and the customers are counted.
        let unknown = self.atom(ahead).filter(|atom| atom.cues.is_empty() && atom.mention.is_none() && !atom.is_stop);
        let unknown = unknown
            .filter(|atom| atom.number.is_none() && atom.window.is_none())
            .map(|atom| (atom.text.clone(), atom.stem.clone()));
        let ahead = match unknown {
            Some(unknown) if self.mention_at(ahead + 1).is_some_and(|mention| mention.table_fit() > 0.0) => {
                self.frame.loose.push(unknown);
                ahead + 1
            }
            _ => ahead,
        };
        if let Some(people) = self.people(ahead) {
            self.at = people.1;
            self.show(Item::Count(people.0.clone(), distinct));
            self.entity(people.0);
            return true;
        }
        // "How many people work for Education", where no table of people is meant for sure.
        let says_people = |atom: &Atom| matches!(atom.low.as_str(), "people" | "persons");
        if (1..=ahead).any(|ahead| self.atom(ahead).is_some_and(says_people))
            && self.mention_at(ahead).is_some_and(|mention| mention.name_fit() == 0.0)
        {
            self.remark("how many people".to_owned());
        }
        let Some(mention) = self.mention_at(ahead).cloned() else {
            // "... and the count": of what was counted before, or of what the superlative counts.
            if let Some((Key::Count(Some(counted)), _)) = self.frame.order.first().cloned() {
                self.show(Item::Count(counted, false));
            } else if !self.frame.items.iter().any(|item| matches!(item, Item::Count(..))) {
                return false;
            }
            self.at += 1;
            return true;
        };
        if self.counts_described(ahead, distinct) {
            return true;
        }
        // "How many French singers": the value comes first.
        let next = self.mention_at(ahead + 1);
        // "How many active members".
        let best = mention.best_column().map(|(at, _)| at);
        let is_value = next.is_some_and(|next| self.is_value_of_table(&mention, next));
        if mention.table_fit() < mention.column_fit()
            && !is_value
            && best.is_some_and(|at| self.schema.answers(at).is_some())
            && let Some(table) = next.filter(|next| next.table_fit() > 0.0).cloned()
        {
            self.at += ahead + 2;
            self.show(Item::Count(table.clone(), distinct));
            self.entity(table);
            self.condition(What::Flag(mention));
            return true;
        }
        if is_value || mention.table_fit() == 0.0 && mention.column_fit() == 0.0 {
            if next.is_some_and(|next| next.table_fit() > 0.0) {
                let table = next.cloned().unwrap_or_default();
                self.at += ahead + 2;
                self.show(Item::Count(table.clone(), distinct));
                self.condition(What::Value(None, mention));
                self.entity(table);
                return true;
            }
            return false;
        }
        // "car models": the last noun is counted.
        if let Some(next) = self
            .mention_at(ahead + 1)
            .filter(|next| next.table_fit() > 0.0 && mention.table_fit() > 0.0 && !next.ends_with_ed())
            .filter(|_| !self.is_verb_phrase(ahead + 1))
            .cloned()
        {
            self.at += ahead + 2;
            self.show(Item::Count(next.clone(), distinct));
            self.entity(next);
            return true;
        }
        let is_table = mention.table_fit() >= mention.column_fit() - 0.05 && mention.table_fit() > 0.0;
        self.at += ahead + 1;
        // A superlative such as "the most number of flights" was read before. Here the count is shown.
        self.show(Item::Count(mention.clone(), distinct));
        if is_table {
            self.entity(mention);
        }
        true
    }

    /// True for a verb phrase such as "live in". A table may have the same name.
    fn is_verb_phrase(&self, ahead: usize) -> bool {
        self.atom(ahead).is_some_and(|atom| atom.low.contains(' ') && cues::is_link(&atom.stem))
    }

    /// "... and where are they", "... and when did they start": shows the only column of places or dates of the first
    /// table. If there are several or none, the word becomes a doubt.
    pub(super) fn show_time_or_place(&mut self, atom: &Atom) {
        let is_place = |at: At| {
            let words = name_words(&self.schema.column(at).name);
            let is_one = |word: &String| {
                matches!(
                    word.as_str(),
                    "location" | "place" | "city" | "country" | "address" | "venue" | "town" | "region"
                )
            };
            !self.schema.is_key(at) && !self.schema.is_number(at) && words.last().is_some_and(is_one)
        };
        let is_fit = |at: At| match atom.low.as_str() {
            "where" => is_place(at),
            "when" => self.schema.is_date(at) || self.schema.is_year(at),
            _ => false,
        };
        let first = self.frame.entities.first().and_then(Mention::best_table);
        let all = first.into_iter().flat_map(|(t, _)| self.schema.columns(t));
        let fitting: Vec<At> = all.map(|(at, _)| at).filter(|at| is_fit(*at)).collect();
        let [only] = fitting.as_slice() else { return self.doubt(atom.text.clone()) };
        let columns = vec![(*only, WHOLE)];
        self.show(Item::Attribute(Mention { text: atom.text.clone(), columns, ..Mention::default() }));
    }

    /// "How many people get the newsletter": the only table of people, and the position after "people".
    /// `None` if a column named `population` may hold the number.
    fn people(&self, ahead: usize) -> Option<(Mention, usize)> {
        let is_said =
            |ahead: usize| self.atom(ahead).is_some_and(|atom| matches!(atom.low.as_str(), "people" | "persons"));
        let is_grammar = |ahead: usize| self.atom(ahead).is_some_and(|atom| !atom.cues.is_empty());
        let at = (1..=ahead).find(|ahead| is_said(*ahead) || !is_grammar(*ahead)).filter(|ahead| is_said(*ahead))?;
        let follows = self.mention_at(at + 1).is_some_and(|next| {
            next.table_fit() > 0.0 && next.table_fit() >= next.column_fit() && !next.ends_with_ed()
        });
        let mut all = (0..self.schema.tables().len()).flat_map(|t| self.schema.columns(t));
        let is_stored = all.any(|(_, column)| name_words(&column.name).iter().any(|word| word == "population"));
        let is_called_so =
            |t: &usize| matches!(self.schema.bare(*t).to_lowercase().as_str(), "people" | "persons" | "person");
        let named = (0..self.schema.tables().len()).find(is_called_so);
        let t = named.or_else(|| self.schema.only_people()).filter(|_| !follows && !is_stored)?;
        // "How many people work for us" does not ask for customers.
        let words = name_words(self.schema.bare(t));
        let is_employed = |word: &String| related(&singulars(word), "employe") || word.starts_with("employee");
        let is_work = |atom: &Atom| matches!(atom.stem.as_str(), "work" | "employ");
        if self.atoms.iter().any(is_work) && !words.iter().any(is_employed) {
            return None;
        }
        let text = self.atom(at)?.text.clone();
        Some((Mention { text, tables: vec![(t, WHOLE)], ..Mention::default() }, self.at + at + 1))
    }

    /// "order value": the column of amounts of the table, or of a view that is named after the table.
    fn value_of_rows(&self, ahead: usize) -> Option<Mention> {
        let table = self.mention_at(ahead).filter(|mention| mention.table_fit() > 0.8)?;
        let value = self.atom(ahead + 1).filter(|atom| matches!(atom.low.as_str(), "value" | "total" | "amount"))?;
        let (t, _) = table.best_table()?;
        let own = singulars(self.schema.bare(t));
        let is_named_after =
            |view: &usize| name_words(self.schema.bare(*view)).first().is_some_and(|first| singulars(first) == own);
        let views = (0..self.schema.tables().len()).filter(|view| self.schema.is_view(*view)).filter(is_named_after);
        let at = std::iter::once(t).chain(views).find_map(|t| measures::amount(self.schema, t))?;
        let text = format!("{} {}", table.text, value.text);
        Some(Mention { text, columns: vec![(at, WHOLE)], ..Mention::default() })
    }

    /// "average and maximum age".
    pub(super) fn aggregate(&mut self, function: Function) -> bool {
        if !self.is_head && !self.frame.items.is_empty() && !self.follows_and() {
            return false;
        }
        let mut functions = vec![function];
        let mut ahead = self.next_solid(1);
        loop {
            let is_glue = |atom: &Atom| atom.cues.contains(&Cue::And) || atom.text == ",";
            let glue = (0..3).take_while(|more| self.atom(ahead + more).is_some_and(is_glue)).count();
            let next = ahead + glue;
            let more = self.atom(next).and_then(|atom| {
                atom.cues.iter().find_map(|cue| match cue {
                    Cue::Agg(function) => Some(*function),
                    Cue::Sup(true) => Some(Function::Max),
                    Cue::Sup(false) => Some(Function::Min),
                    _ => None,
                })
            });
            let Some(more) = more.filter(|_| self.mention_at(next).is_none_or(|mention| mention.fit() < WHOLE)) else {
                break;
            };
            // "The average total credits": the average of sums, or of a column with another name.
            if glue == 0 {
                self.remark("a number computed of another computed number".to_owned());
            }
            functions.push(more);
            ahead = self.next_solid(next + 1);
        }
        // "Maximum number of cows", where `cows` is a number.
        let counted = self.next_solid(ahead + 1);
        let counts = self.atom(ahead).is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))));
        if counts && self.mention_at(ahead).is_none() && self.mention_at(counted).is_some_and(|it| self.is_measure(it))
        {
            ahead = counted;
        }
        let is_weak = |mention: Option<&Mention>| self.is_weak_revenue(mention);
        if self.atom(ahead).is_some_and(|atom| atom.cues.contains(&Cue::Revenue)) && is_weak(self.mention_at(ahead)) {
            self.at += ahead + 1;
            self.show(Item::Revenue(function));
            return true;
        }
        let value = self.value_of_rows(ahead).map(|value| (value, 2)).filter(|_| functions == [Function::Avg]);
        let Some((mention, length)) = value.or_else(|| self.attribute_at(ahead)) else { return false };
        self.at += ahead + length;
        for function in functions {
            self.show(Item::Aggregate(function, mention.clone()));
        }
        // "average age and weight".
        while self.has(0, &Cue::And) {
            let ahead = self.next_solid(1);
            let another = self.atom(ahead).filter(|atom| atom.cues.is_empty());
            let another = another.and_then(|atom| atom.mention.as_ref()).filter(|mention| self.is_measure(mention));
            let Some(another) = another.cloned() else { break };
            self.at += ahead + 1;
            self.show(Item::Aggregate(function, another));
        }
        true
    }

    /// "How many nights does a stay last on average": the average of what was read as a number or a column.
    pub(super) fn averaged(&mut self) -> bool {
        if let (true, [(Key::Attribute(measure), desc)]) = (self.frame.is_superlative, self.frame.order.as_slice())
            && self.is_measure(measure)
        {
            self.frame.order = vec![(Key::Aggregate(Function::Avg, measure.clone()), *desc)];
            self.at += 1;
            return true;
        }
        let measure = match self.frame.items.last() {
            Some(Item::Count(measure, false) | Item::Attribute(measure)) if self.is_measure(measure) => measure.clone(),
            _ => return false,
        };
        self.frame.items.pop();
        self.show(Item::Aggregate(Function::Avg, measure));
        self.at += 1;
        true
    }

    pub(super) fn is_measure(&self, mention: &Mention) -> bool {
        mention.table_fit() == 0.0
            && mention.values.is_empty()
            && mention.columns.iter().any(|(at, _)| self.schema.is_number(*at) && !self.schema.is_key(*at))
    }

    /// The end of "order all stations by the opening year".
    pub(super) fn sorted_by(&mut self) -> bool {
        let is_order =
            |atom: &Atom| atom.mention.is_none() && matches!(atom.low.as_str(), "order" | "sort" | "rank" | "arrange");
        self.atoms.first().is_some_and(is_order) && self.frame.order.is_empty() && self.sort()
    }

    pub(super) fn sort(&mut self) -> bool {
        let mut ahead = self.next_solid(1);
        let mut direction = None;
        let direction_at = |reader: &Self, ahead: usize| {
            reader.atom(ahead).and_then(|atom| {
                atom.cues.iter().find_map(|cue| match cue {
                    Cue::Dir(desc) => Some(*desc),
                    _ => None,
                })
            })
        };
        if let Some(desc) = direction_at(self, ahead) {
            direction = Some(desc);
            ahead = self.next_solid(ahead + 1);
            if self.has(ahead, &Cue::By_) {
                ahead = self.next_solid(ahead + 1);
            }
        } else if self.atom(0).is_some_and(|atom| atom.low == "in") {
            return false;
        }
        let counts = self.atom(ahead).is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))));
        if counts {
            ahead = self.next_solid(ahead + 1);
        }
        let mention = self.mention_at(ahead).cloned();
        let key = match mention {
            Some(mention) if counts && mention.table_fit() > 0.0 => Key::Count(Some(mention)),
            Some(mention) if mention.column_fit() > 0.0 => Key::Attribute(mention),
            _ if direction.is_some() => {
                self.at += 1;
                return self.direction(direction.unwrap_or(false));
            }
            _ => return false,
        };
        self.at += ahead + 1;
        // "by price decreasing and name ascending".
        let mut own =
            direction_at(self, 0).filter(|_| self.has(1, &Cue::And) || self.atom(1).is_none_or(|next| next.is_stop));
        let mut more = vec![(key, own)];
        self.at += usize::from(own.is_some());
        // "by year and name", "by year, then by name".
        loop {
            let comma = usize::from(self.atom(0).is_some_and(|atom| atom.text == ",") && self.has(1, &Cue::And));
            if !self.has(comma, &Cue::And) {
                break;
            }
            let after = comma + 1;
            let by = usize::from(self.atom(after).is_some_and(|atom| atom.low == "by"));
            let next = self.next_solid(after + by);
            let another = self.mention_at(next).filter(|mention| {
                mention.column_fit() > 0.0 && self.atom(next).is_some_and(|atom| atom.cues.is_empty())
            });
            let Some(another) = another.cloned() else { break };
            self.at += next + 1;
            own = direction_at(self, 0);
            self.at += usize::from(own.is_some());
            more.push((Key::Attribute(another), own));
        }
        let after = if self.has(0, &Cue::In) { 1 } else { 0 };
        if let Some(desc) = direction_at(self, after).or_else(|| direction_at(self, 0)) {
            self.at += if direction_at(self, 0).is_some() { 1 } else { after + 1 };
            direction = Some(desc);
        } else if let Some(Cue::DirBy(desc, _)) =
            self.atom(0).and_then(|atom| atom.cues.iter().find(|cue| matches!(cue, Cue::DirBy(..)))).cloned()
        {
            self.at += 1;
            direction = Some(desc);
        }
        let all = more.into_iter().map(|(key, own)| (key, own.or(direction).unwrap_or(false)));
        self.frame.order.extend(all);
        true
    }

    /// "in ascending order", "in alphabetical order of name".
    pub(super) fn direction(&mut self, desc: bool) -> bool {
        let ahead = self.next_solid(1);
        let is_of = self.has(1, &Cue::Of) || self.atom(0).is_some_and(|atom| atom.low.ends_with(" of"));
        // "in descending order of the number of companies".
        let counts = self.atom(ahead).is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))));
        let counted = self.next_solid(ahead + 1);
        let table = self.mention_at(counted).filter(|mention| is_of && counts && mention.table_fit() > 0.0).cloned();
        // "in descending order of the count".
        let is_last = self.atom(ahead + 1).is_none_or(|next| next.is_stop);
        let table = table.or_else(|| self.frame.entities.first().filter(|_| is_of && counts && is_last).cloned());
        let counted = if is_last { ahead } else { counted };
        if let Some(table) = table {
            self.at += counted + 1;
            self.frame.order.push((Key::Count(Some(table)), desc));
            return true;
        }
        if let Some((named, length)) = self.attribute_at(ahead).filter(|_| is_of || ahead > 1) {
            self.at += ahead + length;
            self.frame.order.push((Key::Attribute(named), desc));
            return true;
        }
        self.at += 1;
        if let Some((_, direction)) = self.frame.order.last_mut() {
            *direction = desc;
            return true;
        }
        // "Industries and the number of companies in descending order" is ordered by the number.
        let last = match self.frame.items.last() {
            Some(Item::Count(counted, _)) => Some(Key::Count(Some(counted.clone()))),
            Some(Item::Aggregate(function, measure)) => Some(Key::Aggregate(*function, measure.clone())),
            _ => None,
        };
        let first = self.frame.items.iter().find_map(|item| match item {
            Item::Attribute(mention) | Item::Entity(mention) => Some(Key::Attribute(mention.clone())),
            _ => None,
        });
        match last.or(first) {
            Some(key) => self.frame.order.push((key, desc)),
            None => self.remark("what to sort by".to_owned()),
        }
        true
    }

    /// "for each country", "by month", "per category".
    pub(super) fn per(&mut self) -> bool {
        let ahead = self.next_solid(1);
        // "Platforms and the number of devices using each": each platform is shown.
        let is_last = self.atom(1).is_none_or(|next| next.is_stop);
        let read = self.atoms.get(..self.at).unwrap_or_default();
        let has_clause = read.iter().any(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Have | Cue::That)));
        if is_last && !has_clause && self.has_counts_of_shown() {
            self.at += 1;
            return true;
        }
        let Some(atom) = self.atom(ahead).cloned() else { return false };
        if self.is_determiner(ahead) {
            self.at += 1;
            return true;
        }
        if atom.cues.contains(&Cue::Time)
            && atom.mention.as_ref().is_none_or(|mention| mention.fit() < 0.8)
            && let Some(unit) = unit(&atom.low)
        {
            self.at += ahead + 1;
            self.frame.bucket = Some(unit);
            self.dated_bucket();
            return true;
        }
        let Some(mention) = atom.mention.filter(|mention| mention.column_fit() > 0.0 || mention.table_fit() > 0.0)
        else {
            return false;
        };
        // "For each kind of vehicle" is not for each vehicle.
        if mention.table_fit() >= mention.column_fit() && (1..ahead).any(|at| self.atom(at).is_some_and(Atom::is_kind))
        {
            self.remark(format!("the kinds of {}", mention.text));
        }
        // "Each product's manufacturer" is shown, and groups nothing.
        if self.atom(ahead + 1).is_some_and(|next| matches!(next.low.as_str(), "'s" | "'"))
            && self.frame.items.is_empty()
        {
            return false;
        }
        self.at += ahead + 1;
        let group = self.column_of_table(mention);
        self.frame.groups.push(group);
        true
    }

    /// "per month of the check-in date".
    pub(super) fn dated_bucket(&mut self) {
        let ahead = self.next_solid(1);
        let named = self.mention_at(ahead).filter(|mention| mention.table_fit() == 0.0 && self.is_timely(mention));
        if let (true, Some(named)) = (self.has(0, &Cue::Of), named.cloned()) {
            self.at += ahead + 1;
            self.frame.dated = Some(named);
        }
    }

    /// "per room type": the column of the table that was named. "Per student name" is each student.
    pub(super) fn column_of_table(&mut self, table: Mention) -> Mention {
        let best = table.best_table().filter(|(_, fit)| *fit > 0.8);
        let (Some((t, _)), Some(next)) = (best, self.mention_at(0).cloned()) else { return table };
        // "Each product category" is each category.
        let parent = next.best_table().filter(|(_, fit)| *fit > 0.8).map(|(t, _)| &self.schema.table(t).name);
        if parent.is_some_and(|parent| self.schema.table(t).foreign_keys.iter().any(|key| key.references == *parent)) {
            self.at += 1;
            return next;
        }
        let own: Vec<_> = next.columns.iter().filter(|(at, fit)| at.0 == t && *fit > 0.8).copied().collect();
        if next.table_fit() > 0.0 || own.is_empty() {
            return table;
        }
        self.at += 1;
        let is_name = own.iter().any(|(at, _)| self.schema.display(t).contains(at));
        if is_name { table } else { Mention { columns: own, values: Vec::new(), ..next } }
    }

    /// "revenue by country": a group, unless a value follows.
    pub(super) fn grouped_by(&mut self) -> bool {
        let ahead = self.next_solid(1);
        let names = self.mention_at(ahead).is_some_and(|mention| {
            mention.values.is_empty()
                && !mention.looks_like_value
                && (mention.column_fit() > 0.5 || mention.table_fit() > 0.5)
        });
        let measured = self.frame.items.iter().any(|item| !matches!(item, Item::Attribute(_)));
        // "models made by the maker with the full name X": one maker.
        let is_column = self.mention_at(ahead).is_some_and(|mention| mention.column_fit() > mention.table_fit());
        let is_single = !(is_column && ahead == 1)
            && self.atom(ahead).is_some_and(|atom| !atom.low.ends_with('s'))
            && self
                .atom(ahead + 1)
                .is_some_and(|next| next.cues.iter().any(|cue| matches!(cue, Cue::Have | Cue::Named | Cue::That)));
        // "How many courses are taken by students": the students do it.
        let is_done = |back: usize| {
            self.before(back)
                .is_some_and(|atom| atom.low.ends_with("ed") || cues::is_link(&atom.stem) && atom.mention.is_none())
        };
        let is_agent =
            !is_column && self.is_plural(ahead) && (is_done(1) || self.has_before(1, &Cue::In) && is_done(2));
        // "concentration of PM10 by city": after a name, "by city" is a group.
        let follows_name = ahead == 1
            && self
                .mention_before()
                .is_some_and(|before| !before.values.is_empty() || is_column && !before.ends_with_ed());
        names
            && !is_single
            && !is_agent
            && measured
            && (self.is_head || follows_name)
            && self.frame.order.is_empty()
            && self.per()
    }

    /// True after "and what are" or "and which", before the atoms that were just read.
    pub(super) fn follows_question(&self, consumed: usize) -> bool {
        let before = self.at.checked_sub(consumed).and_then(|end| self.atoms.get(..end)).unwrap_or_default();
        let is_soft = |atom: &&Atom| {
            atom.mention.is_none() && atom.cues.iter().any(|cue| matches!(cue, Cue::Skip | Cue::Their | Cue::Distinct))
        };
        let mut before = before.iter().rev().skip_while(is_soft);
        let asks = before
            .next()
            .is_some_and(|atom| atom.cues.contains(&Cue::Open) || matches!(atom.low.as_str(), "which" | "what"));
        asks && before.next().is_some_and(|atom| atom.cues.contains(&Cue::And))
    }

    /// "All details of the customers", "customer details": all columns of the row.
    pub(super) fn row(&mut self) -> bool {
        let is_table = |mention: &Mention| mention.table_fit() > 0.8 && mention.table_fit() >= mention.column_fit();
        let follows =
            matches!(self.frame.items.as_slice(), [Item::Entity(_)]) && self.mention_before().is_some_and(is_table);
        let ahead = self.next_solid(1);
        let is_of = (1..ahead).any(|ahead| self.has(ahead, &Cue::Of)) && self.frame.items.is_empty();
        let precedes = is_of && self.mention_at(ahead).is_some_and(is_table);
        // `customer_details` of the customers.
        let is_column = self.mention_at(0).is_some_and(|mention| mention.name_fit() > 0.5);
        if !self.is_head || is_column || !follows && !precedes {
            return false;
        }
        self.at += 1;
        self.frame.is_whole = true;
        true
    }

    pub(super) fn revenue(&mut self) -> bool {
        if !self.is_weak_revenue(self.mention_at(0)) {
            return false;
        }
        self.at += 1;
        // "How much did Ann spend".
        self.how_much = None;
        self.show(Item::Revenue(Function::Sum));
        true
    }

    /// True if "revenue" is no column of a table here. Then the revenue is computed. A column of a view does not
    /// count, because a view of totals cannot be joined.
    pub(super) fn is_weak_revenue(&self, mention: Option<&Mention>) -> bool {
        mention.is_none_or(|mention| {
            let is_whole = |fit: &f32| *fit > 0.85;
            let in_table = mention.columns.iter().any(|(at, fit)| is_whole(fit) && !self.schema.is_view(at.0));
            !in_table && !mention.tables.iter().any(|(_, fit)| is_whole(fit))
        })
    }

    /// True if a phrase has a meaning that needs no object.
    pub(super) fn is_soft_too(&self, cues: &[Cue]) -> bool {
        cues.iter().any(|cue| matches!(cue, Cue::Skip | Cue::Have | Cue::In | Cue::Of | Cue::That | Cue::Be | Cue::By_))
    }

    /// True if a number or a time stands beside the word just read: "the year 1970", "10 days".
    pub(super) fn is_of_number(&self) -> bool {
        let is_number = |atom: &Atom| atom.number.is_some() || atom.window.is_some();
        let after = self.next_solid(0);
        self.atom(after).is_some_and(is_number) || self.before(2).is_some_and(is_number)
    }
}
