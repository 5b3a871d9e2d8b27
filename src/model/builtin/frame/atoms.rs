//! Splits tokens into pieces of a question, each with all its possible meanings.

use time::Date;

use super::*;

/// Splits tokens into atoms: the longest name, value, phrase or time at each place.
pub(in crate::model::builtin) fn atoms(tokens: &[Token], linker: &Linker, today: Date) -> Vec<Atom> {
    let splitter = Splitter { tokens, linker, today };
    let mut atoms: Vec<Atom> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_first = atoms.iter().all(|atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Open | Cue::Skip)));
        let (mut atom, length) = splitter.atom(at, token, is_first);
        let entity = splitter.entity_of_value(&mut atom, at, length, token, atoms.last());
        if atom.mention.is_none() && cues::is_link(&token.stem) {
            atom.verb = linker.mention(tokens, at, at + 1).filter(|mention| mention.table_fit() >= 0.5);
        }
        at += length;
        let text = atom.text.clone();
        atoms.push(atom);
        atoms.extend(entity.map(|mention| Atom {
            low: text.to_lowercase(),
            text,
            mention: Some(mention),
            ..Atom::default()
        }));
    }
    // "The play Hamlet": the play, although a character has that name too.
    for at in 1..atoms.len() {
        let (before, rest) = atoms.split_at_mut(at);
        let named = before.last().and_then(|atom| atom.mention.as_ref()).and_then(Mention::best_table);
        let (Some((t, fit)), Some(value)) = (named, rest.first_mut().and_then(|atom| atom.mention.as_mut())) else {
            continue;
        };
        if fit > 0.8 && value.values.iter().any(|(of, _)| of.0 == t) {
            value.values.retain(|(of, _)| of.0 == t);
        }
    }
    atoms
}

/// Finds the meanings of tokens.
struct Splitter<'a> {
    tokens: &'a [Token],
    linker: &'a Linker<'a>,
    today: Date,
}

