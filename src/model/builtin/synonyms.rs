//! Words of names: other words for the same thing, words a question leaves out, adjectives of countries.

/// Returns synonyms of a stem, as stems. They are tried only if the question's own word names nothing.
pub(super) fn synonym(stem: &str) -> Option<&'static [&'static str]> {
    Some(match stem {
        "nation" => &["country", "countri", "nationality"],
        "client" | "buyer" | "shopper" => &["custom"],
        "custom" => &["client", "buyer"],
        "purchas" => &["order"],
        "staff" | "worker" => &["employe"],
        "employe" => &["staff"],
        "film" => &["movi"],
        "movi" => &["film"],
        "phone" | "telephon" | "cellphon" => &["phone", "telephon", "mobil", "cell"],
        "sex" => &["gender"],
        "postcod" | "zipcod" => &["zip", "postal"],
        "surnam" => &["last name"],
        "qti" => &["quantiti"],
        "shop" => &["store"],
        "store" => &["shop"],
        "pupil" => &["student"],
        "titl" => &["name"],
        "job" | "occup" | "profess" => &["role", "job", "occup"],
        "mail" => &["email"],
        "wage" => &["salari"],
        "categori" => &["category"],
        "region" => &["area"],
        "vendor" => &["supplier"],
        "supplier" => &["vendor"],
        _ => return None,
    })
}

/// Words of column names that a question leaves out: "email" for `email_address`.
pub(super) fn is_filler_of_names(stem: &str) -> bool {
    matches!(
        stem,
        "code"
            | "number"
            | "no"
            | "num"
            | "address"
            | "yn"
            | "flag"
            | "is"
            | "has"
            | "at"
            | "on"
            | "name"
            | "text"
            | "date"
            | "usd"
            | "eur"
    )
}

/// The country of an adjective such as "French"; several spellings where databases differ.
pub(super) fn country_of(adjective: &str) -> &'static [&'static str] {
    match adjective {
        "french" => &["france"],
        "german" => &["germany"],
        "italian" => &["italy"],
        "spanish" => &["spain"],
        "swiss" => &["switzerland"],
        "austrian" => &["austria"],
        "dutch" => &["netherlands"],
        "belgian" => &["belgium"],
        "british" => &["united kingdom", "uk", "great britain"],
        "american" => &["united states", "usa", "us", "united states of america"],
        "canadian" => &["canada"],
        "mexican" => &["mexico"],
        "brazilian" => &["brazil"],
        "japanese" => &["japan"],
        "chinese" => &["china"],
        "indian" => &["india"],
        "australian" => &["australia"],
        "russian" => &["russia"],
        "polish" => &["poland"],
        "swedish" => &["sweden"],
        "norwegian" => &["norway"],
        "danish" => &["denmark"],
        "finnish" => &["finland"],
        "irish" => &["ireland"],
        "portuguese" => &["portugal"],
        "greek" => &["greece"],
        "turkish" => &["turkey"],
        "korean" => &["south korea", "korea"],
        "hungarian" => &["hungary"],
        "czech" => &["czech republic", "czechia"],
        _ => &[],
    }
}
