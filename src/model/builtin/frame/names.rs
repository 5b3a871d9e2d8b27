//! Names of tables and columns, and stored values.

use super::*;

impl Reader<'_> {
    /// A name of the schema, or a stored value.
    pub(super) fn named(&mut self, mut mention: Mention) {
        // "... and the number of companies in that industry".
        let is_same =
            |item: &Item| matches!(item, Item::Attribute(shown) | Item::Entity(shown) if shown.shares_with(&mention));
        let is_group = self.frame.groups.iter().any(|group| group.shares_with(&mention));
        let follows_that = self.before(1).is_some_and(|atom| matches!(atom.low.as_str(), "that" | "this" | "each"));
        let counts = self.frame.items.iter().any(|item| matches!(item, Item::Count(..)));
        if follows_that && counts && (is_group || self.frame.items.iter().any(is_same)) {
            self.at += 1;
            return;
        }
        // "... and when was it opened?"
        let best = mention.best_column().map(|(at, _)| at);
        let is_asked = |item: &Item| match item {
            Item::Attribute(shown) => shown.text == "when" && shown.columns.iter().any(|(at, _)| Some(*at) == best),
            _ => false,
        };
        if mention.is_verb() && self.frame.items.iter().any(is_asked) {
            self.at += 1;
            return;
        }
        // "When did Ann sign her contract" asks for no contract.
        let is_shown_date = matches!(self.frame.items.last(), Some(Item::Attribute(shown)) if self.is_timely(shown));
        if self.frame.asks_when && is_shown_date && self.follows_their(0) {
            self.at += 1;
            return self.doubt(mention.text);
        }
        let owner = self.next_solid(1);
        if let (true, Some(owner)) = (self.has(1, &Cue::Of), self.mention_at(owner)) {
            // "Date of death", where a column of dates is called so.
            let is_day = matches!(mention.text.to_lowercase().as_str(), "date" | "day" | "time");
            let is_date = |at: At| self.schema.is_date(at);
            if is_day && owner.table_fit() < 0.8 && owner.best_column().is_some_and(|(at, _)| is_date(at)) {
                self.at += 1;
                return;
            }
            // "The name of their depot" is no name of another table's rows.
            let least = OTHER_WORD.max(owner.table_fit() - 0.05);
            let is_of = |at: At| owner.tables.iter().any(|(t, fit)| *fit >= least && *t == at.0);
            if mention.table_fit() == 0.0 && mention.columns.iter().any(|(at, fit)| *fit > 0.8 && is_of(*at)) {
                mention.columns.retain(|(at, _)| is_of(*at));
            }
        }
        let is_name = mention.table_fit() > 0.0 || mention.column_fit() > 0.0;
        // "orders shipped yesterday", where `shipped` is a status too: the date tells, unless it is the only one.
        let has_others = |t: usize| self.schema.columns(t).filter(|(at, _)| self.schema.is_date(*at)).count() > 1;
        let is_dated =
            mention.columns.iter().any(|(at, fit)| *fit > 0.8 && self.schema.is_date(*at) && has_others(at.0));
        let is_date = is_dated
            && !mention.is_quoted
            && (self.is_compared(1, &mention) || self.is_negated && self.is_participle(&mention));
        let is_date = is_date || self.is_own_date(&mention);
        let is_value = !mention.values.is_empty()
            && !is_date
            && (mention.is_quoted
                || !is_name
                || mention.name_fit() < 0.9
                || self.expects_value()
                || self.is_value_here(&mention));
        if is_value || mention.is_quoted && !is_name {
            // "staff without a manager": another row, or another value.
            if self.is_negated && mention.tables.iter().any(|(_, fit)| *fit >= 0.75) {
                self.remark(format!("\"{}\" is a value, and a row of a table", mention.text));
            }
            return self.valued(mention);
        }
        // "United States", which no column holds, is no other word for a table of countries.
        let is_capital = |at: Option<usize>| {
            let atom = at.filter(|at| *at > 0).and_then(|at| self.atoms.get(at));
            let is_text = |atom: &Atom| atom.mention.as_ref().is_some_and(|mention| mention.name_fit() == 0.0);
            atom.is_some_and(|atom| atom.text.chars().next().is_some_and(char::is_uppercase) && !is_text(atom))
        };
        let is_in_name = is_capital(self.at.checked_sub(1)) || is_capital(Some(self.at + 1));
        let limit = if is_in_name { 0.85 } else { OTHER_WORD };
        if !is_name || mention.is_quoted && mention.values.is_empty() && mention.name_fit() < limit {
            self.at += 1;
            return self.doubt(mention.text);
        }
        // "the first student to register".
        if self.before(1).is_some_and(|atom| atom.low == "to") && mention.name_fit() < 0.85 {
            let stem = self.atom(0).map(|atom| atom.stem.clone()).unwrap_or_default();
            self.at += 1;
            return self.frame.verbs.push(stem);
        }
        let is_table = mention.table_fit() > 0.0 && mention.table_fit() >= mention.column_fit() - 0.05;
        let negated = self.is_negated;
        if self.is_flag(&mention) {
            self.at += 1;
            let is_head = self.is_head;
            self.condition(What::Flag(mention));
            self.is_head = is_head;
            return;
        }
        // "directed by Ben Jones", "the series Sky Radio": the column of a value.
        let value = self.next_solid(1);
        if self.is_value_of(value, &mention) && mention.column_fit() > 0.5 && (!self.frame.items.is_empty() || is_table)
        {
            self.at += 1;
            self.last = Some(mention);
            return;
        }
        let in_time = self.is_in_time(1, &mention);
        let is_compared = self.is_compared(1, &mention);
        if self.is_head && is_compared && !self.frame.items.is_empty() && !is_table {
            self.is_head = false;
        }
        // "the English language".
        let is_of_value = |condition: &Condition| match &condition.what {
            What::Value(_, value) => {
                value.values.iter().any(|(at, _)| mention.columns.iter().any(|(of, fit)| of == at && *fit > 0.8))
            }
            _ => false,
        };
        let follows_value = self.mention_before().is_some_and(|m| !m.values.is_empty());
        if !is_table && follows_value && self.frame.conditions.last().is_some_and(is_of_value) {
            self.at += 1;
            return;
        }
        if self.is_head && self.is_name_of_entity(&mention) {
            self.at += 1;
            return;
        }
        // "loans returned", "patients admitted for asthma".
        if self.is_participle(&mention) && !is_compared {
            let stem = self.atom(0).map(|atom| atom.stem.clone()).unwrap_or_default();
            self.at += 1;
            let is_joined = |atom: &Atom| {
                atom.is_stop
                    || atom.cues.iter().any(|cue| matches!(cue, Cue::And | Cue::Or | Cue::Not))
                    || atom.low == "but"
            };
            if self.atom(0).is_none_or(is_joined) {
                self.condition(What::Known(mention));
            } else {
                self.frame.verbs.push(stem);
            }
            return;
        }
        // "Which products are discontinued" asks for products, and "which album sold the most" for albums.
        let is_only_entity = matches!(self.frame.items.as_slice(), [Item::Entity(_)]);
        let follows_be = self
            .before(1)
            .is_some_and(|atom| atom.cues.contains(&Cue::Be) || matches!(atom.low.as_str(), "was" | "were" | "been"));
        if self.is_head && is_only_entity && !is_table && !is_compared && follows_be {
            self.at += 1;
            return self.doubt(mention.text);
        }
        let stem = self.atom(0).map(|atom| atom.stem.clone()).unwrap_or_default();
        let follows_table = self.mention_before().is_some_and(|before| before.table_fit() > 0.8);
        if self.is_head && is_only_entity && follows_table && mention.column_fit() < 0.7 && cues::is_link(&stem) {
            self.at += 1;
            return self.frame.verbs.push(stem);
        }
        // "patients with no email", "who have an email".
        let article = usize::from(self.before(1).is_some_and(|atom| matches!(atom.low.as_str(), "a" | "an" | "any")));
        let has = self.before(1 + article).is_some_and(|atom| {
            atom.cues.contains(&Cue::Have) || atom.low.split(' ').any(|word| matches!(word, "no" | "without"))
        });
        let best = mention.best_column();
        let may_miss = best.is_some_and(|(at, fit)| fit > 0.8 && self.schema.column(at).nullable);
        let is_bound = is_compared || self.atom(1).is_some_and(|next| next.number.is_some());
        if may_miss && has && !is_bound && !is_table && !self.frame.entities.is_empty() {
            self.at += 1;
            return self.condition(What::Known(mention));
        }
        // "How many books are on loan": what is counted is all that is shown.
        let before = self.atoms.get(..self.at).unwrap_or_default().iter().rev();
        let mut before = before.take_while(|atom| !atom.cues.iter().any(|cue| matches!(cue, Cue::Count(_))));
        let is_counted = matches!(self.frame.items.last(), Some(Item::Count(..))) && !before.any(|atom| atom.is_stop);
        // "How many rooms are on floor 2".
        let precedes_number = self.atom(1).is_some_and(|atom| atom.number.is_some());
        if is_counted && !is_table && precedes_number {
            self.is_head = false;
        }
        if self.is_head && is_counted && !is_table && !self.follows_and_before(0) && !self.follows_their(0) {
            self.at += 1;
            return self.doubt(mention.text);
        }
        // "names of singers", "singers' names": shown as long as the head lasts.
        if self.is_head && !negated {
            if self.is_alternative && !self.frame.items.is_empty() {
                self.remark(format!("\"or {}\"", mention.text));
            }
            // "titles and the studio names": the names of studios.
            let owned = self.attribute_at(0).filter(|(attribute, length)| {
                let best = attribute.best_column();
                let is_flag = best.is_some_and(|(at, _)| self.schema.answers(at).is_some());
                is_table && *length > 1 && !is_flag && !attribute.is_verb() && !self.is_compared(*length, attribute)
            });
            if let Some((attribute, length)) = owned {
                self.at += length;
                self.take_back_entity();
                self.entity(mention);
                return self.show(Item::Attribute(attribute));
            }
            self.at += 1;
            if is_table {
                let owned = self.belongs_to_next();
                if !owned && (self.frame.items.is_empty() || self.follows_and_before(1)) {
                    self.show(Item::Entity(mention.clone()));
                }
                self.entity(mention);
            } else {
                self.take_back_entity();
                self.show(Item::Attribute(mention));
            }
            return;
        }
        if is_table {
            if mention.is_verb() {
                self.frame.verbs.extend(self.atom(0).map(|atom| atom.stem.clone()));
            }
            self.at += 1;
            let is_first = self.frame.entities.is_empty();
            self.entity(mention.clone());
            if !is_first || negated {
                // "departing from the airport APG": the words tell the key of the value too.
                let words = self.words.clone();
                self.condition(What::Has(mention));
                self.words = words;
            }
            return;
        }
        // "the state whose name contains".
        let owner = self.before(2).and_then(|atom| atom.mention.clone());
        let owner =
            owner.filter(|owner| owner.table_fit() == 0.0 && owner.column_fit() > 0.8 && !owner.text.contains(' '));
        if let (Some(owner), true) = (owner, self.before(1).is_some_and(|atom| atom.cues.contains(&Cue::That)))
            && mention.text.eq_ignore_ascii_case("name")
        {
            self.at += 1;
            // "owners live in the state whose name": the state is no answer.
            if !self.frame.entities.is_empty() {
                self.frame.items.retain(|item| !matches!(item, Item::Attribute(shown) if *shown == owner));
            }
            self.last = Some(owner);
            return;
        }
        // Outside the head a column begins a condition, or continues the list.
        let ahead = self.next_solid(1);
        let next = self.atom(ahead);
        let begins = in_time
            || next.is_some_and(|atom| {
                atom.number.is_some()
                    || atom.window.is_some()
                    || atom.mention.as_ref().is_some_and(|next| !next.values.is_empty() || next.is_quoted)
                    || atom.cues.iter().any(|cue| {
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
            });
        self.at += 1;
        if begins {
            self.last = Some(mention);
            return;
        }
        if negated {
            return self.doubt(mention.text);
        }
        let continues = self.follows_their(1) || self.follows_and_before(1);
        if continues || self.frame.items.is_empty() {
            self.show(Item::Attribute(mention));
            return;
        }
        self.doubt(mention.text);
    }

    /// "subscriptions that were cancelled", where they have a date for it, and `cancelled` is a value of other rows.
    fn is_own_date(&self, mention: &Mention) -> bool {
        let first = self.frame.entities.first().and_then(|entity| entity.best_table());
        let Some((t, _)) = first else { return false };
        let is_date = |(at, fit): &(At, f32)| at.0 == t && *fit > 0.8 && self.schema.is_date(*at);
        !mention.is_quoted
            && mention.columns.iter().any(is_date)
            && !mention.values.iter().any(|(at, _)| at.0 == t)
            && self.is_participle(mention)
    }

    /// "phone bookings", where `phone` is a value of a column of bookings, and a column of another table.
    fn is_value_here(&self, mention: &Mention) -> bool {
        let is_of = |table: &Mention| self.is_value_of_table(mention, table);
        let follows = self.before(1).is_some_and(|atom| {
            atom.cues.iter().any(|cue| matches!(cue, Cue::By_ | Cue::In | Cue::Or | Cue::Not | Cue::Be))
        });
        mention.table_fit() < 0.8
            && (self.mention_at(1).is_some_and(is_of) || follows && self.frame.entities.last().is_some_and(is_of))
    }

    /// The column named at a place, and the number of atoms of its name: "score", or "review score" where the table of
    /// reviews has a score.
    pub(super) fn attribute_at(&self, ahead: usize) -> Option<(Mention, usize)> {
        let mention = self.mention_at(ahead)?;
        // "the total ordered quantity".
        let next = self.mention_at(ahead + 1).filter(|next| mention.is_verb() && next.column_fit() > 0.8);
        if let Some(next) = next.filter(|next| next.table_fit() == 0.0) {
            return Some((next.clone(), 2));
        }
        let own = |next: &Mention| -> Vec<(At, f32)> {
            let is_of = |at: &At| mention.tables.iter().any(|(t, fit)| *fit > 0.8 && *t == at.0);
            next.columns.iter().filter(|(at, fit)| *fit >= OTHER_WORD && is_of(at)).copied().collect()
        };
        if mention.table_fit() > mention.column_fit()
            && let Some(next) = self.mention_at(ahead + 1).filter(|next| next.table_fit() < 0.8)
        {
            let columns = own(next);
            if !columns.is_empty() {
                let text = next.text.clone();
                return Some((Mention { text, columns, ..Mention::default() }, 2));
            }
        }
        (mention.column_fit() > 0.0).then(|| (mention.clone(), 1))
    }

    /// True for a value of a column of the table, which has no column of that name.
    pub(super) fn is_value_of_table(&self, mention: &Mention, table: &Mention) -> bool {
        let owns = |t: usize| mention.values.iter().any(|(at, _)| at.0 == t);
        let has_column = |t: usize| mention.columns.iter().any(|(at, fit)| at.0 == t && *fit > 0.8);
        table.tables.iter().any(|(t, fit)| *fit > 0.8 && owns(*t) && !has_column(*t))
    }

    /// "names of guests", where guests have a first and a last name: what stands for a row is shown anyway.
    fn is_name_of_entity(&self, mention: &Mention) -> bool {
        if !matches!(mention.text.to_lowercase().as_str(), "name" | "names") {
            return false;
        }
        let has_column = |t: usize| mention.columns.iter().any(|(at, fit)| at.0 == t && *fit > 0.8);
        let is_named = |table: &Mention| {
            let best = table.best_table().filter(|(_, fit)| *fit > 0.8);
            best.is_some_and(|(t, _)| !has_column(t) && self.schema.display(t).len() == 2)
        };
        let after = self.next_solid(1);
        let is_of = self.has(1, &Cue::Of) && self.mention_at(after).is_some_and(is_named);
        let is_owned = self.mention_before().is_some_and(is_named);
        is_of || is_owned && matches!(self.frame.items.as_slice(), [Item::Entity(_)])
    }

    pub(super) fn mention_before(&self) -> Option<&Mention> {
        self.before(1).and_then(|atom| atom.mention.as_ref())
    }

    /// True for the name of a date column that is used as a verb: "loans returned", "were not returned".
    fn is_participle(&self, mention: &Mention) -> bool {
        let low = mention.text.to_lowercase();
        let best = mention.best_column().map(|(at, _)| at);
        let is_verb = low.ends_with("ed") || matches!(low.as_str(), "sent" | "paid" | "sold" | "written" | "built");
        let follows = self.before(1).is_some_and(|atom| {
            let is_noun = atom.mention.as_ref().is_some_and(|noun| noun.values.is_empty() && noun.name_fit() > 0.8);
            let is_be = matches!(atom.low.as_str(), "was" | "were" | "been" | "being");
            is_noun || is_be || atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not | Cue::Have))
        });
        is_verb && follows && mention.table_fit() < 0.8 && best.is_some_and(|at| self.schema.is_date(at))
    }

    /// "joined in 2026": a time follows, after "in".
    fn is_in_time(&self, ahead: usize, mention: &Mention) -> bool {
        self.has(ahead, &Cue::In)
            && self.is_timely(mention)
            && self.atom(ahead + 1).is_some_and(|atom| atom.window.is_some() || atom.number.is_some())
    }

    /// True if a time or a comparison follows a column.
    fn is_compared(&self, ahead: usize, mention: &Mention) -> bool {
        let is_bound = |cue: &Cue| matches!(cue, Cue::After | Cue::Before | Cue::Since | Cue::Until | Cue::Between);
        self.is_in_time(ahead, mention)
            || self.atom(ahead).is_some_and(|next| {
                next.window.is_some()
                    || next.cues.iter().any(is_bound)
                    || next.cues.iter().any(|cue| matches!(cue, Cue::Op(_))) && next.mention.is_none()
            })
    }

    /// True if the column right before or a word such as "named" asks for a value.
    fn expects_value(&self) -> bool {
        self.last.is_some() || self.before(1).is_some_and(|atom| atom.cues.contains(&Cue::Named))
    }

    fn follows_their(&self, consumed: usize) -> bool {
        self.before(consumed + 1).is_some_and(|atom| atom.cues.contains(&Cue::Their))
    }

    /// "singer names": the table only says whose name.
    fn belongs_to_next(&self) -> bool {
        let ahead = if self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "'s" | "'")) { 1 } else { 0 };
        let Some(next) = self.mention_at(ahead) else { return false };
        let is_attribute = next.column_fit() > 0.0 && next.table_fit() < next.column_fit();
        is_attribute && !self.is_compared(ahead + 1, next) && !self.is_value_of(self.next_solid(ahead + 1), next)
    }

    /// True for a column that says yes or no after a word such as "are" or "not" ("are active"), before a table
    /// ("active members"), after its own table in the plural ("doctors on leave"), or after a word of having ("get the
    /// newsletter").
    fn is_flag(&self, mention: &Mention) -> bool {
        let best = mention.best_column();
        let says = best.is_some_and(|(at, _)| self.schema.answers(at).is_some());
        let follows_be = self.before(1).is_some_and(|atom| {
            let is_past = matches!(atom.low.as_str(), "was" | "were" | "been");
            is_past || atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not | Cue::That | Cue::And))
        });
        let precedes_table = self.mention_at(1).is_some_and(|next| next.table_fit() > 0.0);
        // "doctors on leave".
        let is_of = |t: usize| mention.columns.iter().any(|(at, _)| at.0 == t);
        let follows_table = self.is_plural_before()
            && self.mention_before().is_some_and(|before| {
                before.column_fit() < 0.8 && before.tables.iter().any(|(t, fit)| *fit > 0.8 && is_of(*t))
            });
        let before = (1..=2).filter_map(|back| self.before(back)).find(|atom| !atom.cues.contains(&Cue::Skip));
        let follows_have = before.is_some_and(|atom| {
            atom.cues.contains(&Cue::Have) || matches!(atom.stem.as_str(), "get" | "receiv" | "want" | "take")
        });
        let follows = follows_be || follows_table || follows_have;
        says && mention.table_fit() < mention.column_fit() && (follows || precedes_table)
    }

    fn is_plural_before(&self) -> bool {
        self.before(1).is_some_and(|atom| atom.low.ends_with('s') && !atom.low.ends_with("ss"))
    }

    /// True if a value of the column stands there.
    fn is_value_of(&self, ahead: usize, column: &Mention) -> bool {
        self.mention_at(ahead).is_some_and(|next| {
            let is_unknown = next.values.is_empty() && next.fit() == 0.0;
            is_unknown
                || next.values.iter().any(|(at, _)| column.columns.iter().any(|(of, _)| of == at))
                    && next.table_fit() == 0.0
        })
    }

    /// "Which singer ... name": the entity shown first gives way to its attributes.
    fn take_back_entity(&mut self) {
        if let [Item::Entity(_)] = self.frame.items.as_slice()
            && !self.follows_and_before(1)
        {
            self.frame.items.clear();
        }
    }

    pub(super) fn valued(&mut self, mut mention: Mention) {
        self.at += 1;
        let column = self.last.take().or_else(|| {
            let consumed = self.at - 1;
            let back = (1..=3).filter_map(|back| consumed.checked_sub(back).and_then(|at| self.atoms.get(at)));
            let mut back = back.skip_while(|atom| {
                atom.mention.is_none()
                    && atom.cues.iter().any(|cue| {
                        matches!(cue, Cue::Be | Cue::Skip | Cue::Of | Cue::Named | Cue::Op(Op::Eq | Op::Ne) | Cue::Not)
                    })
            });
            let near = back.next()?.mention.clone()?;
            let fits = near.columns.iter().any(|(at, _)| mention.values.iter().any(|(of, _)| of == at));
            fits.then_some(near)
        });
        if let Some(column) = &column {
            let kept: Vec<_> = mention
                .values
                .iter()
                .filter(|(at, _)| column.columns.iter().any(|(of, _)| of == at))
                .cloned()
                .collect();
            if !kept.is_empty() {
                mention.values = kept;
                self.unshow(column);
            }
        }
        // "cartoons that Ben Jones writes": the verb names the column.
        if column.is_none()
            && let Some(verb) = self.mention_at(0).filter(|verb| verb.table_fit() == 0.0 && verb.column_fit() < 0.8)
            && mention.values.iter().any(|(at, _)| verb.columns.iter().any(|(of, _)| of == at))
        {
            let verb = verb.clone();
            mention.values.retain(|(at, _)| verb.columns.iter().any(|(of, _)| of == at));
            self.at += 1;
        }
        // "Italian hotels": a value of hotels.
        if let Some(table) = self.mention_at(0).filter(|next| next.table_fit() > 0.8) {
            let is_of = |at: &At| table.tables.iter().any(|(t, fit)| *fit > 0.8 && *t == at.0);
            if mention.values.iter().any(|(at, _)| is_of(at)) {
                mention.values.retain(|(at, _)| is_of(at));
            }
        }
        let is_head = self.is_head;
        let precedes_name = self.mention_at(0).is_some_and(|next| next.table_fit() > 0.0 || next.column_fit() > 0.0);
        self.condition(What::Value(column, mention));
        if is_head && (self.frame.items.is_empty() || precedes_name) {
            self.is_head = true;
        }
    }
}
