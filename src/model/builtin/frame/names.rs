//! What stands around a name of a table or column or a stored value.

use super::*;

impl Reader<'_> {
    /// "subscriptions that were cancelled", where they have a date for it, and `cancelled` is a value of other rows.
    pub(super) fn is_own_date(&self, mention: &Mention) -> bool {
        let first = self.frame.entities.first().and_then(|entity| entity.best_table());
        let Some((t, _)) = first else { return false };
        let is_date = |(at, fit): &(At, f32)| at.0 == t && *fit > 0.8 && self.schema.is_date(*at);
        !mention.looks_like_value
            && mention.columns.iter().any(is_date)
            && !mention.values.iter().any(|(at, _)| at.0 == t)
            && self.is_participle(mention)
    }

    /// "phone bookings", where `phone` is a value of a column of bookings, and a column of another table.
    pub(super) fn is_value_here(&self, mention: &Mention) -> bool {
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
        let next = self.mention_at(ahead + 1).filter(|next| mention.ends_with_ed() && next.column_fit() > 0.8);
        if let Some(next) = next.filter(|next| next.table_fit() == 0.0) {
            return Some((next.clone(), 2));
        }
        let own = |next: &Mention| -> Vec<(At, f32)> {
            let is_of = |at: &At| mention.tables.iter().any(|(t, fit)| *fit > 0.8 && *t == at.0);
            next.columns.iter().filter(|(at, fit)| *fit >= OTHER_WORD && is_of(at)).copied().collect()
        };
        if mention.table_fit() >= mention.column_fit()
            && let Some(next) = self.mention_at(ahead + 1).filter(|next| next.table_fit() < 0.8)
        {
            let columns = own(next);
            // "Screen mode type", where phones have a `screen_mode` that refers to the table `screen_mode`.
            let is_sure = mention.table_fit() > mention.column_fit() || columns.iter().any(|(_, fit)| *fit > 0.85);
            if !columns.is_empty() && is_sure {
                let text = next.text.clone();
                return Some((Mention { text, columns, ..Mention::default() }, 2));
            }
        }
        (mention.column_fit() > 0.0).then(|| (mention.clone(), 1))
    }

    /// True if the words are a value of a column of the table, and the table has no column of that name.
    pub(super) fn is_value_of_table(&self, mention: &Mention, table: &Mention) -> bool {
        let owns = |t: usize| mention.values.iter().any(|(at, _)| at.0 == t);
        let has_column = |t: usize| mention.columns.iter().any(|(at, fit)| at.0 == t && *fit > 0.8);
        table.tables.iter().any(|(t, fit)| *fit > 0.8 && owns(*t) && !has_column(*t))
    }

    /// "names of guests", where guests have a first and a last name: both are shown for "guests" already.
    pub(super) fn is_name_of_entity(&self, mention: &Mention) -> bool {
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
        // "names of directors", where movies have a column `director`.
        let is_column = |column: &Mention| {
            let best = column.best_column().filter(|(_, fit)| *fit > 0.8 && column.table_fit() == 0.0);
            best.is_some_and(|(at, _)| self.schema.holds(at) == Holds::Text && !self.schema.is_key(at))
        };
        if self.has(1, &Cue::Of) && self.mention_at(after).is_some_and(is_column) {
            return true;
        }
        let is_owned = self.mention_before().is_some_and(is_named);
        is_of || is_owned && matches!(self.frame.items.as_slice(), [Item::Entity(_)])
    }

    pub(super) fn mention_before(&self) -> Option<&Mention> {
        self.before(1).and_then(|atom| atom.mention.as_ref())
    }

    /// True for the name of a date column that is used as a verb: "loans returned", "were not returned".
    pub(super) fn is_participle(&self, mention: &Mention) -> bool {
        let low = mention.text.to_lowercase();
        let best = mention.best_column().map(|(at, _)| at);
        let is_verb = low.ends_with("ed") || matches!(low.as_str(), "sent" | "paid" | "sold" | "written" | "built");
        let before =
            (1..=2).filter_map(|back| self.before(back)).find(|atom| !matches!(atom.low.as_str(), "yet" | "ever"));
        let follows = before.is_some_and(|atom| {
            let is_noun = atom.mention.as_ref().is_some_and(|noun| noun.values.is_empty() && noun.name_fit() > 0.8);
            let is_be = matches!(atom.low.as_str(), "was" | "were" | "been" | "being" | "but not");
            is_noun || is_be || atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not | Cue::Have))
        });
        is_verb && follows && mention.table_fit() < 0.8 && best.is_some_and(|at| self.schema.is_date(at))
    }

    /// "joined in 2026": a time follows, after "in".
    pub(super) fn is_in_time(&self, ahead: usize, mention: &Mention) -> bool {
        self.has(ahead, &Cue::In)
            && self.is_timely(mention)
            && self.atom(ahead + 1).is_some_and(|atom| atom.window.is_some() || atom.number.is_some())
    }

    /// True if a time or a comparison follows a column.
    pub(super) fn is_compared(&self, ahead: usize, mention: &Mention) -> bool {
        let is_bound = |cue: &Cue| matches!(cue, Cue::After | Cue::Before | Cue::Since | Cue::Until | Cue::Between);
        self.is_in_time(ahead, mention)
            || self.atom(ahead).is_some_and(|next| {
                next.window.is_some()
                    || next.cues.iter().any(is_bound)
                    || next.cues.iter().any(|cue| matches!(cue, Cue::Op(_))) && next.mention.is_none()
            })
    }

    /// True if the column right before or a word such as "named" asks for a value.
    pub(super) fn expects_value(&self) -> bool {
        self.named_column.is_some() || self.before(1).is_some_and(|atom| atom.cues.contains(&Cue::Named))
    }

    pub(super) fn follows_and(&self) -> bool {
        (1..=2).any(|back| self.before(back).is_some_and(|atom| atom.cues.contains(&Cue::And) || atom.text == ","))
    }

    /// True if "and" or a comma stands before the atoms that were just read.
    pub(super) fn follows_and_before(&self, consumed: usize) -> bool {
        let before = self.at.checked_sub(consumed).and_then(|end| self.atoms.get(..end)).unwrap_or_default();
        let is_soft = |atom: &Atom| {
            atom.mention.is_none() && atom.cues.iter().any(|cue| matches!(cue, Cue::Skip | Cue::Their | Cue::Distinct))
        };
        let mut before = before.iter().rev().skip_while(|atom| is_soft(atom) && !atom.cues.contains(&Cue::And));
        before.next().is_some_and(|atom| atom.cues.contains(&Cue::And) || atom.text == ",")
    }

    /// True if a sentence of the question has ended before this word.
    pub(super) fn follows_sentence(&self) -> bool {
        let read = self.atoms.get(..self.at).unwrap_or_default();
        read.iter().any(|atom| atom.is_stop && atom.text != ",")
    }

    pub(super) fn follows_their(&self, consumed: usize) -> bool {
        self.before(consumed + 1).is_some_and(|atom| atom.cues.contains(&Cue::Their))
    }

    /// "singer names": the table only says whose name.
    pub(super) fn belongs_to_next(&self) -> bool {
        let ahead = if self.atom(0).is_some_and(|atom| matches!(atom.low.as_str(), "'s" | "'")) { 1 } else { 0 };
        let Some(next) = self.mention_at(ahead) else { return false };
        let is_attribute = next.column_fit() > 0.0 && next.table_fit() < next.column_fit();
        is_attribute && !self.is_compared(ahead + 1, next) && !self.is_value_of(self.next_solid(ahead + 1), next)
    }

    /// True for a column that says yes or no after a word such as "are" or "not" ("are active"), before a table
    /// ("active members"), after its own table in the plural ("doctors on leave"), or after a word of having ("get the
    /// newsletter").
    pub(super) fn is_flag(&self, mention: &Mention) -> bool {
        let best = mention.best_column();
        let says = best.is_some_and(|(at, _)| self.schema.answers(at).is_some());
        let follows_be = self.before(1).is_some_and(|atom| {
            let is_past = matches!(atom.low.as_str(), "was" | "were" | "been");
            let is_on = atom.low == "on" && atom.cues.contains(&Cue::In);
            is_past || is_on || atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not | Cue::That | Cue::And))
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

    /// True if a value of the column stands there, or words that match nothing.
    pub(super) fn is_value_of(&self, ahead: usize, column: &Mention) -> bool {
        self.mention_at(ahead).is_some_and(|next| {
            let is_unknown = next.values.is_empty() && next.fit() == 0.0;
            is_unknown
                || next.values.iter().any(|(at, _)| column.columns.iter().any(|(of, _)| of == at))
                    && next.table_fit() == 0.0
        })
    }

    /// "Orders shipped after 1 May", where `Shipped` is a status of orders, and the date is that of a row of shipments.
    fn is_verb_of_other_date(&self, mention: &Mention) -> bool {
        let is_time = self.atom(0).is_some_and(|atom| {
            atom.window.is_some()
                || atom.cues.iter().any(|cue| match cue {
                    Cue::After | Cue::Before | Cue::Since | Cue::Until => true,
                    Cue::By(_, words) => words.iter().any(|word| word == "date"),
                    _ => false,
                })
        });
        let stem = self.before(1).map(|atom| atom.stem.clone()).unwrap_or_default();
        let is_named = |(at, column): (At, &crate::database::catalog::Column)| {
            let own = mention.values.iter().any(|(of, _)| of.0 == at.0);
            let is_like = name_words(&column.name).iter().any(|word| *word == stem || related(word, &stem));
            (self.schema.is_date(at) && is_like).then_some(own)
        };
        let all = (0..self.schema.tables().len()).flat_map(|t| self.schema.columns(t));
        let dates: Vec<bool> = all.filter_map(is_named).collect();
        is_time && !mention.looks_like_value && !dates.is_empty() && !dates.contains(&true)
    }

    /// "Which singer ... name": the attributes replace the entity that was shown first.
    pub(super) fn take_back_entity(&mut self) {
        if let [Item::Entity(_)] = self.frame.items.as_slice()
            && !self.follows_and_before(1)
        {
            self.frame.items.clear();
        }
    }

    pub(super) fn valued(&mut self, mut mention: Mention) {
        self.at += 1;
        let column = self.named_column.take().or_else(|| {
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
        // "How many repairs has Ann done", where `done` is a status.
        let said = self.atoms.get(..self.at.saturating_sub(1)).unwrap_or_default();
        let is_verb =
            mention.text.eq_ignore_ascii_case("done") && said.iter().any(|atom| atom.cues.contains(&Cue::Have));
        let follows_be = said.last().is_some_and(|atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Be | Cue::Not)));
        if is_verb && !follows_be {
            self.remark(format!("\"{}\" may be a verb or a stored value", mention.text));
        }
        if self.is_verb_of_other_date(&mention) {
            self.remark("which date".to_owned());
        }
        let is_head = self.is_head;
        let precedes_name = self.mention_at(0).is_some_and(|next| next.table_fit() > 0.0 || next.column_fit() > 0.0);
        self.condition(What::Value(column, mention));
        if is_head && (self.frame.items.is_empty() || precedes_name) {
            self.is_head = true;
        }
    }
}
