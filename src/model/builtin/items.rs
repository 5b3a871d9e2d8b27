//! Turns tokens into items: cues, windows, mentions, numbers. At each position the longest match wins.

use time::Date;

use super::lexicon::{EXACT, Lexicon, Mention};
use super::text::{Token, TokenKind};
use super::windows::{Unit, Window, count_word, unit, window_at};
use super::words::{Cue, LONGEST, cue};

/// A piece of the question with one kind of meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Cue(Cue),
    Mention(Mention),
    Window(Window),
    Unit(Unit),
    /// "monthly".
    Every(Unit),
    Number(f64),
    Quoted,
    Comma,
    End,
    Possessive,
    Unknown,
}

/// An item with the words it came from.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub item: Item,
    pub text: String,
    pub low: String,
    pub capital: bool,
}

/// Reads all tokens as items.
pub(super) fn pieces(tokens: &[Token], lexicon: &Lexicon, today: Date) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        let opens = out
            .last()
            .is_none_or(|piece| matches!(piece.item, Item::End | Item::Comma | Item::Cue(Cue::Stop | Cue::And)));
        let (item, length) = item_at(tokens, i, token, lexicon, today, opens);
        let length = length.max(1);
        let part = tokens.iter().skip(i).take(length);
        let text = part.clone().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        let low = part.map(|token| token.low.as_str()).collect::<Vec<_>>().join(" ");
        out.push(Piece { item, text, low, capital: token.capital() && i > 0 });
        i += length;
    }
    out
}

/// Whether pieces next to each other may be a stored value: a word among them is unknown, quoted or in capitals, and the
/// first and the last are no words of the grammar.
pub(super) fn may_be_value(part: &[Piece]) -> bool {
    let is_name = |piece: &Piece| match &piece.item {
        Item::Unknown | Item::Quoted => true,
        Item::Mention(mention) => piece.capital && mention.values.is_empty(),
        _ => false,
    };
    let is_edge = |piece: Option<&Piece>| {
        piece.is_some_and(|piece| {
            matches!(piece.item, Item::Unknown | Item::Quoted | Item::Mention(_) | Item::Number(_))
        })
    };
    let breaks = |piece: &Piece| matches!(piece.item, Item::Comma | Item::End);
    part.iter().any(is_name) && is_edge(part.first()) && is_edge(part.last()) && !part.iter().any(breaks)
}

fn item_at(tokens: &[Token], i: usize, token: &Token, lexicon: &Lexicon, today: Date, opens: bool) -> (Item, usize) {
    match token.kind {
        TokenKind::Quoted => return (Item::Quoted, 1),
        TokenKind::Comma => return (Item::Comma, 1),
        TokenKind::End => return (Item::End, 1),
        TokenKind::Possessive => return (Item::Possessive, 1),
        TokenKind::Sign => return (Item::Unknown, 1),
        TokenKind::Number(_) | TokenKind::Date(_) | TokenKind::Word => {}
    }
    let mention = lexicon.mention_at(tokens, i);
    let reach = mention.as_ref().map_or(0, |(_, length)| *length);
    if let Some((window, length)) = window_at(tokens, i, today).filter(|(_, length)| *length >= reach) {
        return (Item::Window(window), length);
    }
    if let TokenKind::Number(number) = token.kind {
        return match mention {
            Some((mention, length)) if length > 1 => (Item::Mention(mention), length),
            _ => (Item::Number(number), 1),
        };
    }
    let cue = cue_at(tokens, i);
    if let Some((cue, length)) = cue {
        let mention_wins = match &mention {
            Some((_, reach)) if *reach > length => true,
            Some((mention, reach)) if *reach == length => beats(mention, cue, &token.low, opens),
            _ => false,
        };
        if !mention_wins {
            return (Item::Cue(cue), length);
        }
    }
    if let Some((mention, length)) = mention {
        return (Item::Mention(mention), length);
    }
    if let Some(unit) = unit(&token.low) {
        return (Item::Unit(unit), 1);
    }
    let every = match token.low.as_str() {
        "daily" => Some(Unit::Day),
        "weekly" => Some(Unit::Week),
        "monthly" => Some(Unit::Month),
        "quarterly" => Some(Unit::Quarter),
        "yearly" | "annual" => Some(Unit::Year),
        _ => None,
    };
    if let Some(unit) = every {
        return (Item::Every(unit), 1);
    }
    if let Some(number) = count_word(&token.low) {
        return (Item::Number(number), 1);
    }
    (Item::Unknown, 1)
}

/// Whether a name of the schema wins over a cue of the same length.
fn beats(mention: &Mention, cue: Cue, low: &str, opens: bool) -> bool {
    // "paid" may pick the column `paid_at`.
    if matches!(
        low,
        "paid" | "sold" | "placed" | "issued" | "held" | "registered" | "recorded" | "purchased" | "written"
    ) && mention.fit() + 1 >= EXACT
    {
        return true;
    }
    if mention.fit() < EXACT {
        return false;
    }
    match cue {
        Cue::Revenue => !mention.tables.is_empty() || !mention.only_views,
        Cue::Verb => true,
        Cue::List => !opens || low == "name",
        Cue::Stop => matches!(low, "value" | "values" | "records" | "entries" | "rows"),
        Cue::Beyond => matches!(
            low,
            "share" | "growth" | "ratio" | "percentage" | "difference" | "mode" | "change" | "trend" | "second"
        ),
        _ => false,
    }
}

fn cue_at(tokens: &[Token], i: usize) -> Option<(Cue, usize)> {
    (1..=LONGEST).rev().find_map(|length| {
        let part: Vec<&str> = tokens.iter().skip(i).take(length).map(|token| token.low.as_str()).collect();
        let whole = part.len() == length;
        if !whole {
            return None;
        }
        cue(&part.join(" ")).map(|cue| (cue, length))
    })
}