impl Splitter<'_> {
    /// The atom that begins at a place, and the number of its tokens. `is_first` is true if only words such as "show me"
    /// came before.
    fn atom(&self, at: usize, token: &Token, is_first: bool) -> (Atom, usize) {
        let mut atom = Atom {
            stem: token.stem.clone(),
            is_stop: matches!(token.kind, TokenKind::Comma | TokenKind::End),
            ..Atom::default()
        };
        let cue = self.cue(at, token);
        let mentioned = self.mentioned(at, cue.as_ref(), is_first);
        let window = window_at(self.tokens, at, self.today);
        let number = match token.kind {
            TokenKind::Number(value) => Some(value),
            TokenKind::Word => count_word(&token.low),
            _ => None,
        };
        let named = mentioned.as_ref().map_or(0, |(_, length)| *length);
        let said = cue.as_ref().map_or(0, |(_, length)| *length);
        let timed = window.as_ref().map_or(0, |(_, length)| *length);
        let mut length = 1;
        if timed > 1 && timed >= named && timed >= said
            || timed == 1 && mentioned.as_ref().is_none_or(|(mention, _)| mention.fit() < 0.8)
        {
            atom.window = window.map(|(window, _)| window);
            length = timed;
        } else if named > 0 && (named > said || named == said && is_strong(mentioned.as_ref())) {
            length = named;
            atom.mention = mentioned.map(|(mention, _)| mention);
            if named == said {
                atom.cues = cue.map(|(cues, _)| cues).unwrap_or_default();
            }
            atom.number = number.filter(|_| named == 1);
        } else if said > 0 {
            length = said;
            atom.cues = cue.map(|(cues, _)| cues).unwrap_or_default();
            atom.mention = mentioned.filter(|(_, named)| *named == said).map(|(mention, _)| mention);
            atom.number = number.filter(|_| said == 1);
        } else if number.is_some() {
            atom.number = number;
        } else if token.kind == TokenKind::Quoted {
            atom.mention = Some(Mention { text: token.text.clone(), looks_like_value: true, ..Mention::default() });
        }
        let words = self.tokens.get(at..at + length).unwrap_or_default();
        atom.text = words.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        atom.low = words.iter().map(|token| token.low.as_str()).collect::<Vec<_>>().join(" ");
        (atom, length)
    }

    /// The phrase at a place, and the number of its tokens.
    fn cue(&self, at: usize, token: &Token) -> Option<(Vec<Cue>, usize)> {
        let low = |at: usize| self.tokens.get(at).map_or("", |token| token.low.as_str());
        // "customers who ordered in 2026" sorts nothing.
        let sorts = |length: usize| {
            let is_direction = ["asc", "desc", "alpha", "reverse", "incr", "decr", "lexi", "order", "the"];
            length == 1
                || low(at + length - 1) != "in"
                || is_direction.iter().any(|start| low(at + length).starts_with(start))
        };
        // "the first name of each doctor" names a column.
        let is_article = |length: usize| {
            let name = self.linker.mention(self.tokens, at + 1, at + 3);
            length == 2 && token.low == "the" && name.is_some_and(|name| name.column_fit() > 0.54)
        };
        // "In the last 7 days" is a time.
        let is_time = |length: usize| {
            let window = window_at(self.tokens, at + 1, self.today);
            length == 2 && token.low == "the" && window.is_some_and(|(_, length)| length > 1)
        };
        // "The screen mode type of the phone", where screen modes have a `type`.
        let is_column = |length: usize| {
            let owner = (1..=2).rev().filter_map(|words| self.linker.mention(self.tokens, at.checked_sub(words)?, at));
            let mut owners = owner.flat_map(|owner| owner.tables).filter(|(_, fit)| *fit > 0.9);
            let is_of =
                |t: usize| self.one(at).is_some_and(|one| one.columns.iter().any(|(of, fit)| of.0 == t && *fit > 0.9));
            let follows = (2..=4).filter_map(|skip| self.one(at + skip)).next();
            let is_of_next = || follows.is_some_and(|next| next.tables.iter().any(|(t, fit)| *fit > 0.9 && is_of(*t)));
            length == 2
                && matches!(token.low.as_str(), "type" | "kind" | "types" | "kinds")
                && (owners.any(|(t, _)| is_of(t)) || is_of_next())
        };
        // "MR" in capitals, or "mr" without a name after it, may be a stored value.
        let is_title = matches!(token.low.as_str(), "mr" | "mrs" | "ms" | "dr");
        let has_name = self.tokens.get(at + 1).is_some_and(|next| next.text.starts_with(char::is_uppercase));
        let is_written_so = token.text.chars().all(char::is_uppercase);
        cues::cue_at(self.tokens, at)
            .filter(|(cues, length)| !is_column(*length) && (!cues.contains(&Cue::Sort) || sorts(*length)))
            // "US" is a country.
            .filter(|(_, length)| *length > 1 || token.text != "US")
            .filter(|(_, length)| !is_title || *length > 1 || has_name && !is_written_so)
            .map(
                |(cues, length)| {
                    if is_article(length) || is_time(length) { (vec![Cue::Skip], 1) } else { (cues, length) }
                },
            )
    }

    /// The longest name or value at a place, and the number of its tokens. `None` if a phrase there is as long or
    /// longer, and is preferred.
    fn mentioned(&self, at: usize, cue: Option<&(Vec<Cue>, usize)>, is_first: bool) -> Option<(Mention, usize)> {
        let (mention, length) =
            (1..=6).rev().find_map(|length| self.mention(at, length).map(|mention| (mention, length)))?;
        let rival = cue.filter(|(_, said)| *said >= length).map(|(cues, _)| cues);
        if !rival.is_none_or(|cues| survives(&mention, cues, is_first)) {
            return None;
        }
        // In "female people", "female" is the key `female_id` of another table. No statement can express this, so the
        // word is left without a meaning.
        let table = mention.best_table().filter(|(_, fit)| *fit <= ROLE && mention.column_fit() <= ROLE);
        let next = self.one(at + length).and_then(|next| next.best_table());
        let is_kept = table.is_none() || table.map(|(t, _)| t) != next.filter(|(_, fit)| *fit > 0.8).map(|(t, _)| t);
        is_kept.then_some((mention, length))
    }

    /// The meaning of a single token.
    fn one(&self, at: usize) -> Option<Mention> {
        self.linker.mention(self.tokens, at, at + 1)
    }

    /// The name or value that so many tokens form. `None` if they form none, or say something else as single words.
    fn mention(&self, at: usize, length: usize) -> Option<Mention> {
        let mention = self.linker.mention(self.tokens, at, at + length)?;
        let is_single =
            if length == 1 { self.is_mere_word(at, &mention) } else { self.means_its_words(at, length, &mention) };
        (!is_single).then_some(mention)
    }

    /// True if a single word fits badly, or is a verb such as "has".
    fn is_mere_word(&self, at: usize, mention: &Mention) -> bool {
        let Some(token) = self.tokens.get(at) else { return true };
        // "Names of stores" are no verb.
        let follows = at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or("", |token| token.low.as_str());
        let is_noun = token.low.ends_with('s') && matches!(follows, "of" | "the" | "all" | "many" | "per" | "which");
        let is_verb = !is_noun && cues::is_link(&token.stem) && mention.values.is_empty() && mention.fit() < 0.8;
        let is_of_name = mention.columns.iter().any(|(at, _)| self.linker.is_word_of(*at, &token.stem));
        (mention.fit() < 0.5 || is_verb) && !is_of_name
    }

    /// True if several words that could be a name say something else.
    fn means_its_words(&self, at: usize, length: usize, mention: &Mention) -> bool {
        let Some(token) = self.tokens.get(at) else { return true };
        let is_weak = mention.fit() < 0.8;
        // WordNet knows "average cost" as one noun; here it asks for an average. In a name such as `mean_temp`, "mean" asks
        // for no average.
        let is_own = |at: usize| {
            let stem = self.tokens.get(at).map_or("", |token| token.stem.as_str());
            mention.best_column().is_some_and(|(column, _)| self.linker.is_word_of(column, stem))
        };
        if is_weak && (at..at + length).any(|at| asks_measure(self.tokens, at) && !is_own(at)) {
            return true;
        }
        // "Problems reported by Ann" are problems, and no `date_problem_reported`.
        let is_reported =
            self.tokens.get(at + 1).is_some_and(|next| next.low.ends_with("ed")) && token.low.ends_with('s');
        if length == 2 && is_reported && mention.fit() < WHOLE && self.one(at).is_some_and(|one| one.table_fit() > 0.94)
        {
            return true;
        }
        // "Number of rooms" is no `room_number`, and "rooms of type double" are rooms.
        let is_of = |at: usize| self.tokens.get(at).is_some_and(|next| next.low == "of");
        if is_of(at + 1) && mention.values.is_empty() {
            let is_table = self.one(at).is_some_and(|one| one.table_fit() > 0.94);
            if token.low == "number" && mention.fit() < WHOLE || is_table && token.low.ends_with('s') {
                return true;
            }
        }
        if is_of(at + length) && asks_measure(self.tokens, at) && self.is_of_other(at, length, mention) {
            return true;
        }
        // "Public schools", where `Public` is a stored value.
        let is_value = |at: usize| self.one(at).is_some_and(|one| !one.values.is_empty());
        if is_weak && mention.values.is_empty() && (at..at + length).any(is_value) {
            return true;
        }
        // WordNet knows "phone booking" as one noun too; here it names the table of bookings.
        let is_known = |t: usize| mention.tables.iter().any(|(of, _)| *of == t);
        let names_table =
            |at: usize| self.one(at).is_some_and(|one| one.tables.iter().any(|(t, fit)| *fit > 0.94 && !is_known(*t)));
        let is_role = mention.table_fit() >= ROLE;
        is_weak && !is_role && mention.values.is_empty() && (at..at + length).any(names_table)
    }

    /// "The total amount of charges" is a sum, if charges have amounts and the `total_amount` is that of other rows.
    fn is_of_other(&self, at: usize, length: usize, mention: &Mention) -> bool {
        let begin = at + length + 1;
        let owner = (1..=2).rev().find_map(|words| {
            self.linker.mention(self.tokens, begin, begin + words).filter(|owner| owner.table_fit() > 0.8)
        });
        let has = |mention: &Mention, least: f32| {
            owner.as_ref().is_some_and(|owner| {
                let of = |t: usize| owner.tables.iter().any(|(of, fit)| *of == t && *fit > 0.8);
                mention.columns.iter().any(|(at, fit)| *fit > least && of(at.0))
            })
        };
        let rest = self.linker.mention(self.tokens, at + 1, at + length);
        !has(mention, 0.8) && rest.is_some_and(|rest| has(&rest, 0.8))
    }

    /// "Teachers" as a value of a column of people: the rows that the value stands for.
    fn entity_of_value(
        &self,
        atom: &mut Atom,
        at: usize,
        length: usize,
        token: &Token,
        before: Option<&Atom>,
    ) -> Option<Mention> {
        let asks = before.is_some_and(|before| {
            before.cues.iter().any(|cue| matches!(cue, Cue::Count(_) | Cue::By(..) | Cue::Sup(_)))
        });
        let is_before_table = self.one(at + length).is_some_and(|next| next.table_fit() > 0.5);
        let is_plural = length == 1 && token.low.ends_with('s');
        let mention = atom.mention.as_mut().filter(|_| (is_plural || asks) && !is_before_table)?;
        self.linker.entity_of_value(mention, &token.low)
    }
}

