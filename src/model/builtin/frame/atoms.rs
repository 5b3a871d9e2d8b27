//! Splits tokens into pieces of a question, each with all its possible meanings.

use time::Date;

use super::*;

/// Splits tokens into atoms: the longest name, value, phrase or time at each place.
pub(in crate::model::builtin) fn atoms(tokens: &[Token], linker: &Linker, today: Date) -> Vec<Atom> {
    let mut atoms = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mut atom = Atom {
            text: token.text.clone(),
            low: token.low.clone(),
            stem: token.stem.clone(),
            cues: Vec::new(),
            mention: None,
            number: None,
            window: None,
            is_stop: matches!(token.kind, TokenKind::Comma | TokenKind::End),
            verb: None,
        };
        let found = |length: usize| {
            let mention = linker.mention(tokens, at, at + length)?;
            // "Names of stores" are no verb.
            let follows = at.checked_sub(1).and_then(|at| tokens.get(at)).map_or("", |token| token.low.as_str());
            let is_noun =
                token.low.ends_with('s') && matches!(follows, "of" | "the" | "all" | "many" | "per" | "which");
            let is_verb = length == 1
                && !is_noun
                && cues::is_link(&token.stem)
                && mention.values.is_empty()
                && mention.fit() < 0.8;
            let is_of_name = mention.columns.iter().any(|(at, _)| linker.is_word_of(*at, &token.stem));
            let is_weak = length == 1 && mention.fit() < 0.5 && !is_of_name || is_verb && !is_of_name;
            // WordNet knows "average cost" as one noun; here it asks for an average.
            let is_far = length > 1 && mention.fit() < 0.8;
            // In a name such as `mean_temp`, "mean" asks for no average.
            let is_own = |at: usize| {
                let stem = tokens.get(at).map_or("", |token| token.stem.as_str());
                let best = mention.best_column();
                best.is_some_and(|(column, _)| linker.is_word_of(column, stem))
            };
            let holds_phrase = is_far && (at..at + length).any(|at| asks_measure(tokens, at) && !is_own(at));
            // "Number of rooms" is no `room_number`, and "rooms of type double" are rooms.
            let next = tokens.get(at + 1).is_some_and(|next| length > 1 && next.low == "of");
            let is_turned = next && mention.values.is_empty() && {
                let is_table = linker.mention(tokens, at, at + 1).is_some_and(|one| one.table_fit() > 0.94);
                token.low == "number" && mention.fit() < WHOLE || is_table && token.low.ends_with('s')
            };
            // "The total amount of charges" is a sum, if charges have amounts and the `total_amount` is that of other rows.
            let of = tokens.get(at + length).is_some_and(|next| length > 1 && next.low == "of");
            let is_other = of && asks_measure(tokens, at) && {
                let owner = (1..=2).rev().find_map(|words| {
                    linker
                        .mention(tokens, at + length + 1, at + length + 1 + words)
                        .filter(|owner| owner.table_fit() > 0.8)
                });
                let has = |mention: &Mention, least: f32| {
                    owner.as_ref().is_some_and(|owner| {
                        let of = |t: usize| owner.tables.iter().any(|(of, fit)| *of == t && *fit > 0.8);
                        mention.columns.iter().any(|(at, fit)| *fit > least && of(at.0))
                    })
                };
                !has(&mention, 0.8) && linker.mention(tokens, at + 1, at + length).is_some_and(|rest| has(&rest, 0.8))
            };
            let holds_phrase = holds_phrase || is_turned || is_other;
            // "phone booking" is one noun there too; here it names the table of bookings.
            let is_known = |t: usize| mention.tables.iter().any(|(of, _)| *of == t);
            let names_table = |at: usize| {
                let one = linker.mention(tokens, at, at + 1);
                one.is_some_and(|one| one.tables.iter().any(|(t, fit)| *fit > 0.94 && !is_known(*t)))
            };
            let is_role = mention.table_fit() >= ROLE;
            let holds_table = is_far && !is_role && mention.values.is_empty() && (at..at + length).any(names_table);
            (!is_weak && !holds_phrase && !holds_table).then_some((mention, length))
        };
        let mentioned = (1..=6).rev().find_map(found);
        // "customers who ordered in 2026" sorts nothing.
        let sorts = |length: usize| {
            let last = tokens.get(at + length - 1).map_or("", |token| token.low.as_str());
            let next = tokens.get(at + length).map_or("", |token| token.low.as_str());
            let is_direction = ["asc", "desc", "alpha", "reverse", "incr", "decr", "lexi", "order", "the"];
            length == 1 || last != "in" || is_direction.iter().any(|start| next.starts_with(start))
        };
        // "the first name of each doctor" names a column.
        let is_article = |length: usize| {
            let named =
                |words: usize| linker.mention(tokens, at + 1, at + 1 + words).map_or(0.0, |name| name.name_fit());
            length == 2 && token.low == "the" && named(2) > 0.9
        };
        let cue = cues::cue_at(tokens, at)
            .filter(|(cues, length)| !cues.contains(&Cue::Sort) || sorts(*length))
            .map(|(cues, length)| if is_article(length) { (vec![Cue::Skip], 1) } else { (cues, length) });
        let window = window_at(tokens, at, today);
        let number = match token.kind {
            TokenKind::Number(value) => Some(value),
            TokenKind::Word => count_word(&token.low),
            _ => None,
        };
        let mentioned = mentioned.filter(|(mention, length)| {
            let rival = cue.as_ref().filter(|(_, said)| said >= length).map(|(cues, _)| cues);
            let is_first =
                atoms.iter().all(|atom: &Atom| atom.cues.iter().any(|cue| matches!(cue, Cue::Open | Cue::Skip)));
            rival.is_none_or(|cues| survives(mention, cues, is_first))
        });
        // In "female people", "female" is the key `female_id` of another table. The statement could not say so, so the word
        // is left without a meaning.
        let mentioned = mentioned.filter(|(mention, length)| {
            let table = mention.best_table().filter(|(_, fit)| *fit <= ROLE && mention.column_fit() <= ROLE);
            let next = linker.mention(tokens, at + length, at + length + 1).and_then(|next| next.best_table());
            table.is_none() || table.map(|(t, _)| t) != next.filter(|(_, fit)| *fit > 0.8).map(|(t, _)| t)
        });
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
            atom.mention = Some(Mention { text: token.text.clone(), is_quoted: true, ..Mention::default() });
        }
        let entity = atom.mention.as_mut().and_then(|mention| {
            let asks = atoms.last().is_some_and(|before: &Atom| {
                before.cues.iter().any(|cue| matches!(cue, Cue::Count(_) | Cue::By(..) | Cue::Sup(_)))
            });
            let is_before_table =
                linker.mention(tokens, at + length, at + length + 1).is_some_and(|next| next.table_fit() > 0.5);
            let is_plural = length == 1 && token.low.ends_with('s');
            ((is_plural || asks) && !is_before_table).then(|| linker.entity_of_value(mention, &token.low))?
        });
        if atom.mention.is_none() && cues::is_link(&token.stem) {
            atom.verb = linker.mention(tokens, at, at + 1).filter(|mention| mention.table_fit() >= 0.5);
        }
        let words = tokens.get(at..at + length).unwrap_or_default();
        atom.text = words.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        atom.low = words.iter().map(|token| token.low.as_str()).collect::<Vec<_>>().join(" ");
        at += length;
        let text = atom.text.clone();
        atoms.push(atom);
        atoms.extend(entity.map(|mention| Atom {
            low: text.to_lowercase(),
            stem: String::new(),
            text,
            cues: Vec::new(),
            mention: Some(mention),
            number: None,
            window: None,
            is_stop: false,
            verb: None,
        }));
    }
    atoms
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
    if is_first && cues.contains(&Cue::Open) {
        return false;
    }
    // "in" and "a" may be stored values, and are meant so only if written so. "existing" is meant so always.
    let is_word_of_grammar = mention.text.len() < 5;
    match (needs_object, is_name) {
        // "details" may be a column.
        (false, true) if cues == [Cue::Skip] && !is_word_of_grammar => {
            mention.table_fit().max(mention.column_fit()) > 0.5
        }
        (false, true) => mention.table_fit().max(mention.column_fit()) > 0.8,
        (_, false) => !is_word_of_grammar && (mention.is_quoted || !needs_object),
        (true, true) => mention.table_fit().max(mention.column_fit()) > OTHER_WORD,
    }
}

/// A name or value that wins over a phrase of the same length.
fn is_strong(mentioned: Option<&(Mention, usize)>) -> bool {
    mentioned.is_some_and(|(mention, _)| mention.fit() >= WHOLE - 0.06)
}
