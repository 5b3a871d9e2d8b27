//! Names of tables and columns, and stored values.

use super::*;

impl Reader<'_> {
    /// A name of the schema, or a stored value.
    pub(super) fn named(&mut self, mention: Mention) {
        let is_name = mention.table_fit() > 0.0 || mention.column_fit() > 0.0;
        let is_value = !mention.values.is_empty() && (mention.is_quoted || !is_name || mention.name_fit() < 0.9)
            || !mention.values.is_empty() && self.expects_value();
        if is_value || mention.is_quoted && !is_name {
            return self.valued(mention);
        }
        if !is_name {
            self.at += 1;
            return self.doubt(mention.text);
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
        // "joined in 2026".
        let in_time = self.has(1, &Cue::In)
            && self.is_timely(&mention)
            && self.atom(2).is_some_and(|atom| atom.window.is_some() || atom.number.is_some());
        let is_compared = in_time
            || self.atom(1).is_some_and(|next| {
                next.window.is_some()
                    || next
                        .cues
                        .iter()
                        .any(|cue| matches!(cue, Cue::After | Cue::Before | Cue::Since | Cue::Until | Cue::Between))
                    || next.cues.iter().any(|cue| matches!(cue, Cue::Op(_))) && next.mention.is_none()
            });
        if self.is_head && is_compared && !self.frame.items.is_empty() && !is_table {
            self.is_head = false;
        }
        // "names of singers", "singers' names": shown as long as the head lasts.
        if self.is_head && !negated {
            if self.is_alternative && !self.frame.items.is_empty() {
                self.remark(format!("\"or {}\"", mention.text));
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
            self.unshow(&owner);
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
        let is_condition = self.atom(ahead + 1).is_some_and(|atom| {
            atom.window.is_some()
                || atom
                    .cues
                    .iter()
                    .any(|cue| matches!(cue, Cue::After | Cue::Before | Cue::Since | Cue::Until | Cue::Between))
        });
        is_attribute && !is_condition && !self.is_value_of(self.next_solid(ahead + 1), next)
    }

    /// True for a column that says yes or no, where no value and no list of columns follows: "active members", "are active".
    fn is_flag(&self, mention: &Mention) -> bool {
        let best = mention.columns.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let says = best.is_some_and(|(at, _)| self.schema.answers(*at).is_some());
        let follows_be = self
            .before(1)
            .is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not | Cue::That | Cue::And)));
        let precedes_table = self.mention_at(1).is_some_and(|next| next.table_fit() > 0.0);
        says && mention.table_fit() < mention.column_fit() && (follows_be || precedes_table)
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
        let is_head = self.is_head;
        let precedes_name = self.mention_at(0).is_some_and(|next| next.table_fit() > 0.0 || next.column_fit() > 0.0);
        self.condition(What::Value(column, mention));
        if is_head && (self.frame.items.is_empty() || precedes_name) {
            self.is_head = true;
        }
    }
}