/// True if a word asks for a measure, an order or a number.
fn asks_measure(tokens: &[Token], at: usize) -> bool {
    let cues = cues::cue_at(tokens.get(..=at).unwrap_or_default(), at).map(|(cues, _)| cues).unwrap_or_default();
    cues.iter().any(|cue| matches!(cue, Cue::Agg(_) | Cue::Sup(_) | Cue::By(..) | Cue::Common(_) | Cue::Count(_)))
}

/// True if a name or value remains a possible meaning beside a phrase that is as long or longer.
fn survives(mention: &Mention, cues: &[Cue], is_first: bool) -> bool {
    let needs_object = cues.iter().any(|cue| {
        !matches!(
            cue,
            Cue::Open
                | Cue::Skip
                | Cue::Row
                | Cue::Have
                | Cue::Be
                | Cue::Of
                | Cue::In
                | Cue::By_
                | Cue::That
                | Cue::Their
                | Cue::And
                | Cue::Or
                | Cue::Not
        )
    });
    let is_name = mention.table_fit() > 0.0 || mention.column_fit() > 0.0;
    // "Expenses" are no `cost` of a product.
    if cues.contains(&Cue::Refuse) && mention.fit() < WHOLE {
        return false;
    }
    if is_first && cues.contains(&Cue::Open) {
        return false;
    }
    // A short word such as "in" or "a" is no stored value here. (In quotes it is, but then no phrase stands there.) A
    // longer word such as "existing" may be one.
    let is_word_of_grammar = mention.text.len() < 5;
    match (needs_object, is_name) {
        // "details" may be a column.
        (false, true) if cues.iter().all(|cue| matches!(cue, Cue::Skip | Cue::Row)) && !is_word_of_grammar => {
            mention.table_fit().max(mention.column_fit()) > 0.5
        }
        (false, true) => mention.table_fit().max(mention.column_fit()) > 0.8,
        (_, false) => !is_word_of_grammar && (mention.looks_like_value || !needs_object),
        (true, true) => mention.table_fit().max(mention.column_fit()) > OTHER_WORD,
    }
}

/// A name or value that wins over a phrase of the same length.
fn is_strong(mentioned: Option<&(Mention, usize)>) -> bool {
    mentioned.is_some_and(|(mention, _)| mention.fit() >= WHOLE - 0.06)
}
