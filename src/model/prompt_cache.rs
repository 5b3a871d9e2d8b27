//! What is known of Bedrock's prompt cache, by model. Pure.
//!
//! Source: the service's documentation on prompt caching, read in October 2026. A prefix below a model's minimum is not
//! cached. Some models even refuse such a request. So no cache point is set after such a prefix.

/// The minimum of every model that [`minimum`] does not list, in tokens.
const USUAL_MINIMUM: usize = 1_024;

/// Family and version of a Claude model: `claude-sonnet-4-6` is sonnet 4.6.
fn claude(model_id: &str) -> Option<(&str, u32, u32)> {
    let (_, name) = model_id.split_once("claude-")?;
    let mut parts = name.split(['-', ':']);
    // Old ids begin with the version: `claude-3-5-sonnet`.
    let family = parts.next().filter(|family| !family.starts_with(|c: char| c.is_ascii_digit()))?;
    let major: u32 = parts.next()?.parse().ok()?;
    // A date follows the version in some ids.
    let minor = parts.next().filter(|part| part.len() <= 2).and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((family, major, minor))
}

/// The smallest prefix that the model caches, in tokens.
pub(super) fn minimum(model_id: &str) -> usize {
    match claude(model_id) {
        Some(("opus", 5.., _)) => 512,
        Some(("opus", 4, 7)) => 2_048,
        Some(("opus", 4, 5 | 6) | ("haiku", 4, 5)) => 4_096,
        _ => USUAL_MINIMUM,
    }
}

/// Whether the model keeps a prefix for an hour. All others keep it for five minutes.
pub(super) fn has_hour(model_id: &str) -> bool {
    claude(model_id).is_some_and(|(_, major, minor)| (major, minor) >= (4, 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_family_and_version() {
        for (id, least, hour) in [
            ("global.anthropic.claude-sonnet-4-6", 1_024, true),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_024, true),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", 4_096, true),
            ("eu.anthropic.claude-opus-4-7", 2_048, true),
            ("us.anthropic.claude-opus-5", 512, true),
            ("anthropic.claude-opus-4-1-20250805-v1:0", 1_024, false),
            ("anthropic.claude-sonnet-4-20250514-v1:0", 1_024, false),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", 1_024, false),
            ("amazon.nova-pro-v1:0", 1_024, false),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", 1_024, false),
        ] {
            assert_eq!((minimum(id), has_hour(id)), (least, hour), "{id}");
        }
    }
}
